"""The two engines against each other on random graphs, by bits, errors included.

A program is a list of instructions on a growing list of Values. It runs on both engines,
and everything that can be seen of the two runs has to be the same: numbers, gradients,
operations, operands, exceptions and their messages.
"""

import math
from random import Random

import pytest
from conftest import bits, outcome
from hypothesis import given
from hypothesis import strategies as st

from micrograd import compiled, pure
from micrograd.compiled import live_nodes


def without_graph(a, function):
    with ENGINES[type(a)].no_grad():
        return function()


ENGINES = {engine.Value: engine for engine in (compiled, pure)}

# Every operation of Values a and b and the number k: one line each.
OPERATIONS = {
    "a + b": lambda a, b, k: a + b,
    "a + k": lambda a, b, k: a + k,
    "k + a": lambda a, b, k: k + a,
    "a * b": lambda a, b, k: a * b,
    "a * k": lambda a, b, k: a * k,
    "k * a": lambda a, b, k: k * a,
    "a - b": lambda a, b, k: a - b,
    "a - k": lambda a, b, k: a - k,
    "k - a": lambda a, b, k: k - a,
    "a / b": lambda a, b, k: a / b,
    "a / k": lambda a, b, k: a / k,
    "k / a": lambda a, b, k: k / a,
    "a ** b": lambda a, b, k: a**b,
    "a ** k": lambda a, b, k: a**k,
    "a ** 2": lambda a, b, k: a**2,
    "k ** a": lambda a, b, k: k**a,
    "-a": lambda a, b, k: -a,
    "a + a * b": lambda a, b, k: a + a * b,
    "relu": lambda a, b, k: a.relu(),
    "tanh": lambda a, b, k: a.tanh(),
    "exp": lambda a, b, k: a.exp(),
    "log": lambda a, b, k: a.log(),
    "sigmoid": lambda a, b, k: a.sigmoid(),
    "sqrt": lambda a, b, k: a.sqrt(),
    "sin": lambda a, b, k: a.sin(),
    "cos": lambda a, b, k: a.cos(),
    "abs": lambda a, b, k: abs(a),
    "take": lambda a, b, k: ENGINES[type(a)].take([b, k, a], 2),
    "detach": lambda a, b, k: a.detach(),
    "a * b without a graph": lambda a, b, k: without_graph(a, lambda: a * b),
    "a ** k without a graph": lambda a, b, k: without_graph(a, lambda: a**k),
}

# The functions of many Values, each with the Values that it returns.
FUNCTIONS = {
    "dot": lambda engine, ws, xs, start: [engine.dot(ws, xs, start)],
    "sum": lambda engine, ws, xs, start: [engine.sum(xs, start)],
    "softmax": lambda engine, ws, xs, start: engine.softmax(xs),
    "all without a graph": lambda engine, ws, xs, start: engine.no_grad()(
        lambda: [engine.dot(ws, xs, start), engine.sum(xs, start), *engine.softmax(xs)]
    )(),
}

# What else may happen to Values a and b: it changes numbers and makes no new Value.
EVENTS = {
    "backward": lambda a, b, k: a.backward(),
    "forward": lambda a, b, k: a.forward(),
    "forward twice": lambda a, b, k: (a.forward(), a.forward()),
    "own rule": lambda a, b, k: a._backward(),
    "set data": lambda a, b, k: setattr(a, "data", k),
    "set grad": lambda a, b, k: setattr(a, "grad", k),
    "compare": lambda a, b, k: (a < b, a <= k, a > k, a >= b, k < a, a == b, float(a) is None),
    "repr": lambda a, b, k: repr(a),
}

numbers = (
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 3, -2, 1e200, -1e200, 1e-200, 710.0])
    | st.sampled_from([math.inf, -math.inf, math.nan, 5e-324])
    | st.floats(-3, 3)
    | st.floats()
)
position = st.integers(0, 1000)
item = st.tuples(st.just("Value"), position) | st.tuples(st.just("number"), numbers)
instruction = st.tuples(
    st.sampled_from([*OPERATIONS, *EVENTS, "backward"]), position, position, numbers
) | st.tuples(st.sampled_from([*FUNCTIONS]), st.lists(st.tuples(item, item), max_size=5), item)


def take(values, item):
    """The item of a list: one of the Values, or a number."""
    kind, x = item
    return values[x % len(values)] if kind == "Value" else x


