"""Recorded functions: what a replay gives is what the function itself gives, bit for bit."""

import asyncio
import copy
import functools
import gc
import inspect
import itertools
import math
import operator
import os
import pickle
import random
import signal
import struct
import sys
import threading
import types
import weakref
from enum import Enum
from fractions import Fraction

import numpy as np
import pytest
from conftest import ENGINES, IS_CPYTHON, bits, collect_garbage, live_nodes, times
from hypothesis import given, settings
from hypothesis import strategies as st
from small_gpt import GPT, tokens_of, words
from test_recording import needs_timer, storm  # noqa: F401

import micrograd
from micrograd import RecordingError, grad_mode, gradcheck


@pytest.fixture(autouse=True)
def nothing_left(no_new_nodes):
    """No test leaves nodes, or a recorder that is open."""
    yield
    collect_garbage()
    assert not grad_mode.recorder_blocks and not grad_mode.no_grad_blocks


@pytest.fixture
def table(engine, no_new_nodes):
    values = [engine.Value(x) for x in (2.0, -3.0, 0.5, 7.0)]
    yield values
    values.clear()  # pytest keeps the list


def numbers(values):
    return [bits(x) for v in values for x in (v.data, v.grad)]


# -----------------------------------------------------------------------------
# the same numbers


@pytest.fixture
def trained(engine):
    """A function that trains a GPT on words, recorded or not, and returns all numbers seen."""

    def trained(is_recorded, some_words):
        model = GPT(engine)
        optimizer = engine.AdamW(model.parameters(), lr=0.05)
        loss_of = engine.recorded(model.loss) if is_recorded else model.loss
        seen = []
        for word in some_words:
            loss = loss_of(tokens_of(word))
            loss.backward()
            seen += [bits(loss.data), *(bits(p.grad) for p in model.parameters())]
            optimizer.step()
            optimizer.zero_grad()
        return seen, [bits(p.data) for p in model.parameters()], loss_of

    return trained


def test_a_gpt_that_is_trained(trained):
    some_words = words(40)
    *seen, loss = trained(True, some_words)
    *expected, _ = trained(False, some_words)
    assert seen == expected
    lengths = len({len(word) for word in some_words})
    assert loss.cache_info() == (40 - lengths, lengths, 128, lengths)


