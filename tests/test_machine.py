"""Both engines in the hands of one user, who does anything in any order.

Hypothesis makes programs of the rules below. Each rule does the same to either engine, and
what comes of it must be the same: an exception, or numbers by their bits. After each, there are
as many nodes on the tape as the plain-Python graph asks for, and none when all has been dropped.
"""

import copy
import functools
import gc
import pickle

from conftest import bits, collect_garbage, outcome
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from test_parity import FUNCTIONS, OPERATIONS, OPTIMIZERS, item, numbers, position, take, tame
from test_value import Refuses

from micrograd import RecordingError, compiled, pure
from micrograd.compiled import live_nodes


class Problem(ValueError):
    """What a user's own function may raise."""


class World:
    """One engine, and what the user holds there."""

    def __init__(self, engine):
        self.engine = engine
        self.values = []
        self.networks = []  # and their optimisers
        self.functions = []  # recorded ones

    def value(self, i):
        """One of the Values, mostly one of the newest: so graphs get deep."""
        return self.values[-1 - i % min(len(self.values), 3) if i % 2 else i % len(self.values)]

    def network(self, i):
        return self.networks[i % len(self.networks)]


# -----------------------------------------------------------------------------
# the plain-Python graph, from the outside


def operands(v):
    """The Values that v keeps alive."""
    sources = v._source[1] if v._source else ()
    return [*v._prev, *sources, *([v.friend] if hasattr(v, "friend") else [])]


def reachable(values):
    """All Values that these keep alive, and they themselves."""
    seen, waiting = set(), list(values)
    while waiting:
        v = waiting.pop()
        if v not in seen:
            seen.add(v)
            waiting += operands(v)
    return seen


def nodes(v):
    """How many nodes there are on the tape for v."""
    if v._source and v._source[0] is max:  # each compares two
        return len(v._source[1]) - 1
    exponent = v._exponent is not None
    user = len(v._prev) if v._rule is None else 0  # a list of its operands
    return 1 + exponent + user + hasattr(v, "m")


def appearance(v):
    """All that can be seen of one Value."""
    numbers = [bits(getattr(v, name, 0.0)) for name in ("data", "grad", "m", "v")]
    return numbers, v._op, v.label, getattr(v, "note", None)


# -----------------------------------------------------------------------------
# functions of the user's own


def pass_on(out):
    for x in out._prev:
        x.grad += 2.0 * out.grad


def fail_in_the_middle(out):
    pass_on(out)
    raise Problem(f"at {out.data}")


def go_backward_inside(out):
    if out._prev:
        out._prev[0].backward()
    pass_on(out)


def record_and_drop(out):
    twice = out * 2.0
    twice.grad = out.grad
    twice._backward()


RULES = [pass_on, fail_in_the_middle, go_backward_inside, record_and_drop]


def average(out):
    return sum(x.data for x in out._prev) / len(out._prev)


def refuse(out):
    raise Problem(f"not {out.data}")


def set_backward(v, function):
    v._backward = lambda: function(v)


def set_forward(v, function):
    v._forward = lambda: function(v)


# -----------------------------------------------------------------------------
# the machine

# what a recorded function does, one after the other: with Values from outside, the floats that
# it is given, and what it has computed itself
step = (
    st.tuples(st.sampled_from([*OPERATIONS]), position, position, tame)
    | st.tuples(st.just("take"), st.lists(position, min_size=1, max_size=3), st.integers(0, 1))
    | st.tuples(st.just("rows"), st.lists(position, min_size=4, max_size=4), st.integers(0, 1))
    | st.tuples(st.just("loss"), st.lists(position, min_size=1, max_size=3), st.integers(0, 1))
)
call = st.tuples(st.lists(st.integers(0, 2), min_size=2, max_size=2), tame)


