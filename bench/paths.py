"""Every way to take a step that is compared: a command for each. The steps are the course's
training step, one of a small GPT, and loops over numbers.

A command is given STEPS and SECONDS. It prints the losses of so many steps, and then how
long a step takes, from steps repeated for so many seconds.
"""

import importlib.util
import shutil
import sys
from typing import NamedTuple

from . import loops
from .programs import program

# the course's training step
OPS = "one op at a time from Python"
FRESH = "mean_cross_entropy in every step"
REPLAY = "one recording, forward() in every step"
ARRAYS = "all points at once, in arrays"
LIMIT = "no engine"
GROUPS = [OPS, FRESH, REPLAY, ARRAYS, LIMIT]

# other steps, each a group by itself: its first path has the losses that the others have to have
GPT = "a small GPT, one op at a time"
WORD = "a small GPT, a step a word"
CALL = "a call of the small GPT's loss"
CHAIN = "x = x * b + a"
READ = "x.data"
WRITE = "x.data = number"
ADD = "x.grad += number"
USER_NODES = "a node with a _backward of the user's"
ADAMW = "AdamW, a parameter"
LOOPS = [CHAIN, READ, WRITE, ADD, USER_NODES, ADAMW]


class Path(NamedTuple):
    """One way to take a step.

    Attributes:
        name: what it is called in targets.py.
        title: and in tables and plots.
        group: which of GROUPS it belongs to, or of LOOPS, or GPT, WORD or CALL.
        kind: what runs it: "python", "pypy" or "c".
        words: what is run: arguments of py_steps, or a C program and its own.
        exact: its losses have to be right bit for bit, for it does the same arithmetic.
        package: the rival that must be installed; "" for our own.
        every: it gets a turn in every so-many-th round only, for it takes long to start.
        warm: how many steps it takes in each turn before it is timed: a compiler at run time
            has to get to work, and so has a garbage collector.
        slices: how many slices of time it gets in a turn: a step is long.
        operations: by how many a step's time is divided in tables.
    """

    name: str
    title: str
    group: str
    kind: str
    words: tuple
    exact: bool = True
    package: str = ""
    every: int = 1
    warm: int = 1
    slices: int = 1
    operations: int = 1

    @property
    def ours(self):
        """Whether it has to work wherever the package does."""
        return not self.package and self.kind != "pypy"

    def missing(self):
        """Say why this path cannot be measured here; "" if it can."""
        if self.kind == "pypy" and not shutil.which("pypy3"):
            return "there is no pypy3 on the path"
        if self.package and importlib.util.find_spec(self.package) is None:
            return f"{self.package} is not installed"
        return ""

    def command(self):
        """Return the command, and what its environment has to have besides."""
        if self.kind == "c":
            name, *words = self.words
            return [program(name), *words], {}
        python = "pypy3" if self.kind == "pypy" else sys.executable
        # one thread for all of them; and what PyPy runs is the engine in Python
        variables = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        if self.kind == "pypy":
            variables["MICROGRAD_BACKEND"] = "python"
        return [python, "-m", "bench.py_steps", *self.words], variables


def _python(name, title, group, *words, **more):
    return Path(name, title, group, "python", words, **more)


def _rival(name, title, group, word, package, **more):
    words = (f"rivals.{word}",)
    return Path(name, title, group, "python", words, exact=False, package=package, **more)


C, PURE, CLOSURES = "micrograd.compiled", "micrograd.pure", "bench.closures"
FLOATS, SLOTTED = "bench.floats", "bench.slotted"


def _loop(name, group, kind, other, title, engine):
    """A loop over the Values of another engine, or what stands in their place, and over ours."""
    word, operations = f"loops.{kind.__name__}", kind.operations
    return [
        _python(other, title, group, word, engine, operations=operations),
        _python(name, "micrograd", group, word, C, operations=operations),
    ]


