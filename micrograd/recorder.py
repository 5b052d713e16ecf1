"""recorded: functions that are recorded once and replayed with other numbers, for both engines.

The first call with arguments of a *shape* (how lists are nested, how long they are, what is an
int, what a float, and all constants) runs the function. Its ints are `Integer`s and its floats
leaf Values, the inputs. A `Recorder` notes these inputs, and the choices: nodes of `take` and
`cross_entropy` whose operand an Integer chooses. What it noted becomes a `Recording` of the
engine, and each later call of that shape only runs that, with other numbers.
"""

from __future__ import annotations

import functools
import inspect
import types
from _thread import get_ident
from collections import OrderedDict, namedtuple
from numbers import Integral, Real
from operator import index

from .grad_mode import (
    current_recorder,
    is_recording,
    no_grad_blocks,
    recorder_blocks,
    recording_into,
)
from .recording_errors import refused
from .shown import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence
    from typing import Any, NoReturn

    from .types import RecordedDecorator, Recording

__all__ = ["CacheInfo", "Choice", "Integer", "check_choices", "check_range", "make_recorded"]

# -----------------------------------------------------------------------------
# integers that change


def _refusing(what: str) -> Callable[..., NoReturn]:
    def method(self: Integer, *others: object) -> NoReturn:
        raise refused(what)

    return method


class Integer:
    """An int argument of a recorded function, while that is recorded: the next call has another.

    It is what `take` and `cross_entropy` take. All that Python's own ints can do is a
    RecordingError, which says what to write instead.
    """

    __slots__ = ("_number", "_position", "_recorder")

    def __init__(self, recorder: Recorder, position: int, number: int) -> None:
        self._recorder, self._position, self._number = recorder, position, number

    @property
    def number(self) -> int:
        """What it is in the call that is being recorded. RecordingError in any other."""
        if self._recorder is not current_recorder():
            raise refused("other")
        return self._number

    def choose(self, rows: list[list[Any]], takes: list[Any], kind: str) -> None:
        """Note that it chooses one of the rows, whose items are the operands of these nodes.

        The kind is "index" or "target": what it is called when it is out of range.
        """
        self._recorder.choices.append(Choice(self._position, rows, takes, kind))

    def __repr__(self) -> str:
        return "<a changing int>"

    def __copy__(self) -> Integer:
        return self

    def __deepcopy__(self, memo: object) -> Integer:
        return self

    __reduce_ex__ = _refusing("copy int")
    __index__ = _refusing("index")
    __hash__ = _refusing("hash")
    __bool__ = _refusing("bool int")
    __str__ = __format__ = _refusing("text")
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refusing("compare int")
    __int__ = __float__ = __complex__ = __trunc__ = __round__ = __floor__ = __ceil__ = _refusing(
        "number"
    )
    __neg__ = __pos__ = __abs__ = __invert__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = (
        __rmul__
    ) = __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = (
        __divmod__
    ) = __rdivmod__ = __pow__ = __rpow__ = __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = (
        __and__
    ) = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = _refusing("number")


class Choice(namedtuple("Choice", "position rows takes kind")):
    """What an int argument chooses."""

    __slots__ = ()

    position: int  # of the argument, among the ints
    rows: list[list[Any]]  # of Values; it says which row
    takes: list[Any]  # the nodes: the operand of takes[j] is rows[...][j]
    kind: str  # "index" or "target"


_CHOSEN_FROM = {"index": "items", "target": "logits"}
_ONE_CLASS = (
    ": a model with one output has one class, 0. Give it an output for each class, as in "
    "MLP(2, [16, 2]), and number the labels 0, 1 ...; or compute a loss of the output yourself, "
    "for labels 0 and 1 or -1 and 1, as accuracy does take them"
)


def check_range(i: int, n: int, kind: str) -> None:
    """Raise an IndexError with both numbers unless i, an index or a target, is in range(n)."""
    if not 0 <= i < n:
        message = f"{kind} {i} is out of range for {n} {_CHOSEN_FROM[kind]}"
        if kind == "target" and n > 0:
            message += _ONE_CLASS if n == 1 else f": labels are 0 to {n - 1}"
        raise IndexError(message)