@settings(max_examples=settings.default.max_examples // 3)  # of many nodes each
@given(st.lists(st.text("abcdefgh", min_size=1, max_size=4), min_size=1, max_size=3), st.data())
def test_random_words(words, data):
    engine = micrograd
    model = GPT(engine, seed=3)
    loss = engine.recorded(model.loss)
    for word in words * 2:
        p = data.draw(st.sampled_from(model.parameters()))
        p.data = data.draw(st.floats(-2, 2))
        seen = []
        for function in (loss, model.loss):
            result = function(tokens_of(word))
            result.backward()
            seen.append([bits(result.data), *(bits(p.grad) for p in model.parameters())])
            for p in model.parameters():
                p.grad = 0
        assert seen[0] == seen[1]


def words_seen(engine, is_recorded, some_words):
    """Train a GPT on words; return the bits of each loss and of all its gradients."""
    model = GPT(engine)
    parameters = model.parameters()
    optimizer = engine.Adam(parameters)
    loss_of = engine.recorded(model.loss) if is_recorded else model.loss
    seen = []
    for word in some_words:
        loss = loss_of(tokens_of(word))
        loss.backward()
        numbers = [loss.data, *(p.grad for p in parameters)]
        seen.append(struct.pack(f"<{len(numbers)}d", *numbers))
        optimizer.step()
        optimizer.zero_grad()
    return seen


@times(50, 1000)
def test_words(n):
    """Recorded or not, on either engine: the same losses and gradients."""
    some_words = words(n)
    ways = [(engine, is_recorded) for engine in ENGINES.values() for is_recorded in (True, False)]
    seen = [words_seen(*way, some_words) for way in ways]
    assert all(one == seen[0] for one in seen) and len(set(seen[0])) == n


def test_every_operation(engine):
    def function(i, j, x, y, row):
        taken = engine.take(row, i)
        values = [x + y, x * taken, abs(x - y), (x * x + 0.1) ** y, x / (y * y + 1.0), 2.0**x]
        values += [x.tanh(), x.sigmoid(), x.sin(), x.cos(), (y * y + 0.5).log(), (x * 0.1).exp()]
        values += [(x * x + 0.5).sqrt(), (x - y).relu(), x**3, 1.0 - y, 1.0 / (x * x + 1.0)]
        values.append(engine.take(values, j))
        loss = engine.cross_entropy(values, j)
        return [engine.dot(values, values), *engine.softmax(values), loss]

    recorded = engine.recorded(function)
    rng = random.Random(5)
    for _ in range(30):
        arguments = [
            rng.randrange(3), rng.randrange(17), rng.uniform(-3, 3), rng.uniform(-3, 3),
            [rng.uniform(-3, 3) for _ in range(3)],
        ]  # fmt: skip
        # numbers in a plain call are no Values
        plain = [*arguments[:2], *map(engine.Value, arguments[2:4]), arguments[4]]
        assert numbers(recorded(*arguments)) == numbers(function(*plain))
    assert recorded.cache_info()[:2] == (29, 1)


@pytest.mark.parametrize("x", [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1e308])
def test_special_numbers(engine, x):
    function = engine.recorded(lambda x, i: [x * 2.0, engine.take([x, -x], i), x])
    function(1.0, 0)
    assert [bits(v.data) for v in function(x, 1)] == [bits(v) for v in (x * 2.0, -x, x)]


def test_a_model_and_labels_that_change(engine):
    model = engine.MLP(2, [4, 3], rng=engine.RNG(3))
    recorded = engine.recorded(lambda split: engine.mean_cross_entropy(model, split))
    points, _, _ = engine.gen_data(engine.RNG(5), n=20)
    for split in (points[:4], points[4:8], points[8:12]):
        seen = []
        for loss in (recorded(split), engine.mean_cross_entropy(model, split)):
            loss.backward()
            seen.append([bits(loss.data), *(bits(p.grad) for p in model.parameters())])
            model.zero_grad()
        assert seen[0] == seen[1]
    assert recorded.cache_info()[:2] == (2, 1)
    with pytest.raises(IndexError, match="target 3 is out of range for 3 logits"):
        recorded([*points[:3], ([1.0, 2.0], 3)])
    with pytest.raises(IndexError, match="target 4 is out of range for 3 logits"):
        recorded([([1.0, 2.0], 4)])


def test_the_gradients_are_right(engine):
    weights = [engine.Value(x) for x in (0.5, -1.0, 2.0)]
    for i in range(3):

        @engine.recorded
        def function(i, a):
            loss = engine.cross_entropy([w * a for w in weights], i)
            return (engine.take(weights, i) * a + loss).tanh()

        function(2 - i, 0.3)
        assert gradcheck(lambda *_, i=i, f=function: f(i, 0.3), weights)
        assert function.cache_info().misses == 1


def test_gradients_add_up_in_what_is_shared(engine, table):
    function = engine.recorded(lambda i: engine.take(table, i) * 3)
    function(1).backward()
    function(1).backward()
    function(2).backward()
    assert [v.grad for v in table] == [0.0, 6.0, 3.0, 0.0]


def test_inputs_have_gradients_of_their_call(engine):
    function = engine.recorded(lambda x: (x, x * x))
    for number in (3.0, 4.0, -1.0):
        x, square = function(number)
        assert (x.data, x.grad, square.grad) == (number, 0.0, 0.0)
        square.backward()
        assert x.grad == 2 * number


def test_what_may_be_chosen_is_computed_whatever_is_chosen(engine):
    """As in a plain call."""

    def function(x, i):
        return engine.take([x.log(), x], i)

    recorded = engine.recorded(function)
    assert recorded(2.0, 1).data == 2.0
    assert recorded(2.0, 0).data == math.log(2.0)
    for call in (lambda: recorded(0.0, 1), lambda: function(engine.Value(0.0), 1)):
        with pytest.raises(ValueError, match=r"log\(0\.0\)"):
            call()
    assert recorded(1.0, 0).data == 0.0


def test_a_choice_among_choices(engine, table):
    def function(i, j, k):
        pairs = [[engine.take(table, i), engine.take(table, j) * 2], [table[0] * 5, table[1]]]
        row = engine.take(pairs, k)
        return row[0] * row[1] + engine.take(row, k)

    recorded = engine.recorded(function)
    for i, j, k in itertools.product(range(4), range(4), range(2)):
        seen = []
        for root in (recorded(i, j, k), function(i, j, k)):
            root.backward()
            seen.append(numbers([root, *table]))
            for v in table:
                v.grad = 0.0
        assert seen[0] == seen[1]


def test_what_was_computed_outside_is_computed_anew(engine):
    x = engine.Value(2.0)
    y = x * 3
    function = engine.recorded(lambda a: y * a)
    assert function(1.0).data == 6.0
    x.data = 5.0
    assert (function(1.0).data, y.data) == (15.0, 15.0)


def test_parameters_change_between_calls(engine, tmp_path):
    model = engine.MLP(2, [3, 1], rng=engine.RNG(1))
    function = engine.recorded(lambda x: model(x))
    first = function([0.5, 1.0]).data
    model.save(tmp_path / "model.json")
    for p in model.parameters():
        p.data += 1.0
    second = function([0.5, 1.0]).data
    assert (second, first) != (first, second) and second == model([0.5, 1.0]).data
    model.load(tmp_path / "model.json")
    assert function([0.5, 1.0]).data == first
    assert function.cache_info()[:2] == (2, 1)


def test_a_parameter_of_a_subclass(engine):
    class Named(engine.Value):
        def __eq__(self, other):
            raise AssertionError

        __hash__ = engine.Value.__hash__

    items = [Named(2.0), Named(3.0)]
    function = engine.recorded(lambda v, i: engine.take(items, i) * v)
    assert [function(items[1], i).data for i in (0, 1)] == [6.0, 9.0]
    assert function.cache_info()[:2] == (1, 1)


def test_nodes_of_the_users(engine, table):
    def function(i, x):
        v = engine.take(table, i)
        out = engine.Value(0.0, (v, x), "own")

        def forward():
            return calls.append(1) or v.data + 2 * x.data

        def backward():
            v.grad += out.grad
            x.grad += 2 * out.grad

        out._forward, out._backward = forward, backward
        return out, x, out

    calls = []
    recorded = engine.recorded(function)
    recorded(0, 1.0)
    calls.clear()
    out, x, _ = recorded(1, 5.0)
    assert out.data == 7.0 and len(calls) == 1  # each node once
    out.backward()
    assert (table[1].grad, x.grad) == (1.0, 2.0)
    without = engine.recorded(lambda x: engine.Value(1.0, (x,), "own"))
    without(1.0)
    with pytest.raises(ValueError, match="forward\\(\\) cannot recompute the user node 'own'"):
        without(2.0)


# -----------------------------------------------------------------------------
# shapes


class Color(Enum):
    RED = 1


@pytest.mark.parametrize(
    "same, others",
    [
        (([1, 2], [3, 4]), ([1], [], [1, 2, 3], (1, 2), [1.0, 2], [1, [2]], [True, 2], 1, "a")),
        ((1, np.int8(3), np.uint64(3), 2**70), (1.0, True, None, "1", [1], (1,), np.bool_(1))),
        ((1.0, np.float64(3), np.float32(3), Fraction(1, 3), math.nan), (1, True, "1.0", [1.0])),
        (([1, 2], [np.int32(1), 2]), ()),
        ((([1, (2.0, "a")],), ([3, (4.0, "a")],)), (([1, (2.0, "b")],), ([(2.0, "a"), 1],))),
        ((True, True), (False, 1, 1.0, np.True_, "True", None)),
        (("a", "a"), ("b", b"a", ("a",))),
        ((int, int), (1, float, [int], (int,))),
        ((None,), (0, False, (), [])),
        ((Color.RED, Color.RED), (1, "RED")),
        ((frozenset({1}), frozenset({1})), (frozenset({2}), (1,))),
        ((math, math), (os,)),
    ],
)
def test_one_recording_for_each_shape(engine, same, others):
    ran = []
    function = engine.recorded(lambda x: ran.append(1) or engine.Value(1.0))
    for x in same:
        function(x)
    assert len(ran) == 1
    for n, x in enumerate(others, 2):
        function(x)
        function(x)
        assert len(ran) == n
    assert function.cache_info() == (len(same) - 1 + len(others), len(ran), 128, len(ran))


def test_names_are_part_of_the_shape(engine):
    ran = []
    function = engine.recorded(lambda *args, **kwargs: ran.append(1) or engine.Value(1.0))
    calls = [
        ((1, 2), {}), ((1,), {"a": 2}), ((), {"a": 1, "b": 2}), ((), {"a": 1, "c": 2}),
        ((1, "a", 2), {}), ((), {}), ((), {"self": 1}), ((), {"args": 1}),
    ]  # fmt: skip
    for n, (args, kwargs) in enumerate(calls, 1):
        function(*args, **kwargs)
        function(*args, **kwargs)
        assert len(ran) == n


def test_keywords_and_defaults(engine, table):
    @engine.recorded
    def function(i, *, x=2.0, activation="tanh", j=3):
        return getattr(engine.take(table, i) * x * table[j], activation)()

    assert function(0).data == math.tanh(28.0)
    assert function(1, x=0.5).data == math.tanh(-3.0 * 0.5 * 7.0)
    assert function(0, x=0.01, activation="relu").data == 2.0 * 0.01 * 7.0
    assert function(2, activation="relu", x=0.01).data == 0.5 * 0.01 * 7.0
    assert function.cache_info().misses == 4


def test_values_are_what_they_are(engine):
    a, b = engine.Value(2.0), engine.Value(2.0)
    function = engine.recorded(lambda v, vs: v * engine.sum(vs))
    assert function(a, [a, b]) is function(a, [a, b])
    assert function(a, [a, b]) is not function(b, [a, b])
    assert function.cache_info().misses == 2
    a.data = 5.0
    assert function(a, [a, b]).data == 35.0
    function(b, [a, b]).backward()
    assert (a.grad, b.grad) == (2.0, 9.0)
    # they are kept: another in the place of one that has died would have its id
    function = engine.recorded(lambda v, vs: engine.Value(1.0))
    for n in range(1, 50):
        function(engine.Value(1.0), [engine.Value(2.0)])
        assert function.cache_info().misses == n


def test_types_inside(engine):
    seen = []

    @engine.recorded
    def function(*args):
        seen.append(args)
        return engine.Value(1.0)

    function(1, 2.0, [3, (4.0,)], "a", True, None, a := engine.Value(1.0))
    [[i, x, items, text, flag, nothing, v]] = seen
    assert (text, flag, nothing, v) == ("a", True, None, a)
    assert type(items) is list and type(items[1]) is tuple
    assert repr(i) == repr(items[0]) == "<a changing int>" and type(i) is type(items[0])
    for number in (x, items[1][0]):
        assert type(number) is engine.Value and number._is_leaf


@pytest.mark.parametrize(
    "x, name",
    [({}, "dict"), ({1}, "set"), (np.ones(2), "ndarray"), (bytearray(1), "bytearray"),
     ([1, {}], "dict")],
)  # fmt: skip
def test_arguments_that_are_not_hashable(engine, x, name):
    function = engine.recorded(lambda x: engine.Value(1.0))
    with pytest.raises(TypeError, match=rf"hashable, and {name} is not: pass lists instead"):
        function(x)
    for iterator in (iter([1]), (x for x in [1]), map(int, "1")):
        with pytest.raises(TypeError, match=r"cannot take an iterator, .*: pass a list"):
            function([iterator])
    assert function.cache_info() == (0, 0, 128, 0)


def test_a_float_is_no_index(engine, table):
    for use in (engine.take, engine.cross_entropy):
        with pytest.raises(TypeError, match="must be an integer, not a Value"):
            engine.recorded(lambda x, use=use: use(table, x))(1.0)


@pytest.mark.parametrize("x", [1, 1.0, None, "a", {}, [1.0], [[None]]])
def test_results_that_are_no_values(engine, x):
    function = engine.recorded(lambda n: x)
    part = x
    while isinstance(part, list):
        [part] = part
    for _ in range(2):
        with pytest.raises(TypeError) as caught:
            function(1)
        assert str(caught.value) == (
            f"a recorded function must return a Value, or lists and tuples of Values, not {part!r}"
        )
    with pytest.raises(TypeError, match="not <a changing int>"):
        engine.recorded(lambda n: n)(1)
    assert function.cache_info() == (0, 0, 128, 0)


def test_several_results(engine, table):
    @engine.recorded
    def function(i, x):
        v = engine.take(table, i)
        w = v * x
        return [w, (w.tanh(), [v]), table[0], x, w, []]

    first = function(0, 2.0)
    again = function(1, 3.0)
    assert again is first
    w, (tanh, [v]), parameter, x, same, nothing = first
    assert type(first) is list and type(first[1]) is tuple
    assert (w.data, tanh.data, v.data, x.data) == (-9.0, math.tanh(-9.0), -3.0, 3.0)
    assert parameter is table[0] and same is w and nothing == []
    w.backward()
    assert (table[1].grad, x.grad) == (3.0, -3.0)
    assert engine.recorded(lambda: [])() == []


def test_the_next_call_changes_the_result(engine):
    function = engine.recorded(lambda x: x * 2.0)
    kept = function(1.0).detach()
    assert (function(1.0) + function(5.0)).data == 20.0
    assert (kept.data, function(1.0) is function(2.0)) == (2.0, True)


# -----------------------------------------------------------------------------
# errors leave all as it was


def test_an_exception_while_recording(engine, table):
    ran = []

    @engine.recorded
    def function(i):
        ran.append(1)
        if len(ran) < 3:
            raise KeyError(len(ran))
        return engine.take(table, i)

    before = numbers(table)
    for n in (1, 2):
        with pytest.raises(KeyError, match=str(n)):
            function(1)
        assert function.cache_info() == (0, 0, 128, 0)
        assert grad_mode.current_recorder() is None and numbers(table) == before
    assert function(1).data == -3.0
    assert function.cache_info() == (0, 1, 128, 1)


def test_an_index_out_of_range(engine, table):
    @engine.recorded
    def function(i, j, x):
        return [engine.take(table, i) * x, engine.cross_entropy(table[:3], j), x]

    for arguments, message in (
        ((4, 0, 1.0), "index 4 is out of range for 4 items"),
        ((0, 3, 1.0), "target 3 is out of range for 3 logits"),
        ((-1, 0, 1.0), "index -1 is out of range for 4 items"),
        ((2**70, 0, 1.0), f"index {2**70} is out of range for 4 items"),
        ((-(2**70), 0, 1.0), f"index {-(2**70)} is out of range for 4 items"),
    ):
        with pytest.raises(IndexError, match=message):
            engine.recorded(function.__wrapped__)(*arguments)
    results = function(1, 2, 0.5)
    results[0].backward()
    before, operands = numbers([*results, *table]), results[0]._prev[0]._prev
    for arguments, message in (
        ((4, 0, 2.0), "index 4 is out of range for 4 items"),
        ((0, 3, 2.0), "target 3 is out of range for 3 logits"),
        ((0, -1, 2.0), "target -1 is out of range for 3 logits"),
        ((-1, 9, 2.0), "index -1 is out of range for 4 items"),
        ((2**70, 0, 1.0), f"index {2**70} is out of range for 4 items"),
    ):
        with pytest.raises(IndexError, match=message):
            function(*arguments)
        assert numbers([*results, *table]) == before
        assert results[0]._prev[0]._prev == operands
        assert function.cache_info() == (0, 1, 128, 1)
    assert function(0, 0, 3.0)[0].data == 6.0


def test_a_replay_that_fails(engine, table):
    @engine.recorded
    def function(i, x):
        taken = engine.take(table, i)
        return [taken * x, (taken + x).log(), taken, x]

    results = function(0, 1.0)
    results[0].backward()
    before, operands = numbers([*results, *table]), results[2]._prev
    with pytest.raises(ValueError, match=r"log\(-2\.0\)"):
        function(1, 1.0)
    assert numbers([*results, *table]) == before
    assert results[2]._prev == operands
    results[0].backward()  # still that of the call before; it adds to taken.grad, too
    assert (table[0].grad, table[1].grad) == (1.0 + 2.0, 0.0)
    assert function(3, 1.0)[1].data == math.log(8.0)
    assert function.cache_info() == (1, 1, 128, 1)


def test_a_user_function_that_fails_in_a_replay(engine):
    problems = []

    @engine.recorded
    def function(x):
        y = x * 2.0
        own = engine.Value(1.0, (y,), "own")

        def forward():
            if problems:
                raise problems[0]
            return y.data

        own._forward = forward
        return [y, own * 1.0]

    results = function(1.0)
    function(2.0)
    before = numbers(results)
    for problem in (KeyError(), KeyboardInterrupt(), SystemExit()):
        problems.append(problem)
        with pytest.raises(type(problem)):
            function(5.0)
        assert numbers(results) == before
        problems.clear()
    assert function(5.0)[1].data == 10.0


def test_a_replay_inside_of_a_replay(engine):
    depth = []

    @engine.recorded
    def function(x):
        y = x * 1.0
        own = engine.Value(0.0, (y,), "own")

        def forward():
            if depth:
                depth.pop()
                return function(7.0).data + y.data
            return y.data

        own._forward = forward
        return own + 0.0

    function(1.0)
    assert function(2.0).data == 2.0
    depth.append(1)
    assert function(3.0).data == 3.0  # the inner one records anew, where own is 0
    assert function(4.0).data == 4.0
    function.cache_clear()  # `forward` is kept with a node of the recording that it keeps itself


# -----------------------------------------------------------------------------
# no_grad


def test_under_no_grad(engine, table):
    ran = []

    @engine.recorded
    def function(i, x):
        ran.append(grad_mode.is_recording())
        v = engine.take(table, i) * x
        return v, [v.tanh(), v], table[0], x

    with engine.no_grad():
        results = function(0, 0.5)
        for i, x in ((1, 0.25), (2, 0.125)):
            again = function(i, x)
            assert again is results
            v, (tanh, same), parameter, number = results
            assert v is same and parameter is table[0] and number.data == x
            assert v.data == table[i].data * x and tanh.data == math.tanh(v.data)
            assert v.grad == tanh.grad == 0.0
            for leaf in (v, tanh):
                assert (leaf._prev, leaf._op, leaf._is_leaf) == ((), "", True)
                with pytest.warns(UserWarning, match="computed under no_grad"):
                    leaf.backward()
        assert not grad_mode.is_recording()
        with pytest.raises(IndexError):
            function(9, 1.0)
        assert v.data == 0.0625
    assert [p.grad for p in table] == [0.0] * 4
    assert ran == [True]
    function(0, 0.5)[0].backward()
    assert table[0].grad == 0.5
    assert ran == [True, True] and function.cache_info() == (2, 2, 128, 2)


def test_an_error_under_no_grad(engine):
    function = engine.recorded(lambda x: x.log())
    with engine.no_grad():
        v = function(2.0)
        with pytest.raises(ValueError):
            function(0.0)
        assert v.data == math.log(2.0)
        with pytest.raises(RecordingError):
            engine.recorded(lambda x: x.data)(1.0)
        assert not grad_mode.is_recording()


def test_decorated_with_both(engine):
    function = engine.no_grad()(engine.recorded(lambda x: x * 2.0))
    assert [function(x).data for x in (1.0, 2.0)] == [2.0, 4.0]
    assert function(3.0)._is_leaf
    with pytest.raises(RecordingError, match="under no_grad"):
        engine.recorded(engine.no_grad()(lambda x: x * 2.0))(1.0)


# -----------------------------------------------------------------------------
# what it is made of


def test_inside_of_another(engine, table):
    @engine.recorded
    def inner(i, x):
        return engine.take(table, i) * x

    @engine.recorded
    def outer(i, j, x):
        return inner(i, x) + inner(j, 2.0) + inner(3, x)

    for i, j, x in ((0, 1, 0.5), (2, 3, 1.5)):
        assert outer(i, j, x).data == table[i].data * x + table[j].data * 2.0 + 7.0 * x
    assert inner.cache_info() == (0, 0, 128, 0) and outer.cache_info()[:2] == (1, 1)


def test_recursion(engine):
    @engine.recorded
    def product(xs):
        return xs[0] * product(xs[1:]) if xs else engine.Value(1.0)

    assert product([2.0, 3.0, 4.0]).data == 24.0
    assert product([1.0, 0.5, 3.0]).data == 1.5
    assert product.cache_info() == (1, 1, 128, 1)


class Model:
    def __init__(self, engine, n=3):
        self.w = [engine.Value(x) for x in range(n)]
        self.engine = engine

    def logit(self, i, x):
        return self.engine.take(self.w, i) * x


def test_a_method(engine):
    class Recorded(Model):
        logit = engine.recorded(Model.logit)

        @staticmethod
        @engine.recorded
        def twice(x):
            return x * 2.0

    a, b = Recorded(engine), Recorded(engine)
    assert [a.logit(i, 2.0).data for i in range(3)] == [0.0, 2.0, 4.0]
    assert b.logit(1, 3.0).data == 3.0 and a.logit(1, 3.0) is not b.logit(1, 3.0)
    assert Recorded.logit(a, 2, 1.0) is a.logit(2, 1.0)
    assert Recorded.logit.cache_info() == (6, 2, 128, 2)
    assert isinstance(a.logit, types.MethodType) and a.logit.__wrapped__ is Model.logit
    assert a.twice(2.0).data == Recorded.twice(2.0).data == 4.0
    with pytest.raises(IndexError):
        a.logit(3, 1.0)
    Recorded.logit.cache_clear()


def module_function(x):
    """The doc of a function."""
    return x * 2.0


plain_function = module_function


def test_it_looks_like_its_function(engine):
    def function(a: int, *, b: float = 1.0) -> None:
        """Its doc."""

    function.note = 7
    recorded = engine.recorded(function)
    assert recorded.__wrapped__ is function and recorded.__doc__ == "Its doc."
    assert (recorded.__name__, recorded.__module__) == ("function", __name__)
    assert recorded.__qualname__ == function.__qualname__ and recorded.note == 7
    assert inspect.signature(recorded) == inspect.signature(function)
    assert repr(recorded) == f"<recorded {function!r}>" and callable(recorded)
    partial = engine.recorded(functools.partial(operator.mul, engine.Value(3.0)))
    assert [partial(x).data for x in (1.0, 2.0)] == [3.0, 6.0]


def test_copies_and_pickles(engine, monkeypatch):
    recorded = engine.recorded(plain_function)
    monkeypatch.setitem(globals(), "module_function", recorded)
    assert copy.copy(recorded) is recorded
    assert copy.deepcopy([recorded])[0] is recorded
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(recorded, protocol)) is recorded
    local = engine.recorded(lambda x: x)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(local)


