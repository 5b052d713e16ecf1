"""Value over the tape in C: the type that csrc/python/handle.c makes, and its methods in Python.

A Value is a handle on a node of the tape. What happens for every operation is in C; here is
what happens less often: pictures, copies and pickles.
"""

from __future__ import annotations

import functools
import types

from .. import grad_mode
from ..checks import (
    UNRECORDED,
    check_copied,
    check_node,
    is_number,
    unsupported,
    user_number,
    value_number,
)
from ..pictures.picture import shown_in_notebook
from ..pure.base import Base as _Base
from ..pure.value import Value as _PureValue
from .binding import call, error, ffi, lib, tape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from ..pure.value import Value
    from ..types import Number

__all__ = ["Value", "live_nodes"]


# -----------------------------------------------------------------------------
# the type. To type checkers it is the plain engine's


def _node(
    data: Number,
    _prev: Iterable[Value] = (),
    _op: str | Sequence[Number] = "",
    label: str = "",
    *,
    children: Iterable[Value] | None = None,
    _children: Iterable[Value] | None = None,
    local_grads: Sequence[Number] | None = None,
) -> tuple[float, tuple[Value, ...], str, tuple[float, ...] | None, str]:
    """Return what Value's constructor was given as (data, operands, op, slopes, label)."""
    return *check_node(Value, data, _prev, _op, children, _children, local_grads), label


_node.__qualname__ = "Value.__init__"  # what Python's messages about the arguments say


def _new_type() -> type[Value]:
    containers = (types.FunctionType, types.CellType, types.MethodType, functools.partial)
    hooks = (
        error, value_number, is_number, _node, user_number,
        grad_mode.is_recording, grad_mode.no_grad_blocks,
        grad_mode.refuse, grad_mode.recorder_blocks, unsupported, UNRECORDED, containers,
    )  # fmt: skip
    out: list[type[Value]] = []
    if lib.handle_type_new(id(hooks), id(out)) < 0:
        raise ImportError("the type Value could not be made")
    return out[0]


if not TYPE_CHECKING:
    Value = _new_type()
    Value.__name__ = "Value"  # without its module, as Python's messages name it
    Value.__doc__ = _PureValue.__doc__
    Value.label = ""  # shown in drawings
    Value.no_grad = grad_mode.no_grad
    Value.__array_priority__ = _Base.__array_priority__


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function a method of Value."""
    setattr(Value, function.__name__, function)
    return function


# -----------------------------------------------------------------------------
# text, pictures, subclasses


@_method
def __repr__(self: Value) -> str:
    grad_mode.refuse("repr")
    return f"Value(data={self.data}, grad={self.grad})"


for _name in ("__format__", "__round__", "__trunc__"):  # these go by `data` and float()
    setattr(Value, _name, vars(_Base)[_name])


@_method
def _repr_html_(self: Value) -> str:  # which notebooks ask for, and terminals do not
    return shown_in_notebook(self)


def _check_subclass(cls: Any, /, **kwargs: Any) -> None:
    super(Value, cls).__init_subclass__(**kwargs)
    for name in ("_backward", "_forward"):
        if getattr(cls, name, None) is not getattr(Value, name, None):
            raise TypeError(f"a subclass of Value cannot define {name}: set it on the Value")


setattr(Value, "__init_subclass__", classmethod(_check_subclass))  # noqa: B010

# -----------------------------------------------------------------------------
# copies and pickles: of leaves, with what was set on them


@_method
def __getnewargs__(self: Value) -> tuple[float]:
    return (self.data,)


@_method
def __setstate__(self: Value, state: Any) -> None:
    for attributes in state if isinstance(state, tuple) else (state,):  # also of slots
        for name, x in (attributes or {}).items():
            if name == "_op":
                vars(self)[name] = x
            else:
                setattr(self, name, x)


@_method
def __reduce_ex__(self: Value, protocol: int) -> tuple[Any, ...]:
    grad_mode.refuse("copy")
    check_copied(self)
    copied: Any = object.__reduce_ex__(self, max(2, protocol))
    make, arguments, state = copied[:3]
    numbers = self.data, self.grad, _moments(self), self._is_unrecorded
    return _leaf, (numbers, make, arguments), state


# A Value's node: whatever attributes a subclass has of this name, and a TypeError for all else. The
# second is for an array that is kept: the Value cannot be made anew from then on.
_handle: Any = Value
index_of, place_of = _handle._index.__get__, _handle._place.__get__
_first_moment, _second_moment = _handle.m.__get__, _handle.v.__get__


def _moments(value: Value) -> tuple[float, float] | None:
    """Return the two moments of a leaf that an Adam has, else None."""
    has_moments = lib.tape_moments(tape, index_of(value))
    return (_first_moment(value), _second_moment(value)) if has_moments else None


def _leaf(
    numbers: tuple[float, float, tuple[float, float] | None, bool],
    make: Callable[..., Value],
    arguments: tuple[Any, ...],
) -> Value:
    """Make a leaf again from what `Value.__reduce_ex__` took down."""
    data, grad, moments, *rest = numbers
    leaf = make(*arguments)
    Value.__init__(leaf, data)
    leaf.grad = grad
    if moments is not None:
        call(lib.shared_adam_init, ffi.new("Index *", index_of(leaf)), 1)
        leaf.m, leaf.v = moments
    if rest == [True]:  # which earlier versions have not written
        leaf._is_unrecorded = True
    return leaf


def live_nodes() -> int:
    """Return how many nodes are alive on the tape."""
    return tape.live
