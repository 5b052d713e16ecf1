"""Value over the tape in C: a handle on one of its nodes.

A node lives while a handle or a living node uses it. A handle knows nothing but the
index of its node; data, gradient, operands and operation are on the tape, and what else
a user sets on a Value is kept here, by index, until the node dies.
"""

from __future__ import annotations

import _thread
import atexit
import functools
import os
import sys
import types
import weakref

from . import pure
from .binding import OP_NAMES, error, ffi, is_user_fault, lib, stale
from .pure import is_number, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .types import Number

__all__ = ["Value", "no_grad", "live_nodes"]

# -----------------------------------------------------------------------------
# what the nodes have besides what is on the tape

# by index: the attributes that users have set. C knows these nodes as watched: when one
# dies it keeps the place, and calls clean_up
_attributes: dict[int, dict[str, Any]] = {}

# by index: the handles that `_prev` gave out, so that it gives out the same ones again
_handles: dict[int, weakref.ref[Value]] = {}

_cleaning_up = False


def _interrupted(
    kind: type[BaseException], problem: BaseException, traceback: types.TracebackType | None
) -> None:
    """Let an interrupt that came while C was calling us through: to where Python goes on."""
    if kind is KeyboardInterrupt:
        _thread.interrupt_main()
    else:
        sys.excepthook(kind, problem, traceback)


@ffi.def_extern(onerror=_interrupted)
def clean_up() -> None:
    """Forget the attributes of watched nodes that have died."""
    global _cleaning_up
    if _cleaning_up:
        return  # a loop below has called us: it goes on with what has died, however long the chain
    _cleaning_up = True
    try:
        index = lib.shared_dead()
        while index:
            forgotten = _attributes.pop(index, None)
            _handles.pop(index, None)
            lib.shared_bury(index)
            del forgotten  # which may hold the last handle on another such node
            index = lib.shared_dead()
    finally:
        _cleaning_up = False


lib.shared_init(lib.clean_up)
atexit.register(lib.shared_init, ffi.NULL)  # the interpreter goes, and attributes with it


def _start_child() -> None:
    global _cleaning_up
    _cleaning_up = False  # the thread that was at it has stayed with the parent


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_start_child)

# -----------------------------------------------------------------------------
# functions that hold the node they are kept with
#
# The usual `_backward` of a user's node is a closure over that very node. Kept as it is,
# the two would keep each other alive for ever: Python's garbage collector cannot see the
# tape. So handles on the node are cut out of what is kept with it, and put back in when it
# is asked for.

_ITSELF = object()  # stands where a handle on the node was


def _holds(x: Any, node: Value, seen: set[int]) -> bool:
    """Tell whether x is a handle on the node, or a function that holds one."""
    if isinstance(x, Value):
        return x == node
    if type(x) is types.MethodType:
        return _holds(x.__self__, node, seen)
    if type(x) not in (types.FunctionType, functools.partial) or id(x) in seen:
        return False
    seen.add(id(x))
    if type(x) is functools.partial:
        inside = [x.func, *x.args, *x.keywords.values()]
    else:
        inside = [
            *map(_content, x.__closure__ or ()),
            *(x.__defaults__ or ()),
            *(x.__kwdefaults__ or {}).values(),
            *x.__dict__.values(),
        ]
    return any(_holds(y, node, seen) for y in inside)


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty yet
        return None


def _kept(x: Any, node: Value, cuts: dict[int, _Cut] | None = None) -> Any:
    """Return x as it is kept with a node."""
    if not _holds(x, node, set()):
        return x
    if isinstance(x, Value):
        return _ITSELF
    cuts = {} if cuts is None else cuts  # by function: a function may hold itself, too
    if id(x) not in cuts:
        kind = {types.MethodType: _CutMethod, functools.partial: _CutPartial}
        cut = cuts[id(x)] = kind.get(type(x), _CutFunction)()
        cut.take(x, lambda y: _kept(y, node, cuts))
    return cuts[id(x)]


