"""Value: a number that remembers how it was computed, and backpropagation through such numbers.

This is the whole engine, in plain Python: read it from top to bottom.

    from micrograd.pure import Value
    a, b = Value(2.0), Value(-3.0)
    c = a * b + a**2
    c.backward()
    print(c.data, a.grad, b.grad)  # -2.0 1.0 2.0

It says what the right answer is: the compiled engine gives the same numbers, bit for bit. What a
Value can do besides computing (attributes, comparisons, text, copies) is in `base.py`.

It follows the micrograd module of the LLM101n course (EurekaLabsAI/micrograd) and Andrej
Karpathy's micrograd.
"""

from __future__ import annotations

import math
import warnings

from ..checks import UNRECORDED, check_node, is_number, number, unsupported, user_number
from ..grad_mode import is_recording, recorder_blocks, refuse
from .arithmetic import (
    cos,
    exp,
    log,
    no_quotient,
    power,
    power_slope,
    relu,
    sigmoid,
    sin,
    slope_by,
    sqrt,
)
from .base import Base, restored_on_error

TYPE_CHECKING = False
if TYPE_CHECKING:  # never run: type checkers alone take it for True
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..types import Number

# Every operation in a line: its name; how to compute it from the operands' data; and its slopes,
# one for each operand: how much the result grows per unit of that operand. That is all that
# backpropagation has to know about it.
RULES: dict[str, tuple[Callable[..., float], Callable[..., tuple[float, ...]]]] = {
    "+": (lambda a, b: a + b, lambda a, b, out: (1.0, 1.0)),
    "*": (lambda a, b: a * b, lambda a, b, out: (b, a)),
    "**k": (power, lambda a, k, out: (k * power(a, k - 1),)),
    "**": (power, lambda a, b, out: (b * power(a, b - 1), power_slope(a, out))),
    "ReLU": (relu, lambda a, out: (float(out > 0),)),
    "tanh": (math.tanh, lambda a, out: (1 - power(out, 2.0),)),
    "exp": (exp, lambda a, out: (out,)),
    "log": (log, lambda a, out: (slope_by(a, "log", a),)),
    "sigmoid": (sigmoid, lambda a, out: (out * (1 - out),)),
    "sqrt": (sqrt, lambda a, out: (slope_by(2 * out, "sqrt", a),)),
    "sin": (sin, lambda a, out: (cos(a),)),
    "cos": (cos, lambda a, out: (-sin(a),)),
    "abs": (math.fabs, lambda a, out: (float((a > 0) - (a < 0)),)),
    "take": (lambda a: a, lambda a, out: (1.0,)),
}


