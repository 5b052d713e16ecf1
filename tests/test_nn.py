"""Networks, losses and optimisers, on both engines."""

import math
import random as python_random
from fractions import Fraction

import numpy
import pytest
from conftest import bits, outcome

from micrograd import compiled, pure
from micrograd.graph import trace


def test_shapes_and_reprs(engine):
    model = engine.MLP(3, [1, 4, 2])
    assert repr(model) == (
        "MLP of [Layer of [TanHNeuron(3)], "
        "Layer of [TanHNeuron(1), TanHNeuron(1), TanHNeuron(1), TanHNeuron(1)], "
        "Layer of [LinearNeuron(4), LinearNeuron(4)]]"
    )
    assert repr(engine.Neuron(2, activation="relu")) == "ReLUNeuron(2)"
    assert repr(engine.Neuron(16, nonlin=False)) == "LinearNeuron(16)"
    assert len(model.parameters()) == 4 + 8 + 10
    assert len(model([1, 2, 3])) == 2
    assert isinstance(engine.MLP(2, [3, 1])([1.0, 2.0]), engine.Value)
    assert isinstance(engine.Layer(2, 1)([1.0, 2.0]), engine.Value)
    assert isinstance(engine.MLP(1, [2])(engine.Value(1.0)), list)


def test_parameters_are_in_order_and_drawn_in_order(engine):
    random = engine.RNG(5)
    layer = engine.Layer(4, 3, rng=engine.RNG(5))
    for neuron in layer.neurons:
        assert [w.data for w in neuron.w] == [random.uniform(-1, 1) * 4**-0.5 for _ in range(4)]
        assert neuron.b.data == 0.0
    flat = [p for n in layer.neurons for p in [*n.w, n.b]]
    assert layer.parameters() == flat


def test_default_generator(engine):
    state = engine.random.state
    first = engine.Neuron(2)
    engine.random.state = state
    assert engine.Neuron(2).w[0].data == first.w[0].data
    assert engine.Neuron(2, rng=python_random.Random(1)).w[0].data != first.w[0].data


class Liar(list):
    def __len__(self):
        return 5


def test_a_list_that_lies_about_its_length():
    n = compiled.Neuron(3, rng=compiled.RNG(1))
    expected = n([1.0] * 3).data
    n.w = Liar(n.w)
    assert n([1.0] * 3).data == expected
    with pytest.raises(ValueError, match="3 inputs was given 5"):
        n([1.0] * 5)
    layer = compiled.Layer(2, 2, rng=compiled.RNG(1))
    layer.neurons = Liar(layer.neurons)
    assert len(layer([1.0, 2.0])) == 2


def test_values_and_models_with_an_equality_of_their_own(engine):
    class ByNumber(engine.Value):
        def __eq__(self, other):
            return isinstance(other, engine.Value) and self.data == other.data

        __hash__ = engine.Value.__hash__

    class NoHash(engine.MLP):
        def __eq__(self, other):
            return self is other

    n = engine.Neuron(2)
    for _ in range(2):
        n.w, n.b = [ByNumber(1.0), ByNumber(2.0)], ByNumber(0.0)
        n([1.0, 1.0]).backward()
        assert [w.grad for w in n.w] == [1 - math.tanh(3.0) ** 2] * 2
    model = NoHash(2, [2])
    assert len(model([1.0, 2.0])) == 2
    assert engine.mean_cross_entropy(model, [([1.0, 2.0], 1)]).data > 0


def graph(root):
    """A graph as numbers and names, in which shared nodes are seen to be shared."""
    nodes, edges = trace(root)
    order = {v: i for i, v in enumerate(nodes)}
    return (
        [(bits(v.data), v._op) for v in nodes],
        [(order[a], order[b]) for a, b in edges],
    )


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_call_records_what_the_loops_would(engine, activation):
    model = engine.MLP(2, [3, 1, 2], activation=activation, rng=engine.RNG(3))
    numbers, values = [0.5, -1.0], [engine.Value(0.5), engine.Value(-1.0)]

    def loops(x):
        for layer in model.layers:
            out = []
            for n in layer.neurons:
                act = n.b
                for wi, xi in zip(n.w, x):
                    act = act + wi * xi
                out.append(getattr(act, activation)() if n.nonlin else act)
            x = out
        return x

    for x in (numbers, values, tuple(numbers), [values[0], -1.0]):
        for ours, theirs in zip(model(x), loops(x)):
            assert graph(ours) == graph(theirs)


