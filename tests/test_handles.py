"""Handles on the tape: identity, attributes, and nodes that live just as long as they should."""

import contextlib
import copy
import functools
import gc
import pickle
import resource
import subprocess
import sys
import textwrap
import threading
import weakref

import pytest
from conftest import collect_garbage, nodes_with_attributes
from test_value import sine

from micrograd import compiled
from micrograd.compiled import MLP, AdamW, Value, live_nodes, mean_cross_entropy
from micrograd.graph import trace


@pytest.fixture(autouse=True)
def no_garbage_collector():
    """Every test here gives its nodes back without the garbage collector.

    All but those that end in cycles of Python's own objects, which collect them themselves.
    """
    collect_garbage()
    gc.disable()
    before = live_nodes()
    yield
    after = live_nodes()
    gc.enable()
    assert after == before


def test_a_node_has_one_handle():
    a, b = Value(2.0), Value(3.0)
    c = a * b
    d = c + a
    assert d._prev[0] is c and d._prev[1] is a and c._prev[0] is a
    assert d._prev == (c, a) and hash(d._prev[0]) == hash(c)
    assert d._prev[0] != a
    assert c in {d._prev[0]}
    del c
    c = d._prev[0]  # another one: the first is gone
    assert d._prev[0] is c and (c.data, c._prev[1] is b) == (6.0, True)


def test_every_way_to_a_node_gives_its_handle():
    a, b = Value(2.0), Value(3.0)
    user = Value(1.0, (a, b, a), "user")
    seen = []
    user._backward = lambda: seen.append(user)
    root = compiled.dot([user, a], [b, b])
    root.backward()
    nodes, _ = trace(root)
    for v in (a, b, user):
        assert sum(1 for other in nodes if other is v) == 1
    assert user._prev[0] is user._prev[2] is a and seen[0] is user
    del nodes, seen[:], user._backward


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
    before = nodes_with_attributes()
    a, b = Value(1.0), Value(2.0)
    c = a * b
    d = c + a
    c.label = "c"
    assert d._prev[0].label == "c"
    d._prev[1].color = "red"  # set on a handle that is gone at once
    assert a.color == "red"
    del c
    assert d._prev[0].label == "c"  # the node is still there
    assert nodes_with_attributes() == before + 2
    del d
    assert nodes_with_attributes() == before + 1
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
    before, known = live_nodes(), nodes_with_attributes()
    x = Value(0.5)
    y = x
    for _ in range(2000):  # each function holds its own node and the one before
        y = sine(compiled, y) + 1
    y.backward()
    z = Value(1.0, (x,), "defaults")
    z._backward = lambda z=z, x=x: None
    z._backward()
    del y, z
    collect_garbage()  # z's function refers to z, and z was on top of the graph
    assert live_nodes() == before + 1 and nodes_with_attributes() == known


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
    assert function is out._backward and function.__doc__ == "docstring"
    before = live_nodes()
    del out
    assert live_nodes() == before  # the function holds its node
    function()
    assert len(calls) == 4
    del function
    collect_garbage()
    assert live_nodes() < before


def test_subclasses_with_names_of_their_own(engine):
    class Titled(engine.Value):
        name = ""

    globals()["Titled"] = Titled  # where pickle looks for it
    Titled.__qualname__ = "Titled"
    v = Titled(1.0)
    v.name, v.other = "w", [1]
    for twin in (copy.copy(v), copy.deepcopy(v), pickle.loads(pickle.dumps(v))):
        assert (type(twin), twin.data, twin.name, twin.other) == (Titled, 1.0, "w", [1])


def test_what_a_subclass_cannot_define():
    class Mixin:
        def _backward(self):
            pass

    with pytest.raises(TypeError, match="_backward"):
        type("Mixed", (Mixin, Value), {})


def test_special_attributes_are_not_for_one_value():
    v = Value(1.0)
    for name in ("__len__", "__index__", "__iter__"):
        with pytest.raises(AttributeError, match=name):
            setattr(v, name, lambda: 3)
        assert not hasattr(Value, name)
    assert bool(Value(2.0))


def test_handles_can_be_referred_to_weakly():
    v = Value(1.0)
    reference = weakref.ref(v)
    assert reference() is v
    del v
    assert reference() is None


@pytest.mark.unsanitized
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


