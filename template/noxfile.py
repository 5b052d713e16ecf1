"""All there is to run, on every Python there is: `nox --list`, and `nox -s tests-3.11 lint`."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent / "tests"))
from sessions import *