def check_choices(choices: Iterable[Choice], integers: Sequence[int]) -> None:
    """Raise an IndexError unless the ints choose rows that are there."""
    for position, rows, _, kind in choices:
        check_range(integers[position], len(rows), kind)


# -----------------------------------------------------------------------------
# arguments, by their shape. The shape of an int is int, of a float float, of a list
# (list, *shapes of its items), or (list, 3, int) if its items are three ints, of a Value
# ("Value", its id), of a constant ("constant", its type, itself)


def _shape(x: Any, kind: type, floats: list[float], integers: list[int]) -> Any:
    """Return an argument's shape; add its ints and floats to the lists.

    The kind is the engine's Value.
    """
    cls = type(x)
    if cls is list or cls is tuple:
        classes = set(map(type, x))
        if classes == _INT:
            integers += x
            return (cls, len(x), int)
        if classes == _FLOAT:
            floats += x
            return (cls, len(x), float)
        shapes = [_shape(item, kind, floats, integers) for item in x]
        for one in (int, float):  # NumPy's are among them
            if shapes and all(shape is one for shape in shapes):
                return (cls, len(x), one)
        return (cls, *shapes)
    if cls is int:
        integers.append(x)
        return int
    if cls is float:
        floats.append(x)
        return float
    if isinstance(x, kind):
        return ("Value", id(x))
    if _is_int(x):
        integers.append(index(x))
        return int
    if _is_float(x):
        floats.append(float(x))
        return float
    if hasattr(cls, "__next__"):
        raise TypeError(f"a recorded function cannot take an iterator, {cls.__name__}: pass a list")
    try:
        hash(x)
    except TypeError:
        raise TypeError(
            f"a recorded function takes ints, floats, lists and tuples of them, Values, and "
            f"constants, which have to be hashable, and {cls.__name__} is not: pass lists "
            f"instead, such as array.tolist() or list(d.values())"
        ) from None
    return ("constant", cls, x)


_INT, _FLOAT = {int}, {float}


def _is_int(x: object) -> bool:
    return isinstance(x, Integral) and not isinstance(x, bool)  # NumPy's integers, too


def _is_float(x: object) -> bool:
    return isinstance(x, Real) and not isinstance(x, Integral)


class Recorder:
    """Notes what may change in the function that is being recorded.

    Attributes:
        integers: the int arguments, in order. inputs: the Values that stand for the floats, in
        order. choices: what the ints choose. values: the Values among the arguments.
    """

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.integers: list[Integer] = []
        self.inputs: list[Any] = []
        self.choices: list[Choice] = []
        self.values: list[Any] = []

    def argument(self, x: Any) -> Any:
        """Return what the function is given for an argument."""
        cls = type(x)
        if cls is list or cls is tuple:
            return cls([self.argument(item) for item in x])
        if isinstance(x, self.kind):
            self.values.append(x)
        elif _is_int(x):
            self.integers.append(Integer(self, len(self.integers), index(x)))
            return self.integers[-1]
        elif _is_float(x):
            self.inputs.append(self.kind(float(x)))
            return self.inputs[-1]
        return x


# -----------------------------------------------------------------------------
# recorded functions


class CacheInfo(namedtuple("CacheInfo", "hits misses maxsize currsize")):
    """What `cache_info()` returns, as that of functools.lru_cache."""

    __slots__ = ()

    hits: int
    misses: int
    maxsize: int | None
    currsize: int


class _Entry(namedtuple("_Entry", "recording leaves values result")):
    """What is kept of the first call of a shape.

    The result is the last field because a tuple releases its last item first. When nothing else
    refers to the result, the recording then need not write its numbers to the nodes.
    """

    __slots__ = ()

    recording: Recording
    leaves: list[tuple[Any, Any]]  # under no_grad: the results, and the Values they show
    values: list[Any]  # whose ids are in the shape
    result: Any  # what each call returns


def _values_in(result: Any, kind: Any) -> list[Any]:
    """List the Values in what a function has returned, or raise a TypeError."""
    if isinstance(result, kind):
        return [result]
    if type(result) is list or type(result) is tuple:
        return [v for item in result for v in _values_in(item, kind)]
    raise TypeError(
        f"a recorded function must return a Value, or lists and tuples of Values, not "
        f"{shown(result)}"
    )


