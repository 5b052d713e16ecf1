"""What this model refuses: checks of its arguments, and the errors that both engines raise."""

from __future__ import annotations

from .arguments import count
from .arguments import number as number  # rng.py takes it from here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, SupportsFloat, SupportsIndex

SIZE = 27  # tokens: 0 for the newline, 1 .. 26 for a to z
LONGEST = 5  # tokens in a window
MOST_WINDOWS = 2**32 - 1  # that can be counted in 32 bits


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
# errors; the compiled engine raises them for the code that a C function returns


def check_text(text: str) -> str:
    """Return the text, or raise a TypeError."""
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, not {type(text).__name__}")
    return str.__str__(text)  # of a subclass too, which may have a len() of its own


def wrong_character(text: str, at: int) -> ValueError:
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    return ValueError(f"line {line}, column {column}: not a letter from a to z")


def wrong_token(at: int, token: int, what: str = "tokens") -> ValueError:
    return ValueError(f"{what}[{at}] must be from 0 to {SIZE - 1}, not {token}")


def too_few_tokens(n: int, least: int) -> ValueError:
    return ValueError(f"at least {least} tokens are needed, and there are {n}")


def too_many_windows() -> ValueError:
    return ValueError(f"no more than {MOST_WINDOWS} windows can be counted")


def refuse_copy(self: object, protocol: object = None) -> NoReturn:
    """What a model has as __reduce_ex__: a copy in Python would share what C has."""
    name = type(self).__name__
    raise TypeError(f"a {name} cannot be copied or pickled: train another one with the same tokens")
