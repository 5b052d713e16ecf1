"""The words of the annotations that are no classes of ours. For type checkers only."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, SupportsFloat, SupportsIndex, TypeVar

from typing_extensions import ParamSpec

from . import pure, value

T = TypeVar("T")
P = ParamSpec("P")  # a function's parameters
AnyValue = TypeVar("AnyValue", pure.Value, value.Value)  # of either engine

# What converts to a float: int, Fraction, NumPy's scalars. So does a Value, which is a
# TypeError all the same where a number has to be: type checkers cannot tell.
Number = SupportsFloat | SupportsIndex

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]

# Numbers by name, and of an optimiser lists of them, too
State = Mapping[str, Any]

# A point of a data set as `gen_data` makes them: coordinates and label
Point = tuple[list[float], int]

# For training, validation and test
Parts = tuple[list[T], list[T], list[T]]

# What the losses take: a data set, whose x may be any numbers or Values, and a model
Split = Iterable[tuple[Iterable[AnyValue | Number], SupportsIndex]]
Model = Callable[[list[AnyValue]], AnyValue | Iterable[AnyValue | Number]]

class SupportsUniform(Protocol):
    """A generator of random numbers: an RNG, or another that has such a method."""

    def uniform(self, a: float, b: float, /) -> float: ...
