"""RecordingError: what a recorded function must not do, and what to write instead."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types

__all__ = ["RecordingError", "refused"]


class RecordingError(RuntimeError):
    """A recorded function does what its recording could not repeat with other numbers."""


_GO_ON = (
    "Go on computing with Values: softmax subtracts the largest of its numbers itself, relu and "
    "abs go by the sign, take looks up what an int argument says"
)
_AFTERWARDS = "Do it after the call"
_DECIDE = (
    "Use relu or abs, which go by the sign, softmax, which finds the largest itself, or take, "
    "which looks up what an int argument says; or make what decides a constant argument, such as "
    "a bool or a str, each with a recording of its own"
)
_PRINT = "Print what the function returns, after the call"
_WITHOUT = "To see the numbers in between call the function's __wrapped__, which records nothing"
_AS_FLOAT = "If it is meant as a number pass it as a float, 3.0 for 3"
_CONSTANT = (
    "For what is the same in all calls use a variable from outside the function or a default "
    "value; for what has a few cases pass a bool or a str: each has a recording of its own"
)

# by what is done: words for that, and for what to do instead
_REFUSED = {
    # with a Value
    "data": ("reads a Value's .data", f"{_GO_ON}. {_WITHOUT}"),
    "grad": ("reads a Value's .grad", _AFTERWARDS),
    "float": ("converts a Value to a float", f"{_GO_ON}. {_WITHOUT}"),
    "compare": ("compares a Value's number", _DECIDE),
    "bool": ("asks whether a Value is true", f"{_DECIDE}. `v is None` is all right"),
    "repr": ("makes text of a Value", f"{_PRINT}. {_WITHOUT}"),
    "local_grads": ("reads a Value's _local_grads", _AFTERWARDS),
    "set data": ("sets a Value's .data", "Set it before the call, or compute a new Value"),
    "set grad": ("sets a Value's .grad", _AFTERWARDS),
    "backward": ("calls backward()", _AFTERWARDS),
    "forward": ("calls forward()", "Each call of the function brings its results up to date"),
    "detach": ("detaches a Value", "Pass its number as an argument, a float"),
    "export": ("exports a Value", "Return the Value, and export it after the call"),
    "copy": ("copies a Value", "Use the Value itself, or copy it before the call"),
    "step": ("calls an optimiser's step()", _AFTERWARDS),
    "zero_grad": ("calls zero_grad()", _AFTERWARDS),
    "no_grad": ("opens a no_grad() block", "Call the recorded function itself under no_grad()"),
    # with a changing int
    "index": (
        "uses a changing int as an index or a count",
        "Use take(items, i) for items[i]; len() of a list argument may be used as it is. "
        f"{_CONSTANT}",
    ),
    "number": ("computes with a changing int", f"{_AS_FLOAT}. {_CONSTANT}"),
    "compare int": ("compares a changing int", f"Use take(items, i) to look it up. {_CONSTANT}"),
    "bool int": ("asks whether a changing int is true", _CONSTANT),
    "hash": ("uses a changing int in a dict or a set", "Use take(items, i) on a list of Values"),
    "text": ("makes text of a changing int", f"Print it before the call. {_CONSTANT}"),
    "copy int": ("pickles a changing int", _CONSTANT),
    "other": (
        "uses a changing int of another call",
        "Each is for the call that it was an argument of: do not keep it",
    ),
}


def refused(what: str) -> RecordingError:
    """Return the error that says that, and where, a recorded function does this."""
    done, instead = _REFUSED[what]
    return RecordingError(
        f"{_place()}: a recorded function {done} here, which a replay could not repeat. {instead}."
    )


def _place() -> str:
    """Return the file and the line where the user's code calls ours."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] != __package__ and module not in ("copy", "pickle"):
            return f"{frame.f_code.co_filename}, line {frame.f_lineno}"
        frame = frame.f_back
    return "somewhere"
