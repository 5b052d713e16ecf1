"""Graphs as NumPy functions, by a tolerance: NumPy's tanh and exp have other last digits."""

import copy
import gc
import math
import operator
import pickle
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from random import Random

import pytest
from conftest import ENGINES, bits, needs_c, outcome, times
from test_export_c import course_point, random_graph
from test_export_c import switches as switches
from test_parity import OPERATIONS

import micrograd
from micrograd.export import numpy_function
from micrograd.export.evaluate import evaluate
from micrograd.export.listing import Listing

numpy = pytest.importorskip("numpy")


def close(ours, theirs, size=1.0):
    """They may be a few units in the last place of the largest number below apart."""
    return math.isclose(ours, theirs, rel_tol=1e-12, abs_tol=1e-12 * size)


@times(50, 1000)
def test_random_graphs(engine, n):
    compared = 0
    for seed in range(n):
        root, inputs, _ = random_graph(engine, Random(seed))
        function, random = numpy_function(root, inputs), Random(seed)
        rows, expected = [], []
        for _ in range(4):
            if outcome(root.forward)[0] == "is":
                rows.append([v.data for v in inputs])
                expected.append(root.data)
            for v in inputs:
                v.data += random.uniform(-0.1, 0.1)
        size = max(abs(v.data) for v in micrograd.trace(root)[0])
        found = function(*numpy.transpose(rows))
        assert found.shape == (len(rows),) and found.dtype == numpy.float64
        for ours, theirs in zip(expected, found.tolist()):
            assert close(ours, theirs, size), seed
            compared += 1
    assert compared > 3 * n


@pytest.mark.parametrize(
    "name", [name for name in OPERATIONS if "detach" not in name and "without" not in name]
)
def test_single_operations(engine, name):
    compared = 0
    for x, y, k in (0.7, 1.3, 2.5), (2.0, 0.5, 3.0), (1.5, 2.0, -1.0), (1e3, 0.1, 0.5):
        a, b = engine.Value(x), engine.Value(y)
        what, out = outcome(OPERATIONS[name], a * 1, b * 1, k)
        if what == "is":
            inputs = [v for v in (a, b) if v in micrograd.trace(out)[0]]
            found = numpy_function(out, inputs)(*[v.data for v in inputs])
            assert close(out.data, float(found))
            compared += 1
    assert compared >= 3


def test_sums_and_products_have_the_same_bits(engine):
    x, ws = engine.Value(0.1), [engine.Value(0.1 * k) for k in range(9)]
    y = engine.dot(ws, [x, *ws[1:]], x).relu() - engine.take(ws, 3)
    function = numpy_function([y, x, ws[2]], [x])
    xs = numpy.linspace(-3, 3, 50)
    for number, *found in zip(xs.tolist(), *(out.tolist() for out in function(xs))):
        x.data = number
        y.forward()
        assert list(map(bits, found)) == list(map(bits, (y.data, x.data, ws[2].data)))


def test_arguments_are_broadcast(engine):
    loss, x, _ = course_point(engine)
    function = numpy_function(loss, x)
    columns, rows = [0.5, 1.0, 2.0], [[-1.0], [1.5]]
    found = function(columns, numpy.array(rows, dtype=numpy.float32))
    assert found.shape == (2, 3)
    for i, [y] in enumerate(rows):
        for j, number in enumerate(columns):
            x[0].data, x[1].data = number, y
            loss.forward()
            assert close(loss.data, found[i, j])
    assert function(0.5, -1).shape == ()
    with pytest.raises(ValueError, match="shape"):
        function([1.0, 2.0], [1.0, 2.0, 3.0])


def test_results_are_arrays_of_their_own(engine):
    """Also of an output that is an input, or depends on none, or on some."""
    x, y = engine.Value(1.0), engine.Value(2.0)
    xs = numpy.zeros(3)
    outs = numpy_function([x, x * 1, x + y, engine.Value(4.0)], [x, y])(xs, 2.0)
    for out in outs:
        out += 1
    assert [out.tolist() for out in outs] == [[1.0] * 3, [1.0] * 3, [3.0] * 3, [5.0] * 3]
    assert xs.tolist() == [0.0] * 3


def test_parameters_are_constants(engine):
    x, w = engine.Value(1.0), engine.Value(2.0)
    y = x * w
    function = numpy_function(y, {"x": x})
    w.data = x.data = 5.0
    y.forward()
    assert function(3.0) == 6.0 and y.data == 25.0


def test_no_value_is_kept(engine, no_new_nodes):
    loss, x, _ = course_point(engine)
    function = numpy_function(loss, x)
    expected = float(function(0.5, -1.25))
    del loss, x
    for other in pickle.loads(pickle.dumps(function)), copy.deepcopy(function):
        assert other(0.5, -1.25) == expected
        assert repr(other) == "<function of x0, x1>"


def test_where_micrograd_raises_it_warns(engine):
    x = engine.Value(1.0)
    function = numpy_function(x.log(), [x])
    with pytest.raises(ValueError, match="only positive"):
        engine.Value(0.0).log()
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert function(0.0) == -math.inf


