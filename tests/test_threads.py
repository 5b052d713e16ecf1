"""Threads, forks and the interpreter's end: the tape is whole whatever comes between.

Sums that threads add up together are of integers, where the order of additions cannot matter.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest
from conftest import bits, collect_garbage, nodes_with_attributes, times
from test_value import sine

from micrograd import compiled, pure
from micrograd.compiled import MLP, RNG, SGD, AdamW, Value, dot, mean_cross_entropy, no_grad

THREADS = 8


@pytest.fixture(autouse=True)
def many_switches(no_new_nodes):
    """Threads take turns as often as they can, and leave nothing behind."""
    interval, known = sys.getswitchinterval(), nodes_with_attributes()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
    collect_garbage()
    assert nodes_with_attributes() == known


def in_threads(work, n=THREADS):
    """Call work(i) in n threads that start at once; return what it returned, in order."""
    results, start = [None] * n, threading.Barrier(n)

    def run(i):
        start.wait()
        try:
            results[i] = work(i)
        except BaseException as problem:
            results[i] = problem

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def python(program):
    """Run a program in a Python of its own; return its exit status, output and errors."""
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    return run.returncode, run.stdout, run.stderr


# -----------------------------------------------------------------------------
# graphs of their own


def everything(engine, seed, rounds):
    """Use all there is; return the bits of the numbers that come out."""
    random, seen = engine.RNG(seed + 1), []

    def see(*values):
        seen.extend(bits(x) for v in values for x in (v.data, v.grad))

    for i in range(rounds):
        a, b = engine.Value(random.uniform(-1, 1)), engine.Value(random.uniform(0.5, 1))
        y = a
        for _ in range(20):
            y = (y * b + a / b - 0.25).tanh() + (b**2).exp() * 0.125
        y.label = f"round {i}"
        y.backward()
        see(y, a, b)
        b.data = 0.75
        for _ in range(3):
            y.forward()
            y.backward()
        see(y, a, b, y._prev[0])
        with engine.no_grad():
            see(y * a, engine.dot([a, b], [y, 2.0]), engine.sum([a, 1.0]))
        own = sine(engine, sine(engine, a) * b)
        own.backward()
        own.forward()
        total = engine.dot([a, b, 2.0], [b, own, a], start=y) + engine.sum([a, b, own])
        p = engine.softmax([a, b, total, 0.5])
        engine.cross_entropy(p, 1).backward()
        see(own, total, *p, a, b)
        try:
            (a - a).log()
        except ValueError as problem:
            seen.append(str(problem))

    model = engine.MLP(2, [4, 3], rng=random)
    split = [([random.uniform(-1, 1), random.uniform(-1, 1)], i % 3) for i in range(12)]
    optimizer = engine.AdamW(model.parameters(), weight_decay=0.01)
    for _ in range(rounds):
        loss = engine.mean_cross_entropy(model, split)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        see(loss, *model([0.5, a]))
    for _ in range(rounds):
        loss.forward()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seen.append(bits(engine.eval_split(model, split)))
    see(loss, *model.parameters())
    return seen


def test_every_thread_computes_what_it_would_alone():
    expected = [everything(pure, i, 8) for i in range(THREADS)]
    assert in_threads(lambda i: everything(compiled, i, 8)) == expected


def test_no_grad_in_some_threads_only():
    x = Value(3.0)

    def work(i):
        for _ in range(300):
            if i % 2:
                with no_grad():
                    assert (x * x + x)._prev == ()
                    assert dot([x], [x])._prev == ()
            else:
                assert (x * x)._prev == (x, x)
                assert dot([x], [x])._prev[1]._prev == ()  # 0 + x*x: the number goes second

    in_threads(work)


# -----------------------------------------------------------------------------
# parameters that all share


def test_gradients_on_shared_leaves_add_up():
    w = [Value(float(i)) for i in range(10)]
    rounds = 200

    def work(i):
        x = [float(i + k) for k in range(10)]
        kept = dot(w, x) * 2.0
        for step in range(rounds):
            if step % 4 == 0:
                dot(w, x).backward()
            elif step % 4 == 1:
                total = w[0] * x[0]
                for wk, xk in zip(w[1:], x[1:]):
                    total = total + wk * xk
                total.backward()
            else:
                kept.forward()  # which clears the gradients in between, but not the leaves'
                kept.backward()

    in_threads(work)
    per_round = rounds // 4 * (1 + 1 + 2 + 2)
    for k, v in enumerate(w):
        assert v.grad == per_round * sum(i + k for i in range(THREADS))


def test_gradients_on_shared_parameters_add_up():
    """relu, and weights and inputs that are integers: so are all gradients."""
    model = MLP(3, [5, 2], activation="relu", rng=RNG(3))
    for i, p in enumerate(model.parameters()):
        p.data = float(i % 7 - 2)
    rounds = 100

    def work(i):
        for _ in range(rounds):
            out = model([1.0, float(i), -2.0])
            (out[0] * 3.0 + out[1]).backward()

    in_threads(work)
    together = [p.grad for p in model.parameters()]
    model.zero_grad()
    for i in range(THREADS):
        out = model([1.0, float(i), -2.0])
        (out[0] * 3.0 + out[1]).backward()
    assert together == [rounds * p.grad for p in model.parameters()]
    assert any(together)


def test_losses_of_one_model():
    """Every backward pass is alike and goes undivided: any order gives the same bits."""
    model = MLP(2, [4, 3], rng=RNG(1))
    split = [([0.5 * i, 1.0 - i], i % 3) for i in range(6)]
    rounds = 40

    def work(i):
        losses = []
        for step in range(rounds):
            if step % 2 == 0 or step == 1:
                loss = mean_cross_entropy(model, split)
            else:
                loss.forward()
            loss.backward()
            losses.append(loss.data)
        return set(losses)

    together = in_threads(work)
    gradients = [p.grad for p in model.parameters()]
    model.zero_grad()
    for _ in range(THREADS * rounds):
        loss = mean_cross_entropy(model, split)
        loss.backward()
    assert together == [{loss.data}] * THREADS
    assert gradients == [p.grad for p in model.parameters()]


def test_a_data_set_that_another_thread_replaces():
    """A loss is that of one set or of the other, not of a mixture."""
    random = RNG(7)
    model = MLP(2, [3, 2], rng=random)
    sets = [
        [([random.uniform(-1, 1), random.uniform(-1, 1)], k % 2) for k in range(n)] for n in (40, 9)
    ]
    expected = {bits(mean_cross_entropy(model, points).data) for points in sets}
    split, done = [*sets[0]], threading.Event()

    def replace():
        while not done.is_set():
            for points in sets:
                split[:] = points

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        found = {bits(mean_cross_entropy(model, split).data) for _ in range(300)}
    finally:
        done.set()
        writer.join()
    assert found <= expected


def test_weights_that_another_thread_replaces():
    """A call is of the old weights or of the new ones, which are not freed in the middle of it."""
    model, done = MLP(2, [1]), threading.Event()
    [neuron] = model.layers[0].neurons

    def replace():
        while not done.is_set():
            neuron.w = [Value(1.0), Value(2.0)]
            neuron.w = [Value(3.0), Value(4.0)]

    neuron.w = [Value(1.0), Value(2.0)]
    writer = threading.Thread(target=replace)
    writer.start()
    try:
        split = [([Value(10.0), Value(100.0)], 0)] * 3
        found = {model(split[0][0]).data for _ in range(10_000)}
        assert {mean_cross_entropy(model, split).data for _ in range(1000)} == {0.0}
    finally:
        done.set()
        writer.join()
    assert found <= {210.0, 430.0}


def test_optimisers_over_shared_parameters():
    """Every step takes 1 off; nothing is lost where steps are whole."""
    parameters = [Value(1000.0 * i) for i in range(5)]
    for p in parameters:
        p.grad = 1.0
    rounds = 500

    def work(i):
        optimizer = SGD(parameters, lr=1.0)
        for _ in range(rounds):
            optimizer.step()

    in_threads(work)
    assert [p.data for p in parameters] == [1000.0 * i - THREADS * rounds for i in range(5)]


def test_one_graph_that_all_use():
    """Passes, looks, new uses and attributes, all over one recording at once."""
    x = [Value(float(i)) for i in range(6)]
    root = dot(x, x) * 0.5
    inner = root._prev[0]

    def work(i):
        for step in range(200):
            what = (i + step) % 6
            if what == 0:
                root.forward()
                assert root.data == 27.5
            elif what == 1:
                root.backward()
            elif what == 2:
                assert (inner + x[step % 6]).data == 55.0 + step % 6
            elif what == 3:
                assert inner.data == 55.0 and root._prev[0] is inner
            elif what == 4:
                inner.seen = step
                assert inner.seen >= 0 and root._prev[1].data == 0.5
            else:
                above = root * inner
                above.backward()
                assert above.data == 27.5 * 55.0

    in_threads(work)
    root.forward()
    for v in x:
        v.grad = 0.0
    root.backward()
    assert [v.grad for v in x] == [v.data for v in x]


def test_a_value_that_one_thread_drops_and_another_uses():
    """What is handed from thread to thread dies once, in whatever thread was the last."""
    box = [Value(1.0) * 2.0 for _ in range(10)]

    def work(i):
        for step in range(500):
            old = box[(step * i) % 10]
            box[(step + i) % 10] = (old * 0.5 + 1.0) if step % 3 else Value(float(step)) * 2.0
            box[step % 10].label = "taken"
            assert old.data == old.data

    in_threads(work)
    box.clear()


# -----------------------------------------------------------------------------
# fork and spawn


def train(seed):
    model = MLP(2, [3, 2], rng=RNG(seed))
    optimizer = AdamW(model.parameters())
    for _ in range(3):
        loss = mean_cross_entropy(model, [([0.5, -1.0], 0), ([1.0, 2.0], 1)])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    loss.label = "loss"
    loss.forward()
    return bits(loss.data)


class Busy:
    """Threads that are inside the tape, and in the cleaning up of attributes, all the time."""

    def __enter__(self):
        self.done = threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(i,)) for i in range(3)]
        for thread in self.threads:
            thread.start()
        return self

    def work(self, i):
        while not self.done.is_set():
            y = x = Value(1.0)
            for _ in range(30):
                y = y * x
                y.label = "y"
            y.backward()
            y.forward()
            y.forward()
            del y
            train(i + 1)

    def __exit__(self, *exception):
        self.done.set()
        for thread in self.threads:
            thread.join()


def end_soon():
    """A process that waits for a lock without a holder waits for ever."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(30)


