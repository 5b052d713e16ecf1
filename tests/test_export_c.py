"""Graphs as C source: compiled alone it has the bits of the engine, forward and backward."""

import ctypes
import math
import re
import shutil
import subprocess
import time
from random import Random

import pytest
import small_gpt
from conftest import ENGINES, bits, outcome, times
from test_parity import OPERATIONS

import micrograd
from micrograd.export import to_c

COMPILERS = [cc for cc in ("gcc", "clang") if shutil.which(cc)]
needs_compiler = pytest.mark.skipif(not COMPILERS, reason="there is neither gcc nor clang")
WARNINGS = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]
# what -O3 may do with a machine's fused multiply-add must not happen
OPTIONS = {"plain": [], "most": ["-O3", "-march=native"], "gnu": ["-O2", "-std=gnu17"]}


def compile_all(folder, sources, compiler="gcc", options=("-O2",)):
    """Compile sources by name to one library."""
    paths = []
    for name, source in sources.items():
        paths.append(folder / f"{name}.c")
        paths[-1].write_text(source, encoding="utf-8")
    library = folder / f"{compiler}{time.monotonic_ns()}.so"
    command = [compiler, *WARNINGS, *options, "-fPIC", "-shared", "-o", library, *paths, "-lm"]
    done = subprocess.run([*map(str, command)], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))


def doubles(numbers):
    return (ctypes.c_double * max(1, len(numbers)))(*numbers)


def run_c(library, name, source, xs, ps, dy=None):
    """Return the bits of the outputs, and of the gradients of inputs and parameters."""
    found = re.search(rf"{name}_values = (\d+), {name}_outputs = (\d+)", source)
    values, outputs = map(int, found.groups())
    x, p, y = doubles(xs), doubles(ps), doubles([0.0] * outputs)
    v, dv = doubles([math.nan] * values), doubles([math.nan] * values)
    dx, dp = doubles([0.0] * len(xs)), doubles([0.0] * len(ps))
    forward, backward = getattr(library, f"{name}_forward"), getattr(library, f"{name}_backward")
    if dy is None:
        forward.restype = ctypes.c_double
        y[0] = forward(x, p, v)
        backward(x, p, v, dv, dx, dp)
    else:
        forward(x, p, y, v)
        backward(x, p, v, doubles(dy), dv, dx, dp)
    n, m = len(xs), len(ps)
    return [*map(bits, y)], [*map(bits, dx[:n])], [*map(bits, dp[:m])]


def run_engine(root, inputs, parameters):
    """The same of the graph, computed again from the leaves' numbers."""
    for v in inputs + parameters:
        v.grad = 0.0
    root.forward()
    root.backward()
    return [bits(root.data)], *([bits(v.grad) for v in vs] for vs in (inputs, parameters))


def random_graph(engine, random):
    """A root, its inputs, and its parameters: some of the leaves, so that others are constants."""
    leaves = [engine.Value(random.uniform(-2, 2)) for _ in range(random.randint(3, 7))]
    values = list(leaves)
    names = [name for name in OPERATIONS if "graph" not in name and name != "detach"]
    for _ in range(random.randint(3, 40)):
        a = random.choice(values[-3:] if random.random() < 0.6 else values)
        b, k = random.choice(values), random.choice([2, 0.5, -1, 3, random.uniform(-2, 2)])
        kind = random.random()
        some = [random.choice([*values, 0.5]) for _ in range(random.randint(1, 7))]
        if kind < 0.6:
            what, result = outcome(OPERATIONS[random.choice(names)], a, b, k)
            result = [result]
        elif kind < 0.7:
            what, result = outcome(lambda: [engine.dot(some, values[-len(some) :], a)])  # noqa: B023
        elif kind < 0.8:
            what, result = outcome(lambda: [engine.dot(leaves[:5], values[-5:][::-1])])
        elif kind < 0.9:
            what, result = outcome(engine.softmax, some)
        else:
            what, result = outcome(engine.cross_entropy, some, len(some) - 1)
            result = [result]
        if what == "is":
            values += [v for v in result if math.isfinite(v.data) and abs(v.data) < 1e4]
    root = engine.sum(values[-4:]) * values[-1] + values[-2]
    below = {id(v) for v in micrograd.trace(root)[0]}
    leaves = [v for v in leaves if id(v) in below]
    return root, leaves[::2], leaves[1:-1:2]


@needs_compiler
@times(12, 300)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("compiler", COMPILERS or ["none"])
def test_random_graphs(engine, compiler, options, n, tmp_path):
    graphs, sources = {}, {}
    for seed in range(n):
        graphs[f"f{seed}"] = root, inputs, parameters = random_graph(engine, Random(seed))
        sources[f"f{seed}"] = to_c(root, inputs, parameters, f"f{seed}")
    library = compile_all(tmp_path, sources, compiler, OPTIONS[options])
    compared = 0
    for name, (root, inputs, parameters) in graphs.items():
        random = Random(name)
        for _ in range(5):
            what, expected = outcome(run_engine, root, inputs, parameters)
            leaves = inputs + parameters
            if what == "is":
                numbers = [[v.data for v in vs] for vs in (inputs, parameters)]
                assert (*run_c(library, name, sources[name], *numbers),) == expected, name
                compared += 1
            for v in leaves:
                v.data = v.data + random.uniform(-0.1, 0.1)
    assert compared > 3 * n
