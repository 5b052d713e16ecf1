"""The whole of micrograd in plain Python, to be read in one sitting.

This engine says what the right answer is. The compiled one (`micrograd.compiled`) has
the same public names and gives the same numbers, bit for bit; the tests hold the two
against each other. Use it when there is no compiler, or to look how something works:

    from micrograd.pure import Value
    a, b = Value(2.0), Value(-3.0)
    c = a * b + a**2
    c.backward()
    print(c.data, a.grad, b.grad)  # -2.0 1.0 2.0

It follows the micrograd module of the LLM101n course (EurekaLabsAI/micrograd) and
Andrej Karpathy's micrograd.
"""

from __future__ import annotations

import math
import operator

from . import recording
from .recorded import Integer, check_choices, check_range, make_recorded
from .recording import RecordingError, _recorders, is_recording, no_grad, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:  # never run: type checkers alone take it for True
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, SupportsIndex

    from .recorded import Choice
    from .types import (
        AnyValue,
        Model,
        Number,
        Parts,
        Path,
        Point,
        Split,
        State,
        SupportsUniform,
        T,
    )

__all__ = [
    "Value", "no_grad",
    "dot", "linear", "softmax", "take",
    "RNG", "gen_data", "gen_data_circles", "gen_data_yinyang",
    "Module", "Neuron", "Layer", "MLP", "load",
    "cross_entropy", "mean_cross_entropy", "eval_split",
    "Adam", "AdamW", "SGD",
    "recorded", "RecordingError",
]

# -----------------------------------------------------------------------------
# What we take for a number


def number(x: Number) -> float:
    """Return x as a float, or raise a TypeError if it is not a number.

    Whatever converts is welcome: int, Fraction, NumPy scalars. Text, None, complex
    numbers, lists and arrays are not, and neither is a Value, which would silently
    lose its graph.
    """
    if isinstance(x, float):  # NumPy's float64 is one, too
        return float.__float__(x)
    if hasattr(type(x), "backward"):
        refuse("float")
        raise TypeError(f"expected a plain number, not {x!r}; x.data is its number")
    if not is_number(x):
        raise TypeError(f"expected a number, not {type(x).__name__}: {x!r}")
    return float(x)


def is_number(x: object) -> bool:
    """Tell whether `number(x)` would take x."""
    if isinstance(x, float) or type(x) is int:
        return True
    converts = hasattr(type(x), "__float__") or hasattr(type(x), "__index__")
    return converts and not hasattr(type(x), "__len__") and not hasattr(type(x), "backward")


def count(n: SupportsIndex, what: str, least: int = 0) -> int:
    """Return n as an int, or raise a TypeError or a ValueError that names `what`."""
    try:
        n = int(operator.index(n))  # which Python 3.9 leaves a bool if it is one
    except TypeError:
        raise TypeError(f"{what} must be an integer, not {n!r}") from None
    if n < least:
        raise ValueError(f"{what} must be at least {least}, not {n}")
    return n


# -----------------------------------------------------------------------------
# The arithmetic: each operation, and its slopes. Python's own floats raise where there
# is no result, and so do these, with the numbers in the message.


def divide(x: float, y: float) -> float:
    """x / y, or ZeroDivisionError."""
    if y == 0:
        raise ZeroDivisionError(f"{x!r} / {y!r}: division by zero")
    return x / y


def power(x: float, k: float) -> float:
    """x ** k among the real numbers, or ZeroDivisionError, OverflowError, ValueError."""
    try:
        return math.pow(x, k)  # the C library's; PyPy takes x*x for x**2
    except OverflowError:
        raise OverflowError(f"{x!r} ** {k!r} is too large for a float") from None
    except ValueError:
        if x == 0 and k == -math.inf:
            return math.inf  # so says x**k, and math.pow from Python 3.11 on
        if x == 0:
            raise ZeroDivisionError(f"{x!r} ** {k!r}: zero has no negative power") from None
        message = f"{x!r} ** {k!r}: a negative number has no real fractional power"
        raise ValueError(message) from None


def exp(x: float) -> float:
    """e ** x, or OverflowError."""
    try:
        return math.exp(x)
    except OverflowError:
        raise OverflowError(f"exp({x!r}) is too large for a float") from None


def log(x: float) -> float:
    """The natural logarithm of x, or ValueError."""
    if x <= 0:
        raise ValueError(f"log({x!r}): only positive numbers have a logarithm")
    return math.log(x)


def sqrt(x: float) -> float:
    """The square root of x, or ValueError."""
    if x < 0:
        raise ValueError(f"sqrt({x!r}): a negative number has no real square root")
    return math.sqrt(x)


def sin(x: float) -> float:
    """The sine of x radians, or ValueError."""
    if math.isinf(x):
        raise ValueError(f"sin({x!r}): an infinite angle has no sine")
    return math.sin(x)


def cos(x: float) -> float:
    """The cosine of x radians, or ValueError."""
    if math.isinf(x):
        raise ValueError(f"cos({x!r}): an infinite angle has no cosine")
    return math.cos(x)


def sigmoid(x: float) -> float:
    """1 / (1 + e**-x), and another form of the same where e**-x is too large for a float."""
    try:
        return 1 / (1 + math.exp(-x))
    except OverflowError:
        return math.exp(x) / (1 + math.exp(x))


def relu(x: float) -> float:
    """x, or 0 where x is negative."""
    return 0.0 if x < 0 else x


def power_slope(x: float, out: float) -> float:
    """How fast out = x ** k moves with k: nan for a negative x, where it is not real."""
    return out * log(x) if x > 0 else 0.0 if x == 0 else math.nan


# Every operation in a line: its name, how to compute it from the operands' data, and
# its slopes, one for each operand: how much the result grows per unit of the operand.
# That is all that backpropagation has to know about it.
RULES: dict[str, tuple[Callable[..., float], Callable[..., tuple[float, ...]]]] = {
    "+": (lambda a, b: a + b, lambda a, b, out: (1.0, 1.0)),
    "*": (lambda a, b: a * b, lambda a, b, out: (b, a)),
    "**k": (power, lambda a, k, out: (k * power(a, k - 1),)),
    "**": (power, lambda a, b, out: (b * power(a, b - 1), power_slope(a, out))),
    "ReLU": (relu, lambda a, out: (float(out > 0),)),
    "tanh": (math.tanh, lambda a, out: (1 - power(out, 2.0),)),
    "exp": (exp, lambda a, out: (out,)),
    "log": (log, lambda a, out: (divide(1.0, a),)),
    "sigmoid": (sigmoid, lambda a, out: (out * (1 - out),)),
    "sqrt": (sqrt, lambda a, out: (divide(1.0, 2 * out),)),
    "sin": (sin, lambda a, out: (cos(a),)),
    "cos": (cos, lambda a, out: (-sin(a),)),
    "abs": (math.fabs, lambda a, out: (float((a > 0) - (a < 0)),)),
    "take": (lambda a: a, lambda a, out: (1.0,)),
}

# -----------------------------------------------------------------------------
# Value