def child_of_a_fork(expected):
    """What a forked child does, as its exit status."""
    end_soon()
    known = nodes_with_attributes()
    for _ in range(50):
        Value(1.0, label="x")
    if nodes_with_attributes() > known:
        return 1
    return 0 if train(5) == expected else 2


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@times(10, 60)
def test_forks_while_threads_are_inside(n):
    expected = train(5)
    with Busy():
        for _ in range(n):
            child = os.fork()
            if child == 0:
                status = 3
                try:
                    status = child_of_a_fork(expected)
                finally:
                    os._exit(status)
            assert os.waitpid(child, 0)[1] == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    "method", ["fork", *[pytest.param(m, marks=pytest.mark.slow) for m in ("spawn", "forkserver")]]
)
def test_pools_of_processes(method):
    expected = [train(seed) for seed in range(1, 9)]
    with Busy():
        pool = multiprocessing.get_context(method).Pool(2, end_soon)
        try:
            assert pool.map_async(train, range(1, 9)).get(timeout=60) == expected
        finally:
            pool.terminate()
            pool.join()


# -----------------------------------------------------------------------------
# the interpreter's end


ENDINGS = {
    "daemon threads inside the tape": """
        import threading, time
        from micrograd.compiled import MLP, Value, mean_cross_entropy

        def work():
            model = MLP(2, [4, 3])
            while True:
                y = x = Value(1.0)
                for _ in range(50):
                    y = y * x
                    y.label = "y"
                y.backward()
                mean_cross_entropy(model, [([1.0, 2.0], 1)] * 50).backward()

        for _ in range(4):
            threading.Thread(target=work, daemon=True).start()
        time.sleep(0.2)
    """,
    "exit handlers before and after the package's own": """
        import atexit

        def use():
            from micrograd.compiled import Value
            for label in ("", "x"):
                x = Value(3.0, label=label)
                y = Value(9.0, (x,), "square")
                y._backward = lambda: setattr(x, "grad", y.grad)
                (y * x).backward()
                (x * x).forward()
                assert x.grad == y.grad == 3.0

        atexit.register(use)
        import micrograd
        atexit.register(use)
        use()
    """,
    "finalisers that use Values when all is going": """
        import sys
        from micrograd.compiled import MLP, Value, mean_cross_entropy

        class Late:
            def __init__(self):
                self.model = MLP(2, [2])
                self.x = Value(2.0, label="x")
                self.me = self

            def __del__(self):
                self.x.label = "late"
                (self.x * 2.0).backward()
                mean_cross_entropy(self.model, [([1.0, 2.0], 0)]).backward()

        sys.late = Late()
        late = Late()
        late.other = Late()
    """,
    "graphs in modules, cycles and threads' own storage": """
        import builtins, sys, threading
        from micrograd.compiled import MLP, Value, mean_cross_entropy
        model = MLP(2, [3, 2])
        loss = mean_cross_entropy(model, [([1.0, 2.0], 0)])
        loss.forward(); loss.forward(); loss.backward()
        own = Value(1.0, (loss,), "own", label="own")
        own._backward = lambda: own
        cycle = [own * 2.0]
        cycle.append(cycle)
        builtins.kept, sys.kept = own.tanh(), loss
        storage = threading.local()
        storage.kept = own + loss
        def keep():
            storage.kept = own + loss
            wait.wait()
        wait = threading.Event()
        threading.Thread(target=keep, daemon=True).start()
    """,
    "an exit in the middle of a user's function": """
        import sys
        from micrograd.compiled import Value
        x = Value(1.0)
        y = Value(2.0, (x,), "own", label="y")
        y._backward = sys.exit
        (y * x).backward()
    """,
    "a fork whose child ends by itself": """
        import os, sys
        from micrograd.compiled import Value
        x = Value(1.0, label="x")
        y = x * x
        child = os.fork()
        y.backward()
        if child:
            assert os.waitpid(child, 0)[1] == 0
    """,
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_interpreter_ends_quietly(ending):
    for _ in range(3):
        assert python(ENDINGS[ending]) == (0, "", "")


INTERPRETERS = '''
try:
    import _interpreters as interpreters  # Python 3.13
    create = lambda: interpreters.create("isolated" if ISOLATED else "legacy")
except ImportError:
    import _xxsubinterpreters as interpreters
    create = lambda: interpreters.create(isolated=ISOLATED)

use = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import micrograd
x = micrograd.Value(3.0, label="theirs")
(x * x).backward()
said = [str(warning.message) for warning in caught]
print(micrograd.backend, x.grad, "main interpreter only" in said[0], flush=True)
"""

def run_in_another():
    interpreter = create()
    assert interpreters.run_string(interpreter, use) is None
    interpreters.destroy(interpreter)
'''


def in_interpreters(program, is_isolated):
    """Run a program that has `run_in_another`."""
    pytest.importorskip("_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters")
    return python(f"ISOLATED = {is_isolated}\n" + INTERPRETERS + textwrap.dedent(program))


@pytest.mark.parametrize("is_isolated", [False, True])
def test_interpreters_inside_the_process(is_isolated):
    """They have the plain-Python engine, and leave the main one's alone."""
    program = """
        run_in_another()
        from micrograd.compiled import Value
        from micrograd.compiled.binding import tape
        x = Value(1.0, label="ours")
        run_in_another()
        y = Value(2.0, label="y")
        del y
        assert (x.label, tape.watched) == ("ours", 1)
    """
    assert in_interpreters(program, is_isolated) == (0, "python 6.0 True\n" * 2, "")