@pytest.mark.parametrize("maxsize", [1, 2, 5])
def test_the_oldest_is_dropped(engine, maxsize):
    ran = []

    @engine.recorded(maxsize=maxsize)
    def function(xs):
        ran.append(len(xs))
        return engine.sum(xs)

    reference, expected = [], []
    rng = random.Random(maxsize)
    for _ in range(200):
        n = rng.randrange(7)
        if n in reference:
            reference.remove(n)
        else:
            expected.append(n)
        reference = [*reference, n][-maxsize:]
        assert function([0.5] * n).data == n / 2
        assert ran == expected
    assert function.cache_info() == (200 - len(ran), len(ran), maxsize, maxsize)
    assert function.cache_parameters() == {"maxsize": maxsize}


def test_a_replay_that_fails_counts_as_the_last_one(engine):
    ran = []
    function = engine.recorded(lambda xs: ran.append(1) or xs[0].log() + len(xs), maxsize=2)
    function([1.0])
    function([1.0, 1.0])
    with pytest.raises(ValueError):
        function([0.0])
    function([1.0] * 3)
    function([1.0])
    assert len(ran) == 3


def test_no_bound(engine):
    function = engine.recorded(maxsize=None)(lambda xs: engine.sum(xs))
    for n in range(200):
        function([1.0] * n)
    assert function.cache_info() == (0, 200, None, 200)
    function([])
    assert function.cache_info() == (1, 200, None, 200)
    assert engine.recorded(lambda: engine.Value(1.0)).cache_info().maxsize == 128
    first = function([])
    function.cache_clear()
    assert function.cache_info() == (0, 0, None, 0)
    assert function([]) is not first


