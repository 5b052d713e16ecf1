"""Graphs as C source: compiled alone it has the bits of the engine, forward and backward."""

import ctypes
import gc
import math
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from random import Random

import pytest
import small_gpt
from conftest import ENGINES, bits, needs_c, outcome, times
from programs import run
from test_parity import OPERATIONS

import micrograd
from micrograd import pure
from micrograd.export import listing, to_c
from micrograd.export.listing import Listing

COMPILERS = [cc for cc in ("gcc", "clang") if shutil.which(cc)]


def needs_compiler(test):
    """Skip it where there is none, and under the sanitizers, which slow the compilers down."""
    skip = pytest.mark.skipif(not COMPILERS, reason="there is neither gcc nor clang")
    return pytest.mark.unsanitized(skip(test))


WARNINGS = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]
# with the last ones a compiler may fuse products and sums, if the source lets it
OPTIONS = [["-O0"], ["-O2"], ["-O3", "-march=native", "-std=gnu17"]]


def compile_all(folder, sources, compiler=COMPILERS and COMPILERS[0], options=("-O2",)):
    """Compile sources by name to one library."""
    folder = folder / "".join([compiler, *options])
    folder.mkdir()
    paths = []
    for name, source in sources.items():
        paths.append(folder / f"{name}.c")
        paths[-1].write_text(source, encoding="utf-8")
    library = folder / "library.so"
    run(compiler, *WARNINGS, *options, "-fPIC", "-shared", "-o", library, *paths, "-lm")
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
        some = [random.choice([*values, 0.5]) for _ in range(random.randint(1, 7))]
        kind = random.random()
        if kind < 0.6:
            what, result = outcome(OPERATIONS[random.choice(names)], a, b, k)
        elif kind < 0.7:
            what, result = outcome(engine.dot, some, random.sample(some, len(some)), a)
        elif kind < 0.8:
            what, result = outcome(engine.dot, leaves[-5:], values[-5:][: len(leaves)][::-1])
        elif kind < 0.9:
            what, result = outcome(engine.softmax, some)
        else:
            what, result = outcome(engine.cross_entropy, some, len(some) - 1)
        if what == "is":
            result = result if isinstance(result, list) else [result]
            values += [v for v in result if math.isfinite(v.data) and abs(v.data) < 1e4]
    root = engine.sum(values[-4:]) * values[-1] + values[-2]
    below = {id(v) for v in micrograd.trace(root)[0]}
    leaves = [v for v in leaves if id(v) in below]
    return root, leaves[::2], leaves[1:-1:2]


@needs_compiler
@times(5, 300)
def test_random_graphs(engine, n, tmp_path):
    graphs, sources = {}, {}
    for seed in range(n):
        graphs[f"f{seed}"] = root, inputs, parameters = random_graph(engine, Random(seed))
        sources[f"f{seed}"] = to_c(root, inputs, parameters, f"f{seed}")
    libraries = [
        compile_all(tmp_path, sources, cc, options) for cc in COMPILERS for options in OPTIONS
    ]
    compared = 0
    for name, (root, inputs, parameters) in graphs.items():
        random = Random(name)
        for _ in range(5):
            what, expected = outcome(run_engine, root, inputs, parameters)
            if what == "is":  # else Python raises where C goes on with nan or infinity
                numbers = [[v.data for v in vs] for vs in (inputs, parameters)]
                for library in libraries:
                    assert run_c(library, name, sources[name], *numbers) == expected, name
                compared += 1
            for v in inputs + parameters:
                v.data += random.uniform(-0.1, 0.1)
    assert compared > 3 * n


@needs_c
@times(50, 500)
def test_both_engines_give_the_same_text(n):
    for seed in range(n):
        texts = {to_c(*random_graph(engine, Random(seed))) for engine in ENGINES.values()}
        assert len(texts) == 1, seed


