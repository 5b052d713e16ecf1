"""What a recording would freeze is an error in a recorded function, which says what to write."""

import copy
import inspect
import math
import operator
import pickle
import threading

import pytest
from conftest import collect_garbage, live_nodes

from micrograd import RecordingError, grad_mode


@pytest.fixture
def table(engine):
    return [engine.Value(x) for x in (2.0, -3.0, 0.5, 7.0)]


# -----------------------------------------------------------------------------
# what is done in the function: with the engine, a parameter and a Value that is computed

MISUSES = {
    "data": lambda e, p, v: v.data,
    "data of a parameter": lambda e, p, v: p.data,
    "grad": lambda e, p, v: p.grad,
    "float": lambda e, p, v: float(v),
    "float in a function": lambda e, p, v: math.exp(p),
    "float in a constructor": lambda e, p, v: e.Value(v),
    "float in item": lambda e, p, v: v.item(),
    "float in round": lambda e, p, v: round(v, 2),
    "float in int": lambda e, p, v: int(p),
    "float in trunc": lambda e, p, v: math.trunc(v),
    "float in floor": lambda e, p, v: math.floor(v),
    "compare": lambda e, p, v: v < 1.0,
    "compare from the right": lambda e, p, v: 1.0 >= p,
    "compare two": lambda e, p, v: v <= p,
    "compare ==": lambda e, p, v: v == 1.0,
    "compare !=": lambda e, p, v: 2 != p,
    "compare in a tuple": lambda e, p, v: p in (1, 2),
    "compare in index": lambda e, p, v: [1.0, 2.0].index(v),
    "compare in max": lambda e, p, v: max([v, p]),
    "compare in sorted": lambda e, p, v: sorted([v, p]),
    "bool": lambda e, p, v: bool(p),
    "bool of if": lambda e, p, v: v if v else p,
    "bool of or": lambda e, p, v: v or p,
    "repr": lambda e, p, v: repr(v),
    "repr in str": lambda e, p, v: str(p),
    "repr in an f-string": lambda e, p, v: f"{v}",
    "repr in format": lambda e, p, v: f"{v:.4f}",
    "repr of a list": lambda e, p, v: repr([v]),
    "local_grads": lambda e, p, v: v._local_grads,
    "set data": lambda e, p, v: setattr(p, "data", 1.0),
    "set grad": lambda e, p, v: setattr(p, "grad", 1.0),
    "backward": lambda e, p, v: v.backward(),
    "backward of a node": lambda e, p, v: v._backward(),
    "forward": lambda e, p, v: v.forward(),
    "detach": lambda e, p, v: v.detach(),
    "copy": lambda e, p, v: copy.copy(p),
    "copy deep": lambda e, p, v: copy.deepcopy([p]),
    "copy to pickle": lambda e, p, v: pickle.dumps(p),
    "step of AdamW": lambda e, p, v: e.AdamW([p]).step(),
    "step of SGD": lambda e, p, v: e.SGD([p]).step(),
    "zero_grad of AdamW": lambda e, p, v: e.AdamW([p]).zero_grad(),
    "zero_grad of SGD": lambda e, p, v: e.SGD([p]).zero_grad(),
    "zero_grad of a module": lambda e, p, v: e.MLP(1, [1], rng=e.RNG(1)).zero_grad(),
    "no_grad": lambda e, p, v: e.no_grad().__enter__(),
    "no_grad of a method": lambda e, p, v: e.Value.no_grad().__enter__(),
    "no_grad of a decorator": lambda e, p, v: e.no_grad()(lambda: None)(),
    "no_grad in eval_split": lambda e, p, v: e.eval_split(e.MLP(1, [1], rng=e.RNG(1)), [([v], 0)]),
}

