"""The one place where what a C function says of its failure becomes a Python exception."""

from __future__ import annotations

from ..checks import too_few_tokens, wrong_character, wrong_token
from .library import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def call(function: Any, *arguments: Any, size: int = 0, text: str = "") -> None:
    """Call a C function whose last parameter is a Fault, and raise its fault, if there is one.

    Args:
        size: how many tokens there are.
        text: what is being encoded.
    """
    fault = ffi.new("Fault *")
    if function(*arguments, fault) == 0:
        return
    if fault.code == lib.FAULT_CHARACTER:
        raise wrong_character(text, fault.at)
    if fault.code == lib.FAULT_TOKEN:
        raise wrong_token(fault.at, fault.token, size)
    if fault.code == lib.FAULT_FEW:
        raise too_few_tokens(fault.at)
    raise SystemError(f"a C function failed with code {fault.code}, which faults.py does not have")
