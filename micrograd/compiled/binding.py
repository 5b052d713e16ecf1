"""The way into the compiled module: the module itself, and its faults as exceptions."""

from __future__ import annotations

import importlib

from ..pure.arithmetic import divide
from ..pure.optim import LOST
from ..pure.value import RULES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


def _is_main_interpreter() -> bool:
    """Tell whether this interpreter is the process's first, and not one inside it."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # from Python 3.13 on, and before
        try:
            interpreters = importlib.import_module(name)
        except ImportError:
            continue
        return interpreters.get_current() == interpreters.get_main()
    return True


if not _is_main_interpreter():  # the tape and the type Value are one for the process
    raise ImportError("the compiled engine works in a process's main interpreter only")

# elsewhere to load it fails, and on 3.12 for the whole process
from .library import ffi as ffi  # noqa: E402
from .library import lib as lib  # noqa: E402

tape = lib.shared_tape()  # all of the process's nodes


def error(code: int, op: int, operands: int, a: float, b: float, out: float) -> Exception:
    """Return the exception for a fault (csrc/micrograd.h: Fault).

    The plain-Python engine knows what is wrong with which numbers: it is asked to do
    the same with them, and its exception is ours.
    """
    if code == lib.FAULT_MEMORY:
        return MemoryError("no memory for another node on the tape")
    if code == lib.FAULT_INDEX:
        return IndexError(f"index {a:.0f} is out of range for {b:.0f} items")
    if code == lib.FAULT_MOMENTS:
        return AttributeError(LOST)
    numbers = [a, b][:operands]
    try:
        if code == lib.FAULT_DIVISION:
            divide(*numbers)
        rules = RULES[ffi.string(lib.op_name(op)).decode()]
        if code == lib.FAULT_FORWARD:
            rules[0](*numbers)
        else:
            rules[1](*numbers, out)
    except (ArithmeticError, ValueError) as exception:
        return exception.with_traceback(None)
    # C refuses what Python computes: their mathematics libraries do not agree
    return ArithmeticError(f"operation {op} has no result at {numbers}")


def call(function: Any, *arguments: Any) -> list[Any]:
    """Call one of C's functions that append to a list what they return or raise.

    The list owns what is in it from the start, so an interrupt loses no node.
    """
    out: list[Any] = []
    if function(*arguments, id(out)) < 0:
        raise_from(out)
    return out


def raise_from(out: list[Any]) -> NoReturn:
    """Raise the exception that such a function has appended."""
    problem = out.pop() if out else None  # after the results that there were before it
    if not isinstance(problem, BaseException):
        problem = MemoryError("no memory for an exception")
    try:
        raise problem
    finally:
        del problem  # its traceback has this frame: a cycle
