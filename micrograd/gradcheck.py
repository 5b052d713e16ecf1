"""backward() against differences of f: a check of gradients, for the Values of either engine."""

from __future__ import annotations

import math

from .backends import engine
from .checks import is_number, listed, number
from .graph import trace
from .shown import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .types import AnyValue, Number

__all__ = ["gradcheck", "GradcheckError"]


class GradcheckError(RuntimeError):
    """A gradient that `gradcheck` found to be wrong.

    Attributes:
        index: of the input. analytic: what backward() gives. numeric: what the differences
        give. difference: between the two.
    """

    def __init__(self, index: int, analytic: float, numeric: float, difference: float) -> None:
        super().__init__(index, analytic, numeric, difference)
        self.index, self.analytic, self.numeric = index, analytic, numeric
        self.difference = difference

    def __str__(self) -> str:
        return (
            f"input {self.index}: backward() gives {self.analytic}, and differences give "
            f"{self.numeric}: they are {self.difference} apart"
        )


def gradcheck(
    f: Callable[..., AnyValue],
    inputs: Iterable[AnyValue | Number],
    eps: Number = 1e-5,
    tolerance: float = 1e-6,
) -> bool:
    """Check the gradients that backward() gives against central differences.

    For each input x the slope is (f(x + h) - f(x - h)) / 2h with h = eps * max(1, |x|).
    Its error is about h**2 times f's third derivative from the curve, and f * 2**-53 / h
    from rounding. An eps of 1e-5 makes both about 1e-11 where f is tame and around 1, and
    the tolerance leaves room for an f that is ten thousand times wilder or larger.

    Args:
        f: takes as many Values as there are inputs, and returns a Value.
        inputs: a list of numbers, and of leaf Values, which f is given as they are: with a
            model's parameters as inputs f may as well ignore them and call the model.
        eps: how far to go to each side.
        tolerance: how far analytic and numeric slope may be apart, times max(1, |numeric|).

    Returns:
        True. Every Value that was there before has its data and grad of before.

    Raises:
        GradcheckError: a gradient is wrong, or f has a kink here, as relu has at 0.
        TypeError: an input is no number and no Value of the same engine, or f returns no Value.
        ValueError: an input is no leaf, or eps is so small that x + h is x, or so large that
            it is infinite, or tolerance is negative.
        What f raises, and its backward().

    Example:
        >>> gradcheck(lambda a, b: (a * b).tanh(), [0.5, -2.0])
        True

    Source: after PyTorch's torch.autograd.gradcheck.
    """
    if not callable(f):
        raise TypeError(
            f"f must be a function, not {shown(f)}: it comes first, gradcheck(f, [0.5, -2.0])"
        )
    eps, tolerance = number(eps, "eps"), number(tolerance, "tolerance")
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be 0 or more, not {tolerance}")
    values = _leaves(listed(inputs, "inputs"))
    gradients = _gradients(f, values)
    for i, analytic in enumerate(gradients):
        numeric = _slope(f, values, i, eps)
        difference = abs(analytic - numeric)
        if not difference <= tolerance * max(1.0, abs(numeric)):  # nan is wrong, too
            raise GradcheckError(i, analytic, numeric, difference)
    return True


def _leaves(inputs: list[Any]) -> list[Any]:
    """Return the inputs as leaves, all of the engine that those are of which are Values."""
    kind: Any = engine.Value
    for x in inputs:
        for base in type(x).__mro__:  # x may be of a subclass
            if base.__name__ == "Value" and base.__module__.startswith(f"{__package__}."):
                kind = base
    values = [kind(x) if is_number(x) else x for x in inputs]
    for v in values:
        if not isinstance(v, kind):
            raise TypeError(
                f"an input must be a number or a Value of the same engine, not {shown(v)}"
            )
        if not v._is_leaf:
            raise ValueError(f"an input must be a leaf, but {shown(v)} is computed from others")
    return values


def _result(f: Callable[..., Any], values: list[Any]) -> Any:
    out = f(*values)
    if not hasattr(out, "_prev"):
        raise TypeError(f"f must return a Value, not {shown(out)}")
    return out


def _gradients(f: Callable[..., Any], values: list[Any]) -> list[float]:
    """Return the inputs' gradients as backward() computes them, and leave all as they were."""
    out = _result(f, values)
    nodes = list({id(v): v for v in [*trace(out)[0], *values]}.values())
    before = [v.grad for v in nodes]
    try:
        for v in nodes:
            v.grad = 0.0
        out.backward()
        return [v.grad for v in values]
    finally:
        for v, grad in zip(nodes, before):
            v.grad = grad


def _slope(f: Callable[..., Any], values: list[AnyValue], i: int, eps: float) -> float:
    """Return how fast f moves with its i-th input."""
    v, x = values[i], values[i].data
    step = eps * max(1.0, abs(x))
    high, low = x + step, x - step
    if not 0 < high - low < math.inf:
        raise ValueError(f"eps {eps} makes no step from {x}")
    try:
        v.data = high
        above: float = _result(f, values).data
        v.data = low
        below: float = _result(f, values).data
    finally:
        v.data = x
    return (above - below) / (high - low)
