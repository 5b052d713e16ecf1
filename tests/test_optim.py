"""Optimisers: momentum, mistakes that are refused, and how they print."""

import copy
import json
import math
import pickle
import random
import re
import threading
from fractions import Fraction
from functools import partial

import pytest
from conftest import ENGINES, bits, needs_c

from micrograd import compiled, pure

KINDS = ["SGD", "Adam", "AdamW"]

# -----------------------------------------------------------------------------
# momentum


def test_momentum_by_hand(engine):
    p, q = engine.Value(1.0), engine.Value(-2.0)
    optimizer = engine.SGD([p, q], lr=0.1, momentum=0.9)
    assert [(v.m, v.v) for v in (p, q)] == [(0.0, 0.0)] * 2
    data, m = [1.0, -2.0], [0.0, 0.0]
    for step in range(1, 6):
        for i, v in enumerate((p, q)):
            v.grad = grad = math.sin(step + i)
            m[i] = 0.9 * m[i] + grad
            data[i] -= 0.1 * m[i]
        optimizer.step()
        assert [(v.data, v.m, v.v) for v in (p, q)] == [(*both, 0.0) for both in zip(data, m)]
    optimizer.zero_grad()
    assert p.grad == 0.0 and p.m == m[0]
    optimizer.momentum = 0.0  # the moments stay, unused
    p.grad = 1.0
    optimizer.step()
    assert (p.data, p.m) == (data[0] - 0.1 * 1.0, m[0])


def test_no_momentum_is_what_it_was(engine, no_new_nodes):
    """The same bits, and nothing is kept with the parameters."""
    draw = random.Random(5)
    p = [engine.Value(draw.gauss(0, 1)) for _ in range(50)]
    optimizers = engine.SGD(p, lr=0.3), engine.SGD(p, 0.3, 0), engine.SGD(p, 0.3, momentum=-0.0)
    for optimizer in optimizers:
        data = [v.data for v in p]
        for v in p:
            v.grad = draw.gauss(0, 1)
        optimizer.step()
        assert [bits(v.data) for v in p] == [bits(x - 0.3 * v.grad) for x, v in zip(data, p)]
        assert not any(hasattr(v, "m") or hasattr(v, "v") for v in p)


def test_momentum_may_be_set_later(engine):
    """It then starts at 0, as does that of a new optimiser over the same parameters."""
    p = engine.Value(1.0)
    p.m = "a note"
    optimizer = engine.SGD([p], lr=0.5)
    p.grad = 1.0
    optimizer.step()
    assert (p.data, p.m) == (0.5, "a note")
    optimizer.momentum = Fraction(1, 2)
    optimizer.step()
    optimizer.step()
    assert (p.data, p.m, p.v) == (0.5 - 0.5 * 1.0 - 0.5 * 1.5, 1.5, 0.0)
    engine.SGD([p], momentum=0.9)
    assert p.m == 0.0


@pytest.mark.filterwarnings("ignore:.* in the list more than once")
@pytest.mark.parametrize("repeated", [False, True])
def test_momentum_has_the_same_bits_on_both_engines(repeated):
    def run(engine):
        draw = random.Random(11)
        p = [engine.Value(draw.gauss(0, 1)) for _ in range(200)]
        if repeated:  # in any order, some of them more than once
            p = [draw.choice(p) for _ in p]
        optimizer = engine.SGD(p, lr=0.07, momentum=0.93)
        for _ in range(20):
            for v in p:
                v.grad = draw.gauss(0, 1) * 10 ** draw.uniform(-12, 12)
            optimizer.step()
        return [(bits(v.data), bits(v.m)) for v in p]

    assert run(ENGINES.get("c", compiled)) == run(pure)


