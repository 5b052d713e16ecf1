"""The one place where what a C function says of its failure becomes a Python exception."""

from __future__ import annotations

from ..checks import too_few_tokens, too_many_windows, wrong_character, wrong_token
from .library import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def call(function: Any, *arguments: Any, n: int = 0, text: str = "", what: str = "tokens") -> None:
    """Call a C function whose last parameter is a Fault, and raise its fault, if there is one.

    Args:
        n: the tokens in a window.
        text: what is being encoded.
        what: the name of the array of tokens.
    """
    fault = ffi.new("Fault *")
    if function(*arguments, fault) == 0:
        return
    if fault.code == lib.FAULT_CHARACTER:
        raise wrong_character(text, fault.at)
    if fault.code == lib.FAULT_TOKEN:
        raise wrong_token(fault.at, fault.token, what)
    if fault.code == lib.FAULT_FEW:
        raise too_few_tokens(fault.at, n)
    if fault.code == lib.FAULT_MANY:
        raise too_many_windows()
    raise SystemError(f"a C function failed with code {fault.code}, which faults.py does not have")
