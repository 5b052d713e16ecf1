"""The PyTorch module that `torch_function` makes. It imports torch, so it is imported on use."""

from __future__ import annotations

import functools

import torch

from ..shown import shown
from .evaluate import check_arguments, evaluate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .listing import Listing

# what each op is in PyTorch
RULES = {
    "+": torch.add,
    "*": torch.mul,
    "**k": torch.pow,
    "**": torch.pow,
    "ReLU": torch.relu,
    "tanh": torch.tanh,
    "exp": torch.exp,
    "log": torch.log,
    "sigmoid": torch.sigmoid,
    "sqrt": torch.sqrt,
    "sin": torch.sin,
    "cos": torch.cos,
    "abs": torch.abs,
    "take": torch.clone,
    # no gradient passes through these, as in micrograd
    "largest": lambda *xs: functools.reduce(torch.maximum, [x.detach() for x in xs]),
    "minus": lambda x: -x.detach(),
}


class Function(torch.nn.Module):
    """A listing as a module: a function of tensors, and of its parameters.

    Attributes:
        weights: the parameters, one tensor; None if there are none. names: what they are called.
    """

    def __init__(self, listing: Listing) -> None:
        super().__init__()
        self.listing, self.names = listing, listing.parameters
        with torch.inference_mode(False):  # whose tensors cannot be trained
            numbers = float64(listing.numbers["parameters"])
            self.weights = torch.nn.Parameter(numbers) if self.names else None

    def forward(self, *arguments: Any) -> Any:
        check_arguments(self.listing, arguments)
        xs = [_argument(name, x) for name, x in zip(self.listing.inputs, arguments)]
        shape = torch.broadcast_shapes(*[x.shape for x in xs])
        weights = [] if self.weights is None else self.weights.unbind()
        outs = [
            out.expand(shape).clone()  # it may be an argument
            for out in evaluate(self.listing, RULES, xs, weights, float64)
        ]
        return outs[0] if self.listing.is_single else outs

    def extra_repr(self) -> str:
        return f"{len(self.listing.inputs)} inputs, {len(self.names)} parameters"


def _argument(name: str, x: Any) -> Any:
    """Return an argument as a tensor of float64."""
    # without a dtype PyTorch rounds a Python float to float32
    try:
        found = torch.as_tensor(x, dtype=None if hasattr(x, "dtype") else torch.float64)
    except TypeError:
        found = None
    if found is None or found.is_complex():
        raise TypeError(f"argument {name} must be real numbers, not {shown(x)}")
    return found.to(torch.float64)


def float64(x: Any) -> Any:
    """Return a new tensor of a float or of lists of them, on the CPU also within torch.device."""
    return torch.tensor(x, dtype=torch.float64, device="cpu")