def _mended(x: Any, node: Value, made: dict[_Cut, Any] | None = None) -> Any:
    """Return what _kept has kept, whole again with a handle on its node."""
    if x is _ITSELF:
        return node
    if not isinstance(x, _Cut):
        return x
    made = {} if made is None else made
    return made[x] if x in made else x.mended(node, made)


class _Cut:
    """What _kept keeps in the place of something that holds the node."""

    def take(self, x: Any, cut: Callable[[Any], Any], /) -> None:
        """Take x down: of its parts, what `cut` makes of them."""

    def mended(self, node: Value, made: dict[_Cut, Any]) -> Any:
        """Return x again, with the node where it was."""


class _CutMethod(_Cut):
    def take(self, method: types.MethodType, cut: Callable[[Any], Any]) -> None:
        self.function, self.owner = method.__func__, cut(method.__self__)

    def mended(self, node: Value, made: dict[_Cut, Any]) -> Any:
        return types.MethodType(self.function, _mended(self.owner, node, made))


class _CutPartial(_Cut):
    def take(self, partial: functools.partial[Any], cut: Callable[[Any], Any]) -> None:
        self.function = cut(partial.func)
        self.args = [cut(y) for y in partial.args]
        self.keywords = {name: cut(y) for name, y in partial.keywords.items()}

    def mended(self, node: Value, made: dict[_Cut, Any]) -> Any:
        return functools.partial(
            _mended(self.function, node, made),
            *[_mended(y, node, made) for y in self.args],
            **{name: _mended(y, node, made) for name, y in self.keywords.items()},
        )


class _CutFunction(_Cut):
    def take(self, function: types.FunctionType, cut: Callable[[Any], Any]) -> None:
        self.code, self.globals = function.__code__, function.__globals__
        self.name = function.__name__
        # of the closure the cells that need no cut, and of the others their contents
        self.cells: list[types.CellType | None] = []
        self.contents: dict[int, Any] = {}
        for i, cell in enumerate(function.__closure__ or ()):
            content = _content(cell)
            self.cells.append(cell)
            if cut(content) is not content:
                self.cells[i] = None
                self.contents[i] = cut(content)
        self.defaults = [cut(y) for y in function.__defaults__ or ()]
        self.keyword_defaults = {k: cut(y) for k, y in (function.__kwdefaults__ or {}).items()}
        self.attributes = {k: cut(y) for k, y in function.__dict__.items()}
        self.is_whole = all(self.attributes[k] is y for k, y in function.__dict__.items())
        if self.is_whole:
            self.attributes = function.__dict__  # in which the function may keep something

    def mended(self, node: Value, made: dict[_Cut, Any]) -> Any:
        cells = tuple([types.CellType() if cell is None else cell for cell in self.cells])
        function = types.FunctionType(self.code, self.globals, self.name, None, cells)
        made[self] = function
        for i, content in self.contents.items():
            cells[i].cell_contents = _mended(content, node, made)
        function.__defaults__ = tuple([_mended(y, node, made) for y in self.defaults])
        function.__kwdefaults__ = {
            k: _mended(y, node, made) for k, y in self.keyword_defaults.items()
        }
        function.__dict__ = self.attributes
        if not self.is_whole:
            function.__dict__ = {k: _mended(y, node, made) for k, y in self.attributes.items()}
        return function


# -----------------------------------------------------------------------------
# no_grad


class no_grad(pure.no_grad):
    __doc__ = pure.no_grad.__doc__

    def __enter__(self) -> no_grad:
        self._before.append(lib.shared_recording(0))
        return self

    def __exit__(self, *exception: object) -> None:
        lib.shared_recording(self._before.pop())


# -----------------------------------------------------------------------------
# how the methods of Value record. One call into C each; what `a + b` does around it is
# what a training step written in Python spends its time on


