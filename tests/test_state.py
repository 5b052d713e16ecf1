"""Copies, pickles, states and files of modules and optimisers, on both engines and across."""

import contextlib
import copy
import gc
import inspect
import json
import math
import multiprocessing
import os
import pathlib
import pickle
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
import weakref

import numpy as np
import pytest
from conftest import IS_CPYTHON, bits, collect_garbage, live_nodes, outcome, times
from hypothesis import example, given
from hypothesis import strategies as st

from micrograd import checkpoint as files
from micrograd import compiled, pure
from micrograd.graph import trace

ENGINES = [compiled, pure]
SPLIT = [([1.0, 2.0], 0), ([0.5, -1.0], 1), ([-1.5, 0.25], 0)]


def train(engine, model, optimizer, steps=3):
    for _ in range(steps):
        engine.mean_cross_entropy(model, SPLIT).backward()
        optimizer.step()
        optimizer.zero_grad()


def new_run(engine):
    model = engine.MLP(2, [3, 2], rng=engine.RNG(1))
    return model, engine.AdamW(model.parameters(), weight_decay=0.1)


def trained_run(engine):
    run = new_run(engine)
    train(engine, *run)
    return run


def numbers(model, optimizer=None):
    """All that may be seen of a run, by bits."""
    seen = [bits(x) for p in model.parameters() for x in (p.data, p.grad)]
    if optimizer is not None:
        seen += [bits(x) for p in optimizer.parameters for x in (p.m, p.v)]
        seen += [bits(float(x)) for x in vars(optimizer).values() if type(x) in (int, float)]
    return seen


def copies(thing):
    """A deep copy, and what comes back from a pickle of each protocol."""
    yield copy.deepcopy(thing)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.loads(pickle.dumps(thing, protocol))


# -----------------------------------------------------------------------------
# copies and pickles


@pytest.mark.parametrize("x", [2.5, -0.0, math.inf, math.nan, 5e-324])
def test_copies_of_leaves(engine, no_new_nodes, x):
    v = engine.Value(x, label="v")
    v.grad = -x
    v.note = ["any", "thing"]
    for twin in [copy.copy(v), *copies(v)]:
        assert twin != v and type(twin) is engine.Value and twin._is_leaf
        assert [bits(twin.data), bits(twin.grad)] == [bits(x), bits(-x)]
        assert (twin.label, twin.note) == ("v", ["any", "thing"])
        twin.data = 1.0
        assert bits(v.data) == bits(x)
    assert copy.copy(v).note is v.note and copy.deepcopy(v).note is not v.note


class CompiledValue(compiled.Value):
    """A user's own kind; its Values know how often they were used."""

    def __init__(self, data, uses):
        super().__init__(data)
        self.uses = uses


class PureValue(pure.Value):
    def __init__(self, data, uses):
        super().__init__(data)
        self.uses = uses


def test_copies_of_subclasses(engine):
    v = {compiled: CompiledValue, pure: PureValue}[engine](2.0, uses=[3])
    for twin in [copy.copy(v), *copies(v)]:
        assert type(twin) is type(v) and (twin.data, twin.uses) == (2.0, [3])


def test_only_leaves_are_copied():
    def messages(engine):
        a = engine.Value(2.0)
        shift = [v for v in trace(engine.cross_entropy([a], 0))[0] if v.data == -2.0]
        own = engine.Value(1.0, (a,), "own")
        module = engine.Module()
        module.last = a * a
        for thing in (a * a, own, *shift, module, [a, a * a]):
            for attempt in (copy.deepcopy, pickle.dumps):
                with pytest.raises(TypeError, match=r"leaves can be copied.*detach\(\)") as caught:
                    attempt(thing)
                yield str(caught.value)
        with pytest.raises(TypeError, match=r"detach\(\)"):
            copy.copy(a * a)
        assert copy.copy((a * a).detach()).data == 4.0
        with engine.no_grad():
            assert copy.copy(a * a).data == 4.0

    assert list(messages(compiled)) == list(messages(pure))


@pytest.mark.filterwarnings("ignore:.* in the list more than once")
def test_what_is_shared_stays_shared(engine, no_new_nodes):
    model, optimizer = trained_run(engine)
    model.layers[1].neurons[0].w[0] = model.layers[0].neurons[0].w[0]
    optimizer = engine.AdamW(model.parameters())
    for twin, its_optimizer in copies((model, optimizer)):
        assert twin.layers[1].neurons[0].w[0] == twin.layers[0].neurons[0].w[0]
        assert len(set(twin.parameters())) == len(twin.parameters()) - 1
        assert list(its_optimizer.parameters) == twin.parameters()
        assert not set(twin.parameters()) & set(model.parameters())
    a = engine.Value(1.0)
    a.me = a
    for twin in copies(a):
        assert twin.me == twin


def test_copies_go_on_with_the_same_bits(engine, no_new_nodes):
    run = trained_run(engine)
    twins = list(copies(run))
    train(engine, *run)
    for twin in twins:
        train(engine, *twin)
        assert numbers(*twin) == numbers(*run)
    sgd = engine.SGD([engine.Value(1.0)], lr=0.5)
    assert [(twin.lr, type(twin)) for twin in copies(sgd)] == [(0.5, type(sgd))] * 7


def test_a_shallow_copy_of_an_optimiser_has_the_same_parameters(engine):
    _, optimizer = trained_run(engine)
    twin = copy.copy(optimizer)
    assert twin.parameters == optimizer.parameters
    twin.step()
    assert (twin.t, optimizer.t) == (4, 3)


def test_an_optimiser_that_its_parameter_knows(engine, no_new_nodes):
    p = engine.Value(1.0)
    p.optimizer = engine.AdamW([p])
    for twin in copies(p):
        assert twin.optimizer.parameters == (twin,)
        del twin.optimizer  # the two would keep each other alive
    for twin in copies(p.optimizer):
        assert twin.parameters[0].optimizer is twin
        del twin.parameters[0].optimizer
    del p.optimizer


def test_attributes_called_as_the_moments(engine):
    """They become moments when an AdamW comes, and not by being copied."""
    p = engine.Value(1.0)
    p.m, p.v = "m", [2]
    for twin in [copy.copy(p), *copies(p)]:
        assert (twin.m, twin.v) == ("m", [2])
    engine.AdamW([p])
    p.m = 0.25
    for twin in [copy.copy(p), *copies(p)]:
        assert (twin.m, twin.v) == (0.25, 0.0)


class NamedByUs:
    """Makes a generator of a user's own kind."""

    def __init__(self, name, seed):
        super().__init__(seed)
        self.name = name


class CompiledRNG(NamedByUs, compiled.RNG):
    pass


class PureRNG(NamedByUs, pure.RNG):
    pass


def test_generators(engine):
    for random in (engine.RNG(5), {compiled: CompiledRNG, pure: PureRNG}[engine]("ours", 5)):
        random.random()
        for twin in [copy.copy(random), *copies(random)]:
            assert type(twin) is type(random) and twin.state == random.state
            assert getattr(twin, "name", None) == getattr(random, "name", None)
            expected = engine.RNG(random.state).random_u32()
            assert twin.random_u32() == expected and twin.state != random.state


