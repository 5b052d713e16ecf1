"""accuracy: the share of points whose largest logit is the label's."""

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from conftest import ENGINES, bits, outcome

from micrograd import pure


def own_call(model):
    """The same model, but as a function of which C knows nothing."""
    return lambda x: model(x)


def by_hand(model, split):
    hits = 0
    for x, label in split:
        logits = [v.data for v in model(x)]
        hits += logits.index(max(logits)) == label
    return hits / len(split)


@pytest.mark.parametrize("nouts", [[3], [16, 3], [4, 4, 3]])
def test_both_engines_and_both_ways_agree(nouts):
    shares = set()
    for engine in ENGINES.values():
        model = engine.MLP(2, nouts, rng=engine.RNG(3))
        split, _, _ = engine.gen_data(engine.RNG(4), n=200)
        share = engine.accuracy(model, split)
        assert type(share) is float and 0.1 < share < 0.9
        assert share == engine.accuracy(own_call(model), split) == by_hand(model, split)
        shares.add(bits(share))
    assert len(shares) == 1


@pytest.mark.parametrize("call", [lambda model: model, own_call], ids=["model", "function"])
def test_ties_and_nan(engine, no_new_nodes, call):
    """Of equal logits the first one counts; with nan among them the point is wrong."""
    model = engine.MLP(1, [3])
    for neuron in model.layers[0].neurons:
        neuron.w[0].data = 0.0
    accuracy, model_called = engine.accuracy, call(model)
    for biases, right in [
        ((1.0, 1.0, 0.0), 0),
        ((0.0, 1.0, 1.0), 1),
        ((0.0, -0.0, -1.0), 0),
        ((-math.inf, 0.0, math.inf), 2),
        ((math.inf, math.inf, math.inf), 0),
        ((math.nan, 1.0, 2.0), None),
        ((1.0, math.nan, 0.0), None),
        ((1.0, 0.0, math.nan), None),
    ]:
        for neuron, bias in zip(model.layers[0].neurons, biases):
            neuron.b.data = bias
        for label in range(3):
            assert accuracy(model_called, [([1.0], label)]) == (label == right)


def test_one_output_has_two_sides(engine, no_new_nodes):
    """It and the label are above the threshold, or both are not; with nan the point is wrong."""
    model = engine.MLP(1, [1])
    neuron = model.layers[0].neurons[0]
    neuron.w[0].data = 1.0
    for called in (model, own_call(model), lambda x: [x[0] + neuron.b]):
        for x, label, threshold, right in [
            (1.0, 1, 0.0, True), (1.0, 0, 0.0, False), (1.0, -1, 0.0, False), (1.0, 0.5, 0, True),
            (-1.0, 0, 0.0, True), (-1.0, -1, 0.0, True), (-1.0, 1, 0.0, False), (-1.0, 7, 0, False),
            (0.0, 0, 0.0, True), (0.0, 1, 0.0, False), (0.3, 0, 0.5, True), (0.3, 1, 0.5, False),
            (0.5, 0, Fraction(1, 2), True), (0.7, 1, 0.5, True), (0.7, True, 0.5, True),
            (math.nan, 0, 0.0, False), (math.nan, 1, 0.0, False), (math.inf, 1, 0.0, True),
        ]:  # fmt: skip
            assert engine.accuracy(called, [([x], label)], threshold=threshold) == right
        with pytest.raises(TypeError, match="threshold must be a number, not 'a'"):
            engine.accuracy(called, [([1.0], 0)], threshold="a")
        with pytest.raises(TypeError, match="expected a number, not str: 'yes'"):
            engine.accuracy(called, [([1.0], "yes")])
        for loss in (engine.eval_split, engine.mean_cross_entropy):  # whose targets are classes
            with pytest.raises(
                IndexError, match=r"1 is out of range for 1 .* 0 and 1 or -1 and 1,"
            ):
                loss(called, [([1.0], 1)])


