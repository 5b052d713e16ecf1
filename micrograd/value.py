"""`from micrograd.value import live_nodes`: an import path that micrograd's users have."""

from .compiled.value import Value, live_nodes
from .grad_mode import no_grad

__all__ = ["Value", "no_grad", "live_nodes"]
