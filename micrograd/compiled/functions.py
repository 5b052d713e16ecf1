"""Functions of many Values over the tape: each is one call into C."""

from __future__ import annotations

from ..checks import (
    check_index,
    check_items,
    check_lists,
    check_matrix,
    check_order,
    check_pairs,
    check_table,
    number,
)
from ..pure import functions as pure
from ..recorder import Integer
from .binding import call, lib
from .value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, SupportsIndex

    from ..types import Number


def _items(xs: list[Any], what: str) -> list[Any]:
    """Return a list of Values and numbers that C can read, or raise what check_items raises."""
    return xs if lib.shared_are_plain(id(xs)) else check_items(xs, what, Value)


def values_of(xs: Iterable[Value | Number], what: str) -> list[Value]:
    try:
        return [x if isinstance(x, Value) else Value(x) for x in xs]
    except TypeError:
        check_lists(**{what: xs})
        raise


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
    try:
        xs: list[Any] = list(x)
        rows: list[Any] = list(w)
    except TypeError:
        check_lists(x=x, w=w)
        raise
    if not _are_plain(xs, rows):
        xs, rows = check_matrix(xs, rows, Value)
    ws = [item for row in rows for item in row]
    return call(lib.shared_linear, id(xs), id(ws), len(rows))


# from here on the name is not Python's own
def sum(xs: Iterable[Value | Number], start: Value | Number = 0) -> Value:
    try:
        items = list(xs)
    except TypeError:
        check_lists(xs=xs)
        raise
    items = _items(items, "xs")
    if not isinstance(start, Value):
        start = number(start)
    elif not items:
        return start
    return call(lib.shared_sum, id(items), id(start))[0]


def softmax(xs: Iterable[Value | Number]) -> list[Value]:
    values = values_of(xs, "xs")
    if not values:
        raise ValueError("softmax needs at least 1 item, and was given 0")
    return call(lib.shared_softmax, id(values))


def take(items: Iterable[Any], i: SupportsIndex) -> Any:
    rows: list[Any] = check_order(items)
    plain, are_rows = 0, True
    if rows and type(rows[0]) is list:
        plain = _are_plain(rows[0], rows)
    if not plain:
        rows, are_rows = check_table(rows, Value)
    n = check_index(i, len(rows), "index")
    if isinstance(i, Integer):
        copies = [row[:] if plain == 2 else values_of(row, "items") for row in rows]
        taken = choose(copies, n, i, "index")
    else:
        taken = call(lib.shared_take, id(rows[n]))
    return taken if are_rows else taken[0]


def _are_plain(first: list[Any], rows: list[Any]) -> int:
    """Tell whether all are lists, as long as the first, of Values and numbers that C can read.

    2: they are, and have no numbers, 0: they are not.
    """
    n = len(first)
    plain: int = lib.shared_are_plain(id(first))
    for row in rows:
        if type(row) is not list or len(row) != n:
            return 0
        of_row = lib.shared_are_plain(id(row))
        if of_row < plain:
            plain = of_row
    return plain


def choose(rows: list[list[Value]], n: int, i: Integer, kind: str) -> list[Value]:
    """Take the n-th row, and in the next calls of the recorded function the i-th."""
    takes = call(lib.shared_take, id(rows[n]))
    i.choose(rows, takes, kind)
    return takes


dot.__doc__ = pure.dot.__doc__
linear.__doc__ = pure.linear.__doc__
sum.__doc__ = pure.sum.__doc__
softmax.__doc__ = pure.softmax.__doc__
take.__doc__ = pure.take.__doc__
