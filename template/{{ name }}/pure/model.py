"""The bigram model: how often does each token follow each?"""

from __future__ import annotations

import math
from array import array

from ..arguments import count, floats, integers
from ..checks import check_smoothing, refuse_copy, too_few_tokens, wrong_token
from .rng import RNG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsFloat, SupportsIndex

    from typing_extensions import Buffer


class Bigram:
    """Counts of which token follows which, and the probabilities that they give.

    Args:
        size: how many tokens there are, 1 .. 4096. They are the integers 0 .. size - 1.
        smoothing: what is added to each count, so that no probability is 0.

    Arrays of tokens are whatever has a buffer of 32-bit integers: array('i'), NumPy's int32, a
    memoryview of either. They are read where they are.
    """

    def __init__(self, size: SupportsIndex = 27, smoothing: SupportsFloat = 1.0) -> None:
        size, smoothing = count(size, "size", least=1, most=4096), check_smoothing(smoothing)
        self._size, self._smoothing = size, smoothing
        self._counts = [0] * (self._size * self._size)  # row by row: of what follows token 0, ...
        self._totals = [0] * self._size  # the rows' sums

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return self._size

    @property
    def smoothing(self) -> float:
        """What is added to each count."""
        return self._smoothing

    def train(self, tokens: Buffer) -> None:
        """Count each pair of neighbours.

        Raises:
            ValueError: a token is out of range, or there are fewer than two. None is counted then.
        """
        tokens = self._check_pairs(tokens)
        for a, b in zip(tokens, tokens[1:]):
            self._counts[a * self._size + b] += 1
            self._totals[a] += 1

    def probabilities(self, out: Buffer | None = None) -> Buffer:
        """Return the probability of each token after each, row by row.

        Args:
            out: a writable array of size * size floats to put them into; None makes an
                array('d').
        """
        if out is None:
            out = array("d", bytes(8 * self._size * self._size))
        view = floats(out, "out", self._size * self._size, writable=True)
        for a in range(self._size):
            for b in range(self._size):
                view[a * self._size + b] = self._probability(a, b)
        return out

    def loss(self, tokens: Buffer) -> float:
        """Return the mean of -log(p) over all pairs, p being the probability of the second.

        Raises:
            ValueError: a token is out of range, or there are fewer than two.
        """
        tokens = self._check_pairs(tokens)
        total = 0.0
        for a, b in zip(tokens, tokens[1:]):  # sum() has other last digits since Python 3.12
            total -= math.log(self._probability(a, b))
        return total / (len(tokens) - 1)

    def sample(self, random: RNG, n: SupportsIndex, start: SupportsIndex = 0) -> array[int]:
        """Return n random tokens, each after the one before it, the first after start."""
        if not isinstance(random, RNG):
            raise TypeError(f"random must be this engine's RNG, such as RNG(42), not {random!r}")
        tokens = array("i", bytes(4 * count(n, "n")))
        token = count(start, "start", most=self._size - 1)
        for i in range(len(tokens)):
            token = tokens[i] = self._sample_one(random, token)
        return tokens

    def _sample_one(self, random: RNG, a: int) -> int:
        x = random.random()
        cumulative = 0.0
        for b in range(self._size - 1):
            cumulative += self._probability(a, b)
            if x < cumulative:
                return b
        return self._size - 1  # whose sum, 1.0, may be rounded down

    def _probability(self, a: int, b: int) -> float:
        count = self._counts[a * self._size + b]
        return (count + self._smoothing) / (self._totals[a] + self._size * self._smoothing)

    def _check_pairs(self, tokens: Buffer) -> memoryview:
        view = integers(tokens, "tokens")
        if len(view) < 2:
            raise too_few_tokens(len(view))
        for at, token in enumerate(view):
            if not 0 <= token < self._size:
                raise wrong_token(at, token, self._size)
        return view

    __reduce_ex__ = refuse_copy

    def __repr__(self) -> str:
        return f"Bigram(size={self._size}, smoothing={self._smoothing})"
