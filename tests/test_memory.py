"""When memory ends: a MemoryError, everything as it was, and the work goes on.

`make -C csrc memory` looks at this more closely: at the tape itself, after every failure.
"""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from conftest import needs_c

pytestmark = [needs_c, pytest.mark.unsanitized]

HERE = Path(__file__).resolve().parent


def python(program, **environment):
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": str(HERE), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.stderr == "" and run.returncode == 0
    return run.stdout


@pytest.fixture(scope="module")
def failing_malloc(tmp_path_factory):
    compiler = shutil.which("cc")
    if not compiler or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler, and LD_PRELOAD")
    library = tmp_path_factory.mktemp("memory") / "failing_malloc.so"
    source = HERE / "failing_malloc.c"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-fno-builtin", "-o", library, source, "-ldl"],
        check=True,
    )
    return str(library)


@pytest.mark.slow
def test_every_allocation_fails_once(failing_malloc):
    program = """
        import ctypes, gc
        import _micrograd
        from conftest import bits
        from test_value import sine
        from micrograd import compiled, pure
        from micrograd.compiled import live_nodes
        from micrograd.parallel import Trainer

        malloc = ctypes.CDLL(None)
        malloc.fail_at.argtypes, malloc.fail_at.restype = [ctypes.c_long], ctypes.c_long
        malloc.fail_between.argtypes = [ctypes.c_size_t] * 2
        with open("/proc/self/maps") as maps:
            places = [line.split()[0] for line in maps if _micrograd.__file__ in line]
        malloc.fail_between(int(places[0].split("-")[0], 16), int(places[-1].split("-")[1], 16))

        def steps(engine):
            '''Everything, in pieces that can be tried again; each returns Values to look at.'''
            random = engine.RNG(5)
            split = [([random.uniform(-1, 1), 0.5 * (i % 3)], i % 3) for i in range(8)]
            state = random.state
            kept = {}

            def keep(name, function):
                def step():
                    random.state = state
                    kept[name] = function()
                    result = kept[name]
                    return list(result) if isinstance(result, (list, tuple)) else [result]
                return name, step

            def call(name, method):
                def step():
                    getattr(kept[name], method)()
                    return getattr(kept[name], "parameters", [kept[name]])
                return name, step

            yield keep("x", lambda: [engine.Value(0.1 * i) for i in range(9)])
            yield keep("y", lambda: ((kept["x"][1] + 1) ** 2).tanh() / (kept["x"][2] - 3.0))
            yield keep("dot", lambda: engine.dot(kept["x"], kept["x"], kept["y"]))
            yield keep("mixed", lambda: engine.dot([1, 2, kept["y"]], [kept["x"][3], 5, 6]))
            yield keep("sum", lambda: engine.sum([*kept["x"], 1.0]))
            yield keep("user", lambda: sine(engine, sine(engine, kept["dot"]) * 2.0))
            yield keep("softmax", lambda: engine.softmax(kept["x"]))
            yield keep("cross", lambda: engine.cross_entropy(kept["x"], 3))
            yield keep("model", lambda: engine.MLP(2, [5, 3], rng=random))
            kept["p"] = kept["model"].parameters()
            yield keep("out", lambda: kept["model"]([0.5, kept["x"][1]]))
            yield keep("adamw", lambda: engine.AdamW(kept["p"]))
            yield keep("loss", lambda: engine.mean_cross_entropy(kept["model"], split))
            yield keep("number", lambda: engine.eval_split(kept["model"], split))
            for name in ("y", "dot", "sum", "user", "cross", "loss"):
                for method in ("backward", "forward", "backward", "forward", "forward", "backward"):
                    yield call(name, method)
            for _ in range(3):
                yield call("adamw", "step")
                yield call("adamw", "zero_grad")
                yield call("loss", "forward")
                yield call("loss", "backward")
            for _ in range(3):
                yield keep("loss", lambda: engine.mean_cross_entropy(kept["model"], split))
                yield call("loss", "backward")
                yield call("adamw", "step")
            yield keep("trainer", lambda: Trainer(kept["model"], split, shards=3))
            for _ in range(3):
                yield keep("shards", lambda: [kept["trainer"].backward(), *kept["p"]])

        def numbers(values):
            seen = []
            for v in values:
                if isinstance(v, float):
                    seen.append(bits(v))
                elif hasattr(v, "data"):
                    seen += [bits(v.data), bits(v.grad)]
                    seen += [bits(o.grad) for o in v._prev]
            return seen

        def run(engine, n):
            seen, failures = [], 0
            gc.collect()  # the last run's user nodes, whose functions refer to them
            malloc.fail_at(n)
            for name, step in steps(engine):
                before = live_nodes()
                try:
                    result = step()
                except MemoryError as problem:
                    assert "no memory" in str(problem), problem
                    failures += 1
                    del problem
                    gc.collect()
                    # some parameters may have their moments already, some shards their recordings
                    if name not in ("adamw", "shards"):
                        assert live_nodes() == before, name
                    result = step()
                seen += numbers(result)
            return seen, failures

        expected, _ = run(pure, -1)
        injected = raised = n = 0
        while True:
            seen, failures = run(compiled, n)
            assert seen == expected, n
            happened = malloc.fail_at(-1)
            if not happened:
                break
            injected, raised, n = injected + happened, raised + failures, n + 1
        gc.collect()
        assert live_nodes() == 0
        assert injected == n and raised > 5
        print(injected, raised)
    """
    print(python(program, LD_PRELOAD=failing_malloc))


def test_memory_ends_and_comes_back():
    program = """
        import gc, resource
        from micrograd.compiled import MLP, RNG, Value, mean_cross_entropy
        from micrograd.compiled import live_nodes

        with open("/proc/self/statm") as statm:
            now = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + 90 * 2**20,) * 2)

        for _ in range(3):
            x = Value(0.5)
            y, n = x, 1
            try:
                while True:
                    y = y + x
                    n += 1
            except MemoryError as problem:
                assert str(problem) == "no memory for another node on the tape"
            assert (y.data, live_nodes()) == (0.5 * n, n)
            assert n > 1_000_000
            for method in (y.backward, y.forward):  # there is none for a walk, either
                try:
                    method()
                except MemoryError:
                    assert (y.data, y.grad, x.grad) == (0.5 * n, 0.0, 0.0)
                else:
                    raise AssertionError("there was memory")
            z = y._prev[0]
            del y, method
            assert live_nodes() == n - 1  # its place is free again
            y = z + x
            assert y.data == 0.5 * n
            del y, z
            assert live_nodes() == 1
            model = MLP(2, [3, 2], rng=RNG(1))
            loss = mean_cross_entropy(model, [([0.5, 1.0], 1)] * 100)
            loss.backward()
            assert any(p.grad for p in model.parameters())
            del model, loss, x
            gc.collect()
            assert live_nodes() == 0
    """
    assert python(program) == ""
