"""Files of words, and the characters that a token stands for."""

from __future__ import annotations

from pathlib import Path

from .program import read_file

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
    return read_file(path).decode("latin-1")
