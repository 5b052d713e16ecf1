"""micrograd.nn: the networks of Karpathy's micrograd, on the engine that the package uses."""

import copy
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ENGINES, bits, needs_c

import micrograd
from micrograd import nn

DEMO = Path(__file__).parent / "demo_script.py"


def printed(*arguments, **environment):
    run = [sys.executable, *arguments]
    environment = {**os.environ, **environment}
    return subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "word", [pytest.param(word, marks=[pytest.mark.slow] * (word == "python")) for word in ENGINES]
)
def test_the_demo_is_his_digit_for_digit(word):
    text = printed(DEMO, MICROGRAD_BACKEND=word)
    assert text == printed(DEMO, "closures")
    losses = [line.split() for line in text.splitlines()[1:-3]]
    assert float(losses[-1][1]) < float(losses[0][1]) / 2


@pytest.mark.parametrize("word", ENGINES)
def test_on_each_engine(word):
    """The tests below, on either engine: the package has but one in a process."""
    if word != micrograd.backend:
        printed("-m", "pytest", "-q", __file__, "-k", "not engine and not demo",
                MICROGRAD_BACKEND=word)  # fmt: skip


def test_the_weights_are_drawn_from_python_s_random():
    random.seed(1337)
    expected = [random.uniform(-1, 1) for _ in range(2 * 3 + 3 * 2)]
    after = random.random()
    state = micrograd.random.state
    random.seed(1337)
    model = nn.MLP(2, [3, 2])
    assert random.random() == after and micrograd.random.state == state
    weights = [w.data for layer in model.layers for n in layer.neurons for w in n.w]
    assert weights == expected
    assert all(n.b.data == 0.0 for layer in model.layers for n in layer.neurons)
    random.seed(1337)
    assert [w.data for w in nn.Neuron(4).w] == expected[:4]
    random.seed(1337)
    assert [p.data for p in nn.Layer(1, 2).parameters()] == [expected[0], 0.0, expected[1], 0.0]
    rng = micrograd.RNG(5)
    drawn = [micrograd.RNG(5).uniform(-1, 1)]
    assert [w.data for w in nn.Neuron(1, rng=rng).w] == drawn
    assert random.random() != after


def test_reprs_and_shapes():
    assert repr(nn.MLP(2, [2, 1])) == (
        "MLP of [Layer of [ReLUNeuron(2), ReLUNeuron(2)], Layer of [LinearNeuron(2)]]"
    )
    assert repr(nn.Neuron(3)) == "ReLUNeuron(3)"
    assert repr(nn.Neuron(3, nonlin=False)) == repr(nn.Neuron(3, False)) == "LinearNeuron(3)"
    assert repr(nn.Layer(2, 1, nonlin=False)) == "Layer of [LinearNeuron(2)]"
    assert repr(nn.Layer(2, 1)) == "Layer of [ReLUNeuron(2)]"
    assert repr(nn.MLP(1, [1, 1], activation="tanh").layers[0]) == "Layer of [TanHNeuron(1)]"
    assert isinstance(nn.MLP(2, [1])([1.0, 2.0]), micrograd.Value)
    assert len(nn.MLP(2, [3, 2])([1.0, 2.0])) == 2
    assert len(nn.MLP(2, [16, 16, 1]).parameters()) == 337


def test_they_are_networks_of_micrograd():
    model = nn.MLP(2, [3, 1])
    assert isinstance(model, micrograd.MLP) and type(model) is not micrograd.MLP
    assert isinstance(model.layers[0], micrograd.Layer)
    assert isinstance(model.layers[0].neurons[0], micrograd.Neuron)
    assert nn.Module is micrograd.Module and isinstance(model, nn.Module)
    assert repr(micrograd.MLP(2, [1, 1]).layers[0]) == "Layer of [TanHNeuron(2)]"


def test_a_call_records_what_the_loops_would():
    from test_nn import graph

    random.seed(1)
    model = nn.MLP(2, [3, 2])
    x = [micrograd.Value(0.5), micrograd.Value(-1.0)]

    def by_hand(n, x):
        act = sum((wi * xi for wi, xi in zip(n.w, x)), n.b)
        return act.relu() if n.nonlin else act

    expected = x
    for layer in model.layers:
        expected = [by_hand(n, expected) for n in layer.neurons]
    for ours, theirs in zip(model(x), expected):
        assert graph(ours) == graph(theirs)


