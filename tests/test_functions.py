"""dot, sum and softmax record what the operators written out would, on both engines."""

import builtins
import math

import numpy as np
import pytest
from conftest import bits, outcome
from hypothesis import given
from hypothesis import strategies as st
from test_nn import graph

from micrograd import compiled, pure
from micrograd.compiled import live_nodes

# -----------------------------------------------------------------------------
# the operators written out


def dot_written_out(ws, xs, start):
    for w, x in zip(ws, xs):
        start = start + w * x
    return start


def sum_written_out(xs, start):
    for x in xs:
        start = start + x
    return start


def softmax_written_out(xs):
    max_val = max(x.data for x in xs)
    ex = [(x - max_val).exp() for x in xs]
    denom = builtins.sum(ex)
    return [e / denom for e in ex]


names = st.sampled_from("abc")  # of three Values
numbers = st.floats() | st.sampled_from([0.0, -0.0, 1.0, 2.0, math.inf, math.nan])


def named_values(engine):
    return {name: engine.Value(x) for name, x in zip("abc", (0.5, -3.0, 1e200))}


def seen_of(root, values):
    """A graph, and what a backward pass over it leaves in the named Values."""
    root.backward()
    return graph(root), [bits(v.grad) for v in values.values()]


@given(st.lists(st.tuples(names | numbers, names | numbers), max_size=6), names | numbers)
def test_as_written_out(pairs, start):
    def run(engine, function, *arguments):
        values = named_values(engine)
        before = live_nodes()
        root = function(*[
            [values.get(x, x) for x in xs] if isinstance(xs, list) else values.get(xs, xs)
            for xs in arguments
        ])  # fmt: skip
        root = root if isinstance(root, engine.Value) else engine.Value(root)
        nodes = live_nodes() - before
        return nodes, seen_of(root, values)

    ws, xs = [w for w, _ in pairs], [x for _, x in pairs]
    for engine in (compiled, pure):
        before = live_nodes()
        expected = run(engine, dot_written_out, ws, xs, start)
        assert run(engine, engine.dot, ws, xs, start) == expected
        expected = run(engine, sum_written_out, xs, start)
        assert run(engine, engine.sum, xs, start) == expected
        assert live_nodes() == before


@given(st.lists(names | numbers, min_size=1, max_size=5), st.integers(0, 4))
def test_softmax_as_written_out(xs, which):
    def run(engine, softmax):
        values = named_values(engine)
        out = softmax([values[x] if x in values else engine.Value(x) for x in xs])
        loss = out[which % len(out)] * out[0]  # both go through the one denominator
        return [seen_of(v, values) for v in (*out, loss)]

    for engine in (compiled, pure):
        before = live_nodes()
        assert run(engine, engine.softmax) == run(engine, softmax_written_out)
        assert live_nodes() == before


def test_the_order_of_the_operands(engine):
    a, b = engine.Value(3.0), engine.Value(2.0)

    def shape(v):
        return (v._op, *map(shape, v._prev)) if v._prev else v.data

    product = ("*", 3.0, 2.0)
    assert shape(engine.dot([a], [b])) == ("+", product, 0.0)
    assert shape(engine.dot([a], [b], 7)) == ("+", product, 7.0)
    assert shape(engine.dot([a], [b], b)) == ("+", 2.0, product)
    assert shape(engine.dot([4], [a], b)) == ("+", 2.0, ("*", 3.0, 4.0))
    assert shape(engine.dot([a], [4], b)) == ("+", 2.0, ("*", 3.0, 4.0))
    assert shape(engine.dot([4], [5], b)) == ("+", 2.0, 20.0)
    assert shape(engine.dot([4, a, 6], [5, b, 7], 1)) == ("+", ("+", product, 21.0), 42.0)
    assert shape(engine.sum([a, b])) == ("+", ("+", 3.0, 0.0), 2.0)
    assert shape(engine.sum([1, 4, a, 5], 1)) == ("+", ("+", 3.0, 6.0), 5.0)
    assert shape(engine.sum([1, a], b)) == ("+", ("+", 2.0, 1.0), 3.0)
    assert shape(engine.sum([a], start=b)) == ("+", 2.0, 3.0)
    exponential = ("exp", ("+", 3.0, -3.0))
    assert shape(engine.softmax([a])[0]) == (
        "*", exponential, ("**-1", ("+", exponential, 0.0)),
    )  # fmt: skip


def test_numbers_alone_are_a_leaf(engine, no_new_nodes):
    for v, expected in (
        (engine.dot([1, 2], [3.0, 4]), 11.0),
        (engine.dot([], []), 0.0),
        (engine.dot([], [], 2), 2.0),
        (engine.dot([1e200], [1e200]), math.inf),
        (engine.sum([1, 2.5]), 3.5),
        (engine.sum([]), 0.0),
        (engine.sum([], start=-0.0), -0.0),
        (engine.sum([0.1] * 10), 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1),
        (engine.sum([1e100, 1.0, -1e100]), 0.0),  # Python's own, corrected sum is 1.0
        (engine.sum([2**53, 1, 1]), 2.0**53),  # integers are floats, too
    ):
        assert isinstance(v, engine.Value)
        assert (bits(v.data), v._prev, v._op) == (bits(expected), (), "")


