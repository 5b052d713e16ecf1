"""The way into the compiled module: the module itself, and its faults as exceptions."""

from __future__ import annotations

import importlib

from . import pure
from .version import __version__


def _is_main_interpreter() -> bool:
    """Tell whether this interpreter is the process's first, and not one inside it."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # from Python 3.13 on, and before
        try:
            interpreters = importlib.import_module(name)
        except ImportError:
            continue
        return interpreters.get_current() == interpreters.get_main()
    return True


if not _is_main_interpreter():  # where C, when it calls Python, always arrives
    raise ImportError("the compiled engine works in a process's main interpreter only")

import _micrograd  # noqa: E402  elsewhere to load it fails, and on 3.12 for the whole process

ffi = _micrograd.ffi
lib = _micrograd.lib

_built_from = ffi.string(lib.micrograd_version()).decode()
if _built_from != __version__:
    raise ImportError(
        f"{_micrograd.__file__} was compiled from micrograd {_built_from}, "
        f"and this is micrograd {__version__}: run 'pip install .' again"
    )

# The operations by their number in C: what each is called in drawings and in
# pure.RULES. The methods of Value enter themselves here.
OP_NAMES: dict[int, str] = {}


def stale() -> ReferenceError:
    """Return the exception for a Value whose `__del__` has run, and whose node is gone."""
    return ReferenceError(
        "this Value has been finalised: it was garbage together with the object that uses it"
    )


def error() -> Exception:
    """Return the exception for the last call that failed in this thread.

    The plain-Python engine knows what is wrong with which numbers: it is asked to do
    the same with them, and its exception is ours.
    """
    fault = ffi.new("Fault *")
    lib.shared_fault(fault)
    if fault.code == lib.FAULT_MEMORY:
        return MemoryError("no memory for another node on the tape")
    if fault.code == lib.FAULT_STALE:
        return stale()
    operands = [fault.a, fault.b][: fault.operands]
    try:
        if fault.code == lib.FAULT_DIVISION:
            pure.divide(*operands)
        elif fault.code == lib.FAULT_FORWARD:
            pure.RULES[OP_NAMES[fault.op]][0](*operands)
        elif fault.code == lib.FAULT_BACKWARD:
            pure.RULES[OP_NAMES[fault.op]][1](*operands, fault.out)
    except (ArithmeticError, ValueError) as exception:
        return exception.with_traceback(None)
    # C refuses what Python computes: their mathematics libraries do not agree
    return ArithmeticError(f"operation {fault.op} has no result at {operands}")


def is_user_fault() -> bool:
    """Tell whether the last call failed because the graph has the user's own functions."""
    fault = ffi.new("Fault *")
    lib.shared_fault(fault)
    return fault.code == lib.FAULT_USER