@pytest.mark.slow
@pytest.mark.unsanitized
def test_five_million_additions_in_700_megabytes():
    peak, after = memory_of("""
        from micrograd.compiled import Value
        from micrograd.compiled import live_nodes
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


@pytest.mark.unsanitized
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


def test_copies_keep_their_own_functions():
    calls = []
    v = Value(2.0)
    v._backward = lambda: calls.append(v.data)
    twin = copy.copy(v)
    (twin * 2).backward()
    assert calls == [2.0]
    del v._backward
    del twin._backward


class Named(Value):
    """A Value of a user's own kind."""

    def __init__(self, data, name, *, shift=0.0):
        super().__init__(data + shift)
        self.name = name

    def __add__(self, other):
        return super().__add__(other) * 1.0

    @property
    def doubled(self):
        return 2 * self.data

    @doubled.setter
    def doubled(self, x):
        self.data = x / 2


def test_subclasses():
    v = Named(2.0, "v")
    assert (v * v).data == 4.0 and (Value(1.0) + v).data == 3.0
    assert (3 + v)._op == "*"  # its own addition
    v.doubled = 10
    assert (v.data, v.doubled, v.name) == (5.0, 10.0, "v")
    twin = copy.copy(v)
    assert type(twin) is Named and (twin.data, twin.name) == (5.0, "v")


def test_a_handle_that_is_dying_does_not_come_back():
    """What runs while the node dies may take its place, and may find no old handle there."""
    saved = []

    class Witness:
        def __del__(self):
            a = Value(7.0)
            b = a + 1.0
            saved.append(b._prev[0])

    root = Value(1.0) * 2.0
    handle = root._prev[0]
    handle.witness = Witness()
    del root, handle
    others = [Value(-1.0) for _ in range(10)]
    assert saved[0].data == 7.0 and saved[0] not in others
    saved.clear()  # the class above is garbage that only the collector finds


def test_handles_that_threads_take_from_one_another():
    box, wrong = [Value(0.0) * 1.0], []
    done = threading.Event()

    def look():
        while not done.is_set():
            root = box[0]
            operand = root._prev[0]
            number = operand.data
            del root
            operand2 = operand * 1.0
            if operand2.data != number or operand.data != number:
                wrong.append(number)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(3000):
        box[0] = Value(float(i)) * 1.0
        kept = box[0]._prev
        box[0] = Value(float(i) + 0.5) * 1.0
        del kept
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong


def _leaking_functions(x):
    """Ways in which a `_backward` may hold its own node; each returns the node."""

    def node():
        return Value(1.0, (x,), "own")

    def keyword_default():
        out = node()

        def _backward(*, out=out):
            x.grad += out.grad

        out._backward = _backward
        return out

    def helper():
        out = node()

        def pass_on():
            x.grad += out.grad

        def _backward():
            pass_on()

        out._backward = _backward
        return out

    def decorated():
        out = node()

        @compiled.no_grad()
        def _backward():
            x.grad += out.grad

        out._backward = _backward
        return out

    def partial():
        out = node()

        def _backward(out):
            x.grad += out.grad

        out._backward = functools.partial(_backward, out)
        return out

    def its_own():
        out = x * 1.0
        out._backward = out._backward
        return out

    def attribute():
        out = x * 1.0
        out.me = out
        assert out.me is out
        return out

    return [keyword_default, helper, decorated, partial, its_own, attribute]


@pytest.mark.parametrize("which", range(6))
def test_functions_that_hold_their_own_node(which):
    x = Value(1.0)
    before = live_nodes()
    make = _leaking_functions(x)[which]
    out = make()
    (out * 3.0).backward()
    assert x.grad == 3.0
    del out, make
    collect_garbage()
    assert live_nodes() == before


def test_attributes_of_functions():
    v = Value(1.0)

    def f():
        return v

    f.calls = 3
    v._backward = f
    assert v._backward.calls == 3 and v._backward() is v
    v.anything = 1
    assert "anything" in dir(v) and vars(v)["anything"] == 1
    del v.anything, v._backward


def test_interrupts_arrive():
    """All of them, and the tape is whole after each."""
    program = """
        import signal, sys, threading, time
        from micrograd.compiled import Value

        signal.signal(signal.SIGINT, signal.default_int_handler)
        caught, sent = 0, 100

        def train():
            x = Value(0.5)
            while True:
                y = x
                for _ in range(30):
                    y = (y * x + 1.0).tanh()
                y.backward()

        for i in range(sent):
            timer = threading.Timer(0.005, signal.raise_signal, [signal.SIGINT])
            try:
                timer.start()  # on a busy machine it may be over before we are in train()
                train()
            except KeyboardInterrupt:
                caught += 1
            timer.join()
            x = Value(3.0)
            (x * x).backward()
            assert x.grad == 6.0
        print(caught == sent)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60
    )
    assert (run.stdout, run.stderr) == ("True\n", "")


@pytest.mark.slow
def test_a_child_forked_while_threads_are_inside():
    program = """
        import os, threading
        from micrograd.compiled import Value
        done = threading.Event()

        def work():
            x = Value(1.0)
            while not done.is_set():
                y = x
                for _ in range(100):
                    y = y * x
                y.backward()

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        failed = 0
        for _ in range(50):
            child = os.fork()
            if child == 0:
                x = Value(3.0)
                y = x * x
                y.backward()
                os._exit(0 if x.grad == 6.0 else 1)
            failed += os.waitpid(child, 0)[1] != 0
        done.set()
        for thread in threads:
            thread.join()
        print(failed)
    """
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (run.stdout, run.stderr) == ("0\n", "")


def test_a_function_that_holds_itself_and_its_node():
    x = Value(1.0)
    before = live_nodes()

    def make():
        out = Value(1.0, (x,), "own")

        def _backward(n=3):
            _backward.calls += 1
            if n > 1:
                _backward(n - 1)
            else:
                x.grad += out.grad

        _backward.calls = 0
        out._backward = _backward
        return out

    out = make()
    (out * 2.0).backward()
    assert x.grad == 2.0
    del out, make
    gc.collect()  # a function that holds itself is garbage that only the collector finds,
    gc.collect()  # and so is what was kept of it, once its node has died
    assert live_nodes() == before


GARBAGE = """
    import gc
    from micrograd.compiled import (
        MLP, SGD, AdamW, Value, cross_entropy, dot, eval_split, mean_cross_entropy, softmax, sum
    )
    from micrograd.compiled import live_nodes

    split = [([1.0, 2.0], 0)]
    uses = [
        lambda t: t.v * 1, lambda t: 1 - t.v, lambda t: t.v.data, lambda t: t.v.grad,
        lambda t: t.v.tanh(), lambda t: t.v.backward(), lambda t: t.v.forward(),
        lambda t: t.v._prev[0].data, lambda t: float(t.v), lambda t: setattr(t.v, "data", 6.0),
        lambda t: setattr(t.v, "grad", 1.0), lambda t: dot([t.v], [1.0]),
        lambda t: dot([1.0], [t.v]), lambda t: dot([1.0], [1.0], t.v), lambda t: sum([t.v]),
        lambda t: sum([1.0], t.v), lambda t: softmax([t.v, t.v]),
        lambda t: cross_entropy([t.v], 0), lambda t: Value(1.0, (t.v,), "own").backward(),
        lambda t: setattr(t.v, "label", "v"), lambda t: setattr(t.v, "_backward", print),
        lambda t: t.model([1.0, 2.0]), lambda t: Trainer.living([t.v, 1.0]),
        lambda t: mean_cross_entropy(t.model, split).backward(),
        lambda t: mean_cross_entropy(Trainer.living, [([t.v, 1.0], 0)]),
        lambda t: eval_split(t.model, split), lambda t: SGD(t.model.parameters()).step(),
        lambda t: t.adamw.step(), lambda t: t.sgd.step(), lambda t: t.sgd.zero_grad(),
        lambda t: t.model.zero_grad(),
    ]

    class Trainer:
        def __init__(self, use):
            self.v, self.model, self.use = Value(2.0) * 3.0, MLP(2, [3, 2]), use
            self.sgd = SGD(self.model.parameters())
            self.adamw = AdamW(self.model.parameters())
            self.me = self

        def __del__(self):
            self.use(self)
            assert self.v.data == 6.0
            done.append(self.use)

    done = []
    Trainer.living = MLP(2, [3, 2])
"""


def run_quietly(program):
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_a_finaliser_in_a_garbage_cycle_still_has_its_values():
    """The collector finalises the objects of a cycle in any order: a Value keeps its node."""
    run_quietly(
        GARBAGE
        + """
    for i in range(20):
        for use in uses:
            Trainer(use)
    gc.collect()
    gc.collect()
    assert len(done) == 20 * len(uses), len(done)
    assert live_nodes() == len(Trainer.living.parameters())
    """
    )


def test_a_finaliser_in_a_garbage_cycle_after_the_arena_has_shrunk():
    run_quietly(
        GARBAGE
        + """
    gc.disable()
    many = [Value(1.0) for _ in range(1_500_000)]
    for use in uses:
        Trainer(use)
    del many
    gc.collect()
    gc.collect()
    assert len(done) == len(uses), len(done)
    assert live_nodes() == len(Trainer.living.parameters())
    """
    )


def test_a_pass_holds_its_root():
    """A user's function drops everything while the pass is under way, and the arena shrinks."""
    run_quietly("""
        import gc
        from micrograd.compiled import Value
        from micrograd.compiled import live_nodes

        class Cycle:
            pass

        def make():
            many = [Value(0.0) for _ in range(1_500_000)]
            x = Value(1.0)
            y = x
            for _ in range(1000):
                y = y * x
            user = Value(1.0, (y,), "user")
            cycle = Cycle()
            cycle.root, cycle.me = user + y, cycle

            def _backward():
                many.clear()
                kept.clear()
                gc.collect()
                y.grad += 1.0

            user._backward = _backward
            return cycle

        kept = [make()]
        class Last:
            def __init__(self):
                self.cycle, self.me = kept[0], self
            def __del__(self):
                self.cycle.root.backward()
                x = self.cycle.root._prev[1]
                assert x.grad == 2.0, x.grad
                done.append(1)
        done = []
        Last()
        gc.collect()
        assert done == [1]
        kept.clear()
        gc.collect()
        gc.collect()
        assert live_nodes() == 0, live_nodes()
    """)


def test_what_a_subclass_cannot_do():
    for name in ("_backward", "_forward"):
        with contextlib.suppress(TypeError):
            type("Bad", (Value,), {name: lambda self: None})
            pytest.fail(f"{name} was defined")


def test_what_a_subclass_can_do(engine):
    ended = []

    class Sub(engine.Value):
        __slots__ = ("slot",)

        def __new__(cls, *args):
            self = super().__new__(cls)
            self.slot, self.early = 1, "set before there is a node"
            return self

        def __init__(self, data):
            self.name = "and here"
            super().__init__(data)

        def __del__(self):
            ended.append((self.data, self.slot, self.early, self.name))

    v = Sub(2.0)
    y = v * v
    assert y._prev[0] is v
    assert (v.slot, v.early, v.name) == (1, "set before there is a node", "and here")
    y.backward()
    assert v.grad == 4.0
    del v
    if engine is compiled:  # the node lives on, as a plain Value with its attributes
        assert ended == [(2.0, 1, "set before there is a node", "and here")]
        assert type(y._prev[0]) is Value and y._prev[0].name == "and here"
        assert not hasattr(y._prev[0], "slot")


def test_copies_of_models_and_optimisers():
    model = MLP(2, [3, 2], rng=compiled.RNG(1))
    optimizer = AdamW(model.parameters(), weight_decay=0.1)
    split = [([1.0, 2.0], 0), ([0.5, -1.0], 1)]

    def train(model, optimizer):
        for _ in range(3):
            mean_cross_entropy(model, split).backward()
            optimizer.step()
            optimizer.zero_grad()
        return [x for p in model.parameters() for x in (p.data, p.m, p.v)]

    train(model, optimizer)
    twins = [
        copy.deepcopy((model, optimizer)),
        pickle.loads(pickle.dumps((model, optimizer))),
    ]
    expected = train(model, optimizer)
    for twin in twins:
        assert train(*twin) == expected and twin[1].t == 6
    sgd = pickle.loads(pickle.dumps(compiled.SGD([Value(1.0)], lr=0.5)))
    assert sgd.lr == 0.5
    a = Value(1.0)
    a.me = a
    b = copy.deepcopy(a)
    assert b.me is b
    del a.me, b.me


def test_inputs_that_stand_in_several_points():
    x = [Value(0.1 * i) for i in range(10)]
    model = MLP(10, [1], rng=compiled.RNG(1))
    for n in (30, 33, 100):
        loss = mean_cross_entropy(model, [(x, 0)] * n)
        loss.backward()
        loss.forward()
        loss.backward()


@pytest.mark.slow
@pytest.mark.unsanitized
def test_kept_orders_take_little():
    """However many graphs overlap, and however many there are."""
    peak, _ = memory_of("""
        from micrograd.compiled import Value
        x, total = Value(1.0), Value(0.0)
        for i in range(20_000):
            total = total + x
            total.forward()
        many = [Value(1.0) * 2.0 for _ in range(100_000)]
        for v in many:
            v.forward()
            v.backward()
    """)
    assert peak < 120  # megabytes


def test_a_weight_that_is_replaced_is_freed_at_once():
    """What a model's call has made for C keeps none of the Values, and is not used for others."""
    model, x = MLP(2, [1]), [1.0, 2.0]
    [neuron] = model.layers[0].neurons
    for number in 0.5, 0.25:  # the new Value gets the old one's node, or another
        model(x)
        before, neuron.w[0] = live_nodes(), None
        assert live_nodes() == before - 1
        other = Value(8.0) if number == 0.25 else None
        neuron.w[0] = Value(number)
        assert model(x).data == number + 2.0 * neuron.w[1].data
        del other
