"""Which engine the public names belong to, and what happens without the compiled one."""

import builtins
import importlib
import math
import os
import pkgutil
import subprocess
import sys
import textwrap
from importlib.util import find_spec

import pytest
from conftest import ENGINES, HAS_C, needs_c

import micrograd
from micrograd import compiled, pure


def python(program, folder=None, **environment):
    """Run a program in a Python of its own, with modules from a folder before all others."""
    variables = {k: v for k, v in os.environ.items() if k != "MICROGRAD_BACKEND"}
    first = f"import sys; sys.path.insert(0, {str(folder)!r})\n" if folder else ""
    return subprocess.run(
        [sys.executable, "-c", first + textwrap.dedent(program)],
        env={**variables, **environment},
        capture_output=True,
        text=True,
    )


WHICH = """
    import micrograd, micrograd.engine, micrograd.nn
    from micrograd.engine import Value
    from micrograd.nn import Module, Neuron, Layer, MLP
    assert Value is micrograd.Value and issubclass(MLP, micrograd.MLP)
    assert issubclass(Neuron, micrograd.Neuron) and issubclass(Layer, micrograd.Layer)
    assert isinstance(MLP(2, [1])([1.0, 2.0]), Value)
    print(micrograd.backend, Value.__module__)
"""


# names of the package that are Python's, too: `from micrograd import *` leaves them alone
HIDING = ["random", "sum"]
ELEMENTARY = ["cos", "exp", "log", "relu", "sigmoid", "sin", "sqrt", "tanh"]  # most are of `math`


@needs_c
def test_public_names():
    assert micrograd.backend == "c"
    for name in [*pure.__all__, *HIDING]:
        assert getattr(micrograd, name) is getattr(compiled, name)
        is_shared = name in (
            "no_grad",
            "RecordingError",
            "save",
        )  # which are for both engines at once
        assert (getattr(compiled, name) is getattr(pure, name)) == is_shared
    assert compiled.__all__ == pure.__all__
    assert set(micrograd.__all__) > set(pure.__all__)
    assert all(hasattr(micrograd, name) for name in micrograd.__all__)
    assert not {*micrograd.__all__} & {*HIDING, *ELEMENTARY, *vars(builtins), *vars(math)}


@pytest.mark.parametrize("word", ENGINES)
def test_star_import_hides_nothing(word):
    run = python(
        """
        import builtins, random, micrograd
        from math import *
        ours = micrograd.sum
        from micrograd import *
        assert sum is builtins.sum is not ours and micrograd.sum is ours
        assert random.__name__ == "random" and isinstance(micrograd.random, RNG)
        assert exp.__module__ == log.__module__ == "math" and log(8, 2) == 3
        print(sum([dot([1], [2]), 3]), sum([1, 2]))
        """,
        MICROGRAD_BACKEND=word,
    )
    assert (run.stdout, run.stderr) == ("Value(data=5.0, grad=0.0) 3\n", "")


@pytest.mark.parametrize("word", ENGINES)
def test_completion_offers_public_names_only(word):
    """What dir() and the Tab key show: no `os`, no `binding`."""
    run = python(
        """
        import micrograd
        if micrograd.backend == "c":
            assert micrograd.value.live_nodes() == 0
        for module in (micrograd, micrograd.pure, micrograd.engine, micrograd.nn, micrograd.plot):
            print(*dir(module))
        if micrograd.backend == "c":
            print(*dir(micrograd.compiled))
        """,
        MICROGRAD_BACKEND=word,
    )
    shown = [line.split() for line in run.stdout.splitlines()]
    both = sorted([*pure.__all__, *HIDING])
    modules = ["engine", "export", "nn", "parallel", "plot", "pure"]
    modules += ["compiled", "value"] if word == "c" else []
    assert shown == [
        sorted([*micrograd.__all__, *HIDING, *ELEMENTARY, *modules]),
        both,
        ["Value", "no_grad"],
        ["Layer", "MLP", "Module", "Neuron", "Value"],
        ["decision_surface", "loss_curve", "network"],
        *([both] if word == "c" else []),
    ]


def test_the_package_s_own_modules_have_python_s_sum():
    """But for those that define ours, pass it on or call it."""
    found = pkgutil.walk_packages(micrograd.__path__, "micrograd.")
    names = {module.name for module in found} - {"micrograd.__main__"}
    if find_spec("torch") is None:
        names.remove("micrograd.export.torch_module")
    modules = {name: importlib.import_module(name) for name in names}
    hiding = {name for name, module in modules.items() if hasattr(module, "sum")}
    assert {name.partition(".")[2] for name in hiding} == {
        "pure", "pure.functions", "pure.loss", "compiled", "compiled.functions",
    }  # fmt: skip