def run(engine, leaves, program):
    """Run the program, and return all that can be seen of it."""
    values = [engine.Value(x) for x in leaves]
    seen = []
    for name, *arguments in program:
        if name in FUNCTIONS:
            pairs, start = arguments
            ws, xs = [take(values, w) for w, _ in pairs], [take(values, x) for _, x in pairs]
            what, result = outcome(FUNCTIONS[name], engine, ws, xs, take(values, start))
            if what == "is":
                values += result
                result = len(result)
        else:
            i, j, k = arguments
            # mostly the newest Values, so that graphs get deep
            a = values[-1 - i % min(len(values), 3)] if i % 2 else values[i % len(values)]
            b = values[j % len(values)]
            what, result = outcome((OPERATIONS | EVENTS)[name], a, b, k)
            if what == "is" and name in OPERATIONS:
                values.append(result)
                result = "a Value"
        seen.append((what, result))
    if not values[-1]._prev:  # end with a backward pass over as much as there is
        values.append(sum(values))
    seen.append(outcome(values[-1].backward))
    where = {v: n for n, v in enumerate(values)}
    for v in values:
        operands = [where.get(operand, bits(operand.data)) for operand in v._prev]
        seen.append((bits(v.data), bits(v.grad), v._op, operands))
    return seen


@given(st.lists(numbers, min_size=1, max_size=4), st.lists(instruction, max_size=40))
def test_random_graphs(leaves, program):
    before = live_nodes()
    assert run(compiled, leaves, program) == run(pure, leaves, program)
    assert live_nodes() == before


tame = st.floats(-2, 2)


tame_item = st.tuples(st.just("Value"), position) | st.tuples(st.just("number"), tame)


@given(
    st.lists(tame, min_size=1, max_size=4),
    st.lists(
        st.tuples(
            st.sampled_from(
                "a + b,a * b,a - b,tanh,sigmoid,sin,relu,a ** 2,set data,forward".split(",")
            ),
            position,
            position,
            tame,
        )
        | st.tuples(
            st.sampled_from(["dot", "sum", "softmax"]),
            st.lists(st.tuples(tame_item, tame_item), max_size=5),
            tame_item,
        ),
        min_size=5,
        max_size=60,
    ),
)
def test_random_graphs_of_tame_numbers(leaves, program):
    """Numbers that seldom fail, so that gradients flow far."""
    assert run(compiled, leaves, program) == run(pure, leaves, program)


OPTIMIZERS = [
    name
    for name in pure.__all__
    if isinstance(getattr(pure, name), type) and hasattr(getattr(pure, name), "step")
]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_of_every_optimizer(name):
    """With the rates that it has if it is given none: gradients large and small, and 0."""

    def run(engine):
        random = Random(5)
        parameters = [engine.Value(random.gauss(0, 1)) for _ in range(70)]
        optimizer = getattr(engine, name)(parameters)
        before, seen = [p.data for p in parameters], []
        for _ in range(5):
            for p in parameters:
                p.grad = random.choice([0.0, random.gauss(0, 1), random.gauss(0, 1e-6)])
            optimizer.step()
            seen += [bits(p.data) for p in parameters]
        assert sum(p.data != x for p, x in zip(parameters, before)) > 60
        state = optimizer.state_dict()
        return seen, {key: x if isinstance(x, int) else str(x) for key, x in state.items()}

    assert len(OPTIMIZERS) > 2 and run(compiled) == run(pure)


@given(
    st.lists(tame, min_size=2, max_size=2),
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.sampled_from(["tanh", "relu"]),
    st.lists(st.tuples(st.lists(tame, min_size=2, max_size=2), st.integers(0, 4)), max_size=4),
    st.integers(1, 2**64 - 1),
)
def test_random_networks(x, nouts, activation, split, seed):
    def run_network(engine):
        model = engine.MLP(2, nouts, activation=activation, rng=engine.RNG(seed))
        seen = [repr(model)]
        out = model(x)
        out = out if isinstance(out, list) else [out]
        sum(out).backward()
        with engine.no_grad():
            evaluated = model([out[0], *x[1:]])
        evaluated = evaluated if isinstance(evaluated, list) else [evaluated]
        seen += [(bits(v.data), v._prev) for v in evaluated]
        seen += [bits(v.data) for v in out] + [bits(p.grad) for p in model.parameters()]
        optimizer = engine.AdamW(model.parameters(), weight_decay=0.01)
        for _ in range(3):
            what, loss = outcome(engine.mean_cross_entropy, model, split)
            if what != "is":
                return [*seen, what, loss]
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            seen += [bits(loss.data), bits(engine.eval_split(model, split))]
        seen += [bits(x) for p in model.parameters() for x in (p.data, p.grad, p.m, p.v)]
        return seen

    assert run_network(compiled) == run_network(pure)


GRADIENTS = [0.0, -0.0, 5e-324, 1e-320, 1e-200, -1e-160, 1e-30, 1e18, 1e150, math.inf, math.nan]
SQUARES = [0.0, -0.0, 5e-324, 1e-320, 1e-300, 1e-30, 1.0, 1e40, 1e300, math.inf, math.nan, -1.0]


