"""ngram in plain Python: the specification, made to be read. Begin with `model.py`.

This engine says what the right answer is. The compiled one (`ngram.compiled`) has the same
public names, in files of the same names, and gives the same numbers, bit for bit; the tests hold
the two against each other.
"""

from .model import NGram
from .rng import RNG
from .text import decode, encode

__all__ = ["RNG", "encode", "decode", "NGram"]