@pytest.mark.parametrize("when", ["before the recording", "after the recording"])
def test_momentum_over_one_recording(engine, when):
    """A replay keeps numbers in arrays of its own: those of parameters have to be in place."""

    def train(engine, record_once):
        model = engine.MLP(2, [4, 3], rng=engine.RNG(9))
        split, _, _ = engine.gen_data(engine.RNG(8), n=20)
        optimizer = engine.SGD(model.parameters(), momentum=0.9 if when[0] == "b" else 0.0)
        loss = engine.mean_cross_entropy(model, split)
        for step in range(8):
            if step == 3:
                optimizer.momentum = 0.9
            if record_once:
                loss.forward()
            else:
                loss = engine.mean_cross_entropy(model, split)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            yield bits(loss.data)
        yield [(bits(p.data), bits(p.m)) for p in model.parameters()]

    assert list(train(engine, True)) == list(train(engine, False)) == list(train(pure, False))


def test_a_parameter_that_has_lost_its_momentum(engine, no_new_nodes):
    p, q = engine.Value(1.0), engine.Value(2.0)
    optimizer = engine.SGD([p, q], momentum=0.9)
    p.grad = q.grad = 1.0
    del q.m
    with pytest.raises(AttributeError, match="a parameter has lost the moments"):
        optimizer.step()
    assert (p.data, p.m, q.data) == (1.0, 0.0, 2.0)


@pytest.mark.parametrize("kind", ["Adam", "AdamW"])
def test_a_parameter_that_has_lost_its_moments(engine, kind):
    p = engine.Value(1.0)
    optimizer = getattr(engine, kind)([p])
    del p.v
    with pytest.raises(AttributeError, match="a parameter has lost the moments"):
        optimizer.step()


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "SGD"])
@pytest.mark.parametrize("deleted", ["m", "v", "mv"])
def test_moments_that_are_deleted_and_set_by_hand(engine, no_new_nodes, kind, deleted):
    def train(engine, by_hand):
        values = [engine.Value(1.0), engine.Value(-2.0)]
        rates = {"momentum": 0.9} if kind == "SGD" else {}
        optimizer = getattr(engine, kind)(values, **rates)
        for step in range(4):
            if step == 2:
                for name in deleted if by_hand else "":
                    delattr(values[0], name)
                for name, x in ("m", 0), ("v", 0.25):
                    setattr(values[0], name, x)
            for v in values:
                v.grad = v.data
            optimizer.step()
        return [(bits(v.data), bits(v.m), bits(v.v)) for v in values]

    assert train(engine, True) == train(engine, False) == train(pure, True)


@pytest.mark.parametrize("kind", ["Adam", "SGD"])
def test_moments_by_hand_that_are_none(engine, kind):
    p, q = engine.Value(1.0), engine.Value(2.0)
    optimizer = engine.Adam([p, q]) if kind == "Adam" else engine.SGD([p, q], momentum=0.5)
    p.grad = q.grad = 1.0
    optimizer.step()
    del q.m
    q.m = "x"
    before = p.data, p.m, q.data
    with pytest.raises(TypeError):
        optimizer.step()
    assert (p.data, p.m, q.data, q.m, getattr(optimizer, "t", 1)) == (*before, "x", 1)


def test_a_step_in_plain_python_that_is_interrupted():
    """As when Ctrl-C comes between two parameters: those before are put back."""

    class Interrupting(pure.Value):
        @property
        def grad(self):
            raise KeyboardInterrupt

        @grad.setter
        def grad(self, x):
            pass

    p, q = pure.Value(1.0), Interrupting(2.0)
    optimizer = pure.SGD([p, q], momentum=0.9)
    p.grad = 1.0
    with pytest.raises(KeyboardInterrupt):
        optimizer.step()
    assert (p.data, p.m) == (1.0, 0.0)


def with_momentum(engine, momentum=0.5):
    """An optimiser that has taken two steps."""
    p = [engine.Value(1.0), engine.Value(2.0)]
    optimizer = engine.SGD(p, lr=0.25, momentum=momentum)
    for _ in range(2):
        for v in p:
            v.grad = 1.0
        optimizer.step()
    return optimizer


def step(optimizer):
    for p in optimizer.parameters:
        p.grad = 1.0
    optimizer.step()
    return [(p.data, getattr(p, "m", None)) for p in optimizer.parameters]


