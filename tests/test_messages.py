"""What errors and warnings say to write instead, in the words that both engines have."""

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
    with pytest.raises(ValueError, match="not 'sigmoid'$"):
        engine.Neuron(2, activation="sigmoid")
