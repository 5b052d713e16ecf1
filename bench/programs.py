"""The C programs of this folder, compiled when they are asked for.

The library has its own flags, with which it computes what Python does, bit for bit. What is
derived by hand has to compute no particular bits, and has the flags of any C program.
"""

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

BENCH = Path(__file__).resolve().parent
CSRC = BENCH.parent / "csrc"
COMPILER = os.environ.get("CC", "cc").split()
BY_HAND = ["by_hand", "gpt_by_hand"]
PLAIN = ["-std=c11", "-O3"]


@functools.cache
def _folder():
    folder = tempfile.mkdtemp(prefix="micrograd-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _flags():
    return (CSRC / "cflags").read_text(encoding="utf-8").split()


@functools.cache
def _library():
    """Compile the library's sources; return the objects."""
    sources = sorted(path for path in CSRC.glob("*.c") if path.name != "main.c")
    subprocess.run([*COMPILER, *_flags(), "-c", *sources], check=True, cwd=_folder())
    return [_folder() / f"{source.stem}.o" for source in sources]


@functools.cache
def program(name):
    """Compile bench/<name>.c with the library, and return where the program is."""
    out = _folder() / name
    flags = PLAIN if name in BY_HAND else _flags()
    command = [*COMPILER, *flags, f"-I{CSRC}", "-o", out, BENCH / f"{name}.c", *_library(), "-lm"]
    subprocess.run(command, check=True)
    return out
