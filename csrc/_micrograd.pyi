"""What type checkers know of the compiled module, which `build_ffi.py` makes: next to nothing."""

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

class FFI:
    def def_extern(self, *, onerror: Callable[..., object]) -> Callable[[Function], Function]: ...
    def __getattr__(self, name: str) -> Any: ...

ffi: FFI
lib: Any
