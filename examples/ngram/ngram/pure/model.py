"""The n-gram model: how often does each token follow each run of n - 1 tokens?"""

from __future__ import annotations

import math
from array import array

from ..arguments import count, floats, integers
from ..checks import (
    MOST_WINDOWS,
    SIZE,
    check_n,
    check_smoothing,
    refuse_copy,
    too_few_tokens,
    too_many_windows,
    wrong_token,
)
from .rng import RNG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsFloat, SupportsIndex

    from typing_extensions import Buffer

NEVER = (0,) * SIZE  # the counts after a context that was not in the training text


class NGram:
    """Counts of which token follows which context, and the probabilities that they give.

    Args:
        n: the tokens in a window, 1 .. 5: n - 1 tokens of context, and the one after them.
        smoothing: what is added to each count, so that no probability is 0.

    Arrays of tokens are whatever has a buffer of 32-bit integers: array('i'), NumPy's int32, a
    memoryview of either. They are read where they are.
    """

    def __init__(self, n: SupportsIndex = 3, smoothing: SupportsFloat = 0.1) -> None:
        n, smoothing = check_n(n), check_smoothing(smoothing)
        self._n, self._smoothing = n, smoothing
        # context: how often each token came after it. C has an array of all contexts' counts.
        self._counts: dict[tuple[int, ...], list[int]] = {}
        self._windows = 0  # that have been counted

    @property
    def n(self) -> int:
        """How many tokens a window has."""
        return self._n

    @property
    def smoothing(self) -> float:
        """What is added to each count."""
        return self._smoothing

    def train(self, tokens: Buffer) -> None:
        """Count each window of n tokens. What has been counted before stays.

        Raises:
            ValueError: a token is out of range, there are fewer than n of them, or more windows
                than C can count. None is counted then.
        """
        tokens = self._check(tokens, MOST_WINDOWS - self._windows)
        for window in self._windows_of(tokens):
            context, token = window[:-1], window[-1]
            row = self._counts.setdefault(context, [0] * SIZE)
            row[token] += 1
            self._windows += 1

    def probabilities(self, context: Buffer, out: Buffer | None = None) -> Buffer:
        """Return the probability of each of the 27 tokens after a context.

        Args:
            context: an array of n - 1 tokens.
            out: a writable array of 27 floats to put them into; None makes an array('d').

        Raises:
            ValueError: a token is out of range, or an array has another length.
        """
        context = integers(context, "context", self._n - 1)
        if out is None:
            out = array("d", bytes(8 * SIZE))
        view = floats(out, "out", SIZE, writable=True)
        self._check_range(context, "context")
        for token in range(SIZE):
            view[token] = self._probability(tuple(context), token)
        return out

    def loss(self, tokens: Buffer) -> float:
        """Return the mean of -log(p) over all windows, p being the probability of the last token.

        Raises:
            ValueError: a token is out of range, or there are fewer than n of them.
        """
        tokens = self._check(tokens)
        total = 0.0
        for window in self._windows_of(tokens):  # sum() has other last digits since Python 3.12
            total -= math.log(self._probability(window[:-1], window[-1]))
        return total / (len(tokens) - self._n + 1)

    def sample(self, random: RNG, n: SupportsIndex) -> array[int]:
        """Return n random tokens, each after those before it, the first as if after newlines."""
        if not isinstance(random, RNG):
            raise TypeError(f"random must be this engine's RNG, such as RNG(42), not {random!r}")
        tokens = array("i", bytes(4 * count(n, "n")))
        context = (0,) * (self._n - 1)
        for i in range(len(tokens)):
            tokens[i] = self._sample_one(random, context)
            context = (*context, tokens[i])[1:]
        return tokens

    def _sample_one(self, random: RNG, context: tuple[int, ...]) -> int:
        x = random.random()
        cumulative = 0.0
        for token in range(SIZE - 1):
            cumulative += self._probability(context, token)
            if x < cumulative:
                return token
        return SIZE - 1  # the sum of all, 1.0, may be rounded down

    def _probability(self, context: tuple[int, ...], token: int) -> float:
        row = self._counts.get(context, NEVER)
        return (row[token] + self._smoothing) / (sum(row) + SIZE * self._smoothing)

    def _windows_of(self, tokens: memoryview) -> zip[tuple[int, ...]]:
        # (tokens[0], tokens[1], ...), (tokens[1], tokens[2], ...), ...
        return zip(*(tokens[i:] for i in range(self._n)))

    def _check(self, tokens: Buffer, most: int | None = None) -> memoryview:
        view = integers(tokens, "tokens")
        if len(view) < self._n:
            raise too_few_tokens(len(view), self._n)
        if most is not None and len(view) - self._n + 1 > most:
            raise too_many_windows()
        self._check_range(view, "tokens")
        return view

    def _check_range(self, tokens: memoryview, what: str) -> None:
        for at, token in enumerate(tokens):
            if not 0 <= token < SIZE:
                raise wrong_token(at, token, what)

    __reduce_ex__ = refuse_copy

    def __repr__(self) -> str:
        return f"NGram(n={self._n}, smoothing={self._smoothing})"
