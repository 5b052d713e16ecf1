"""Every public function with wrong arguments.

Both engines do the same: they give the same result, by bits, or raise the same exception with
the same words. What is raised is an exception that the documentation knows, and it leaves
everything as it was.
"""

import inspect
import math
import operator
import re
import subprocess
import tempfile
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy
import pytest
from conftest import bits

import micrograd
from micrograd import compiled, pure

# what an older NumPy still lets pass, to either engine
pytestmark = [
    pytest.mark.filterwarnings("ignore:The truth value of an empty array:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:In future, it will be an error for 'np.bool'"),
]

# -----------------------------------------------------------------------------
# what is given in place of an argument


class Fails:
    """Raises in whatever it is asked."""

    def __float__(self):
        raise ValueError("no number today")

    __index__ = __len__ = __iter__ = __call__ = __float__


class NoFloat:
    def __float__(self):
        return "1.0"


class Index:
    def __init__(self, n):
        self.n = n

    def __index__(self):
        return self.n

    def __repr__(self):
        return f"Index({self.n})"


class Broken:
    """An iterable that fails after its first item."""

    def __iter__(self):
        yield 1.0
        raise LookupError("the second item is lost")


def hostile(engine):
    """What is given in place of an argument, by name. Made anew each time."""
    other = pure if engine is compiled else compiled
    cycle = []
    cycle.append(cycle)
    point = [1.0, 2.0]
    return {
        "nothing": None, "ellipsis": ..., "text": "1", "no text": "", "bytes": b"1", "complex": 1j,
        "true": True, "zero": 0, "-0.0": -0.0, "-1": -1, "half": 0.5, "two": 2, "300": 300,
        "2**31": 2**31, "2**63": 2**63, "2**64": 2**64, "-2**63": -(2**63),
        "10**400": 10**400, "-10**400": -(10**400),
        "nan": math.nan, "inf": math.inf, "-inf": -math.inf, "1e308": 1e308, "5e-324": 5e-324,
        "decimal": Decimal("0.1"), "no decimal": Decimal("sNaN"), "fraction": Fraction(1, 3),
        "float64": numpy.float64(0.5), "int8": numpy.int8(-3), "bool_": numpy.bool_(True),
        "array": numpy.array(point), "array of one": numpy.array([1.0]), "scalar": numpy.array(1.0),
        "no array": numpy.array([]), "objects": numpy.array([None, 1.0], object),
        "empty": [], "list": point, "tuple": (1.0, -1.0), "long": [1.0] * 300, "nested": [point],
        "half good": [2, -1], "also half good": [2, "2"], "cycle": cycle,
        "points": [(point, 1)], "short points": [([1.0], 1)], "three": [(point, 1, 2)],
        "large label": [(point, 7)], "huge label": [(point, 2**40)], "label -1": [(point, -1)],
        "float label": [(point, 1.0)], "nan point": [([math.nan, 1.0], 1)],
        "dict": {"w": 1.0}, "set": {1.0}, "range": range(2), "iterator": iter(point),
        "generator": (x for x in (1.0, None)), "broken": Broken(), "type": float, "module": math,
        "function": lambda *args: None, "fails": Fails(), "no float": NoFloat(), "object": object(),
        "index": Index(2), "negative index": Index(-2), "large index": Index(2**70),
        "leaf": engine.Value(0.5), "inner": -engine.Value(0.5), "nan leaf": engine.Value(math.nan),
        "other engine's": other.Value(0.5), "one of each": [other.Value(0.5), engine.Value(1.0)],
        "values": [engine.Value(1.0), engine.Value(-1.0)], "Value": engine.Value,
        "model": engine.MLP(2, [2], rng=engine.RNG(1)), "rng": engine.RNG(1),
        "neuron": engine.Neuron(2, rng=engine.RNG(1)), "state": {"layers.0.neurons.0.w.0": 1.0},
        "optimiser": engine.SGD([engine.Value(1.0)]),
    }  # fmt: skip


# numbers of points, neurons or inputs for which there is no time or memory
COUNTS = {"n", "nin", "nout", "nouts"}
HUGE = {"2**31", "2**63", "2**64", "10**400", "large index"}

