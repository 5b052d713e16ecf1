"""The words of the annotations that are no classes of ours. For type checkers only."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, SupportsFloat, SupportsIndex, TypeVar, overload

from typing_extensions import ParamSpec, Self

from .checkpoint import SavedModule
from .pure.value import Value
from .recorder import CacheInfo

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
P = ParamSpec("P")  # a function's parameters
AnyValue = TypeVar("AnyValue", bound=Value)  # of either engine: to type checkers they are one

# What converts to a float: int, Fraction, NumPy's scalars. So does a Value, which is a
# TypeError all the same where a number has to be: type checkers cannot tell.
Number = SupportsFloat | SupportsIndex

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]

TextPath = str | os.PathLike[str]

# What names Values in drawings: a module, or the Values by name
Names = SavedModule | Mapping[str, Value]

# Leaves of a graph that is exported: a module's parameters, or Values in a list or by name
Leaves = SavedModule | Mapping[str, Value] | Iterable[Value]

# Numbers by name, and of an optimiser lists of them, too
State = Mapping[str, Any]

# A point of a data set as `gen_data` makes them: coordinates and label
Point = tuple[list[float], int]

# For training, validation and test
Parts = tuple[list[T], list[T], list[T]]

# What the losses take: a data set, whose x may be any numbers or Values, and a model
Split = Iterable[tuple[Iterable[AnyValue | Number], SupportsIndex]]
Model = Callable[[list[AnyValue]], AnyValue | Iterable[AnyValue | Number]]

# Losses, one a step, or each with its step
Curve = Iterable[Number] | Iterable[tuple[Number, Number]]

class SupportsUniform(Protocol):
    """A generator of random numbers: an RNG, or another that has such a method."""

    def uniform(self, a: float, b: float, /) -> float: ...

class Elementary(Protocol):
    """A function such as `exp`: of a Value a Value, of a number a float."""

    # a Value has __float__, so it is a Number, too
    @overload
    def __call__(self, x: Value) -> Value: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, x: Number) -> float: ...

class Recording(Protocol):
    """What an engine makes of a function that has been recorded."""

    def run(self, floats: list[float], integers: list[int]) -> None: ...

class Recorded(Protocol[P, T_co]):
    """What `recorded` makes of a function."""

    @property
    def __wrapped__(self) -> Callable[P, T_co]: ...
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T_co: ...
    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> Callable[..., T_co]: ...
    def cache_info(self) -> CacheInfo: ...
    def cache_clear(self) -> None: ...
    def cache_parameters(self) -> dict[str, int | None]: ...

class RecordedDecorator(Protocol):
    """The type of `recorded`."""

    @overload
    def __call__(
        self, function: Callable[P, T], *, maxsize: int | None = 128
    ) -> Recorded[P, T]: ...
    @overload
    def __call__(
        self, function: None = None, *, maxsize: int | None = 128
    ) -> Callable[[Callable[P, T]], Recorded[P, T]]: ...
