"""micrograd: scalar reverse-mode automatic differentiation, and small networks over it.

    from micrograd import RNG, gen_data, MLP, AdamW, mean_cross_entropy

    random = RNG(42)
    train, val, test = gen_data(random, n=100)
    model = MLP(2, [16, 3], rng=random)
    optimizer = AdamW(model.parameters(), lr=0.1, weight_decay=1e-4)
    for step in range(100):
        loss = mean_cross_entropy(model, train)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

Two engines offer the same names and compute the same numbers, bit for bit: the compiled
one, whose tape is in C (`micrograd.compiled`), and the plain-Python one, made to be read
(`micrograd.pure`). `micrograd.backend` says which of them the names here belong to, "c"
or "python". The environment variable MICROGRAD_BACKEND chooses; without it the compiled
engine is used where there is one. On PyPy there is none.
"""

from __future__ import annotations

import os
import platform
import warnings

from . import pure
from .gradcheck import GradcheckError, gradcheck
from .graph import draw_dot, trace, vis_color
from .pure import *
from .pure import random as random
from .pure import sum as sum
from .version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def _choose_engine() -> tuple[ModuleType, str]:
    """Return the module that the public names come from, and its word for `backend`."""
    wanted = os.environ.get("MICROGRAD_BACKEND", "")
    if wanted not in ("", "c", "python"):
        raise ImportError(f"MICROGRAD_BACKEND must be 'c' or 'python', not {wanted!r}")
    if not wanted and platform.python_implementation() == "PyPy":
        wanted = "python"  # that makes machine code of it, and does not free at once what C has
    if wanted == "python":
        return pure, "python"
    try:
        from . import compiled
    except ImportError as problem:
        if wanted == "c":
            raise ImportError(f"MICROGRAD_BACKEND is 'c', but {problem}") from problem
        warnings.warn(
            f"micrograd runs on its plain-Python engine, which is much slower: {problem}. "
            "To compile the other one run 'pip install .' where micrograd's sources are, with "
            "a C compiler, and with MICROGRAD_REQUIRE_C=1 to be told why it cannot be compiled; "
            "to silence this set MICROGRAD_BACKEND=python.",
            RuntimeWarning,
            stacklevel=3,
        )
        return pure, "python"
    return compiled, "c"


_engine, backend = _choose_engine()

# the names that come from pure.py above become the engine's; to type checkers they stay pure.py's
globals().update({name: getattr(_engine, name) for name in [*pure.__all__, "random", "sum"]})

__all__ = [
    "Value", "no_grad",
    "dot", "linear", "softmax", "take",
    "RNG", "gen_data", "gen_data_circles", "gen_data_yinyang",
    "Module", "Neuron", "Layer", "MLP", "load",
    "cross_entropy", "mean_cross_entropy", "eval_split",
    "Adam", "AdamW", "SGD",
    "recorded", "RecordingError",
    "gradcheck", "GradcheckError",
    "trace", "draw_dot", "vis_color",
    "backend", "__version__",
]