class Value(Base):
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

    _rule: str | None = None  # the name in RULES of the operation that made this node
    _exponent: float | None = None  # k, in a node a**k
    _given_slopes: tuple[float, ...] = ()  # the local gradients of a node that a user has made
    _is_unrecorded: bool = False  # whether it is a leaf because it was computed under no_grad
    # of a leaf that forward() recomputes, such as the largest score in softmax: a function, and the
    # Values whose data it takes. No gradient passes through it
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
        x, operands, op, slopes = check_node(
            Value, data, _prev, _op, children, _children, local_grads
        )
        self._data, self._grad = x, 0.0
        if self._is_unrecorded:  # it is made anew
            self._is_unrecorded = False
        self._prev: tuple[Value, ...] = operands
        self._op = op
        if slopes is not None:
            self._given_slopes = slopes
        if (operands or op) and not is_recording():
            self._prev, self._op, self._given_slopes = (), "", ()  # a leaf
            self._is_unrecorded = bool(operands)
        if label:
            self.label = label

    def _record(self, rule: str, *others: Value) -> Value:
        """Compute the operation on this Value and others, and remember how."""
        operands = (self, *others)
        out = Value(RULES[rule][0](*[v._data for v in operands]))
        if is_recording():
            out._prev, out._op, out._rule = operands, rule, rule
        else:
            out._is_unrecorded = True
        return out

    # the operations. NotImplemented makes Python try the method of the other operand

    def __add__(self, other: Value | Number) -> Value:  # self + other
        operand = _operand(other)
        if operand is None:
            return unsupported(self, other, "a + x")
        return self._record("+", operand)

    def __mul__(self, other: Value | Number) -> Value:  # self * other
        operand = _operand(other)
        if operand is None:
            return unsupported(self, other, "a * x")
        return self._record("*", operand)

    def __pow__(self, other: Value | Number) -> Value:  # self ** other
        if isinstance(other, Value):
            return self._record("**", other)
        if not is_number(other):
            return unsupported(self, other, "a ** x")
        k = number(other)
        out = Value(power(self._data, k))
        if is_recording():
            out._prev, out._rule, out._exponent = (self,), "**k", k
            out._op = f"**{int(k)}" if hasattr(type(other), "__index__") else f"**{k}"
        else:
            out._is_unrecorded = True
        return out

    def __rpow__(self, other: Number) -> Value:  # other ** self
        operand = _operand(other)
        if operand is None:
            return unsupported(self, other, "x ** a")
        return operand._record("**", self)

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
            return unsupported(self, other, "a - x")
        return self + (-other if isinstance(other, Value) else -number(other))

    def __truediv__(self, other: Value | Number) -> Value:  # self / other
        if not isinstance(other, Value) and not is_number(other):
            return unsupported(self, other, "a / x")
        return self * _inverse(other if isinstance(other, Value) else number(other), self._data)

    def __radd__(self, other: Number) -> Value:  # other + self
        return self.__add__(other)

    def __rmul__(self, other: Number) -> Value:  # other * self
        return self.__mul__(other)

    def __rsub__(self, other: Number) -> Value:  # other - self
        if not is_number(other):
            return unsupported(self, other, "x - a")
        return -self + other

    def __rtruediv__(self, other: Number) -> Value:  # other / self
        operand = _operand(other)
        if operand is None:
            return unsupported(self, other, "x / a")
        return _inverse(self, operand._data) * operand

    def detach(self) -> Value:
        """Return a new Value with this number and no graph below it."""
        refuse("detach")  # in a recorded function, of which no replay could do it
        return Value(self._data)

    # backward: the chain rule, from a Value down to all that it was computed from

    def _numbers(self) -> list[float]:
        """The operands' data, as the rules want them."""
        numbers = [operand._data for operand in self._prev]
        return numbers if self._exponent is None else [*numbers, self._exponent]

    def _slopes(self) -> tuple[float, ...]:
        """How much this Value grows per unit of each operand; () if only the user knows."""
        if self._rule is not None:
            return RULES[self._rule][1](*self._numbers(), self._data)
        return self._given_slopes

    @property
    def _local_grads(self) -> tuple[float, ...]:
        """The slopes under the name that microgpt gives them."""
        refuse("local_grads")
        return self._slopes()

    def _run_rule(self) -> None:
        """Run this node's own rule once: pass its gradient on to its operands."""
        if recorder_blocks:
            refuse("backward")
        for operand, slope in zip(self._prev, self._slopes()):
            operand._grad += slope * self._grad

    if not TYPE_CHECKING:
        _backward = _run_rule  # users may set another, on a node of their own: base.py declares it

    def backward(self) -> None:
        """Add to each Value below this one the derivative of this one with respect to it.

        Sets this Value's own grad to 1, then goes through the graph once, every node
        after all those computed from it. Calling it again adds again; set grads to 0
        between steps (`zero_grad`).

        Raises:
            ZeroDivisionError, OverflowError, ValueError: a derivative does not exist,
                like that of sqrt at 0. All grads are then as they were before.

        Warns:
            UserWarning: this Value was computed under no_grad, and has no graph.
        """
        refuse("backward")
        if self._is_unrecorded and "_backward" not in vars(self):
            warnings.warn(UNRECORDED, stacklevel=2)
        order = topological_order(self)
        with restored_on_error(order):
            self._grad = 1.0
            for v in reversed(order):
                v._backward()

    # forward: the same graph, with other numbers in its leaves

    def _recompute(self) -> float:
        """Return this node's number from its operands' present data."""
        if self._rule is not None:
            return RULES[self._rule][0](*self._numbers())
        if self._source is not None:
            function, values = self._source
            return function(v._data for v in values)
        return user_number(self)

    def forward(self) -> None:
        """Recompute everything below this Value, and itself, from the leaves' present data.

        Each inner node gets the data that building the graph anew would give, and grad
        0; the leaves keep theirs. So a training loop may record its loss once and then
        call `loss.forward()` and `loss.backward()` in every step.

        Raises:
            What building the graph would raise. All data are then as they were before.
        """
        refuse("forward")
        recompute(topological_order(self, with_sources=True))


def _operand(x: Value | Number) -> Value | None:
    """x if it is a Value, a leaf with its number if it is a number, else None."""
    return x if isinstance(x, Value) else Value(x) if is_number(x) else None


def _inverse(x: Value | float, dividend: float) -> Value | float:
    """Return x ** -1; of 0 there is none: the error is that of dividend / x."""
    divisor = x._data if isinstance(x, Value) else x
    if divisor == 0:
        raise no_quotient(dividend, divisor)
    return x**-1 if isinstance(x, Value) else power(x, -1.0)


def computed(x: float) -> Value:
    """Return a leaf with a number that was computed from numbers only."""
    leaf = Value(x)
    if not is_recording():
        leaf._is_unrecorded = True
    return leaf


def recompute(order: list[Value]) -> None:
    """Recompute what is no leaf, in this order, and set its grad to 0; or leave all as it is."""
    with restored_on_error(order):
        for v in order:
            if v._prev or v._source:
                v._data = v._recompute()
    for v in order:
        if v._prev or v._source:
            v._grad = 0.0


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
