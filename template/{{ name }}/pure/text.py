"""Words as tokens, and tokens as words."""

from __future__ import annotations

from array import array

from ..arguments import integers
from ..checks import check_text, wrong_character, wrong_token
from ..text import VOCABULARY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Buffer


def encode(text: str) -> array[int]:
    """Return the tokens of a text, words of a to z, one a line.

    There is a 0, the newline, before the first word, between two, and after the last one.

    Raises:
        ValueError: another character is in it. The message has its line and column.
    """
    text = check_text(text)
    tokens = array("i", [0])
    for at, character in enumerate(text):
        token = VOCABULARY.find(character)
        if token < 0:
            raise wrong_character(text, at)
        tokens.append(token)
    tokens.append(0)
    return tokens


def decode(tokens: Buffer) -> str:
    """Return the text of an array of tokens.

    Raises:
        ValueError: one of them is not from 0 to 26.
    """
    text = ""
    for at, token in enumerate(integers(tokens, "tokens")):
        if not 0 <= token < len(VOCABULARY):
            raise wrong_token(at, token, len(VOCABULARY))
        text += VOCABULARY[token]
    return text
