"""What a user gives stands in a message, without its middle if it is long."""

import pytest

from micrograd import draw_dot, gradcheck, picture
from micrograd.shown import LONGEST, shown


def test_short_and_long():
    assert shown([1.0, "a"]) == "[1.0, 'a']"
    assert shown("x" * (LONGEST - 2)) == repr("x" * (LONGEST - 2))
    text = shown([*range(10_000)])
    assert len(text) == LONGEST
    assert text.startswith("[0, 1, 2,") and " ... " in text and text.endswith(", 9998, 9999]")


MANY = [0.5] * 10_000

ATTEMPTS = {
    "Value": lambda e: e.Value(MANY),
    "data": lambda e: setattr(e.Value(1.0), "data", {1: MANY}),
    "operand": lambda e: e.Value(1.0, (MANY,)),
    "op": lambda e: e.Value(1.0, (), {1: MANY}),
    "text": lambda e: e.Value(1.0) + "a" * 10_000,
    "dot": lambda e: e.dot([MANY], [1.0]),
    "linear": lambda e: e.linear(["a" * 10_000], [[1.0]]),
    "take": lambda e: e.take([1.0], MANY),
    "cross_entropy": lambda e: e.cross_entropy([1.0], MANY),
    "split": lambda e: e.eval_split(e.MLP(1, [1]), MANY),
    "row": lambda e: e.eval_split(e.MLP(1, [1]), [MANY]),
    "nin": lambda e: e.Neuron(MANY),
    "activation": lambda e: e.Neuron(1, activation="a" * 10_000),
    "rng": lambda e: e.Neuron(1, rng=MANY),
    "model": lambda e: e.MLP(1, [1])([MANY]),
    "weight": lambda e: weight(e, MANY),
    "optimiser": lambda e: e.SGD([e.Value(1.0)], lr=MANY),
    "rate": lambda e: setattr(e.SGD([e.Value(1.0)]), "lr", MANY),
    "betas": lambda e: e.Adam([e.Value(1.0)], betas=[MANY, 1]),
    "state": lambda e: e.MLP(1, [1]).load_state_dict(MANY),
    "state of": lambda e: e.Neuron(1).load_state_dict({"w.0": MANY, "b": 1}),
    "save": lambda e: e.save(MANY, "x"),
    "load": lambda e: e.load(MANY),
    "gradcheck": lambda e: gradcheck(lambda x: MANY, [1.0]),
    "picture": lambda e: picture("a" * 10_000),
    "names": lambda e: picture(e.Value(1.0), names=MANY),
    "draw_dot": lambda e: draw_dot(e.Value(1.0), format=MANY),
    "no_grad": lambda e: e.no_grad(MANY),
    "recorded": lambda e: e.recorded(lambda x: "a" * 10_000)(1.0),
}


def weight(engine, x):
    neuron = engine.Neuron(1)
    neuron.w = [x]
    neuron([1.0])


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_messages_are_short(engine, attempt):
    with pytest.raises((TypeError, ValueError)) as caught:
        attempt(engine)
    assert len(str(caught.value)) < 400


def test_a_repr_that_raises():
    class Broken:
        def __repr__(self):
            raise KeyError

    assert "Broken" in shown(Broken())