def test_an_empty_list_gives_start_itself(engine):
    v = engine.Value(2.0) * 3
    with engine.no_grad():
        assert engine.sum([], v) is v
    assert engine.dot([], [], v) is engine.sum([], v) is engine.sum((), start=v) is v


@pytest.mark.parametrize("kind", [list, tuple, iter, lambda xs: (x for x in xs), dict.fromkeys])
def test_anything_iterable(engine, kind):
    a, b, c = (engine.Value(x) for x in (0.5, -3.0, 2.0))
    assert graph(engine.dot(kind([a, b]), kind([c, 4.0]))) == graph(0 + a * c + b * 4.0)
    assert graph(engine.sum(kind([a, b, 1.0]))) == graph(0 + a + b + 1.0)
    assert [graph(v) for v in engine.softmax(kind([a, b]))] == [
        graph(v) for v in softmax_written_out([a, b])
    ]


def test_numbers_of_any_kind(engine):
    a = engine.Value(0.1)
    ws = np.array([0.1, 0.7], dtype=np.float32)
    expected = 0 + a * float(ws[0]) + float(ws[1]) * a
    assert graph(engine.dot(ws, [a, a])) == graph(expected)
    assert graph(engine.sum([a, np.int64(3), True])) == graph(0 + a + 3.0 + 1.0)
    # arithmetic of numbers, too, is that of floats
    assert engine.dot(ws, ws).data == 0 + float(ws[0]) * float(ws[0]) + float(ws[1]) * float(ws[1])


def test_a_subclass_is_a_value(engine):
    class Named(engine.Value):
        pass

    a, b = Named(0.5), engine.Value(2.0)
    assert graph(engine.dot([a, 1.0], [b, a], a)) == graph(a + a * b + 1.0 * a)
    assert graph(engine.sum([a, b])) == graph(0 + a + b)
    assert sum(v.data for v in engine.softmax([a, b])) == 1.0
    if engine is compiled:
        with pytest.raises(AttributeError, match="__init__ was not called"):
            engine.sum([Named.__new__(Named)])


@pytest.mark.parametrize(
    "attempt, exception, words",
    [
        (lambda e, v: e.dot([v, 1], [v]), ValueError, ("2", "1")),
        (lambda e, v: e.dot([], [v, v, v]), ValueError, ("0", "3")),
        (lambda e, v: e.dot([v, "x"], [v, v]), TypeError, ("ws[1]", "'x'")),
        (lambda e, v: e.dot([v, v], [None, v]), TypeError, ("xs[0]", "None")),
        (lambda e, v: e.dot([[v]], [v]), TypeError, ("ws[0]", "list")),
        (lambda e, v: e.dot([v], [v], "3"), TypeError, ("'3'",)),
        (lambda e, v: e.dot([], [], None), TypeError, ("None",)),
        (lambda e, v: e.dot(v, [v]), TypeError, ("ws must be a list, not a Value: write [a]",)),
        (lambda e, v: e.dot([v], 3), TypeError, ("xs must be a list, not 3: write [a]",)),
        (lambda e, v: e.dot([10**400], [v]), OverflowError, ("too large",)),
        (lambda e, v: e.sum([v, b"1"]), TypeError, ("xs[1]", "b'1'")),
        (lambda e, v: e.sum("ab"), TypeError, ("xs[0]", "'a'")),
        (lambda e, v: e.sum([v, v], [v]), TypeError, ("list",)),
        (lambda e, v: e.sum(v), TypeError, ("xs must be a list, not a Value: write [a]",)),
        (lambda e, v: e.sum([None], "x"), TypeError, ("xs[0]",)),
        (lambda e, v: e.sum([10**400, v]), OverflowError, ("too large",)),
        (lambda e, v: e.softmax([]), ValueError, ("0",)),
        (lambda e, v: e.softmax([v, "x"]), TypeError, ("'x'",)),
        (lambda e, v: e.softmax(v), TypeError, ("xs must be a list, not a Value: write [a]",)),
        (lambda e, v: e.softmax(None), TypeError, ("xs must be a list, not None",)),
        (lambda e, v: e.cross_entropy(v, 0), TypeError, ("logits must be a list, not a Value: ",)),
        (lambda e, v: e.sum(len(x) for x in [[], v]), TypeError, ("'Value' has no len()",)),
        (lambda e, v: e.softmax(len(x) for x in [v]), TypeError, ("'Value' has no len()",)),
        (lambda e, v: e.sum(1 / x for x in [1.0, 0.0]), ZeroDivisionError, ("zero",)),
    ],
)
def test_wrong_input(no_new_nodes, attempt, exception, words):
    seen = [outcome(attempt, engine, engine.Value(1.0)) for engine in (compiled, pure)]
    assert seen[0] == seen[1]
    assert seen[0][0] is exception
    assert all(word in seen[0][1] for word in words), seen[0][1]


