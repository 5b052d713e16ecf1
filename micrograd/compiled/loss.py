"""The losses over the tape: each is one call into C."""

from __future__ import annotations

from ..checks import check_inputs, check_split, check_target, check_threshold, improbable, number
from ..grad_mode import current_recorder, no_grad
from ..pure import loss as pure
from ..pure.nn import is_called_as
from ..recorder import Integer
from .binding import call, lib, raise_from
from .functions import choose, values_of
from .nn import MLP
from .value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, SupportsIndex

    from ..types import Model, Number, Split


def cross_entropy(logits: Iterable[Value | Number], target: SupportsIndex) -> Value:
    values = values_of(logits, "logits")
    if not values:
        raise ValueError("cross_entropy needs at least 1 logit, and was given 0")
    n = check_target(target, len(values))
    if not isinstance(target, Integer):
        try:
            return call(lib.shared_cross_entropy, id(values), n)[0]
        except ValueError as problem:
            raise improbable(problem, values, n) from None
    *ex, denom = call(lib.shared_exponentials, id(values))
    [chosen] = choose([[e] for e in ex], n, target, "target")
    return -(chosen / denom).log()


def mean_cross_entropy(model: Model[Value], split: Split[Value]) -> Value:
    split = check_split(split)
    loss: Value | None = None
    if is_called_as(model, MLP):
        loss = _in_one_call(lib.shared_mean_cross_entropy, model, split)
    if loss is not None:
        return loss
    total_loss = Value(0)
    for x, y in split:
        logits = model([xi if isinstance(xi, Value) else Value(xi) for xi in x])
        total_loss += cross_entropy([logits] if isinstance(logits, Value) else logits, y)
    return total_loss * (1.0 / len(split))


def _in_one_call(function: Any, model: Any, split: list[Any], least: int = 1) -> Any:
    """Return what C says of a data set; None if it does not know such a network or label.

    Args:
        least: how many outputs the network must have.
    """
    found = model._network()
    if found is None or found[0].nout < least:
        return None
    network = found[0]  # `found` keeps the parameters while C works
    out: list[Any] = []
    points = split
    result = function(network.mlp, id(points), id(out))
    if result > 0:  # something that C does not read as it is
        points = [_plain_point(x, y, network.nin, network.nout) for x, y in split]
        if None in points:
            return None
        result = function(network.mlp, id(points), id(out))
    if result < 0:
        try:
            raise_from(out)
        except ValueError as problem:
            raise _with_logits(problem, model, points) from None
    return out[0]


def _with_logits(problem: ValueError, model: Any, points: list[Any]) -> ValueError:
    """Return the error of the point at which a loss has failed, which knows the logits."""
    if current_recorder() is not None:
        return problem
    try:
        with no_grad():
            for x, label in points:
                logits = model(x)
                cross_entropy([logits] if isinstance(logits, Value) else logits, label)
    except ValueError as found:
        return found.with_traceback(None)
    return problem


def _plain_point(x: Iterable[Value | Number], label: SupportsIndex, nin: int, nout: int) -> Any:
    """Return a point of a data set as C reads it: a list of Values and floats, and an int.

    None if the label changes from call to call, in a recorded function.
    """
    point = [xi if isinstance(xi, Value) else number(xi) for xi in x]
    check_inputs(point, nin)
    if isinstance(label, Integer):
        return None
    return point, check_target(label, nout)


def eval_split(model: Model[Value], split: Split[Value]) -> float:
    with no_grad():
        return mean_cross_entropy(model, split).data


def accuracy(model: Model[Value], split: Split[Value], threshold: Number = 0.0) -> float:
    threshold = check_threshold(threshold)
    with no_grad():
        split = check_split(split)
        share: float | None = None
        if is_called_as(model, MLP):
            share = _in_one_call(lib.shared_accuracy, model, split, least=2)
        return pure.share_of_hits(model, split, threshold, Value) if share is None else share


cross_entropy.__doc__ = pure.cross_entropy.__doc__
mean_cross_entropy.__doc__ = pure.mean_cross_entropy.__doc__
eval_split.__doc__ = pure.eval_split.__doc__
accuracy.__doc__ = pure.accuracy.__doc__
