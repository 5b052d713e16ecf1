"""no_grad: when operations are recorded, and when not."""

import asyncio
import contextlib
import contextvars
import copy
import gc
import inspect
import itertools
import pickle
import random
import signal
import sys
import threading
import time
import warnings

import pytest
from conftest import IS_CPYTHON, live_nodes, times

from micrograd import grad_mode, pure


@pytest.fixture
def is_on(engine):
    """A function that tells whether the engine records now."""
    x = engine.Value(2.0)
    y = engine.Value(3.0)

    def is_on():
        results = [x * y, x.tanh(), x + 1, engine.dot([x], [y]), engine.Value(1.0, (x,), "own")]
        answers = {bool(v._prev) for v in results}
        assert len(answers) == 1
        return answers.pop()

    yield is_on
    assert is_on()


# -----------------------------------------------------------------------------
# blocks


def test_both_engines_have_the_same_class(engine):
    assert engine.no_grad is grad_mode.no_grad


def test_nothing_is_left_of_a_block(engine, is_on):
    with engine.no_grad():
        assert not is_on() and not grad_mode.is_recording()
        with engine.no_grad():
            assert not is_on()
        assert not is_on()
    gc.collect()
    assert grad_mode.is_recording() and not grad_mode.no_grad_blocks


def test_an_object_is_entered_while_it_is_open(engine, is_on):
    mode = engine.no_grad()
    for _ in range(2):
        with mode:
            with mode, engine.no_grad():
                assert not is_on()
            assert not is_on()
        assert is_on()


def test_blocks_that_end_in_another_order(engine, is_on):
    for order in itertools.permutations(range(3)):
        modes = [engine.no_grad() for _ in range(3)]
        for mode in modes:
            mode.__enter__()
        for i in order:
            assert not is_on()
            modes[i].__exit__(None, None, None)
        assert is_on()


def test_an_exit_without_a_block(engine, is_on):
    engine.no_grad().__exit__(None, None, None)
    assert is_on()
    with engine.no_grad():
        engine.no_grad().__exit__(None, None, None)
        assert not is_on()


def test_exit_stacks(engine, is_on):
    with contextlib.ExitStack() as stack:
        stack.enter_context(engine.no_grad())
        stack.enter_context(engine.no_grad())
        assert not is_on()
    assert is_on()
    with pytest.raises(ZeroDivisionError), contextlib.ExitStack() as stack:
        stack.enter_context(engine.no_grad())
        1 / 0  # noqa: B018


def test_an_object_that_is_gone_leaves_its_block(engine, is_on):
    engine.no_grad().__enter__()
    gc.collect()
    assert is_on()
    with engine.no_grad():
        engine.no_grad().__enter__()
        engine.no_grad().__enter__()
        gc.collect()
        assert not is_on()
    assert is_on()


# -----------------------------------------------------------------------------
# threads, tasks


def test_one_object_in_two_threads(engine, is_on):
    mode = engine.no_grad()
    inside, left = threading.Event(), threading.Event()
    seen = []

    def work():
        seen.append(is_on())
        with mode:
            seen.append(is_on())
            inside.set()
            assert left.wait(30)
            seen.append(is_on())
        seen.append(is_on())

    thread = threading.Thread(target=work)
    with mode:
        thread.start()
        assert inside.wait(30)
        assert not is_on()
    assert is_on()
    left.set()
    thread.join()
    assert seen == [True, False, False, True]


def test_one_object_in_many_threads(engine, is_on):
    mode = engine.no_grad()
    wrong = []

    def work(seed):
        for _ in range(200):
            with mode:
                if is_on():
                    wrong.append(seed)
            if not is_on():
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_blocks_of_tasks_that_take_turns(engine, is_on):
    async def task(mode, seed):
        turns = random.Random(seed)
        for _ in range(20):
            assert is_on()
            with mode:
                assert not is_on()
                for _ in range(turns.randrange(4)):
                    await asyncio.sleep(0)
                    assert not is_on()
            assert is_on()
            for _ in range(turns.randrange(3)):
                await asyncio.sleep(0)

    async def main():
        shared = engine.no_grad()
        await asyncio.gather(*[task(shared, i) for i in range(5)])
        await asyncio.gather(*[task(engine.no_grad(), i) for i in range(5)])

    asyncio.run(main())