# with the engine and a changing int
INTEGER_MISUSES = {
    "index of a list": lambda e, i: [1, 2][i],
    "index of a slice": lambda e, i: [1, 2][:i],
    "index of bytes": lambda e, i: bytes(i),
    "index in range": lambda e, i: range(i),
    "index itself": lambda e, i: operator.index(i),
    "number in a list's product": lambda e, i: [0] * i,
    "number of int": lambda e, i: int(i),
    "number of float": lambda e, i: float(i),
    "number of Value": lambda e, i: e.Value(i),
    "number of an operand": lambda e, i: e.Value(1.0) * i,
    "number of an exponent": lambda e, i: e.Value(1.0) ** i,
    "number of an item": lambda e, i: e.take([i, 1.0], 0),
    "number of a function": lambda e, i: math.exp(i),
    "number in sum": lambda e, i: sum([i, i]),
    "number in round": lambda e, i: round(i),
    "compare ==": lambda e, i: i == 1,
    "compare !=": lambda e, i: 1 != i,
    "compare <": lambda e, i: i < 1,
    "compare in a list": lambda e, i: 1 in [i],
    "compare for the index": lambda e, i: [1, 2].index(i),
    "compare in max": lambda e, i: max(i, 1),
    "bool": lambda e, i: bool(i),
    "bool of not": lambda e, i: not i,
    "hash": lambda e, i: {i},
    "hash of a key": lambda e, i: {1: 2}[i],
    "text": lambda e, i: str(i),
    "text in an f-string": lambda e, i: f"{i}",
    "text in format": lambda e, i: format(i, "d"),
    "copy to pickle": lambda e, i: pickle.dumps(i),
}
for operation in (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "and_", "or_",
    "xor",
):  # fmt: skip
    function = getattr(operator, operation)
    INTEGER_MISUSES[f"number in {operation}"] = lambda e, i, f=function: f(i, 2)
    INTEGER_MISUSES[f"number in {operation} from the right"] = lambda e, i, f=function: f(2, i)
for operation in ("neg", "pos", "abs", "invert"):
    function = getattr(operator, operation)
    INTEGER_MISUSES[f"number in {operation}"] = lambda e, i, f=function: f(i)
INTEGER_MISUSES["number in divmod"] = lambda e, i: divmod(i, 2)
INTEGER_MISUSES["number in divmod from the right"] = lambda e, i: divmod(2, i)

# -----------------------------------------------------------------------------
# what the messages say, by the first words of the misuse

MESSAGES = {
    "data": ("reads a Value's .data", "softmax", "__wrapped__"),
    "grad": ("reads a Value's .grad", "after the call"),
    "float": ("converts a Value to a float", "softmax"),
    "compare": ("compares a Value's number", "relu", "bool"),
    "bool": ("asks whether a Value is true", "relu", "is None"),
    "repr": ("makes text of a Value", "after the call", "__wrapped__"),
    "local_grads": ("reads a Value's _local_grads", "after the call"),
    "set data": ("sets a Value's .data", "before the call"),
    "set grad": ("sets a Value's .grad", "after the call"),
    "backward": ("calls backward()", "after the call"),
    "forward": ("calls forward()", "Each call"),
    "detach": ("detaches a Value", "an argument"),
    "copy": ("copies a Value", "before the call"),
    "step": ("calls an optimiser's step()", "after the call"),
    "zero_grad": ("calls zero_grad()", "after the call"),
    "no_grad": ("opens a no_grad() block", "under no_grad()"),
}
INTEGER_MESSAGES = {
    "index": ("uses a changing int as an index or a count", "take(items, i)", "default"),
    "number": ("computes with a changing int", "float"),
    "compare": ("compares a changing int", "take(items, i)", "a str"),
    "bool": ("asks whether a changing int is true", "a str"),
    "hash": ("uses a changing int in a dict or a set", "take(items, i)"),
    "text": ("makes text of a changing int", "before the call"),
    "copy": ("pickles a changing int", "a str"),
}


def words_of(name, messages):
    return messages[name] if name in messages else messages[name.split()[0]]


def place_of(function):
    return f"{__file__}, line {function.__code__.co_firstlineno}: a recorded function "


@pytest.mark.parametrize("name", MISUSES)
def test_misuse_of_a_value(engine, name):
    misuse = MISUSES[name]
    p = engine.Value(2.0)
    p.grad = 3.0
    recorded = engine.recorded(lambda x: (misuse(engine, p, p * x), p)[1])
    for number in (0.5, 2.0):  # the second is no replay of the first
        with pytest.raises(RecordingError) as caught:
            recorded(number)
        message = str(caught.value)
        assert message.startswith(place_of(misuse)), message
        assert all(word in message for word in words_of(name, MESSAGES)), message
        assert isinstance(caught.value, RuntimeError)
        assert (p.data, p.grad, p.label) == (2.0, 3.0, "")
    assert recorded.cache_info() == (0, 0, 128, 0)
    assert grad_mode.is_recording() and grad_mode.current_recorder() is None
    if name != "bool of or":
        with engine.no_grad():
            pass


