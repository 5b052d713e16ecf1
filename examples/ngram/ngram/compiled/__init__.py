"""ngram over C: the names of `ngram.pure`, with the same results, bit for bit."""

from ..pure import __all__ as __all__
from .model import NGram
from .rng import RNG
from .text import decode, encode
