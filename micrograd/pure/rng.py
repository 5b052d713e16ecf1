"""The course's generator of random numbers."""

from __future__ import annotations

import operator

from ..checks import number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsFloat, SupportsIndex


class RNG:
    """The course's random numbers: xorshift64*, the same on every machine and in C.

    Args:
        seed: where to start, 1 .. 2**64-1. The same seed gives the same numbers.

    Raises:
        TypeError: the seed is no integer.
        ValueError: it is out of range. (The generator would never leave 0.)

    Source: https://en.wikipedia.org/wiki/Xorshift#xorshift*
    """

    def __init__(self, seed: SupportsIndex) -> None:
        self.state = seed

    @property
    def state(self) -> int:
        """Where the generator is: 1 .. 2**64-1. May be set, to go on from there."""
        return self._state

    @state.setter
    def state(self, state: SupportsIndex) -> None:
        self._state = check_seed(state)

    def random_u32(self) -> int:
        """Return 32 random bits, 0 .. 2**32-1."""
        s = self._state
        s ^= s >> 12
        s ^= (s << 25) & 0xFFFFFFFFFFFFFFFF  # as a 64-bit number in C drops what is above
        s ^= s >> 27
        self._state = s
        return ((s * 0x2545F4914F6CDD1D) >> 32) & 0xFFFFFFFF

    def random(self) -> float:
        """Return a float in [0, 1), a multiple of 2**-24."""
        return (self.random_u32() >> 8) / 16777216.0

    def uniform(self, a: SupportsFloat = 0.0, b: SupportsFloat = 1.0) -> float:
        """Return a float in [a, b)."""
        a, b = number(a), number(b)
        return a + (b - a) * self.random()

    def __repr__(self) -> str:
        return f"RNG({self.state})"


def check_seed(seed: SupportsIndex) -> int:
    """Return the seed as an int, or raise what RNG raises."""
    try:
        seed = int(operator.index(seed))
    except TypeError:
        raise TypeError(f"a seed must be an integer, not {seed!r}") from None
    if not 1 <= seed < 2**64:
        bound = "at least 1" if seed < 1 else "below 2**64"
        raise ValueError(f"a seed must be {bound}, not {seed}")
    return seed


random = RNG(42)  # for what is given no other generator