def test_losses_record_what_the_loops_would(engine):
    model = engine.MLP(2, [3, 2], rng=engine.RNG(3))
    split = [([0.5, -1.0], 1), ([1.0, 2.0], 0)]

    def cross_entropy(logits, target):
        largest = max(x.data for x in logits)
        ex = [(x - largest).exp() for x in logits]
        denom = sum(ex)
        return -(ex[target] / denom).log()

    total = engine.Value(0)
    for x, y in split:
        total = total + cross_entropy(model([engine.Value(xi) for xi in x]), y)
    assert graph(engine.mean_cross_entropy(model, split)) == graph(total * (1.0 / 2))


def test_inputs_that_are_values_get_gradients(engine):
    x = [engine.Value(0.5), engine.Value(-1.0)]
    loss = engine.mean_cross_entropy(engine.MLP(2, [4, 3]), [(x, 0)])
    loss.backward()
    assert all(xi.grad for xi in x)


def test_inputs_that_only_the_call_keeps(engine, no_new_nodes):
    """An iterator's Values are gone once it has been read: the loss takes them while they live."""
    model = engine.MLP(2, [3, 2], rng=engine.RNG(1))
    xs = [[0.5, 1.0], [7.5, -1.0], [0.25, 3.0]]
    expected = engine.mean_cross_entropy(model, [(x, i % 2) for i, x in enumerate(xs)])
    split = [(map(engine.Value, x), i % 2) for i, x in enumerate(xs)]
    loss = engine.mean_cross_entropy(model, split)
    assert bits(loss.data) == bits(expected.data)


def test_replaced_and_changed_parameters_are_used(engine):
    model = engine.MLP(2, [2, 2], rng=engine.RNG(1))
    hidden, output = (layer.neurons for layer in model.layers)

    def in_floats():
        """The first output for [1.0, 1.0], in the network's order but with plain floats."""
        x = [1.0, 1.0]
        h = [math.tanh(n.b.data + n.w[0].data * x[0] + n.w[1].data * x[1]) for n in hidden]
        n = output[0]
        return n.b.data + n.w[0].data * h[0] + n.w[1].data * h[1]

    seen = [model([1.0, 1.0])[0].data]
    for change in (
        lambda: hidden[0].w.__setitem__(0, engine.Value(1.5)),
        lambda: setattr(output[0].b, "data", 5.0),
        lambda: setattr(output[0], "b", hidden[0].w[0] * 2),
        lambda: setattr(hidden[1], "w", [engine.Value(0.25), engine.Value(-0.5)]),
    ):
        change()
        seen.append(model([1.0, 1.0])[0].data)
        assert seen[-1] == in_floats() and seen[-1] not in seen[:-1]
    model.layers[0].neurons[1] = engine.Neuron(2, nonlin=False)
    loss = engine.mean_cross_entropy(model, [([1.0, 1.0], 0)])
    loss.backward()
    assert model.layers[0].neurons[1].b.grad != 0


def test_other_people_s_modules(engine):
    class Doubled(engine.Neuron):
        def __call__(self, x):
            return super().__call__(x) * 2

    model = engine.MLP(2, [1], rng=engine.RNG(1))
    once = model([1.0, 2.0]).data
    doubled = Doubled(2)
    single = model.layers[0].neurons[0]
    doubled.w, doubled.b, doubled.nonlin = single.w, single.b, False
    model.layers[0].neurons[0] = doubled
    assert model([1.0, 2.0]).data == 2 * once
    pairs = [([1.0, 2.0], 0)]
    assert engine.mean_cross_entropy(lambda x: [x[0] * x[1], x[0]], pairs).data > 0
    assert engine.mean_cross_entropy(model, pairs).data == 0.0  # one class: no surprise


