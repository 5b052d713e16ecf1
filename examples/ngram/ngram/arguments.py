"""Numbers and arrays as arguments: what every model checks, in the same words for each engine."""

from __future__ import annotations

import operator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, SupportsFloat, SupportsIndex

    from typing_extensions import Buffer


def number(x: SupportsFloat | SupportsIndex) -> float:
    """Return x as a float, or raise a TypeError: text and lists are not numbers."""
    if isinstance(x, float):  # NumPy's float64 is one, too
        return float.__float__(x)
    converts = hasattr(type(x), "__float__") or hasattr(type(x), "__index__")
    if not converts or hasattr(type(x), "__len__"):  # an array of one item has __float__
        raise TypeError(f"expected a number, not {type(x).__name__}: {x!r}")
    return float(x)


def count(n: SupportsIndex, what: str, least: int = 0, most: int = 2**31 - 1) -> int:
    """Return n as an int, or raise a TypeError or a ValueError that names `what`."""
    try:
        n = int(operator.index(n))  # which Python 3.9 leaves a bool if it is one
    except TypeError:
        raise TypeError(f"{what} must be an integer, not {n!r}") from None
    if not least <= n <= most:
        raise ValueError(f"{what} must be from {least} to {most}, not {n}")
    return n


# Arrays are whatever has a buffer of the right numbers. They are used where they are.


def integers(x: Buffer, what: str, n: int | None = None) -> memoryview[int]:
    """Return a view of an array, in one row, of n 32-bit integers, or raise an error.

    Args:
        x: the array.
        what: its name in the error.
        n: how many there must be; None: any number.
    """
    view = _view(x, what, "32-bit integers, such as array('i', ...) or NumPy's int32")
    if view.format not in ("i", "l") or view.itemsize != 4 or view.ndim != 1:  # l: on Windows
        raise TypeError(
            f"{what} must be an array of 32-bit integers in one row, not of format "
            f"{view.format!r} in {view.ndim} dimensions"
        )
    _check_size(view, what, n)
    return view


def floats(x: Buffer, what: str, n: int | None = None, writable: bool = False) -> memoryview[float]:
    """Return a view, in one row, of an array of n 64-bit floats, or raise an error.

    Args:
        x: the array; it may have several dimensions.
        what: its name in the error.
        n: how many there must be; None: any number.
        writable: whether it is written to.
    """
    view = _view(x, what, "floats, such as array('d', ...) or NumPy's float64")
    if view.format != "d":
        raise TypeError(f"{what} must be an array of 64-bit floats, not of format {view.format!r}")
    if writable and view.readonly:
        raise ValueError(f"{what} cannot be written to")
    row = view.cast("B").cast("d")
    _check_size(row, what, n)
    return row


def _view(x: Buffer, what: str, kind: str) -> memoryview:
    try:
        view = memoryview(x)
    except TypeError:
        raise TypeError(f"{what} must be an array of {kind}, not {type(x).__name__}") from None
    if not view.c_contiguous:
        raise ValueError(f"{what} must be contiguous, as a copy of it is")
    return view


def _check_size(view: memoryview[Any], what: str, n: int | None) -> None:
    if n is not None and len(view) != n:
        raise ValueError(f"{what} must have {n} items, not {len(view)}")
