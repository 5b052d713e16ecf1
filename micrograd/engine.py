"""`from micrograd.engine import Value`: an import path that micrograd's users have."""

from . import Value, no_grad

__all__ = ["Value", "no_grad"]


def __dir__() -> list[str]:
    return __all__
