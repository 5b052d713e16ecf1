"""What errors and warnings say to write instead, in the words that both engines have."""

import copy
import math
import re
import warnings
from fractions import Fraction

import numpy
import pytest

import micrograd
from micrograd import nn
from micrograd.plot import decision_surface, loss_curve, network


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


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW"])
def test_rates_that_are_set(engine, kind):
    """What is no number is refused at once, a beta that is out of range by the step."""
    p = engine.Value(1.0)
    optimizer = getattr(engine, kind)([p])
    before = dict(vars(optimizer))
    for name in {"lr", "eps", "weight_decay", "momentum", "beta1", "beta2"} & set(before):
        words = f"{name} must be a number, not '0.1'; write 0.1, or float() of it"
        refused(TypeError, words, setattr, optimizer, name, "0.1")
        refused(TypeError, f"{name} must be a plain number", setattr, optimizer, name, p)
    for name in {"beta1", "beta2"} & set(before):
        for wrong in (1.0, 2, -0.5, math.nan, numpy.float32(1.5), Fraction(1)):
            setattr(optimizer, name, wrong)
            words = f"{name} must be from 0 up to below 1, not {float(wrong)}"
            refused(ValueError, words, optimizer.step)
        setattr(optimizer, name, before[name])
    assert vars(optimizer) == before and p.data == 1.0


def test_an_argument_that_is_no_number_has_its_name(engine):
    p = engine.Value(1.0)
    refused(TypeError, "lr must be a number, not '0.1'; write 0.1,", engine.SGD, [p], lr="0.1")
    refused(TypeError, "lr must be a number, not [Value(", engine.SGD, [p], [p])
    refused(TypeError, "momentum must be a number, not None", engine.SGD, [p], momentum=None)
    refused(TypeError, "a beta must be a number, not 'a'", engine.Adam, [p], betas=(0.9, "a"))
    for name in "eps", "tolerance":
        words = f"{name} must be a number, not 'a'"
        refused(TypeError, words, micrograd.gradcheck, abs, [p], **{name: "a"})


def test_what_a_value_cannot_hold(engine):
    v = engine.Value(1.0)
    for x, words in (
        (None, "expected a number, not NoneType: None; to clear a gradient write 0.0"),
        ("3", "expected a number, not str: '3'; write 3.0, or float() of it"),
        ([1, 2], "expected a number, not list: [1, 2]; write [Value(x) for x in xs]"),
        (numpy.zeros(2), "; write [Value(x) for x in array.tolist()]"),
    ):
        refused(TypeError, words, engine.Value, x)
        refused(TypeError, words, engine.Value, x, (v,), "f")
        refused(TypeError, words, setattr, v, "data", x)
        refused(TypeError, words, setattr, v, "grad", x)
    assert (v.data, v.grad) == (1.0, 0.0)


def test_an_eps_of_0(engine):
    for kind in engine.Adam, engine.AdamW:
        p = engine.Value(1.0)
        optimizer = kind([p], eps=0)
        words = "0.0 / 0.0: division by zero; a gradient was always 0, and so is eps"
        refused(ZeroDivisionError, words, optimizer.step)
        assert (p.data, optimizer.t) == (1.0, 0)


# -----------------------------------------------------------------------------
# numbers without a result


def test_a_power_that_overflows(engine):
    a = engine.Value(1.0)
    out = a**2
    a.data = 1.5e154
    words = "1.5e+154 ** 2.0 is too large for a float. Smaller inputs, weights or steps keep"
    refused(OverflowError, words, lambda: a**2)
    refused(OverflowError, words, out.forward)
    optimizer = engine.Adam([a])
    a.grad = 1.5e154
    refused(OverflowError, words, optimizer.step)


def test_a_logarithm_of_0(engine):
    x = engine.Value(37.0)
    words = "1 - x.sigmoid() is 0.0 from x = 37 on: write (-x).sigmoid().log()"
    refused(ValueError, words, (1 - x.sigmoid()).log)
    assert (1 - engine.Value(36.5).sigmoid()).log().data < 0
    assert (-x).sigmoid().log().data == math.log(1 / (1 + math.exp(37.0)))


# -----------------------------------------------------------------------------
# functions and their arguments


