"""examples/gpt.py: what it prints, keeps and refuses."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ENGINES, needs_c, same_libm

pytestmark = pytest.mark.unsanitized

ROOT = Path(__file__).parent.parent
FAST, *_, OTHER = [*ENGINES, *ENGINES]  # the same where there is only one
WORDS = "ebro\nelbe\n\n  Oder \nodra\nyare\nyarra\n"


def gpt(*words, backend=FAST, status=0, **variables):
    """Run it; return the lines that it prints, or its message if it fails."""
    run = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "examples" / "gpt.py", *map(str, words)],
        env={**os.environ, "MICROGRAD_BACKEND": backend, **variables},
        capture_output=True,
        text=True,
    )
    assert run.returncode == status, run.stderr
    return run.stderr.splitlines()[-1] if status else run.stdout.splitlines()


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text(WORDS)
    return path


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_engines_agree(words, seed):
    found = [gpt("--data", words, "--steps", 8, "--seed", seed, backend=name) for name in ENGINES]
    head, loss, *made_up = found[0]
    assert head == "6 words, 4192 parameters" and loss.startswith("step 8, loss 2.")
    assert len(made_up) == 10
    assert all(lines == found[0] for lines in found)
    if seed != 1:
        assert found[0] != gpt("--data", words, "--steps", 8, "--seed", 1)


def test_rivers():
    head, loss = gpt("--steps", 2)[:2]
    assert head == "256 words, 4192 parameters" and loss.startswith("step 2, loss 3.")


def test_without_tqdm(words, tmp_path):
    """What is printed is the same."""
    expected = gpt("--data", words, "--steps", 2)
    (tmp_path / "tqdm.py").write_text("raise ImportError")
    assert gpt("--data", words, "--steps", 2, PYTHONPATH=path_before(tmp_path)) == expected


def path_before(folder):
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])


@needs_c
@same_libm
def test_the_readme_shows_what_it_prints():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"    \$ python examples/gpt.py\n((?:    .*\n)+)", text)[1]
    shown = [line.strip() for line in shown.splitlines() if line.strip() != "..."]
    printed = iter(gpt())
    assert all(line in printed for line in shown) and len(shown) > 4  # in this order


@pytest.mark.slow
def test_save_and_load_continue(words, tmp_path):
    """Saved by one engine, continued by the other: the same numbers as in one go."""
    one, two, whole = (tmp_path / f"{name}.json" for name in ("one", "two", "whole"))
    gpt("--data", words, "--steps", 3, "--save", one, backend=OTHER)
    gpt("--data", words, "--steps", 4, "--load", one, "--save", two)
    gpt("--data", words, "--steps", 7, "--save", whole)
    assert two.read_bytes() == whole.read_bytes() != one.read_bytes()
    # nothing is learned in no steps, and what is made up is what the run itself would make up
    assert (
        gpt("--data", words, "--steps", 0, "--load", two)[1:]
        == gpt("--data", words, "--steps", 7)[2:]
    )


def test_it_learns(words):
    """One word, again and again: it is what is made up."""
    words.write_text("yare\n")
    *_, last = gpt("--data", words, "--steps", 100, "--temperature", 0.1)
    assert last == "yare"


@pytest.mark.parametrize(
    "text, problem",
    [
        ("", " has no words in it"),
        ("\n \n", " has no words in it"),
        ("ebro\nguadalquivirguadal\n", ", line 2: 'guadalquivirguadal' is not at most 15 letters"),
        ("ebro\n\nrío\n", ", line 3: 'río' is not at most 15 letters a-z"),
        ("two words", ", line 1: 'two words' is not at most 15 letters a-z"),
        (b"ebro\n\xff\xfe\n", ", line 2: "),
    ],
)
def test_bad_words(words, text, problem):
    words.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert f"error: {words}{problem}" in gpt("--data", words, status=2)


def test_words_that_are_made_up_can_be_read(words, tmp_path):
    """A mark of Windows in front, too."""
    made = gpt("--steps", 0, "--temperature", 1e9)[-10:]
    assert max(map(len, made)) == 15
    (tmp_path / "made.txt").write_text("\n".join(made), encoding="utf-8-sig")
    assert gpt("--data", tmp_path / "made.txt", "--steps", 1)[0].endswith("4192 parameters")


def test_bad_options(words, tmp_path):
    for options, problem in [
        (["--data", tmp_path / "nothing.txt"], "nothing.txt"),
        (["--load", words], "words.txt"),
        (["--load", tmp_path / "nothing.json"], "nothing.json"),
        (["--temperature", 0], "--temperature 0 is not above 0"),
        (["--temperature", "nan"], "--temperature nan is not above 0"),
        (["--steps", -1], "--steps -1 is below 0"),
        (["--save", tmp_path / "nothing" / "gpt.json"], "there is no such folder"),
        (["--seed", 0], "a seed must be at least 1, not 0"),
    ]:
        assert problem in gpt("--steps", 1, *options, status=2)