@pytest.mark.parametrize(
    "attempt, exception, numbers",
    [
        (lambda e: e.MLP(2, [3, 2])([1.0, 2.0, 3.0]), ValueError, ("2", "3")),
        (lambda e: e.Layer(2, 3)([1.0]), ValueError, ("2", "1")),
        (lambda e: e.Neuron(2)([]), ValueError, ("2", "0")),
        (lambda e: e.MLP(1, [2])(1.0), TypeError, ("a list of numbers, not 1.0", "model([1.0])")),
        (lambda e: e.Layer(1, 2)(3), TypeError, ("a list of numbers, not 3", "model([3])")),
        (lambda e: e.Neuron(1)(e.Value(1)), TypeError, ("not a Value", "model([x])")),
        (lambda e: e.MLP(2, [1])(None), TypeError, ("a list of numbers, not None",)),
        (lambda e: e.MLP(2, [1])([[1, 2]]), ValueError, ("2", "1", "[model(x) for x in X]")),
        (lambda e: e.Neuron(2)([[1, 2]] * 2), TypeError, ("[1, 2]", "[model(x) for x in X]")),
        (lambda e: e.Layer(2, 2)([(1, 2)] * 3), ValueError, ("2", "3", "[model(x) for x in X]")),
        (
            lambda e: e.MLP(2, [3, 1])(numpy.zeros((2, 2))),
            TypeError,
            ("array([0., 0.])", "[model(x) for x in X]"),
        ),
        (
            lambda e: e.MLP(2, [1])([[e.Value(1), e.Value(2)]] * 4),
            ValueError,
            ("2", "4", "[model(x) for x in X]"),
        ),
        (lambda e: e.mean_cross_entropy(e.MLP(2, [2]), []), ValueError, ("0",)),
        (lambda e: e.mean_cross_entropy([([1, 2], 0)], e.MLP(2, [2])), TypeError, ("MLP", "first")),
        (lambda e: e.accuracy(e.MLP(2, [2]), [[1, 2], [3, 4]]), TypeError, ("[1, 2]", "zip(X, y)")),
        (lambda e: e.eval_split(e.MLP(3, [2]), [[1, 2, 3]]), TypeError, ("[1, 2, 3]", "zip(X, y)")),
        (
            lambda e: e.eval_split(e.MLP(2, [2]), numpy.zeros((4, 2))),
            TypeError,
            ("array([0., 0.])", "zip(X, y)"),
        ),
        (lambda e: e.eval_split(e.MLP(1, [2]), [0.5, 0.25]), TypeError, ("0.5", "zip(X, y)")),
        (
            lambda e: e.accuracy(e.MLP(2, [2]), 3),
            TypeError,
            ("labels, such as", "3", "one point's"),
        ),
        (
            lambda e: e.mean_cross_entropy([e.Value(0.5)], 1),
            TypeError,
            ("not 1", "write cross_entropy(logits, target)"),
        ),
        (
            lambda e: e.eval_split(e.MLP(2, [2]), e.Value(1)),
            TypeError,
            ("not Value(data=1.0", "cross_entropy(logits, target)"),
        ),
        (lambda e: e.eval_split(e.MLP(2, [2]), []), ValueError, ("0",)),
        (lambda e: e.mean_cross_entropy(e.MLP(1, [2]), None), TypeError, ("a list", "not None")),
        (lambda e: e.mean_cross_entropy(e.MLP(2, [2]), [([1.0], 0)]), ValueError, ("2", "1")),
        (lambda e: e.mean_cross_entropy(e.MLP(1, [2]), [([1.0], 2)]), IndexError, ("2", "2")),
        (lambda e: e.cross_entropy([e.Value(1)], -1), IndexError, ("-1", "1")),
        (lambda e: e.cross_entropy([e.Value(1)], 1.0), TypeError, ("1.0",)),
        (lambda e: e.cross_entropy([], 0), ValueError, ("0",)),
        (lambda e: e.MLP(2, []), ValueError, ("0",)),
        (lambda e: e.MLP(2, 3, 1), TypeError, ("a list", "3", "MLP(2, [3, 1])")),
        (lambda e: e.MLP(2, 16, 8, 1), TypeError, ("a list", "16", "MLP(2, [16, 8, 1])")),
        (lambda e: e.MLP(2, 3, "relu"), TypeError, ("a list", "3", "MLP(2, [3])")),
        (lambda e: e.MLP(2, None), TypeError, ("a list", "None")),
        (lambda e: e.MLP(0, [1]), ValueError, ("0",)),
        (lambda e: e.MLP(2, [3, -1]), ValueError, ("-1",)),
        (lambda e: e.Layer(2, 0), ValueError, ("0",)),
        (lambda e: e.Neuron(2.0), TypeError, ("2.0",)),
        (lambda e: e.Neuron(2, activation="gelu"), ValueError, ("gelu", "tanh", "relu")),
        (lambda e: e.RNG(0), ValueError, ("0",)),
        (lambda e: e.RNG(2**64), ValueError, (str(2**64),)),
        (lambda e: e.RNG(1.5), TypeError, ("1.5",)),
        (lambda e: setattr(e.RNG(1), "state", 0), ValueError, ("0",)),
        (lambda e: e.gen_data(e.RNG(1), -1), ValueError, ("-1",)),
        (lambda e: e.gen_data(100), TypeError, ("100", "write RNG(100)")),
        (lambda e: e.gen_data(e.RNG(1), "5"), TypeError, ("5",)),
        (lambda e: e.gen_data_yinyang(e.RNG(1), 5, 0.0), ValueError, ("0.0", "0.5")),
        (lambda e: e.gen_data_yinyang(e.RNG(1), 5, 0.5, 0.5), ValueError, ("0.5",)),
        (lambda e: e.gen_data_yinyang(e.RNG(1), 5, 1.0, math.inf), ValueError, ("inf",)),
        (lambda e: e.AdamW([e.Value(1) * 2]), ValueError, ("2.0",)),
        (lambda e: e.AdamW([1.0]), TypeError, ("1.0",)),
        (lambda e: e.AdamW([e.Value(1)], betas=(0.9, 1.0)), ValueError, ("0.9", "1.0")),
        (lambda e: e.SGD([e.Value(1)], lr="fast"), TypeError, ("fast",)),
    ],
)
def test_wrong_input(engine, no_new_nodes, attempt, exception, numbers):
    with pytest.raises(exception) as caught:
        attempt(engine)
    assert all(n in str(caught.value) for n in numbers), str(caught.value)


