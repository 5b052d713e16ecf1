"""The losses, of one point and of a data set."""

from __future__ import annotations

from ..checks import (
    check_labels,
    check_sides,
    check_split,
    check_target,
    check_threshold,
    improbable,
    number,
    outputs_of,
)
from ..grad_mode import no_grad
from ..recorder import Integer
from .functions import choose, exponentials, softmax, sum, values_of
from .value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, SupportsIndex

    from ..types import AnyValue, Model, Number, Split


def cross_entropy(logits: Iterable[Value | Number], target: SupportsIndex) -> Value:
    """The negative log likelihood of the target class, as PyTorch's F.cross_entropy.

    Args:
        logits: a list of Values, one a class: the unnormalised log probabilities.
        target: the index of the right class. In a recorded function it may be an int argument.

    Returns:
        A Value, 0 or more: how surprised the model is.

    Raises:
        ValueError: there are no logits, or the target's is so far below the largest that its
            probability is 0.
        IndexError: there is no such class; the message has both numbers.
        TypeError: the target is no integer.
    """
    values = values_of(logits, "logits")
    if not values:
        raise ValueError("cross_entropy needs at least 1 logit, and was given 0")
    n = check_target(target, len(values))
    if not isinstance(target, Integer):
        probability = softmax(values)[n]
        try:
            return -probability.log()
        except ValueError as problem:
            raise improbable(problem, values, n) from None
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


def accuracy(model: Model[Value], split: Split[Value], threshold: Number = 0.0) -> float:
    """The share of a data set's points whose largest logit is the label's, without a graph.

    Of a model with one output it is the share of points of which output and label are both above
    the threshold, or both not: the two classes that `decision_surface` draws.

    Args:
        model: called with a list of Values, returns the list of logits.
        split: a list of (x, label), as for `mean_cross_entropy`; for one output the labels are
            any two numbers, such as 0 and 1, or -1 and 1.
        threshold: of a model with one output: 0.5 for a sigmoid.

    Returns:
        A float from 0 to 1. Of logits that are equal the first one counts; a point with a
        logit that is nan counts as wrong.

    Raises:
        ValueError: the split is empty, or an x has not the model's size.
        IndexError: a label is out of range.
        TypeError: the threshold, or a label, is no number. A threshold of nan is a ValueError.

    Warns:
        UserWarning: the one output is between 0 and 1, the threshold 0, and the labels are on both
            sides of it; or different labels are on one side, and so of one class.

    Example:
        >>> accuracy(lambda x: x, [([0.5, 2.0], 1), ([3.0, 1.0], 1)])
        0.5
    """
    threshold = check_threshold(threshold)
    with no_grad():
        split = check_split(split)
        return share_of_hits(model, split, threshold, Value)


def share_of_hits(
    model: Model[AnyValue], split: list[Any], threshold: float, kind: type[AnyValue]
) -> float:
    """What `accuracy` returns, of a model that is called with Values of this kind."""
    rows = (
        (outputs_of(model([xi if isinstance(xi, kind) else kind(xi) for xi in x])), y)
        for x, y in split
    )
    return counted(rows, threshold)


def counted(rows: Iterable[tuple[list[float], Any]], threshold: float) -> float:
    """Return the share of hits among pairs of a model's numbers and a label."""
    hits, n = 0, 0
    outputs, labels = [], []  # of a model with one output
    for numbers, label in rows:
        hits += is_hit(numbers, label, threshold)
        n += 1
        if len(numbers) == 1:
            outputs += numbers
            labels.append(number(label))
    # of probabilities only: scores of a model that has not learned may well be on one side
    is_sigmoid = threshold == 0 and all(0 < x < 1 for x in outputs)
    if check_labels(labels, threshold) and is_sigmoid:
        check_sides(outputs, threshold, "for all points")
    return hits / n


def is_hit(numbers: list[float], label: Any, threshold: float) -> bool:
    """Tell whether the label's number is the largest, and the first one of those that are.

    Of one number: whether it is on the same side of the threshold as the label.
    """
    if not numbers:
        raise ValueError("accuracy needs at least 1 logit, and was given 0")
    if len(numbers) == 1:
        [x] = numbers
        return (number(label) > threshold) == (x > threshold) and x == x  # nan is no hit
    n = check_target(label, len(numbers))
    chosen = numbers[n]
    return all(x < chosen for x in numbers[:n]) and all(x <= chosen for x in numbers[n:])
