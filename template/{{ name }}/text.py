"""Files of words, and the characters that a token stands for."""

from __future__ import annotations

from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import PathLike

VOCABULARY = "\nabcdefghijklmnopqrstuvwxyz"  # a token is a place in it; 0 ends a word

WORDS = Path(__file__).parent / "words.txt"


def read_text(path: str | PathLike[str] = WORDS) -> str:
    """Return the text of a file of words, one a line.

    Each byte is one character of the text. Any encoding would do: `encode` takes nothing but ASCII.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is empty.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as problem:  # of which not all name the file
        raise OSError(problem.errno, problem.strerror, str(path)) from None
    if not data:
        raise ValueError(f"{path}: the file is empty")
    return data.decode("latin-1")
