"""Builds `_micrograd`, the compiled module, from the C files beside this one.

setup.py names the builder at the end of this file, and setuptools runs it. The
declarations are the header itself: what Python can call is what micrograd.h declares.
"""

import platform
import re
import sys
import sysconfig
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
LIBRARY = [
    "rng.c", "data.c", "vector.c", "tape.c", "compile.c", "compile_walk.c", "compile_tasks.c",
    "compile_programs.c", "compile_choices.c", "replay.c", "recorded.c",
    "nn.c", "evaluate.c", "optim.c", "repr.c",
]  # fmt: skip
SOURCES = [*LIBRARY, "handle.c", "passes.c", "binding.c"]
HEADERS = ["micrograd.h", "ops.h", "replay.h", "compile.h", "vector.h", "handle.h", "binding.h"]

# cffi releases the GIL around each call; it is what protects the tape, so it stays held
KEEP_THE_GIL = """
#undef Py_BEGIN_ALLOW_THREADS
#undef Py_END_ALLOW_THREADS
#define Py_BEGIN_ALLOW_THREADS {
#define Py_END_ALLOW_THREADS }
#include "binding.h"
"""


def declarations():
    """The headers without their preprocessor lines, as cffi wants them."""
    texts = [(HERE / name).read_text(encoding="utf-8") for name in ("micrograd.h", "binding.h")]
    lines = "\n".join(texts).splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))


def version():
    """The package's version, from the one place where it stands."""
    text = (HERE.parent / "micrograd" / "version.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE).group(1)


def is_for_msvc():
    """Tell whether the compiler will be Microsoft's, with flags and libraries of its own."""
    return sys.platform == "win32" and "mingw" not in sysconfig.get_platform()


def flags():
    """The flags that keep all compilers to the same bits."""
    if is_for_msvc():
        # what is in cflags, in this compiler's words: nothing fused, and no pow but the library's
        return ["/std:c11", "/O2", "/fp:precise", "/Oi-"]
    flags = [*(HERE / "cflags").read_text().split(), "-fvisibility=hidden"]
    if sys.maxsize < 2**32 and platform.machine() in ("i386", "i586", "i686", "x86_64"):
        flags += ["-msse2", "-mfpmath=sse"]  # else it would compute in 80 bits
    return flags


ffibuilder = FFI()
ffibuilder.cdef(declarations())
ffibuilder.set_source(
    "_micrograd",  # beside the package, not in it: found also where the sources shadow the package
    KEEP_THE_GIL,
    sources=[f"csrc/{name}" for name in SOURCES],
    depends=[*(f"csrc/{name}" for name in [*HEADERS, "cflags"]), "micrograd/version.py"],
    include_dirs=["csrc"],
    define_macros=[("MICROGRAD_VERSION", f'"{version()}"')],
    extra_compile_args=flags(),
    libraries=[] if is_for_msvc() else ["m"],
)