def test_a_point_may_be_any_iterable(engine):
    class Old:  # as before there was __iter__
        def __getitem__(self, i):
            return [1.0, -2.0][i]

    class Fails:
        def __iter__(self):
            raise TypeError("no items today")

    model = engine.MLP(2, [3, 1], rng=engine.RNG(1))
    expected = bits(model([1.0, -2.0]).data)
    for x in ((1.0, -2.0), iter([1.0, -2.0]), numpy.array([1.0, -2.0]), Old()):
        assert bits(model(x).data) == expected
    for attempt in (lambda: model(Fails()), lambda: engine.MLP(2, Fails())):
        with pytest.raises(TypeError, match="no items today"):
            attempt()


def test_a_loss_that_fails_leaves_nothing_behind(engine, no_new_nodes):
    model = engine.MLP(2, [3, 2], rng=engine.RNG(1))
    model.layers[1].neurons[0].b.data = -1e308
    improbable = (
        r"probability of target 0 is 0.* logit -1e\+308 is too far below the largest, 0\.0638"
    )
    for split in [([1.0, 1.0], 1), ([1.0, 1.0], 0)], [(iter([1, 1]), 1), (iter([1, 1]), 0)]:
        with pytest.raises(ValueError, match=improbable):
            engine.mean_cross_entropy(model, split)
    with pytest.raises(ValueError, match=improbable):
        engine.eval_split(model, [([1.0, 1.0], 0)])


def test_a_loss_that_fails_later(engine, no_new_nodes):
    """A graph knows no logits any more, and a recorded function does not look at numbers."""
    logits = [engine.Value(0.0), engine.Value(1.0)]
    recorded = engine.recorded(lambda i: engine.cross_entropy(logits, i))
    constant = engine.recorded(lambda: engine.cross_entropy(logits, 0))
    model = engine.MLP(1, [2])
    split = engine.recorded(lambda: engine.mean_cross_entropy(model, [([1.0], 0)]))
    loss = engine.cross_entropy(logits, 0)
    for seen in range(2):  # first the graph itself, then what was made of it
        logits[0].data, model.layers[0].neurons[0].b.data = -1000.0, -1000.0
        for attempt in (loss.forward, lambda: recorded(0), constant, split):
            with pytest.raises(ValueError, match=r"log\(0\.0\).* logit is some 745 below the larg"):
                attempt()
        logits[0].data, model.layers[0].neurons[0].b.data = 0.0, 0.0
        loss.forward()
        assert [recorded(0).data, constant().data] == [loss.data] * 2 and split().data, seen