class Value:
    """A number that remembers how it was computed, and its gradient.

    Args:
        data: the number. Ints and whatever else converts become a float.
        _prev: the Values it was computed from, if you make the node yourself. Set its
            `_backward` to a function that adds to their gradients, and its `_forward`
            to one that returns its number, if you want `forward()` to work. `children` and
            `_children` are other names for it.
        _op: what such a node is called in drawings; or its local gradients.
        label: a name for this Value, for drawings.
        local_grads: a tuple or a list of numbers, one for each operand: how much the node
            grows per unit of it. Then `backward()` adds number * grad to each operand's
            gradient, and there is no need for a `_backward`.

    Any further attribute may be set. `copy` and `pickle` make of a leaf another leaf with
    its data, grad and attributes, and of Values that are shared one that is shared. What is
    computed from others has to be detached first.

    Raises:
        TypeError: data or a local gradient is no number, an operand no Value, or _op no text.
        ValueError: there are not as many local gradients as operands.

    Example:
        >>> x = Value(3.0)
        >>> y = x * x
        >>> y.backward()
        >>> x.grad
        6.0
    """

    no_grad = recording.no_grad  # `with Value.no_grad():` is found in scripts, too

    label = ""  # shown in drawings
    _rule: str | None = None  # the name in RULES of the operation that made this node
    _exponent: float | None = None  # k, in a node a**k
    _slopes: tuple[float, ...] | None = None  # the local_grads of a node that has some
    # of a leaf that forward() recomputes: the function, and its Values
    _source: tuple[Callable[[Iterator[float]], float], list[Value]] | None = None

    def __init__(
        self,
        data: Number,
        _prev: Iterable[Value] = (),
        _op: str | Sequence[Number] = "",
        label: str = "",
        *,
        children: Iterable[Value] | None = None,
        _children: Iterable[Value] | None = None,
        local_grads: Sequence[Number] | None = None,
    ) -> None:
        x, slopes = number(data), None
        named = children is not None or _children is not None or local_grads is not None
        if named or not isinstance(_op, str):
            _prev, _op, slopes = check_node(_prev, _op, children, _children, local_grads)
        operands = tuple(_prev)
        for operand in operands:
            if not isinstance(operand, Value):
                raise TypeError(f"an operand must be a Value, not {operand!r}")
        self._data, self._grad = x, 0.0
        self._prev: tuple[Value, ...] = operands
        self._op = _op
        if not is_recording():
            self._prev = ()
            self._op = ""
        elif slopes is not None:
            self._slopes = slopes
        if label:
            self.label = label

    @property
    def data(self) -> float:
        """The number, a float. It may be set; what was computed from it stays as it is."""
        if _recorders:
            refuse("data")
        return self._data

    @data.setter
    def data(self, data: Number) -> None:
        if _recorders:
            refuse("set data")
        self._data = number(data)

    @property
    def grad(self) -> float:
        """The gradient, a float: what the `backward()` calls so far have added up to."""
        if _recorders:
            refuse("grad")
        return self._grad

    @grad.setter
    def grad(self, grad: Number) -> None:
        if _recorders:
            refuse("set grad")
        self._grad = number(grad)

    # recording

    def _record(self, rule: str, *others: Value) -> Value:
        operands = (self, *others)
        out = Value(RULES[rule][0](*[v._data for v in operands]), operands, rule)
        if out._prev:  # not under no_grad
            out._rule = rule
        return out

    def __add__(self, other: Value | Number) -> Value:  # self + other
        operand = _operand(other)
        return self._record("+", operand) if operand is not None else NotImplemented

    def __mul__(self, other: Value | Number) -> Value:  # self * other
        operand = _operand(other)
        return self._record("*", operand) if operand is not None else NotImplemented

    def __pow__(self, other: Value | Number) -> Value:  # self ** other
        if isinstance(other, Value):
            return self._record("**", other)
        if not is_number(other):
            return NotImplemented
        k = number(other)
        name = f"**{int(k)}" if hasattr(type(other), "__index__") else f"**{k}"
        out = Value(power(self._data, k), (self,), name)
        if out._prev:
            out._rule = "**k"
            out._exponent = k
        return out

    def __rpow__(self, other: Number) -> Value:  # other ** self
        operand = _operand(other)
        return operand._record("**", self) if operand is not None else NotImplemented

    def relu(self) -> Value:
        """max(0, self): the rectified linear unit. Its slope at 0 is 0."""
        return self._record("ReLU")

    def tanh(self) -> Value:
        """The hyperbolic tangent."""
        return self._record("tanh")

    def exp(self) -> Value:
        """e ** self. OverflowError above about 709.78."""
        return self._record("exp")

    def log(self) -> Value:
        """The natural logarithm. ValueError unless self is positive."""
        return self._record("log")

    def sigmoid(self) -> Value:
        """1 / (1 + e**-self), the logistic function; exact at any size of self."""
        return self._record("sigmoid")

    def sqrt(self) -> Value:
        """The square root. ValueError if self is negative."""
        return self._record("sqrt")

    def sin(self) -> Value:
        """The sine of self in radians. ValueError if self is infinite."""
        return self._record("sin")

    def cos(self) -> Value:
        """The cosine of self in radians. ValueError if self is infinite."""
        return self._record("cos")

    def __abs__(self) -> Value:  # abs(self); its slope at 0 is 0
        return self._record("abs")

    # the operators that are made of others

    def __neg__(self) -> Value:  # -self
        return self * -1

    def __sub__(self, other: Value | Number) -> Value:  # self - other
        if not isinstance(other, Value) and not is_number(other):
            return NotImplemented
        return self + (-other if isinstance(other, Value) else -number(other))

    def __truediv__(self, other: Value | Number) -> Value:  # self / other
        if not isinstance(other, Value) and not is_number(other):
            return NotImplemented
        return self * (other**-1 if isinstance(other, Value) else power(number(other), -1.0))

    def __radd__(self, other: Number) -> Value:  # other + self
        return self.__add__(other)

    def __rmul__(self, other: Number) -> Value:  # other * self
        return self.__mul__(other)

    def __rsub__(self, other: Number) -> Value:  # other - self
        return -self + other if is_number(other) else NotImplemented

    def __rtruediv__(self, other: Number) -> Value:  # other / self
        operand = _operand(other)
        return self**-1 * operand if operand is not None else NotImplemented

    # comparisons go by the number; == is "the same node", as for any Python object

    def __lt__(self, other: Value | Number) -> bool:
        return _compared(self) < _compared(other) if _comparable(other) else NotImplemented

    def __le__(self, other: Value | Number) -> bool:
        return _compared(self) <= _compared(other) if _comparable(other) else NotImplemented

    def __gt__(self, other: Value | Number) -> bool:
        return _compared(self) > _compared(other) if _comparable(other) else NotImplemented

    def __ge__(self, other: Value | Number) -> bool:
        return _compared(self) >= _compared(other) if _comparable(other) else NotImplemented

    __array_ufunc__ = None  # NumPy's numbers shall leave the operators to us

    def __float__(self) -> float:
        if _recorders:
            refuse("float")
        return self._data

    def __bool__(self) -> bool:  # there is a Value, whatever its number
        if _recorders:
            refuse("bool")
        return True

    def __repr__(self) -> str:
        if _recorders:
            refuse("repr")
        return f"Value(data={self.data}, grad={self.grad})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from .graph import notebook_picture  # a notebook shows a Value as its graph

        return notebook_picture(self)

    def detach(self) -> Value:
        """Return a new Value with this number and no graph below it."""
        if _recorders:
            refuse("detach")
        return Value(self._data)

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        if _recorders:
            refuse("copy")
        check_copied(self)
        return super().__reduce_ex__(max(2, protocol.__index__()))  # those below know no slots

    # the passes over the graph

    @property
    def _is_leaf(self) -> bool:
        return not self._prev and self._source is None

    def _numbers(self) -> list[float]:
        """The operands' data, as the rules want them."""
        numbers = [operand._data for operand in self._prev]
        return numbers if self._exponent is None else [*numbers, self._exponent]

    @property
    def _children(self) -> tuple[Value, ...]:
        """The operands, by another name that scripts use."""
        return self._prev

    @property
    def _local_grads(self) -> tuple[float, ...]:
        """How much this Value grows per unit of each operand; () if only the user knows."""
        if _recorders:
            refuse("local_grads")
        if self._rule is not None:
            return RULES[self._rule][1](*self._numbers(), self._data)
        return self._slopes or ()

    def _run_rule(self) -> None:
        """Run this node's own rule once: pass its gradient on to its operands."""
        for operand, slope in zip(self._prev, self._local_grads):
            operand._grad += slope * self._grad

    if TYPE_CHECKING:  # users may set `_backward`, and any other attribute
        _backward: Callable[[], object]

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, x: Any) -> None: ...
        def __delattr__(self, name: str) -> None: ...

        __iter__: None  # but a Value is no list, and no integer
        __index__: None

    else:
        _backward = _run_rule

    def backward(self) -> None:
        """Add to each Value below this one the derivative of this one with respect to it.

        Sets this Value's own grad to 1, then goes through the graph once, every node
        after all those computed from it. Calling it again adds again; set grads to 0
        between steps (`zero_grad`).

        Raises:
            ZeroDivisionError, OverflowError, ValueError: a derivative does not exist,
                like that of sqrt at 0. All grads are then as they were before.
        """
        if _recorders:
            refuse("backward")
        order = topological_order(self)
        before = _numbers_of(order)
        try:
            self._grad = 1.0
            for v in reversed(order):
                v._backward()
        except BaseException:
            _restore(order, before)
            raise

    def _recompute(self) -> float:
        if self._rule is not None:
            return RULES[self._rule][0](*self._numbers())
        if self._source is not None:
            function, values = self._source
            return function(v._data for v in values)
        if hasattr(self, "_forward"):
            return number(self._forward())
        raise ValueError(
            f"forward() cannot recompute the user node {self._op!r}: "
            "set its _forward to a function that returns its number"
        )

    def forward(self) -> None:
        """Recompute everything below this Value, and itself, from the leaves' present data.

        Each inner node gets the data that building the graph anew would give, and grad
        0; the leaves keep theirs. So a training loop may record its loss once and then
        call `loss.forward()` and `loss.backward()` in every step.

        Raises:
            What building the graph would raise. All data are then as they were before.
        """
        if _recorders:
            refuse("forward")
        recompute(topological_order(self, with_sources=True))


