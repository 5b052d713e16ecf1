"""Builds the compiled module: the C library, and the C files beside this one.

setup.py names the builder at the end of this file, and setuptools runs it. The declarations are the
headers themselves: what Python can call is what they declare. This file is the same for every
project that has this shape: a package, and csrc/ with a header of the package's name.
"""

import platform
import re
import sys
import sysconfig
from hashlib import sha256
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).absolute().parent  # not resolved: it may be a link
CSRC = HERE.parent
ROOT = CSRC.parent


def read(path, pattern):
    """Return what a line of a file says: it is written down there and nowhere else."""
    return re.search(pattern, (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE).group(1)


NAME = read("pyproject.toml", r'^packages = \["(\w+)"')
VERSION = read(f"{NAME}/version.py", r'^__version__ = "(.+)"$')
HEADER = "binding.h" if (HERE / "binding.h").exists() else f"{NAME}.h"


def files(pattern):
    """The files of csrc/ and csrc/python/ with such a name, from the project's root."""
    paths = sorted([*CSRC.glob(pattern), *HERE.glob(pattern)])
    return [path.relative_to(ROOT).as_posix() for path in paths if path != CSRC / "main.c"]


SOURCES, HEADERS = files("*.c"), [*files("*.h"), "csrc/cflags", "csrc/python/build.py"]


def made_of():
    """A line of C text for each source: its path, and a digest of what is in it."""
    for path in [*SOURCES, *HEADERS]:
        yield f'"{path} {sha256((ROOT / path).read_bytes()).hexdigest()[:16]}\\n"'


# cffi releases the GIL around each call. Here it stays held: it is the lock of what C works on.
SOURCE = f"""
#undef Py_BEGIN_ALLOW_THREADS
#undef Py_END_ALLOW_THREADS
#define Py_BEGIN_ALLOW_THREADS {{
#define Py_END_ALLOW_THREADS }}
#include "{HEADER}"
static const char *built_version(void) {{ return "{VERSION}"; }}
static const char *built_from(void) {{ return {" ".join(made_of())}; }}
"""


def declarations(header, seen):
    """What a header declares, and before it the headers that it includes, each once."""
    path = HERE / header if (HERE / header).exists() else CSRC / header
    if path in seen:
        return ""
    seen.add(path)
    text = path.read_text(encoding="utf-8")
    included = re.findall(r'^#include "(.+)"$', text, re.MULTILINE)
    own = [line for line in text.splitlines() if not line.startswith("#")]
    return "\n".join([*(declarations(name, seen) for name in included), *own])


def is_for_msvc():
    """Tell whether the compiler will be Microsoft's, with flags and libraries of its own."""
    return sys.platform == "win32" and "mingw" not in sysconfig.get_platform()


def flags():
    """The flags that keep all compilers to the same bits."""
    if is_for_msvc():
        # what is in cflags, as this compiler spells it: nothing fused, and no pow but the library's
        return ["/std:c11", "/O2", "/fp:precise", "/Oi-"]
    flags = [*(CSRC / "cflags").read_text().split(), "-fvisibility=hidden"]
    if sys.maxsize < 2**32 and platform.machine() in ("i386", "i586", "i686", "x86_64"):
        flags += ["-msse2", "-mfpmath=sse"]  # else it would compute in 80 bits
    return flags


ffibuilder = FFI()
ffibuilder.cdef(
    declarations(HEADER, set()) + "\nconst char *built_version(void), *built_from(void);"
)
ffibuilder.set_source(
    f"_{NAME}",  # beside the package, not in it: found also where the sources shadow the package
    SOURCE,
    sources=SOURCES,
    depends=[*HEADERS, f"{NAME}/version.py"],
    include_dirs=["csrc", "csrc/python"],
    extra_compile_args=flags(),
    libraries=[] if is_for_msvc() else ["m"],
)
