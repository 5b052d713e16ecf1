"""The constructors of Value that scripts have, and nodes with constant local gradients."""

import copy
import math
import pickle

import numpy as np
import pytest
from conftest import ENGINES, bits

import micrograd


@pytest.fixture
def Value(engine):
    return engine.Value


@pytest.fixture
def ab(Value):
    return Value(2.0), Value(-3.0)


def test_operands_are_any_iterable(Value, ab):
    for operands in (ab, [*ab], iter(ab), (v for v in ab), dict.fromkeys(ab)):
        assert Value(1.0, operands)._prev == ab
    array = np.empty(2, object)
    array[:] = ab
    assert Value(1.0, array)._prev == Value(1.0, children=array)._prev == ab
    a, _ = ab
    assert Value(1.0, {a})._prev == (a,)


def test_a_label_in_the_place_of_the_operands(Value):
    with pytest.raises(TypeError, match=r"^in second place there are operands: write label='w1'$"):
        Value(2.0, "w1")


def test_names_of_the_operands(Value, ab):
    for made in (
        Value(1.0, ab, "f", "x"),
        Value(1.0, _prev=ab, _op="f", label="x"),
        Value(1.0, children=ab, _op="f", label="x"),
        Value(1.0, children=iter(ab), _op="f", label="x"),
        Value(1.0, _children=[*ab], _op="f", label="x"),
        Value(data=1.0, _children=ab, _op="f", label="x"),
        Value(1.0, (), "f", "x", children=ab),
        Value(1.0, ab, _children=None, _op="f", label="x"),
    ):
        assert (made._prev, made._children, made._op, made.label) == (ab, ab, "f", "x")
        assert made._local_grads == ()
    assert Value(1.0, children=())._prev == Value(1.0, _children=None)._children == ()
    for names in (
        {"children": ab, "_children": ab},
        {"_prev": ab, "children": ab},
        {"_prev": [], "children": ab},
        {"_prev": ab, "_children": ()},
        {"_prev": ab, "children": ab, "_children": ab},
    ):
        with pytest.raises(TypeError, match=" and ".join(names)):
            Value(1.0, **names)
    with pytest.raises(TypeError, match="Value, not 1"):
        Value(1.0, children=[1])
    with pytest.raises(TypeError, match="nonsense"):
        Value(1.0, nonsense=ab)


