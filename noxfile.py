"""All there is to run, on every Python there is: `nox`, or `nox -s tests-3.11 cross`.

A Python that is not there is skipped, and the list at the end says so; on CI, or with
`--error-on-missing-interpreters`, it is an error.
"""

import os
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
CPYTHONS = ["3.9", "3.10", "3.11", "3.12", "3.13"]

# pyenv's, whether it has chosen them or not
pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
os.environ["PATH"] = os.pathsep.join([*map(str, pyenv.glob("versions/*/bin")), os.environ["PATH"]])


@nox.session(python=[*CPYTHONS, "pypy3"])
def tests(session):
    """The tests, over what pip installs."""
    is_cpython = session.python != "pypy3"
    session.install(".[test]", env={"MICROGRAD_REQUIRE_C": str(int(is_cpython))})
    session.chdir(session.create_tmp())  # where no other micrograd is found
    config = ["-c", ROOT / "pyproject.toml", "--rootdir", ROOT]
    session.run("pytest", "-q", "-rs", *config, ROOT / "tests", *session.posargs)
