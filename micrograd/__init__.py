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

from types import ModuleType as _ModuleType

from . import elementary as _elementary
from . import pure
from .backends import backend
from .backends import engine as _engine
from .elementary import *
from .gradcheck import GradcheckError, gradcheck
from .graph import draw_dot, trace, vis_color
from .pictures.picture import picture
from .pure import *
from .pure import random as random
from .pure import sum as sum
from .version import __version__

# the plain engine's names become the chosen one's; to type checkers they stay as they are
globals().update({name: getattr(_engine, name) for name in dir(pure)})

# without what Python has under the same name, in itself or in `math`: scripts use both
__all__ = ["__version__", "backend"]
__all__ += ["gradcheck", "GradcheckError", "trace", "draw_dot", "picture", "vis_color"]
__all__ += pure.__all__

# modules that are imported when they are used: some take longer than all the rest
_ON_USE = ["engine", "export", "nn", "parallel", "plot"] + ["value"] * (backend == "c")


def __getattr__(name: str) -> _ModuleType:
    if name in _ON_USE:
        from importlib import import_module

        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    modules = {"compiled", "pure"} & globals().keys()  # if they are imported
    return [*{*__all__, *dir(pure), *_elementary.__all__, *modules, *_ON_USE}]
