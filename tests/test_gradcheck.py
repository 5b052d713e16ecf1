"""gradcheck, and by it the rule of every operation, on both engines."""

import math
import pickle

import pytest
from conftest import bits
from test_parity import OPERATIONS

from micrograd import GradcheckError, Value, compiled, gradcheck, pure

# of a, b and k: where every operation is defined, and where some are
POINTS = [(0.7, 1.3, 2.5), (1.9, -0.4, 0.5), (-1.2, 0.8, 3.0)]


@pytest.mark.filterwarnings("ignore:.*computed under no_grad")
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("point", POINTS, ids=str)
def test_every_operation(engine, name, point):
    *x, k = point
    a, b = map(engine.Value, x)
    try:
        has_graph = not OPERATIONS[name](a, b, k)._is_leaf
    except ValueError:
        assert point != POINTS[0]
        return
    if has_graph:
        assert gradcheck(lambda a, b: OPERATIONS[name](a, b, k), [a, b])
    else:  # and those that cut the graph have no gradient
        with pytest.raises(GradcheckError, match=r"backward\(\) gives 0\.0"):
            gradcheck(lambda a, b: OPERATIONS[name](a, b, k), [a, b])


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_networks(engine, no_new_nodes, activation):
    points = [([0.5, -1.0], 0), ([1.5, 0.25], 2)]
    model = engine.MLP(2, [4, 3], activation=activation, rng=engine.RNG(3))
    before = model.state_dict()
    assert gradcheck(lambda *_: engine.mean_cross_entropy(model, points), model.parameters())
    assert model.state_dict() == before
    assert not any(p.grad for p in model.parameters())
    x = [engine.Value(0.5), engine.Value(-1.0)]
    assert gradcheck(lambda *x: engine.cross_entropy(model(x), 1), x)


@pytest.mark.parametrize("x", [0.0, 1e-9, 1.0, -1e3, 1e9, 1e150])
def test_steps_go_by_the_size_of_the_input(engine, x):
    assert gradcheck(lambda a: a * 3.0 - 1.0, [engine.Value(x)])
    assert gradcheck(lambda a: (a / max(1.0, abs(x))) ** 2, [engine.Value(x)])


def test_the_step_that_is_made_counts(engine):
    """So close to x there are few floats, and x + h is one of them."""
    assert gradcheck(lambda a: a, [engine.Value(1.0)], eps=1e-15)


def cube(x, slope):
    """x**3, with a rule of one's own."""
    out = type(x)(x.data**3, (x,), "cube")

    def _backward():
        x.grad += slope(x.data) * out.grad

    out._backward = _backward
    return out


def test_own_rules(engine, no_new_nodes):
    assert gradcheck(lambda x: cube(x, lambda x: 3 * x**2), [engine.Value(2.0)])
    for wrong in (0.0, -12.0, 3.0, 12.0001, math.nan, math.inf):
        x = [engine.Value(1.0), engine.Value(2.0)]
        with pytest.raises(GradcheckError) as caught:
            gradcheck(lambda a, b: a + cube(b, lambda _: wrong), x)  # noqa: B023
        problem = caught.value
        assert problem.index == 1 and bits(problem.analytic) == bits(wrong)
        assert abs(problem.numeric - 12.0) < 1e-6
        assert bits(problem.difference) == bits(abs(wrong - problem.numeric))
        for number in (1, problem.analytic, problem.numeric, problem.difference):
            assert str(number) in str(problem)
        assert str(pickle.loads(pickle.dumps(problem))) == str(problem)
        assert isinstance(problem, RuntimeError)  # as PyTorch's