def make_function(engine, outside, steps, outputs):
    @engine.recorded
    def function(integers, x):
        values = [*outside, x]
        for name, i, j, *k in steps:
            if name == "take":
                values.append(engine.take([values[-1 - n % len(values)] for n in i], integers[j]))
            elif name == "rows":
                some = [values[-1 - n % len(values)] for n in i]
                values += engine.take([some[:2], some[2:]], integers[j])
            elif name == "loss":
                logits = [engine.dot([values[-1 - n % len(values)]], [values[0]]) for n in i]
                values.append(engine.cross_entropy(logits, integers[j]))
            else:
                a, b = [values[-1 - n % len(values)] for n in (i, j)]
                values.append(OPERATIONS[name](a, b, *k))
        return values[-outputs:]

    return function


number = st.one_of(tame, tame, numbers, st.sampled_from([Refuses(), None, "1", 1j]))
operation = st.tuples(st.sampled_from([*OPERATIONS]), position, position, number)
one_pass = st.sampled_from(["forward", "forward", "backward", "set"])
inputs = st.lists(item, min_size=2, max_size=2)


class Engines(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        gc.freeze()  # the collector looks at what this program makes, not at all of hypothesis
        self.before = live_nodes()
        self.worlds = [World(compiled), World(pure)]
        self.blocks = []  # of no_grad, while they are open
        self.steps_without_graph = 0
        self.leaf(0.5)

    def both(self, action):
        """Do it with either engine; what it returns or raises must be the same."""
        first, second = [outcome(action, world) for world in self.worlds]
        assert first == second

    # recording

    @rule(x=number)
    def leaf(self, x):
        self.both(lambda world: world.values.append(world.engine.Value(x)))

    @rule(operations=st.lists(operation, min_size=1, max_size=8))
    def operate(self, operations):
        for name, i, j, k in operations:
            self.both(
                lambda world, operate=OPERATIONS[name], i=i, j=j, k=k: world.values.append(
                    operate(world.value(i), world.value(j), k)
                )
            )

    @rule(name=st.sampled_from([*FUNCTIONS]), pairs=st.lists(st.tuples(item, item)), start=item)
    def function(self, name, pairs, start):
        def action(world):
            ws = [take(world.values, w) for w, _ in pairs]
            xs = [take(world.values, x) for _, x in pairs]
            world.values += FUNCTIONS[name](world.engine, ws, xs, take(world.values, start))

        self.both(action)

    @rule(
        operands=st.lists(position, max_size=3),
        x=number,
        backward=st.sampled_from([None, *RULES]),
        forward=st.sampled_from([None, average, refuse]),
    )
    def user_node(self, operands, x, backward, forward):
        def action(world):
            out = world.engine.Value(x, [world.value(i) for i in operands], "user")
            if backward:
                set_backward(out, backward)
            if forward:
                set_forward(out, forward)
            world.values.append(out)

        self.both(action)

    @precondition(lambda self: not self.blocks)
    @rule(steps=st.integers(1, 4))
    def no_grad(self, steps):
        """From here on for so many steps."""
        self.blocks = [world.engine.no_grad() for world in self.worlds]
        self.steps_without_graph = steps
        for block in self.blocks:
            block.__enter__()

    def leave_no_grad(self):
        for block in self.blocks:
            block.__exit__(None, None, None)
        self.blocks = []

    @invariant()
    def no_grad_ends(self):
        self.steps_without_graph -= 1
        if self.steps_without_graph < 0:
            self.leave_no_grad()

    # recorded functions

    @rule(items=st.lists(position, min_size=1, max_size=3), i=st.integers(0, 3))
    def take(self, items, i):
        self.both(
            lambda world: world.values.append(world.engine.take([world.value(n) for n in items], i))
        )

    @rule(
        outside=st.lists(position, min_size=1, max_size=3),
        steps=st.lists(step, min_size=1, max_size=5),
        outputs=st.integers(1, 3),
    )
    def make_function(self, outside, steps, outputs):
        for world in self.worlds:
            some = [world.value(i) for i in outside]
            world.functions.append(make_function(world.engine, some, steps, outputs))

    @precondition(lambda self: self.worlds[0].functions)
    @rule(i=position, calls=st.lists(call, min_size=1, max_size=4), backward=st.booleans())
    def call_function(self, i, calls, backward):
        def action(world, integers, x):
            try:
                results = world.functions[i % len(world.functions)](integers, x)
            except RecordingError as problem:  # some operations read numbers
                return str(problem)
            known = {id(v) for v in world.values}
            world.values += [v for v in results if id(v) not in known]
            if backward:
                results[0].backward()
            return None

        for integers, x in calls:
            self.both(functools.partial(action, integers=integers, x=x))

    @precondition(lambda self: self.worlds[0].functions)
    @rule(i=position)
    def drop_function(self, i):
        for world in self.worlds:
            del world.functions[i % len(world.functions)]

    # Values: numbers, attributes, copies

    @rule(i=position, x=number, name=st.sampled_from(["data", "grad"]))
    def set_number(self, i, x, name):
        self.both(lambda world: setattr(world.value(i), name, x))

    @rule(i=position, name=st.sampled_from(["label", "note"]), x=st.sampled_from(["a", "b"]))
    def set_attribute(self, i, name, x):
        self.both(lambda world: setattr(world.value(i), name, x))

    @rule(i=position, j=position)
    def befriend(self, i, j):
        """An attribute may be a Value, too; as long as there is no cycle of those."""
        v, friend = self.worlds[1].value(i), self.worlds[1].value(j)
        below = reachable([friend])
        # what a take copies may be another one later
        if v is friend or (v not in below and not any(x._op == "take" for x in below)):
            self.both(lambda world: setattr(world.value(i), "friend", world.value(j)))

    @rule(i=position, function=st.sampled_from(RULES))
    def replace_rule(self, i, function):
        self.both(lambda world: set_backward(world.value(i), function))

    @rule(i=position)
    def give_rule_back(self, i):
        if "_backward" in vars(self.worlds[1].value(i)):
            self.both(lambda world: delattr(world.value(i), "_backward"))

    @rule(
        i=position,
        how=st.sampled_from([copy.copy, copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))]),
    )
    def copy(self, i, how):
        v = self.worlds[1].value(i)
        if not any("_backward" in vars(x) or "_forward" in vars(x) for x in reachable([v])):
            self.both(lambda world: world.values.append(how(world.value(i))))

    @rule(i=position)
    def drop(self, i):
        for world in self.worlds:
            if len(world.values) > 1:
                del world.values[i % len(world.values)]

    @rule(i=position, j=position)
    def take_operand(self, i, j):
        def action(world):
            operands = world.value(i)._prev
            if operands:
                world.values.append(operands[j % len(operands)])

        self.both(action)

    # passes

    @rule(i=position)
    def backward(self, i):
        self.both(lambda world: world.value(i).backward())

    @rule(i=position, j=position, x=number, passes=st.lists(one_pass, min_size=3, max_size=9))
    def replay(self, i, j, x, passes):
        """Passes over one recording, again and again, while a number in it changes."""
        values = self.worlds[1].values
        sizes = {n: len(reachable([values[n]])) for n in (i % len(values), j % len(values), -1)}
        root = max(sizes, key=sizes.get)
        below = reachable([values[root]])
        changed = [n for n, v in enumerate(self.held(self.worlds[1])) if v in below]
        for name in passes:
            if name == "set":
                n = changed[j % len(changed)]
                self.both(lambda world, n=n: setattr(self.held(world)[n], "data", x))
            else:
                self.both(lambda world, name=name: getattr(world.values[root], name)())

    @rule(i=position)
    def own_rule(self, i):
        self.both(lambda world: world.value(i)._backward())

    # networks

    @rule(
        nouts=st.lists(st.integers(1, 3), min_size=1, max_size=2),
        activation=st.sampled_from(["tanh", "relu"]),
        seed=st.integers(1, 1000),
        shared=st.none() | position,
        kind=st.sampled_from(OPTIMIZERS),
    )
    def make_network(self, nouts, activation, seed, shared, kind):
        def action(world):
            engine = world.engine
            model = engine.MLP(2, nouts, activation=activation, rng=engine.RNG(seed))
            if shared is not None:
                model.layers[0].neurons[0].w[1] = world.value(shared)
            world.networks.append((model, getattr(engine, kind)(model.parameters())))

        self.both(action)

    @precondition(lambda self: self.worlds[0].networks)
    @rule(i=position, x=inputs)
    def call_network(self, i, x):
        def action(world):
            out = world.network(i)[0]([take(world.values, xi) for xi in x])
            world.values += out if isinstance(out, list) else [out]

        self.both(action)

    @precondition(lambda self: self.worlds[0].networks)
    @rule(
        i=position,
        points=st.lists(st.tuples(inputs, st.integers(0, 2)), max_size=4),
        evaluate=st.sampled_from([False, False, True]),
    )
    def loss(self, i, points, evaluate):
        def action(world):
            model, _ = world.network(i)
            classes = len(model.layers[-1].neurons)
            split = [([take(world.values, xi) for xi in x], y % classes) for x, y in points]
            if evaluate:
                return bits(world.engine.eval_split(model, split))
            world.values.append(world.engine.mean_cross_entropy(model, split))

        self.both(action)

    @precondition(lambda self: self.worlds[0].networks)
    @rule(i=position, j=position, times=st.integers(1, 3))
    def train(self, i, j, times):
        def action(world):
            _, optimizer = world.network(j)
            world.value(i).forward()
            world.value(i).backward()
            optimizer.step()
            optimizer.zero_grad()

        for _ in range(times):
            self.both(action)

    @precondition(lambda self: self.worlds[0].networks)
    @rule(i=position)
    def step(self, i):
        self.both(lambda world: world.network(i)[1].step())

    @precondition(lambda self: self.worlds[0].networks)
    @rule(i=position)
    def drop_network(self, i):
        for world in self.worlds:
            del world.networks[i % len(world.networks)]

    # what must be so

    def held(self, world):
        return [*world.values, *[p for model, _ in world.networks for p in model.parameters()]]

    @rule()
    def look(self):
        """Everything that can be reached has the same bits, and hangs together in the same way.

        A rule and no invariant, because reading a number makes a replay write it to its node.
        """
        twins = {}  # by Value, of either engine
        waiting = list(zip(*[self.held(world) for world in self.worlds]))
        while waiting:
            v, w = waiting.pop()
            assert (v in twins) == (w in twins)
            if v in twins:
                assert twins[v] is w
                continue
            twins[v], twins[w] = w, v
            assert appearance(v) == appearance(w)
            assert len(v._prev) == len(w._prev)
            assert hasattr(v, "friend") == hasattr(w, "friend")
            waiting += zip(v._prev, w._prev)
            if hasattr(v, "friend"):
                waiting.append((v.friend, w.friend))

    @invariant()
    def nothing_is_left_over(self):
        if self.worlds[0].functions:  # these keep nodes of their own
            return
        expected = sum(map(nodes, reachable(self.held(self.worlds[1]))))
        if live_nodes() != self.before + expected:
            collect_garbage()
        assert live_nodes() == self.before + expected

    def teardown(self):
        self.look()
        self.leave_no_grad()
        for world in self.worlds:
            world.values.clear()
            world.networks.clear()
            world.functions.clear()
        self.nothing_is_left_over()


class TestEngines(Engines.TestCase):
    settings = settings(stateful_step_count=50)

    def setUp(self):
        collect_garbage()  # what other tests have left

    def tearDown(self):
        gc.unfreeze()
        collect_garbage()
        gc.freeze()  # as conftest.py did
