"""Words as tokens, and tokens as words, over C."""

from __future__ import annotations

from array import array

from ..arguments import integers
from ..checks import check_text
from ..pure import text as pure
from .faults import call
from .library import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Buffer


def encode(text: str) -> array[int]:
    text = check_text(text)
    # one byte for each character: C finds the first wrong one where it is in the text
    data = text.encode("latin-1", "replace")
    tokens = array("i", bytes(4 * len(data)))
    call(lib.text_encode, data, len(data), ffi.from_buffer("int32_t[]", tokens), text=text)
    return tokens


def decode(tokens: Buffer) -> str:
    view = integers(tokens, "tokens")
    text = ffi.new("char[]", len(view) or 1)
    items = ffi.from_buffer("int32_t[]", view)
    call(lib.text_decode, items, len(items), text)
    return ffi.unpack(text, len(items)).decode("ascii")


encode.__doc__ = pure.encode.__doc__
decode.__doc__ = pure.decode.__doc__