def recompute(order: list[Value]) -> None:
    """Recompute what is no leaf, in this order, and set its grad to 0; or leave all as it is."""
    before = _numbers_of(order)
    try:
        for v in order:
            if v._prev or v._source:
                v._data = v._recompute()
    except BaseException:
        _restore(order, before)
        raise
    for v in order:
        if v._prev or v._source:
            v._grad = 0.0


def _operand(x: Value | Number) -> Value | None:
    """x if it is a Value, a leaf with its number if it is a number, else None."""
    return x if isinstance(x, Value) else Value(x) if is_number(x) else None


def _comparable(x: object) -> bool:
    return isinstance(x, Value) or is_number(x)


def _compared(x: Value | Number) -> float:
    if _recorders:
        refuse("compare")
    return x._data if isinstance(x, Value) else number(x)


def check_op(op: object) -> str:
    """Return what a user's node is called, or raise a TypeError if it is no text."""
    if not isinstance(op, str):
        raise TypeError(
            f"in third place there is the name of an operation, a text, or a tuple or a list of "
            f"local gradients, not {op!r}"
        )
    return op


def check_node(
    _prev: Iterable[T],
    _op: object,
    children: Iterable[T] | None = None,
    _children: Iterable[T] | None = None,
    local_grads: object = None,
) -> tuple[tuple[T, ...], str, tuple[float, ...] | None]:
    """Bring the arguments of Value that have other names, and local gradients, into order.

    Returns:
        (operands, op, slopes). What the operands are is not looked at. The slopes are a tuple
        of as many floats, or None if there are no local gradients.

    Raises:
        What Value raises.
    """
    given = ["_prev"] if type(_prev) is not tuple or _prev else []
    for name, operands in ("children", children), ("_children", _children):
        if operands is not None:
            given.append(name)
            _prev = operands
    if len(given) > 1:
        raise TypeError(f"{' and '.join(given)} are one argument: give one of them")
    if isinstance(_op, (tuple, list)):
        if local_grads is not None:
            raise TypeError("local_grads was given twice: in the place of _op, and by name")
        _op, local_grads = "", _op
    operands = tuple(_prev)
    return operands, check_op(_op), check_slopes(local_grads, len(operands))


def check_slopes(slopes: object, n: int) -> tuple[float, ...] | None:
    """Return n local gradients as a tuple of floats, and None for None."""
    if slopes is None:
        return None
    if not isinstance(slopes, (tuple, list)):
        raise TypeError(f"local_grads must be a tuple or a list of numbers, not {slopes!r}")
    if len(slopes) != n:
        raise ValueError(f"{len(slopes)} local gradients were given for {n} operands")
    checked = []
    for i, x in enumerate(slopes):
        try:
            checked.append(number(x))
        except TypeError as problem:
            raise TypeError(f"local_grads[{i}]: {problem}") from None
    return tuple(checked)


def check_copied(v: AnyValue) -> None:
    """Raise a TypeError unless v, which is to be copied or pickled, is a leaf."""
    if not v._is_leaf:
        raise TypeError(
            "only leaves can be copied and pickled, and this Value is computed from "
            "others: copy its detach()"
        )


def _numbers_of(values: list[Value]) -> list[tuple[float, float]]:
    return [(v._data, v._grad) for v in values]


def _restore(values: list[Value], numbers: list[tuple[float, float]]) -> None:
    for v, (data, grad) in zip(values, numbers):
        v._data, v._grad = data, grad