def test_a_large_loss_that_fails(engine, no_new_nodes):
    """So large that the arena shrinks on the way out."""
    logits = [engine.Value(0.0) for _ in range(700_000 if engine is compiled else 1000)]
    logits[0].data = 1000.0
    with pytest.raises(ValueError, match=r"target 1 is 0.* 0\.0 is too far below .*, 1000\.0"):
        engine.cross_entropy(logits, 1)
    assert engine.cross_entropy(logits, 0).data == 0.0


def test_modules_without_neurons(engine):
    model = engine.MLP(2, [3, 2])
    model.layers[1].neurons = []
    assert model([1.0, 2.0]) == []
    model.layers = []
    assert model([1.0, 2.0]) == [1.0, 2.0]
    neuron = engine.Neuron(2)
    neuron.activation = "gelu"
    with pytest.raises(ValueError, match="gelu"):
        neuron([1.0, 2.0])


def test_weights_that_are_no_values(engine):
    class Own(engine.Value):
        pass

    model = engine.MLP(2, [2, 2], rng=engine.RNG(1))
    neuron, expected = model.layers[0].neurons[1], [v.data for v in model([1.0, 2.0])]
    w = neuron.w
    neuron.w = [w[0], w[1].data]
    problem = rf"w\[1\] must be a Value, not {w[1].data!r}: write Value\({w[1].data!r}\)"
    for attempt in (
        lambda: model([1.0, 2.0]),
        lambda: neuron([1.0, 2.0]),
        lambda: engine.mean_cross_entropy(model, [([1.0, 2.0], 0)]),
        lambda: engine.accuracy(model, [([1.0, 2.0], 0)]),
    ):
        with pytest.raises(TypeError, match=problem):
            attempt()
    w[0].grad = 1.0
    with pytest.raises(TypeError, match=r"a parameter must be a Value, not"):
        model.zero_grad()
    assert w[0].grad == 1.0
    neuron.w, neuron.b = [w[0], Own(w[1].data)], 0
    with pytest.raises(TypeError, match=r"a neuron's b must be a Value, not 0: write Value\(0\)"):
        model([1.0, 2.0])
    neuron.b = Own(0.0)
    assert [v.data for v in model([1.0, 2.0])] == expected


def test_weights_that_are_no_list(engine):
    model = engine.MLP(2, [1], rng=engine.RNG(1))
    [neuron] = model.layers[0].neurons
    plain, w = model([1.0, 2.0]).data, neuron.w
    neuron.w = tuple(w)
    assert model([1.0, 2.0]).data == plain
    for wrong, shown in (None, "None"), (1.0, "1.0"), (w[0], "a Value"):
        neuron.w = wrong
        with pytest.raises(TypeError, match=f"^a neuron's w must be a list, not {shown}"):
            model([1.0, 2.0])
    neuron.w = iter(w)
    with pytest.raises(TypeError, match="has no len"):
        model([1.0, 2.0])
    neuron.w = [*neuron.w]  # which was not read
    assert model([1.0, 2.0]).data == plain


def test_a_module_may_yield_its_parameters(engine):
    class Odd(engine.Module):
        p = engine.Value(1.0)

        def parameters(self):
            yield self.p

    Odd.p.grad = 1.0
    Odd().zero_grad()
    assert Odd.p.grad == 0.0


def test_other_generators(engine):
    class Half(engine.RNG):
        def uniform(self, a=0.0, b=1.0):
            return 0.5

    assert engine.gen_data(Half(1), 5)[0] == [([0.5, 0.5], 2)] * 4


def test_empty_data_sets(engine):
    for generate in engine.gen_data, engine.gen_data_circles, engine.gen_data_yinyang:
        for random in engine.RNG(1), pure.RNG(1):
            with pytest.raises(ValueError, match="n must be at least 1, not 0"):
                generate(random, 0)
            assert random.state == 1
    for n, sizes in (1, [0, 0, 1]), (2, [1, 0, 1]), (5, [4, 0, 1]), (6, [4, 1, 1]):
        assert [len(part) for part in engine.gen_data(engine.RNG(1), n)] == sizes


# -----------------------------------------------------------------------------
# optimisers