# -----------------------------------------------------------------------------
# state_dict and load_state_dict of modules


def test_names_of_a_network(engine):
    model = engine.MLP(2, [2, 1], rng=engine.RNG(1))
    state = model.state_dict()
    assert list(state) == [
        "layers.0.neurons.0.w.0", "layers.0.neurons.0.w.1", "layers.0.neurons.0.b",
        "layers.0.neurons.1.w.0", "layers.0.neurons.1.w.1", "layers.0.neurons.1.b",
        "layers.1.neurons.0.w.0", "layers.1.neurons.0.w.1", "layers.1.neurons.0.b",
    ]  # fmt: skip
    assert list(state.values()) == [p.data for p in model.parameters()]
    assert set(map(type, state.values())) == {float}
    assert engine.Module().state_dict() == {}


def own_module(engine):
    class Blocks(engine.Module):
        """Parts in attributes, lists and tuples, and much else."""

        def __init__(self, parent=None):
            self.parent = parent
            self.scale = engine.Value(2.0)
            self.name, self.size, self.anything = "blocks", 3, object
            self.pairs = [(engine.Value(3.0), engine.Neuron(1)), ["text", 1.0], {}]
            self.child = Blocks(self) if parent is None else None
            self.last = self.scale * 2  # computed: no part of the state
            self.pairs.append(self.pairs)

        def parameters(self):
            yield self.scale

    return Blocks()


def test_names_of_a_module_of_one_s_own(engine):
    module = own_module(engine)
    names = ["scale", "pairs.0.0", "pairs.0.1.w.0", "pairs.0.1.b"]
    state = module.state_dict()
    assert list(state) == names + [f"child.{name}" for name in names]
    assert [state[name] for name in ("scale", "pairs.0.0")] == [2.0, 3.0]
    module.load_state_dict({name: i for i, name in enumerate(state)})
    assert list(module.state_dict().values()) == [float(i) for i in range(8)]
    assert (module.scale.data, module.child.pairs[0][1].b.data) == (0.0, 7.0)


def test_a_shared_value_has_all_its_names(engine):
    model = engine.MLP(1, [1, 1])
    model.layers[1].neurons[0].w[0] = model.layers[0].neurons[0].w[0]
    state = model.state_dict()
    first, second = "layers.0.neurons.0.w.0", "layers.1.neurons.0.w.0"
    assert len(state) == 4 and state[first] == state[second]
    model.load_state_dict({**state, first: math.nan, second: -math.nan})
    assert math.isnan(model.state_dict()[second])
    for one, other in [(1.0, 2.0), (0.0, -0.0), (math.nan, 1.0)]:
        with pytest.raises(ValueError) as caught:
            model.load_state_dict({**state, first: one, second: other})
        for word in (first, second, repr(one), repr(other)):
            assert word in str(caught.value)
    assert math.isnan(model.state_dict()[second])


@pytest.mark.parametrize(
    "values",
    [
        lambda e: {"w": e.Value(1.0)},
        lambda e: [e.Value(1.0) * 2],
        lambda e: [0.5],
    ],
    ids=["in a dict", "computed", "a plain number"],
)
def test_parameters_that_no_name_leads_to(engine, tmp_path, values):
    class Other(engine.Module):
        def __init__(self):
            self.parts = values(engine)

        def parameters(self):
            parts = self.parts
            return list(parts.values()) if isinstance(parts, dict) else parts

    for attempt in (Other().state_dict, lambda: Other().save(tmp_path / "other.json")):
        with pytest.raises(ValueError, match="1 of the parameters"):
            attempt()
    assert os.listdir(tmp_path) == []


def test_two_values_of_one_name(engine):
    module = engine.Module()
    module.a = [engine.Value(1.0)]
    setattr(module, "a.0", engine.Value(2.0))
    with pytest.raises(ValueError, match=r"a\.0"):
        module.state_dict()


@pytest.mark.parametrize(
    "change, exception, words",
    [
        ({"w.1": None}, ValueError, ("of 3 names 1 missing (w.1)", "0 unknown ()")),
        ({"w.2": 1.0}, ValueError, ("of 3 names 0 missing ()", "1 unknown (w.2)")),
        ({"w.0": None, "b": None, "c": 1}, ValueError, ("2 missing (w.0, b)", "1 unknown (c)")),
        ({str(i): 1 for i in range(5)}, ValueError, ("5 unknown (0, 1, 2, ...)",)),
        ({"b": "1.0"}, TypeError, ("b", "'1.0'")),
        ({"b": [1.0]}, TypeError, ("b", "[1.0]")),
        ({"b": 10**400}, OverflowError, ()),
    ],
)
def test_states_that_do_not_fit(engine, change, exception, words):
    neuron = engine.Neuron(2)
    before = neuron.state_dict()
    state = dict.fromkeys(before, 7.0)
    state.update(change)
    with pytest.raises(exception) as caught:
        neuron.load_state_dict({name: x for name, x in state.items() if x is not None})
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert neuron.state_dict() == before


def test_what_is_no_state(engine):
    model, optimizer = new_run(engine)
    for thing in (model, optimizer):
        for wrong in ([], "state", None, 1.0):
            with pytest.raises(TypeError, match="a dict"):
                thing.load_state_dict(wrong)


def test_values_of_another_engine_are_refused(engine):
    other = pure if engine is compiled else compiled
    neuron = engine.Neuron(1)
    state = {name: other.Value(x) for name, x in neuron.state_dict().items()}
    with pytest.raises(TypeError, match=r"Value\("):
        neuron.load_state_dict(state)


def test_states_leave_gradients_and_moments(engine):
    model, optimizer = trained_run(engine)
    engine.mean_cross_entropy(model, SPLIT).backward()
    before = [(p.grad, p.m, p.v) for p in model.parameters()]
    assert any(grad for grad, _, _ in before)
    model.load_state_dict(new_run(engine)[0].state_dict())
    assert [(p.grad, p.m, p.v) for p in model.parameters()] == before and optimizer.t == 3


def test_named_parameters(engine):
    model = engine.MLP(2, [4, 1], rng=engine.RNG(1))
    named = model.named_parameters()
    assert [name for name, _ in named] == list(model.state_dict())
    assert [v.data for _, v in named] == list(model.state_dict().values())
    assert dict(named)["layers.0.neurons.3.w.1"] is model.layers[0].neurons[3].w[1]
    assert engine.Module().named_parameters() == []