def test_states_of_momentum(engine):
    optimizer = with_momentum(engine)
    state = optimizer.state_dict()
    assert state == {"lr": 0.25, "momentum": 0.5, "m": [1.5, 1.5]}
    after = step(optimizer)
    for momentum in (0.0, 0.9):  # the twin has no moments before, or has others
        twin = with_momentum(engine, momentum)
        for p, x in zip(twin.parameters, (1.0, 2.0)):
            p.data = x - 0.25 * 2.5
        twin.load_state_dict(state)
        assert twin.state_dict() == state and step(twin) == after
    with pytest.raises(ValueError, match="m has 1 numbers, and there are 2 parameters"):
        optimizer.load_state_dict({**state, "m": [1.0]})
    with pytest.raises(ValueError, match=r"momentum must be 0 or more, not -0\.5"):
        optimizer.load_state_dict({**state, "momentum": -0.5})
    with pytest.raises(TypeError, match="a state is a dict"):
        optimizer.load_state_dict([1.0])
    with pytest.raises(ValueError, match=r"1 unknown \(v\)"):
        optimizer.load_state_dict({**state, "v": [0.0, 0.0]})
    assert optimizer.state_dict() == {**state, "m": [1.75, 1.75]}


def test_a_state_of_a_subclass_with_a_momentum_of_its_own(engine):
    class Own(engine.Adam):
        def __init__(self, parameters):
            super().__init__(parameters)
            self.momentum = 0.5

    own = Own([engine.Value(1.0)])
    own.parameters[0].v = 0.25
    twin = Own([engine.Value(1.0)])
    twin.load_state_dict(own.state_dict())
    assert twin.state_dict() == own.state_dict() and twin.parameters[0].v == 0.25


def test_states_that_fail_make_no_moments(engine, no_new_nodes):
    sgd = engine.SGD([engine.Value(1.0)])
    with pytest.raises(TypeError, match="m must be a number"):
        sgd.load_state_dict({"lr": 0.1, "momentum": 0.5, "m": ["x"]})
    assert sgd.state_dict() == {"lr": 0.1, "momentum": 0.0}
    assert not hasattr(sgd.parameters[0], "m")


def test_states_without_momentum(engine, tmp_path):
    """Files that were written before there was momentum have no word of it."""
    path = tmp_path / "sgd.json"
    path.write_text(json.dumps({"format": "micrograd", "version": 1, "optimizer": {"lr": 0.5}}))
    for momentum in (0.0, 0.9):
        optimizer = with_momentum(engine, momentum)
        optimizer.load(path)
        assert optimizer.state_dict() == {"lr": 0.5, "momentum": 0.0}
    optimizer.momentum = 0.5  # which starts at 0 again
    assert [m for _, m in step(optimizer)] == [1.0, 1.0]


@pytest.mark.filterwarnings("ignore:.* in the list more than once")
def test_files_of_momentum_cross_the_engines(engine, tmp_path):
    for writer in ENGINES.values():
        optimizer, twin = with_momentum(writer), engine.SGD([engine.Value(0.375)] * 2)
        optimizer.save(tmp_path / "sgd.json")
        twin.load(tmp_path / "sgd.json")
        assert twin.state_dict() == optimizer.state_dict()


def test_copies_of_momentum(engine, no_new_nodes):
    optimizer = with_momentum(engine)
    twins = [copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))]
    after = step(optimizer)
    for twin in twins:
        assert repr(twin) == repr(optimizer) and step(twin) == after
        twin.lr = 0.5
        with pytest.raises(AttributeError):
            twin.rate = 0.5


@needs_c
def test_momentum_in_threads():
    """Parameters that threads share get each step once, and those of their own their own."""
    shared = [compiled.Value(0.0) for _ in range(20)]
    for p in shared:
        p.grad = 1.0

    def work():
        own = compiled.SGD([compiled.Value(0.0)], lr=1.0, momentum=1.0)
        together = compiled.SGD(shared, lr=1.0)
        own.parameters[0].grad = 1.0
        for _ in range(200):
            own.step()
            together.step()
        own_results.append((own.parameters[0].data, own.parameters[0].m))

    own_results = []
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert own_results == [(-200.0 * 201 / 2, 200.0)] * 4
    assert [p.data for p in shared] == [-800.0] * 20


# -----------------------------------------------------------------------------
# mistakes


