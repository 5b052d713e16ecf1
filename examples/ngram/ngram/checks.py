"""Checks of arguments, which are the same for both engines, and the errors that both raise."""

from __future__ import annotations

import operator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsFloat, SupportsIndex

    from typing_extensions import Buffer

SIZE = 27  # tokens: 0 for the newline, 1 .. 26 for a to z
LONGEST = 5  # tokens in a window
MOST_WINDOWS = 2**32 - 1  # that can be counted in 32 bits

# -----------------------------------------------------------------------------
# numbers


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


def check_n(n: SupportsIndex) -> int:
    """Return the length of a window as an int, or raise an error: the counts have to fit."""
    n = count(n, "n", most=2**63 - 1)
    if not 1 <= n <= LONGEST:
        raise ValueError(
            f"n must be from 1 to {LONGEST}, not {n}: there are 27**n counts of 4 bytes, "
            "57 MB for n = 5 and 1.5 GB for n = 6"
        )
    return n


def check_smoothing(smoothing: SupportsFloat) -> float:
    """Return the smoothing as a float, or raise a ValueError where a probability could be 0."""
    smoothing = number(smoothing)
    if not 1e-100 <= smoothing <= 1e100:  # nan is refused, too
        raise ValueError(f"smoothing must be from 1e-100 to 1e+100, not {smoothing}")
    return smoothing


# -----------------------------------------------------------------------------
# arrays: whatever has a buffer of the right numbers, which is used where it is


def check_tokens(tokens: Buffer, what: str = "tokens") -> memoryview:
    """Return a view of an array of 32-bit integers, or raise a TypeError."""
    view = _view(tokens, what, "32-bit integers, such as array('i', ...) or NumPy's int32")
    if view.format not in ("i", "l") or view.itemsize != 4 or view.ndim != 1:  # l: on Windows
        raise TypeError(
            f"{what} must be an array of 32-bit integers in one row, not of format "
            f"{view.format!r} in {view.ndim} dimensions"
        )
    return view


def check_context(context: Buffer, n: int) -> memoryview:
    """Return a view of an array of n tokens, or raise an error."""
    view = check_tokens(context, "context")
    if len(view) != n:
        raise ValueError(f"context must have {n} tokens, not {len(view)}")
    return view


def check_out(out: Buffer, n: int) -> memoryview[float]:
    """Return a view, in one row, of a writable array of n floats, or raise an error."""
    view = _view(out, "out", "floats, such as array('d', ...) or NumPy's float64")
    if view.format != "d":
        raise TypeError(f"out must be an array of 64-bit floats, not of format {view.format!r}")
    if view.readonly:
        raise ValueError("out cannot be written to")
    if view.nbytes != 8 * n:
        raise ValueError(f"out must have {n} items, not {view.nbytes // 8}")
    return view.cast("B").cast("d")


def _view(x: Buffer, what: str, kind: str) -> memoryview:
    try:
        view = memoryview(x)
    except TypeError:
        raise TypeError(f"{what} must be an array of {kind}, not {type(x).__name__}") from None
    if not view.c_contiguous:
        raise ValueError(f"{what} must be contiguous, as a copy of it is")
    return view


# -----------------------------------------------------------------------------
# what else can be wrong; the compiled engine raises it for the code that a C function returns


def check_text(text: str) -> str:
    """Return the text, or raise a TypeError."""
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, not {type(text).__name__}")
    return text


def wrong_character(text: str, at: int) -> ValueError:
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    return ValueError(f"line {line}, column {column}: not a letter from a to z")


def wrong_token(at: int, token: int, what: str = "tokens") -> ValueError:
    return ValueError(f"{what}[{at}] must be from 0 to {SIZE - 1}, not {token}")


def too_few_tokens(n: int, least: int) -> ValueError:
    return ValueError(f"at least {least} tokens are needed, and there are {n}")


def too_many_windows() -> ValueError:
    return ValueError(f"no more than {MOST_WINDOWS} windows can be counted")
