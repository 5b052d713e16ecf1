"""Which of the two engines the names of `micrograd` belong to."""

from __future__ import annotations

import os
import platform
import warnings

from . import pure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def _choose() -> tuple[ModuleType, str]:
    """Return the module that the public names come from, and its word for `backend`."""
    wanted = os.environ.get("MICROGRAD_BACKEND", "")
    if wanted not in ("", "c", "python"):
        raise ImportError(f"MICROGRAD_BACKEND must be 'c' or 'python', not {wanted!r}")
    if not wanted and platform.python_implementation() == "PyPy":
        wanted = "python"  # that makes machine code of it, and does not free at once what C has
    if wanted == "python":
        return pure, "python"
    try:
        from . import compiled
    except ImportError as problem:
        if wanted == "c":
            raise ImportError(f"MICROGRAD_BACKEND is 'c', but {problem}") from problem
        warnings.warn(
            f"micrograd runs on its plain-Python engine, which is much slower: {problem}. "
            "To compile the other one run 'pip install .' where micrograd's sources are, with "
            "a C compiler, and with MICROGRAD_REQUIRE_C=1 to be told why it cannot be compiled; "
            "to silence this set MICROGRAD_BACKEND=python.",
            RuntimeWarning,
            stacklevel=4,
        )
        return pure, "python"
    return compiled, "c"


engine, backend = _choose()
