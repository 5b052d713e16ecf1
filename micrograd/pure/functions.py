"""Functions of many Values: sums of products, softmax, and lookups by an integer."""

from __future__ import annotations

from ..checks import (
    check_index,
    check_items,
    check_lists,
    check_matrix,
    check_pairs,
    check_table,
    number,
)
from ..grad_mode import is_recording
from ..recorder import Integer
from .value import Value, computed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, SupportsIndex

    from ..types import Number


def dot(
    ws: Iterable[Value | Number], xs: Iterable[Value | Number], start: Value | Number = 0
) -> Value:
    """The sum of products `start + ws[0]*xs[0] + ws[1]*xs[1] + ...`, from left to right.

    Records what that expression would, node for node; with the compiled engine it is one
    call into C. All numbers are floats. They are added up as numbers until the first
    Value comes.

    Args:
        ws, xs: lists, or other iterables, of Values and numbers: as many of the one as
            of the other.
        start: a Value or a number.

    Returns:
        A Value. It is a leaf if there are numbers only, and `start` itself if that is a
        Value and the lists are empty.

    Raises:
        ValueError: the lists are not of one length; the message has both lengths.
        TypeError: an item is neither Value nor number; the message says which.

    Example:
        >>> w, x = [Value(2.0), Value(3.0)], [Value(-1.0), 0.5]
        >>> dot(w, x, start=1)
        Value(data=0.5, grad=0.0)
    """
    ws, xs = check_pairs(ws, xs)
    pairs = zip(check_items(ws, "ws", Value), check_items(xs, "xs", Value))
    total = start if isinstance(start, Value) else number(start)
    for w, x in pairs:
        total = total + w * x
    return total if isinstance(total, Value) else computed(total)


def sum(xs: Iterable[Value | Number], start: Value | Number = 0) -> Value:
    """The sum `start + xs[0] + xs[1] + ...`, from left to right.

    Records what Python's own sum would, node for node; with the compiled engine it is one
    call into C. All numbers are floats. They are added up as numbers until the first Value
    comes, one after the other: Python's own sum of floats corrects its rounding errors
    from Python 3.12 on, this one never does.

    `from micrograd import *` leaves Python's sum alone: this one is `micrograd.sum`.

    Args:
        xs: a list, or another iterable, of Values and numbers.
        start: a Value or a number.

    Returns:
        A Value. It is a leaf if there are numbers only, and `start` itself if that is a
        Value and the list is empty.

    Raises:
        TypeError: an item is neither Value nor number; the message says which.
    """
    items = check_items(xs, "xs", Value)
    total = start if isinstance(start, Value) else number(start)
    for x in items:
        total = total + x
    return total if isinstance(total, Value) else computed(total)


def linear(x: Iterable[Value | Number], w: Iterable[Iterable[Value | Number]]) -> list[Value]:
    """A matrix times a vector: the list of `dot(row, x)` for each row of w.

    Args:
        x: a list, or another iterable, of Values and numbers.
        w: a list of rows, each of as many Values and numbers.

    Returns:
        The list of as many Values as there are rows.

    Raises:
        ValueError: a row is not as long as x; the message has the row and both lengths.
        TypeError: an item is neither Value nor number; the message says which.

    Example:
        >>> linear([Value(2.0), 3.0], [[1.0, 0.0], [0.0, -1.0]])
        [Value(data=2.0, grad=0.0), Value(data=-3.0, grad=0.0)]
    """
    xs, rows = check_matrix(x, w, Value)
    return [dot(row, xs) for row in rows]


def take(items: Iterable[Any], i: SupportsIndex) -> Any:
    """The i-th Value of a list, or the i-th row of a list of rows, as nodes of their own.

    In a recorded function i may be an int argument, which changes from call to call: then
    this looks up another item each time, where `items[i]` could not.

    Args:
        items: a list, or another iterable, of Values and numbers; or of rows of those, all of
            one length.
        i: an integer from 0 up to below the number of items.

    Returns:
        A Value with the item's number, whose gradient goes to the item; or a list of them.

    Raises:
        IndexError: i is out of range; the message has both numbers.
        ValueError: the rows are not of one length; the message has both lengths.
        TypeError: i is no integer, something is neither Value nor number, or the items are in a
            dict or a set, where they have no positions.

    Example:
        >>> take([Value(2.0), Value(3.0)], 1)
        Value(data=3.0, grad=0.0)
    """
    rows, are_rows = check_table(items, Value)
    taken = choose(rows, i, "index")
    return taken if are_rows else taken[0]


def choose(rows: list[list[Value | float]], i: SupportsIndex, kind: str) -> list[Value]:
    """Return copies of the i-th row; in a recorded function, of another in each call."""
    n = check_index(i, len(rows), kind)
    if not isinstance(i, Integer):
        return [(v if isinstance(v, Value) else Value(v))._record("take") for v in rows[n]]
    values = [[v if isinstance(v, Value) else Value(v) for v in row] for row in rows]
    takes = [v._record("take") for v in values[n]]
    i.choose(values, takes, kind)  # for the next calls of the recorded function
    return takes


def softmax(xs: Iterable[Value | Number]) -> list[Value]:
    """The exponentials of xs, divided by their sum: scores as probabilities.

    Args:
        xs: a list, or another iterable, of Values and numbers.

    Returns:
        The list of as many Values, each from 0 to 1, which add up to 1. `forward()`
        finds the largest of xs again, as if the graph were built anew.

    Raises:
        ValueError: xs is empty.
        TypeError: an item is neither Value nor number.

    Example:
        >>> softmax([Value(0.0), Value(0.0)])
        [Value(data=0.5, grad=0.0), Value(data=0.5, grad=0.0)]
    """
    values = values_of(xs, "xs")
    if not values:
        raise ValueError("softmax needs at least 1 item, and was given 0")
    ex = exponentials(values)
    denom = sum(ex)
    return [e / denom for e in ex]


def values_of(xs: Iterable[Value | Number], what: str) -> list[Value]:
    """Return a list of Values and numbers as one of Values."""
    try:
        return [x if isinstance(x, Value) else Value(x) for x in xs]
    except TypeError:
        check_lists(**{what: xs})
        raise


def exponentials(values: list[Value]) -> list[Value]:
    """Return exp(x - the largest) for each x."""
    # subtract the largest for numerical stability: then exp cannot overflow. It is a
    # number, through which no gradient passes, but forward() has to compute it again
    max_val = _recomputed_leaf(max, values)
    return [(v + _recomputed_leaf(_minus, [max_val])).exp() for v in values]


def _recomputed_leaf(function: Callable[[Iterator[float]], float], values: list[Value]) -> Value:
    """Return a leaf with the number function(data of the values); forward() recomputes it."""
    leaf = Value(function(v._data for v in values))
    if is_recording():
        leaf._source = function, values
    return leaf


def _minus(numbers: Iterator[float]) -> float:
    return -next(numbers)