FORMS = {
    "a tuple in third place": lambda Value, x, operands, slopes: Value(x, operands, tuple(slopes)),
    "a list in third place": lambda Value, x, operands, slopes: Value(x, operands, [*slopes]),
    "by name": lambda Value, x, operands, slopes: Value(x, operands, local_grads=slopes),
    "all by name": lambda Value, x, operands, slopes: Value(
        data=x, children=operands, local_grads=slopes
    ),
    "as _op": lambda Value, x, operands, slopes: Value(x, operands, _op=slopes),
    "with a name of its own": lambda Value, x, operands, slopes: Value(
        x, operands, "f", local_grads=slopes
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_constant_slopes(Value, ab, no_new_nodes, form):
    a, b = ab
    out = FORMS[form](Value, -6.0, (a, b, a), (0.1, 7, np.float32(0.25)))
    assert out._prev == out._children == (a, b, a)
    assert out._local_grads == (0.1, 7.0, 0.25)
    assert {type(x) for x in out._local_grads} == {float}
    assert out._op == ("f" if form == "with a name of its own" else "")
    (out * 0.3).backward()
    grad = 0.3
    assert out.grad == grad
    assert bits(a.grad) == bits(0.1 * grad + 0.25 * grad) and bits(b.grad) == bits(7.0 * grad)
    out._backward()
    assert bits(a.grad) == bits(((0.1 * grad + 0.25 * grad) + 0.1 * grad) + 0.25 * grad)
    a.data = 100.0
    assert out._local_grads == (0.1, 7.0, 0.25)


def test_no_zero_is_skipped(Value, ab):
    a, b = ab
    Value(1.0, ab, (math.inf, math.nan)).backward()
    assert (a.grad, bits(b.grad)) == (math.inf, "nan")
    a.grad = b.grad = 0.0
    (Value(1.0, ab, (math.inf, 0.0)) * 0.0).backward()
    assert (bits(a.grad), b.grad) == ("nan", 0.0)


def test_many_operands(Value):
    operands = [Value(float(i)) for i in range(1000)]
    out = Value(1.0, operands, [i * 0.1 for i in range(1000)])
    out.backward()
    assert [v.grad for v in operands] == [i * 0.1 for i in range(1000)]
    assert out._local_grads[-1] == 999 * 0.1


@pytest.mark.parametrize("depth", [1, 20_000])
def test_a_chain(Value, depth):
    x = y = Value(1.0)
    for _ in range(depth):
        y = Value(y.data, (y,), (1.0,))
    y.backward()
    assert x.grad == 1.0


def test_forward_asks_for_a_function(Value, ab):
    a, b = ab
    out = Value(-6.0, ab, (b.data, a.data))
    y = out * 2.0
    with pytest.raises(ValueError, match=r"user node '': set its _forward to a function"):
        y.forward()
    with pytest.raises(ValueError, match=r"user node 'mul': set its _forward to a function"):
        Value(-6.0, ab, "mul", local_grads=(b.data, a.data)).forward()
    out._forward = lambda: a.data * b.data
    a.data = 5.0
    y.forward()
    assert (out.data, y.data, out._local_grads) == (-15.0, -30.0, (-3.0, 2.0))
    y.backward()
    assert (a.grad, b.grad) == (-6.0, 4.0)


def test_a_function_replaces_the_slopes(Value, ab):
    a, b = ab
    out = Value(1.0, ab, (1.0, 2.0))

    def _backward():
        a.grad += 10 * out.grad

    out._backward = _backward
    out.backward()
    assert (a.grad, b.grad) == (10.0, 0.0)
    del out._backward
    out.backward()
    assert (a.grad, b.grad) == (11.0, 2.0)


def test_no_slopes_without_recording(engine, Value, ab):
    a, b = ab
    with engine.no_grad():
        out = Value(1.0, ab, (1.0, 2.0))
        with pytest.raises(ValueError, match="1 local gradients were given for 2 operands"):
            Value(1.0, ab, (1.0,))
    assert (out._prev, out._local_grads, out._op) == ((), (), "")
    assert pickle.loads(pickle.dumps(out)).data == 1.0
    with pytest.warns(UserWarning, match="computed under no_grad"):
        out.backward()
    out.forward()
    assert (a.grad, b.grad) == (0.0, 0.0)


def test_slopes_that_are_wrong(Value, ab, no_new_nodes):
    for slopes, n in ((1.0,), 1), ([], 0), ((1.0,) * 3, 3):
        with pytest.raises(ValueError, match=f"^{n} local gradients were given for 2 operands$"):
            Value(1.0, ab, slopes)
    with pytest.raises(ValueError, match=r"^1 local gradients were given for 0 operands$"):
        Value(1.0, local_grads=[1.0])
    for bad in ("1", None, 1j, [1.0], ab[0], np.zeros(1)):
        with pytest.raises(TypeError, match=r"^local_grads\[1\]: "):
            Value(1.0, ab, (1.0, bad))
    for bad in (1.0, "12", {1.0, 2.0}, iter((1.0, 2.0)), np.zeros(2)):
        with pytest.raises(TypeError, match="local_grads must be a tuple or a list of numbers"):
            Value(1.0, ab, local_grads=bad)
    for bad in (1.0, {1.0, 2.0}, iter((1.0, 2.0)), np.zeros(2), None, b"f"):
        with pytest.raises(TypeError, match="there is the name of an operation"):
            Value(1.0, ab, bad)
    with pytest.raises(TypeError, match="twice"):
        Value(1.0, ab, (1.0, 2.0), local_grads=(1.0, 2.0))


class OtherFloat(float):
    def __float__(self):
        return 7.0


@pytest.mark.parametrize("x", [0, True, 2**60 + 1, np.float64(0.1), OtherFloat(0.5)])
def test_numbers_that_are_read_without_python(engine, x):
    v = engine.Value(2.0)
    v.data = v.grad = x
    exact = float.__float__(x) if isinstance(x, float) else float(x)
    slopes = engine.Value(1.0, (v,), (x,))._local_grads
    for number in v.data, v.grad, engine.Value(x).data, slopes[0]:
        assert bits(number) == bits(exact)
    assert bits((v * x).data) == bits(exact * exact)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda Value, ab: Value(10**400),
        lambda Value, ab: Value(1.0, ab, (1.0, 10**400)),
        lambda Value, ab: Value(1.0, ab, (10**400, 1)),
        lambda Value, ab: Value(10**400, ab, (1, 1)),
        lambda Value, ab: ab[0].__init__(10**400),
        lambda Value, ab: setattr(ab[0], "data", 10**400),
        lambda Value, ab: setattr(ab[0], "grad", 10**400),
        lambda Value, ab: ab[0] * 10**400,
    ],
)
def test_integers_that_are_too_large(Value, ab, no_new_nodes, attempt):
    with pytest.raises(OverflowError, match="int too large to convert to float"):
        attempt(Value, ab)
    with Value.no_grad(), pytest.raises(OverflowError, match="int too large to convert to float"):
        attempt(Value, ab)
    assert (ab[0].data, ab[0].grad) == (2.0, 0.0)


