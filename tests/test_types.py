"""What type checkers are told: that there is something to read, and the same of both engines."""

import inspect
import os
import subprocess
import sys
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
    assert runs[0].stdout == runs[1].stdout and runs[0].stdout.count("\n") == 6


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
    of_pure, of_compiled = functions_of(thing), functions_of(getattr(compiled, name))
    assert of_pure  # at least one
    public = {name for name in of_compiled if not name.startswith("_")}
    assert public == {name for name in of_pure if not name.startswith("_")}
    for member, function in of_pure.items():
        if member == "__reduce_ex__":  # how copies are made is each engine's own business
            continue
        is_method = isinstance(thing, type)
        expected = signature(function, is_method)
        assert signature(of_compiled[member], is_method) == expected, f"{name}.{member}"


@pytest.mark.parametrize("name", [*NAMES, *OURS])
def test_everything_is_annotated(engine, name):
    thing = getattr(micrograd if name in OURS else engine, name)
    for member, function in functions_of(thing).items():
        parameters, result = signature(function, isinstance(thing, type))
        missing = [p[0] for p in parameters if p[3] is inspect.Parameter.empty]
        assert not missing and result is not inspect.Signature.empty, f"{name}.{member}"
