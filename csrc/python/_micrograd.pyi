"""What type checkers know of the compiled module, which `build.py` makes: next to nothing."""

from typing import Any

class FFI:
    def __getattr__(self, name: str) -> Any: ...

ffi: FFI
lib: Any
