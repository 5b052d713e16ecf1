"""take and linear, and cross_entropy of a target that changes, outside of recorded functions."""

import math
import operator

import numpy as np
import pytest
from conftest import bits
from test_nn import graph

from micrograd import compiled, gradcheck, pure

# -----------------------------------------------------------------------------
# take


def test_a_value_of_a_list(engine, no_new_nodes):
    items = [engine.Value(x) for x in (0.5, -3.0, 2.0)]
    for i, item in enumerate(items):
        node = engine.take(items, i)
        assert isinstance(node, engine.Value) and node is not item
        assert (bits(node.data), node._op, node._prev) == (bits(item.data), "take", (item,))
        assert node._local_grads == (1.0,) and not node._is_leaf
        (node * 3).backward()
        assert [v.grad for v in items] == [3.0 * (k <= i) for k in range(3)]


def test_a_row_of_a_list_of_rows(engine, no_new_nodes):
    rows = [[engine.Value(10 * i + j) for j in range(3)] for i in range(2)]
    row = engine.take(rows, 1)
    assert [v._prev for v in row] == [(v,) for v in rows[1]]
    assert [v.data for v in row] == [10.0, 11.0, 12.0]
    assert engine.take([[], []], 1) == []
    assert [v.data for v in engine.take(((1, 2), [3, 4]), 0)] == [1.0, 2.0]
    assert [v.data for v in engine.take(np.eye(2), 1)] == [0.0, 1.0]
    assert [v.data for v in engine.take(iter(rows), 0)] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("x", [0.0, -0.0, math.inf, math.nan, 5e-324, 3, np.float32(0.1), True])
def test_numbers_become_leaves(engine, no_new_nodes, x):
    for node in (engine.take([x, 1.0], 0), *engine.take([[x], [1.0]], 0)):
        [leaf] = node._prev
        assert leaf._is_leaf and bits(leaf.data) == bits(node.data) == bits(float(x))


@pytest.mark.parametrize("i", [1, True, np.int8(1), np.uint64(1)])
def test_indices_of_any_kind(engine, i):
    assert engine.take([0.5, 2.5], i).data == 2.5


def test_items_that_are_computed(engine, no_new_nodes):
    x = engine.Value(2.0)
    items = [x * 3, x.exp(), x]
    root = engine.take(items, 0) * engine.take(items, 2)
    root.backward()
    assert (root.data, x.grad) == (12.0, 12.0)
    x.data = 3.0
    root.forward()
    assert root.data == 27.0


def test_a_subclass_is_a_value(engine):
    class Named(engine.Value):
        pass

    item = Named(0.5)
    assert type(engine.take([item], 0)) is engine.Value
    assert engine.take([[item]], 0)[0]._prev == (item,)


def test_no_grad(engine):
    items = [engine.Value(0.5) * 1, engine.Value(2.0)]
    with engine.no_grad():
        for node in (engine.take(items, 0), *engine.take([items, items], 1)):
            assert node._is_leaf and node._op == "" and node not in items
            with pytest.warns(UserWarning, match="computed under no_grad"):
                node.backward()
        assert engine.take(items, 1).data == 2.0
    assert [v.grad for v in items] == [0.0, 0.0]


def test_a_pass_that_fails_leaves_all_as_it_was(engine):
    x = engine.Value(2.0)
    y = engine.take([x.log(), x], 0)
    before = y.data
    x.data = 0.0
    with pytest.raises(ValueError, match=r"log\(0\.0\)"):
        y.forward()
    assert y.data == before
    z = engine.take([engine.Value(0.0).sqrt()], 0)
    with pytest.raises(ZeroDivisionError):
        z.backward()
    assert z.grad == 0.0


def test_gradients(engine):
    values = [engine.Value(x) for x in (0.5, -2.0)]
    assert gradcheck(lambda *v: engine.take(v, 1) * engine.take([v, v], 0)[0], values)
    assert gradcheck(lambda a, b: engine.linear([a, b], [[b, 2.0]])[0], values)