def course_point(engine):
    model = engine.MLP(2, [16, 3], rng=engine.RNG(42))
    x = [engine.Value(0.5), engine.Value(-1.25)]
    return engine.cross_entropy(model(x), 1), x, model


def check(tmp_path, root, inputs, parameters, named=None):
    """Compare the C of a graph with the engine at these numbers and at others."""
    source = to_c(root, inputs, parameters if named is None else named, "loss")
    libraries = [compile_all(tmp_path, {"loss": source}, cc, ["-O1"]) for cc in COMPILERS]
    random = Random(3)
    for _ in range(4):
        expected = run_engine(root, inputs, parameters)
        numbers = [[v.data for v in vs] for vs in (inputs, parameters)]
        for library in libraries:
            assert run_c(library, "loss", source, *numbers) == expected
        for v in inputs + parameters:
            v.data += random.uniform(-0.2, 0.2)


def check_once(tmp_path, root, inputs, options=("-O2",)):
    source = to_c(root, inputs)
    library = compile_all(tmp_path, {"f": source}, options=options)
    numbers = [v.data for v in inputs]
    assert run_c(library, "f", source, numbers, []) == run_engine(root, inputs, [])


@needs_compiler
def test_the_loss_of_a_point(engine, tmp_path):
    loss, x, model = course_point(engine)
    check(tmp_path, loss, x, model.parameters(), named=model)


@needs_compiler
def test_shared_parameters(engine, tmp_path):
    """They count once, by the first name."""
    model = engine.MLP(2, [3, 2], rng=engine.RNG(42))
    first, second = model.layers
    first.neurons[1].w[0] = second.neurons[1].b = second.neurons[0].w[2] = first.neurons[0].w[1]
    x = [engine.Value(0.5), engine.Value(-1.25)]
    own = list({id(p): p for _, p in model.named_parameters()}.values())
    assert len(own) == model.num_parameters() == len(model.parameters()) - 3
    names = Listing(model(x), x, model).parameters
    assert names[:4] == [f"layers.0.neurons.{i}" for i in ("0.w.0", "0.w.1", "0.b", "1.w.1")]
    check(tmp_path, engine.cross_entropy(model(x), 0), x, own, named=model)


@needs_compiler
@times(4, 80)
def test_the_course_loss(engine, n, tmp_path):
    model = engine.MLP(2, [16, 3], rng=engine.RNG(42))
    train, _, _ = engine.gen_data(engine.RNG(1), n=100)
    loss = engine.mean_cross_entropy(model, train[:n])
    check(tmp_path, loss, [], model.parameters(), named=model)


@needs_compiler
def test_the_loss_of_a_word(engine, tmp_path):
    gpt = small_gpt.GPT(engine)
    check(tmp_path, gpt.loss(small_gpt.tokens_of("aba")), [], gpt.parameters())


@needs_compiler
def test_a_recorded_function(engine, tmp_path):
    """The last call's graph: what its ints have chosen is a part of it."""
    table = [engine.Value(x) for x in (0.5, -1.5, 2.5)]
    row = [[engine.Value(0.25), engine.Value(-0.75)]]

    @engine.recorded
    def loss(i, x):
        y = engine.take(table, i) * x
        return engine.cross_entropy([y, y * y, *engine.linear([x, y], row)], i), x

    for i in range(3):
        out, x = loss(i, 0.5 + i)
        folder = tmp_path / str(i)
        folder.mkdir()
        check(folder, out, [x], [*table, *row[0]])


@needs_compiler
def test_several_outputs(engine, tmp_path):
    """Backward of them is that of their dot with the weights, in which each is a leaf."""
    model = engine.MLP(2, [4, 3], activation="relu", rng=engine.RNG(7))
    x = [engine.Value(0.5), engine.Value(-1.25)]
    outs = model(x)
    product = x[0] * x[1]
    outs += [outs[0] * outs[1], outs[2], x[0], outs[0].tanh() + 0.5, product, product + 1]
    source = to_c(outs, x, model, "f")
    library = compile_all(tmp_path, {"f": source})
    weights = [0.5, -1.5, 2.0, 0.75, -0.25, 3.0, 1.5, 0.25, -2.0]
    numbers = [v.data for v in x], [p.data for p in model.parameters()]
    engine.dot(outs, weights).backward()
    leaves = x, model.parameters()
    expected = [[bits(v.data) for v in outs], *([bits(v.grad) for v in vs] for vs in leaves)]
    assert run_c(library, "f", source, *numbers, dy=weights) == (*expected,)