def test_a_task_goes_on_with_what_held_when_it_was_made(engine, is_on):
    async def task(left):
        seen = [is_on()]
        await left.wait()
        gc.collect()
        seen.append(is_on())
        with engine.no_grad():
            seen.append(is_on())
        seen.append(is_on())
        return seen

    async def main():
        left = asyncio.Event()
        mode = engine.no_grad()
        with mode:
            inside = [asyncio.ensure_future(task(left)) for _ in range(2)]
            with mode:
                inside.append(asyncio.ensure_future(task(left)))
            await asyncio.sleep(0)
        outside = asyncio.ensure_future(task(left))
        await asyncio.sleep(0)
        assert is_on()
        del mode
        left.set()
        assert await asyncio.gather(*inside) == [[False] * 4] * 3
        assert await outside == [True, True, False, True]

    asyncio.run(main())


def test_a_block_that_is_left_in_another_context(engine, is_on):
    """As a generator that goes on in another thread: the block counts until its object is gone."""

    def body():
        with engine.no_grad():
            yield is_on()
        yield is_on()

    generator = body()
    first, second = contextvars.copy_context(), contextvars.copy_context()
    assert first.run(next, generator) is False
    assert second.run(next, generator) is True
    generator.close()
    gc.collect()
    assert first.run(is_on) is True


# -----------------------------------------------------------------------------
# the decorator


def test_functions(engine, is_on):
    @engine.no_grad()
    def function(a, *, b=1):
        """What it does."""
        return is_on(), a, b

    assert function(1, b=2) == (False, 1, 2)
    assert (function.__name__, function.__doc__) == ("function", "What it does.")
    assert function.__wrapped__(1) == (True, 1, 1)

    @engine.no_grad()
    def failing():
        raise KeyError

    with pytest.raises(KeyError):
        failing()

    class Thing:
        @engine.no_grad()
        def method(self):
            return self, is_on()

    thing = Thing()
    assert thing.method() == (thing, False)


def test_without_parentheses(engine, is_on):
    @engine.no_grad
    def function(a):
        return is_on(), a

    assert function(1) == (False, 1) and is_on()
    assert engine.Value.no_grad(function)(2) == (False, 2)
    with pytest.raises(TypeError, match=r"write `with no_grad\(\):`, with parentheses"):
        with engine.no_grad:
            pytest.fail("it is entered")
    assert is_on()
    with pytest.raises(TypeError, match=r"no_grad\(\) .* decorates a function, not 3"):
        engine.no_grad(3)
    with pytest.raises(TypeError, match="decorates functions, not the class Neuron"):
        engine.no_grad(engine.Neuron)


def test_recursive_functions(engine, is_on):
    @engine.no_grad()
    def function(n):
        return [*function(n - 1), is_on()] if n else []

    assert function(5) == [False] * 5


def test_coroutine_functions(engine, is_on):
    @engine.no_grad()
    async def function(a, *, b=1):
        """What it does."""
        seen = [is_on()]
        for _ in range(3):
            await asyncio.sleep(0)
            seen.append(is_on())
        return seen, a, b

    assert inspect.iscoroutinefunction(function)
    assert not inspect.isgeneratorfunction(function)
    assert (function.__name__, function.__doc__) == ("function", "What it does.")

    async def other():
        seen = []
        for _ in range(6):
            seen.append(is_on())
            await asyncio.sleep(0)
        return seen

    async def main():
        results = await asyncio.gather(function(1, b=2), other(), function(3))
        assert results == [([False] * 4, 1, 2), [True] * 6, ([False] * 4, 3, 1)]
        assert is_on()
        waiting = asyncio.ensure_future(endless())
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    ended = []

    @engine.no_grad()
    async def endless():
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append(is_on())

    asyncio.run(main())
    assert ended == [False]
    by_hand = function(1)
    by_hand.send(None)
    assert is_on()  # it waits
    by_hand.close()