C, PYTHON = "c micrograd.compiled.value", "python micrograd.pure.value"


@pytest.mark.parametrize(
    "word, expected",
    [pytest.param("c", C, marks=needs_c), ("python", PYTHON), ("", C if HAS_C else PYTHON)],
)
def test_the_environment_chooses(word, expected):
    run = python(WHICH, MICROGRAD_BACKEND=word)
    assert (run.stdout.strip(), run.stderr) == (expected, "")


@pytest.mark.skipif(HAS_C, reason="there is one")
def test_there_is_none_to_choose():
    run = python(WHICH, MICROGRAD_BACKEND="c")
    assert run.returncode == 1 and "MICROGRAD_BACKEND is 'c', but No module" in run.stderr


def test_another_word():
    run = python("import micrograd", MICROGRAD_BACKEND="rust")
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert last == "ImportError: MICROGRAD_BACKEND must be 'c' or 'python', not 'rust'"


@pytest.fixture
def without_compiled_part(tmp_path):
    (tmp_path / "_micrograd.py").write_text("raise ImportError('there is no _micrograd')")
    return tmp_path


@needs_c
def test_without_the_compiled_part(without_compiled_part):
    run = python(WHICH, without_compiled_part)
    assert run.stdout.strip() == PYTHON
    assert run.stderr.count("RuntimeWarning") == 1
    assert "pip install ." in run.stderr and "there is no _micrograd" in run.stderr
    run = python(WHICH, without_compiled_part, MICROGRAD_BACKEND="python")
    assert (run.stdout.strip(), run.stderr) == (PYTHON, "")
    run = python(WHICH, without_compiled_part, MICROGRAD_BACKEND="c")
    assert run.returncode == 1 and "there is no _micrograd" in run.stderr


@needs_c
@pytest.mark.parametrize(
    "function, version",
    [("built_version", "0.0.7"), ("micrograd_version", "of an older version")],  # before 0.2.0
)
def test_a_compiled_part_of_another_version(tmp_path, function, version):
    (tmp_path / "_micrograd.py").write_text(
        textwrap.dedent(f"""
            class lib:
                def {function}():
                    return b"0.0.7"
            class ffi:
                string = staticmethod(lambda x: x)
        """)
    )
    run = python(WHICH, tmp_path, MICROGRAD_BACKEND="c")
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    for word in (version, micrograd.__version__, "_micrograd.py", "pip install ."):
        assert word in last
    run = python(WHICH, tmp_path)
    assert run.stdout.strip() == PYTHON and version in run.stderr


@needs_c
def test_the_program_on_either_engine():
    program = "import sys; from micrograd.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ["--steps", "2", "--backend"]
    runs = {
        word: subprocess.run(
            [sys.executable, "-c", program, *words, word], capture_output=True, text=True
        )
        for word in ("c", "python")
    }
    assert runs["c"].stdout == runs["python"].stdout and runs["c"].stdout.count("\n") == 3


def test_every_public_name_is_documented():
    for module in (micrograd, *ENGINES.values()):
        assert module.__doc__
        for name in [*pure.__all__, "sum"]:
            thing = getattr(module, name)
            assert thing.__doc__, name
            for member, function in vars(thing).items() if isinstance(thing, type) else ():
                if callable(function) and not member.startswith("_"):
                    assert function.__doc__, f"{name}.{member}"
    for name in ("gradcheck", "trace", "draw_dot", "picture", "vis_color"):
        assert "Args:" in getattr(micrograd, name).__doc__


def test_nothing_at_exit():
    """Handles, attributes and user functions that live until the end end quietly."""
    run = python("""
        import micrograd
        from micrograd import Value
        x = Value(1.0, label="x")
        y = Value(2.0, (x,), "own")
        y._backward = lambda: y
        z = [y * 2, x]
        z.append(z)
        micrograd.kept = z
        import builtins
        builtins.kept = y.tanh()
    """)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_plots_are_there_without_another_import():
    """They are imported when they are used."""
    program = "import sys, micrograd; a = 'micrograd.plot' in sys.modules; print(a, micrograd.plot)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout.startswith("False <module 'micrograd.plot'"), run.stderr
    with pytest.raises(AttributeError, match="'micrograd' has no attribute 'plots'"):
        micrograd.plots  # noqa: B018