def test_a_leaf_with_no_slopes_is_a_leaf(Value):
    v = Value(1.0, (), ())
    assert (v._prev, v._local_grads, v._op) == ((), (), "")
    assert copy.copy(v).data == 1.0
    v.backward()
    assert v.grad == 1.0


OPERATIONS = {
    "a + b": lambda a, b: (1.0, 1.0),
    "a * b": lambda a, b: (b, a),
    "a**3": lambda a, b: (3.0 * math.pow(a, 2.0),),
    "a**b": lambda a, b: (b * math.pow(a, b - 1), math.pow(a, b) * math.log(a)),
    "a.relu()": lambda a, b: (float(a > 0),),
    "a.tanh()": lambda a, b: (1 - math.pow(math.tanh(a), 2.0),),
    "a.exp()": lambda a, b: (math.exp(a),),
    "a.log()": lambda a, b: (1 / a,),
    "a.sqrt()": lambda a, b: (1 / (2 * math.sqrt(a)),),
    "a.sin()": lambda a, b: (math.cos(a),),
    "a.cos()": lambda a, b: (-math.sin(a),),
    "abs(a)": lambda a, b: (1.0,),
    "b.detach()": lambda a, b: (),
    "user": lambda a, b: (),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_local_gradients_of_operations(Value, operation):
    a, b = Value(0.7), Value(-1.3)
    out = eval(operation, {"a": a, "b": b, "user": Value(1.0, (a, b), "f")})
    expected = OPERATIONS[operation](0.7, -1.3)
    assert list(map(bits, out._local_grads)) == list(map(bits, expected))
    assert type(out._local_grads) is tuple
    with pytest.raises(AttributeError):
        out._local_grads = (1.0,)
    with pytest.raises(AttributeError):
        out._children = ()


def test_local_gradients_are_those_of_the_present_data(Value, ab):
    a, b = ab
    out = a * b
    a.data = 5.0
    assert out._local_grads == (-3.0, 5.0)
    zero = Value(0.0).sqrt()
    with pytest.raises(ZeroDivisionError):
        zero._local_grads  # noqa: B018


def test_a_pass_of_one_s_own_over_local_gradients(Value, ab):
    """As scripts with local gradients write backward() themselves."""
    a, b = ab
    loss = ((a * b + a).tanh() * Value(3.0, (b,), (0.5,))) / b
    topo, visited = [], set()

    def build(v):
        if v not in visited:
            visited.add(v)
            for child in v._children:
                build(child)
            topo.append(v)

    build(loss)
    loss.grad = 1
    for v in reversed(topo):
        for child, local_grad in zip(v._children, v._local_grads):
            child.grad += local_grad * v.grad
    gradients = [bits(v.grad) for v in topo]
    for v in topo:
        v.grad = 0
    loss.backward()
    assert [bits(v.grad) for v in topo] == gradients


def test_no_grad_and_methods_of_the_class(engine, Value, ab, monkeypatch):
    a, b = ab
    assert Value.no_grad is engine.no_grad
    with Value.no_grad():
        assert (a * b)._prev == ()
    with a.no_grad():
        assert (a * b)._prev == ()

    def gelu(self):
        return self * (self * 1.702).sigmoid()

    monkeypatch.setattr(Value, "gelu", gelu, raising=False)
    monkeypatch.setattr(Value, "double", property(lambda self: self.data * 2), raising=False)
    monkeypatch.setattr(Value, "one", classmethod(lambda cls: cls(1.0)), raising=False)
    monkeypatch.setattr(Value, "four", staticmethod(lambda: 4), raising=False)
    monkeypatch.setattr(Value, "__matmul__", lambda self, other: self * other, raising=False)
    assert a.gelu().data == (a * (a * 1.702).sigmoid()).data
    assert (b.double, Value.one().data, a.four(), (a @ b).data) == (-6.0, 1.0, 4, -6.0)
    assert Value.gelu is gelu and (a + b).gelu()._prev


def test_a_leaf_that_is_made_again(Value, no_new_nodes):
    v = Value(1.0)
    y = v * 3.0
    y.backward()
    v.note = "kept"
    for _ in range(10):
        v.__init__(2.0)
    assert (v.data, v.grad, v.note) == (2.0, 0.0, "kept")
    assert y._prev[0] is v or y._prev[0] == v
    y.forward()
    y.backward()
    assert (y.data, v.grad) == (6.0, 3.0)


def test_diamond_inheritance(Value, no_new_nodes):
    class Left(Value):
        def __init__(self, data):
            Value.__init__(self, data)

    class Right(Value):
        def __init__(self, data):
            Value.__init__(self, data)

    class Both(Left, Right):
        def __init__(self, data):
            Left.__init__(self, data)
            Right.__init__(self, data + 1)

    v = Both(1.0)
    assert v.data == 2.0
    (v * v).backward()
    assert v.grad == 4.0


# -----------------------------------------------------------------------------
# copies of subclasses


def subclasses(kind):
    class Slots(kind):
        __slots__ = ("note", "other")

    class State(kind):
        def __getstate__(self):
            return {"kept": self.kept + 1, "number": self.data}

        def __setstate__(self, state):
            self.data, self.grad = state["number"], 0.0
            self.kept = state["kept"]

    class Arguments(kind):
        def __new__(cls, data, unit):
            self = super().__new__(cls)
            self.unit = unit
            return self

        def __init__(self, data, unit):
            super().__init__(data)

        def __getnewargs__(self):
            return self.data, self.unit

    for cls in (Slots, State, Arguments):
        cls.__qualname__ = f"{cls.__name__}_{kind.__module__.replace('.', '_')}"
        globals()[cls.__qualname__] = cls
    return Slots, State, Arguments


KINDS = {engine.Value: subclasses(engine.Value) for engine in ENGINES.values()}


def copies(v):
    yield copy.copy(v)
    yield copy.deepcopy(v)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.loads(pickle.dumps(v, protocol))


def test_slots_are_copied(Value):
    v = KINDS[Value][0](1.5)
    v.grad = 2.5
    v.note = "x"
    v.extra = [1]
    for c in copies(v):
        assert type(c) is type(v) and c is not v
        assert (c.data, c.grad, c.note, c.extra) == (1.5, 2.5, "x", [1])
        assert not hasattr(c, "other")


def test_getnewargs_is_asked(Value):
    v = KINDS[Value][2](1.5, "metre")
    v.grad = 2.5
    for c in copies(v):
        assert type(c) is type(v)
        assert (c.data, c.grad, c.unit) == (1.5, 2.5, "metre")
        (c * c).backward()
        assert c.grad == 2.5 + 3.0


def test_getstate_is_asked(Value):
    v = KINDS[Value][1](1.5)
    v.kept = 1
    for c in copies(v):
        assert type(c) is type(v)
        assert (c.kept, c.data, c.grad) == (2, 1.5, 0.0)


def test_micrograd_s_own_value_has_them():
    assert micrograd.Value.no_grad is micrograd.no_grad
