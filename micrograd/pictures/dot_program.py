"""Graphviz, for `draw_dot`: its Python package, and its program `dot`, in limited time."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import subprocess
import sys
from tempfile import TemporaryFile

from ..checks import needed, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


SVG = "image/svg+xml"
NOTEBOOK_FORMATS = {SVG: "svg", "image/png": "png", "image/jpeg": "jpeg"}


def graphviz_package() -> Any:
    """Return the graphviz package, or raise an ImportError that says how to install it."""
    return needed(
        "graphviz",
        "drawing with graphviz needs its Python package: pip install graphviz. "
        "micrograd.picture draws SVG without it",
    )


def check_program() -> None:
    """Raise a RuntimeError that says how to install the program `dot` if it is missing."""
    if shutil.which("dot") is None:
        raise RuntimeError(
            "graphviz's program 'dot' is missing. Install it: 'apt install graphviz', "
            "'brew install graphviz', or see https://graphviz.org/download. "
            "micrograd.picture draws SVG without it."
        )


def check_timeout(timeout: float | None) -> float | None:
    """Return a number of seconds above 0, or None for no limit."""
    if timeout is None:
        return None
    seconds = number(timeout)
    if not seconds > 0:
        raise ValueError(f"timeout must be above 0 seconds, or None for no limit, not {timeout}")
    return None if math.isinf(seconds) else seconds


def run_dot(source: str, format: str, timeout: float | None, engine: str = "dot") -> bytes:
    """Return what the program `dot` makes of a source.

    Args:
        source: text in graphviz's language.
        format: of the result: "svg", "png" ...
        timeout: seconds, after which it is stopped; None for no limit.
        engine: which of graphviz's layouts it uses: "dot", "neato" ...

    Raises:
        RuntimeError: it is missing, or fails.
        TimeoutError: it was stopped.
    """
    check_program()
    # files and no pipes: another process that it has started might keep a pipe open
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as errors:
        given.write(source.encode("utf-8", "replace"))
        given.seek(0)
        process = subprocess.Popen(
            ["dot", f"-K{engine}", f"-T{format}"],
            stdin=given,
            stdout=out,
            stderr=errors,
            start_new_session=True,
        )
        try:
            failed = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(
                f"graphviz's program 'dot' was stopped: it took longer than {timeout:g} seconds. "
                "Draw a graph of fewer nodes, give a larger timeout, or use micrograd.picture, "
                "which is quick."
            ) from None
        finally:
            _stop(process)
        errors.seek(0)
        out.seek(0)
        if failed:
            said = errors.read().decode("utf-8", "replace").strip()
            raise RuntimeError(f"graphviz's program 'dot' failed with status {failed}: {said}.")
        return out.read()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that still runs, with all that it has started, and wait for its end."""
    if process.poll() is not None:
        return
    if sys.platform == "win32":
        process.kill()
    else:
        # it leads a session of its own; PermissionError is macOS's word for what has just ended
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def dot_in_notebook(
    dot: Any, timeout: float | None, include: Any = None, exclude: Any = None, **_: Any
) -> dict[str, str | bytes]:
    """What a notebook shows for a graphviz.Digraph, made in limited time.

    It is SVG, or what `graphviz.set_jupyter_format` has set, or what is asked for.
    """
    wanted = set(include or [getattr(dot, "_jupyter_mimetype", SVG)]) - set(exclude or [])
    shown: dict[str, str | bytes] = {}
    for kind, format in NOTEBOOK_FORMATS.items():
        if kind in wanted:
            drawn = run_dot(dot.source, format, timeout, dot.engine)
            shown[kind] = drawn.decode() if kind == SVG else drawn
    return shown
