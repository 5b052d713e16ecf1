"""An operation stands in several lists; this names the one from which it is missing.

    csrc/micrograd.h         its line in the enum Op
    csrc/ops.h, ops.c        its case in op_forward, op_backward and op_name
    csrc/python/handle.c     its method of the compiled Value
    micrograd/pure/value.py  its line in RULES and its method of the plain-Python Value
    micrograd/export/        its line in c.py, numpy.py and torch_module.py
    tests/test_parity.py     its line in OPERATIONS, by which test_gradcheck.py goes, too

docs/adding-an-operation.md adds one, step by step.
"""

import re
from pathlib import Path

import pytest
import test_gradcheck
from conftest import ENGINES, bits
from test_parity import OPERATIONS

from micrograd import pure
from micrograd.pure.value import RULES

CSRC = Path(__file__).parent.parent / "csrc"
VALUE = "micrograd/pure/value.py"
FILES = {"c": "csrc/python/handle.c", "python": VALUE}  # of each engine's methods
TESTS = "tests/test_parity.py"

# nodes that are no operations of the user's
INTERNAL = {"LEAF", "SHIFT", "LARGER", "USER", "LINEAR", "LIST", "MOMENTS", "FREE"}


def c_function(name):
    """The file that defines this C function, and the text of the function."""
    definition = re.compile(rf"^\w[\w *]*\b{name}\([^;{{]*\{{\n.*?^\}}", re.MULTILINE | re.DOTALL)
    for path in CSRC.glob("*.[ch]"):
        if found := definition.search(path.read_text()):
            return f"csrc/{path.name}", found[0]
    raise AssertionError(f"no file of csrc/ defines {name}")


def c_operations():
    """The operations of the enum Op that users call, without their OP_."""
    enum = re.search(r"typedef enum Op \{(.*?)\} Op;", (CSRC / "micrograd.h").read_text(), re.S)[1]
    names = re.findall(r"^\s*OP_(\w+)", enum, re.M)
    assert set(names) > INTERNAL
    return [name for name in names if name not in INTERNAL]


def c_names():
    """What op_name calls the operations, by their names in the enum."""
    return dict(re.findall(r'case OP_(\w+):\s*return "(.+?)";', c_function("op_name")[1]))


def rule_of(v):
    """The name in RULES of the operation that made v; "" if none did."""
    return "**k" if v._op.startswith("**") and v._op != "**" else v._op


def rules_below(v):
    """The rules by which v was computed."""
    return {rule_of(v)}.union(*map(rules_below, v._prev))


def calls(engine):
    """The methods of its Value that compute another one, each with the kinds of its operands."""
    found = set()
    for name in set(dir(engine.Value)) - set(dir(object)):
        method = getattr(engine.Value, name)
        if not callable(method) or re.match(r"_[^_]|__(getn|sets|array)", name):
            continue
        for operands in (), (1.25,), (engine.Value(1.25),):
            if name.startswith("__r") and operands and operands[0] != 1.25:
                continue  # Python calls these for numbers only
            try:
                out = method(engine.Value(0.75), *operands)
            except TypeError:  # it takes another number of operands
                continue
            if isinstance(out, engine.Value):
                found.add((name, *kinds(operands)))
    return found


def kinds(operands):
    return ["a number" if isinstance(x, float) else "a Value" for x in operands]


@pytest.mark.parametrize("function", ["op_name", "op_forward", "op_backward"])
def test_c_has_a_case_for_each(function):
    path, text = c_function(function)
    for op in c_operations():
        assert f"case OP_{op}:" in text, f"{path}: {function} has no case OP_{op}"


def test_rules():
    """The plain-Python engine and the C library have the same operations."""
    path, _ = c_function("op_name")
    names = c_names()
    for op in c_operations():
        assert op in names, f"{path}: op_name has no name for OP_{op}"
        assert names[op] in RULES, f"{VALUE}: RULES has no {names[op]!r}, which is OP_{op}"
    for name in RULES:
        assert name in [names[op] for op in c_operations()], (
            f"csrc/micrograd.h: the enum Op has no operation that {path} names {name!r}, "
            f"as RULES of {VALUE} does"
        )


