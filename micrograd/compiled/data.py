"""The course's data sets, over C."""

from __future__ import annotations

from ..checks import check_radii, count
from ..pure import data as pure
from ..pure.data import split_points
from .binding import ffi, lib
from .rng import RNG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, SupportsIndex

    from ..types import Number, Parts, Point, SupportsUniform


def _generate(function: Any, random: RNG, n: SupportsIndex, *radii: float) -> Parts[Point]:
    n = count(n, "n", least=1)
    try:
        points = ffi.new("Point[]", n)
    except (MemoryError, OverflowError):
        raise MemoryError(f"no memory for {n} points") from None
    function(random._rng, points, n, *radii)
    return split_points([([p.x[0], p.x[1]], p.label) for p in points])


# Any other generator, a subclass too, has a uniform() of its own: the plain engine calls that one.


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
