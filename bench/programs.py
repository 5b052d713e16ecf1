"""The C programs of this folder, compiled when they are asked for, as the library is."""

import atexit
import functools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

BENCH = Path(__file__).resolve().parent
CSRC = BENCH.parent / "csrc"
COMPILER = os.environ.get("CC", "cc").split()


@functools.cache
def _folder():
    folder = tempfile.mkdtemp(prefix="micrograd-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _library():
    """The library's sources, from the one place that lists them."""
    makefile = (CSRC / "Makefile").read_text(encoding="utf-8")
    return [CSRC / name for name in re.search(r"^LIBRARY = (.*)$", makefile, re.M)[1].split()]


@functools.cache
def program(name):
    """Compile bench/<name>.c with the library, and return where the program is."""
    out = _folder() / name
    flags = (CSRC / "cflags").read_text(encoding="utf-8").split()
    command = [*COMPILER, *flags, f"-I{CSRC}", "-o", out, BENCH / f"{name}.c", *_library(), "-lm"]
    subprocess.run(command, check=True)
    return out