@pytest.mark.parametrize("name", INTEGER_MISUSES)
def test_misuse_of_an_integer(engine, name):
    misuse = INTEGER_MISUSES[name]
    leaked = []
    recorded = engine.recorded(
        lambda i: (leaked.append(i), misuse(engine, i), engine.Value(1.0))[2]
    )
    with pytest.raises(RecordingError) as caught:
        recorded(1)
    message = str(caught.value)
    assert message.startswith(place_of(misuse)), message
    assert all(word in message for word in words_of(name, INTEGER_MESSAGES)), message
    with pytest.raises(RecordingError):  # nor afterwards
        misuse(engine, leaked[0])
    assert recorded.cache_info() == (0, 0, 128, 0)


def test_what_may_be_done(engine, table):
    @engine.recorded
    def function(tokens, x):
        i = tokens[0]
        assert not isinstance(i, int) and i is not None and i is tokens[0]
        assert repr(tokens) == "[<a changing int>, <a changing int>]" and f"{i!r}"
        assert copy.copy(tokens) is not tokens and copy.deepcopy(tokens)[0] is i
        assert x is not None and x == x and x != table[0] and {x: 1}[x] == 1 and x in [x]
        assert x != None and x != "x" and x not in (None, [1.0])  # noqa: E711
        assert x._is_leaf and x._prev == () and (x * 1)._op == "*"
        x.label = "x"
        [*reversed(tokens), *zip(tokens, tokens[1:])]
        return engine.take(table, tokens[len(tokens) - 1]) + engine.take(table, i)

    assert [function(pair, 1.0).data for pair in ([0, 1], [2, 3])] == [-1.0, 7.5]


def test_a_value_is_true_outside(engine):
    assert engine.Value(0.0) and bool(engine.Value(math.nan)) and not (not engine.Value(0.0))


def test_an_integer_of_another_call(engine, table):
    leaked = []
    message = "a changing int of another call"

    @engine.recorded
    def keeps(i):
        leaked.append(i)
        return engine.take(table, i)

    keeps(1)
    other = engine.recorded(lambda i: engine.take(table, leaked[0]))
    target = engine.recorded(lambda i: engine.cross_entropy(table, leaked[0]))
    for call in (
        lambda: other(1), lambda: target(1), lambda: engine.take(table, leaked[0]),
        lambda: engine.take([table], leaked[0]), lambda: engine.cross_entropy(table, leaked[0]),
    ):  # fmt: skip
        with pytest.raises(RecordingError, match=message):
            call()
    with pytest.raises(RecordingError):
        keeps(leaked[0])
    keeps(2)
    assert keeps(3).data == 7.0


def test_the_place_is_where_the_users_code_is(engine):
    model = engine.MLP(1, [1], rng=engine.RNG(1))
    line = inspect.currentframe().f_lineno + 4

    def helper(x):
        def inner():
            return model.state_dict()

        return inner()

    with pytest.raises(RecordingError, match=rf"test_recorded_misuse\.py, line {line}: "):
        engine.recorded(lambda x: helper(x))(1.0)


def test_another_thread_reads_while_one_records(engine):
    p = engine.Value(2.0)
    inside, done = threading.Event(), threading.Event()

    def function(x):
        inside.set()
        assert done.wait(30)
        return p * x

    thread = threading.Thread(target=lambda: results.append(engine.recorded(function)(3.0)))
    results = []
    thread.start()
    assert inside.wait(30)
    try:
        assert grad_mode.recorder_blocks
        assert (p.data, float(p), bool(p), p < 3, p == 2) == (2.0, 2.0, True, True, False)
        with engine.no_grad():
            assert (p * 2)._is_leaf
        assert repr(p) == "Value(data=2.0, grad=0.0)"
        p.grad = 0.0
    finally:
        done.set()
        thread.join()
    assert results[0].data == 6.0
    results.clear()


def test_misuses_leave_no_nodes(engine, table):
    def attempt():
        for misuse in MISUSES.values():
            with pytest.raises(RecordingError):
                engine.recorded(lambda x, f=misuse: (f(engine, table[0], table[0] * x), x)[1])(1.0)
        for misuse in INTEGER_MISUSES.values():
            with pytest.raises(RecordingError):
                engine.recorded(lambda i, f=misuse: (f(engine, i), table[0])[1])(1)

    attempt()
    collect_garbage()
    before = live_nodes()
    attempt()
    collect_garbage()
    assert live_nodes() == before and not grad_mode.recorder_blocks