def refusals(e):
    """(what is done, exception, its text) of each mistake."""
    model = e.MLP(2, [3, 2], rng=e.RNG(1))
    p, sgd = model.parameters(), e.SGD(model.parameters())
    a_list, a_value = "a list of Values", "a Value of the same engine"
    call = "pass model.parameters()"
    for kind in (e.SGD, e.Adam, e.AdamW):
        yield partial(kind, model), TypeError, f"{a_list}, not the MLP itself: {call}"
        yield partial(kind, [model]), TypeError, f"{a_value}, not the MLP itself: {call}"
        yield (
            partial(kind, model.parameters),
            TypeError,
            (f"{a_list}, not a function: call it, model.parameters()"),
        )
        for given, words in ([p], "a list of 17"), ((p, p), "a list of 17"), ([{}], "a dict of 0"):
            yield (
                partial(kind, given),
                TypeError,
                (f"{a_value}, not {words}: pass one list, such as model.parameters()"),
            )
        yield partial(kind, p[-1]), TypeError, f"{a_list}, not Value(data=0.0, grad=0.0)"
        yield partial(kind, 3), TypeError, f"{a_list}, not 3"
        yield partial(kind, [0.5]), TypeError, f"{a_value}, not 0.5"
        yield partial(kind, int), TypeError, f"{a_list}, not <class 'int'>"
        for nothing in ([], (), iter(p[:0])):
            yield partial(kind, nothing), ValueError, "needs at least 1 parameter, and was given 0"
        for lr, shown in (-1, "-1.0"), (-5e-324, "-5e-324"), (math.nan, "nan"):
            yield partial(kind, p, lr=lr), ValueError, f"lr must be 0 or more, not {shown}"
    yield partial(e.SGD, p, momentum=-0.9), ValueError, "momentum must be 0 or more, not -0.9"
    yield partial(e.SGD, p, 0.1, math.nan), ValueError, "momentum must be 0 or more, not nan"
    yield partial(e.AdamW, p, weight_decay=-1), ValueError, "weight_decay must be 0 or more"
    for kind in (e.Adam, e.AdamW):
        yield partial(kind, p, eps=-1e-8), ValueError, "eps must be 0 or more, not -1e-08"
        pair = "betas must be a pair, such as betas=(0.9, 0.95)"
        yield partial(kind, p, 0.1, 0.9), TypeError, f"{pair}, not 0.9"
        yield partial(kind, p, 0.1, None), TypeError, f"{pair}, not None"
        yield partial(kind, p, 0.1, [0.9]), ValueError, f"{pair}, and 1 were given"
        yield partial(kind, p, 0.1, (0.9, 0.95, 0.99)), ValueError, f"{pair}, and 3 were given"
    yield (
        lambda: setattr(sgd, "learning_rate", 0.01),
        AttributeError,
        ("SGD has no attribute 'learning_rate', but has lr, momentum; a name"),
    )
    yield (
        lambda: setattr(e.AdamW(p), "betas", (0.5, 0.5)),
        AttributeError,
        ("AdamW has no attribute 'betas', but has lr, beta1, beta2, eps, weight_decay, t; a name"),
    )
    yield (
        lambda: setattr(e.Adam(p), "weight_decay", 0.5),
        AttributeError,
        ("Adam has no attribute 'weight_decay', but has lr, beta1, beta2, eps, t; a name"),
    )


def test_mistakes(engine, no_new_nodes):
    for attempt, exception, words in refusals(engine):
        with pytest.raises(exception, match=re.escape(words)) as caught:
            attempt()
        assert type(caught.value) is exception and len(str(caught.value)) < 160


@pytest.mark.parametrize("kind", KINDS)
def test_rates_that_are_negative_at_the_step(engine, kind):
    """The step refuses them, as it does what is no number, and changes nothing."""
    p = engine.Value(1.0)
    optimizer = getattr(engine, kind)([p])
    for name in {"lr", "momentum", "eps", "weight_decay"} & set(vars(optimizer)):
        before = getattr(optimizer, name)
        for wrong in (-0.5, -1, math.nan, Fraction(-1, 2)):
            setattr(optimizer, name, wrong)
            p.grad = 1.0
            with pytest.raises(ValueError, match=f"^{name} must be 0 or more, not "):
                optimizer.step()
            with pytest.raises(ValueError, match=f"^{name} must be 0 or more, not "):
                optimizer.step()  # and again, though nothing has been set since
            assert p.data == 1.0 and getattr(optimizer, "t", 0) == 0
        setattr(optimizer, name, before)
    optimizer.lr = 0  # is a rate, and so is infinity
    optimizer.step()
    assert p.data == 1.0
    optimizer.lr = math.inf
    optimizer.step()
    assert p.data == -math.inf