# in the order of their turns: those that are compared with each other are neighbours
# fmt: off
PATHS = [
    _python(
        "closures", "the course's engine, closures", OPS, "course.OneOpAtATime", CLOSURES,
        warm=3, slices=10,
    ),
    _python("ops", "micrograd", OPS, "course.OneOpAtATime", C),
    _rival("xad", "XAD-py", OPS, "XAD", "xad"),
    _python("fresh", "micrograd, from Python", FRESH, "course.FreshGraph", C),
    _python("replay", "micrograd, from Python", REPLAY, "course.OneRecording", C),
    Path("by hand", "C, derived by hand", LIMIT, "c", ("by_hand",), exact=False),
    Path("c fresh", "micrograd, a C program", FRESH, "c", ("c_steps", "fresh")),
    Path("c replay", "micrograd, a C program", REPLAY, "c", ("c_steps", "replay")),
    _rival("casadi", "casadi, gradient made once", ARRAYS, "Casadi", "casadi"),
    _rival("autograd", "autograd", ARRAYS, "Autograd", "autograd"),
    _rival("jax", "JAX, compiled", ARRAYS, "JAX", "jax", every=3),
    _rival("torch", "PyTorch, one thread", ARRAYS, "TorchTensors", "torch", every=3),
    _rival("torch scalars", "PyTorch, a tensor a number", OPS, "TorchScalars", "torch", every=3),
    _python("pure ops", "micrograd.pure", OPS, "course.OneOpAtATime", PURE, every=3),
    _python("pure fresh", "micrograd.pure", FRESH, "course.FreshGraph", PURE, every=3),
    _python("pure replay", "micrograd.pure", REPLAY, "course.OneRecording", PURE, every=3),
    Path(
        "pypy ops", "micrograd.pure on PyPy", OPS, "pypy", ("course.OneOpAtATime", PURE),
        every=3, warm=100,
    ),
    _python("gpt slotted", "a slotted Value", GPT, "gpt.GPT", SLOTTED, slices=4),
    _python("gpt", "micrograd", GPT, "gpt.GPT", C),
    _python("gpt pure", "micrograd.pure", GPT, "gpt.GPT", PURE, every=3),
    _python(
        "gpt pure fresh", "micrograd.pure, recorded in every step", WORD, "gpt.FreshGPT", PURE,
        every=3,
    ),
    _python(
        "gpt pure recorded", "micrograd.pure, one recording", WORD, "gpt.RecordedGPT", PURE,
        every=3,
    ),
    _python("gpt fresh", "micrograd, recorded in every step", WORD, "gpt.FreshGPT", C),
    _python("gpt recorded", "micrograd, one recording", WORD, "gpt.RecordedGPT", C),
    Path("gpt by hand", "C, derived by hand", WORD, "c", ("gpt_by_hand",), exact=False),
    _python(
        "gpt numpy", "NumPy, derived by hand", WORD, "gpt_numpy.GPT", exact=False, package="numpy",
    ),
    _python("fresh call", "the function itself", CALL, "gpt.FreshCall", C),
    _python("recorded call", "once it is recorded", CALL, "gpt.RecordedCall", C),
    _python("first calls", "the first two calls", CALL, "gpt.FirstCalls", C),
    *_loop("chain", CHAIN, loops.Chain, "chain of floats", "floats", FLOATS),
    *_loop("read", READ, loops.Read, "slotted read", "a slotted Python object", SLOTTED),
    *_loop("write", WRITE, loops.Write, "slotted write", "a slotted Python object", SLOTTED),
    *_loop("add", ADD, loops.Add, "slotted add", "a slotted Python object", SLOTTED),
    *_loop("user nodes", USER_NODES, loops.UserNodes, "pure user nodes", "micrograd.pure", PURE),
    _python(
        "pure adamw", "micrograd.pure", ADAMW, "loops.AdamW", PURE, every=3,
        operations=loops.AdamW.operations,
    ),
    Path(
        "adamw", "micrograd, a C program", ADAMW, "c", ("adamw",),
        operations=loops.AdamW.operations,
    ),
]
# fmt: on
BY_NAME = {path.name: path for path in PATHS}


def baseline(group):
    """Return what the paths of GPT, WORD, CALL, or of one of LOOPS, are compared with."""
    return next(path for path in PATHS if path.group == group)