def test_large_numbers(engine):
    """The largest logit is found anew, and sigmoid does not overflow."""
    xs = [engine.Value(x) for x in (1.0, 2.0, 3.0)]
    loss = engine.cross_entropy(xs, 1)
    assert close(numpy_function(loss, xs)(-720.0, 0.0, 0.0), math.log(2.0))
    sigmoid = numpy_function(xs[0].sigmoid(), xs[:1])
    assert sigmoid([1000.0, -1000.0, 0.0]).tolist() == [1.0, 0.0, 0.5]


def test_mistakes(engine):
    x = engine.Value(1.0)
    with pytest.raises(TypeError, match=r"takes 2 arguments \(a, b\), and was given 1"):
        y = engine.Value(2.0)
        numpy_function(x * y, {"a": x, "b": y})(1.0)
    with pytest.raises(ValueError, match="input x0 is no leaf"):
        numpy_function(x * 2, [x * 2])


def test_numbers_of_other_types(engine):
    x = engine.Value(1.0)
    function = numpy_function(x * 2, [x])
    for given, expected in (
        (2**70, 2.0**71),
        ([Fraction(1, 4), 1], [0.5, 2.0]),
        (numpy.array([], dtype=object), []),
        ([True, False], [2.0, 0.0]),
        (numpy.array([1, 2], dtype=numpy.uint8), [2.0, 4.0]),
    ):
        found = function(given)
        assert found.dtype == numpy.float64 and found.tolist() == expected


NO_NUMBERS = {
    "None": (lambda e: None, "expected a number, not NoneType: None"),
    "None in a list": (lambda e: [1.0, None], "expected a number, not NoneType: None"),
    "complex": (lambda e: 1j, "argument x must be real numbers, not 1j"),
    "complex array": (lambda e: numpy.array([1j]), "argument x must be real numbers, not array"),
    "text": (lambda e: "3", "argument x must be real numbers, not '3'"),
    "a date": (lambda e: numpy.datetime64(1, "s"), "argument x must be real numbers, not"),
    "masked": (
        lambda e: numpy.ma.array([1.0, 2.0], mask=[0, 1]),
        r"argument x is a masked array: pass its filled\(numpy.nan\)",
    ),
    "a Value": (
        lambda e: e.Value(3.0),
        r"argument x must be numbers, not Value\(data=3.0, grad=0.0\), of which .data is one",
    ),
    "a Value in a list": (lambda e: [e.Value(3.0)], "x.data is its number"),
}


@pytest.mark.parametrize("what", NO_NUMBERS)
def test_no_numbers(engine, what):
    given, text = NO_NUMBERS[what]
    x = engine.Value(1.0)
    with pytest.raises(TypeError, match=text):
        numpy_function(x * 2, {"x": x})(given(engine))


def test_without_numpy(engine, monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy", None)
    x = engine.Value(1.0)
    with pytest.raises(ImportError, match="this needs NumPy: pip install numpy"):
        numpy_function(x * 2, [x])


def test_in_a_recorded_function(engine):
    @engine.recorded
    def f(x):
        return numpy_function(x * 2, [x])

    with pytest.raises(engine.RecordingError, match=r"exports a Value .* after the call"):
        f(1.0)


@pytest.mark.usefixtures("switches")
def test_in_threads(engine):
    loss, x, _ = course_point(engine)
    function, points = numpy_function(loss, x), numpy.linspace(-2, 2, 100)
    with ThreadPoolExecutor(4) as pool:
        found = [*pool.map(lambda y: function(points, y).tolist(), [0.5, -1.0] * 8)]
    assert found == [function(points, y).tolist() for y in [0.5, -1.0] * 8]


class Counted:
    """A number of a kind whose objects can be counted."""

    def __init__(self, x):
        self.x = x
        living.add(self)


living = weakref.WeakSet()


def test_what_is_not_needed_any_more_is_freed(engine):
    """It may be a large array. What is an output stays."""
    x = y = engine.Value(1.0)
    outs = []
    for i in range(30):
        y = y * x + 1.0
        outs += [y] * (i == 3)
    listing, most = Listing([*outs, y], [x], None), 0

    def function(a, b, of):
        nonlocal most
        gc.collect()
        most = max(most, len(living))
        return Counted(of(a.x, b.x))

    functions = {
        "+": lambda a, b: function(a, b, operator.add),
        "*": lambda a, b: function(a, b, operator.mul),
    }
    found = evaluate(listing, functions, [Counted(1.0)], [], Counted)
    assert [out.x for out in found] == [5.0, 31.0] and most <= 6


@needs_c
def test_a_fit_over_both_engines():
    """Of a line, by the numbers that its parameters have in a grid."""
    found = []
    for engine in ENGINES.values():
        w, b = engine.Value(0.0), engine.Value(0.0)
        loss = engine.sum([(w * x + b - y) ** 2 for x, y in ((0.0, 1.0), (1.0, 3.0), (2.0, 5.0))])
        grid = numpy.linspace(-4, 4, 17)
        losses = numpy_function(loss, [w, b])(grid[:, None], grid)
        i, j = numpy.unravel_index(losses.argmin(), losses.shape)
        found.append((grid[i], grid[j], losses.tolist()))
    assert found[0] == found[1] and found[0][:2] == (2.0, 1.0)
