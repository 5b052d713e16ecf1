"""ngram: an n-gram model of words, which counts how often each letter follows n - 1 others.

    from ngram import RNG, NGram, decode, encode

    tokens = encode("anna\nhannah\n")
    model = NGram(3)
    model.train(tokens)
    print(model.loss(tokens))
    print(decode(model.sample(RNG(42), 20)))

Two engines offer the same names and compute the same numbers, bit for bit: the compiled one, over
C (`ngram.compiled`), and the plain-Python one, made to be read (`ngram.pure`).
`ngram.backend` says which of them the names here belong to, "c" or "python". The environment
variable NGRAM_BACKEND chooses; without it the compiled engine is used where there is one.
"""

from __future__ import annotations

from . import pure
from .backends import backend
from .backends import engine as _engine
from .pure import *
from .text import VOCABULARY, read_text
from .version import __version__

# the plain engine's names become the chosen one's; to type checkers they stay as they are
globals().update({name: getattr(_engine, name) for name in pure.__all__})

__all__ = ["__version__", "backend", "VOCABULARY", "read_text"]
__all__ += pure.__all__
