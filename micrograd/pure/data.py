"""The course's data sets: labelled points of the plane."""

from __future__ import annotations

from ..checks import check_generator, check_radii, count
from .arithmetic import power

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

    from ..types import Number, Parts, Point, SupportsUniform, T


def split_points(points: list[T]) -> Parts[T]:
    """Split a list into training, validation and test parts: 80, 10 and 10 percent."""
    n = len(points)
    return points[: int(0.8 * n)], points[int(0.8 * n) : int(0.9 * n)], points[int(0.9 * n) :]


def gen_data(random: SupportsUniform, n: SupportsIndex = 100) -> Parts[Point]:
    """Make n random points of the plane in three classes that straight lines part.

    Args:
        random: the generator (RNG).
        n: how many points, 1 or more. It takes 2 for a point to train with, and 6 for one to
            validate with.

    Returns:
        Three lists of ([x, y], label), for training, validation and test, with x and y
        in [-2, 2). Label 0 is left of the y axis, 1 below the x axis, 2 the rest.

    Raises:
        ValueError: n is below 1.
        TypeError: n is no integer, or random no generator.
    """
    check_generator(random)
    points = []
    for _ in range(count(n, "n", least=1)):
        x = random.uniform(-2.0, 2.0)
        y = random.uniform(-2.0, 2.0)
        label = 0 if x < 0 else 1 if y < 0 else 2
        points.append(([x, y], label))
    return split_points(points)


def gen_data_circles(random: SupportsUniform, n: SupportsIndex = 100) -> Parts[Point]:
    """Make n random points in three classes: a disc, a ring around it, and outside.

    Like `gen_data`, but the label goes by x**2 + y**2: 0 below 1, 1 below 2, else 2.
    """
    check_generator(random)
    points = []
    for _ in range(count(n, "n", least=1)):
        x = random.uniform(-2.0, 2.0)
        y = random.uniform(-2.0, 2.0)
        square = power(x, 2.0) + power(y, 2.0)
        label = 0 if square < 1 else 1 if square < 2 else 2
        points.append(([x, y], label))
    return split_points(points)


def gen_data_yinyang(
    random: SupportsUniform,
    n: SupportsIndex = 1000,
    r_small: Number = 0.1,
    r_big: Number = 0.5,
) -> Parts[Point]:
    """Make n random points of a yin-yang sign: class 0 is yin, 1 yang, 2 the two dots.

    Args:
        random: the generator (RNG).
        n: how many points, 1 or more; a third of them in each class.
        r_small: the radius of the dots, from r_big / 1000 up to below r_big.
        r_big: the radius of the sign, 1e-100 .. 1e100.

    Returns:
        Three lists of ([x, y], label), for training, validation and test, scaled so
        that the sign has radius 2 and its centre at the origin.

    Raises:
        ValueError: n is below 1 or a radius is out of range.
        TypeError: one of them is no number, or random no generator.

    Source: Kriener, Göltz, Petrovici, "The Yin-Yang dataset", 2022,
    https://arxiv.org/abs/2102.08211
    """
    check_generator(random)
    n = count(n, "n", least=1)
    r_small, r_big = check_radii(r_small, r_big)

    def distance(x: float, y: float, x0: float, y0: float) -> float:
        return power(power(x - x0, 2.0) + power(y - y0, 2.0), 0.5)

    def which_class(x: float, y: float) -> int:
        right = distance(x, y, 1.5 * r_big, r_big)
        left = distance(x, y, 0.5 * r_big, r_big)
        if right < r_small or left < r_small:
            return 2
        yin = (
            right <= r_small or r_small < left <= 0.5 * r_big or (y > r_big and right > 0.5 * r_big)
        )
        return 0 if yin else 1

    def sample(goal: int) -> Point:
        while True:
            x = random.uniform(0, 2 * r_big)
            y = random.uniform(0, 2 * r_big)
            if distance(x, y, r_big, r_big) <= r_big and which_class(x, y) == goal:
                return ([(x / r_big - 1) * 2, (y / r_big - 1) * 2], goal)

    return split_points([sample(i % 3) for i in range(n)])