@pytest.mark.parametrize("kind", KINDS)
def test_attributes_of_subclasses(engine, kind):
    """They may have any, set in any way; of ours those that start with _, and methods, are free."""
    base = getattr(engine, kind)

    class Own(base):
        decay = 0.5

        def __init__(self, parameters, note):
            self.before = note
            super().__init__(parameters)
            self.note = note

        def step(self):
            super().step()
            self.decay *= 0.5
            self.steps = getattr(self, "steps", 0) + 1

    own = Own([engine.Value(1.0)], "n")
    own.step()
    own.learning_rate = 3
    assert (own.decay, own.steps, own.note, own.before, own.learning_rate) == (0.25, 1, "n", "n", 3)
    assert repr(own).startswith("Own(1 parameter, lr=")
    assert copy.deepcopy(own).steps == copy.copy(own).steps == 1

    optimizer = base([engine.Value(1.0)])
    optimizer._note = "free"
    optimizer.step = lambda: "replaced"
    assert optimizer.step() == "replaced" and optimizer._note == "free"
    before = dict(vars(optimizer))
    with pytest.raises(AttributeError):
        optimizer.Lr = 0.5
    assert vars(optimizer) == before


# -----------------------------------------------------------------------------
# as text


def test_repr(engine):
    p = engine.MLP(2, [16, 3], rng=engine.RNG(1)).parameters()
    betas = "betas=(0.9, 0.95), eps=1e-08"
    adamw = engine.AdamW(p, weight_decay=1e-4)
    assert repr(adamw) == f"AdamW(99 parameters, lr=0.1, {betas}, weight_decay=0.0001)"
    assert repr(engine.Adam(p[:1])) == "Adam(1 parameter, lr=0.01, betas=(0.85, 0.99), eps=1e-08)"
    sgd = engine.SGD(p[:2], momentum=0.9)
    assert repr(sgd) == "SGD(2 parameters, lr=0.1, momentum=0.9)"
    vars(sgd)["lr"] = None  # it shows what is there
    assert str(sgd) == "SGD(2 parameters, lr=None, momentum=0.9)"


def test_an_sgd_that_was_pickled_before_there_was_momentum(engine):
    optimizer = engine.SGD([engine.Value(1.0)], lr=0.5)
    del optimizer.momentum, optimizer._moments
    optimizer = pickle.loads(pickle.dumps(optimizer))
    [p] = optimizer.parameters
    p.grad = 1.0
    optimizer.step()
    assert p.data == 0.5 and "momentum=0.0" in repr(optimizer)


@pytest.mark.parametrize("given", [0.0, 0.9])
def test_a_subclass_with_a_momentum_of_its_own(engine, given):
    """Its attribute is its own business, unless it gives the constructor a momentum."""

    class Own(engine.SGD):
        def __init__(self, parameters):
            super().__init__(parameters, lr=0.1, momentum=given)
            self.momentum = 0.9

    p, data, m = engine.Value(1.0), 1.0, 0.0
    optimizer = Own([p])
    for _ in range(3):
        p.grad = 1.0
        optimizer.step()
        m = given * m + 1.0
        data -= 0.1 * m
        assert p.data == data


def test_an_optimiser_that_is_made_again(engine):
    p, q = engine.Value(1.0), engine.Value(2.0)
    optimizer = engine.SGD([p], lr=0.5, momentum=0.5)
    optimizer.__init__([q], lr=0.5)
    q.grad, optimizer.momentum = 1.0, 0.5
    optimizer.step()
    assert (p.data, q.data, q.m) == (1.0, 1.5, 1.0)