def test_named_parameters_of_other_modules(engine):
    class Mine(engine.Module):
        def __init__(self):
            self.table = {"a": engine.Value(1.0), 2: [engine.Value(2.0)]}
            self.part = engine.Neuron(1, rng=engine.RNG(1))
            self.shared = self.part.b
            self.double = self.part.b * 2
            self.constant = engine.Value(3.0)
            self.around = self

        def parameters(self):
            table = [self.table["a"], *self.table[2]]
            return [*table, *self.part.parameters(), self.double, *lost]

    lost = []
    mine = Mine()
    named = mine.named_parameters()
    assert [name for name, _ in named] == [
        "table.a",
        "table.2.0",
        "part.w.0",
        "part.b",
        "shared",
        "double",
    ]
    assert dict(named)["shared"] is dict(named)["part.b"] is mine.part.b
    assert dict(named)["double"] is mine.double
    lost = [engine.Value(9.0)]
    with pytest.raises(ValueError, match=r"^1 of the parameters are no Values.*data=9\.0"):
        mine.named_parameters()
    lost = []
    mine.table["2"] = [engine.Value(5.0)]
    mine.parameters = lambda: [*mine.table[2], *mine.table["2"]]
    with pytest.raises(ValueError, match=r"two Values have the name table\.2\.0"):
        mine.named_parameters()


# -----------------------------------------------------------------------------
# state_dict and load_state_dict of optimisers


def test_states_of_optimisers(engine):
    p, q = engine.Value(1.0), engine.Value(2.0)
    optimizer = engine.AdamW([p, q], lr=0.5)
    p.m, q.v, optimizer.t = 0.25, math.inf, 7
    state = optimizer.state_dict()
    assert state == {
        "beta1": 0.9, "beta2": 0.95, "lr": 0.5, "eps": 1e-8, "weight_decay": 0.0, "t": 7,
        "m": [0.25, 0.0], "v": [0.0, math.inf],
    }  # fmt: skip
    assert type(state["t"]) is int
    twin = engine.AdamW([engine.Value(1.0), engine.Value(2.0)])
    twin.load_state_dict(state)
    assert twin.state_dict() == state and type(twin.t) is int
    assert engine.SGD([p], lr=0.25).state_dict() == {"lr": 0.25, "momentum": 0.0}
    vars(optimizer)["lr"] = "fast"
    with pytest.raises(TypeError, match=r"lr must be .*fast"):
        optimizer.state_dict()


def test_states_of_adam(engine):
    p = engine.Value(1.0)
    optimizer = engine.Adam([p])
    p.grad = 2.0
    optimizer.step()
    state = optimizer.state_dict()
    assert state == {
        "beta1": 0.85, "beta2": 0.99, "lr": 0.01, "eps": 1e-8, "t": 1, "m": [p.m], "v": [p.v],
    }  # fmt: skip
    twin = engine.Adam([engine.Value(p.data)])
    twin.load_state_dict(state)
    copied, (pickled,) = copy.deepcopy(optimizer), pickle.loads(pickle.dumps([optimizer]))
    for other in (twin, copied, pickled):
        assert type(other) is engine.Adam and other.state_dict() == state
        other.parameters[0].grad = 2.0
        other.step()
        assert other.t == 2 and round(p.data, 9) == 0.99
    with pytest.raises(ValueError, match=r"1 missing \(weight_decay\)"):
        engine.AdamW([p]).load_state_dict(state)
    with pytest.raises(ValueError, match=r"1 unknown \(weight_decay\)"):
        optimizer.load_state_dict(engine.AdamW([p]).state_dict())


@pytest.mark.parametrize(
    "change, exception, words",
    [
        ({"m": [1.0]}, ValueError, ("m has 1", "2 parameters")),
        ({"v": [1.0] * 3}, ValueError, ("v has 3", "2 parameters")),
        ({"v": [1.0, "x"]}, TypeError, ("v", "'x'")),
        ({"v": 1.0}, TypeError, ("v", "1.0")),
        ({"lr": [1.0]}, TypeError, ("lr", "[1.0]")),
        ({"t": None}, ValueError, ("1 missing (t)",)),
        ({"t": 0.5}, TypeError, ("t must be an integer", "0.5")),
        ({"t": -1}, ValueError, ("t must be at least 0", "-1")),
        ({"t": 2**53}, ValueError, ("t must be below 2**53", str(2**53))),
        ({"beta1": 5.0}, ValueError, ("betas", "5.0")),
        ({"lr": -0.5}, ValueError, ("lr must be 0 or more", "-0.5")),
        ({"eps": math.nan}, ValueError, ("eps must be 0 or more", "nan")),
        ({"weight_decay": -1}, ValueError, ("weight_decay must be 0 or more", "-1")),
        ({"v": [1.0, -1.0]}, ValueError, ("mean of squares", "-1.0")),
        ({"momentum": 1.0}, ValueError, ("1 unknown (momentum)",)),
    ],
)
def test_states_that_do_not_fit_an_optimiser(engine, change, exception, words):
    optimizer = engine.AdamW([engine.Value(1.0), engine.Value(2.0)])
    before = optimizer.state_dict()
    state = {name: [7.0, 7.0] if name in "mv" else 0 for name in before}
    state.update(change)
    with pytest.raises(exception) as caught:
        optimizer.load_state_dict({name: x for name, x in state.items() if x is not None})
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert optimizer.state_dict() == before
    sgd = engine.SGD([engine.Value(1.0)])
    with pytest.raises(ValueError, match="7 missing"):
        optimizer.load_state_dict(sgd.state_dict())
    with pytest.raises(ValueError, match="unknown"):
        sgd.load_state_dict(before)


def test_a_run_that_is_resumed_gives_the_same_bits(engine):
    run = trained_run(engine)
    twin = new_run(engine)
    for thing, its_twin in zip(run, twin):
        its_twin.load_state_dict(thing.state_dict())
    train(engine, *run)
    train(engine, *twin)
    assert numbers(*twin) == numbers(*run)


# -----------------------------------------------------------------------------
# files


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.json"


FILE = """{
 "format": "micrograd",
 "version": 1,
 "network": {
  "kind": "Neuron",
  "nin": 3,
  "nonlin": true,
  "activation": "relu"
 },
 "module": {
  "w.0": 0.1,
  "w.1": "nan",
  "w.2": -0.0,
  "b": 1e+16
 },
 "optimizer": {
  "beta1": 0.9,
  "beta2": 0.95,
  "lr": 0.1,
  "eps": 5e-324,
  "weight_decay": 0.0,
  "t": 12,
  "m": [
   0.0,
   "-inf",
   0.0,
   0.0
  ],
  "v": [
   0.0,
   0.0,
   0.0,
   "inf"
  ]
 }
}"""


def small_run(engine):
    """The neuron and the optimiser of which FILE is the file."""
    neuron = engine.Neuron(3, activation="relu")
    optimizer = engine.AdamW(neuron.parameters(), eps=5e-324)
    neuron.load_state_dict({"w.0": 0.1, "w.1": -math.nan, "w.2": -0.0, "b": 1e16})
    neuron.w[1].m, neuron.b.v, optimizer.t = -math.inf, math.inf, 12
    return neuron, optimizer


