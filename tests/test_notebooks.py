"""examples/notebooks: they are what build.py makes, and their cells print what stands in them."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ENGINES

FOLDER = Path(__file__).parent.parent / "examples" / "notebooks"
PAIRS = {
    path.stem: [path.with_suffix(ending) for ending in (".ipynb", ".zh.ipynb")]
    for path in FOLDER.glob("*.md")
}


def cells_of(path, kind):
    """The texts of a notebook's cells of a kind: "code" or "markdown"."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


def test_there_are_two():
    assert sorted(PAIRS) == ["small_gpt", "ten_minutes"]


def test_they_are_built():
    """If this fails: python examples/notebooks/build.py"""
    spec = importlib.util.spec_from_file_location("build", FOLDER / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    found = {path: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.ipynb")}
    assert found == build.notebooks()


@pytest.mark.parametrize("name", PAIRS)
def test_there_are_no_outputs(name):
    for path in PAIRS[name]:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert all(not cell.get("outputs") for cell in cells)
        assert all(cell.get("execution_count") is None for cell in cells)


@pytest.mark.parametrize("name", PAIRS)
def test_both_languages_have_the_same_code(name):
    english, chinese = ([*map(ast.dump, map(ast.parse, cells_of(path, "code")))]
                        for path in PAIRS[name])  # fmt: skip
    assert english == chinese and len(english) > 8


@pytest.mark.parametrize("name", PAIRS)
def test_both_languages_have_the_same_numbers(name):
    """As many texts, and in each the same decimal fractions, code and formulas, in any order."""
    english, chinese = (cells_of(path, "markdown") for path in PAIRS[name])
    assert len(english) == len(chinese)
    for texts in zip(english, chinese):
        found = [re.findall(r"\d+\.\d+|`[^`]+`|\$[^$]+\$", text) for text in texts]
        numbers, others = ({x.replace(".zh.", ".") for x in part} for part in found)
        assert numbers == others
    assert all(re.search("[\u4e00-\u9fff]", text) for text in chinese)
    assert not any(re.search("[\u4e00-\u9fff]", text) for text in english)


@pytest.mark.parametrize(
    "backend",
    [pytest.param(name, marks=pytest.mark.slow) if name == "python" else name for name in ENGINES],
)
@pytest.mark.parametrize("name", PAIRS)
def test_they_run(name, backend):
    """All cells as one program; what they print stands behind a `print`, or below it."""
    pytest.importorskip("matplotlib", reason="matplotlib is optional")
    program = "\n".join(cells_of(PAIRS[name][0], "code"))
    run = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", program],
        env={**os.environ, "MICROGRAD_BACKEND": backend, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == re.findall(
        r"^(?:print\(.*\)  )?# (.*)$", program, re.MULTILINE
    )
