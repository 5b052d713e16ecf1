"""A graph as a function of NumPy arrays, element by element."""

from __future__ import annotations

import functools

from ..checks import needed, number
from ..shown import shown
from .evaluate import check_arguments, evaluate
from .listing import Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ..pure.value import Value
    from ..types import Leaves

__all__ = ["numpy_function"]


def numpy_function(output: Value | Sequence[Value], inputs: Leaves) -> Callable[..., Any]:
    """Make a function of NumPy arrays that computes what a graph does, for each element.

    Args:
        output: a Value, or a list of Values.
        inputs: the leaves that are the function's arguments: a list, or a dict by name. All other
            leaves, a model's parameters among them, are constants with their present numbers.

    Returns:
        A function of as many arrays or numbers as there are inputs. They are broadcast as NumPy's
        own functions do it. It returns a float64 array of that shape, or of a list of Values a
        list of arrays. Sums and products are rounded as micrograd's; NumPy's tanh, exp and pow
        may have other last digits. Where micrograd raises an error, for the logarithm of 0, say,
        it warns, and the result is nan or infinite.

    Raises:
        ImportError: NumPy is missing.
        TypeError, ValueError: as `to_c`; and in a call, a TypeError of an argument that is masked
            or of anything but real numbers.

    Example:
        >>> x, w = Value(0.5), Value(-2.0)
        >>> numpy_function((x * w).relu(), [x])([-1.0, 0.0, 1.0])
        array([2., 0., 0.])
    """
    _numpy()
    return Function(Listing(output, inputs, None))


class Function:
    """A listing as a function of arrays. It can be copied and pickled."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing

    def __call__(self, *arrays: Any) -> Any:
        numpy, listing = _numpy(), self.listing
        check_arguments(listing, arrays)
        xs = [_floats(numpy, name, x) for name, x in zip(listing.inputs, arrays)]
        shape = numpy.broadcast_shapes(*[x.shape for x in xs])
        outs = [
            numpy.array(numpy.broadcast_to(out, shape))  # it may be an argument, or a constant
            for out in evaluate(listing, _rules(numpy), xs, [], numpy.float64)
        ]
        return outs[0] if listing.is_single else outs

    def __repr__(self) -> str:
        names = self.listing.inputs
        few = ", ".join(names) or "no arguments"
        return f"<function of {few if len(names) <= 8 else f'{len(names)} arguments'}>"


def _numpy() -> Any:
    return needed("numpy", "this needs NumPy: pip install numpy")


def _floats(numpy: Any, name: str, x: Any) -> Any:
    """Return an argument as an array of float64."""
    if isinstance(x, numpy.ma.MaskedArray):
        raise TypeError(f"argument {name} is a masked array: pass its filled(numpy.nan)")
    array = numpy.asarray(x)
    if array.dtype.kind == "O":  # a large int, say, or a Fraction
        floats = [number(item) for item in array.flat]
        array = numpy.array(floats, dtype=numpy.float64).reshape(array.shape)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"argument {name} must be real numbers, not {shown(x)}")
    return array.astype(numpy.float64, copy=False)


def _rules(numpy: Any) -> dict[str, Callable[..., Any]]:
    """Return what each op is in NumPy."""

    def sigmoid(x: Any) -> Any:
        e = numpy.exp(-numpy.abs(x))  # which cannot overflow
        return numpy.where(x < 0, e / (1 + e), 1 / (1 + e))

    return {
        "+": numpy.add,
        "*": numpy.multiply,
        "**k": numpy.power,
        "**": numpy.power,
        "ReLU": lambda a: numpy.where(a < 0, 0.0, a),
        "tanh": numpy.tanh,
        "exp": numpy.exp,
        "log": numpy.log,
        "sigmoid": sigmoid,
        "sqrt": numpy.sqrt,
        "sin": numpy.sin,
        "cos": numpy.cos,
        "abs": numpy.abs,
        "take": numpy.positive,
        "largest": lambda *xs: functools.reduce(numpy.maximum, xs),
        "minus": numpy.negative,
    }