def test_what_is_refused(engine):
    async def coroutine():
        pass

    async def asynchronous():
        yield

    def generator():
        yield

    class Class:
        pass

    recorded = engine.recorded
    for attempt, message in (
        (lambda: recorded(coroutine), "not the coroutine function"),
        (lambda: recorded(maxsize=3)(generator), "not the generator function"),
        (lambda: recorded(asynchronous), "not the asynchronous generator function"),
        (lambda: recorded(Class), "not the class Class"),
        (lambda: recorded(128), "not 128"),
        (lambda: recorded("f"), "not 'f'"),
        (lambda: recorded(maxsize="3"), "maxsize must be an integer or None, not '3'"),
        (lambda: recorded(maxsize=1.5), "maxsize must be an integer or None, not 1.5"),
    ):
        with pytest.raises(TypeError, match=message):
            attempt()
    for n in (0, -1):
        with pytest.raises(ValueError, match=f"maxsize must be at least 1, not {n}"):
            recorded(maxsize=n)
    function = recorded(lambda x: x)
    for attempt in (function, lambda: function(1.0, 2.0), lambda: function(y=1.0)):
        with pytest.raises(TypeError, match=r"<lambda>\(\)"):
            attempt()


# -----------------------------------------------------------------------------
# memory


@pytest.mark.skipif(not IS_CPYTHON, reason="nothing is freed at once without reference counts")
def test_a_function_that_is_dropped_frees_its_graphs(engine, table):
    gc.disable()
    try:
        before = live_nodes()
        function = engine.recorded(lambda i, xs: engine.take(table, i) * engine.sum(xs))
        for n in range(5):
            function(1, [0.5] * n)
        assert function.cache_info().currsize == 5
        seen = weakref.ref(function)
        del function
        assert seen() is None and live_nodes() == before
    finally:
        gc.enable()