# -----------------------------------------------------------------------------
# what is called, and arguments with which it works


def setter(owner, name):
    """The setting of an attribute as a function."""
    return lambda value: setattr(owner, name, value)


def optimiser(engine, kind):
    """One that has taken a step."""
    made = getattr(engine, kind)([engine.Value(1.0), engine.Value(-1.0)])
    for p in made.parameters:
        p.grad = 0.5
    made.step()
    return made


def step_with(optimizer, name):
    """The setting of a rate, and a step, as a function."""

    def step(value):
        before = getattr(optimizer, name)
        try:
            setattr(optimizer, name, value)
            optimizer.step()
        except BaseException:
            setattr(optimizer, name, before)
            raise

    return step


def operators(v):
    """The operators between v and something else, on both sides of them."""
    for name in ("add", "sub", "mul", "truediv", "pow", "lt", "le", "gt", "ge", "eq"):
        function = getattr(operator, name)
        yield f"{name}(Value, x)", lambda x, function=function: function(v, x)
        yield f"{name}(x, Value)", lambda x, function=function: function(x, v)


def calls(engine, folder):
    """By name: a function, arguments with which it works, and what belongs to it."""
    e = engine
    v, a, b, rng = e.Value(0.5), e.Value(1.0), e.Value(2.0), e.RNG(1)
    model, points = e.MLP(2, [2, 2], rng=e.RNG(1)), [([1.0, 2.0], 1)]
    layer, neuron = model.layers[0], model.layers[0].neurons[0]
    adam, adamw, sgd = [optimiser(e, kind) for kind in ("Adam", "AdamW", "SGD")]
    path = folder / "model.json"
    if not path.exists():
        model.save(path, optimizer=e.AdamW(neuron.w))  # of two parameters, too
    rates = {"lr": 0.1, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1}
    neurons = {"nonlin": True, "activation": "relu", "rng": rng}
    others = {"children": None, "_children": None, "local_grads": None}
    limits = {"names": {"a": a}, "max_nodes": 9}
    files = {"outfile": str(folder / "graph"), "rankdir": "LR", "format": "svg", "timeout": 60}
    table = {
        "Value": (e.Value, {"data": 1.0, "_prev": (a, b), "_op": "f", "label": "x", **others}),
        "Value of children": (e.Value, {"children": (a, b), "local_grads": [1.0, 2.0], "data": 1}),
        "Value of _children": (e.Value, {"_children": (a, b), "_op": (1.0, 2.0), "data": 1}),
        "Value.data": (setter(v, "data"), {"value": 1.0}, v),
        "Value.grad": (setter(v, "grad"), {"value": 1.0}, v),
        "Value.label": (setter(v, "label"), {"value": "x"}, v),
        "dot": (e.dot, {"ws": [a, b], "xs": [1.0, a], "start": 1.0}),
        "sum": (e.sum, {"xs": [1.0, a], "start": b}),
        "linear": (e.linear, {"x": [1.0, a], "w": [[a, b], [b, 2.0]]}),
        "take": (e.take, {"items": [a, b, 3.0], "i": 1}),
        "take of rows": (e.take, {"items": [[a, 1.0], [b, a]], "i": 1}),
        "recorded": (e.recorded, {"function": math.sqrt, "maxsize": 2}),
        "softmax": (e.softmax, {"xs": [1.0, a]}),
        "cross_entropy": (e.cross_entropy, {"logits": [a, b], "target": 1}),
        "mean_cross_entropy": (e.mean_cross_entropy, {"model": model, "split": points}),
        "eval_split": (e.eval_split, {"model": model, "split": points}),
        "accuracy": (e.accuracy, {"model": model, "split": points, "threshold": 0.0}),
        "no_grad": (lambda function: e.no_grad(function)(1.0), {"function": e.Value}),
        "no_grad.__call__": (lambda function: e.no_grad()(function)(1.0), {"function": e.Value}),
        "RNG": (e.RNG, {"seed": 1}),
        "RNG.state": (setter(rng, "state"), {"value": 3}, rng),
        "RNG.uniform": (rng.uniform, {"a": 1.0, "b": 2.0}, rng),
        "gen_data": (e.gen_data, {"random": rng, "n": 10}, rng),
        "gen_data_circles": (e.gen_data_circles, {"random": rng, "n": 10}, rng),
        "gen_data_yinyang": (
            e.gen_data_yinyang, {"random": rng, "n": 10, "r_small": 0.1, "r_big": 0.5}, rng
        ),
        "Neuron": (e.Neuron, {"nin": 2, **neurons}, rng),
        "Neuron.__call__": (neuron, {"x": [1.0, a]}, neuron),
        "Layer": (e.Layer, {"nin": 2, "nout": 2, **neurons}, rng),
        "Layer.__call__": (layer, {"x": [1.0, a]}, layer),
        "MLP": (e.MLP, {"nin": 2, "nouts": [2], "activation": "relu", "rng": rng}, rng),
        "MLP.__call__": (model, {"x": [1.0, a]}, model),
        "Module.load_state_dict": (model.load_state_dict, {"state": model.state_dict()}, model),
        "Module.save": (model.save, {"path": path, "optimizer": adamw}, model),
        "Module.load": (model.load, {"path": path}, model),
        "load": (e.load, {"path": path}),
        "save": (e.save, {"model": model, "path": path, "optimizer": adamw}, model),
        "Adam": (e.Adam, {"parameters": [a], "lr": 0.1, "betas": (0.9, 0.95), "eps": 1e-8}),
        "AdamW": (e.AdamW, {"parameters": [a], **rates}),
        "SGD": (e.SGD, {"parameters": [a], "lr": 0.1, "momentum": 0.9}),
        "gradcheck": (
            micrograd.gradcheck,
            {"f": lambda x, y: x * y, "inputs": [a, b], "eps": 1e-5, "tolerance": 1e-6},
        ),
        "trace": (micrograd.trace, {"root": v}),
        "vis_color": (micrograd.vis_color, {"nodes": [a, b], "color": "red"}),
        "draw_dot": (micrograd.draw_dot, {"root": v, **limits, **files}),
        "picture": (lambda **given: micrograd.picture(**given).svg, {"root": v, **limits}),
    }  # fmt: skip
    for name, function in operators(v):
        table[name] = function, {"x": 2.0}, v
    for rate in ("lr", "beta1", "beta2", "eps", "weight_decay", "t"):
        table[f"AdamW.{rate}"] = step_with(adamw, rate), {"value": 1}, adamw
    for rate in ("lr", "beta1", "beta2", "eps", "t"):
        table[f"Adam.{rate}"] = step_with(adam, rate), {"value": 1}, adam
    table["SGD.lr"] = step_with(sgd, "lr"), {"value": 1}, sgd
    table["SGD.momentum"] = step_with(sgd, "momentum"), {"value": 1}, sgd
    for kind in (adam, adamw, sgd):
        name = f"{type(kind).__name__}."
        table[name + "load_state_dict"] = kind.load_state_dict, {"state": kind.state_dict()}, kind
        table[name + "save"] = kind.save, {"path": path}, kind
        table[name + "load"] = kind.load, {"path": path}, kind
    return table


