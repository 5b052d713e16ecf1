"""Single operations: recorded, and freed again."""

import pytest

from micrograd import compiled, pure

from . import closures

ENGINES = {"c": compiled, "python": pure, "closures": closures}
OPERATIONS = {
    "Value(2.0)": lambda Value, a, b: Value(2.0),
    "a + b": lambda Value, a, b: a + b,
    "a + 2.0": lambda Value, a, b: a + 2.0,
    "a * b": lambda Value, a, b: a * b,
    "a - b": lambda Value, a, b: a - b,
    "a / b": lambda Value, a, b: a / b,
    "a**2": lambda Value, a, b: a**2,
    "a**b": lambda Value, a, b: a**b,
    "a.relu()": lambda Value, a, b: a.relu(),
    "a.tanh()": lambda Value, a, b: a.tanh(),
    "a.exp()": lambda Value, a, b: a.exp(),
    "a.log()": lambda Value, a, b: a.log(),
    "a.sigmoid()": lambda Value, a, b: a.sigmoid(),
    "a.sqrt()": lambda Value, a, b: a.sqrt(),
    "a.sin()": lambda Value, a, b: a.sin(),
    "a.cos()": lambda Value, a, b: a.cos(),
    "abs(a)": lambda Value, a, b: abs(a),
    "(a * b).backward()": lambda Value, a, b: (a * b).backward(),
}
# what the course's engine has not
NOT_IN_CLOSURES = ["a**b", "a.sigmoid()", "a.sqrt()", "a.sin()", "a.cos()", "abs(a)"]


def numbers(engine, operation):
    """The bits of the operation's result and of both gradients."""
    a, b = engine.Value(0.7), engine.Value(1.3)
    out = operation(engine.Value, a, b)
    if out is not None:
        out.backward()
    return [float(x).hex() for x in (out.data if out else 0.0, a.grad, b.grad)]


@pytest.mark.benchmark(max_time=0.2)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(benchmark, name, engine):
    benchmark.group = f"one operation: {name}"
    if engine == "closures" and name in NOT_IN_CLOSURES:
        pytest.skip("the course's engine has no such operation")
    operation, engine = OPERATIONS[name], ENGINES[engine]
    assert numbers(engine, operation) == numbers(pure, operation)
    a, b = engine.Value(0.7), engine.Value(1.3)
    benchmark(operation, engine.Value, a, b)