@pytest.mark.filterwarnings("ignore:.* in the list more than once")
@given(
    st.sampled_from(["Adam", "AdamW", "SGD"]),
    st.integers(1, 200),
    st.integers(1, 2**32),
    st.sampled_from([0.0, 0.02, 0.5]),
    st.sampled_from([0.0, 0.0, 0.01, 0.3]),
    st.sampled_from([1e-8, 1e-8, 0.0, 1e-300]),
    st.sampled_from([0, 0, 500, 10_000]),
    st.sampled_from([None, None, None, "a gradient", "a moment", "beta1", "beta2"]),
    st.booleans(),
)
def test_random_steps(kind, n, seed, strange, repeated, eps, t, fault, shuffled):
    """Random gradients and moments, some of them strange; some parameters more than once."""

    def run(engine):
        random = Random(seed)
        leaves = [engine.Value(random.gauss(0, 1)) for _ in range(n + 3)]
        if shuffled:  # then the arena has them in another order
            random.shuffle(leaves)
        del leaves[n:]
        parameters = [random.choice(leaves) if random.random() < repeated else p for p in leaves]
        if kind == "SGD":
            optimizer = engine.SGD(parameters, lr=0.01, momentum=random.choice([0.5, 0.9, 1.5]))
        else:
            optimizer = getattr(engine, kind)(parameters, lr=0.01, eps=eps)
            optimizer.t = t
        if kind == "AdamW":
            optimizer.weight_decay = random.choice([0.0, 0.01])
        seen = []
        for step in range(4):
            scale = 10 ** random.uniform(-12, 2)
            for p in parameters:
                p.grad = random.gauss(0, scale)
                if random.random() < strange:
                    p.grad = random.choice(GRADIENTS)
                if random.random() < strange:
                    p.m, p.v = random.choice(GRADIENTS), random.choice(SQUARES)
            if step == 2 and parameters:
                p = random.choice(parameters)
                if fault == "a gradient":
                    p.grad = 1e200
                elif fault == "a moment":
                    p.v = -1e40
                elif fault and kind != "SGD":
                    setattr(optimizer, fault, 1.0)
            before = [(bits(p.data), bits(p.m), bits(p.v)) for p in parameters]
            what, *more = outcome(optimizer.step)
            after = [(bits(p.data), bits(p.m), bits(p.v)) for p in parameters]
            assert what == "is" or after == before
            seen += [what, *map(str, more), getattr(optimizer, "t", None), after]
        return seen

    assert run(compiled) == run(pure)


@given(st.integers(1, 2**64 - 1), st.integers(1, 60), st.floats(0.1, 0.3), st.floats(0.4, 1.0))
def test_generator_and_data_sets(seed, n, r_small, r_big):
    def make(engine):
        random = engine.RNG(seed)
        seen = [random.random_u32(), bits(random.random()), bits(random.uniform(-1, 3))]
        seen.append(engine.gen_data(random, n))
        seen.append(engine.gen_data_circles(random, n))
        seen.append(engine.gen_data_yinyang(random, n, r_small, r_big))
        return [*seen, random.state]

    assert make(compiled) == make(pure)


@pytest.mark.filterwarnings("ignore:.* in the list more than once")
@given(
    st.integers(1, 2**32),
    st.lists(st.integers(1, 3), min_size=0, max_size=2),
    st.lists(st.tuples(position, position), max_size=2),
    st.lists(
        st.tuples(
            st.lists(st.one_of(tame, st.sampled_from("xyp")), min_size=2, max_size=2),
            st.integers(0, 2),
        ),
        min_size=1,
        max_size=4,
    ),
    st.lists(st.sampled_from("forward,backward,inner,own,above,set,step,look".split(","))),
)
def test_networks_that_share_and_change(seed, hidden, ties, split, events):
    """Parameters and inputs that are one Value, and passes in any order over one recording."""

    def run_network(engine):
        model = engine.MLP(2, [*hidden, 3], rng=engine.RNG(seed))
        neurons = [n for layer in model.layers for n in layer.neurons]
        slots = [(n.w, i) for n in neurons for i in range(len(n.w))]
        for a, b in ties:
            (to, i), (of, j) = slots[a % len(slots)], slots[b % len(slots)]
            to[i] = of[j]
        shared = {"x": engine.Value(0.5), "y": engine.Value(-1.5) * 0.5, "p": neurons[0].w[0]}
        points = [([shared.get(x, x) for x in xs], label) for xs, label in split]
        loss = engine.mean_cross_entropy(model, points)
        above = (loss * 2.0).exp()
        inner = loss._prev[0]._prev[1]
        optimizer = engine.SGD(model.parameters())
        calls, seen = [], []

        def happen(event):
            if event == "forward":
                loss.forward()
            elif event == "backward":
                loss.backward()
            elif event == "inner":
                inner.backward()
            elif event == "own":
                inner._backward = lambda: calls.append(inner.grad)
            elif event == "above":
                above.forward()
                above.backward()
            elif event == "set":
                shared["x"].data = shared["x"].data + 0.25
            elif event == "look":
                return [bits(x) for v in (above, inner) for x in (v.data, v.grad)]
            else:
                optimizer.step()
                optimizer.zero_grad()

        for event in ["backward", *events, "backward"]:
            seen.append(outcome(happen, event))
            seen.append([bits(x) for v in [loss, *model.parameters()] for x in (v.data, v.grad)])
        numbers = [loss, above, inner, *shared.values()]
        return seen, [bits(x) for v in numbers for x in (v.data, v.grad)], [bits(x) for x in calls]

    before = live_nodes()
    assert run_network(compiled) == run_network(pure)
    assert live_nodes() == before