def test_cycles_are_garbage(engine, table):
    def make_function():
        @engine.recorded
        def function(xs):
            kept.append((function, xs))
            return xs[0] * 2.0

        kept = []
        function([1.0])
        function([2.0])
        return weakref.ref(function)

    def make_model():
        class Recorded(Model):
            logit = engine.recorded(Model.logit)

        model = Recorded(engine)
        model.logit(1, 2.0)
        return weakref.ref(model), Recorded

    function = make_function()
    model, kind = make_model()
    collect_garbage()
    assert function() is None
    assert model() is not None  # the recordings have it
    kind.logit.cache_clear()
    collect_garbage()
    assert model() is None
    model, _ = make_model()
    del kind, _
    collect_garbage()
    assert model() is None


def test_a_recording_that_is_dropped_leaves_its_results(engine, table):
    function = engine.recorded(lambda xs, i: engine.take(table, i) * engine.sum(xs), maxsize=1)
    first = function([2.0], 0)
    second = function([1.0, 2.0], 1)
    assert (first.data, second.data) == (4.0, -9.0)
    first.backward()
    assert table[0].grad == 2.0
    table[0].data = 5.0
    first.forward()
    assert first.data == 10.0


def test_memory_does_not_grow(engine, table):
    function = engine.recorded(lambda i, x: engine.take(table, i) * x)
    function(0, 1.0)
    before = live_nodes()
    for n in range(200):
        function(n % 4, 0.5).backward()
    assert live_nodes() == before