def test_adamw_by_hand(engine):
    p = engine.Value(1.0)
    optimizer = engine.AdamW([p], lr=0.1, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.01)
    assert (p.m, p.v, optimizer.t) == (0.0, 0.0, 0)
    data = m = v = 0.0
    data = 1.0
    for t in (1, 2, 3):
        p.grad = g = 0.5 * t
        optimizer.step()
        m = 0.9 * m + (1 - 0.9) * g
        v = 0.95 * v + (1 - 0.95) * g**2
        update = (m / (1 - 0.9**t)) / ((v / (1 - 0.95**t)) ** 0.5 + 1e-8)
        data -= 0.1 * (update + 0.01 * data)
        assert (p.data, p.m, p.v, optimizer.t) == (data, m, v, t)
    optimizer.zero_grad()
    assert p.grad == 0.0
    p.m = 0.0  # moments may be set ...
    assert (p.m, p.v) == (0.0, v)
    optimizer.lr = 0.0  # ... and so may the rates, between steps
    optimizer.step()
    assert p.data == data


def test_adam_is_microgpt_s(engine):
    """Its loop, with the names that it has there."""
    params = [engine.Value(0.25 * i) for i in range(5)]
    optimizer = engine.Adam(params)
    learning_rate, beta1, beta2, eps_adam, num_steps = 0.01, 0.85, 0.99, 1e-8, 7
    data, m, v = [p.data for p in params], [0.0] * 5, [0.0] * 5
    for step in range(num_steps):
        for i, p in enumerate(params):
            p.grad = math.sin(step * i + 1.0)
        optimizer.lr = lr_t = learning_rate * (1 - step / num_steps)
        optimizer.step()
        for i, p in enumerate(params):
            m[i] = beta1 * m[i] + (1 - beta1) * p.grad
            v[i] = beta2 * v[i] + (1 - beta2) * p.grad**2
            m_hat = m[i] / (1 - beta1 ** (step + 1))
            v_hat = v[i] / (1 - beta2 ** (step + 1))
            data[i] -= lr_t * m_hat / (v_hat**0.5 + eps_adam)
        assert [(p.data, p.m, p.v) for p in params] == list(zip(data, m, v))
    assert optimizer.t == num_steps


class Changing(Fraction):
    """A rate that is another number each time it is asked."""

    def __float__(self):
        self.asked = getattr(self, "asked", 0) + 1
        return self.asked / 8


def test_rates_that_change(engine):
    """Those of a step are what the attributes are then, and what those convert to."""
    p = engine.Value(1.0)
    optimizer = engine.AdamW([p], eps=0.0)
    changing = Changing(1, 2)
    rates = [0.5, 0.5, 1, 1.0, True, Fraction(1, 4), changing, changing, 0.5, -0.0, 0.25]
    numbers = [0.5, 0.5, 1.0, 1.0, 1.0, 0.25, 0.125, 0.25, 0.5, 0.0, 0.25]
    for lr, x in zip(rates, numbers):
        optimizer.lr = lr
        p.data, p.grad, p.m, p.v, optimizer.t = 1.0, 2.0, 0.0, 0.0, 0
        optimizer.step()
        assert p.data == 1.0 - x, lr  # m_hat / v_hat**0.5 is 1 in the first step


def test_rates_that_are_none(engine):
    p = engine.Value(1.0)
    optimizer = engine.AdamW([p])
    for name in ("lr", "eps", "weight_decay", "beta1", "beta2"):
        with pytest.raises(TypeError, match=f"{name} must be a number, not None"):
            setattr(optimizer, name, None)
        vars(optimizer)[name] = None
    with pytest.raises(TypeError, match="lr must be a number, not None"):
        optimizer.step()
    assert (p.data, optimizer.t) == (1.0, 0)


def test_a_rate_that_takes_a_step(engine):
    """It changes itself, and the next step goes by what it has become."""
    p = engine.Value(1.0)
    optimizer = engine.AdamW([p], eps=0.0)

    class Stepping(Fraction):
        def __float__(self):
            if optimizer.lr is self:
                optimizer.lr = 0.5
                optimizer.step()
            return 0.25

    p.grad, optimizer.lr = 2.0, Stepping(1, 4)
    optimizer.step()
    p.data, p.grad, p.m, p.v, optimizer.t = 1.0, 2.0, 0.0, 0.0, 0
    optimizer.step()
    assert p.data == 0.5


