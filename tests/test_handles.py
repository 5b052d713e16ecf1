"""Handles on the tape: identity, attributes, and nodes that live just as long as they should."""

import contextlib
import copy
import gc
import pickle
import resource
import subprocess
import sys
import textwrap
import weakref

import pytest
from test_value import sine

from micrograd import compiled
from micrograd.compiled import MLP, AdamW, Value, mean_cross_entropy
from micrograd.graph import trace
from micrograd.value import _attributes, live_nodes


@pytest.fixture(autouse=True)
def no_garbage_collector():
    """Every test here gives its nodes back without the garbage collector."""
    gc.collect()
    gc.disable()
    before = live_nodes()
    yield
    after = live_nodes()
    gc.enable()
    assert after == before


def test_handles_on_one_node_are_equal():
    a, b = Value(2.0), Value(3.0)
    c = a * b
    d = c + a
    assert d._prev == (c, a) and hash(d._prev[0]) == hash(c)
    assert d._prev[0] != a
    assert c in {d._prev[0]}


def test_a_walk_sees_one_object_for_each_node():
    a = Value(1.0)
    b = a * a
    c = b + a
    root = c * b + a
    kept = [root]
    for v in kept:  # it grows while we go
        kept.extend(v._prev)
    assert len({id(v) for v in kept}) == len(set(kept)) == 5
    assert root._prev[1] is c._prev[1] is b._prev[0]


def test_attributes_belong_to_the_node():
    a, b = Value(1.0), Value(2.0)
    c = a * b
    d = c + a
    c.label = "c"
    assert d._prev[0].label == "c"
    d._prev[1].color = "red"  # set on a handle that is gone at once
    assert a.color == "red"
    del c
    assert d._prev[0].label == "c"  # the node is still there
    assert len(_attributes) == 2
    del d
    assert len(_attributes) == 1
    e = a + b  # in the place of a node that had a label
    assert e.label == "" and not hasattr(e, "color")


def test_what_cannot_be_set():
    v = Value(1.0) + 1
    for name in ("_prev", "_op", "backward", "__class__"):
        with contextlib.suppress(AttributeError, TypeError):
            setattr(v, name, 1)
            pytest.fail(f"{name} was set")
    assert v._op == "+"


def test_nodes_live_as_long_as_they_are_used():
    before = live_nodes()
    a = Value(2.0)
    b = (a * a).tanh()
    assert live_nodes() == before + 3
    c = b.exp()
    del b
    assert live_nodes() == before + 4
    del c
    assert live_nodes() == before + 1
    a += 1  # the old a lives on as an operand
    assert live_nodes() == before + 3


def test_failures_leave_nothing_behind():
    a = Value(1000.0)
    before = live_nodes()
    for attempt in (
        lambda: (a + 1).exp() * 2,
        lambda: a / (a - a),
        lambda: a / 0,
        lambda: Value("x"),
        lambda: Value(1.0, (a, "x")),
        lambda: (a - 1001).log(),
    ):
        with contextlib.suppress(ArithmeticError, TypeError, ValueError):
            attempt()
        assert live_nodes() == before


def test_a_user_s_node_is_freed_though_its_function_refers_to_it():
    before = live_nodes()
    x = Value(0.5)
    y = x
    for _ in range(2000):  # each function holds its own node and the one before
        y = sine(compiled, y) + 1
    y.backward()
    z = Value(1.0, (x,), "defaults")
    z._backward = lambda z=z, x=x: None
    z._backward()
    del y, z
    assert live_nodes() == before + 1 and not _attributes


def test_the_function_of_a_user_s_node_is_as_it_was():
    x = Value(0.5)
    calls = []

    def node():
        count = 0
        out = Value(1.0, (x,), "node")

        def _backward(scale=2.0, *, times=3):
            "docstring"
            nonlocal count
            count += 1
            calls.append((count, out.data, scale, times))

        out._backward = _backward
        return out

    out = node()
    for _ in range(3):
        (out * 1).backward()
    assert calls == [(n, 1.0, 2.0, 3) for n in (1, 2, 3)]
    function = out._backward
    assert function.__name__ == "_backward" and function.__doc__ == "docstring"
    before = live_nodes()
    del out
    assert live_nodes() == before  # the function holds its node
    function()
    assert len(calls) == 4
    del function
    assert live_nodes() < before


def test_handles_can_be_referred_to_weakly():
    v = Value(1.0)
    reference = weakref.ref(v)
    assert reference() is v
    del v
    assert reference() is None


def test_memory_of_training_steps_is_given_back():
    model = MLP(2, [16, 3], rng=compiled.RNG(42))
    train, _, _ = compiled.gen_data(compiled.RNG(42), n=100)
    optimizer = AdamW(model.parameters())

    def step():
        loss = mean_cross_entropy(model, train)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    def resident():
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()

    before = live_nodes()
    for _ in range(20):
        step()
    first = resident()
    for _ in range(300):
        step()
    assert live_nodes() == before
    assert resident() < first + 1_000_000


def test_a_million_deep():
    x = Value(1.0)
    y = x
    for _ in range(1_000_000):
        y = y + x
    y.backward()
    assert x.grad == 1_000_001
    x.data = 2.0
    y.forward()
    assert y.data == 2_000_002
    nodes, edges = trace(y)
    assert len(nodes) == 1_000_001 and len(edges) == 1_999_999
    del nodes, edges, y
    before = live_nodes()
    del x
    assert live_nodes() == before - 1


def memory_of(program):
    """Run a program in a process of its own; return how many megabytes it took at its
    largest, and how many it had at its end."""
    after = """
with open("/proc/self/status") as status:
    kilobytes = dict(line.split(":") for line in status)
for name in ("VmHWM", "VmRSS"):
    print(int(kilobytes[name].split()[0]) // 1024)
"""
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program) + after], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return map(int, run.stdout.split())


def test_five_million_additions_in_700_megabytes():
    peak, after = memory_of("""
        from micrograd.compiled import Value
        from micrograd.value import live_nodes
        x = Value(0.0)
        y = x
        for _ in range(5_000_000):
            y = y + 1.0
        y.backward()
        assert (y.data, x.grad) == (5e6, 1.0)
        del y
        assert live_nodes() == 1
    """)
    assert peak < 700  # megabytes
    assert after < 100  # and it is given back to the system


def test_64_bytes_a_node():
    """At most, and that at the peak of a backward pass."""
    _, nothing = memory_of("from micrograd.compiled import Value")
    peak, _ = memory_of("""
        from micrograd.compiled import Value
        y = x = Value(0.5)
        for _ in range(1_000_000):
            y = y * x + x
        y.backward()
    """)
    assert (peak - nothing) * 2**20 < 64 * 2_000_000


def test_copies():
    v = Value(2.0, label="v")
    v.grad = 3.0
    for twin in (copy.copy(v), copy.deepcopy(v), pickle.loads(pickle.dumps(v))):
        assert twin != v and (twin.data, twin.grad, twin.label) == (2.0, 3.0, "v")
    assert len(set(copy.deepcopy([v, v]))) == 1  # what was shared stays shared
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with contextlib.suppress(TypeError):
            attempt(v * v)
            pytest.fail("a graph was copied")


def test_subclasses():
    class Named(Value):
        def __init__(self, data, name):
            self.name = name

        def __new__(cls, data, name):
            return super().__new__(cls, data)

    v = Named(2.0, "v")
    assert (v * v).data == 4.0 and (3 + v).data == 5.0 and (Value(1.0) + v).data == 3.0
    assert isinstance(v, Value) and v.name == "v"
