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


@pytest.mark.parametrize("name", PAIRS)
def test_no_line_break_within_chinese(name):
    """Browsers show a line break as a space, which Chinese has not; a list keeps its lines."""
    sign = "[\u3001-\u303f\u4e00-\u9fff\uff01-\uff5e]"
    for text in cells_of(PAIRS[name][1], "markdown"):
        assert not re.findall(rf".*{sign}\**\s(?!\s|- |\d+\. )\s*\**{sign}.*", text)


EXERCISES = {  # what a text asks to change, and what it says is printed then
    "other points": (
        "ten_minutes",
        [("rng = RNG(42)", "rng = RNG(46)")],
        "",
        r"^0\.0023 1\.4716$",
    ),
    "kept-out words": (
        "small_gpt",
        [
            (
                "print(len(words), TOKENS)",
                "kept_out = words[2::5]\nwords = [word for word in words if word not in kept_out]",
            )
        ],
        "print(f'{mean_loss(gpt_loss):.3f}',"
        " f'{sum(gpt_loss(word).item() for word in kept_out) / len(kept_out):.3f}')",
        r"^0\.772 6\.932$",
    ),
    "more steps": ("small_gpt", [("steps=1000, lr=0.03", "steps=2000, lr=0.03")], "", r"^0\.741$"),
    "no attention": (
        "small_gpt",
        [("x = add(x, linear(heard, out))", "pass")],
        "",
        r"^1\.200\nrhin: (.*)\nmain: \1$",
    ),
}


@pytest.mark.skipif("c" not in ENGINES, reason="the plain engine takes too long")
@pytest.mark.parametrize("exercise", EXERCISES)
def test_what_exercises_say(exercise):
    pytest.importorskip("matplotlib", reason="matplotlib is optional")
    name, changes, end, printed = EXERCISES[exercise]
    program = "\n".join(cells_of(PAIRS[name][0], "code"))
    for old, new in changes:
        assert program.count(old) == 1
        program = program.replace(old, new)
    run = subprocess.run(
        [sys.executable, "-c", f"{program}\n{end}"],
        env={**os.environ, "MICROGRAD_BACKEND": "c", "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert re.search(printed, run.stdout, re.MULTILINE), run.stdout


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