@pytest.mark.parametrize("kind", ["Adam", "AdamW"])
def test_parameters_without_moments_come_first(engine, kind):
    """Whatever else there is to say of parameters before them."""
    p, q = engine.Value(1.0), engine.Value(2.0)
    optimizer = getattr(engine, kind)([p, q])
    p.grad = 1e200
    del q.m
    with pytest.raises(AttributeError):
        optimizer.step()
    assert (p.data, p.m, p.v, optimizer.t) == (1.0, 0.0, 0.0, 0)


@pytest.mark.parametrize("kind", ["Adam", "AdamW"])
def test_a_step_that_fails_changes_nothing(engine, kind):
    p, q = engine.Value(1.0), engine.Value(2.0)
    optimizer = getattr(engine, kind)([p, q])
    p.grad, q.grad = 1.0, 1e200
    with pytest.raises(OverflowError, match=r"1e[+]200"):
        optimizer.step()
    assert [(x.data, x.m, x.v) for x in (p, q)] == [(1.0, 0.0, 0.0), (2.0, 0.0, 0.0)]
    assert optimizer.t == 0
    q.grad = 1.0
    optimizer.step()
    assert p.data < 1.0 and q.data < 2.0
    with pytest.raises(ZeroDivisionError, match=r"0\.0 / 0\.0.* so is eps.* write eps=1e-8"):
        getattr(engine, kind)([engine.Value(1.0)], eps=0).step()


def test_the_parameters_of_an_optimiser_are_fixed(engine):
    p = engine.Value(1.0)
    for optimizer in (engine.SGD([p]), engine.Adam([p]), engine.AdamW([p])):
        assert optimizer.parameters == (p,)
        with pytest.raises(AttributeError):
            optimizer.parameters = [engine.Value(2.0)]


def test_leaves_that_are_computed_are_no_parameters(engine):
    z = engine.Value(3.0) * 2
    loss = engine.cross_entropy([z], 0)
    leaves = [v for v in trace(loss)[0] if not v._prev]
    with pytest.raises(ValueError, match=r"-6\.0"):
        engine.AdamW(leaves)
    assert z.data == 6.0


def test_the_rates_may_be_set_between_steps(engine):
    import numpy as np

    p = engine.Value(1.0)
    optimizer = engine.AdamW([p])
    p.grad = 1.0
    optimizer.lr = np.float32(0.1)
    optimizer.step()
    assert p.data == 1.0 - float(np.float32(0.1)) * (1.0 / (1.0 + 1e-8))
    with pytest.raises(TypeError, match="lr must be a number, not 'fast'"):
        optimizer.lr = "fast"
    assert optimizer.lr == np.float32(0.1)
    optimizer.lr, optimizer.beta2, optimizer.t = 0.1, 1e200, 3
    with pytest.raises(ValueError, match=r"^beta2 must be from 0 up to below 1, not 1e\+200$"):
        optimizer.step()
    assert optimizer.t == 3


def test_sgd(engine):
    p, q = engine.Value(1.0), engine.Value(2.0)
    optimizer = engine.SGD([p, q], lr=0.5)
    (p * q).backward()
    optimizer.step()
    assert (p.data, q.data) == (0.0, 1.5)
    optimizer.zero_grad()
    assert (p.grad, q.grad) == (0.0, 0.0)


def test_zero_grad_of_modules(engine):
    model = engine.MLP(2, [3, 1])
    model([1.0, 2.0]).backward()
    assert any(p.grad for p in model.parameters())
    model.zero_grad()
    assert not any(p.grad for p in model.parameters())
    assert engine.Module().parameters() == []
    engine.Module().zero_grad()


def test_recording_once_is_recording_every_step(engine):
    """forward() on one recording gives the bits that a new recording gives."""

    def train(record_once):
        model = engine.MLP(2, [4, 3], rng=engine.RNG(9))
        split, _, _ = engine.gen_data(engine.RNG(8), n=20)
        optimizer = engine.AdamW(model.parameters(), weight_decay=1e-4)
        loss = engine.mean_cross_entropy(model, split)
        for _ in range(10):
            if record_once:
                loss.forward()
            else:
                loss = engine.mean_cross_entropy(model, split)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            yield bits(loss.data)

    assert list(train(True)) == list(train(False))