def test_the_format(engine, path):
    """It is written down here, for files live longer than programs."""
    neuron, optimizer = small_run(engine)
    neuron.save(path, optimizer=optimizer)
    assert path.read_bytes() == FILE.encode()
    json.loads(FILE, parse_constant=pytest.fail)
    twin = engine.load(path)
    its_optimizer = engine.AdamW(twin.parameters())
    its_optimizer.load(path)
    assert numbers(twin, its_optimizer) == numbers(neuron, optimizer)


def test_load_is_a_method_of_a_model(engine, path):
    model = engine.MLP(1, [2])
    model.save(path)
    for attempt in lambda: engine.MLP.load(path), lambda: engine.MLP.load(), engine.Module.load:
        with pytest.raises(
            TypeError, match=r"write micrograd\.load\(path\); or model\.load\(path\)"
        ):
            attempt()

    class Own(engine.MLP):
        def load(self, path):
            super().load(path)
            return self

    own = Own(1, [2])
    assert own.load(path=path).state_dict() == model.state_dict()
    own.layers[0].neurons[0].b.data = 1.0
    engine.Module.load(own, path)
    assert own.state_dict() == model.state_dict()
    assert list(inspect.signature(engine.MLP.load).parameters) == ["self", "path"]
    assert list(inspect.signature(own.load).parameters) == ["path"]
    assert "Set the numbers" in model.load.__doc__ and copy.copy(model.load)(path) is None


@pytest.mark.parametrize("writer", ENGINES, ids=["c", "python"])
@pytest.mark.parametrize("reader", ENGINES, ids=["c", "python"])
def test_files_cross_the_engines(writer, reader, path):
    run = trained_run(writer)
    run[0].save(path, optimizer=run[1])
    model = reader.load(path)
    assert type(model) is reader.MLP
    optimizer = reader.AdamW(model.parameters())
    optimizer.load(path)
    assert numbers(model, optimizer) == numbers(*run)
    train(writer, *run)
    train(reader, model, optimizer)
    assert numbers(model, optimizer) == numbers(*run)


def test_both_engines_write_the_same_bytes(tmp_path):
    def written(engine):
        model, optimizer = trained_run(engine)
        model.save(tmp_path / "both", optimizer=optimizer)
        model.save(tmp_path / "model")
        optimizer.save(tmp_path / "optimizer")
        return [(tmp_path / name).read_bytes() for name in ("both", "model", "optimizer")]

    assert written(compiled) == written(pure)


@given(st.lists(st.floats() | st.floats(-2, 2), min_size=2, max_size=2))
@example([math.inf, -math.inf])
@example([-0.0, math.nan])
def test_every_float_comes_back(floats):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "neuron")
        for writer, reader in (ENGINES, ENGINES[::-1]):
            neuron = writer.Neuron(1)
            neuron.load_state_dict(dict(zip(("w.0", "b"), floats)))
            neuron.save(path)
            again = reader.load(path).state_dict()
            assert [bits(x) for x in again.values()] == [bits(x) for x in floats]


@pytest.mark.parametrize(
    "make",
    [
        lambda e: e.Neuron(3),
        lambda e: e.Neuron(1, nonlin=False, activation="relu"),
        lambda e: e.Layer(2, 1),
        lambda e: e.Layer(2, 3, nonlin=False),
        lambda e: e.Layer(1, 2, activation="relu"),
        lambda e: e.MLP(1, [1]),
        lambda e: e.MLP(3, [1, 4, 2], activation="relu"),
        lambda e: e.MLP(2, (2,) * 5),
    ],
)
def test_networks_are_made_anew(engine, path, make):
    network = make(engine)
    network.save(path)
    state = engine.random.state
    twin = engine.load(path)
    assert engine.random.state == state
    assert type(twin) is type(network) and repr(twin) == repr(network)
    assert numbers(twin) == numbers(network)
    neurons = trace_neurons(twin)
    assert [n.activation for n in neurons] == [n.activation for n in trace_neurons(network)]


def trace_neurons(network):
    if hasattr(network, "w"):
        return [network]
    parts = network.neurons if hasattr(network, "neurons") else network.layers
    return [n for part in parts for n in trace_neurons(part)]


def replace_a_neuron(engine, model):
    class Neuron(engine.Neuron):
        """Has the name of ours."""

        def __call__(self, x):
            return super().__call__(x) * 2

    model.layers[0].neurons[1] = Neuron(2)


def share_a_bias(engine, model):
    model.layers[0].neurons[0].b = model.layers[1].neurons[0].b