_release = lib.shared_release
_FAILED = 2**32 - 1  # what C returns in the place of an index

# by index: C's release, bound to it, for the first so many nodes; to bind it takes as long
# as to record a node
_releasers: list[Callable[[], object] | None] = [None]
_KEPT_RELEASERS = 1 << 15
_bound = 1  # how many there are


def _releaser(index: int) -> Callable[[], object] | None:
    """Return a function that lets go of the node at index."""
    global _bound
    if index >= _KEPT_RELEASERS:
        return types.MethodType(_release, index)
    if index >= _bound:
        start, stop = _bound, max(index + 1, min(2 * _bound, _KEPT_RELEASERS))
        # whoever comes in between puts the same in the same places
        _releasers[start:stop] = [types.MethodType(_release, i) for i in range(start, stop)]
        _bound = len(_releasers)
    return _releasers[index]


class _Slots:
    """What a handle consists of, before it is a Value. Setting an attribute is cheap here.

    `__del__` is the handle's own: C's function bound to the index. So nothing in Python
    runs when a handle dies, and an interrupt cannot come between.
    """

    __slots__ = ("__del__", "__weakref__", "_index", "_owner")

    __del__: Callable[[], object] | None
    _index: int
    _owner: _Slots


def _handle(index: int) -> Value:
    """Return a handle that owns the node at index, or raise what went wrong if there is none."""
    if index == _FAILED:
        raise error()
    out: Any = _Slots()  # it is to be a Value
    out._index = index
    out.__del__ = _releaser(index)
    out.__class__ = Value
    return out


_most_handles = 10_000


def _forget_handles() -> None:
    """Forget the handles that are gone, at a cost that is small beside that of as many new ones."""
    global _most_handles
    for index, reference in list(_handles.items()):
        if reference() is None:
            _handles.pop(index, None)
    _most_handles = max(10_000, 2 * len(_handles))


def _known_handle(index: int) -> Value:
    """Return the handle for a node that C has held for us: always the same while it lives.

    Python lets another thread find a handle here that has run its `__del__` already. So
    these have a second hold on their node, in an owner that goes after nobody can. Their
    references have no callback, in which an interrupt would get lost: what is left of one
    goes when the node dies, or when there are many.
    """
    known = _handles.get(index)
    handle = known() if known is not None else None
    if handle is not None:
        _release(index)  # it holds the node already
        return handle
    new: Any = _Slots()
    new._index = index
    new.__del__ = _releaser(index)
    lib.shared_hold(index)
    new._owner = owner = _Slots()
    owner.__del__ = _releaser(index)
    new.__class__ = Value
    lib.shared_set_watched(index)
    if len(_handles) >= _most_handles:
        _forget_handles()
    reference = weakref.ref(new)
    if known is not None and _handles.get(index) is known:
        _handles[index] = reference
    handle = _handles.setdefault(index, reference)()
    return new if handle is None else handle


def _binary(
    op: int, name: str, method_name: str, record: Callable[[int, int], int] | None = None
) -> Callable[[Value, Value | Number], Value]:
    """Make the method for the operation `op` of two Values, or of a Value and a number."""
    OP_NAMES[op] = name
    record = record or functools.partial(lib.shared_binary, op)
    record_number = lib.shared_binary_number
    slots, releasers = _Slots, _releasers

    def method(self: Value, other: Value | Number) -> Value:
        if type(other) is Value:
            index = record(self._index, other._index)
        elif type(other) is float or type(other) is int:
            index = record_number(op, self._index, other)
        elif isinstance(other, Value):
            index = record(self._index, other._index)
        elif is_number(other):
            index = record_number(op, self._index, number(other))
        else:
            return NotImplemented
        if index < _bound:
            out: Any = slots()  # as in _handle, without the calls
            out._index = index
            out.__del__ = releasers[index]
            out.__class__ = Value
            return out
        return _handle(index)

    method.__name__ = method_name
    method.__qualname__ = f"Value.{method_name}"
    return method