def topological_order(*roots: Value, with_sources: bool = False) -> list[Value]:
    """List all Values below the roots: operands before their users, left before right.

    It is the post-order of a depth-first walk, without recursion: deep graphs are fine.
    With sources, what a leaf is recomputed from counts as its operand.
    """

    def operands_of(v: Value) -> Iterator[Value]:
        if with_sources and v._source:
            return iter(v._source[1])
        return iter(v._prev)

    order: list[Value] = []
    visited: set[int] = set()  # by identity: subclasses may have an == of their own
    for root in roots:
        if id(root) in visited:
            continue
        visited.add(id(root))
        stack = [(root, operands_of(root))]  # the nodes we are below, and where in each
        while stack:
            v, operands = stack[-1]
            for operand in operands:
                if id(operand) not in visited:
                    visited.add(id(operand))
                    stack.append((operand, operands_of(operand)))
                    break
            else:  # all operands are in the order: now it is v's turn
                order.append(v)
                stack.pop()
    return order


# -----------------------------------------------------------------------------
# Functions of many Values


def check_items(xs: Iterable[Any], what: str, kind: type[T]) -> list[T | float]:
    """Return a list of Values of this kind and floats, or raise a TypeError that names the item."""
    xs = list(xs)
    for i, x in enumerate(xs):
        if not isinstance(x, kind):
            try:
                xs[i] = number(x)
            except TypeError as problem:
                raise TypeError(f"{what}[{i}]: {problem}") from None
    return xs


def check_pairs(ws: Iterable[T], xs: Iterable[T]) -> tuple[list[T], list[T]]:
    """Return both as lists, or raise a ValueError that names their lengths if they differ."""
    ws, xs = list(ws), list(xs)
    if len(ws) != len(xs):
        raise ValueError(f"dot needs lists of one length, and was given {len(ws)} and {len(xs)}")
    return ws, xs


def dot(
    ws: Iterable[Value | Number], xs: Iterable[Value | Number], start: Value | Number = 0
) -> Value:
    """The sum of products `start + ws[0]*xs[0] + ws[1]*xs[1] + ...`, from left to right.

    Records what that expression would, node for node; with the compiled engine it is one
    call into C. All numbers are floats. They are added up as numbers until the first
    Value comes.

    Args:
        ws, xs: lists, or other iterables, of Values and numbers: as many of the one as
            of the other.
        start: a Value or a number.

    Returns:
        A Value. It is a leaf if there are numbers only, and `start` itself if that is a
        Value and the lists are empty.

    Raises:
        ValueError: the lists are not of one length; the message has both lengths.
        TypeError: an item is neither Value nor number; the message says which.

    Example:
        >>> w, x = [Value(2.0), Value(3.0)], [Value(-1.0), 0.5]
        >>> dot(w, x, start=1)
        Value(data=0.5, grad=0.0)
    """
    ws, xs = check_pairs(ws, xs)
    pairs = zip(check_items(ws, "ws", Value), check_items(xs, "xs", Value))
    total = start if isinstance(start, Value) else number(start)
    for w, x in pairs:
        total = total + w * x
    return total if isinstance(total, Value) else Value(total)


def sum(xs: Iterable[Value | Number], start: Value | Number = 0) -> Value:
    """The sum `start + xs[0] + xs[1] + ...`, from left to right.

    Records what Python's own sum would, node for node; with the compiled engine it is one
    call into C. All numbers are floats. They are added up as numbers until the first Value
    comes, one after the other: Python's own sum of floats corrects its rounding errors
    from Python 3.12 on, this one never does.

    `from micrograd import *` leaves Python's sum alone: this one is `micrograd.sum`.

    Args:
        xs: a list, or another iterable, of Values and numbers.
        start: a Value or a number.

    Returns:
        A Value. It is a leaf if there are numbers only, and `start` itself if that is a
        Value and the list is empty.

    Raises:
        TypeError: an item is neither Value nor number; the message says which.
    """
    items = check_items(xs, "xs", Value)
    total = start if isinstance(start, Value) else number(start)
    for x in items:
        total = total + x
    return total if isinstance(total, Value) else Value(total)


def linear(x: Iterable[Value | Number], w: Iterable[Iterable[Value | Number]]) -> list[Value]:
    """A matrix times a vector: the list of `dot(row, x)` for each row of w.

    Args:
        x: a list, or another iterable, of Values and numbers.
        w: a list of rows, each of as many Values and numbers.

    Returns:
        The list of as many Values as there are rows.

    Raises:
        ValueError: a row is not as long as x; the message has the row and both lengths.
        TypeError: an item is neither Value nor number; the message says which.

    Example:
        >>> linear([Value(2.0), 3.0], [[1.0, 0.0], [0.0, -1.0]])
        [Value(data=2.0, grad=0.0), Value(data=-3.0, grad=0.0)]
    """
    xs, rows = check_matrix(x, w, Value)
    return [dot(row, xs) for row in rows]


def check_matrix(
    x: Iterable[Any], w: Iterable[Any], kind: type[T]
) -> tuple[list[T | float], list[list[T | float]]]:
    """Return a list, and the list of rows that are as long, or raise what linear raises."""
    xs = check_items(x, "x", kind)
    rows = check_rows(w, "w", kind)
    for i, row in enumerate(rows):
        if len(row) != len(xs):
            raise ValueError(
                f"linear needs rows as long as x: w[{i}] has {len(row)} items, and x {len(xs)}"
            )
    return xs, rows


def check_rows(rows: Iterable[Any], what: str, kind: type[T]) -> list[list[T | float]]:
    """Return a list of lists of Values and floats, or raise a TypeError that names the item."""
    rows = list(rows)
    for i, row in enumerate(rows):
        if isinstance(row, kind) or is_number(row):
            raise TypeError(f"{what}[{i}] must be a row, a list, not {type(row).__name__}")
    return [check_items(row, f"{what}[{i}]", kind) for i, row in enumerate(rows)]


def take(items: Iterable[Any], i: SupportsIndex) -> Any:
    """The i-th Value of a list, or the i-th row of a list of rows, as nodes of their own.

    In a recorded function i may be an int argument, which changes from call to call: then
    this looks up another item each time, where `items[i]` could not.

    Args:
        items: a list, or another iterable, of Values and numbers; or of rows of those, all of
            one length.
        i: an integer from 0 up to below the number of items.

    Returns:
        A Value with the item's number, whose gradient goes to the item; or a list of them.

    Raises:
        IndexError: i is out of range; the message has both numbers.
        ValueError: the rows are not of one length; the message has both lengths.
        TypeError: i is no integer, something is neither Value nor number, or the items are in a
            dict or a set, where they have no positions.

    Example:
        >>> take([Value(2.0), Value(3.0)], 1)
        Value(data=3.0, grad=0.0)
    """
    rows, are_rows = check_table(items, Value)
    taken = _take(rows, i, "index")
    return taken if are_rows else taken[0]


def _take(rows: list[list[Value | float]], i: SupportsIndex, kind: str) -> list[Value]:
    n = check_index(i, len(rows), kind)
    if not isinstance(i, Integer):
        return [(v if isinstance(v, Value) else Value(v))._record("take") for v in rows[n]]
    values = [[v if isinstance(v, Value) else Value(v) for v in row] for row in rows]
    takes = [v._record("take") for v in values[n]]
    i.choose(values, takes, kind)  # for the next calls of the recorded function
    return takes


