"""The frame of a command line: files in, lines out, failures in one line. As csrc/program.h."""

from __future__ import annotations

import contextlib
import errno
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Return a file's bytes.

    Raises:
        OSError: it cannot be read. The error has the path as it was given.
        ValueError: it is empty.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as problem:  # of which not all name the file
        raise OSError(problem.errno, problem.strerror, os.fspath(path)) from None
    if not data:
        raise ValueError(f"{os.fspath(path)}: the file is empty")
    return data


def print_lines(name: str, lines: Iterable[str]) -> int:
    """Print the lines as they come, and return the program's exit status.

    0; 1 if the lines raise an OSError, a ValueError or a MemoryError, or cannot be written: then
    stderr says why, after the program's name; 130 if Ctrl-C ends it.
    """
    try:
        if sys.stdout is None:  # it was closed before Python began
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        for line in lines:
            print(line)
        sys.stdout.flush()  # so that its failures are reported here
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    except OSError as problem:
        file = f"{problem.filename}: "
        if problem.filename is None:  # then it is stdout: drop what is left of the output
            file = ""
            with contextlib.suppress(AttributeError, OSError):  # it may be no file
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(problem, BrokenPipeError):  # as of a program piped into `head`
            print(f"{name}: {file}{problem.strerror}", file=sys.stderr)
        return 1
    except (ValueError, MemoryError) as problem:
        print(f"{name}: {str(problem) or 'out of memory'}", file=sys.stderr)
        return 1
    return 0