CHANGES = {
    "another first activation": lambda e, m: setattr(m.layers[0].neurons[0], "activation", "relu"),
    "another second activation": lambda e, m: setattr(m.layers[0].neurons[1], "activation", "relu"),
    "an unknown activation": lambda e, m: [
        setattr(n, "activation", "gelu") for n in trace_neurons(m)
    ],
    "a last layer that is not linear": lambda e, m: [
        setattr(n, "nonlin", True) for n in m.layers[-1].neurons
    ],
    "a linear layer": lambda e, m: [setattr(n, "nonlin", False) for n in m.layers[0].neurons],
    "shared parameters": share_a_bias,
    "another neuron": replace_a_neuron,
    "one input more": lambda e, m: m.layers[0].neurons[0].w.append(e.Value(1.0)),
    "one Value more": lambda e, m: setattr(m, "temperature", e.Value(1.0)),
    "one neuron as a layer": lambda e, m: m.layers.append(e.Neuron(2)),
    "no layers": lambda e, m: m.layers.clear(),
    "no neurons": lambda e, m: m.layers[0].neurons.clear(),
    "no inputs": lambda e, m: [n.w.clear() for n in m.layers[0].neurons],
    "a layer that does not fit": lambda e, m: m.layers.insert(1, e.Layer(5, 1)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_networks_load_into_their_like(engine, path, change):
    """No constructor makes them, so `load` does not make up what only looks like them."""

    def changed(seed):
        model = engine.MLP(2, [3, 2], rng=engine.RNG(seed))
        change(engine, model)
        return model

    model = changed(1)
    model.save(path)
    assert "network" not in json.loads(path.read_text())
    with pytest.raises(ValueError, match=r"model\.json: no constructor .* load\(\)"):
        engine.load(path)
    twin = changed(2)
    twin.load(path)
    assert numbers(twin) == numbers(model)


def test_the_plainest_module(engine, path):
    module, twin = engine.Module(), engine.Module()
    module.p, twin.p = engine.Value(1.0), engine.Value(2.0)
    module.save(path)
    twin.load(path)
    assert twin.p.data == 1.0


def test_modules_of_one_s_own(engine, path):
    module = own_module(engine)
    module.child.scale.data = math.pi
    module.save(str(path))
    with pytest.raises(ValueError, match="no constructor"):
        engine.load(path)
    twin = own_module(engine)
    twin.load(str(path))
    assert twin.state_dict() == module.state_dict() and twin.child.scale.data == math.pi

    class Counting(engine.MLP):
        """Has a state of its own."""

        def state_dict(self):
            return {**super().state_dict(), "epoch": 3.0}

        def load_state_dict(self, state):
            self.epoch = state.pop("epoch")
            super().load_state_dict(state)

    Counting(2, [1]).save(path)
    twin = Counting(2, [1])
    twin.load(path)
    assert twin.epoch == 3.0


def test_files_of_others(engine, path):
    model, optimizer = trained_run(engine)
    before = numbers(model, optimizer)
    for other, words in [
        (engine.MLP(2, [4, 2]), ("MLP(nin=2, nouts=[3, 2], ", "MLP(nin=2, nouts=[4, 2], ")),
        (engine.MLP(2, [3, 2], activation="relu"), ("'tanh'", "'relu'")),
        (engine.Layer(2, 3), ("MLP(", "Layer(nin=2, nout=3, nonlin=True, activation='tanh')")),
        (own_module(engine), ("17 missing", "8 unknown")),
    ]:
        other.save(path)
        with pytest.raises(ValueError, match=r"model\.json: ") as caught:
            model.load(path)
        assert all(word in str(caught.value) for word in words), str(caught.value)
    with pytest.raises(ValueError, match=r"model\.json: there is no optimizer"):
        optimizer.load(path)
    engine.AdamW([engine.Value(1.0)]).save(path)
    with pytest.raises(ValueError, match=r"model\.json: m has 1 numbers.* 17 parameters"):
        optimizer.load(path)
    for attempt in (model.load, engine.load):
        with pytest.raises(ValueError, match=r"model\.json: there is no module"):
            attempt(path)
    engine.SGD([engine.Value(1.0)]).save(path)
    with pytest.raises(ValueError, match=r"state of an SGD, and .* an AdamW: of 8 names 7 missing"):
        optimizer.load(path)
    assert numbers(model, optimizer) == before
    for attempt in (model.load, engine.load, optimizer.load):
        with pytest.raises(FileNotFoundError):
            attempt(path.parent / "nothing")


def test_what_cannot_be_saved(engine, path):
    model, optimizer = new_run(engine)
    model.save(path)
    before = path.read_bytes()
    vars(optimizer)["lr"] = "fast"
    for wrong in (optimizer, model, [], 1.0):
        with pytest.raises(TypeError):
            model.save(path, optimizer=wrong)
    for wrong in (1, None, 1.5, ["x"]):
        for attempt in (model.save, model.load, engine.load):
            with pytest.raises(TypeError):
                attempt(wrong)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


# what a file may be, and a word of what is said about it
WRONG = {
    "": "Expecting value",
    "{}": "no file of micrograd's",
    "[]": "no file of micrograd's",
    '{"format": ["micrograd"]}': "no file of micrograd's",
    '{"format": "pickle", "version": 1}': "no file of micrograd's",
    FILE.replace('"version": 1,', ""): "version None",
    FILE.replace('"version": 1,', '"version": 2,'): "version 2, and must have version 1",
    FILE.replace('"version": 1,', '"version": true,'): "version True",
    FILE.replace('"version": 1,', '"version": 1.0,'): "version 1.0",
    FILE.replace('"version"', '"more": 1, "version"'): "nothing called more",
    FILE.replace('"b"', '"w.0"'): "1 names are there more than once: w.0",
    FILE.replace('"b"', '"b": 1, "c"'): "has 4 parameters, and not 5",
    FILE.replace('"b"', '"c"'): "1 missing (b), and 1 unknown (c)",
    FILE.replace("0.1,", "true,"): "w.0 must be a number, not True",
    FILE.replace("0.1,", "null,"): "w.0 must be a number, not None",
    FILE.replace("0.1,", '"0.1",'): "w.0 must be a number, not '0.1'",
    FILE.replace("0.1,", '"Infinity",'): "not 'Infinity'",
    FILE.replace("0.1,", "[0.1],"): "w.0 must be a number, not [0.1]",
    FILE.replace("0.1,", "NaN,"): "NaN is not a number",
    FILE.replace("0.1,", "-Infinity,"): "-Infinity is not a number",
    FILE.replace("0.1,", "1e999,"): "'1e999' is too large",
    FILE.replace("0.1,", "1" * 309 + ","): "309 digits",
    FILE.replace("0.1,", "1" * 10**6 + ","): "1000000 digits",
    FILE.replace('"inf"', '"inf", []'): "v must be",
    FILE.replace('"module": {', '"module": [{').replace(' },\n "opt', ' }],\n "opt'): "module must",
    FILE.replace('"relu"', '"gelu"'): "activation of a network cannot be 'gelu'",
    FILE.replace('"relu"', '["relu"]'): "activation of a network cannot be ['relu']",
    FILE.replace("true", "1"): "nonlin of a network cannot be 1",
    FILE.replace('"Neuron"', '"Module"'): "no such network",
    FILE.replace('"Neuron"', '["Neuron"]'): "no such network",
    FILE.replace('"Neuron"', '"Layer"'): "1 missing (nout)",
    FILE.replace('"nin": 3', '"nin": 3, "rng": 4'): "1 unknown (rng)",
    FILE.replace('"nin": 3', '"nin": true'): "nin of a network cannot be True",
    FILE.replace('"nin": 3', '"nin": 0'): "nin of a network cannot be 0",
    FILE.replace('"nin": 3', '"nin": 3.0'): "nin of a network cannot be 3.0",
    FILE.replace('"nin": 3', '"nin": 1000000000'): "1000000001 parameters, and not 4",
    FILE.replace('"nin": 3', '"nin": ' + "9" * 308): "parameters, and not 4",
    '{"format": "micrograd", "version": 1, "module": {"b": 1}, "network": '
    '{"kind": "MLP", "nin": 1, "nouts": [], "activation": "tanh"}}': "nouts of a network",
    '{"format": "micrograd", "version": 1, "module": {"b": 1}, "network": '
    '{"kind": "MLP", "nin": 1, "nouts": [4000000000], "activation": "tanh"}}': "8000000000",
    "[" * 10**6: "nested too deeply",
    '{"format":' * 10**5: "nested too deeply",
    '{"format": "micrograd", "version": ' + "[" * 900 + "]" * 900 + "}": "",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_wrong_files(engine, path, text):
    path.write_text(text)
    start = time.perf_counter()
    with pytest.raises(ValueError) as caught:
        engine.load(path)
    assert str(path) in str(caught.value) and WRONG[text] in str(caught.value)
    assert len(str(caught.value)) < 1000 and time.perf_counter() - start < 5


def test_files_that_are_no_text(engine, path):
    for content in (b"\xff\xfe", FILE.encode("utf-16"), pickle.dumps(FILE), b"\xef\xbb\xbf{}"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"model\.json: "):
            engine.load(path)


def test_a_file_written_by_hand(engine, path):
    """Integers, spaces and another order of names are as good."""
    file = json.loads(FILE)
    file["module"] = dict(reversed({**file["module"], "b": 3}.items()))
    path.write_text(json.dumps(file) + "\n\n", encoding="utf-8")
    model = engine.load(path)
    assert model.b.data == 3.0 and type(model.b.data) is float
    assert list(model.state_dict()) == ["w.0", "w.1", "w.2", "b"]


def test_files_that_end_too_soon(engine, path):
    neuron, optimizer = small_run(engine)
    before = numbers(neuron, optimizer)
    content = FILE.encode()
    for n in range(len(content)):
        path.write_bytes(content[:n])
        for attempt in (engine.load, neuron.load, optimizer.load):
            with pytest.raises(ValueError, match=r"model\.json: "):
                attempt(path)
    assert numbers(neuron, optimizer) == before


def load_all(engine, content):
    """What loading a file in every way comes to."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        with open(path, "wb") as file:
            file.write(content)
        neuron, optimizer = small_run(engine)
        seen = []
        for attempt in (engine.load, neuron.load, optimizer.load):
            before = numbers(neuron, optimizer)
            what, problem = outcome(attempt, path)
            assert what in ("is", ValueError), problem
            if what == "is":
                seen.append(numbers(problem or neuron, optimizer))
            else:
                seen.append(problem.replace(folder, ""))
                assert numbers(neuron, optimizer) == before
        return seen


position = st.integers(0, len(FILE))
piece = st.binary(max_size=3) | st.sampled_from(
    [b'"', b"{", b"}", b"[", b"]", b",", b":", b"-", b"e9", b"0", b"true", b"null", b"NaN", b"\\"]
)


@given(st.lists(st.tuples(position, position, piece), min_size=1, max_size=3))
def test_files_with_other_bytes_in_them(changes):
    content = FILE.encode()
    for start, n, piece in changes:
        content = content[:start] + piece + content[start + n % 4 :]
    assert load_all(compiled, content) == load_all(pure, content)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    | st.sampled_from(["nan", "inf", "Layer", "MLP", "tanh", 1, 2, 3, 10**308, 10**309]),
    lambda inside: st.lists(inside, max_size=4)
    | st.dictionaries(st.sampled_from(["kind", "nin", "nout", "nouts", "w.0", "b"]), inside),
)  # fmt: skip
places = [
    ("version",), ("network",), ("module",), ("optimizer",), ("network", "kind"),
    ("network", "nin"), ("network", "nouts"), ("module", "b"), ("module", "c"),
    ("optimizer", "t"), ("optimizer", "m"), ("optimizer", "m", 2), ("new",),
]  # fmt: skip


@given(st.sampled_from(places), anything)
def test_files_with_other_things_in_them(place, thing):
    file = json.loads(FILE)
    inside = file
    for name in place[:-1]:
        inside = inside[name]
    inside[place[-1]] = thing
    content = json.dumps(file).encode()
    assert load_all(compiled, content) == load_all(pure, content)


# -----------------------------------------------------------------------------
# how files are written


class Failure(Exception):
    pass


def fail(*args, **kwargs):
    raise Failure


def open_a_full_disc(*args, **kwargs):
    """As open(), but only ten characters can be written."""
    file = open(*args, **kwargs)
    write = file.write

    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *exception):
            file.close()

        def write(self, text):
            write(text[:10])
            file.flush()
            fail()

    return Full()


FAILURES = {
    "at the start": (files.json, "dumps", fail),
    "in the middle": (files, "open", open_a_full_disc),
    "at the end": (files.os, "fsync", fail),
    "after the end": (files.os, "replace", fail),
}


@pytest.mark.parametrize("module, name, function", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("is_there", [True, False], ids=["old file", "no old file"])
def test_a_write_that_fails(engine, path, monkeypatch, module, name, function, is_there):
    if is_there:
        path.write_text("the old file")
    monkeypatch.setattr(module, name, function, raising=False)
    with pytest.raises(Failure):
        small_run(engine)[0].save(path)
    monkeypatch.undo()
    assert [p.read_text() for p in path.parent.iterdir()] == ["the old file"] * is_there


def test_the_old_file_is_there_until_the_new_one_is_whole(engine, path, monkeypatch):
    neuron, optimizer = small_run(engine)
    path.write_text("the old file")
    replace, seen = os.replace, []

    def watch(source, target):
        seen.append((pathlib.Path(source).read_text(), pathlib.Path(target).read_text()))
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", watch)
    neuron.save(path, optimizer=optimizer)
    assert seen == [(FILE, "the old file")] and path.read_text() == FILE
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
def test_permissions_are_those_that_open_gives(engine, path):
    neuron, _ = small_run(engine)
    before = os.umask(0o027)
    try:
        neuron.save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o604)
    neuron.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


def test_paths(engine, path, monkeypatch):
    neuron, optimizer = small_run(engine)
    monkeypatch.chdir(path.parent)
    for name in (path, str(path), os.fsencode(path), "here", pathlib.Path("here"), "n" * 255):
        neuron.save(name, optimizer=optimizer)
        assert pathlib.Path(os.fsdecode(name)).read_text() == FILE
        assert numbers(engine.load(name)) == numbers(neuron)
        os.remove(name)


def test_there_is_no_such_folder(engine, path, monkeypatch):
    """The error names the file that was given, and the folder."""
    neuron, optimizer = small_run(engine)
    monkeypatch.chdir(path.parent)
    pathlib.Path("file").touch()
    before = sorted(os.listdir())
    for save in (neuron.save, optimizer.save):
        for name in ("no/such/folder", pathlib.Path("no/such/folder"), b"no/such/folder"):
            with pytest.raises(FileNotFoundError) as caught:
                save(name)
            folder = os.path.realpath("no/such")
            assert str(caught.value).endswith(f"there is no folder {folder!r}: {name!r}")
            assert caught.value.filename == name
        with pytest.raises((NotADirectoryError, FileNotFoundError)) as caught:
            save("file/model.json")
        folder = os.path.realpath("file")
        assert str(caught.value).endswith(f"there is no folder {folder!r}: 'file/model.json'")
    assert sorted(os.listdir()) == before


def test_the_disk_is_full(engine, path, monkeypatch):
    """That error, too, is of the user's file."""
    neuron, _ = small_run(engine)
    neuron.save(path)

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    before = path.read_text()
    with pytest.raises(OSError, match="No space left on device") as caught:
        neuron.save(path)
    assert caught.value.filename == path and caught.value.errno == 28
    assert path.read_text() == before and os.listdir(path.parent) == [path.name]


@pytest.mark.skipif(os.name != "posix", reason="links and devices as POSIX has them")
def test_what_is_there_is_no_plain_file(engine, path):
    neuron, _ = small_run(engine)
    link = path.parent / "link"
    link.symlink_to(path)
    for _ in range(2):  # the link's file is not there, and is
        neuron.save(link)
        assert link.is_symlink() and not path.is_symlink()
        assert numbers(engine.load(link)) == numbers(neuron)
    pipe = path.parent / "pipe"
    os.mkfifo(pipe)
    for other in (path.parent, pipe, "/dev/null"):
        with pytest.raises(PermissionError, match="no file that may be written"):
            neuron.save(other)
    for other in (pipe, "/dev/zero"):  # which would be read for ever
        for load in (engine.load, neuron.load):
            with pytest.raises(ValueError, match="this is no file"):
                load(other)
    assert stat.S_ISFIFO(pipe.stat().st_mode) and stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_folder_is_given(engine, path):
    """The message says that it is one, and what to give."""
    neuron, optimizer = small_run(engine)
    neuron.save(path, optimizer=optimizer)
    folder = path.parent
    for name in (folder, str(folder), os.fsencode(folder)):
        for load in (engine.load, neuron.load, optimizer.load):
            with pytest.raises(ValueError, match="is a folder: give the path of") as caught:
                load(name)
            assert str(folder) in str(caught.value)
        for save in (neuron.save, optimizer.save):
            with pytest.raises(PermissionError, match="is a folder, and no file") as caught:
                save(name)
            assert str(folder) in str(caught.value)
    assert path.read_text() == FILE


# -----------------------------------------------------------------------------
# processes that are killed while they write


needs_locks = pytest.mark.skipif(os.name != "posix", reason="folders cannot be locked")

KILLED = """
    import os, signal, sys
    import micrograd
    import micrograd.checkpoint as files

    def die(*args):
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(files.os, sys.argv[2], die)
    micrograd.MLP(2, [16, 3]).save(sys.argv[1])
"""


def start(program, *arguments):
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)])


