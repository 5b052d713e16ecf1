"""dot, sum, softmax and the cross-entropy over the tape: each is one call into C."""

from __future__ import annotations

import array

from . import pure
from .binding import error, ffi, lib
from .pure import check_items, check_pairs, check_target, number
from .value import Value, _handle, _Slots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, SupportsIndex

    from .types import Number

__all__ = ["dot", "sum", "softmax", "cross_entropy"]

_INDICES = ffi.typeof("Index[]")
_index_of = vars(_Slots)["_index"].__get__  # refuses what is no Value


def _operands(xs: list[Any], what: str) -> tuple[Any, Any]:
    """Return a list of Values and numbers as C takes it: nodes, and numbers where there is none.

    Nearly all the time of a dot goes into this. So if all are Values, as they mostly are,
    no line of Python runs for each.
    """
    try:
        return ffi.from_buffer(_INDICES, array.array("I", list(map(_index_of, xs)))), ffi.NULL
    except (TypeError, AttributeError):  # there are numbers, or worse
        pass
    xs = check_items(xs, what, Value)
    nodes = [x._index if isinstance(x, Value) else 0 for x in xs]
    numbers = [0.0 if isinstance(x, Value) else x for x in xs]
    return nodes, numbers


def _start(start: Value | Number) -> tuple[int, float]:
    return (start._index, 0.0) if isinstance(start, Value) else (0, number(start))


def dot(
    ws: Iterable[Value | Number], xs: Iterable[Value | Number], start: Value | Number = 0
) -> Value:
    ws, xs = check_pairs(ws, xs)
    operands = *_operands(ws, "ws"), *_operands(xs, "xs")
    if not xs and isinstance(start, Value):
        return start
    return _handle(lib.shared_dot(*_start(start), *operands, len(xs)))


# from here on the name is not Python's own
def sum(xs: Iterable[Value | Number], start: Value | Number = 0) -> Value:
    xs = list(xs)
    operands = _operands(xs, "xs")
    if not xs and isinstance(start, Value):
        return start
    return _handle(lib.shared_sum(*_start(start), *operands, len(xs)))


def softmax(xs: Iterable[Value | Number]) -> list[Value]:
    values = [x if isinstance(x, Value) else Value(x) for x in xs]
    if not values:
        raise ValueError("softmax needs at least 1 item, and was given 0")
    out = ffi.new("Index[]", len(values))
    if lib.shared_softmax([v._index for v in values], len(values), out) < 0:
        raise error()
    return [_handle(index) for index in out]


def cross_entropy(logits: Iterable[Value | Number], target: SupportsIndex) -> Value:
    values = [x if isinstance(x, Value) else Value(x) for x in logits]
    if not values:
        raise ValueError("cross_entropy needs at least 1 logit, and was given 0")
    n = len(values)
    target = check_target(target, n)
    return _handle(lib.shared_cross_entropy([v._index for v in values], n, target))


dot.__doc__ = pure.dot.__doc__
sum.__doc__ = pure.sum.__doc__
softmax.__doc__ = pure.softmax.__doc__
cross_entropy.__doc__ = pure.cross_entropy.__doc__