def replays(engine, random):
    """Record sums of products, then run passes over them in any order. The numbers are seldom
    looked at, for a replay writes them to its nodes only then."""
    leaves = [engine.Value(x) for x in (0.5, -0.25, 1.5, -2.0)]
    inner, side = [leaves[0] + 0.0], []  # partial sums, and what they are made of
    for _ in range(random.randrange(4, 24)):
        values = [*leaves, *inner[-2:], *side[-3:]]
        a, b = random.choice(values), random.choice(values)
        piece = random.choice(["sum", "sum", "sum", "row", "side", "tanh", "may fail"])
        if piece == "row":
            start = random.randrange(len(values))
            for k, leaf in enumerate(leaves):
                inner.append(inner[-1] + leaf * (values * 2)[start + k])
        elif piece == "side":
            side.append((a * b).tanh())
        elif piece == "tanh":
            inner.append(inner[-1].tanh())
        elif piece == "may fail":
            leaf = random.choice(leaves)
            inner.append(inner[-1] + leaf**-1 * abs(leaf).sqrt())
        else:
            inner.append(inner[-1] + a * b)
    inner += side
    roots = [inner[-1 - len(side)], random.choice(inner), inner[-1] * 2.0, inner[0]]

    def happen():
        root = random.choice(roots) if random.random() < 0.2 else roots[0]
        leaf, node = random.choice(leaves), random.choice(inner)
        event = random.choice("forward,forward,backward,step,set,inner,look,use,above".split(","))
        x = random.choice([0.0, -0.0, 0.5, -1.0, 2.0, math.inf])
        if event == "forward":
            root.forward()
        elif event == "backward":
            root.backward()
        elif event == "step":
            for v in leaves:
                v.data, v.grad = v.data - 0.01 * v.grad, 0.0
        elif event == "set":
            leaf.data = x
        elif event == "inner" and random.random() < 0.5:
            node.data = x
        elif event == "look":
            return [bits(x) for v in inner for x in (v.data, v.grad)]
        elif event == "use":
            return bits((node * leaf).data)
        elif event == "above":
            (node + leaf).backward()

    seen = []
    for root in roots[: random.randrange(1, 5)] * 2:
        seen.append(outcome(root.forward))
    for _ in range(random.randrange(20)):
        seen.append(outcome(happen))
        seen.append([bits(x) for v in [*leaves, roots[0]] for x in (v.data, v.grad)])
    return [*seen, *[bits(x) for v in inner + roots for x in (v.data, v.grad)]]


@given(st.integers(0, 2**64))
def test_replays(seed):
    before = live_nodes()
    assert replays(compiled, Random(seed)) == replays(pure, Random(seed))
    assert live_nodes() == before


def test_optimisers_over_leaves_that_only_a_recording_used():
    """A replay keeps the numbers of such a leaf to itself, until an optimiser has it."""

    def run(engine, kind):
        x, seen = engine.Value(0.5), []
        y = (x * engine.Value(3.0)).tanh()
        for _ in range(3):  # the second one compiles the recording
            y.forward()
            y.backward()
        [product] = y._prev
        [k] = [v for v in product._prev if v is not x]
        optimizer = getattr(engine, kind)([k, x], lr=0.1)
        for _ in range(4):
            y.forward()
            y.backward()
            optimizer.step()
            seen += [bits(z) for v in (y, product, k, x) for z in (v.data, v.grad)]
            optimizer.zero_grad()
            y.forward()
            seen += [bits(z) for v in (y, product, k, x) for z in (v.data, v.grad)]
        return seen

    for kind in ("SGD", "Adam", "AdamW"):
        assert run(compiled, kind) == run(pure, kind), kind