@needs_locks
@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("is_there", [True, False], ids=["old file", "no old file"])
def test_nothing_is_left_of_a_save_that_was_killed(engine, path, function, is_there):
    neuron, optimizer = small_run(engine)
    if is_there:
        path.write_text("the old file")
    others = {".micrograd-notes", ".micrograd-0123456789abcdef.txt", "x.micrograd-0123456789abcdef"}
    for name in others:
        (path.parent / name).touch()
    before = {*others, path.name} if is_there else others
    for _ in range(3):  # each removes what the one before has left
        process = start(KILLED, path, function)
        assert process.wait() == -signal.SIGKILL
        left = set(os.listdir(path.parent)) - before
        assert len(left) == 1
    assert not is_there or path.read_text() == "the old file"
    neuron.save(path.parent / "other.json")
    assert set(os.listdir(path.parent)) == {*before, "other.json"}
    neuron.save(path, optimizer=optimizer)
    assert path.read_text() == FILE


@needs_locks
def test_a_save_under_way_keeps_its_file(engine, path, monkeypatch):
    """Others that save into the folder at the same time leave it alone."""
    neuron, optimizer = small_run(engine)
    fsync, seen = os.fsync, []

    def save_another(*args):
        monkeypatch.setattr(files.os, "fsync", fsync)
        before = set(os.listdir(path.parent))
        program = "import micrograd, sys; micrograd.Neuron(1).save(sys.argv[1])"
        assert start(program, path.parent / "other.json").wait() == 0
        neuron.save(path.parent / "third.json")
        seen.append(set(os.listdir(path.parent)) - before)
        fsync(*args)

    monkeypatch.setattr(files.os, "fsync", save_another)
    neuron.save(path, optimizer=optimizer)
    assert seen == [{"other.json", "third.json"}]
    assert path.read_text() == FILE
    assert set(os.listdir(path.parent)) == {path.name, "other.json", "third.json"}