def test_generators(engine, is_on):
    log = []

    @engine.no_grad()
    def function(a):
        """What it does."""
        sent = None
        while True:
            try:
                sent = yield a, sent, is_on()
            except KeyError:
                log.append(("caught", is_on()))
                sent = "caught"
            except GeneratorExit:
                log.append(("closed", is_on()))
                raise
            if sent == "end":
                return "result", is_on()

    assert inspect.isgeneratorfunction(function)
    assert (function.__name__, function.__doc__) == ("function", "What it does.")
    body = function(1)
    assert next(body) == (1, None, False) and is_on()
    assert body.send(7) == (1, 7, False) and is_on()
    assert body.throw(KeyError()) == (1, "caught", False) and is_on()
    with pytest.raises(StopIteration) as stop:
        body.send("end")
    assert stop.value.value == ("result", False)
    body = function(2)
    next(body)
    body.close()
    assert log == [("caught", False), ("closed", False)]
    body = function(3)
    next(body)
    with pytest.raises(ZeroDivisionError):
        body.throw(ZeroDivisionError())
    with pytest.raises(StopIteration):
        next(body)

    def outer():
        return (yield from function(4))

    body = outer()
    next(body)
    with pytest.raises(StopIteration) as stop:
        body.send("end")
    assert stop.value.value == ("result", False)

    @engine.no_grad()
    def numbers():
        with contextlib.suppress(ZeroDivisionError):
            yield from range(3)
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        list(numbers())


def test_classes_are_not_decorated(engine):
    with pytest.raises(TypeError, match="decorates functions, not the class Model"):
        engine.no_grad()(type("Model", (), {}))


def test_a_generator_s_exceptions_leave_no_cycles(engine):
    class Thrown(Exception):
        pass

    @engine.no_grad()
    def function():
        with contextlib.suppress(Thrown):
            yield 1
        yield 2

    @engine.no_grad()
    async def async_function():
        with contextlib.suppress(Thrown):
            yield 1
        yield 2

    async def use():
        body = async_function()
        await body.asend(None)
        assert await body.athrow(Thrown()) == 2
        await body.aclose()

    def exceptions():
        return [x for x in gc.get_objects() if type(x) is Thrown]

    gc.collect()
    gc.disable()
    try:
        body = function()
        next(body)
        assert body.throw(Thrown()) == 2
        if IS_CPYTHON:
            assert not exceptions()
        asyncio.run(use())
        if IS_CPYTHON:
            assert not exceptions()
    finally:
        gc.enable()


def test_async_generators(engine, is_on):
    log = []

    @engine.no_grad()
    async def function(a):
        """What it does."""
        sent = None
        try:
            while True:
                await asyncio.sleep(0)
                try:
                    sent = yield a, sent, is_on()
                except KeyError:
                    await asyncio.sleep(0)
                    sent = "caught"
                if sent == "end":
                    return
        finally:
            await asyncio.sleep(0)
            log.append(is_on())

    assert inspect.isasyncgenfunction(function)
    assert (function.__name__, function.__doc__) == ("function", "What it does.")

    async def main():
        body = function(1)
        assert await body.asend(None) == (1, None, False) and is_on()
        assert await body.asend(7) == (1, 7, False) and is_on()
        assert await body.athrow(KeyError()) == (1, "caught", False) and is_on()
        with pytest.raises(StopAsyncIteration):
            await body.asend("end")
        body = function(2)
        async for item in body:
            assert item == (2, None, False) and is_on()
            break
        await body.aclose()
        body = function(3)
        await body.asend(None)
        with pytest.raises(ZeroDivisionError):
            await body.athrow(ZeroDivisionError())

    asyncio.run(main())
    assert log == [False] * 3


# -----------------------------------------------------------------------------
# interrupts


@pytest.fixture
def storm():
    """A function that calls another again and again and interrupts it each time."""

    def storm(function, n, longest, after):
        moments = random.Random(1)
        interrupts = 0
        ends = time.monotonic() + 300

        def again():
            function()
            assert time.monotonic() < ends, "an interrupt was lost"

        for i in range(n):
            if i % 100 == 0:
                gc.collect()
            try:
                signal.setitimer(signal.ITIMER_REAL, moments.uniform(1e-5, longest))
                try:
                    while True:
                        again()
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt as problem:
                interrupts += 1
                after(problem)
        return interrupts

    # Python swallows what is raised while the collector closes a generator, or calls one of
    # gc.callbacks, such as Hypothesis's
    gc.disable()
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    yield storm
    signal.signal(signal.SIGALRM, before)
    gc.enable()


needs_timer = pytest.mark.skipif(
    not IS_CPYTHON or not hasattr(signal, "setitimer"), reason="there is no timer, or no C stack"
)


