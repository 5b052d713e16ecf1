"""A listing computed with functions of arrays or tensors, for NumPy and for PyTorch."""

from __future__ import annotations

from ..graph import is_value
from ..shown import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from .listing import Listing


def evaluate(
    listing: Listing,
    functions: Mapping[str, Callable[..., Any]],
    inputs: Sequence[Any],
    parameters: Sequence[Any],
    constants: Callable[[float], Any],
) -> list[Any]:
    """Return the outputs for these inputs and parameters.

    Args:
        functions: by op, of its operands, and of k for "**k".
        constants: makes of a float what the functions take.
    """
    last = {j: i for i, node in enumerate(listing.nodes) for j in node.operands}
    kept = {*listing.outputs}
    numbers: list[Any] = []
    for i, (op, operands, number) in enumerate(listing.nodes):
        if op == "constant":
            x = constants(number)
        elif op in ("input", "parameter"):
            x = (inputs if op == "input" else parameters)[int(number)]
        else:
            xs = [numbers[j] for j in operands]
            x = functions[op](*xs, number) if op == "**k" else functions[op](*xs)
        numbers.append(x)
        for j in operands:
            if last[j] == i and j not in kept:
                numbers[j] = None  # which may be large, and is not needed any more
    return [numbers[i] for i in listing.outputs]


def check_arguments(listing: Listing, arguments: Sequence[Any]) -> None:
    """Raise a TypeError unless there is an argument for each input, and none is a Value."""
    names = listing.inputs
    if len(arguments) != len(names):
        raise TypeError(
            f"the function takes {len(names)} arguments ({', '.join(names)}), and was given "
            f"{len(arguments)}"
        )
    for name, x in zip(names, arguments):
        if is_value(x) and not hasattr(x, "dtype"):  # as tensors have
            raise TypeError(
                f"argument {name} must be numbers, not {shown(x)}, of which .data is one"
            )
