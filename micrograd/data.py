"""The course's generator and data sets, over C."""

from __future__ import annotations

from . import pure
from .binding import ffi, lib
from .pure import check_radii, check_seed, count, number, split_points

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, SupportsIndex

    from .types import Number, Parts, Point, SupportsUniform

__all__ = ["RNG", "random", "gen_data", "gen_data_circles", "gen_data_yinyang"]


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

    def uniform(self, a: Number = 0.0, b: Number = 1.0) -> float:
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


# the generator that networks draw their weights from when they are given no other
random = RNG(42)


def _generate(function: Any, random: RNG, n: SupportsIndex, *radii: float) -> Parts[Point]:
    n = count(n, "n")
    try:
        points = ffi.new("Point[]", n)
    except (MemoryError, OverflowError):
        raise MemoryError(f"no memory for {n} points") from None
    function(random._rng, points, n, *radii)
    return split_points([([p.x[0], p.x[1]], p.label) for p in points])


# Any other generator, a subclass too, has a uniform() of its own: pure.py calls that one.


def gen_data(random: SupportsUniform, n: SupportsIndex = 100) -> Parts[Point]:
    if type(random) is not RNG:
        return pure.gen_data(random, n)
    return _generate(lib.gen_data, random, n)


def gen_data_circles(random: SupportsUniform, n: SupportsIndex = 100) -> Parts[Point]:
    if type(random) is not RNG:
        return pure.gen_data_circles(random, n)
    return _generate(lib.gen_data_circles, random, n)


def gen_data_yinyang(
    random: SupportsUniform,
    n: SupportsIndex = 1000,
    r_small: Number = 0.1,
    r_big: Number = 0.5,
) -> Parts[Point]:
    if type(random) is not RNG:
        return pure.gen_data_yinyang(random, n, r_small, r_big)
    return _generate(lib.gen_data_yinyang, random, n, *check_radii(r_small, r_big))


gen_data.__doc__ = pure.gen_data.__doc__
gen_data_circles.__doc__ = pure.gen_data_circles.__doc__
gen_data_yinyang.__doc__ = pure.gen_data_yinyang.__doc__
