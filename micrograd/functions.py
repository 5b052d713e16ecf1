"""dot, sum, softmax and the cross-entropy over the tape: each is one call into C."""

from __future__ import annotations

from . import pure
from .binding import call, lib
from .pure import check_items, check_pairs, check_target, number
from .value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, SupportsIndex

    from .types import Number

__all__ = ["dot", "sum", "softmax", "cross_entropy"]


def _items(xs: list[Any], what: str) -> list[Any]:
    """Return a list of Values and numbers that C can read, or raise what check_items raises."""
    return xs if lib.shared_are_plain(id(xs)) else check_items(xs, what, Value)


def _values(xs: Iterable[Value | Number]) -> list[Value]:
    return [x if isinstance(x, Value) else Value(x) for x in xs]


def dot(
    ws: Iterable[Value | Number], xs: Iterable[Value | Number], start: Value | Number = 0
) -> Value:
    ws, xs = check_pairs(ws, xs)
    ws, xs = _items(ws, "ws"), _items(xs, "xs")
    if not isinstance(start, Value):
        start = number(start)
    elif not xs:
        return start
    return call(lib.shared_dot, id(ws), id(xs), id(start))[0]


# from here on the name is not Python's own
def sum(xs: Iterable[Value | Number], start: Value | Number = 0) -> Value:
    items = _items(list(xs), "xs")
    if not isinstance(start, Value):
        start = number(start)
    elif not items:
        return start
    return call(lib.shared_sum, id(items), id(start))[0]


def softmax(xs: Iterable[Value | Number]) -> list[Value]:
    values = _values(xs)
    if not values:
        raise ValueError("softmax needs at least 1 item, and was given 0")
    return call(lib.shared_softmax, id(values))


def cross_entropy(logits: Iterable[Value | Number], target: SupportsIndex) -> Value:
    values = _values(logits)
    if not values:
        raise ValueError("cross_entropy needs at least 1 logit, and was given 0")
    target = check_target(target, len(values))
    return call(lib.shared_cross_entropy, id(values), target)[0]


dot.__doc__ = pure.dot.__doc__
sum.__doc__ = pure.sum.__doc__
softmax.__doc__ = pure.softmax.__doc__
cross_entropy.__doc__ = pure.cross_entropy.__doc__
