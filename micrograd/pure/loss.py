"""The losses, of one point and of a data set."""

from __future__ import annotations

from ..checks import check_split, check_target
from ..grad_mode import no_grad
from ..recorder import Integer
from .functions import choose, exponentials, softmax, sum
from .value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import SupportsIndex

    from ..types import Model, Number, Split


def cross_entropy(logits: Iterable[Value | Number], target: SupportsIndex) -> Value:
    """The negative log likelihood of the target class, as PyTorch's F.cross_entropy.

    Args:
        logits: a list of Values, one a class: the unnormalised log probabilities.
        target: the index of the right class. In a recorded function it may be an int argument.

    Returns:
        A Value, 0 or more: how surprised the model is.

    Raises:
        ValueError: there are no logits.
        IndexError: there is no such class; the message has both numbers.
        TypeError: the target is no integer.
    """
    values = [x if isinstance(x, Value) else Value(x) for x in logits]
    if not values:
        raise ValueError("cross_entropy needs at least 1 logit, and was given 0")
    n = check_target(target, len(values))
    if not isinstance(target, Integer):
        return -softmax(values)[n].log()
    ex = exponentials(values)
    denom = sum(ex)
    [chosen] = choose([[e] for e in ex], target, "target")
    return -(chosen / denom).log()


def mean_cross_entropy(model: Model[Value], split: Split[Value]) -> Value:
    """The model's mean cross-entropy over a data set.

    Args:
        model: called with a list of Values, returns the list of logits.
        split: a list of (x, label), as `gen_data` makes them: x a list of numbers or
            Values, label the index of the right class.

    Returns:
        A Value. Its graph reaches down to the model's parameters.

    Raises:
        ValueError: the split is empty, or an x has not the model's size.
        IndexError: a label is out of range.
    """
    split = check_split(split)
    total_loss = Value(0)
    for x, y in split:
        logits = model([xi if isinstance(xi, Value) else Value(xi) for xi in x])
        logits = [logits] if isinstance(logits, Value) else logits
        total_loss = total_loss + cross_entropy(logits, y)
    return total_loss * (1.0 / len(split))


def eval_split(model: Model[Value], split: Split[Value]) -> float:
    """The number that `mean_cross_entropy` computes (a float), without a graph."""
    with no_grad():
        return mean_cross_entropy(model, split).data