def test_a_model_or_a_function_in_the_place_of_a_list(engine):
    model, a = engine.MLP(2, [2]), engine.Value(1.0)
    called = "must be a list, not the MLP itself: call it, model(x)"
    refused(TypeError, f"logits {called}", engine.cross_entropy, model, 1)
    refused(TypeError, f"xs {called}", engine.softmax, model)
    refused(TypeError, f"x {called}", engine.linear, model, [[a]])
    with pytest.raises(TypeError, match=r"^xs must be a list, not a function: call it$"):
        engine.sum(model.parameters)
    words = "inputs must be a list, not the MLP itself: pass model.parameters()"
    refused(TypeError, words, micrograd.gradcheck, abs, model)
    words = "f must be a function, not [1.0]: it comes first, gradcheck(f, [0.5, -2.0])"
    refused(TypeError, words, micrograd.gradcheck, [1.0], abs)


def test_arguments_in_the_other_order(engine):
    a = engine.Value(1.0)
    words = "logits must be a list, not 1: the logits come first, cross_entropy(logits, target)"
    refused(TypeError, words, engine.cross_entropy, 1, [a, a])
    words = "items must be a list, not 1: the items come first, take(items, i)"
    refused(TypeError, words, engine.take, 1, [a, a])
    train = [([1.0, 2.0], 0)]
    words = "a data set was expected, not a function: the model is first"
    refused(TypeError, words, engine.mean_cross_entropy, train, lambda x: x)


# -----------------------------------------------------------------------------
# data sets

A_DATA_SET = "a data set is a list of points and labels, such as [([0.5, -1.0], 1)], "


class DataFrame:  # as pandas's: what it gives are the names of its columns
    def __iter__(self):
        return iter(["x", "y", "label"])


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda e: e.gen_data(e.RNG(1), 10), "three data sets: write train, val, test = data"),
        (lambda e: e.gen_data(e.RNG(1), 1), "three data sets: write train, val, test = data"),
        (lambda e: list(zip([0.5], [1])), "(0.5, 1): a point is a list of numbers, write ([x], l"),
        (lambda e: [(e.Value(1.0), 1)], ": a point is a list of numbers, write ([x], label)"),
        (lambda e: [[0.5, 1.0]], "its first item is [0.5, 1.0]: write list(zip(X, y))"),
        (lambda e: DataFrame(), f"{A_DATA_SET}not a DataFrame: write list(zip(df"),
        (lambda e: {"a": 1}, f"{A_DATA_SET}not {{'a': 1}}"),
        (lambda e: "ab", f"{A_DATA_SET}not 'ab'"),
        (lambda e: None, f"{A_DATA_SET}not None"),
        (lambda e: [None], f"{A_DATA_SET}and its first item is None"),
        (lambda e: ["ab"], f"{A_DATA_SET}and its first item is 'ab'"),
    ],
)
def test_what_is_no_data_set(engine, make, words):
    model = engine.MLP(2, [3])
    for function in engine.accuracy, engine.mean_cross_entropy, engine.eval_split:
        refused(TypeError, words, function, model, make(engine))
        refused(TypeError, words, function, lambda x: model(x), make(engine))


def test_three_points_are_a_data_set(engine):
    model, points = engine.MLP(2, [3]), [[[1.0, 2.0], 0], [[0.5, 1.0], 1], [[0.0, 0.0], 2]]
    assert 0 <= engine.accuracy(model, points) <= 1
    assert 0 <= engine.accuracy(model, [(numpy.array(x), y) for x, y in points]) <= 1
    once = dict.fromkeys([((1.0, 2.0), 0), ((1.0, 2.0), 0)])
    assert engine.eval_split(model, once) == engine.eval_split(model, [*once])


def test_an_iterator_that_is_used_up(engine):
    model, split = engine.MLP(2, [3]), zip([[1.0, 2.0]], [1])
    engine.eval_split(model, split)
    words = "the split is empty: it has 0 examples (a zip or a generator gives its items once"
    refused(ValueError, words, engine.eval_split, model, split)
    with pytest.raises(ValueError, match=r"^the split is empty: it has 0 examples$"):
        engine.eval_split(model, [])


def test_a_point_with_its_label(engine):
    words = "this is a point with its label: write x, label = point, and model(x)"
    for nin in 2, 3:
        model = engine.MLP(nin, [3])
        for kind in TypeError, ValueError:
            if (kind is TypeError) == (nin == 2):
                refused(kind, words, model, ([0.5, -1.0], 1))
                refused(kind, words, model, (numpy.array([0.5, -1.0]), numpy.int64(1)))
    with pytest.raises(TypeError, match=r"for a table of points write \[model\(x\) for x in X\]$"):
        engine.MLP(2, [3])([[0.5, -1.0], [1.0, 2.0]])