@pytest.mark.parametrize(
    "attempt, exception, message",
    [
        (lambda e, v: e.take([v] * 27, 27), IndexError, "index 27 is out of range for 27 items"),
        (lambda e, v: e.take([v], -1), IndexError, "index -1 is out of range for 1 items"),
        (lambda e, v: e.take([[v]] * 3, 4), IndexError, "index 4 is out of range for 3 items"),
        (lambda e, v: e.take([], 0), IndexError, "index 0 is out of range for 0 items"),
        (lambda e, v: e.take([], -1), IndexError, "index -1 is out of range for 0 items"),
        (lambda e, v: e.take([v], 2**70), IndexError, f"index {2**70} is out of range for 1 items"),
        (lambda e, v: e.take([v], 0.5), TypeError, "an index must be an integer, not 0.5"),
        (
            lambda e, v: e.cross_entropy([v], 2.0),
            TypeError,
            "integer, not 2.0: write 2, or int() of",
        ),
        (lambda e, v: e.cross_entropy([v] * 3, -1), IndexError, "for 3 logits: labels are 0 to 2"),
        (lambda e, v: e.take([v], None), TypeError, "an index must be an integer, not None"),
        (lambda e, v: e.take([], "0"), TypeError, "an index must be an integer, not '0'"),
        (lambda e, v: e.take([v], v), TypeError, "an index must be an integer, not a Value"),
        (lambda e, v: e.cross_entropy([v], v), TypeError, "target must be an integer, not a Value"),
        (
            lambda e, v: e.take([[v, v], [v, v], [v]], 0),
            ValueError,
            "take needs rows of one length: items[0] has 2 items, and items[2] 1",
        ),
        (lambda e, v: e.take([[v], v], 0), TypeError, "items[1] must be a row, a list, not Value"),
        (lambda e, v: e.take([[v], 2], 0), TypeError, "items[1] must be a row, a list, not int"),
        (lambda e, v: e.take([v, [v]], 0), TypeError, "items[1]: expected a number, not list"),
        (lambda e, v: e.take([v, "x"], 0), TypeError, "items[1]: expected a number, not str: 'x'"),
        (lambda e, v: e.take([[v], ["x"]], 0), TypeError, "items[1][0]: expected a number, not"),
        (lambda e, v: e.take(v, 0), TypeError, "items must be a list, not a Value: write [a]"),
        (lambda e, v: e.take([None], 0), TypeError, "items[0] must be a list, not None"),
        (lambda e, v: e.take({0: v}, 0), TypeError, "a dict has not: pass list(d.values())"),
        (lambda e, v: e.take({v}, 0), TypeError, "a set has not: pass a list"),
        (
            lambda e, v: e.linear([v, v], [[v, v], [v]]),
            ValueError,
            "linear needs rows as long as x: w[1] has 1 items, and x 2",
        ),
        (
            lambda e, v: e.linear([], [[], [v]]),
            ValueError,
            "linear needs rows as long as x: w[1] has 1 items, and x 0",
        ),
        (lambda e, v: e.linear([v], [v]), TypeError, "w[0] must be a row, a list, not Value"),
        (lambda e, v: e.linear([v], [["x"]]), TypeError, "w[0][0]: expected a number, not str"),
        (lambda e, v: e.linear(["x"], [[v]]), TypeError, "x[0]: expected a number, not str"),
        (lambda e, v: e.linear(v, [[v]]), TypeError, "x must be a list, not a Value: write [a]"),
        (lambda e, v: e.linear([v], v), TypeError, "w must be a list, not a Value: write [a]"),
    ],
)
def test_wrong_input(engine, no_new_nodes, attempt, exception, message):
    with pytest.raises(exception) as caught:
        attempt(engine, engine.Value(1.0))
    assert type(caught.value) is exception and message in str(caught.value)


@pytest.mark.parametrize("engine, other", [(compiled, pure), (pure, compiled)])
def test_the_engines_do_not_mix(no_new_nodes, engine, other):
    ours, theirs = engine.Value(1.0), other.Value(2.0)
    for attempt in (
        lambda: engine.take([ours, theirs], 0),
        lambda: engine.take([[ours], [theirs]], 0),
        lambda: engine.linear([theirs], [[ours]]),
        lambda: engine.linear([ours], [[theirs]]),
    ):
        with pytest.raises(TypeError, match=r"Value\(data=2\.0"):
            attempt()


# -----------------------------------------------------------------------------
# linear


def test_linear_is_a_dot_for_each_row(engine, no_new_nodes):
    x = [engine.Value(0.5), 2.0, engine.Value(-3.0)]
    w = [[engine.Value(i + j) for j in range(3)] for i in range(2)]
    w.append([1, engine.Value(0.25), 3.0])
    assert [*map(graph, engine.linear(x, w))] == [graph(engine.dot(row, x)) for row in w]
    assert engine.linear(x, []) == []
    assert [*map(graph, engine.linear(iter(x), map(iter, w)))] == [*map(graph, engine.linear(x, w))]
    numbers = engine.linear([1.0, 2.0], [[3.0, 4.0]])[0]
    assert (numbers.data, numbers._is_leaf) == (11.0, True)
    assert [v.data for v in engine.linear([], [[], []])] == [0.0, 0.0]


def test_the_order_of_linears_operands(engine):
    w, x = engine.Value(2.0), engine.Value(3.0)
    product = engine.linear([x], [[w]])[0]._prev[0]
    assert [*map(operator.attrgetter("data"), product._prev)] == [2.0, 3.0]  # as microgpt has it