SAVING = """
    import sys
    import micrograd
    neuron = micrograd.Neuron(3)
    while True:
        neuron.save(sys.argv[1])
"""


@needs_locks
@times(2, 12)
def test_many_save_and_some_are_killed(path, n):
    neuron = pure.Neuron(3)
    running = [start(SAVING, path) for _ in range(2)]
    for i in range(n):
        killed = start(SAVING, path)
        stop = time.monotonic() + 0.2 + 0.03 * i
        while time.monotonic() < stop:
            neuron.save(path)
            pure.load(path)
        killed.kill()
        killed.wait()
    assert [process.poll() for process in running] == [None, None]  # they could always save
    for process in running:
        process.kill()
        process.wait()
    neuron.save(path)
    assert os.listdir(path.parent) == [path.name]


@needs_locks
def test_folders_that_cannot_be_locked(engine, path, monkeypatch):
    neuron, optimizer = small_run(engine)

    def refuse(*args):
        raise OSError("no locks here")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    neuron.save(path, optimizer=optimizer)
    monkeypatch.undo()
    assert os.listdir(path.parent) == [path.name] and path.read_text() == FILE
    descriptors = len(os.listdir("/dev/fd"))
    with pytest.raises(TypeError):
        neuron.save(path, optimizer=3)
    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(Failure):
        neuron.save(path)
    monkeypatch.undo()
    neuron.save(path, optimizer=optimizer)
    assert len(os.listdir("/dev/fd")) == descriptors
    if os.getuid():
        path.parent.chmod(0o300)  # where nothing can be listed
        try:
            neuron.save(path)
        finally:
            path.parent.chmod(0o700)


# -----------------------------------------------------------------------------
# nothing but its owner keeps a leaf


def test_states_and_files_keep_no_leaves(engine, path):
    """As long as no garbage collection runs; what failed has let go once its exception is gone."""

    def use(attempt):
        model, optimizer = new_run(engine)
        attempt(model, optimizer)
        return [weakref.ref(p) for p in model.parameters()]

    def fails(attempt):
        def caught(model, optimizer):
            with contextlib.suppress(ValueError, TypeError):
                attempt(model, optimizer)
                raise AssertionError("it has not failed")

        return caught

    def tied(model):
        model.layers[1].neurons[0].w[0] = model.layers[0].neurons[0].w[0]
        return {name: i for i, name in enumerate(model.state_dict())}

    def leaf_in_two_places(model):
        model.more = [model.layers[0].neurons[0].b]
        setattr(model, "more.0", engine.Value(1.0))
        return model

    wrong = path.parent / "wrong.json"
    model, optimizer = new_run(engine)
    model.save(path, optimizer=optimizer)
    wrong.write_text(path.read_text()[:-10])
    other = path.parent / "other.json"
    engine.MLP(3, [3, 2]).save(other)
    attempts = [
        lambda m, o: m.state_dict(),
        lambda m, o: m.load_state_dict(m.state_dict()),
        lambda m, o: o.load_state_dict(o.state_dict()),
        lambda m, o: m.save(path.parent / "saved.json", optimizer=o),
        lambda m, o: m.load(path),
        lambda m, o: o.load(path),
        lambda m, o: engine.load(path),
        fails(lambda m, o: m.load_state_dict({})),
        fails(lambda m, o: m.load_state_dict({**m.state_dict(), "layers.0.neurons.0.b": "x"})),
        fails(lambda m, o: m.load_state_dict(tied(m))),
        fails(lambda m, o: leaf_in_two_places(m).state_dict()),
        fails(lambda m, o: o.load_state_dict({**o.state_dict(), "m": [1.0]})),
        fails(lambda m, o: m.load(wrong)),
        fails(lambda m, o: m.load(other)),
        fails(lambda m, o: m.load(path.parent)),
        fails(lambda m, o: o.load(wrong)),
        fails(lambda m, o: o.load(other)),
        fails(lambda m, o: engine.load(wrong)),
    ]
    collect_garbage()
    gc.disable()
    try:
        for i, attempt in enumerate(attempts):
            before = live_nodes()
            references = use(attempt)
            if IS_CPYTHON:
                assert [r() for r in references if r() is not None] == [], i
            assert live_nodes() == before, i
    finally:
        gc.enable()