@needs_timer
@times(500, 5000)
def test_interrupts_leave_recording_on(engine, is_on, storm, n):
    def enter_and_leave():
        with engine.no_grad():
            pass

    @engine.no_grad()
    def decorated():
        pass

    @engine.no_grad()
    def generator():
        yield

    def work():
        for _ in range(20):
            enter_and_leave()
            decorated()
            for _ in generator():
                pass

    def after(problem):
        # as at a prompt, where sys.last_traceback is kept
        sys.last_value = problem
        assert grad_mode.is_recording()
        assert is_on()

    try:
        assert storm(work, n, 2e-4, after) == n
    finally:
        vars(sys).pop("last_value", None)
    gc.collect()
    assert not grad_mode.no_grad_blocks


@needs_timer
@times(100, 1000)
def test_results_of_one_call_that_are_interrupted(engine, is_on, storm, n):
    """No node is lost between C and Python."""
    x = [engine.Value(0.1 * i) for i in range(5)]
    model = engine.MLP(5, [2, 2], rng=engine.RNG(1))
    split = [([0.1, 0.2, 0.3, 0.4, 0.5], 1)] * 2

    def work():
        p = engine.softmax(model(x))
        total = engine.sum([engine.dot(x, x, p[0]), *p, 1.0])
        total.note = [total]
        loss = engine.cross_entropy(p, 1) + engine.mean_cross_entropy(model, split)
        user = engine.Value(1.0, (total, loss), "user")
        user._backward = lambda: (user, total)
        root = user * total._prev[0]
        root.backward()
        with engine.no_grad():
            engine.softmax(model(x))[0].note = engine.eval_split(model, split)

    work()
    gc.collect()
    nodes = live_nodes()

    def after(problem):
        assert is_on()

    assert storm(work, n, 1e-3, after) == n
    for _ in range(3):
        gc.collect()
    assert live_nodes() == nodes


@needs_timer
@times(150, 1500)
def test_a_training_loop_that_is_interrupted(engine, is_on, storm, n):
    rng = engine.RNG(42)
    train, val, _ = engine.gen_data(rng, n=10)
    model = engine.MLP(2, [2, 3], rng=rng)
    optimizer = engine.AdamW(model.parameters(), lr=0.1)

    def work():
        engine.eval_split(model, val)
        loss = engine.mean_cross_entropy(model, train)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        engine.eval_split(model, train)

    work()
    gc.collect()
    nodes = live_nodes()

    def after(problem):
        assert is_on()

    assert storm(work, n, 5e-3, after) == n
    gc.collect()
    assert live_nodes() == nodes
    optimizer.zero_grad()
    engine.mean_cross_entropy(model, train).backward()
    assert any(p.grad for p in model.parameters())


# -----------------------------------------------------------------------------
# backward() where there is no graph

WARNING = (
    "backward() of a Value that was computed under no_grad(): it has no graph, so that no other "
    "Value gets a gradient. Compute it outside of no_grad()"
)


def user_node(e, a, b):
    """As scripts make them, with a rule that does without the graph."""
    out = e.Value(a.data * b.data, (a, b), "own")

    def rule():
        a.grad += b.data * out.grad

    out._backward = rule
    return out


def computed(e):
    """By name: functions that compute a Value of a and b, with that engine."""
    model = e.MLP(2, [2, 2], rng=e.RNG(1))
    recorded = e.recorded(lambda v, x: v * x)
    return {
        "+": lambda a, b: a + b,
        "+ number": lambda a, b: 1 + a,
        "-": lambda a, b: 1 - a,
        "negative": lambda a, b: -a,
        "/": lambda a, b: a / b,
        "number /": lambda a, b: 2 / a,
        "**": lambda a, b: a**2,
        "** Value": lambda a, b: a**b,
        "tanh": lambda a, b: a.tanh(),
        "abs": lambda a, b: abs(a),
        "dot": lambda a, b: e.dot([a], [b]),
        "dot of numbers": lambda a, b: e.dot([1.0], [2.0]),
        "sum": lambda a, b: e.sum([a, b]),
        "sum of numbers": lambda a, b: e.sum([1.0]),
        "linear": lambda a, b: e.linear([a, 1.0], [[b, 2.0]])[0],
        "linear of numbers": lambda a, b: e.linear([1.0], [[2.0]])[0],
        "take": lambda a, b: e.take([a, b], 1),
        "take of rows": lambda a, b: e.take([[1.0, a], [2.0, b]], 1)[0],
        "softmax": lambda a, b: e.softmax([a, b])[1],
        "cross_entropy": lambda a, b: e.cross_entropy([a, b], 1),
        "mean_cross_entropy": lambda a, b: e.mean_cross_entropy(model, [([a, 1.0], 1)]),
        "neuron": lambda a, b: model.layers[0].neurons[0]([a, b]),
        "layer": lambda a, b: model.layers[0]([a, b])[0],
        "model": lambda a, b: model([a, b])[0],
        "user node": lambda a, b: e.Value(1.0, (a,), "own"),
        "local gradients": lambda a, b: e.Value(1.0, (a, b), (2.0, 3.0)),
        "recorded": lambda a, b: recorded(a, 2.0),
    }


