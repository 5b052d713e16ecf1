"""Which of the two engines the names of the package belong to: the one in C, or the plain one.

The environment variable PACKAGE_BACKEND chooses, with the package's name in capitals.
"""

from __future__ import annotations

import os
import platform
import sys
import warnings

from . import pure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


_package = __name__.partition(".")[0]
_variable = f"{_package.upper()}_BACKEND"
_require = f"{_package.upper()}_REQUIRE_C"


def _can_have_c() -> bool:
    """Tell whether there is an engine in C for this Python, as setup.py does."""
    import sysconfig  # most often there is no need for it

    return (
        platform.python_implementation() == "CPython"
        and sys.platform != "emscripten"
        and not sysconfig.get_config_var("Py_GIL_DISABLED")
    )


def _choose() -> tuple[ModuleType, str]:
    """Return the module that the public names come from, and its word for `backend`."""
    wanted = os.environ.get(_variable, "")
    if wanted not in ("", "c", "python"):
        raise ImportError(f"{_variable} must be 'c' or 'python', not {wanted!r}")
    if not wanted and platform.python_implementation() == "PyPy":
        wanted = "python"  # that makes machine code of it, and does not free at once what C has
    if wanted == "python":
        return pure, "python"
    try:
        from . import compiled
    except ImportError as problem:
        if wanted == "c":
            raise ImportError(f"{_variable} is 'c', but {problem}") from problem
        if _can_have_c():
            warnings.warn(
                f"{_package} runs on its plain-Python engine, which is much slower: {problem}. "
                "To compile the other one install it from its sources, with a C compiler: 'pip "
                "install .' in their folder, or 'pip install --no-binary NAME NAME' by the name "
                f"that it is published under. {_require}=1 tells why it cannot be compiled; "
                f"{_variable}=python silences this.",
                RuntimeWarning,
                stacklevel=4,
            )
        return pure, "python"
    return compiled, "c"


engine, backend = _choose()
