"""Builds `_micrograd`, the compiled module, from the C files beside this one.

setup.py names the builder at the end of this file, and setuptools runs it. The
declarations are the header itself: what Python can call is what micrograd.h declares.
"""

import re
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
SOURCES = ["rng.c", "data.c", "tape.c", "replay.c", "nn.c", "evaluate.c", "repr.c", "shared.c"]


def declarations():
    """The header without its preprocessor lines, as cffi wants it."""
    lines = (HERE / "micrograd.h").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))


def version():
    """The package's version, from the one place where it stands."""
    text = (HERE.parent / "micrograd" / "version.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE).group(1)


ffibuilder = FFI()
ffibuilder.cdef(declarations())
ffibuilder.cdef('extern "Python" void clean_up(void);')  # in value.py
ffibuilder.set_source(
    "_micrograd",  # beside the package, not in it: found also where the sources shadow the package
    '#include "calls.h"\n#include "micrograd.h"',
    sources=[f"csrc/{name}" for name in SOURCES],
    depends=["csrc/micrograd.h", "csrc/ops.h", "csrc/replay.h", "csrc/calls.h", "csrc/cflags"],
    include_dirs=["csrc"],
    define_macros=[("MICROGRAD_VERSION", f'"{version()}"')],
    extra_compile_args=(HERE / "cflags").read_text().split() + ["-fvisibility=hidden"],
    libraries=["m"],
)