# -----------------------------------------------------------------------------
# threads, tasks, forks, interrupts


def test_each_thread_has_recordings_of_its_own(engine, table):
    function = engine.recorded(lambda i, x: (engine.take(table, i) * x).tanh())
    start, wrong, ids = threading.Barrier(4), [], []

    def work(seed):
        rng = random.Random(seed)
        start.wait()
        mine = set()
        for _ in range(200):
            i, x = rng.randrange(4), rng.uniform(-1, 1)
            result = function(i, x)
            mine.add(id(result))
            if result.data != (engine.Value(table[i].data) * x).tanh().data:
                wrong.append((i, x))
        ids.append(mine)
        start.wait()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    assert not wrong and [len(mine) for mine in ids] == [1] * 4
    assert len(set().union(*ids)) == 4 and function.cache_info().currsize == 4


def test_threads_share_the_bound(engine):
    function = engine.recorded(lambda xs: engine.sum(xs), maxsize=3)
    wrong = []

    def work():
        for n in [0, 1, 2, 3, 4] * 30:
            if function([1.0] * n).data != n:
                wrong.append(n)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and function.cache_info().currsize <= 3
    function.cache_clear()


def test_a_task_that_is_started_inside(engine):
    """It has a copy of the context, and goes on after the recording."""
    tasks, seen = [], []
    p = engine.Value(2.0)

    async def later():
        seen.append(p.data)
        with engine.no_grad():
            seen.append((p * 2)._is_leaf)
        seen.append((p * 2)._is_leaf)

    @engine.recorded
    def function(x):
        tasks.append(asyncio.get_running_loop().create_task(later()))
        return p * x

    async def main():
        function(1.0)
        with engine.no_grad():
            function(1.0)
        await asyncio.gather(*tasks)

    asyncio.run(main())
    # what was started under no_grad goes on so
    assert seen == [2.0, True, False, 2.0, True, True]
    tasks.clear()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("inside", [False, True])
