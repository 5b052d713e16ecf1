"""What nox runs in every project of this shape; noxfile.py adds the project's own sessions.

A Python that is not there is skipped, and the list at the end says so; on CI, or with
`--error-on-missing-interpreters`, it is an error.
"""

import os
import re
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent.parent
NAME = re.search(r'^packages = \["(\w+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.M)[1]
REQUIRE_C = {f"{NAME.upper()}_REQUIRE_C": "1"}
CPYTHONS = ["3.9", "3.10", "3.11", "3.12", "3.13"]

# what formats: other versions may format in other ways
RUFF, CLANG_FORMAT = "ruff==0.17.6", "clang-format==23.1.5"

# pyenv's, whether it has chosen them or not
pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
os.environ["PATH"] = os.pathsep.join([*map(str, pyenv.glob("versions/*/bin")), os.environ["PATH"]])


def run_tests(session, *options, **environment):
    session.chdir(session.create_tmp())  # where no other copy of the package is found
    config = ["-c", ROOT / "pyproject.toml", "--rootdir", ROOT]
    what = session.posargs or [ROOT / "tests"]
    session.run("pytest", "-q", "-rs", *config, *options, *what, env=environment)


@nox.session(python=CPYTHONS)
def tests(session):
    """The tests that are not slow, over what pip installs."""
    session.install(".[test]", env=REQUIRE_C)
    run_tests(session)


@nox.session(python="pypy3")
def pypy(session):
    """The same on PyPy, where pip installs the plain-Python engine."""
    session.install(".[test]")
    run_tests(session)


@nox.session(python=[*CPYTHONS, "pypy3"])
def slow(session):
    """All tests, the slow ones too, with 2000 examples of random programs instead of 100."""
    session.install(".[test]", env={} if session.python == "pypy3" else REQUIRE_C)
    run_tests(session, "-m", "slow or not slow", HYPOTHESIS_PROFILE="ci")


@nox.session
def sanitized(session):
    """C's own tests and the Python tests under the sanitizers."""
    session.install(".[test]", env=REQUIRE_C)
    session.run("make", "-C", "csrc", "sanitized", external=True)
    session.run("bash", "tests/sanitized.sh", *session.posargs, env=REQUIRE_C, external=True)


@nox.session
def types(session):
    """The annotations, to two type checkers."""
    session.install(".[test]", "mypy", "pyright[nodejs]", env=REQUIRE_C)
    session.run("mypy")
    session.run("pyright")


def clang_format(session, *options):
    """Run clang-format on all C sources, those of bench/ and tests/ too, in the style of csrc/."""
    folders = "csrc", "csrc/python", "csrc/tests", "bench", "page", "tests"
    folders += "examples/*/csrc", "examples/*/csrc/tests"
    sources = [
        path
        for folder in folders
        for path in sorted(ROOT.glob(f"{folder}/*.[ch]"))
        if not path.is_symlink()
    ]
    session.run("clang-format", "--style=file:csrc/.clang-format", *options, *sources)


@nox.session
def lint(session):
    """The linter; and is everything formatted?"""
    session.install(RUFF, CLANG_FORMAT)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    clang_format(session, "--dry-run", "-Werror")


@nox.session
def format(session):
    """Format the Python and the C sources."""
    session.install(RUFF, CLANG_FORMAT)
    session.run("ruff", "format", ".")
    clang_format(session, "-i")
