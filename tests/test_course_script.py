"""Change one import, and an existing script prints the same digits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def printed_with(module):
    path = os.pathsep.join([str(HERE.parent / "bench"), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, HERE / "course_script.py"],
        env={**os.environ, "VALUES": module, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("module", ["micrograd", "micrograd.engine", "micrograd.pure"])
def test_the_same_digits(module):
    expected = printed_with("closures")
    assert expected.count("\n") == 14 and "step 9: loss 0." in expected
    assert printed_with(module) == expected