# -----------------------------------------------------------------------------
# what comes of it


def text(x):
    """x as text, without what differs from engine to engine and from run to run."""
    return re.sub("at 0x[0-9a-f]+", "at", re.sub(r"micrograd\.(pure|\w+)\.", "micrograd.", x))


def described(x, engine, depth=0):
    """All that there is to know of a result, with numbers by their bits."""
    if isinstance(x, engine.Value):
        return "Value", bits(x.data), bits(x.grad), x._op, type(x.label).__name__, len(x._prev)
    if type(x) is float:
        return bits(x)
    if type(x) in (list, tuple) and depth < 5:
        return [described(item, engine, depth + 1) for item in x]
    if isinstance(x, (engine.Module, pure.Module)):
        return repr(x), [bits(p.data) for p in x.parameters()]
    if isinstance(x, (engine.Adam, engine.SGD)):
        return text(repr(x.state_dict())), described(x.parameters, engine)
    return text(repr(x))


EXPECTED = (TypeError, ValueError, IndexError, ArithmeticError, OSError, MemoryError)


def outcome(engine, folder, name, argument, what):
    """What the call comes to, and that nothing has changed if it raised."""
    function, arguments, *owners = calls(engine, folder)[name]
    arguments[argument] = hostile(engine)[what]
    before = described(owners, engine)
    try:
        return "is", described(function(**arguments), engine)
    except EXPECTED as problem:
        message = text(str(problem))
        assert message or type(problem) is MemoryError
        assert "cdata" not in message and "_micrograd" not in message
        result = type(problem).__name__, message
    except LookupError as problem:  # our own
        result = "LookupError", str(problem)
        assert problem.args == ("the second item is lost",)
    assert described(owners, engine) == before
    return result