def _unary(
    op: int, name: str, method_name: str, doc: str | None = None
) -> Callable[[Value], Value]:
    """Make the method for the operation `op` of one Value."""
    OP_NAMES[op] = name
    record = lib.shared_unary
    slots, releasers = _Slots, _releasers

    def method(self: Value) -> Value:
        index = record(op, self._index)
        if index < _bound:
            out: Any = slots()
            out._index = index
            out.__del__ = releasers[index]
            out.__class__ = Value
            return out
        return _handle(index)

    method.__name__ = method_name
    method.__qualname__ = f"Value.{method_name}"
    method.__doc__ = doc
    return method


def _comparison(name: str) -> Callable[[Value, Value | Number], bool]:
    """Make the comparison method `name`, by number, with a Value or a number."""
    compare: Callable[[float, float], bool] = getattr(float, name)

    def method(self: Value, other: Value | Number) -> bool:
        if not isinstance(other, Value) and not is_number(other):
            return NotImplemented
        return compare(float(self), float(other))

    method.__name__ = name
    method.__qualname__ = f"Value.{name}"
    return method


class _Attribute:
    """An attribute of nodes, which the user has named."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, value: Value | None, kind: type) -> Any:
        if value is None:
            return self
        attributes = _attributes.get(value._index, {})
        if self.name not in attributes:
            return self.default(value)
        return _mended(attributes[self.name], value)

    def default(self, value: Value) -> Any:
        raise AttributeError(f"{type(value).__name__!r} object has no attribute {self.name!r}")

    def __set__(self, value: Value, x: Any) -> None:
        value._attribute_dict()[self.name] = _kept(x, value)

    def __delete__(self, value: Value) -> None:
        if _attributes.get(value._index, {}).pop(self.name, self) is self:
            _Attribute.default(self, value)


class _Label(_Attribute):
    def default(self, value: Value) -> Any:
        return ""


class _Moment(_Attribute):
    """One of AdamW's moments; of a Value that no optimiser knows any attribute of that name."""

    def __init__(self, name: str, which: int, doc: str) -> None:
        super().__init__(name)
        self.which = which
        self.__doc__ = doc

    def __get__(self, value: Value | None, kind: type) -> Any:
        moments = None if value is None else _moments(value)
        return super().__get__(value, kind) if moments is None else moments[self.which]

    def __set__(self, value: Value, x: Any) -> None:
        moments = _moments(value)
        if moments is None:
            super().__set__(value, x)
        else:
            moments[self.which] = number(x)
            lib.shared_set_moments(value._index, *moments)


def _moments(value: Value) -> list[float] | None:
    """Return the two moments of a leaf that an AdamW has, else None."""
    moments = ffi.new("double[2]")
    return list(moments) if lib.shared_moments(value._index, moments, moments + 1) else None


