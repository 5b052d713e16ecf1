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
OURS = ["gradcheck", "GradcheckError", "trace", "draw_dot", "picture", "vis_color"]  # of no engine


def test_the_installed_package_says_that_it_is_typed(tmp_path):
    program = "import micrograd; print(*micrograd.__path__)"
    run = [sys.executable, "-I", "-c", program]  # -I: neither this folder nor PYTHONPATH
    folder = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    files = set(os.listdir(folder.strip()))
    assert {"py.typed", "types.pyi"} <= files


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
            if name.startswith("_") and not is_special and name != "_repr_html_":
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


@pytest.mark.parametrize("name", [name for name in NAMES if name != "Value"])
def test_both_engines_take_and_return_the_same(name):
    thing, theirs = getattr(pure, name), getattr(compiled, name)
    of_pure, of_compiled = functions_of(thing), functions_of(theirs)
    assert of_pure or issubclass(thing, Exception)  # at least one
    public = {name for name in of_compiled if not name.startswith("_")}
    assert public == {name for name in of_pure if not name.startswith("_")}
    for member, function in of_pure.items():
        is_method = isinstance(thing, type)
        expected = signature(function, is_method)
        assert signature(of_compiled[member], is_method) == expected, f"{name}.{member}"


def public_names(kind):
    return {name for name in dir(kind) if not name.startswith("_")}


@needs_c
def test_value_in_c_is_what_type_checkers_take_it_for():
    """To them it is the plain engine's: there is no other description of it."""
    made = compiled.Value
    assert public_names(made) - {"m", "v"} == public_names(pure.Value)
    for member in functions_of(pure.Value):
        assert hasattr(made, member.split()[0]), member
    for name in public_names(pure.Value):
        if inspect.isfunction(getattr(pure.Value, name)):
            ours, theirs = (
                list(inspect.signature(getattr(x, name)).parameters) for x in (pure.Value, made)
            )
            assert ours == theirs, name
    if sys.version_info < (3, 10):  # which drops the signature of a type made from a specification
        return
    ours, theirs = (
        [(p.name, p.default, p.kind) for p in inspect.signature(x).parameters.values()]
        for x in (pure.Value, made)
    )
    assert ours == theirs


@needs_c
def test_the_methods_in_c_are_documented_as_those_in_python():
    for name in public_names(pure.Value):
        member = getattr(pure.Value, name)
        if isinstance(member, (types.FunctionType, property)):
            assert inspect.getdoc(getattr(compiled.Value, name)) == inspect.getdoc(member), name
    assert compiled.Value.__doc__ == pure.Value.__doc__


@pytest.mark.parametrize("name", [*NAMES, *OURS])
def test_everything_is_annotated(engine, name):
    thing = getattr(micrograd if name in OURS else engine, name)
    if thing is compiled.Value:
        thing = pure.Value
    for member, function in functions_of(thing).items():
        parameters, result = signature(function, isinstance(thing, type))
        missing = [p[0] for p in parameters if p[3] is inspect.Parameter.empty]
        assert not missing and result is not inspect.Signature.empty, f"{name}.{member}"