def check_order(items: Iterable[T]) -> list[T]:
    """Return the items as a list, or raise a TypeError if it is a dict or a set that has them."""
    if isinstance(items, (dict, set, frozenset)):
        raise TypeError(
            f"take goes by the position in a list, which a {type(items).__name__} has not: pass "
            f"{'list(d.values())' if isinstance(items, dict) else 'a list'}"
        )
    return list(items)


def check_table(items: Iterable[Any], kind: type[T]) -> tuple[list[list[T | float]], bool]:
    """Return what take chooses from as rows, and whether the items are rows, or raise."""
    items = check_order(items)
    if not items or isinstance(items[0], kind) or is_number(items[0]):
        return [[x] for x in check_items(items, "items", kind)], False
    rows = check_rows(items, "items", kind)
    for i, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"take needs rows of one length: items[0] has {len(rows[0])} items, "
                f"and items[{i}] {len(row)}"
            )
    return rows, True


def check_index(i: SupportsIndex, n: int, kind: str = "index") -> int:
    """Return an index, or a target, as an int, or raise an IndexError with it and n."""
    if isinstance(i, Integer):
        i = i.number
    try:
        i = operator.index(i)
    except TypeError:
        article = "an" if kind == "index" else "a"
        given = "a Value" if hasattr(type(i), "backward") else repr(i)
        raise TypeError(f"{article} {kind} must be an integer, not {given}") from None
    check_range(i, n, kind)
    return i


def softmax(xs: Iterable[Value | Number]) -> list[Value]:
    """The exponentials of xs, divided by their sum: scores as probabilities.

    Args:
        xs: a list, or another iterable, of Values and numbers.

    Returns:
        The list of as many Values, each from 0 to 1, which add up to 1. `forward()`
        finds the largest of xs again, as if the graph were built anew.

    Raises:
        ValueError: xs is empty.
        TypeError: an item is neither Value nor number.

    Example:
        >>> softmax([Value(0.0), Value(0.0)])
        [Value(data=0.5, grad=0.0), Value(data=0.5, grad=0.0)]
    """
    values = [x if isinstance(x, Value) else Value(x) for x in xs]
    if not values:
        raise ValueError("softmax needs at least 1 item, and was given 0")
    ex = _exponentials(values)
    denom = sum(ex)
    return [e / denom for e in ex]


def _exponentials(values: list[Value]) -> list[Value]:
    # subtract the largest for numerical stability: then exp cannot overflow. It is a
    # number, through which no gradient passes, but forward() has to compute it again
    max_val = _recomputed_leaf(max, values)
    return [(v + _recomputed_leaf(_minus, [max_val])).exp() for v in values]


def _recomputed_leaf(
    function: Callable[[Iterator[float]], float], values: list[Value]
) -> Value:
    """Return a leaf with the number function(data of the values); forward() recomputes it."""
    leaf = Value(function(v._data for v in values))
    if is_recording():
        leaf._source = function, values
    return leaf


def _minus(numbers: Iterator[float]) -> float:
    return -next(numbers)


# -----------------------------------------------------------------------------
# The generator and the data sets


class RNG:
    """The course's random numbers: xorshift64*, the same on every machine and in C.

    Args:
        seed: where to start, 1 .. 2**64-1. The same seed gives the same numbers.

    Raises:
        TypeError: the seed is no integer.
        ValueError: it is out of range. (The generator would never leave 0.)

    Source: https://en.wikipedia.org/wiki/Xorshift#xorshift*
    """

    def __init__(self, seed: SupportsIndex) -> None:
        self.state = seed

    @property
    def state(self) -> int:
        """Where the generator is: 1 .. 2**64-1. May be set, to go on from there."""
        return self._state

    @state.setter
    def state(self, state: SupportsIndex) -> None:
        self._state = check_seed(state)

    def random_u32(self) -> int:
        """Return 32 random bits, 0 .. 2**32-1."""
        s = self._state
        s ^= s >> 12
        s ^= (s << 25) & 0xFFFFFFFFFFFFFFFF  # as a 64-bit number in C drops what is above
        s ^= s >> 27
        self._state = s
        return ((s * 0x2545F4914F6CDD1D) >> 32) & 0xFFFFFFFF

    def random(self) -> float:
        """Return a float in [0, 1), a multiple of 2**-24."""
        return (self.random_u32() >> 8) / 16777216.0

    def uniform(self, a: Number = 0.0, b: Number = 1.0) -> float:
        """Return a float in [a, b)."""
        a, b = number(a), number(b)
        return a + (b - a) * self.random()

    def __repr__(self) -> str:
        return f"RNG({self.state})"


def check_seed(seed: SupportsIndex) -> int:
    """Return the seed as an int, or raise what RNG raises."""
    seed = count(seed, "a seed", least=1)
    if seed >= 2**64:
        raise ValueError(f"a seed must be below 2**64, not {seed}")
    return seed


# the generator that networks draw their weights from when they are given no other
random = RNG(42)


def check_generator(random: SupportsUniform) -> None:
    """Raise a TypeError unless random is a generator: RNG, Python's own Random, NumPy's."""
    if not hasattr(random, "uniform"):
        raise TypeError(f"a generator, such as RNG(42), has uniform(a, b), and {random!r} has not")


def split_points(points: list[T]) -> Parts[T]:
    """Split a list into training, validation and test parts: 80, 10 and 10 percent."""
    n = len(points)
    return points[: int(0.8 * n)], points[int(0.8 * n) : int(0.9 * n)], points[int(0.9 * n) :]