def test_methods():
    """Both Values have the same methods that compute others."""
    found = {name: calls(engine) for name, engine in ENGINES.items()}
    for call in sorted(set().union(*found.values())):
        for name in ENGINES:
            assert call in found[name], f"{FILES[name]}: Value has no {' with '.join(call)}"


def exported(where):
    """The operations that an export has."""
    if where == "c.py: FUNCTIONS":
        from micrograd.export.c import FUNCTIONS

        return {*FUNCTIONS, "+", "*", "**", "**k"}  # these have statements of their own
    if where == "numpy.py: _rules":
        from micrograd.export.numpy import _rules

        return {*_rules(pytest.importorskip("numpy"))}
    pytest.importorskip("torch")
    from micrograd.export.torch_module import RULES

    return {*RULES}


@pytest.mark.parametrize("where", ["c.py: FUNCTIONS", "numpy.py: _rules", "torch_module.py: RULES"])
def test_every_export_has_each(where):
    found = exported(where) - {"largest", "minus"}
    for name in RULES:
        assert name in found, f"micrograd/export/{where} has no {name!r}"
    assert found == {*RULES}


@pytest.mark.parametrize("name", ENGINES)
def test_every_operation_is_tested(name):
    made = set()
    a, b, k = test_gradcheck.POINTS[0]
    for line, operation in OPERATIONS.items():
        try:
            made |= rules_below(operation(ENGINES[name].Value(a), ENGINES[name].Value(b), k))
        except (AttributeError, TypeError) as problem:
            pytest.fail(f"{FILES[name]}: {line!r} of OPERATIONS cannot be computed: {problem}")
    for rule in RULES:
        assert rule in made, f"{TESTS}: no line of OPERATIONS computes {rule!r}"


def test_every_method_is_tested(monkeypatch):
    """OPERATIONS calls each method, and an operator both with a Value and with a number."""
    called, inside = set(), []

    def noting(name, method):
        def wrapper(v, *operands):
            if not inside:  # what a method calls in turn does not count
                called.add((name, *kinds(operands)))
            inside.append(name)
            try:
                return method(v, *operands)
            finally:
                inside.pop()

        return wrapper

    expected = calls(pure)
    for name in {name for name, *_ in expected}:
        monkeypatch.setattr(pure.Value, name, noting(name, getattr(pure.Value, name)))
    a, b, k = test_gradcheck.POINTS[0]
    for operation in OPERATIONS.values():
        operation(pure.Value(a), pure.Value(b), k)
    for call in sorted(expected - called):
        pytest.fail(f"{TESTS}: no line of OPERATIONS calls {' with '.join(call)}")


def test_every_gradient_is_checked():
    """test_gradcheck.py goes by OPERATIONS."""
    checked = set()
    for mark in test_gradcheck.test_every_operation.pytestmark:
        if mark.name == "parametrize" and mark.args[0] == "name":
            checked.update(mark.args[1])
    for line in OPERATIONS:
        assert line in checked, f"tests/test_gradcheck.py: test_every_operation has no {line!r}"


@pytest.mark.parametrize(
    "what", [name for name in OPERATIONS if "detach" not in name and "without" not in name]
)
def test_what_an_operation_records_is_computed_again(what):
    """Three times: the second forward() compiles the graph, and all have new numbers."""

    def run(engine):
        a, b = engine.Value(0.75), engine.Value(1.25)
        out = OPERATIONS[what](a * 1, b * 1, 0.5) * 1
        seen = []
        for x, y in ((0.75, 1.25), (0.5, 1.5), (0.625, 1.125)):
            a.data, b.data = x, y
            out.forward()
            out.backward()
            seen += [bits(v.data) for v in (a, b, out)] + [bits(v.grad) for v in (a, b)]
            fresh = OPERATIONS[what](engine.Value(x) * 1, engine.Value(y) * 1, 0.5) * 1
            assert bits(fresh.data) == bits(out.data), f"forward() of {what}"
        return seen

    results = [run(engine) for engine in ENGINES.values()]
    assert results == results[:1] * len(results), what