with tempfile.TemporaryDirectory() as _folder:
    ALL = {name: list(call[1]) for name, call in calls(pure, Path(_folder)).items()}
EACH = [(name, argument) for name, arguments in ALL.items() for argument in arguments]


@pytest.mark.parametrize("name, argument", EACH, ids=[".".join(each) for each in EACH])
def test_both_engines_do_the_same(tmp_path, monkeypatch, no_new_nodes, name, argument):
    monkeypatch.chdir(tmp_path)  # some of it is taken for the name of a file
    for engine in (compiled, pure):  # other tests may have drawn from the one and not the other
        monkeypatch.setattr(engine.random, "state", 42)
    wait = subprocess.Popen.wait  # how long `dot` takes depends on what else the machine does
    monkeypatch.setattr(subprocess.Popen, "wait", lambda process, timeout=None: wait(process))
    for what in hostile(pure):
        if what in HUGE and argument in COUNTS:
            continue
        ours, theirs = (outcome(e, tmp_path, name, argument, what) for e in (compiled, pure))
        assert ours == theirs, what


def test_there_is_no_memory_for_that_many_points():
    random = compiled.RNG(1)
    for function in (compiled.gen_data, compiled.gen_data_circles, compiled.gen_data_yinyang):
        for n in (2**55, 2**63, 2**64, 10**400):
            with pytest.raises(MemoryError, match=f"for {n} points"):
                function(random, n)
    assert random.state == 1


USES = [
    lambda e, v: v.data,
    lambda e, v: v.detach(),
    lambda e, v: v.backward(),
    lambda e, v: v + 1,
    lambda e, v: 1 - v,
    lambda e, v: e.Value(1.0) * v,
    lambda e, v: e.dot([v], [1.0]),
    lambda e, v: e.sum([v, v]),
    lambda e, v: e.softmax([v]),
    lambda e, v: e.MLP(1, [1])([v]),
    lambda e, v: e.SGD([v]).step(),
    lambda e, v: e.Value(1.0, (v,)).backward(),
]


@pytest.mark.parametrize("use", USES)
def test_a_value_that_was_never_made(engine, use):
    with pytest.raises((AttributeError, TypeError)):
        use(engine, engine.Value.__new__(engine.Value))


# -----------------------------------------------------------------------------
# nothing is left out


def parameters_of(function):
    if function is compiled.Value:  # Python 3.9 does not know its signature, which is the same
        function = pure.Value
    return [p for p in inspect.signature(function).parameters if p not in ("self", "kwargs")]


def public():
    """(name, parameters) of all functions, classes and methods that the package offers."""
    for name in micrograd.__all__:
        thing = getattr(micrograd, name)
        if not callable(thing) or (isinstance(thing, type) and issubclass(thing, Exception)):
            continue
        if thing is not micrograd.Module:  # which takes nothing
            yield name, parameters_of(thing)
        if isinstance(thing, type):
            for method, function in inspect.getmembers(thing, callable):
                if function is micrograd.no_grad:  # Value.no_grad
                    continue
                if not method.startswith("_") or method == "__call__":
                    yield f"{name}.{method}", parameters_of(function)


def test_every_public_function_is_in_the_table():
    assert dict(public()).keys() > {"Value", "dot", "MLP.__call__", "AdamW.step", "Module.save"}
    for name, parameters in public():
        kind, _, method = name.partition(".")
        if method and issubclass(getattr(micrograd, kind), micrograd.Module) and kind != "Module":
            name = name if name in ALL else f"Module.{method}"
        if parameters:
            known = ALL[name]
            assert known == parameters or kind == "Layer" or name == "draw_dot", name
            assert set(known) >= set(parameters)