def gen_data(random: SupportsUniform, n: SupportsIndex = 100) -> Parts[Point]:
    """Make n random points of the plane in three classes that straight lines part.

    Args:
        random: the generator (RNG).
        n: how many points.

    Returns:
        Three lists of ([x, y], label), for training, validation and test, with x and y
        in [-2, 2). Label 0 is left of the y axis, 1 below the x axis, 2 the rest.

    Raises:
        ValueError: n is negative.
        TypeError: n is no integer, or random no generator.
    """
    check_generator(random)
    points = []
    for _ in range(count(n, "n")):
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
    for _ in range(count(n, "n")):
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
        n: how many points; a third of them in each class.
        r_small: the radius of the dots, from r_big / 1000 up to below r_big.
        r_big: the radius of the sign, 1e-100 .. 1e100.

    Returns:
        Three lists of ([x, y], label), for training, validation and test, scaled so
        that the sign has radius 2 and its centre at the origin.

    Raises:
        ValueError: n is negative or a radius is out of range.
        TypeError: one of them is no number, or random no generator.

    Source: Kriener, Göltz, Petrovici, "The Yin-Yang dataset", 2022,
    https://arxiv.org/abs/2102.08211
    """
    check_generator(random)
    n = count(n, "n")
    r_small, r_big = check_radii(r_small, r_big)

    def distance(x: float, y: float, x0: float, y0: float) -> float:
        return power(power(x - x0, 2.0) + power(y - y0, 2.0), 0.5)

    def which_class(x: float, y: float) -> int:
        right = distance(x, y, 1.5 * r_big, r_big)
        left = distance(x, y, 0.5 * r_big, r_big)
        if right < r_small or left < r_small:
            return 2
        yin = (
            right <= r_small
            or r_small < left <= 0.5 * r_big
            or (y > r_big and right > 0.5 * r_big)
        )
        return 0 if yin else 1

    def sample(goal: int) -> Point:
        while True:
            x = random.uniform(0, 2 * r_big)
            y = random.uniform(0, 2 * r_big)
            if distance(x, y, r_big, r_big) <= r_big and which_class(x, y) == goal:
                return ([(x / r_big - 1) * 2, (y / r_big - 1) * 2], goal)

    return split_points([sample(i % 3) for i in range(n)])


def check_radii(r_small: Number, r_big: Number) -> tuple[float, float]:
    """Return both radii as floats, or raise what gen_data_yinyang raises."""
    r_small, r_big = number(r_small), number(r_big)
    if not 1e-100 <= r_big <= 1e100:
        raise ValueError(f"r_big must be from 1e-100 to 1e100, not {r_big}")
    if not r_big / 1000 <= r_small < r_big:
        raise ValueError(f"r_small must be from r_big / 1000 up to r_big {r_big}, not {r_small}")
    return r_small, r_big


# -----------------------------------------------------------------------------
# Neuron, Layer, MLP


class Module:
    """What neurons, layers and networks have in common."""

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to 0."""
        refuse("zero_grad")
        for p in self.parameters():
            p.grad = 0

    def parameters(self) -> list[Any]:  # of either engine, as this class is
        """Return the list of the module's parameters (Values)."""
        return []

    def state_dict(self) -> dict[str, float]:
        """Return a dict of the module's numbers by name: "layers.0.neurons.3.w.1" ...

        A name is the way to a leaf Value: through the attributes of the module and of the
        modules in it, and the positions in lists and tuples. A Value that stands in
        several places has several names.

        Raises:
            ValueError: `parameters()` has something that no name leads to.
        """
        from .state import module_state

        return module_state(self)

    def load_state_dict(self, state: State) -> None:
        """Set the numbers to those of a dict that `state_dict()` has made.

        Raises:
            ValueError: the names are not the module's own; or one Value is to be set to
                several numbers.
            TypeError: something is no number.
            Every number is then as it was before.
        """
        from .state import load_module_state

        load_module_state(self, state)

    def save(self, path: Path, optimizer: Optimizer | None = None) -> None:
        """Write the module's numbers to a file in JSON, which either engine reads.

        Args:
            path: the file. It is replaced as a whole or not at all.
            optimizer: whose state goes into the same file, to resume training from.

        Raises:
            What `state_dict()` raises, and OSError. An old file is then as it was before.
        """
        from .state import save

        save(path, module=self, optimizer=optimizer)

    def load(self, path: Path) -> None:
        """Set the numbers to those in a file that `save` has written.

        Raises:
            ValueError: it is no such file, not all of it, that of another module, or a folder.
            OSError: it cannot be read. Every number is then as it was before.
        """
        from .state import load_module

        load_module(path, self)


# the names that an activation has in a neuron's repr
ACTIVATIONS = {"tanh": "TanH", "relu": "ReLU"}


def check_activation(activation: str) -> str:
    """Return the activation's name, or raise a ValueError that lists the two."""
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be 'tanh' or 'relu', not {activation!r}")
    return activation


def check_sizes(nin: SupportsIndex, nouts: Iterable[SupportsIndex]) -> list[int]:
    """Return the sizes of an MLP as a list: its inputs, then each layer's neurons."""
    sizes = [count(nin, "nin", least=1), *(count(n, "nout", least=1) for n in nouts)]
    if len(sizes) < 2:
        raise ValueError("an MLP needs at least 1 layer, and nouts has 0")
    return sizes


class Neuron(Module):
    """A neuron: the weighted sum of its inputs and its bias, through its activation.

    Args:
        nin: how many inputs it has.
        nonlin: False for a linear neuron, without activation.
        activation: "tanh" (the course) or "relu" (Karpathy's micrograd).
        rng: where the initial weights come from: uniform in [-1, 1) / nin**0.5, in
            order. `micrograd.random` if None. The bias starts at 0.

    Attributes:
        w: the list of nin weights. b: the bias. Either may be replaced by other Values.

    Raises:
        ValueError: nin is below 1, or there is no such activation.
        TypeError: nin is no integer, or rng no generator.
    """

    def __init__(
        self,
        nin: SupportsIndex,
        nonlin: bool = True,
        activation: str = "tanh",
        rng: SupportsUniform | None = None,
    ) -> None:
        nin = count(nin, "nin", least=1)
        self.activation = check_activation(activation)
        self.nonlin = bool(nonlin)
        rng = random if rng is None else rng
        check_generator(rng)
        self.w = [Value(rng.uniform(-1, 1) * nin**-0.5) for _ in range(nin)]
        self.b = Value(0)

    def __call__(self, x: Iterable[Value | Number]) -> Value:
        """Return the neuron's output (a Value) for x, a list of nin numbers or Values."""
        x = list(x)
        if len(x) != len(self.w):
            raise ValueError(f"a neuron with {len(self.w)} inputs was given {len(x)}")
        x = [xi if isinstance(xi, Value) else number(xi) for xi in x]
        act = self.b
        for wi, xi in zip(self.w, x):
            act = act + wi * xi
        if not self.nonlin:
            return act
        return act.tanh() if check_activation(self.activation) == "tanh" else act.relu()

    def parameters(self) -> list[Value]:
        """Return the weights in order, then the bias."""
        return [*self.w, self.b]

    def __repr__(self) -> str:
        return f"{ACTIVATIONS[self.activation] if self.nonlin else 'Linear'}Neuron({len(self.w)})"


class Layer(Module):
    """Neurons side by side, all with the same inputs.

    Args:
        nin: how many inputs each neuron has.
        nout: how many neurons there are.
        **kwargs: what else Neuron takes.
    """

    def __init__(self, nin: SupportsIndex, nout: SupportsIndex, **kwargs: Any) -> None:
        self.neurons = [Neuron(nin, **kwargs) for _ in range(count(nout, "nout", least=1))]

    def __call__(self, x: Iterable[Value | Number]) -> Any:
        """Return the list of the neurons' outputs, or the one Value if there is one neuron."""
        x = list(x)
        out = [n(x) for n in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Value]:
        """Return the neurons' parameters, neuron by neuron."""
        return [p for n in self.neurons for p in n.parameters()]

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(str(n) for n in self.neurons)}]"