@pytest.mark.parametrize("engine, other", [(compiled, pure), (pure, compiled)])
def test_the_engines_do_not_mix(no_new_nodes, engine, other):
    ours, theirs = engine.Value(1.0), other.Value(2.0)
    for attempt in (
        lambda: engine.dot([ours, theirs], [ours, ours]),
        lambda: engine.dot([ours], [theirs]),
        lambda: engine.dot([ours], [ours], theirs),
        lambda: engine.sum([ours, theirs]),
        lambda: engine.sum([], theirs),
        lambda: engine.softmax([ours, theirs]),
    ):
        with pytest.raises(TypeError, match=r"Value\(data=2\.0"):
            attempt()


# -----------------------------------------------------------------------------
# no_grad, forward, cross_entropy


def test_no_grad(engine):
    a, b = engine.Value(0.7), engine.Value(-0.3)

    def compute():
        return [engine.dot([a, 2, b], [b, 3, 4], a), engine.sum([a, 1, b]), *engine.softmax([a, b])]

    expected = [bits(v.data) for v in compute()]
    before = live_nodes()
    with engine.no_grad():
        seen = compute()
        assert live_nodes() - before == (len(seen) if engine is compiled else 0)
    assert [bits(v.data) for v in seen] == expected
    for v in seen:
        assert (v._prev, v._op, v._is_leaf) == ((), "", True)
        with pytest.warns(UserWarning, match="computed under no_grad"):
            v.backward()
        v.forward()
        assert bits(v.data) == expected.pop(0)
    assert (a.grad, b.grad) == (0.0, 0.0)


def test_forward_after_leaves_have_changed(engine):
    a, b, c = (engine.Value(x) for x in (0.5, -3.0, 2.0))

    def compute():
        return [
            engine.dot([a, b, 2.0], [b, 4.0, c], c),
            engine.sum([a, b, 1.0, a]),
            *engine.softmax([a, b, c, 0.25]),
        ]

    def gradients(root):
        a.grad = b.grad = c.grad = 0.0
        root.backward()
        return [bits(x.grad) for x in (a, b, c)]

    recorded = compute()
    for a.data, b.data, c.data in (
        (0.25, 7.0, 2.0),
        (1000.0, -5.0, 2000.0),
        (-1e308, 1e308, 0.0),
        (math.nan, 1.0, 2.0),
        (math.inf, math.inf, 0.0),
        (0.5, -3.0, 2.0),
    ):
        for i, v in enumerate(recorded):
            v.forward()
            again = compute()[i]
            assert bits(v.data) == bits(again.data)
            assert gradients(v) == gradients(again)


def test_forward_that_fails_leaves_all_as_it_was(engine):
    x = engine.Value(2.0)
    y = x.log()
    roots = [engine.dot([y, x], [x, 3.0]), engine.sum([x, y]), *engine.softmax([x, y])]
    before = [bits(v.data) for v in (y, *roots)]
    x.data = 0.0
    for root in roots:
        with pytest.raises(ValueError, match=r"log\(0\.0\)"):
            root.forward()
    assert [bits(v.data) for v in (y, *roots)] == before


def test_softmax_of_large_numbers(engine):
    # exp(1000) would be too large; the largest is subtracted first
    assert [v.data for v in engine.softmax([1000.0, 0.0, -1e308])] == [1.0, 0.0, 0.0]
    assert [v.data for v in engine.softmax([1e308, -1e308])] == [1.0, 0.0]
    for special in ([math.nan], [math.inf, 1.0], [-math.inf], [1.0, math.nan]):
        assert all(math.isnan(v.data) for v in engine.softmax(special))
    assert [v.data for v in engine.softmax([0.0, -math.inf])] == [1.0, 0.0]


def test_cross_entropy_is_the_logarithm_of_a_softmax(engine):
    logits = [engine.Value(x) for x in (0.5, -3.0, 2.0)]
    for target in range(3):
        loss = engine.cross_entropy(logits, target)
        assert graph(loss) == graph(-engine.softmax(logits)[target].log())


def test_what_is_dropped_is_freed():
    a, b = compiled.Value(0.5), compiled.Value(2.0)
    before = live_nodes()
    out = compiled.softmax([a, b, a])
    everything = live_nodes()
    del out[0]  # the others go on using the denominator, which uses its exponential
    assert live_nodes() == everything - 3  # the product, the power and its exponent
    del out
    assert live_nodes() == before
    # the items are held as long as it takes, wherever they come from
    assert compiled.dot((a * i for i in range(9)), (b * i for i in range(9))).data == 204.0
    assert compiled.sum(compiled.softmax([a * i for i in range(9)])).data == pytest.approx(1)
    assert live_nodes() == before


def test_a_layer_of_dots(engine):
    """What a scalar network's layer is made of, and what its neurons record."""
    layer = engine.Layer(3, 2, nonlin=False, rng=engine.RNG(5))
    x = [engine.Value(0.5), engine.Value(-1.0), 2.0]
    for ours, theirs in zip([engine.dot(n.w, x, n.b) for n in layer.neurons], layer(x)):
        assert graph(ours) == graph(theirs)