@pytest.mark.parametrize("what", computed(pure))
def test_backward_warns(engine, what):
    """Of all that is computed under no_grad, and of nothing that is computed outside."""
    compute = computed(engine)[what]
    a, b = engine.Value(2.0), engine.Value(3.0)
    for _ in range(2):  # also of what a recorded function has kept
        with engine.no_grad():
            v = compute(a, b)
        for x in (v, copy.copy(v), copy.deepcopy([v])[0], pickle.loads(pickle.dumps(v))):
            with pytest.warns(UserWarning) as caught:
                x.backward()
            assert [str(warning.message) for warning in caught] == [WARNING]
            assert caught[0].filename == __file__  # the line that calls it
            assert (x.grad, a.grad, b.grad) == (1.0, 0.0, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compute(a, b).backward()
        (v * 1).backward()  # as any leaf


def test_the_warning_as_an_error(engine):
    """It leaves everything as it was."""
    with engine.no_grad():
        v = engine.Value(2.0) * 3
    v.grad = 5.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="computed under no_grad"):
            v.backward()
    assert (v.data, v.grad) == (6.0, 5.0)


def test_backward_of_other_leaves_does_not_warn(engine):
    class Mine(engine.Value):
        pass

    with engine.no_grad():
        x = engine.Value(2.0)
        leaves = [x, Mine(2.0), engine.Value(2.0, (), "own"), engine.Value(2.0, label="x")]
        leaves += [(x * 2).detach(), copy.copy(x), engine.sum([], x)]
    leaves.append(engine.take([x], 0).detach())
    for leaf in leaves:
        leaf.backward()
        assert leaf.grad == 1.0


def test_a_user_node_with_a_rule_of_its_own_does_not_warn(engine):
    """Its rule runs, whether there is a graph or not."""
    a, b = engine.Value(2.0), engine.Value(3.0)
    with engine.no_grad():
        out = user_node(engine, a, b)
    out.backward()
    assert a.grad == 3.0
    del out._backward
    with pytest.warns(UserWarning, match="computed under no_grad"):
        out.backward()


def test_a_filter_that_makes_the_value_anew(engine, monkeypatch):
    """What shows warnings is Python, too."""
    a = engine.Value(2.0)
    with engine.no_grad():
        v = a * 3

    def show(*args, **kwargs):
        v.__init__(1.0, (a,), (4.0,))

    monkeypatch.setattr(warnings, "showwarning", show)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        v.backward()
    assert (v.data, v.grad, a.grad) == (1.0, 1.0, 4.0)


def test_threads_are_warned_of_their_own(engine):
    """A Value that another thread computes under no_grad meanwhile changes nothing here."""
    a = engine.Value(2.0)
    entered, left = threading.Event(), threading.Event()
    made = []

    def work():
        with engine.no_grad():
            made.append(a * 2)
            entered.set()
            left.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    assert entered.wait(10)
    (a * 2).backward()
    left.set()
    thread.join()
    assert a.grad == 2.0
    with pytest.warns(UserWarning, match="computed under no_grad"):
        made[0].backward()


def test_what_is_made_anew_is_no_longer_of_no_grad(engine):
    """A leaf by hand, or with operands and slopes: backward() has nothing to warn of."""
    a = engine.Value(2.0)
    for arguments in (5.0,), (5.0, (a,), (2.0,)):
        with engine.no_grad():
            v = a * 3
        v.__init__(*arguments)
        v.backward()
        assert v.grad == 1.0
    assert a.grad == 2.0
    with engine.no_grad():
        v.__init__(5.0, (a,), (2.0,))
    with pytest.warns(UserWarning, match="computed under no_grad"):
        v.backward()
