"""Networks whose parts were replaced: one message from a picture, a plot and PyTorch."""

import re

import pytest
from conftest import ENGINES, needs_c
from test_picture import why_not

import micrograd.nn
from micrograd import plot
from micrograd.export import to_torch
from micrograd.pure.nn import is_called_as, layers_of


def with_its(**others):
    """A change of the first layer's second neuron; a value may be a function of the engine."""

    def change(engine, model):
        for name, x in others.items():
            setattr(model.layers[0].neurons[1], name, x(engine) if callable(x) else x)

    return change


class Array:
    """Items that no truth value stands for, as of a NumPy array."""

    def __init__(self, items):
        self.items = items

    def __iter__(self):
        return iter(self.items)

    def __len__(self):
        return len(self.items)

    def __bool__(self):
        raise ValueError("the truth value of an array is ambiguous")


CHANGES = {
    "numbers": (
        with_its(w=[0.5, -1.0]),
        TypeError,
        r"a neuron's w\[0\] must be a Value, not 0.5: write Value\(0.5\)",
    ),
    "an array": (with_its(w=Array(["a", "b"])), TypeError, r"w\[0\] must be a Value, not 'a'"),
    "no list": (with_its(w=None), TypeError, "a neuron's w must be a list, not None"),
    "a Value": (
        with_its(w=lambda e: e.Value(1.0)),
        TypeError,
        "a neuron's w must be a list, not a Value",
    ),
    "no bias": (with_its(b=None), TypeError, "a neuron's b must be a Value, not None"),
    "a number as bias": (
        with_its(b=0.5),
        TypeError,
        r"a neuron's b must be a Value, not 0.5: write Value\(0.5\)",
    ),
    "without bias": (
        lambda e, model: delattr(model.layers[0].neurons[1], "b"),
        AttributeError,
        "no attribute 'b'",
    ),
    "no weights": (with_its(w=[]), ValueError, "a neuron of layer 0 has no weights"),
    "no inputs": (
        lambda e, model: [setattr(n, "w", []) for n in model.layers[0].neurons],
        ValueError,
        "a neuron of layer 0 has no weights",
    ),
    "a weight more": (
        lambda e, model: model.layers[1].neurons[0].w.append(e.Value(1.0)),
        ValueError,
        "a neuron of layer 1 has 3 weights for 2 inputs",
    ),
    "a neuron more": (
        lambda e, model: model.layers[0].neurons.append(e.Neuron(2)),
        ValueError,
        "a neuron of layer 1 has 2 weights for 3 inputs",
    ),
    "another neuron": (
        lambda e, model: model.layers[0].neurons.append(e.Neuron(1)),
        ValueError,
        "a neuron of layer 0 has 1 weights for 2 inputs",
    ),
    "no neurons": (
        lambda e, model: model.layers[1].neurons.clear(),
        ValueError,
        "layer 1 has no neurons",
    ),
    "no layers": (lambda e, model: model.layers.clear(), ValueError, "the MLP has no layers"),
    "no Layer": (
        lambda e, model: model.layers.append(e.Module()),
        TypeError,
        "layer 2 must be a Layer or a Neuron, not <.*Module",
    ),
    "no Neuron": (
        lambda e, model: model.layers[0].neurons.append(e.Layer(2, 1)),
        TypeError,
        r"a neuron of layer 0 must be a Neuron, not Layer of \[TanHNeuron\(2\)\]",
    ),
}


def in_a_notebook(model):
    raise ValueError(why_not(model))


def in_a_plot(model):
    """Nothing is drawn, and no figure is made."""
    pytest.importorskip("matplotlib", reason="matplotlib is optional")
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    try:
        plot.network(model, ax)
    finally:
        assert not ax.has_data()
        with pytest.raises((AttributeError, TypeError, ValueError)):
            plot.network(model)
        assert pyplot.get_fignums() == []


def in_torch(model):
    pytest.importorskip("torch", reason="PyTorch is optional")
    to_torch(model)


@pytest.mark.parametrize("user", [layers_of, in_a_notebook, in_a_plot, in_torch])
@pytest.mark.parametrize("what", CHANGES)
def test_networks_that_were_changed(engine, what, user):
    change, kind, text = CHANGES[what]
    model = engine.MLP(2, [2, 1], rng=engine.RNG(1))
    change(engine, model)
    with pytest.raises(ValueError if user is in_a_notebook else kind, match=text):
        user(model)


@pytest.mark.parametrize("user", [layers_of, in_a_plot, in_torch])
def test_what_is_no_network(engine, user):
    for other in engine.Module(), engine.Value(1.0), [engine.Neuron(2)]:
        text = f"a network is an MLP, a Layer or a Neuron, not {re.escape(repr(other)[:9])}"
        with pytest.raises(TypeError, match=text) as problem:
            user(other)
        assert ("by torch_function" in str(problem.value)) == (user is in_torch)


def test_neurons_by_layer(engine):
    """Of networks and their parts; a Neuron may be in a Layer's place, and weights in a tuple."""
    model = engine.MLP(2, [2, 1], rng=engine.RNG(1))
    first, second = model.layers
    [last] = second.neurons
    model.layers[1] = last
    last.w = (*last.w,)
    assert layers_of(model) == [first.neurons, [last]]
    assert layers_of(first) == [first.neurons] and layers_of(last) == [[last]]
    assert layers_of(first)[0] is not first.neurons


def test_layers_of_other_classes(engine):
    """They are drawn, and PyTorch has none like them."""

    class Own(engine.Module):
        def __init__(self):
            self.neurons = [engine.Neuron(2), engine.Neuron(2)]

    model = engine.MLP(2, [2, 1])
    model.layers[0] = Own()
    assert layers_of(model)[0] == model.layers[0].neurons
    assert "<svg" in model._repr_html_()
    matplotlib = pytest.importorskip("matplotlib.figure", reason="matplotlib is optional")
    assert plot.network(model, matplotlib.Figure().subplots()).has_data()
    pytest.importorskip("torch", reason="PyTorch is optional")
    with pytest.raises(TypeError, match="a Own has a __call__ of its own"):
        to_torch(model)


@needs_c
def test_whose_call_it_is():
    """A method of another class's name and module is another one; those of the engines differ."""
    kinds = [e.Neuron for e in ENGINES.values()]
    for kind, other in zip(kinds, reversed(kinds)):
        own = type("Mine", (kind,), {})
        called = type("Called", (kind,), {"__call__": lambda self, x: None})
        called.__call__.__module__ = kind.__call__.__module__
        assert [is_called_as(x(2), kind) for x in (kind, own, called, other)] == [
            True, True, False, False
        ]  # fmt: skip
    assert is_called_as(micrograd.nn.Neuron(2), micrograd.Neuron)