def test_values_with_an_equality_of_their_own(engine, path):
    """They are told apart by identity: an equal Value is another one."""

    class ByNumber(engine.Value):
        def __eq__(self, other):
            return self.data == (other.data if isinstance(other, engine.Value) else other)

        def __hash__(self):
            return hash(self.data)

    class NoHash(engine.Value):
        def __eq__(self, other):
            return self.data == (other.data if isinstance(other, engine.Value) else other)

        __hash__ = None

    for kind in (ByNumber, NoHash):
        model = engine.Neuron(2)
        model.w, model.b = [kind(1.0), kind(1.0)], kind(1.0)
        state = {"w.0": 1.0, "w.1": 2.0, "b": 3.0}
        assert model.state_dict() == dict.fromkeys(state, 1.0)
        model.save(path)
        assert "network" in json.loads(path.read_text())
        assert engine.load(path).state_dict() == dict.fromkeys(state, 1.0)
        model.load_state_dict(state)
        assert model.state_dict() == state

        class Other(engine.Module):
            def __init__(self, here, there):
                self.here, self._there = here, there

            def parameters(self):
                return [self.here, *self._there.values()]

        lost = Other(kind(1.0), {"lost": kind(1.0)})
        with pytest.raises(ValueError, match="1 of the parameters are no leaf"):
            lost.state_dict()


def test_messages_do_not_say_what_a_terminal_obeys(engine, path):
    neuron, _ = small_run(engine)
    neuron.save(path)
    file = json.loads(path.read_text())
    for name in ("\x1b[2J\x07", "n" * 10**6):
        path.write_text(json.dumps({**file, name: 1}))
        with pytest.raises(ValueError) as caught:
            engine.load(path)
        assert str(caught.value).isprintable() and len(str(caught.value)) < 1000


# -----------------------------------------------------------------------------
# other processes


@pytest.mark.parametrize("word", ["c", "python"])
def test_a_process_that_imports_nothing_else(word, path):
    program = """
        import sys
        from micrograd import AdamW, MLP, load
        model, path = MLP(2, [3, 1]), sys.argv[1]
        model.save(path, optimizer=AdamW(model.parameters(), lr=0.5))
        twin = load(path)
        optimizer = AdamW(twin.parameters())
        optimizer.load(path)
        assert twin.state_dict() == model.state_dict() and optimizer.lr == 0.5
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), path],
        env={**os.environ, "MICROGRAD_BACKEND": word},
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert compiled.load(path).state_dict() == pure.load(path).state_dict()


def train_elsewhere(engine_name, model, optimizer):
    """Train in a process that has got its run in a pickle."""
    train({"c": compiled, "python": pure}[engine_name], model, optimizer)
    return model, optimizer, os.getpid()


def check_training_elsewhere(call):
    for name, engine in (("c", compiled), ("python", pure)):
        run = trained_run(engine)
        model, optimizer, process = call(train_elsewhere, (name, *run))
        assert process != os.getpid()
        assert list(optimizer.parameters) == model.parameters()
        train(engine, *run)
        assert numbers(model, optimizer) == numbers(*run)


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_multiprocessing(method):
    with multiprocessing.get_context(method).Pool(1) as pool:
        check_training_elsewhere(pool.apply)


@pytest.mark.slow
def test_joblib(path):
    joblib = pytest.importorskip("joblib")
    from joblib.externals.loky import get_reusable_executor

    def call(function, args):
        return joblib.Parallel(n_jobs=2)([joblib.delayed(function)(*args)] * 2)[1]

    try:
        check_training_elsewhere(call)
    finally:
        get_reusable_executor().shutdown(wait=True)  # it keeps its processes otherwise
    for engine in ENGINES:
        run = trained_run(engine)
        joblib.dump(run, path)
        assert numbers(*joblib.load(path)) == numbers(*run)


def test_a_file_of_something_else(engine, tmp_path):
    path = tmp_path / "loss.svg"
    path.write_text("<svg/>")
    with pytest.raises(ValueError, match=r"loss\.svg.*no file that save\(\) has written"):
        engine.load(path)


def test_save_is_a_function_too(engine, path):
    model, optimizer = new_run(engine)
    model.save(path, optimizer)
    expected = path.read_bytes()
    path.unlink()
    engine.save(model, path, optimizer=optimizer)
    assert path.read_bytes() == expected
    assert bits_of(engine.load(path)) == bits_of(model)
    for wrong in (str(path), optimizer, None):
        with pytest.raises(TypeError, match=r"save\(model, path\) takes a Module first, not "):
            engine.save(wrong, path)
    assert path.read_bytes() == expected


def bits_of(model):
    return [bits(p.data) for p in model.parameters()]


def test_weights_in_an_array(engine, path):
    model = engine.MLP(2, [2, 1])
    neuron = model.layers[0].neurons[0]
    neuron.w = np.array(neuron.w, dtype=object)
    layers = vars(model).pop("layers")
    model.mask, model.layers = np.array([1.0]), layers  # before them one that has no Values
    for attempt in (model.state_dict, lambda: model.save(path), model.named_parameters):
        with pytest.raises(
            ValueError, match=r"; layers\.0\.neurons\.0\.w is an ndarray: write a list"
        ):
            attempt()
    assert not path.exists()


def test_states_of_another_kind(engine, path):
    kinds = {
        "SGD": engine.SGD([engine.Value(1.0)], momentum=0.5),
        "Adam": engine.Adam([engine.Value(1.0)]),
        "AdamW": engine.AdamW([engine.Value(1.0)]),
    }
    for kind, optimizer in kinds.items():
        before = optimizer.state_dict()
        for other in kinds.keys() - {kind}:
            kinds[other].save(path)
            words = f"this is the state of an {other}, and the optimiser is an {kind}: of "
            with pytest.raises(ValueError, match=words):
                optimizer.load(path)
        with pytest.raises(ValueError, match=r"^of . names . missing"):
            optimizer.load_state_dict({})
        assert optimizer.state_dict() == before


def test_what_is_no_path_and_no_state(engine, path):
    model, optimizer = new_run(engine)
    before = numbers(model, optimizer)
    model.save(path, optimizer)
    for thing in (model, optimizer):
        with pytest.raises(ValueError, match=r"^this is all of a file: write load\(path\)$"):
            thing.load_state_dict(json.loads(path.read_text()))
        with open(path) as file:
            for attempt in (thing.load, engine.load, thing.save):
                with pytest.raises(TypeError, match="not an open TextIOWrapper: write its name"):
                    attempt(file)
        for attempt in (thing.load, engine.load):
            with pytest.raises(TypeError, match=r"not {}: write load_state_dict\(state\)"):
                attempt({})
    assert numbers(model, optimizer) == before