def test_what_accuracy_says_of_a_model_and_of_labels(engine):
    split = [([0.5, -1.0], 1)]
    words = "a model returns a Value or a list of Values, not None"
    refused(TypeError, words, engine.accuracy, lambda x: None, split)
    words = "unsupported operand type(s) for +: 'int' and 'NoneType'"  # the model's own
    refused(TypeError, words, engine.accuracy, lambda x: (1 + None for _ in x), split)
    words = "threshold must be a number, not [1, 0]: if these are labels, a data set of points X"
    refused(TypeError, words, engine.accuracy, engine.MLP(2, [3]), [[0.5, -1.0]] * 2, [1, 0])


# -----------------------------------------------------------------------------
# warnings that accuracy and its picture share


def warnings_of(function, *args, **kwargs):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        function(*args, **kwargs)
    assert all(w.category is UserWarning and w.filename == __file__ for w in found)
    return [str(w.message) for w in found]


ONE_SIDE = "above the threshold 0 for all points: write threshold=0.5 for a sigmoid"
TWO = "a model with one output has two classes, above the threshold 0 and not, and the labels "


def test_warnings_of_one_output(engine):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    def sigmoid(x):
        return x[0].sigmoid()

    for labels, expected in (
        ((0, 1), [ONE_SIDE]),
        ((-1, 1), [ONE_SIDE]),
        ((1, 1), []),
        ((1, 2), [f"{TWO}1, 2 are one of them: write 0 and 1, or -1 and 1"]),
        ((0, 1, 2), [f"{TWO}1, 2 are one of them: take a model with an output for", ONE_SIDE]),
        ((-2, -1, 1), [f"{TWO}-2, -1 are one of them: take a model", ONE_SIDE]),
        (range(1, 9), [f"{TWO}1, 2, 3, 4, 5, ... are one of them: take a model"]),
    ):
        split = [([float(i), 1.0], label) for i, label in enumerate(labels)]
        found = warnings_of(engine.accuracy, sigmoid, split)
        assert len(found) == len(expected) and all(map(str.__contains__, found, expected)), found
        drawn = warnings_of(decision_surface, sigmoid, split, Figure().subplots(), resolution=3)
        assert [text for text in found if TWO in text] == [text for text in drawn if TWO in text]
        assert len(drawn) == len(found)

    split = [([1.0, 1.0], 0), ([2.0, 1.0], 1)]
    assert not warnings_of(engine.accuracy, sigmoid, split, threshold=0.5)
    assert not warnings_of(engine.accuracy, sigmoid, split, threshold=2.0)  # one of many, say
    assert not warnings_of(engine.accuracy, lambda x: x[0] * 0, split)
    assert not warnings_of(engine.accuracy, lambda x: x[0], [([1.0], math.nan), ([2.0], math.nan)])
    assert not warnings_of(engine.accuracy, lambda x: x[0], split)  # scores, and no probabilities
    assert not warnings_of(engine.accuracy, lambda x: [x[0], x[1]], split)


# -----------------------------------------------------------------------------
# pictures and files


def test_pyplot_in_the_place_of_axes(engine):
    pytest.importorskip("matplotlib")
    from matplotlib import pyplot

    model, split = engine.MLP(2, [3]), [([1.0, 1.0], 0), ([2.0, 1.0], 1)]
    before = pyplot.get_fignums()
    words = "ax must be one of matplotlib's Axes, such as axes[0], and not <module 'matplotlib.pyp"
    refused(TypeError, words, decision_surface, model, split, pyplot, resolution=3)
    refused(TypeError, words, network, model, pyplot)
    refused(TypeError, words, loss_curve, [1.0], pyplot)
    assert pyplot.get_fignums() == before
    words = "losses must be a list, not a function: call it"
    refused(TypeError, words, loss_curve, warnings_of)
    words = "margin must be a number, not 'x'"
    refused(TypeError, words, decision_surface, model, split, margin="x")


def test_a_binary_file(engine, tmp_path):
    path = tmp_path / "m.pkl"
    path.write_bytes(b"\x80\x04\x95\xff")
    words = "m.pkl: this is no file that save() has written: it is no text"
    refused(ValueError, words, engine.load, path)
    refused(ValueError, words, engine.MLP(1, [1]).load, path)
