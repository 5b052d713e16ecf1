"""Installing with a C compiler, without one, and where one is required.

What pip builds is unpacked into a folder of its own, and looked at by a Python that sees
nothing else of what is installed here.
"""

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import HAS_C, NO_C

import micrograd
from micrograd import pure

ROOT = Path(__file__).resolve().parent.parent
NOT_SOURCES = shutil.ignore_patterns(
    "build", "dist", "*.so", "*.pyd", "*.egg-info", "__pycache__", ".*"
)


@pytest.fixture
def build(tmp_path):
    """A function that has pip build a wheel from fresh sources: pip's run, and the wheels."""

    def build(**environment):
        if not (tmp_path / "sources").exists():
            shutil.copytree(ROOT, tmp_path / "sources", ignore=NOT_SOURCES)
        words = ["--no-build-isolation", "--no-deps", "--no-cache-dir", "-v", "-w", tmp_path]
        run = subprocess.run(
            [sys.executable, "-m", "pip", "wheel", *words, tmp_path / "sources"],
            env={**os.environ, "MICROGRAD_REQUIRE_C": "", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return run, list(tmp_path.glob("*.whl"))

    return build


@pytest.fixture
def python(tmp_path):
    """A function that runs a program where there is only the wheel, and cffi's own library."""

    def python(wheel, program):
        installed = tmp_path / "installed"
        zipfile.ZipFile(wheel).extractall(installed)
        backend = importlib.util.find_spec("_cffi_backend")  # part of the interpreter in PyPy
        if backend and backend.origin and os.path.exists(backend.origin):
            shutil.copy(backend.origin, installed)
        variables = {k: v for k, v in os.environ.items() if k != "MICROGRAD_BACKEND"}
        return subprocess.run(
            [sys.executable, "-S", "-W", "always::RuntimeWarning", "-c", program],
            env={**variables, "PYTHONPATH": str(installed)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return python


PROGRAM = """
import micrograd, micrograd.nn
from micrograd import *
model = MLP(2, [16, 3])
loss = mean_cross_entropy(model, gen_data(RNG(42))[0])
loss.backward()
AdamW(model.parameters()).step()
print(backend, loss.data)
"""


def printed(backend):
    model = pure.MLP(2, [16, 3], rng=pure.RNG(42))
    loss = pure.mean_cross_entropy(model, pure.gen_data(pure.RNG(42))[0])
    return f"{backend} {loss.data}\n"


@pytest.mark.slow
def test_as_it_is(build, python):
    run, [wheel] = build()
    assert run.returncode == 0 and ("-none-any" in wheel.name) != HAS_C
    run = python(wheel, PROGRAM)
    assert (run.stdout, run.stderr) == (printed("c" if HAS_C else "python"), "")


def test_without_a_compiler(build, python):
    run, [wheel] = build(CC="/bin/false")
    assert run.returncode == 0 and wheel.name.endswith("-py3-none-any.whl")
    assert "WITHOUT its compiled engine" in run.stdout
    assert ("/bin/false" if HAS_C else NO_C) in run.stdout
    run = python(wheel, PROGRAM)
    assert (run.stdout, run.returncode) == (printed("python"), 0)
    assert run.stderr.count("RuntimeWarning") == HAS_C


def test_the_plain_wheel_on_purpose(build, python):
    """Where there is a compiler, too. It needs nothing, and is silent where nothing can be done."""
    run, [wheel] = build(MICROGRAD_PURE="1")
    assert run.returncode == 0 and wheel.name.endswith("-py3-none-any.whl")
    assert "MICROGRAD_PURE is set" in run.stdout and "WITHOUT its compiled engine" in run.stdout
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if name.endswith((".so", ".pyd"))]
        [metadata] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        assert "Requires-Dist: cffi" not in archive.read(metadata).decode()
    silent = (
        "import sys; sys.platform = 'emscripten'",
        "import sysconfig; sysconfig.get_config_vars()['Py_GIL_DISABLED'] = 1",
    )
    for before, warnings in [("", HAS_C), *((line, 0) for line in silent)]:
        run = python(wheel, before + PROGRAM)
        assert (run.stdout, run.returncode) == (printed("python"), 0)
        assert run.stderr.count("RuntimeWarning") == warnings


def test_the_plain_wheel_or_a_compiler_is_required(build):
    run, wheels = build(MICROGRAD_PURE="1", MICROGRAD_REQUIRE_C="1")
    assert run.returncode != 0 and not wheels
    assert "ImportError: MICROGRAD_PURE is set" in run.stdout


@pytest.mark.parametrize("plain", ["1", pytest.param("", marks=pytest.mark.slow)])
def test_it_is_published_under_another_name(build, python, tmp_path, plain):
    """The package and the compiled module have the names that they had."""
    shutil.copytree(ROOT, tmp_path / "sources", ignore=NOT_SOURCES)
    settings = tmp_path / "sources" / "pyproject.toml"
    text, names = re.subn('(?m)^name = ".*"$', 'name = "another-name"', settings.read_text("utf-8"))
    settings.write_text(text, encoding="utf-8")
    run, [wheel] = build(MICROGRAD_PURE=plain)
    assert run.returncode == 0 and names == 1
    assert wheel.name.startswith(f"another_name-{micrograd.__version__}-")
    found = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    compiled = {name for name in found if name.startswith("_micrograd.")}
    assert found - compiled == {"micrograd", f"another_name-{micrograd.__version__}.dist-info"}
    assert len(compiled) == (HAS_C and not plain)
    run = python(wheel, PROGRAM)
    assert run.stdout == printed("c" if compiled else "python")


def test_the_conda_recipe_has_this_version():
    recipe = (ROOT / "conda" / "recipe.yaml").read_text("utf-8")
    assert f"\n  version: {micrograd.__version__}\n" in recipe


@pytest.fixture
def tree(tmp_path):
    """A copy of the sources with the compiled module beside them, as after a build in place."""
    folder = tmp_path / "tree"
    for name in ("micrograd", "csrc"):
        shutil.copytree(ROOT / name, folder / name, ignore=NOT_SOURCES)
    if HAS_C:
        module = importlib.import_module("_micrograd").__file__
        shutil.copyfile(module, folder / Path(module).name)  # the newest file
    return folder


def warnings_of(tree):
    """What importing the package of the tree prints to standard error."""
    program = f"import sys; sys.path.insert(0, {str(tree)!r}); import micrograd.compiled"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tree)
    assert run.returncode == 0, run.stderr
    return run.stderr


@pytest.mark.skipif(not HAS_C, reason="there is nothing to compile")
def test_sources_that_have_changed_since(tree):
    """Where they are beside the package it warns, and says what to run."""
    assert warnings_of(tree) == ""
    rng, header = tree / "csrc" / "rng.c", tree / "csrc" / "rng.h"
    text = rng.read_bytes()
    rng.touch()
    assert warnings_of(tree) == ""  # with the bytes that it had
    rng.write_bytes(text + b"\n")
    warning = warnings_of(tree)
    assert "RuntimeWarning" in warning and "compiled before csrc/rng.c changed" in warning
    assert f"'python setup.py build_ext --inplace' in {tree}" in warning
    header.unlink()
    assert "compiled before csrc/rng.c, csrc/rng.h changed" in warnings_of(tree)
    shutil.rmtree(tree / "csrc")  # as in a wheel
    assert warnings_of(tree) == ""


@pytest.mark.skipif(not HAS_C, reason="there is nothing to compile")
def test_every_source_counts(tree):
    """All that goes into the compiled module, and nothing else, such as main.c."""
    from micrograd.compiled.library import changed_sources

    assert changed_sources(str(tree)) == []
    for path in (tree / "csrc").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes() + b"\n")
    expected = {"csrc/cflags", "csrc/python/build.py"}
    for folder in ("csrc", "csrc/python"):
        paths = (tree / folder).glob("*.[ch]")
        expected |= {path.relative_to(tree).as_posix() for path in paths}
    found = changed_sources(str(tree))
    assert set(found) == expected - {"csrc/main.c"} and len(set(found)) == len(found) > 30


def test_the_tests_of_another_tree(tree):
    """pytest in a tree whose files are not those of the package that it finds says so."""
    (tree / "tests").mkdir()
    for name in ("conftest.py", "comparing.py"):
        shutil.copy(ROOT / "tests" / name, tree / "tests")
    (tree / "tests" / "test_it.py").write_text("def test_it(engine): pass\n")
    (tree / "pytest.ini").write_text("[pytest]\n")
    (tree / "elsewhere").mkdir()
    package = Path(micrograd.__file__).parent.parent

    def run_tests():
        words = ["-q", "-p", "no:cacheprovider", "-c", tree / "pytest.ini", tree / "tests"]
        run = subprocess.run(
            [sys.executable, "-m", "pytest", *words],
            cwd=tree / "elsewhere",
            env={**os.environ, "PYTHONPATH": str(package)},
            capture_output=True,
            text=True,
        )
        return run.returncode, run.stdout + run.stderr

    assert run_tests()[0] == 0  # the same files in another place
    with (tree / "micrograd" / "checks.py").open("a") as file:
        file.write("# edited\n")
    (tree / "micrograd" / "new.py").touch()
    (tree / "micrograd" / "run.py").unlink()
    with (tree / "csrc" / "rng.c").open("a") as file:
        file.write("// edited\n")
    status, output = run_tests()
    assert status == pytest.ExitCode.USAGE_ERROR and "Traceback" not in output
    changed = "micrograd/checks.py, micrograd/new.py, micrograd/run.py" + ", csrc/rng.c" * HAS_C
    assert f"before {changed} changed: run 'pip install .' again" in output


@pytest.mark.slow
def test_an_older_module_is_not_taken(build, tmp_path):
    run, [wheel] = build()
    assert run.returncode == 0
    os.remove(wheel)
    (tmp_path / "sources" / "csrc" / "rng.c").write_text("#error broken since\n")
    run, [wheel] = build()
    assert run.returncode == 0 and wheel.name.endswith("-py3-none-any.whl")
    found = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    [info] = found - {"micrograd"}
    assert info.endswith(f"-{micrograd.__version__}.dist-info")


@pytest.fixture
def no_cffi(tmp_path):
    (tmp_path / "cffi.py").write_text("raise ImportError('no cffi here')")
    return {"PYTHONPATH": str(tmp_path)}


@pytest.mark.slow
def test_without_cffi(build, no_cffi):
    run, [wheel] = build(**no_cffi)
    assert run.returncode == 0 and wheel.name.endswith("-py3-none-any.whl")
    assert "WITHOUT its compiled engine" in run.stdout
    assert ("no cffi here" if HAS_C else NO_C) in run.stdout


def test_a_compiler_is_required(build):
    run, wheels = build(MICROGRAD_REQUIRE_C="1", CC="/bin/false")
    assert run.returncode != 0 and not wheels and "WITHOUT" not in run.stdout
    assert ("/bin/false" if HAS_C else NO_C) in run.stdout


@pytest.mark.slow
def test_cffi_is_required(build, no_cffi):
    run, wheels = build(MICROGRAD_REQUIRE_C="1", **no_cffi)
    assert run.returncode != 0 and not wheels and "WITHOUT" not in run.stdout
    assert ("no cffi here" if HAS_C else NO_C) in run.stdout


@pytest.mark.slow
@pytest.mark.skipif(not HAS_C, reason="there is nothing to compile")
def test_a_build_in_place_compiles_what_has_changed(tmp_path):
    sources, objects = tmp_path / "sources", tmp_path / "sources" / "build"
    shutil.copytree(ROOT, sources, ignore=NOT_SOURCES)

    def build(**environment):
        command = [sys.executable, "setup.py", "build_ext", "--inplace"]
        run = subprocess.run(
            command,
            cwd=sources,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return run.returncode, run.stdout.count(" -c ")  # how many files were compiled

    status, all_files = build()
    assert status == 0 and all_files > 20
    assert build() == (0, 0)
    rng, ops = sources / "csrc" / "rng.c", sources / "csrc" / "ops.h"
    text = rng.read_text()
    rng.write_text(text + "\n")
    assert build() == (0, 2)  # and the one that has the sources' digests
    rng.write_text("not C\n")
    status, _ = build()
    assert status != 0
    rng.write_text(text)  # with the bytes that it had before
    assert build() == (0, 2)
    text, before = ops.read_text(), ops.stat()
    ops.write_text(text.replace("*out = tanh(a)", "*out = sin(a)"))
    assert build() == (0, all_files)
    ops.write_text(text)
    os.utime(ops, ns=(before.st_atime_ns, before.st_mtime_ns))  # as an older file moved back
    rng.touch()
    assert build() == (0, all_files)
    rng.touch()  # else setuptools takes what is there
    assert build(CFLAGS="-O1") == (0, all_files)
    [one] = objects.rglob("rng.o")
    one.unlink()
    rng.touch()
    assert build(CFLAGS="-O1") == (0, 1)