class Value(_Slots):
    __doc__ = pure.Value.__doc__

    __slots__ = ()

    label = _Label("label")
    m = _Moment("m", 0, "AdamW's first moment: the running mean of the gradient.")
    v = _Moment("v", 1, "AdamW's second moment: the running mean of the gradient's square.")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in ("_backward", "_forward", "__del__"):
            if getattr(cls, name, None) is not getattr(Value, name, None):
                raise TypeError(f"a subclass of Value cannot define {name}: set it on the Value")

    def __init__(
        self, data: Number, _prev: Iterable[Value] = (), _op: str = "", label: str = ""
    ) -> None:
        data, _op = number(data), pure.check_op(_op)
        operands = tuple(_prev)
        for operand in operands:
            if not isinstance(operand, Value):
                raise TypeError(f"an operand must be a Value, not {operand!r}")
        if operands:
            index = lib.shared_user(data, [v._index for v in operands], len(operands))
        else:
            index = lib.shared_leaf(data)
        if index == _FAILED:
            raise error()
        _set_index(self, index)
        _set_del(self, _releaser(index))
        if _op != "" and lib.shared_recording(-1):
            self._attribute_dict()["_op"] = _op
        if label:
            self.label = label

    # the number and the gradient

    @property
    def data(self) -> float:
        """The number, a float. It may be set; whoever was computed from it stays as it is."""
        return self._in_use(lib.shared_data(self._index))

    @data.setter
    def data(self, data: Number) -> None:
        if lib.shared_set_data(self._index, number(data)) < 0:
            raise error()

    @property
    def grad(self) -> float:
        """The gradient, a float: what the `backward()` calls so far have added up to."""
        return self._in_use(lib.shared_grad(self._index))

    @grad.setter
    def grad(self, grad: Number) -> None:
        if lib.shared_set_grad(self._index, number(grad)) < 0:
            raise error()

    def _in_use(self, x: float) -> float:
        if x != x and lib.shared_is_stale(self._index):
            raise stale()
        return x

    # the operations

    __add__ = _binary(lib.OP_ADD, "+", "__add__", lib.shared_add)
    __mul__ = _binary(lib.OP_MUL, "*", "__mul__", lib.shared_mul)
    relu = _unary(lib.OP_RELU, "ReLU", "relu", pure.Value.relu.__doc__)
    tanh = _unary(lib.OP_TANH, "tanh", "tanh", pure.Value.tanh.__doc__)
    exp = _unary(lib.OP_EXP, "exp", "exp", pure.Value.exp.__doc__)
    log = _unary(lib.OP_LOG, "log", "log", pure.Value.log.__doc__)
    sigmoid = _unary(lib.OP_SIGMOID, "sigmoid", "sigmoid", pure.Value.sigmoid.__doc__)
    sqrt = _unary(lib.OP_SQRT, "sqrt", "sqrt", pure.Value.sqrt.__doc__)
    sin = _unary(lib.OP_SIN, "sin", "sin", pure.Value.sin.__doc__)
    cos = _unary(lib.OP_COS, "cos", "cos", pure.Value.cos.__doc__)
    __abs__ = _unary(lib.OP_ABS, "abs", "__abs__")

    _power = _binary(lib.OP_POWER, "**", "_power")
    OP_NAMES[lib.OP_POW] = "**k"

    def __pow__(self, other: Value | Number) -> Value:  # self ** other
        if isinstance(other, Value):
            return self._power(other)
        if not is_number(other):
            return NotImplemented
        is_integer = hasattr(type(other), "__index__")
        return _handle(lib.shared_pow(self._index, number(other), is_integer))

    def __rpow__(self, other: Number) -> Value:  # other ** self
        if not is_number(other):
            return NotImplemented
        return _handle(lib.shared_number_binary(lib.OP_POWER, number(other), self._index))

    # the operators that are made of others

    def __neg__(self) -> Value:  # -self
        return _handle(lib.shared_neg(self._index))

    def __sub__(self, other: Value | Number) -> Value:  # self - other
        if isinstance(other, Value):
            return _handle(lib.shared_sub(self._index, other._index))
        if not is_number(other):
            return NotImplemented
        return _handle(lib.shared_binary_number(lib.OP_ADD, self._index, -number(other)))

    def __truediv__(self, other: Value | Number) -> Value:  # self / other
        if isinstance(other, Value):
            return _handle(lib.shared_div(self._index, other._index))
        if not is_number(other):
            return NotImplemented
        inverse = pure.power(number(other), -1.0)
        return _handle(lib.shared_binary_number(lib.OP_MUL, self._index, inverse))

    def __radd__(self, other: Number) -> Value:  # other + self
        return self.__add__(other)

    def __rmul__(self, other: Number) -> Value:  # other * self
        return self.__mul__(other)

    def __rsub__(self, other: Number) -> Value:  # other - self
        if not is_number(other):
            return NotImplemented
        return _handle(lib.shared_rsub(self._index, number(other)))

    def __rtruediv__(self, other: Number) -> Value:  # other / self
        if not is_number(other):
            return NotImplemented
        return _handle(lib.shared_rdiv(self._index, number(other)))

    # comparisons go by the number; == is "the same node"

    __lt__ = _comparison("__lt__")
    __le__ = _comparison("__le__")
    __gt__ = _comparison("__gt__")
    __ge__ = _comparison("__ge__")

    def __eq__(self, other: object) -> bool:
        return self._index == other._index if isinstance(other, Value) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._index)

    __array_ufunc__ = None  # NumPy's numbers shall leave the operators to us

    def __float__(self) -> float:
        return self.data

    def __repr__(self) -> str:
        return f"Value(data={self.data}, grad={self.grad})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from .graph import notebook_picture  # a notebook shows a Value as its graph

        return notebook_picture(self)

    def detach(self) -> Value:
        """Return a new Value with this number and no graph below it."""
        return _handle(lib.shared_leaf(self.data))

    # the graph

    @property
    def _prev(self) -> tuple[Value, ...]:
        """The operands, a tuple of Values; the same objects each time while they are kept."""
        operands = ffi.new("Index[]", 2)
        n = lib.shared_operands(self._index, operands, 2)
        if n > 2:
            operands = ffi.new("Index[]", n)
            lib.shared_operands(self._index, operands, n)
        return tuple([_known_handle(operands[i]) for i in range(n)])

    @property
    def _op(self) -> str:
        """The operation that made this node: "+", "*", "**-1", "tanh" ...; "" for a leaf."""
        op = lib.shared_op(self._index)
        if op == lib.OP_POW:
            is_integer = ffi.new("int *")
            k = lib.shared_exponent(self._index, is_integer)
            return f"**{int(k)}" if is_integer[0] else f"**{k}"
        if op in OP_NAMES:
            return OP_NAMES[op]
        return _attributes.get(self._index, {}).get("_op", "")

    # the passes

    def backward(self) -> None:
        if lib.shared_backward(self._index) < 0:
            if not is_user_fault():
                raise error()
            _backward_with_functions(self)

    backward.__doc__ = pure.Value.backward.__doc__

    def forward(self) -> None:
        if lib.shared_forward(self._index) < 0:
            if not is_user_fault():
                raise error()
            _forward_with_functions(self)

    forward.__doc__ = pure.Value.forward.__doc__

    @property
    def _backward(self) -> Callable[[], object]:
        """Call it to run this node's own rule once; set it to a function to replace the rule."""
        attributes = _attributes.get(self._index, {})
        return _mended(attributes.get("_backward", self._run_rule), self)

    @_backward.setter
    def _backward(self, function: Callable[[], object]) -> None:
        self._attribute_dict()["_backward"] = _kept(function, self)
        lib.shared_set_function(self._index, 1)

    @_backward.deleter
    def _backward(self) -> None:
        if "_backward" not in _attributes.get(self._index, {}):
            raise AttributeError("this Value has no _backward of its own")
        del _attributes[self._index]["_backward"]
        lib.shared_set_function(self._index, 0)

    def _run_rule(self) -> None:
        if lib.shared_node_backward(self._index) < 0:
            raise error()

    # all other attributes: of the node, not of this handle. A name that is new gets a
    # descriptor; a __getattr__ would make every access to every attribute slower

    def _attribute_dict(self) -> dict[str, Any]:
        attributes = _attributes.get(self._index)
        if attributes is None:
            if lib.shared_set_watched(self._index) < 0:
                raise error()
            attributes = _attributes.setdefault(self._index, {})
        return attributes

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _Slots.__slots__:
            raise AttributeError(f"the attribute {name!r} of a Value cannot be set")
        if not hasattr(type(self), name):
            if name.startswith("__") and name.endswith("__"):  # they would be every Value's
                raise AttributeError(f"the special attribute {name!r} of a Value cannot be set")
            setattr(Value, name, _Attribute(name))
        object.__setattr__(self, name, value)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

        __iter__: None  # but a Value is no list, and no integer
        __index__: None

    def __delattr__(self, name: str) -> None:
        if name in _Slots.__slots__:
            raise AttributeError(f"the attribute {name!r} of a Value cannot be deleted")
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        others = {name for name, x in vars(Value).items() if type(x) is _Attribute}
        own = _attributes.get(self._index, {})
        return [*(name for name in super().__dir__() if name not in others), *own]

    def __reduce__(self) -> tuple[Any, ...]:
        pure.check_copied(self)
        attributes = {name: getattr(self, name) for name in _attributes.get(self._index, {})}
        attributes.update(getattr(self, "__dict__", {}))  # of a subclass that has names of its own
        return _leaf, (type(self), self.data, self.grad, _moments(self)), attributes

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        for name, x in attributes.items():
            if name == "_op":
                self._attribute_dict()[name] = x
            else:
                setattr(self, name, x)

    @property
    def _is_leaf(self) -> bool:
        return lib.shared_op(self._index) == lib.OP_LEAF


