"""All there is to run, on every Python there is: `nox --list`, and `nox -s tests-3.11 lint`."""

import sys
from pathlib import Path

import nox

sys.path.append(str(Path(__file__).resolve().parent / "tests"))
from sessions import *
from sessions import CLANG_FORMAT, REQUIRE_C, RUFF


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


@nox.session
def page(session):
    """docs/micrograd.html in the system's chromium; and is it what its sources give?"""
    tools = "ziglang==0.17.1", "playwright", "wasmtime"
    session.install(".[test]", *tools, env=REQUIRE_C)
    options = "-q", "-rs", "-m", "slow", "tests/test_page.py"
    session.run("pytest", *options, *session.posargs)


@nox.session
def bench(session):
    """Are the bench's results right, and its targets within a factor of two?"""
    session.install(".[test,bench]", env=REQUIRE_C)
    session.run("python", "-m", "bench", "--quick", *session.posargs)
