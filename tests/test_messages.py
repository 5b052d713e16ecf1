"""What errors and warnings say to write instead, in the words that both engines have."""

import copy
import re

import pytest

from micrograd import nn


def refused(kind, words, call, *args, **kwargs):
    with pytest.raises(kind, match=re.escape(words)):
        call(*args, **kwargs)


# -----------------------------------------------------------------------------
# networks


@pytest.mark.parametrize(
    "nonlin, instead",
    [
        ("relu", "activation='relu'"),
        ("Tanh", "activation='tanh'"),
        ("linear", "nonlin=False"),
        ("sigmoid", "activation='tanh' or 'relu'"),
        ("", "activation='tanh' or 'relu'"),
    ],
)
def test_a_text_as_nonlin(engine, nonlin, instead):
    """It is true, and would mean the default activation, whatever it says."""
    words = f"nonlin is True or False, not {nonlin!r}: write {instead}"
    state = engine.random.state
    refused(TypeError, words, engine.Neuron, 2, nonlin)
    refused(TypeError, words, engine.Layer, 2, 3, nonlin=nonlin)
    refused(TypeError, words, nn.Neuron, 2, nonlin)
    assert engine.random.state == state
    assert engine.Neuron(2, 1).nonlin is True and engine.Neuron(2, None).nonlin is False


def test_a_linear_activation(engine):
    words = "activation must be 'tanh' or 'relu', not 'linear': a linear Neuron or Layer has nonlin"
    refused(ValueError, words, engine.Neuron, 2, activation="linear")
    refused(ValueError, words, engine.MLP, 2, [1], "linear")
    refused(ValueError, "not None: a linear", engine.Layer, 2, 1, activation=None)
    with pytest.raises(ValueError, match=r"not 'sigmoid'$"):
        engine.Neuron(2, activation="sigmoid")


# -----------------------------------------------------------------------------
# optimisers


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW"])
def test_parameters_that_are_in_the_list_twice(engine, kind):
    """They are stepped twice, as the course's optimiser does, and a warning says so."""
    a, b, c = (engine.Value(1.0) for _ in range(3))
    for parameters, words in (
        ([a, b, a], "1 parameter is in the list more than once"),
        ([a, b, a, c, b, b], "2 parameters are in the list more than once"),
    ):
        with pytest.warns(UserWarning, match=words) as found:
            optimizer = getattr(engine, kind)(parameters)
        assert found[0].filename == __file__ and len(optimizer.parameters) == len(parameters)
    getattr(engine, kind)(dict.fromkeys(parameters)), copy.deepcopy(optimizer)
    with pytest.warns(UserWarning, match="1 parameter"):
        optimizer = engine.SGD([a, a], lr=0.25)
    a.grad = 1.0
    optimizer.step()
    assert a.data == 0.5