class RecordedFunction:
    """What `recorded` makes of a function."""

    __wrapped__: Callable[..., Any]
    __qualname__: str

    def __init__(
        self,
        function: Callable[..., Any],
        maxsize: int | None,
        kind: Any,
        new_recording: Callable[..., Recording],
    ) -> None:
        functools.update_wrapper(self, function)
        self._maxsize = maxsize
        self._kind, self._new_recording = kind, new_recording
        self.cache_clear()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if recorder_blocks and current_recorder() is not None:  # it is a part of the other one
            return self.__wrapped__(*args, **kwargs)
        kind = self._kind
        floats: list[float] = []
        integers: list[int] = []
        shapes: list[Any] = [get_ident(), not no_grad_blocks or is_recording()]
        for x in args:
            shapes.append(_shape(x, kind, floats, integers))
        for name in kwargs:
            shapes += name, _shape(kwargs[name], kind, floats, integers)
        key = tuple(shapes)
        # taken out while it runs: a user's _forward may call the function again
        entry = self._entries.pop(key, None)
        if entry is None:
            entry = self._record(args, kwargs)
            self._keep(key, entry)
            self._misses += 1
            return entry.result
        recording, leaves, _, result = entry
        try:
            recording.run(floats, integers)
        finally:
            self._keep(key, entry)
        for leaf, v in leaves:
            leaf.data, leaf.grad = v.data, 0.0
        self._hits += 1
        return result

    def _keep(self, key: Hashable, entry: _Entry) -> None:
        self._entries[key] = entry  # it is now the last one to be dropped
        while self._maxsize is not None and len(self._entries) > self._maxsize:
            try:
                self._entries.popitem(last=False)
            except (KeyError, RuntimeError):  # on PyPy another thread can be in the middle of it
                continue

    def _record(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Entry:
        kind, recorder = self._kind, Recorder(self._kind)
        args = tuple([recorder.argument(x) for x in args])
        kwargs = {name: recorder.argument(kwargs[name]) for name in kwargs}
        try:
            with recording_into(recorder):
                result = self.__wrapped__(*args, **kwargs)
            outputs = _values_in(result, kind)
            recording = self._new_recording(outputs, recorder.inputs, recorder.choices)
        finally:  # Integers refer to the recorder: else the graph waits for the collector
            recorder.integers, recorder.inputs, recorder.choices = [], [], []
        leaves: dict[int, tuple[Any, Any]] = {}
        if not is_recording():
            # of operands, which no_grad leaves out: so backward() can tell what they are
            leaves = {id(v): (kind(v.data, (v,)), v) for v in outputs if not v._is_leaf}
            result = _replaced(result, leaves)
        return _Entry(recording, [*leaves.values()], recorder.values, result)

    def cache_clear(self) -> None:
        """Drop all recordings, and count from 0 again."""
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._hits = self._misses = 0

    def cache_info(self) -> CacheInfo:
        """Return (hits, misses, maxsize, currsize): replays, first calls, and recordings kept.

        A call that raises is not counted.
        """
        return CacheInfo(self._hits, self._misses, self._maxsize, len(self._entries))

    def cache_parameters(self) -> dict[str, int | None]:
        """Return a dict of what `recorded` was given: {"maxsize": ...}."""
        return {"maxsize": self._maxsize}

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    # copies and pickles are by name, as those of functions

    def __copy__(self) -> RecordedFunction:
        return self

    def __deepcopy__(self, memo: object) -> RecordedFunction:
        return self

    def __reduce__(self) -> str:
        return self.__qualname__

    def __repr__(self) -> str:
        return f"<recorded {self.__wrapped__!r}>"


def _replaced(result: Any, leaves: dict[int, tuple[Any, Any]]) -> Any:
    """Return the same lists and tuples with leaves in place of the Values that have one."""
    if type(result) is list or type(result) is tuple:
        return type(result)([_replaced(item, leaves) for item in result])
    return leaves[id(result)][0] if id(result) in leaves else result


def _check_function(function: Any) -> None:
    if isinstance(function, type):
        raise TypeError(f"recorded decorates functions, not the class {function.__name__}")
    if not callable(function):
        raise TypeError(f"recorded decorates functions, not {shown(function)}")
    for is_one, what in (
        (inspect.iscoroutinefunction, "coroutine function"),
        (inspect.isgeneratorfunction, "generator function"),
        (inspect.isasyncgenfunction, "asynchronous generator function"),
    ):
        if is_one(function):
            raise TypeError(f"recorded decorates plain functions, not the {what} {shown(function)}")


def make_recorded(kind: Any, new_recording: Callable[..., Recording]) -> RecordedDecorator:
    """Make the decorator `recorded` of an engine.

    Args:
        kind: the engine's Value.
        new_recording: called with the outputs, the inputs and the choices of a function that
            has been recorded, three lists; returns the Recording.
    """

    def recorded(function: Any = None, *, maxsize: int | None = 128) -> Any:
        if maxsize is not None:
            try:
                maxsize = index(maxsize)
            except TypeError:
                raise TypeError(
                    f"maxsize must be an integer or None, not {shown(maxsize)}"
                ) from None
            if maxsize < 1:
                raise ValueError(f"maxsize must be at least 1, not {maxsize}")
        if function is None:
            return functools.partial(recorded, maxsize=maxsize)
        _check_function(function)
        return RecordedFunction(function, maxsize, kind, new_recording)

    recorded.__doc__ = _DOC
    recorded.__qualname__ = "recorded"
    return recorded


_DOC = """Record a function once for each shape of its arguments, and replay it from then on.

    The first call runs the function and keeps the graph. A call with arguments of the same
    shape puts its numbers into that graph and computes it anew, as `forward()` does: results
    and gradients are those that running the function, with Values for its floats, would give,
    bit for bit.

    Args of the function:
        ints: they may change from call to call. Inside the function they are no ordinary ints:
            `take(items, i)` looks one up, and `cross_entropy(logits, i)` takes one as target.
        floats: they may change, too. Inside they are Values.
        lists and tuples of these, nested: their lengths are part of the shape.
        Values: part of the shape. Their present data count at each call.
        anything else that is hashable, such as a bool, a str or a module: a constant. There is
            one recording for each, told apart by == as in a dict.
        NumPy's integers and floats are ints and floats; its arrays have to be made lists.

    Args:
        function: returns a Value, or lists and tuples of Values, nested.
        maxsize: how many recordings to keep: of the shapes that were called last. None: all. A
            recording keeps its graph, and the Values and constants among its arguments.

    Returns:
        The function that records and replays, with `cache_info()`, `cache_clear()`,
        `cache_parameters()` and `__wrapped__` as functools.lru_cache has them.

    THE RESULTS ARE THE SAME OBJECTS at every call of one shape: the next call changes their
    data, and sets their gradients to 0. So `f(a) + f(b)` adds f(b) to itself if a and b have
    one shape: take `f(a).data`, or `f(a).detach()`, before the next call. (Each thread has
    recordings of its own.)

    What the function reads besides its arguments and Values is as it was at the first call:
    numbers in variables outside, attributes of a constant argument, random numbers. Values that
    were computed outside are computed anew with it, as `forward()` does.

    Under no_grad the results are leaves, and a call only evaluates. A recorded function that is
    called inside another one is recorded as a part of that.

    Raises:
        RecordingError: in the first call the function does what a replay could not repeat: reads
            or sets a Value's number, compares, makes text of it, calls backward(), or uses an
            int argument as an ordinary int. The message says where, and what to write instead.
        TypeError: an argument is neither of these and not hashable, or what the function
            returns is no Value; or, when decorating, it is a coroutine or generator
            function or a class.
        IndexError: an int is out of range of what it chooses from.
        ValueError: maxsize is below 1; its being no integer is a TypeError.
        What the function raises, and in later calls what `forward()` does. A later call that
        raises changes no number. What raises is not counted.

    Example:
        >>> table = [Value(2.0), Value(3.0)]
        >>> @recorded
        ... def f(i, x):
        ...     return take(table, i) * x
        >>> f(0, 10.0)
        Value(data=20.0, grad=0.0)
        >>> f(1, 0.5)
        Value(data=1.5, grad=0.0)
    """
