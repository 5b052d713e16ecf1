"""The compiled module, if it was compiled from this version of the package: its `ffi` and `lib`.

Where its sources are beside the package, as in an editable install, it warns if they have changed.
"""

import importlib
import os
import warnings

from ..version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_package = __name__.partition(".")[0]
_module: "Any" = importlib.import_module(f"_{_package}")

ffi = _module.ffi
lib = _module.lib

_built = "of an older version"  # before there was such a function
if hasattr(lib, "built_version"):
    _built = ffi.string(lib.built_version()).decode()
if _built != __version__:
    raise ImportError(
        f"{_module.__file__} was compiled from {_package} {_built}, "
        f"and this is {_package} {__version__}: run 'pip install .' again"
    )


def changed_sources(root: str, since: float = 0.0) -> list[str]:
    """List the sources that differ from those that were compiled.

    Args:
        root: the folder of the project, with `csrc` in it.
        since: a time, in seconds as `os.stat` has it: what was written before need not be read.

    Returns:
        Their paths from the root; none if there are no sources at all.
    """
    if not os.path.isfile(os.path.join(root, "csrc", "python", "build.py")):
        return []
    if not hasattr(lib, "built_from"):  # it was compiled before there was such a function
        return ["csrc"]
    changed = []
    for line in ffi.string(lib.built_from()).decode().splitlines():
        path, digest = line.split()
        if _has_changed(os.path.join(root, path), digest, since):
            changed.append(path)
    return changed


def _has_changed(path: str, digest: str, since: float) -> bool:
    try:
        if os.stat(path).st_mtime <= since:
            return False
        from hashlib import sha256  # most often there is no need for it

        with open(path, "rb") as file:
            return sha256(file.read()).hexdigest()[: len(digest)] != digest
    except OSError:  # it is gone
        return True


def _warn_of_changes() -> None:
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    changed = changed_sources(root, os.stat(_module.__file__).st_mtime)
    if changed:
        warnings.warn(
            f"{_module.__file__} was compiled before {', '.join(changed)} changed: run "
            f"'python setup.py build_ext --inplace' in {root}",
            RuntimeWarning,
            stacklevel=2,
        )


_warn_of_changes()