_set_index = vars(_Slots)["_index"].__set__
_set_del = vars(_Slots)["__del__"].__set__


def _leaf(kind: type[Value], data: float, grad: float, moments: list[float] | None) -> Value:
    """Make a leaf again from what `Value.__reduce__` took down."""
    leaf = kind.__new__(kind)
    Value.__init__(leaf, data)
    leaf.grad = grad
    if moments is not None:
        if lib.shared_adamw_init([leaf._index], 1) < 0:
            raise error()
        leaf.m, leaf.v = moments
    return leaf


# -----------------------------------------------------------------------------
# the passes over graphs that have functions of the user's in them


class _Nodes:
    """All nodes below root in topological order, and their numbers as they were."""

    def __init__(self, root: Value, forward: bool) -> None:
        self.root = root  # keeps them alive
        self.n = lib.shared_walk(root._index, forward, ffi.NULL, 0)
        self.order = ffi.new("Index[]", self.n)
        if not self.n or not lib.shared_walk(root._index, forward, self.order, self.n):
            raise error()
        self.data = ffi.new("double[]", self.n)
        self.grad = ffi.new("double[]", self.n)
        lib.shared_get_all(self.order, self.n, self.data, self.grad)

    def restore(self) -> None:
        lib.shared_set_all(self.order, self.n, self.data, self.grad)

    def __getitem__(self, position: int) -> Value:
        """Return a handle on the node there."""
        lib.shared_hold(self.order[position])
        return _known_handle(self.order[position])


def _backward_with_functions(root: Value) -> None:
    nodes = _Nodes(root, forward=False)
    try:
        root.grad = 1.0
        position = nodes.n
        while True:
            position = lib.shared_backward_until(nodes.order, position)
            if position == -1:
                return
            if position == -2:
                raise error()
            nodes[position]._backward()
    except BaseException:
        nodes.restore()
        raise


def _forward_with_functions(root: Value) -> None:
    nodes = _Nodes(root, forward=True)
    try:
        position = 0
        while True:
            position = lib.shared_forward_until(nodes.order, position, nodes.n)
            if position == nodes.n:
                break
            if position == -2:
                raise error()
            node = nodes[position]
            if not hasattr(node, "_forward"):
                raise ValueError(
                    f"forward() cannot recompute the user node {node._op!r}: "
                    "set its _forward to a function that returns its number"
                )
            node.data = node._forward()
            position += 1
        lib.shared_forget_gradients(nodes.order, nodes.n)
    except BaseException:
        nodes.restore()
        raise


def live_nodes() -> int:
    """Return how many nodes are alive on the tape."""
    return lib.shared_live()