class MLP(Module):
    """A multi-layer perceptron: layers one after another, the last one linear.

    Args:
        nin: how many inputs the network has.
        nouts: the list of how many neurons each layer has; the last are the outputs.
        activation: of every layer but the last: "tanh" or "relu".
        rng: where the initial weights come from; `micrograd.random` if None.

    Raises:
        ValueError: a size is below 1, or there is no layer.
        TypeError: a size is no integer, or rng no generator.

    Example:
        >>> model = MLP(2, [16, 3])
        >>> len(model.parameters())
        99
    """

    def __init__(
        self,
        nin: SupportsIndex,
        nouts: Iterable[SupportsIndex],
        activation: str = "tanh",
        rng: SupportsUniform | None = None,
    ) -> None:
        sizes = check_sizes(nin, nouts)
        last = len(sizes) - 2
        self.layers = [
            Layer(sizes[i], sizes[i + 1], nonlin=i != last, activation=activation, rng=rng)
            for i in range(len(sizes) - 1)
        ]

    def __call__(self, x: Iterable[Value | Number]) -> Any:
        """Return the list of outputs (Values), or the one Value if there is one output.

        Args:
            x: a list of nin numbers or Values.

        Raises:
            ValueError: x has another length; the message has both numbers.
        """
        for layer in self.layers:
            x = layer([x] if isinstance(x, Value) else x)
        return x

    def parameters(self) -> list[Value]:
        """Return the layers' parameters, layer by layer."""
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(str(layer) for layer in self.layers)}]"


def load(path: Path) -> Any:
    """Make the network anew that `save` has written to a file.

    Files are safe to load, whoever wrote them: there is nothing in them that could run,
    and time and memory are in proportion to their size.

    Args:
        path: the file of a Neuron, a Layer or an MLP. For another module, or a network
            that has been changed since it was made (other neurons, shared parameters),
            make one like it and call its own `load`.

    Returns:
        The network. `micrograd.random` is not used for it.

    Raises:
        ValueError: it is no such file, not all of it, or a folder.
        OSError: it cannot be read.

    Example:
        >>> MLP(2, [16, 3]).save("model.json")
        >>> len(load("model.json").parameters())
        99
    """
    from .state import load_network

    return load_network(path, {"Neuron": Neuron, "Layer": Layer, "MLP": MLP})


# -----------------------------------------------------------------------------
# Losses


def check_target(target: SupportsIndex, n: int) -> int:
    """Return the target as an int, or raise an IndexError with it and n, the classes."""
    return check_index(target, n, "target")


def cross_entropy(logits: Iterable[Value | Number], target: SupportsIndex) -> Value:
    """The negative log likelihood of the target class, as PyTorch's F.cross_entropy.

    Args:
        logits: a list of Values, one a class: the unnormalised log probabilities.
        target: the index of the right class. In a recorded function it may be an int argument.

    Returns:
        A Value, 0 or more: how surprised the model is.

    Raises:
        ValueError: there are no logits.
        IndexError: there is no such class; the message has both numbers.
        TypeError: the target is no integer.
    """
    values = [x if isinstance(x, Value) else Value(x) for x in logits]
    if not values:
        raise ValueError("cross_entropy needs at least 1 logit, and was given 0")
    n = check_target(target, len(values))
    if not isinstance(target, Integer):
        return -softmax(values)[n].log()
    ex = _exponentials(values)
    denom = sum(ex)
    [chosen] = _take([[e] for e in ex], target, "target")
    return -(chosen / denom).log()


def mean_cross_entropy(model: Model[Value], split: Split[Value]) -> Value:
    """The model's mean cross-entropy over a data set.

    Args:
        model: called with a list of Values, returns the list of logits.
        split: a list of (x, label), as `gen_data` makes them: x a list of numbers or
            Values, label the index of the right class.

    Returns:
        A Value. Its graph reaches down to the model's parameters.

    Raises:
        ValueError: the split is empty, or an x has not the model's size.
        IndexError: a label is out of range.
    """
    split = check_split(split)
    total_loss = Value(0)
    for x, y in split:
        logits = model([xi if isinstance(xi, Value) else Value(xi) for xi in x])
        logits = [logits] if isinstance(logits, Value) else logits
        total_loss = total_loss + cross_entropy(logits, y)
    return total_loss * (1.0 / len(split))


def check_split(split: Iterable[T]) -> list[T]:
    """Return the split as a list, or raise a ValueError if it is empty."""
    split = list(split)
    if not split:
        raise ValueError("the split is empty: there is no mean over 0 points")
    return split


def eval_split(model: Model[Value], split: Split[Value]) -> float:
    """The number that `mean_cross_entropy` computes (a float), without a graph."""
    with no_grad():
        return mean_cross_entropy(model, split).data


# -----------------------------------------------------------------------------
# Optimisers


def check_parameters(
    parameters: Iterable[AnyValue], kind: type[AnyValue]
) -> tuple[AnyValue, ...]:
    """Return the parameters, Values of this kind, as a tuple; raise what optimisers raise."""
    parameters = tuple(parameters)
    for p in parameters:
        if not isinstance(p, kind):
            raise TypeError(f"a parameter must be a Value of the same engine, not {p!r}")
        if not p._is_leaf:
            raise ValueError(f"a parameter must be a leaf, but {p!r} is computed from others")
    return parameters


def check_betas(betas: Iterable[Number]) -> tuple[float, float]:
    """Return both betas as floats, or raise a ValueError that names them."""
    beta1, beta2 = (number(beta) for beta in betas)
    if not (0 <= beta1 < 1 and 0 <= beta2 < 1):
        raise ValueError(f"betas must be from 0 up to below 1, not {beta1} and {beta2}")
    return beta1, beta2


def check_steps(t: SupportsIndex) -> int:
    """Return a count of steps as an int, or raise a ValueError if no float can count on."""
    t = count(t, "t")
    if t >= 2**53:
        raise ValueError(f"t must be below 2**53, not {t}")
    return t


class Optimizer:
    """What the optimisers have in common."""

    _parameters: tuple[Any, ...]  # of either engine, as this class is
    _moments: tuple[str, ...] = ()  # what an optimiser keeps with each parameter

    @property
    def parameters(self) -> tuple[Any, ...]:
        """The parameters, a tuple of Values. Another list needs another optimiser."""
        return self._parameters

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to 0."""
        refuse("zero_grad")
        for p in self._parameters:
            p.grad = 0

    def state_dict(self) -> dict[str, Any]:
        """Return a dict of the optimiser's numbers, and of lists of the parameters' moments.

        Its numbers are all attributes, the rates and t, that have no _ in front.

        Raises:
            TypeError: one of them is no number.
        """
        from .state import optimizer_state

        return optimizer_state(self)

    def load_state_dict(self, state: State) -> None:
        """Go on from where an optimiser was when its `state_dict()` made this dict.

        Raises:
            ValueError: it is that of another kind of optimiser, or of another number of
                parameters.
            TypeError: something is no number. All is then as it was before.
        """
        from .state import load_optimizer_state

        load_optimizer_state(self, state)

    def save(self, path: Path) -> None:
        """Write the optimiser's state to a file, as `Module.save` does."""
        from .state import save

        save(path, optimizer=self)

    def load(self, path: Path) -> None:
        """Go on from the state in a file, which `Module.save` may have written, too.

        Raises:
            ValueError: it is no such file, not all of it, that of another optimiser, or a
                folder.
            OSError: it cannot be read. All is then as it was before.
        """
        from .state import load_optimizer

        load_optimizer(path, self)


