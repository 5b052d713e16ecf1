"""The course's generator of random numbers, over C."""

from __future__ import annotations

from ..checks import number
from ..pure import rng as pure
from ..pure.rng import check_seed
from .library import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, SupportsFloat, SupportsIndex


class RNG:
    __doc__ = pure.RNG.__doc__

    def __init__(self, seed: SupportsIndex) -> None:
        self._rng = ffi.new("RNG *")
        self.state = seed

    @property
    def state(self) -> int:
        """Where the generator is: 1 .. 2**64-1. May be set, to go on from there."""
        return self._rng.state

    @state.setter
    def state(self, state: SupportsIndex) -> None:
        self._rng.state = check_seed(state)

    def random_u32(self) -> int:
        """Return 32 random bits, 0 .. 2**32-1."""
        return lib.rng_random_u32(self._rng)

    def random(self) -> float:
        """Return a float in [0, 1), a multiple of 2**-24."""
        return lib.rng_random(self._rng)

    def uniform(self, a: SupportsFloat = 0.0, b: SupportsFloat = 1.0) -> float:
        """Return a float in [a, b)."""
        return lib.rng_uniform(self._rng, number(a), number(b))

    def __repr__(self) -> str:
        return f"RNG({self.state})"

    # copies and pickles

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_rng": self.state}

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        vars(self).update(attributes, _rng=ffi.new("RNG *"))
        self.state = attributes["_rng"]


random = RNG(42)  # for what is given no other generator
