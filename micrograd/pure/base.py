"""What a Value can do besides computing: attributes with checks, comparisons, text, copies."""

from __future__ import annotations

from ..checks import check_copied, is_number, number, value_number
from ..grad_mode import no_grad, recorder_blocks, refuse
from ..pictures.picture import shown_in_notebook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, SupportsIndex

    from ..types import Number
    from .value import Value


class Base:
    """The base class of Value."""

    _data: float
    _grad: float
    _prev: tuple[Value, ...]
    _op: str

    no_grad = no_grad  # `with Value.no_grad():` is found in scripts, too
    label = ""  # shown in drawings
    # NumPy's numbers and arrays leave the operators to us; its functions call our methods, and so
    # np.exp(a) is a.exp()
    __array_priority__ = 1000.0

    # what a recorded function may not look at is refused: most often there is no recorder at all

    @property
    def data(self) -> float:
        """The number, a float. It may be set; what was computed from it stays as it is."""
        if recorder_blocks:
            refuse("data")
        return self._data

    @data.setter
    def data(self, data: Number) -> None:
        if recorder_blocks:
            refuse("set data")
        self._data = data if type(data) is float else value_number(data)

    @property
    def grad(self) -> float:
        """The gradient, a float: what the `backward()` calls so far have added up to."""
        if recorder_blocks:
            refuse("grad")
        return self._grad

    @grad.setter
    def grad(self, grad: Number) -> None:
        if recorder_blocks:
            refuse("set grad")
        self._grad = grad if type(grad) is float else value_number(grad)

    @property
    def _children(self) -> tuple[Value, ...]:
        """The operands, by another name that scripts use."""
        return self._prev

    @property
    def _is_leaf(self) -> bool:
        """Whether this Value is computed from no others."""
        return not self._prev and self._source is None

    # comparisons go by the number; == is "the same node", as for any Python object

    def __eq__(self, other: object) -> bool:
        if recorder_blocks and is_number(other):  # which is never the same
            refuse("compare")
        return NotImplemented

    __ne__, __hash__ = object.__ne__, object.__hash__

    def __lt__(self, other: Value | Number) -> bool:
        return _compared(self) < _compared(other) if _comparable(other) else NotImplemented

    def __le__(self, other: Value | Number) -> bool:
        return _compared(self) <= _compared(other) if _comparable(other) else NotImplemented

    def __gt__(self, other: Value | Number) -> bool:
        return _compared(self) > _compared(other) if _comparable(other) else NotImplemented

    def __ge__(self, other: Value | Number) -> bool:
        return _compared(self) >= _compared(other) if _comparable(other) else NotImplemented

    def __float__(self) -> float:
        refuse("float")
        return self._data

    def item(self) -> float:
        """Return the number, a float: what `float(self)` and `self.data` are."""
        return float(self)

    # numbers, not Values, as float() is: no gradient passes through them

    def __int__(self) -> int:
        return int(float(self))

    def __trunc__(self) -> int:
        return int(float(self))

    def __round__(self, ndigits: SupportsIndex | None = None) -> float:
        return round(float(self), ndigits)

    def __bool__(self) -> bool:  # there is a Value, whatever its number
        refuse("bool")
        return True

    def __repr__(self) -> str:
        refuse("repr")
        return f"Value(data={self.data}, grad={self.grad})"

    def __format__(self, spec: str) -> str:
        refuse("repr")
        return format(self.data, spec) if spec else str(self)

    def _repr_html_(self) -> str:  # which notebooks ask for, and terminals do not
        return shown_in_notebook(self)

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        refuse("copy")
        check_copied(self)
        return super().__reduce_ex__(max(2, protocol.__index__()))  # those below know no slots

    if TYPE_CHECKING:  # users may set `_backward`, and any other attribute
        _backward: Callable[[], object]

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, x: Any) -> None: ...
        def __delattr__(self, name: str) -> None: ...

        __iter__: None  # but a Value is no list, and no integer
        __index__: None


def _comparable(x: object) -> bool:
    return isinstance(x, Base) or is_number(x)


def _compared(x: Base | Number) -> float:
    refuse("compare")
    return x._data if isinstance(x, Base) else number(x)


class restored_on_error:
    """A `with` block that, if it fails, leaves the data and gradients of Values as they were."""

    def __init__(self, values: Sequence[Base]) -> None:
        self._values = values
        self._before = [(v._data, v._grad) for v in values]

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            for v, (data, grad) in zip(self._values, self._before):
                v._data, v._grad = data, grad
