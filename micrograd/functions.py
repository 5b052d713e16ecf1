"""Functions of many Values over the tape: each is one call into C, and so is a replay."""

from __future__ import annotations

from itertools import chain

from . import pure
from .binding import call, ffi, lib, raise_from
from .pure import (
    check_index,
    check_items,
    check_matrix,
    check_order,
    check_pairs,
    check_table,
    check_target,
    number,
)
from .recorded import Integer, check_range, make_recorded
from .value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn, SupportsIndex

    from .recorded import Choice
    from .types import Number

__all__ = ["dot", "linear", "sum", "softmax", "take", "cross_entropy", "recorded"]


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


def linear(x: Iterable[Value | Number], w: Iterable[Iterable[Value | Number]]) -> list[Value]:
    xs: list[Any] = list(x)
    rows: list[Any] = list(w)
    if not _are_plain(xs, rows):
        xs, rows = check_matrix(xs, rows, Value)
    ws = [item for row in rows for item in row]
    return call(lib.shared_linear, id(xs), id(ws), len(rows))


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
    n = check_target(target, len(values))
    if not isinstance(target, Integer):
        return call(lib.shared_cross_entropy, id(values), n)[0]
    *ex, denom = call(lib.shared_exponentials, id(values))
    [chosen] = _choose([[e] for e in ex], n, target, "target")
    return -(chosen / denom).log()


def take(items: Iterable[Any], i: SupportsIndex) -> Any:
    rows, are_rows = _table(check_order(items))
    taken = _take(rows, i, "index")
    return taken if are_rows else taken[0]


def _table(items: list[Any]) -> tuple[list[list[Any]], bool]:
    """Return what check_table does, for plain rows without a look at each item."""
    if items and type(items[0]) is list and _are_plain(items[0], items):
        return items, True
    return check_table(items, Value)


def _are_plain(first: list[Any], rows: list[Any]) -> bool:
    """Tell whether all are lists, as long as the first, of Values and numbers that C can read."""
    n = len(first)
    if not lib.shared_are_plain(id(first)):
        return False
    return all(
        type(row) is list and len(row) == n and lib.shared_are_plain(id(row)) for row in rows
    )


def _take(rows: list[list[Any]], i: SupportsIndex, kind: str) -> list[Value]:
    n = check_index(i, len(rows), kind)
    if not isinstance(i, Integer):
        return call(lib.shared_take, id(rows[n]))
    values = [row[:] if lib.shared_are_plain(id(row)) == 2 else _values(row) for row in rows]
    return _choose(values, n, i, kind)


def _choose(rows: list[list[Value]], n: int, i: Integer, kind: str) -> list[Value]:
    """Take the n-th row, and in the next calls of the recorded function the i-th."""
    takes = call(lib.shared_take, id(rows[n]))
    i.choose(rows, takes, kind)
    return takes


class Recording:
    __doc__ = pure.Recording.__doc__

    def __init__(self, outputs: list[Value], inputs: list[Value], choices: list[Choice]) -> None:
        recording = ffi.gc(ffi.new("Recording *"), lib.shared_recording_free)
        call(lib.shared_recording_start, recording, id(outputs), id(inputs))
        for position, rows, takes, _ in choices:
            items = [*chain.from_iterable(rows)]
            call(
                lib.shared_recording_choice, recording, position, id(takes), id(items), len(rows)
            )
        call(lib.shared_recording_end, recording)
        self._recording = recording
        self._ranges = [(position, len(rows), kind) for position, rows, _, kind in choices]

    def run(self, floats: list[float], integers: list[int]) -> None:
        out: list[Any] = []
        if lib.shared_recording_run(self._recording, id(floats), id(integers), id(out)) < 0:
            self._raise(out, integers)

    def _raise(self, out: list[Any], integers: list[int]) -> NoReturn:
        try:
            raise_from(out)
        except IndexError:
            for position, n, kind in self._ranges:
                check_range(integers[position], n, kind)
            raise

    run.__doc__ = pure.Recording.run.__doc__


recorded = make_recorded(Value, Recording)


dot.__doc__ = pure.dot.__doc__
linear.__doc__ = pure.linear.__doc__
take.__doc__ = pure.take.__doc__
sum.__doc__ = pure.sum.__doc__
softmax.__doc__ = pure.softmax.__doc__
cross_entropy.__doc__ = pure.cross_entropy.__doc__
