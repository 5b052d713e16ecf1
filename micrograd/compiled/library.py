"""The compiled module, if it was compiled from this version of the package: its `ffi` and `lib`."""

import importlib

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