def test_the_tolerance_is_relative_to_large_slopes(engine):
    x = [engine.Value(100.0)]

    def almost(error):
        return lambda x: cube(x, lambda x: 3 * x**2 * (1 + error))

    assert gradcheck(almost(0.5e-6), x)
    for wrong, tolerance in [(2e-6, 1e-6), (0.5e-6, 1e-8)]:
        with pytest.raises(GradcheckError):
            gradcheck(almost(wrong), x, tolerance=tolerance)
    assert gradcheck(almost(2e-6), x, tolerance=1e-5)
    curved = [engine.Value(1.0)]
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: x**3, curved, eps=0.1)  # the curve shows


def test_nothing_is_disturbed(engine, no_new_nodes):
    a, b, other = engine.Value(0.5), engine.Value(-2.0), engine.Value(3.0)
    inner = other.tanh()
    everything = (a, b, other, inner)
    for i, v in enumerate(everything):
        v.grad = 0.25 + i
    before = [(v.data, v.grad) for v in everything]

    def fails(a, b):
        if a.data != 0.5:
            raise KeyError
        return a * b * inner

    assert gradcheck(lambda a, b: (a * b + inner) * a, [a, b])
    assert gradcheck(lambda a, b: a, [a, b])
    for f, inputs, problem in [
        (lambda a, b: a * b.detach() * inner, [a, b], GradcheckError),
        (fails, [a, b], KeyError),
        (lambda a: (a - 0.5).sqrt() * inner, [a], ZeroDivisionError),
        (lambda a: (a - 0.5 + 1e-6).log() * inner, [a], ValueError),
    ]:
        with pytest.raises(problem):
            gradcheck(f, inputs)
        assert [(v.data, v.grad) for v in everything] == before


def test_inputs(engine):
    seen = []

    def f(a, b):
        seen.append((type(a), a, b))
        return a * b

    a = engine.Value(3.0)
    assert gradcheck(f, (a, 2)) and gradcheck(f, [2.0, a]) and gradcheck(f, [a, a])
    assert {kind for kind, _, _ in seen} == {engine.Value}
    assert all(a in values for _, *values in seen)
    assert gradcheck(lambda: engine.Value(1.0), [])
    seen.clear()
    assert gradcheck(f, [1, 2.0]) and {kind for kind, _, _ in seen} == {Value}


def test_wrong_input(engine):
    a = engine.Value(1.0)
    other = (pure if engine is compiled else compiled).Value(1.0)
    for f, inputs, exception, word in [
        (lambda a: a, ["1"], TypeError, "'1'"),
        (lambda a: a, [None], TypeError, "None"),
        (lambda a, b: a, [a, other], TypeError, "same engine"),
        (lambda a, b: a, [other, a], TypeError, "same engine"),
        (lambda a: a, [a * 2], ValueError, "2.0"),
        (lambda a: a.data, [a], TypeError, "1.0"),
        (lambda a: [a], [a], TypeError, "a Value"),
        (lambda a: a, [math.inf], ValueError, "inf"),
        (lambda a: a, [math.nan], ValueError, "nan"),
    ]:
        with pytest.raises(exception, match=word):
            gradcheck(f, inputs)
    with pytest.raises(TypeError, match=r"inputs must be a list, not 3.0: write \[a\]"):
        gradcheck(lambda a: a, 3.0)
    for eps in (0.0, -1e-6, 1e-17, math.nan):
        with pytest.raises(ValueError, match=str(eps)):
            gradcheck(lambda a: a, [a], eps=eps)
    with pytest.raises(GradcheckError, match=r"0\.0, and differences give 0\.5"):
        gradcheck(lambda a: (a - 1.0).relu(), [a])  # half way between the slopes of a kink


def test_subclasses(engine):
    class Own(engine.Value):
        pass

    assert gradcheck(lambda a, b: a * b, [Own(2.0), 3.0])


def test_a_subclass_that_detaches_in_its_own_way(engine):
    class Own(engine.Value):
        def detach(self):
            return Own(self.data)

    assert gradcheck(lambda a, b: a * b, [Own(1.0), engine.Value(2.0)])
    assert gradcheck(lambda a, b: a * b, [engine.Value(2.0), Own(1.0)])
