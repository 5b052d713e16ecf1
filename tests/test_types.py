"""What type checkers are told: that there is something to read, and the same of both engines."""

import inspect
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from conftest import needs_c

import micrograd
from micrograd import compiled, pure

USER_CODE = Path(__file__).parent / "typed_user_code.py"
NAMES = [*pure.__all__, "sum"]
OURS = ["gradcheck", "GradcheckError", "trace", "draw_dot", "vis_color"]  # of no engine


def test_the_installed_package_says_that_it_is_typed(tmp_path):
    program = "import micrograd; print(*micrograd.__path__)"
    run = [sys.executable, "-I", "-c", program]  # -I: neither this folder nor PYTHONPATH
    folder = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    files = set(os.listdir(folder.strip()))
    assert {"py.typed", "types.pyi", "handle.pyi"} <= files


@needs_c  # it names both
def test_user_code_runs_on_either_engine(tmp_path):
    runs = [
        subprocess.run(
            [sys.executable, USER_CODE, tmp_path],
            env={**os.environ, "MICROGRAD_BACKEND": word},
            capture_output=True,
            text=True,
        )
        for word in ("c", "python")
    ]
    assert [run.stderr for run in runs] == ["", ""]
    assert runs[0].stdout == runs[1].stdout and runs[0].stdout.count("\n") == 10


def stub_of_value():
    """The class in handle.pyi, which type checkers take for the type that C makes."""
    code = (Path(micrograd.__file__).parent / "handle.pyi").read_text()
    lines = [line for line in code.splitlines() if not line.startswith("from .")]
    namespace = {"__name__": "micrograd.handle"}
    exec("from __future__ import annotations\n" + "\n".join(lines), namespace)
    return namespace["Value"]


def functions_of(thing):
    """Return the functions that a user of a function or a class calls, by name."""
    if not isinstance(thing, type):
        return {"": thing}
    functions = {}
    for kind in reversed(thing.__mro__):
        if not kind.__module__.startswith("micrograd"):  # object; ValueError
            continue
        for name, member in vars(kind).items():
            is_special = name.startswith("__") and name.endswith("__")
            if name.startswith("_") and not is_special and name != "_repr_mimebundle_":
                continue
            if isinstance(member, property):
                functions[name] = member.fget
                if member.fset:
                    functions[f"{name} ="] = member.fset
            elif inspect.isfunction(member):
                functions[name] = member
    return functions


def signature(function, is_method):
    """What there is to give to a function, and what comes back, with annotations as they are."""
    signature = inspect.signature(function)
    parameters = [(p.name, p.kind, p.default, p.annotation) for p in signature.parameters.values()]
    return parameters[is_method:], signature.return_annotation


@pytest.mark.parametrize("name", NAMES)
def test_both_engines_take_and_return_the_same(name):
    thing = getattr(pure, name)
    theirs = stub_of_value() if name == "Value" else getattr(compiled, name)
    of_pure, of_compiled = functions_of(thing), functions_of(theirs)
    assert of_pure or issubclass(thing, Exception)  # at least one
    public = {name for name in of_compiled if not name.startswith("_")}
    assert public == {name for name in of_pure if not name.startswith("_")}
    for member, function in of_pure.items():
        if member == "__reduce_ex__":  # how copies are made is each engine's own business
            continue
        is_method = isinstance(thing, type)
        expected = signature(function, is_method)
        assert signature(of_compiled[member], is_method) == expected, f"{name}.{member}"


@needs_c
def test_the_stub_is_what_c_makes():
    stub, made = vars(stub_of_value()), vars(compiled.Value)
    annotated = stub["__annotations__"].keys() - {"__iter__", "__index__"}
    class Empty:
        pass

    pythons_own = {*vars(Empty), "__annotations__"}
    for name in [*stub, *annotated]:
        if name in pythons_own or name == "__getattr__":  # of the attributes that may be set
            continue
        assert name in made or hasattr(object, name), name
    public = {name for name in made if not name.startswith("_")}
    assert public - {"m", "v"} == {name for name in {*stub, *annotated} if name[0] != "_"}
    for name in public:
        if callable(made[name]) and inspect.isfunction(stub.get(name)):
            ours, theirs = (inspect.signature(x[name]).parameters for x in (stub, made))
            assert list(ours) == list(theirs), name
    if sys.version_info < (3, 10):  # which drops the signature of a type made from a specification
        return
    ours = inspect.signature(stub["__init__"]).parameters
    theirs = inspect.signature(compiled.Value).parameters
    assert [(p.name, p.default, p.kind) for p in ours.values()][1:] == [
        (p.name, p.default, p.kind) for p in theirs.values()
    ]


@needs_c
def test_the_methods_in_c_are_documented_as_those_in_python():
    for name, member in vars(pure.Value).items():
        if not name.startswith("_") and isinstance(member, (types.FunctionType, property)):
            assert inspect.getdoc(getattr(compiled.Value, name)) == inspect.getdoc(member), name
    assert compiled.Value.__doc__ == pure.Value.__doc__


@pytest.mark.parametrize("name", [*NAMES, *OURS])
def test_everything_is_annotated(engine, name):
    thing = getattr(micrograd if name in OURS else engine, name)
    if thing is compiled.Value:
        thing = stub_of_value()
    for member, function in functions_of(thing).items():
        parameters, result = signature(function, isinstance(thing, type))
        missing = [p[0] for p in parameters if p[3] is inspect.Parameter.empty]
        assert not missing and result is not inspect.Signature.empty, f"{name}.{member}"