@needs_c
def test_a_call_is_one_call_into_c(monkeypatch):
    if micrograd.backend != "c":
        pytest.skip("the other engine")
    from micrograd.compiled import loss as losses
    from micrograd.compiled import nn as networks

    class Own(nn.MLP):
        pass

    class OwnCall(nn.MLP):
        def __call__(self, x):
            return super().__call__(x)

    used = []
    call, loss = networks._Network.__call__, losses._in_one_call
    monkeypatch.setattr(
        networks._Network, "__call__", lambda self, x: used.append(self.nout) or call(self, x)
    )
    monkeypatch.setattr(losses, "_in_one_call", lambda *args: used.append("loss") or loss(*args))
    points = [([1.0, 2.0], 0), ([2.0, 1.0], 1)]
    for kind in (nn.MLP, Own):
        used.clear()
        kind(2, [16, 3])([1.0, 2.0])
        assert used == [3]
        micrograd.mean_cross_entropy(kind(2, [4, 2]), points)
        assert used == [3, "loss"]
    used.clear()
    micrograd.mean_cross_entropy(OwnCall(2, [4, 2]), points)
    assert used == [2, 2]


def test_names_that_his_module_has():
    assert nn.Value is micrograd.Value and "Value" not in nn.__all__


def test_what_his_cuts_short_is_an_error():
    model = nn.MLP(2, [3, 1])
    for x in ([1.0], [1.0, 2.0, 3.0]):
        with pytest.raises(ValueError, match=f"2 inputs was given {len(x)}"):
            model(x)
        with pytest.raises(ValueError, match=f"2 inputs was given {len(x)}"):
            nn.Neuron(2)(x)
    for attempt in (
        lambda: nn.MLP(2, []),
        lambda: nn.MLP(0, [1]),
        lambda: nn.Layer(2, 0),
        lambda: nn.Neuron(0),
        lambda: nn.Neuron(2, activation="gelu"),
    ):
        with pytest.raises(ValueError):
            attempt()
    for attempt in (lambda: nn.Neuron(1.5), lambda: nn.Neuron(2, rng=5), lambda: nn.MLP(2, 3)):
        with pytest.raises(TypeError):
            attempt()


@pytest.mark.parametrize("kind, arguments", [("Neuron", (2,)), ("Layer", (2, 3)),
                                             ("MLP", (2, [4, 3]))])  # fmt: skip
def test_they_are_saved_and_loaded(tmp_path, kind, arguments):
    module, other = getattr(nn, kind)(*arguments), getattr(nn, kind)(*arguments)
    x = [0.5, -1.0]

    def outputs(module):
        out = module(x)
        return [bits(v.data) for v in (out if isinstance(out, list) else [out])]

    assert outputs(other) != outputs(module)
    other.load_state_dict(module.state_dict())
    assert outputs(other) == outputs(module)
    module.save(tmp_path / "model.json")
    state = random.getstate()
    again = micrograd.load(tmp_path / "model.json")
    assert random.getstate() == state
    assert type(again) is getattr(micrograd, kind)
    assert (repr(again), outputs(again)) == (repr(module), outputs(module))
    other = getattr(nn, kind)(*arguments)
    other.load(tmp_path / "model.json")
    assert outputs(other) == outputs(module)
    for copied in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert type(copied) is type(module)
        assert outputs(copied) == outputs(module)


def test_subclasses_and_parts_of_one_s_own():
    class Net(nn.Module):
        def __init__(self):
            self.first, self.second = nn.Layer(2, 3), nn.Neuron(3, nonlin=False)

        def __call__(self, x):
            return self.second(self.first(x))

        def parameters(self):
            return self.first.parameters() + self.second.parameters()

    net = Net()
    net([1.0, 2.0]).backward()
    assert len(net.parameters()) == 13 and any(p.grad for p in net.parameters())
    net.zero_grad()
    assert not any(p.grad for p in net.parameters())