def test_moments_are_kept_by_the_parameter():
    p = compiled.Value(1.0)
    p.m = "a free attribute until an optimiser comes"
    optimizer = compiled.AdamW([p])
    assert p.m == 0.0
    p.grad = 1.0
    optimizer.step()
    compiled.AdamW([p])  # a new one begins anew
    assert (p.m, p.v) == (0.0, 0.0)
    with pytest.raises(TypeError):
        p.m = "x"


@pytest.mark.parametrize("tied", ["two layers", "an input", "one layer"])
def test_shared_parameters_add_up_in_the_course_s_order(tied):
    """The order in which a gradient adds up shows in its last bits."""

    def gradients(engine, seed):
        model = engine.MLP(2, [3, 4, 3], rng=engine.RNG(seed))
        first, second, third = ([n.w for n in layer.neurons] for layer in model.layers)
        shared = second[0][0]
        if tied == "two layers":
            first[1][0] = third[2][3] = shared
        elif tied == "one layer":
            second[0][1] = second[2][0] = shared
        split, _, _ = engine.gen_data(engine.RNG(seed + 1), n=10)
        if tied == "an input":
            split = [([x, shared], label) for (x, _), label in split]
        loss = engine.mean_cross_entropy(model, split)
        loss.backward()
        return [bits(p.grad) for p in model.parameters()]

    for seed in range(1, 20):
        assert gradients(compiled, seed) == gradients(pure, seed)


def test_evaluation_fails_as_the_recording_does(engine, no_new_nodes):
    model = engine.MLP(2, [3], rng=engine.RNG(1))
    for neuron, bias in zip(model.layers[0].neurons, (0.0, 800.0, math.nan)):
        neuron.b.data = bias
    split = [([0.5, 0.5], 0)]
    assert outcome(engine.eval_split, model, split)[0] == "is"  # nan passes
    model.layers[0].neurons[2].b.data = 0.0
    recorded = outcome(engine.mean_cross_entropy, model, split)
    assert recorded[0] is ValueError and "log" in recorded[1]
    assert outcome(engine.eval_split, model, split) == recorded


def test_a_data_set_in_any_form(engine):
    """C reads lists and tuples of plain numbers; all else is looked at piece by piece."""
    import numpy as np

    Value, points = engine.Value, [([0.5, -1.0], 0), ([2.0, 3.0], 1)]
    forms = [
        points,
        tuple(points),
        iter(points),
        [list(point) for point in points],
        [(tuple(x), y) for x, y in points],
        [(iter(x), y) for x, y in points],
        [(np.array(x), np.int64(y)) for x, y in points],
        [([np.float32(xi) for xi in x], bool(y)) for x, y in points],
        [([Value(xi) for xi in x], y) for x, y in points],
        [([Value(0.5), -1], 0), ([2, Fraction(3)], 1)],
    ]
    model = engine.MLP(2, [4, 2], rng=engine.RNG(3))
    losses = []
    for form in forms:
        loss = engine.mean_cross_entropy(model, form)
        loss.backward()
        losses.append(bits(loss.data))
    assert set(losses) == {bits(engine.eval_split(model, points))}
    assert len({bits(p.grad) for p in model.parameters()}) > 10
    for wrong, problem in (
        ([([0.5], 0)], ValueError),
        ([([0.5, 1.0, 2.0], 0)], ValueError),
        ([([0.5, 1.0], 2)], IndexError),
        ([([0.5, 1.0], -1)], IndexError),
        ([([0.5, 1.0], 2**70)], IndexError),
        ([([0.5, 10**400], 0)], OverflowError),
        ([([0.5, "a"], 0)], TypeError),
        ([([0.5, 1.0], 0.0)], TypeError),
        ([([0.5, Value.__new__(Value)], 0)], AttributeError),
        ([([0.5, 1.0], 0, 1)], ValueError),
        ([0.5], TypeError),
    ):
        with pytest.raises(problem):
            engine.mean_cross_entropy(model, [points[0], *wrong])


def test_the_error_of_a_neuron_of_the_user_s_is_the_only_one(engine):
    """No traceback says that something else went wrong before."""

    class Own(engine.Neuron):
        def __call__(self, x):
            raise ValueError("of its own")

    model = engine.MLP(2, [2, 1], rng=engine.RNG(1))
    model.layers[0].neurons[1] = Own(2)
    with pytest.raises(ValueError, match="of its own") as raised:
        model([1.0, 2.0])
    assert raised.value.__context__ is None
