"""micrograd.exp(x) and its like: of a Value its method, of a number a float."""

import copy
import inspect
import math
import pickle
from decimal import Decimal
from fractions import Fraction

import numpy
import pytest
from conftest import bits, outcome
from test_operations import calls

import micrograd
from micrograd import RecordingError, elementary, pure

NAMES = elementary.__all__
NUMBERS = [
    0.75, -0.75, 0.0, -0.0, 1, True, 710, -745.2, 1e308, 5e-324, math.inf, -math.inf, math.nan,
    10**400, Fraction(1, 3), Decimal("0.1"), numpy.float32(0.1), numpy.int8(-3),
]  # fmt: skip


def functions():
    return {name: getattr(micrograd, name) for name in NAMES}


def test_each_method_of_one_value_has_its_function():
    """Those that Value has: a new operation needs its line in micrograd/elementary.py."""
    methods = {name for name, *operands in calls(pure) if not operands and name.isalpha()}
    assert methods - {"detach"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_of_a_value_it_is_the_method(engine, name):
    class Mine(engine.Value):
        pass

    setattr(Mine, name, lambda self: "my own")
    x, y = engine.Value(0.75), engine.Value(0.75)
    ours, theirs = functions()[name](x), getattr(y, name)()
    assert type(ours) is engine.Value and ours._prev == (x,) and ours._op == theirs._op
    ours.backward()
    theirs.backward()
    assert [bits(ours.data), bits(x.grad)] == [bits(theirs.data), bits(y.grad)]
    assert functions()[name](Mine(0.75)) == "my own"
    with engine.no_grad():
        assert functions()[name](x)._prev == ()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("x", NUMBERS, ids=repr)
def test_of_a_number_it_is_a_float(engine, no_new_nodes, name, x):
    """With the bits and the errors that the method has, which C computes in the one engine."""

    def number():
        result = functions()[name](x)
        assert type(result) is float
        return bits(result)

    assert outcome(number) == outcome(lambda: bits(getattr(engine.Value(x), name)().data))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("x", ["1", None, 1j, [1.0], numpy.zeros(2)], ids=repr)
def test_of_anything_else_it_is_a_type_error(name, x):
    with pytest.raises(TypeError, match=r"a number, not|complex"):  # Python 3.9 knows those
        functions()[name](x)


@pytest.mark.parametrize("name", NAMES)
def test_as_python_sees_it(name):
    function = functions()[name]
    assert function.__name__ == function.__qualname__ == name
    assert copy.deepcopy(function) is pickle.loads(pickle.dumps(function)) is function
    assert [*inspect.signature(function).parameters] == ["x"]
    assert function.__doc__.startswith(getattr(pure.Value, name).__doc__)


def test_in_a_recorded_function(engine):
    """It is recorded of a Value, and of a float argument, which is one there."""

    @engine.recorded
    def f(p, x):
        return micrograd.exp(p * x) + micrograd.tanh(x)

    p = engine.Value(0.5)
    for x in (1.0, 2.0, -3.0):
        expected = (p * x).exp() + engine.Value(x).tanh()
        assert bits(f(p, x).data) == bits(expected.data)
    assert f.cache_info().misses == 1

    @engine.recorded
    def of_an_integer(p, i):
        return p * micrograd.exp(i)

    with pytest.raises(RecordingError, match="computes with a changing int"):
        of_an_integer(p, 3)