@needs_compiler
def test_constants_are_not_computed_by_the_compiler(engine, tmp_path):
    """It rounds tanh, pow and their like better than a C library does."""
    x, random = engine.Value(1.0), Random(1)
    functions = "tanh", "exp", "log", "sigmoid", "sin", "cos"
    constants = [engine.Value(random.uniform(0, 3)) for _ in range(60)]
    outs = [getattr(c, name)() for c in constants for name in functions]
    outs += [c**k for c in constants for k in (x, 0.3, 2, -1)] + [2.0**x]
    outs += [(a * b + a).tanh() for a in constants for b in constants[:10]]
    small = [c * 0.01 for c in constants]
    for k in range(40):  # sums of several lines
        outs.append(engine.dot(constants[k : k + 12], small[::-1][:12]).tanh())
    source = to_c([v * x for v in outs], [x], None, "f")
    library = compile_all(tmp_path, {"f": source}, options=["-O3"])
    found = run_c(library, "f", source, [1.0], [], dy=[0.0] * len(outs))[0]
    assert found == [bits(v.data) for v in outs]


@needs_compiler
def test_slopes_of_constants_are_not_computed_by_the_compiler(engine, tmp_path):
    """Of these, the nearest double to the logarithm is not the one that glibc has."""
    constants = 1.6424675537737197, 1.2710786955991793, 1.6705174414271813, 0.7814293905368817
    x = [engine.Value(0.5) for _ in constants]
    root = engine.sum([engine.Value(c) ** k for c, k in zip(constants, x)])
    check_once(tmp_path, root, x, options=["-O3"])


@needs_compiler
@pytest.mark.parametrize("compiler", COMPILERS or ["none"])
def test_powers_are_those_of_the_library(engine, compiler, tmp_path):
    """A compiler makes x*x, 1/x and sqrt(x) of them, which now and then have another last digit."""
    x, random = engine.Value(1.0), Random(1)
    outs = [x**k for k in (2, -1, -2, 0.5, -0.5, 3)]
    root = engine.sum([*outs, x.tanh(), x.sigmoid()])
    source = to_c([root, *outs], [x], None, "f")
    library = compile_all(tmp_path, {"f": source}, compiler)
    for _ in range(2000):
        x.data, x.grad = random.uniform(0.1, 3), 0.0
        root.forward()
        root.backward()
        y, dx, _ = run_c(library, "f", source, [x.data], [], dy=[1.0] + [0.0] * len(outs))
        assert y == [bits(v.data) for v in (root, *outs)] and dx == [bits(x.grad)]


@needs_compiler
def test_special_numbers(engine, tmp_path):
    numbers = [math.inf, -math.inf, math.nan, -0.0, 5e-324, 1e300, -1e22, 0.1, 3.0]
    for what in ("constant", "input"):
        xs = [engine.Value(x) for x in numbers]
        one = engine.Value(1.0)
        outs = [x * one for x in xs] + [x.relu() for x in xs] + [abs(x) - one for x in xs]
        source = to_c(outs, [one] + (xs if what == "input" else []), None, what)
        (tmp_path / what).mkdir()
        library = compile_all(tmp_path / what, {what: source})
        given = [1.0] + (numbers if what == "input" else [])
        y, dx, _ = run_c(library, what, source, given, [], dy=[1.0] * len(outs))
        assert y == [bits(v.data) for v in outs]
        engine.dot(outs, [1.0] * len(outs)).backward()
        assert dx == [bits(v.grad) for v in ([one] + xs)[: len(given)]]