def test_a_fork(engine, table, inside):
    """Between calls, and in the middle of a recording."""
    children = []

    @engine.recorded
    def function(i):
        if inside and not children:
            children.append(os.fork())
        return engine.take(table, i) * 2.0

    function(0)
    if not inside:
        children.append(os.fork())
    if not children[0]:
        try:
            right = [function(i).data for i in range(4)] == [4.0, -6.0, 1.0, 14.0]
            right &= grad_mode.current_recorder() is None
            os._exit(0 if right else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
    assert function(1).data == -6.0


@needs_timer
@times(200, 2000)
def test_interrupts_leave_no_recorder_open(engine, table, storm, n):  # noqa: F811
    function = engine.recorded(lambda i, xs: engine.take(table, i) * engine.sum(xs), maxsize=2)
    before = [v.data for v in table]

    def work():
        for n in range(4):
            assert function(n, [1.0] * n).data == table[n].data * n
            assert function(3 - n, [1.0] * n).data == table[3 - n].data * n

    def after(problem):
        sys.last_value = problem  # as at a prompt
        assert grad_mode.current_recorder() is None and grad_mode.is_recording()
        assert [v.data for v in table] == before
        with engine.no_grad():
            pass

    try:
        assert storm(work, n, 1e-3, after) == n
    finally:
        vars(sys).pop("last_value", None)
    function.cache_clear()


def test_an_interrupt_in_the_function(engine, table):
    ran = []

    @engine.recorded
    def function(i):
        ran.append(1)
        if len(ran) == 1:
            signal.raise_signal(signal.SIGINT)
        return engine.take(table, i)

    with pytest.raises(KeyboardInterrupt):
        function(1)
    assert grad_mode.current_recorder() is None and table[0].data == 2.0
    assert function(2).data == 0.5
