"""What this model refuses: checks of its arguments, and the errors that both engines raise."""

from __future__ import annotations

from .arguments import number as number  # rng.py takes it from here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, SupportsFloat


def check_smoothing(smoothing: SupportsFloat) -> float:
    """Return the smoothing as a float, or raise a ValueError where a probability could be 0."""
    smoothing = number(smoothing)
    if not 1e-100 <= smoothing <= 1e100:  # nan is refused, too
        raise ValueError(f"smoothing must be from 1e-100 to 1e+100, not {smoothing}")
    return smoothing


# -----------------------------------------------------------------------------
# errors; the compiled engine raises them for the code that a C function returns


def check_text(text: str) -> str:
    """Return the text without the newline of its last word, or raise a TypeError."""
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, not {type(text).__name__}")
    text = str.__str__(text)  # of a subclass too, which may have a len() of its own
    return text[:-1] if text.endswith("\n") else text


def wrong_character(text: str, at: int) -> ValueError:
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    return ValueError(f"line {line}, column {column}: not a letter from a to z")


def wrong_token(at: int, token: int, size: int) -> ValueError:
    return ValueError(f"tokens[{at}] must be from 0 to {size - 1}, not {token}")


def too_few_tokens(n: int) -> ValueError:
    return ValueError(f"at least 2 tokens are needed, and there are {n}")


def refuse_copy(self: object, protocol: object = None) -> NoReturn:
    """What a model has as __reduce_ex__: a copy in Python would share what C has."""
    name = type(self).__name__
    raise TypeError(f"a {name} cannot be copied or pickled: train another one with the same tokens")