def test_it_takes_what_the_losses_take(engine, no_new_nodes):
    """Data sets in any form, and the same errors in the same words."""
    Value, points = engine.Value, [([0.5, -1.0], 0), ([2.0, 3.0], 1), ([-2.0, 3.0], 1)]
    model = engine.MLP(2, [4, 2], rng=engine.RNG(3))
    for called in (model, own_call(model)):
        share = engine.accuracy(called, points)
        for form in (
            tuple(points),
            iter(points),
            [list(point) for point in points],
            [(np.array(x), np.int64(y)) for x, y in points],
            [([Value(xi) for xi in x], bool(y)) for x, y in points],
            [([Fraction(xi) for xi in x], y) for x, y in points],
        ):
            assert engine.accuracy(called, form) == share
        for wrong in (
            [],
            [([0.5], 0)],
            [([0.5, 1.0, 2.0], 0)],
            [([0.5, 1.0], 2)],
            [([0.5, 1.0], -1)],
            [([0.5, 1.0], 2**70)],
            [([0.5, 1.0], 0.0)],
            [([0.5, "a"], 0)],
            [([0.5, 10**400], 0)],
            [([0.5, 1.0], 0, 1)],
            [0.5],
            None,
        ):
            problem = outcome(engine.eval_split, called, wrong)
            assert problem[0] != "is" and outcome(engine.accuracy, called, wrong) == problem


def test_models_that_are_functions(engine, no_new_nodes):
    """They may return numbers, a tuple or one Value, and see that nothing is recorded."""
    Value, seen = engine.Value, []

    def model(x):
        seen.append((x[0] * 2)._prev)
        return (x[0], 0.5)

    assert engine.accuracy(model, [([1.0], 0), ([0.0], 0)]) == 0.5
    assert seen == [(), ()]
    assert engine.accuracy(lambda x: x[0], [([1.0], 1)]) == 1.0
    with pytest.raises(ValueError, match="accuracy needs at least 1 logit, and was given 0"):
        engine.accuracy(lambda x: [], [([1.0], 0)])
    with pytest.raises(TypeError):
        engine.accuracy(lambda x: ["1"], [([1.0], 0)])
    assert Value(1.0)._prev == ()


def test_a_recorded_function_cannot_ask_for_it(engine):
    """It returns a number, which a replay could not compute again."""
    model = engine.MLP(2, [2])

    @engine.recorded
    def loss(x):
        return x * engine.accuracy(model, [([1.0, 2.0], 1)])

    with pytest.raises(engine.RecordingError, match=r"opens a no_grad\(\) block"):
        loss(1.0)


def test_gradients_are_left_alone(engine):
    model = engine.MLP(2, [4, 3], rng=engine.RNG(3))
    split, _, _ = engine.gen_data(engine.RNG(4), n=20)
    engine.mean_cross_entropy(model, split).backward()
    before = [(p.data, p.grad) for p in model.parameters()]
    loss = engine.mean_cross_entropy(model, split)
    for _ in range(3):  # over a recording that is compiled
        loss.forward()
        engine.accuracy(model, split)
    assert [(p.data, p.grad) for p in model.parameters()] == before


def test_pytorch_s_agrees():
    torch = pytest.importorskip("torch")
    from micrograd import pytorch

    draw = random.Random(6)
    rows = [[draw.choice([0.0, 1.0, math.nan]) for _ in range(3)] for _ in range(100)]
    split = [(row, draw.randrange(3)) for row in rows]
    share = pytorch.accuracy(lambda x: x, split)
    assert share == pure.accuracy(lambda x: x, split) and 0 < share < 1
    model = pytorch.MLP(2, [4, 3], rng=pytorch.RNG(1))
    twin = pure.MLP(2, [4, 3], rng=pure.RNG(1))
    points, _, _ = pure.gen_data(pure.RNG(4), n=50)
    assert pytorch.accuracy(model, points) == pure.accuracy(twin, points)
    for threshold in 0.0, 0.5:
        shares = [
            module.accuracy(lambda x: x, [([0.3], 0), ([0.7], 1), ([-1.0], 1)], threshold)
            for module in (pytorch, pure)
        ]
        assert shares == [1 / 3 if threshold == 0.0 else 2 / 3] * 2
    with pytest.raises(IndexError, match="3 is out of range for 3"):
        pytorch.accuracy(model, [([1.0, 2.0], 3)])
    with pytest.raises(ValueError, match="the split is empty"):
        pytorch.accuracy(model, [])
    assert torch.is_grad_enabled()


def test_a_threshold_that_is_nan(engine):
    with pytest.raises(ValueError, match="threshold must not be nan"):
        engine.accuracy(engine.MLP(1, [1]), [([1.0], 0)], threshold=float("nan"))