class Adam(Optimizer):
    """The Adam optimiser, with the arithmetic and the default arguments of karpathy's microgpt.

    Args:
        parameters: a list of leaf Values.
        lr: the learning rate.
        betas: the decay rates of the first and the second moment, each in [0, 1).
        eps: what keeps the divisor from 0.

    Attributes:
        t: steps taken. lr, beta1, beta2, eps: may be set between steps.
        Each parameter p has its moments, p.m and p.v.

    Raises:
        TypeError: a parameter is no Value, or an argument no number.
        ValueError: a parameter is no leaf, or a beta out of range.

    Example:
        >>> p = Value(1.0)
        >>> optimizer = Adam([p], lr=0.25, eps=0)
        >>> p.grad = 3.0
        >>> optimizer.step()
        >>> p.data
        0.75

    Source: Kingma, Ba, "Adam: a method for stochastic optimization", 2015,
    https://arxiv.org/abs/1412.6980; Karpathy, "microgpt", 2026,
    https://gist.github.com/karpathy/8627fe009c40f57531cb18360106ce95
    """

    _moments = ("m", "v")

    lr: float
    eps: float

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: Number = 0.01,
        betas: Iterable[Number] = (0.85, 0.99),
        eps: Number = 1e-8,
    ) -> None:
        self._start(parameters, betas, lr=lr, eps=eps)

    def _start(self, parameters: Iterable[Value], betas: Iterable[Number], **rates: Number) -> None:
        self._parameters = check_parameters(parameters, Value)
        self.beta1, self.beta2 = check_betas(betas)
        for name, rate in rates.items():
            setattr(self, name, number(rate))
        self.t = 0
        for p in self.parameters:
            p.m = 0.0  # first moment: the mean of the gradient
            p.v = 0.0  # second moment: the mean of its square

    def step(self) -> None:
        """Move every parameter against its gradient.

        Raises:
            OverflowError: a gradient's square is too large for a float.
            ZeroDivisionError: eps and a second moment are both 0.
            TypeError, ValueError: t is no integer, or out of range; a rate is no number.
            Every parameter and moment is then as it was before.
        """
        lr, eps = number(self.lr), number(self.eps)
        self._step(lambda p, m_hat, root: divide(lr * m_hat, root + eps))

    def _step(self, change: Callable[[Value, float, float], float]) -> None:
        """Take one step. `change` says by how much p shrinks, from its two moments."""
        refuse("step")
        beta1, beta2, t = number(self.beta1), number(self.beta2), check_steps(self.t) + 1
        decay1, decay2 = power(beta1, number(t)), power(beta2, number(t))
        before = [(p.data, p.m, p.v) for p in self.parameters]
        try:
            for p in self.parameters:
                p.m = beta1 * p.m + (1 - beta1) * p.grad
                p.v = beta2 * p.v + (1 - beta2) * power(p.grad, 2.0)
                m_hat = divide(p.m, 1 - decay1)
                v_hat = divide(p.v, 1 - decay2)
                p.data -= change(p, m_hat, power(v_hat, 0.5))
        except BaseException:
            for p, (data, m, v) in zip(self.parameters, before):
                p.data, p.m, p.v = data, m, v
            raise
        self.t = t


class AdamW(Adam):
    """The AdamW optimiser, as the course's and PyTorch's: Adam with decoupled weight decay.

    Args:
        parameters: a list of leaf Values.
        lr: the learning rate.
        betas: the decay rates of the first and the second moment, each in [0, 1).
        eps: what keeps the divisor from 0.
        weight_decay: how fast parameters shrink.

    Attributes:
        t: steps taken. lr, beta1, beta2, eps, weight_decay: may be set between steps.
        Each parameter p has its moments, p.m and p.v.

    Raises:
        TypeError: a parameter is no Value, or an argument no number.
        ValueError: a parameter is no leaf, or a beta out of range.

    Source: Loshchilov, Hutter, "Decoupled weight decay regularization", 2019,
    https://arxiv.org/abs/1711.05101
    """

    weight_decay: float

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: Number = 1e-1,
        betas: Iterable[Number] = (0.9, 0.95),
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
    ) -> None:
        self._start(parameters, betas, lr=lr, eps=eps, weight_decay=weight_decay)

    def step(self) -> None:
        lr, eps, weight_decay = number(self.lr), number(self.eps), number(self.weight_decay)
        self._step(lambda p, m_hat, root: lr * (divide(m_hat, root + eps) + weight_decay * p.data))

    step.__doc__ = Adam.step.__doc__


class SGD(Optimizer):
    """Stochastic gradient descent: p.data -= lr * p.grad.

    Args:
        parameters: a list of leaf Values.
        lr: the learning rate; may be set between steps.

    Raises:
        TypeError: a parameter is no Value, or lr no number.
        ValueError: a parameter is no leaf.
    """

    def __init__(self, parameters: Iterable[Value], lr: Number = 1e-1) -> None:
        self._parameters = check_parameters(parameters, Value)
        self.lr = number(lr)

    def step(self) -> None:
        """Move every parameter against its gradient."""
        refuse("step")
        lr = number(self.lr)
        for p in self.parameters:
            p.data -= lr * p.grad


# -----------------------------------------------------------------------------
# Recorded functions: `recorded.py` has what both engines share


class Recording:
    """The graph of a recorded function, to be computed again with other numbers.

    Args:
        outputs: the Values that the function has returned.
        inputs: leaves that stand for its float arguments.
        choices: which nodes of take its int arguments choose the operand of, and from what.
    """

    def __init__(self, outputs: list[Value], inputs: list[Value], choices: list[Choice]) -> None:
        self.outputs, self.inputs, self.choices = outputs, inputs, choices
        # a call computes all items, whatever is chosen: they come before the takes
        items = [v for choice in choices for row in choice.rows for v in row]
        self.order = topological_order(*items, *outputs, with_sources=True)

    def run(self, floats: list[float], integers: list[int]) -> None:
        """Compute the outputs for these arguments.

        Raises:
            IndexError: an int is out of range.
            What `forward()` raises. Everything is then as it was before.
        """
        check_choices(self.choices, integers)
        before = _numbers_of(self.inputs)
        operands = [[node._prev for node in choice.takes] for choice in self.choices]
        try:
            for v, x in zip(self.inputs, floats):
                v._data, v._grad = x, 0.0
            for choice in self.choices:
                for node, chosen in zip(choice.takes, choice.rows[integers[choice.position]]):
                    node._prev = (chosen,)
            recompute(self.order)
        except BaseException:
            _restore(self.inputs, before)
            for choice, prevs in zip(self.choices, operands):
                for node, prev in zip(choice.takes, prevs):
                    node._prev = prev
            raise


recorded = make_recorded(Value, Recording)