@needs_compiler
@pytest.mark.parametrize("compiler", COMPILERS or ["none"])
def test_what_gives_other_numbers_is_refused(compiler, tmp_path):
    (tmp_path / "f.c").write_text(to_c(micrograd.Value(1.0), []), encoding="utf-8")
    command = [compiler, "-O2", "-ffast-math", "-c", "f.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert done.returncode != 0 and "-ffast-math and -Ofast give other numbers" in done.stderr


@needs_compiler
@pytest.mark.parametrize("a", [0.0, -0.0, -2.0, 2.0])
def test_the_slope_of_an_exponent(engine, a, tmp_path):
    x, k = engine.Value(a), engine.Value(2.0)
    check_once(tmp_path, x**k, [x, k])


@needs_compiler
@pytest.mark.parametrize("x", [-0.0, 0.0, -1.5, 2.0])
def test_kinks(engine, x, tmp_path):
    v = engine.Value(x)
    check_once(tmp_path, v.relu() * 3 + abs(v), [v])


@needs_compiler
def test_the_program(tmp_path):
    """With -DMAIN it prints result and gradients at the numbers of the graph."""
    model = micrograd.MLP(2, [3, 1], rng=micrograd.RNG(1))
    x = [micrograd.Value(0.5), micrograd.Value(-1.0)]
    loss = (model(x) - 1) ** 2
    for outputs, first in (loss, "{:.17g}"), ([loss], "y[0] = {:.17g}"):
        (tmp_path / "loss.c").write_text(to_c(outputs, x, model, "loss"), encoding="utf-8")
        command = [COMPILERS[0], *WARNINGS, "-O2", "-DMAIN", "loss.c", "-lm", "-o", "loss"]
        run(*command, cwd=tmp_path)
        printed = run(tmp_path / "loss")
        model.zero_grad()
        x[0].grad = x[1].grad = 0.0
        loss.forward()
        loss.backward()
        expected = [first.format(loss.data)]
        for name, leaves in ("dx", x), ("dp", model.parameters()):
            expected += [f"{name}[{i}] = {v.grad:.17g}" for i, v in enumerate(leaves)]
        assert printed.splitlines() == expected


def test_sums_are_expressions_and_loops():
    """What the page shows: a neuron is a line, and many terms side by side are a loop."""
    loss, x, model = course_point(micrograd)
    source = to_c(loss, x, model, "loss")
    for line in (
        "v[0] = tanh(p[2] + p[0] * x[0] + p[1] * x[1]);",
        "for (int i = 0; i < 16; i++) v[16] += p[65 + i] * v[i];",
        "v[20] = exp(v[16] - v[19]);",
        "dv[15] *= (1 - power(v[15], 2.0));",
        "// p[48] .. p[63]  layers.1.neurons.0.w.0 .. layers.1.neurons.0.w.15",
        "// x[0] .. x[1]  x0 .. x1",
    ):
        assert line in source
    assert max(map(len, source.splitlines())) <= 110


@needs_compiler
def test_names_in_comments(engine, tmp_path):
    """No name ends the comment that it stands in."""
    names = ["*/ x", "a\nint b", "ends in \\", "what??/", "größe", "\u2028", ""]
    xs = {name: engine.Value(float(i)) for i, name in enumerate(names)}
    root = engine.sum(xs.values())
    compile_all(tmp_path, {"f": to_c(root, xs)})


def test_names_that_end_in_many_digits(engine):
    """Python makes no int of more than 4300, and needs long for fewer."""
    nines, digits = "x" + "9" * 9, "1" * 5000
    names = [nines, "x1" + "0" * 9, "x99999998", "x99999999", digits, digits[:-1] + "2"]
    names += ["a9", "a10"]
    xs = {name: engine.Value(1.0) for name in names}
    lines = [line for line in to_c(engine.sum(xs.values()), xs).splitlines() if "// x[" in line]
    assert lines == [
        f"// x[0] .. x[1]  {nines} .. {names[1]}",
        "// x[2] .. x[3]  x99999998 .. x99999999",
        f"// x[4]  {digits}",
        f"// x[5]  {names[5]}",
        "// x[6] .. x[7]  a9 .. a10",
    ]


@needs_compiler
@times(800, 20_000)
def test_long_graphs(engine, n, tmp_path):
    """Without recursion, here and in the compiler."""
    x, w = engine.Value(0.5), engine.Value(0.75)
    deep = total = x
    for i in range(n // 4):
        deep = deep * w + x if i % 2 else (deep - w).tanh()
        total = total + deep * w if i % 5 else total + w
    check(tmp_path, total, [x], [w])


def test_a_graph_of_any_depth(engine):
    x = y = engine.Value(0.5)
    for _ in range(5_000):
        y = (y * x).tanh() + x
    assert to_c(y, [x]).count(" * x[0];") == 5_000


def test_long_functions_are_divided(engine):
    """A compiler needs more than twice as long for a function that is twice as long."""
    x = y = engine.Value(0.5)
    for _ in range(1200):
        y = (y * x).tanh()
    lengths = [text.count(";") for text in re.split(r"^}$", to_c(y, [x]), flags=re.MULTILINE)]
    assert len(lengths) > 15 and max(lengths) < 600


def test_nothing_changes(engine, no_new_nodes):
    loss, x, model = course_point(engine)
    loss.backward()
    nodes = micrograd.trace(loss)[0]
    before = [(bits(v.data), bits(v.grad), v._op, len(v._prev)) for v in nodes]
    to_c(loss, x, model)
    assert [(bits(v.data), bits(v.grad), v._op, len(v._prev)) for v in nodes] == before


def test_numbers_of_a_replay(engine):
    """They stand in arrays of their own until something asks for them."""
    loss, x, model = course_point(engine)
    for _ in range(3):
        x[0].data += 0.5
        model.layers[0].neurons[0].b.data += 0.25
        loss.forward()
    source = to_c(loss, x, model, "f")
    assert "double f_x[2] = {\n    2.0, -1.25\n};" in source
    constants = to_c(loss.exp(), [x[0]])
    assert "tanh(0.75 - 0.2275678624371153 * x[0] + 0.3991700205546757 * -1.25)" in constants


class Weight:
    """A part of a Value of a subclass, whose == is another."""

    def __eq__(self, other):
        raise AssertionError("identity counts")

    __hash__ = None


def test_subclasses(engine):
    kind = type("Mine", (Weight, engine.Value), {})
    x, w = kind(2.0), kind(3.0)
    texts = [to_c((a * b + b).tanh(), [a], [b]) for a, b in ((x, w), map(engine.Value, (2.0, 3.0)))]
    assert texts[0] == texts[1]


def test_in_another_thread(engine):
    loss, x, model = course_point(engine)
    texts = []
    threads = [
        threading.Thread(target=lambda: texts.append(to_c(loss, x, model))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [to_c(loss, x, model)] * 4


@pytest.fixture
def switches():
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def chain(engine):
    """A graph with leaves, powers and a largest, for what another thread may break in a listing."""
    x = y = engine.Value(0.5)
    for _ in range(300):
        y = (y * x) ** 2.0 * engine.Value(0.25) + x
    return engine.cross_entropy([y, x, y * x], 0), [x]


def grow(engine, kept):
    """Make so many Values that the arrays of the tape move, and let go of them now and then."""
    kept.append([engine.Value(1.0) * 2.0 for _ in range(20_000)])
    if len(kept) > 8:
        kept.clear()


@times(2, 20)
def test_while_another_thread_makes_values(engine, n, switches, no_new_nodes):
    """For n seconds. A reference into the tape's arrays would be out of date now and then."""
    root, inputs = chain(engine)
    expected, kept, is_done = Listing(root, inputs, None).nodes, [], threading.Event()

    def work():
        while not is_done.is_set():
            grow(engine, kept)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        end = time.monotonic() + n
        while time.monotonic() < end:
            assert Listing(root, inputs, None).nodes == expected
    finally:
        is_done.set()
        thread.join()


class Finalised:
    """Garbage that makes Values when the collector finds it."""

    def __init__(self, grown):
        self.cycle, self.grown = self, grown

    def __del__(self):
        self.grown()


def test_while_a_finaliser_makes_values(engine, no_new_nodes):
    root, inputs = chain(engine)
    expected, kept, runs = Listing(root, inputs, None).nodes, [], []

    def grown():
        runs.append(None)
        grow(engine, kept)

    before = gc.get_threshold()
    gc.set_threshold(50)
    try:
        for _ in range(8):
            Finalised(grown)
            assert Listing(root, inputs, None).nodes == expected
        assert runs
    finally:
        gc.set_threshold(*before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_in_a_child(engine):
    root, inputs = chain(engine)
    expected = to_c(root, inputs)
    child = os.fork()
    if not child:
        os._exit(to_c(root, inputs) != expected)
    assert os.waitpid(child, 0)[1] == 0


def test_an_interrupt_leaves_all_as_it_was(engine, monkeypatch, no_new_nodes):
    """At any step of the walk: the next export is the same."""
    root, inputs = chain(engine)
    expected, find = to_c(root, inputs), listing._post_order

    def interrupted(at):
        def order(roots, key, operands, visited):
            def below(node):
                nonlocal at
                at -= 1
                if not at:
                    raise KeyboardInterrupt
                return operands(node)

            return find(roots, key, below, visited)

        return order

    for at in 1, 2, 400, 1000:
        monkeypatch.setattr(listing, "_post_order", interrupted(at))
        with pytest.raises(KeyboardInterrupt):
            to_c(root, inputs)
        monkeypatch.undo()
        assert to_c(root, inputs) == expected


def own_node(engine, x):
    out = engine.Value(x.data**2, (x,), "square")
    out._backward = lambda: None
    return out


def own_rule(x):
    out = x.tanh()
    out._backward = lambda: None
    return out


OTHER = {name: ENGINES[other] for name, other in zip(ENGINES, reversed(ENGINES))}
MISTAKES = {
    "no Value": (lambda e, x, y: to_c(3.0, [x]), TypeError, "Value or a list of Values, not 3.0"),
    "nothing": (lambda e, x, y: to_c([], [x]), TypeError, "list of Values, not an empty list"),
    "a function": (
        lambda e, x, y: to_c(e.recorded(lambda z: z * x), [x]),
        TypeError,
        "list of Values, not .*<lambda>.*: call it, and pass what it returns",
    ),
    "in a list": (lambda e, x, y: to_c([y, 1.0], [x]), TypeError, "an output must be .* not 1.0"),
    "no list": (lambda e, x, y: to_c(y, x), TypeError, r"inputs .* not a Value: write \[value\]"),
    "a text": (lambda e, x, y: to_c(y, "x"), TypeError, "inputs must be a Module, a list .*'x'"),
    "a number": (lambda e, x, y: to_c(y, [2.0]), TypeError, "input x0 must be a Value .* not 2.0"),
    "a key": (lambda e, x, y: to_c(y, {1: x}), TypeError, "inputs .* by name, and has the key 1"),
    "not below": (
        lambda e, x, y: to_c(y, {"z": e.Value(4.0)}),
        ValueError,
        r"input z is not in the graph of the output: Value\(data=4.0",
    ),
    "no leaf": (lambda e, x, y: to_c(y, [y]), ValueError, "input x0 is no leaf but computed"),
    "twice": (lambda e, x, y: to_c(y, [x, x]), ValueError, "input x1 is given twice"),
    "as both": (lambda e, x, y: to_c(y, [x], {"w": x}), ValueError, "parameter w is given twice"),
    "a parameter": (lambda e, x, y: to_c(y, [x], [y]), ValueError, "parameter p0 is no leaf"),
    "a name": (lambda e, x, y: to_c(y, [x], name="a b"), ValueError, "letter first, not 'a b'"),
    "no name": (lambda e, x, y: to_c(y, [x], name=3), TypeError, "name must be a text, not 3"),
    "no graph": (
        lambda e, x, y: to_c(e.no_grad()(lambda: x * 2)(), []),
        ValueError,
        "computed under no_grad",
    ),
    "own node": (
        lambda e, x, y: to_c(own_node(e, x) + y, [x]),
        ValueError,
        "a node of your own, 'square', .* operations of Value",
    ),
    "slopes": (
        lambda e, x, y: to_c(e.Value(3.0, (x, y), (1.0, 2.0)) * 2, [x]),
        ValueError,
        "a node of your own, ''",
    ),
    "own rule": (lambda e, x, y: to_c(own_rule(x), [x]), ValueError, "your own, 'tanh'"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_mistakes(engine, what):
    mistake, kind, text = MISTAKES[what]
    x = engine.Value(2.0)
    y = (x * 3).tanh()
    with pytest.raises(kind, match=text):
        mistake(engine, x, y)


def test_a_leaf_that_another_function_recomputes():
    """There is none, so that it is not taken for one of those."""
    x, leaf = pure.Value(1.0), pure.Value(1.0)
    leaf._source = min, [x]
    with pytest.raises(KeyError, match="min"):
        to_c(leaf * x, [x])


@needs_c
def test_values_of_the_other_engine():
    for one, other in zip(ENGINES.values(), reversed(ENGINES.values())):
        x = one.Value(1.0)
        for arguments in ([x, other.Value(1.0)],), ([x], [other.Value(1.0)]):
            with pytest.raises(TypeError, match="must be a Value of the output's engine"):
                to_c(x * 2, *arguments)


def test_in_a_recorded_function(engine):
    @engine.recorded
    def f(x):
        return to_c(x * 2, [x])

    with pytest.raises(engine.RecordingError, match=r"exports a Value .* after the call"):
        f(1.0)


def test_it_is_imported_on_use():
    """So are NumPy and PyTorch, and to_c needs neither."""
    code = """
import sys, micrograd
assert not [name for name in sys.modules if "micrograd.export" in name or name == "numpy"]
x = micrograd.Value(1.0)
micrograd.export.to_c(x * 2, [x])
assert not {"numpy", "torch"} & set(sys.modules)
assert "export" in dir(micrograd)
"""
    run(sys.executable, "-c", code)


PAGE = Path(__file__).resolve().parent.parent / "docs" / "export.md"


@needs_compiler
def test_several_in_a_program(engine, tmp_path):
    """The page's example, which includes a file, beside another one with the same helpers."""
    model = engine.MLP(2, [16, 3], rng=engine.RNG(42))
    x = [engine.Value(0.5), engine.Value(-1.0)]
    loss = engine.cross_entropy(model(x), 1)
    y = engine.Value(0.5)
    (tmp_path / "loss.c").write_text(to_c(loss, x, model, name="loss"))
    (tmp_path / "other.c").write_text(to_c((y**2).sigmoid().tanh(), [y], name="other"))
    [program] = re.findall(r"^```c\n(#include.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    (tmp_path / "main.c").write_text(f'#include "other.c"\n{program}')
    run(COMPILERS[0], *WARNINGS, "-O2", "main.c", "-o", "main", "-lm", cwd=tmp_path)
    lines = run(tmp_path / "main").splitlines()
    x[0].data = 0.25
    for line in lines:
        loss.forward()
        loss.backward()
        assert line == f"{loss.data:.17g}"
        for p in model.parameters():
            p.data -= 0.1 * p.grad
            p.grad = 0.0
    assert len(lines) == 10
