"""`from micrograd.value import live_nodes`: an import path that micrograd's users have."""

from .compiled.value import Value, live_nodes

__all__ = ["Value", "live_nodes"]
