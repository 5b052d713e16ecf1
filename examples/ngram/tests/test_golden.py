"""The program's run: the same from both engines, from C, and as it was when it was written down."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import HAS_C, NAMES, ROOT

from ngram import run
from ngram.program import print_lines
from ngram.text import DATA

GOLDEN = (ROOT / "tests" / "golden.txt").read_text("utf-8").splitlines()

needs_names = pytest.mark.skipif(not NAMES.exists(), reason="the course's names are not here")


def without_last_digits(line):
    """Logarithms may have other last digits with another C library."""
    return re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.12f}", line)


def test_run(engine):
    lines = [*run.lines(engine)]
    assert [*map(without_last_digits, lines)] == [*map(without_last_digits, GOLDEN)]


# -----------------------------------------------------------------------------
# the course's names, where they are

LOSSES = [  # of the training and the validation text; for each n, in the order of the smoothings
    [(2.1843, 2.2443), (2.1870, 2.2401), (2.1935, 2.2404), (2.2117, 2.2521)],
    [(1.8703, 2.1376), (1.9028, 2.1118), (1.9677, 2.1269), (2.1006, 2.2114)],
    [(1.4955, 2.3540), (1.6335, 2.2814), (1.8610, 2.3210), (2.2132, 2.4903)],
]
SAMPLE = """\
felton jasiel chaseth nebjnvfobzadon brittan shir esczsvn freyanty aubren malanokhanni
jemxebcghhzhnsurias lam coock braeya leiazie ilamil vleck plgiavae ahzai sire azari ril
aqqhvtsmerysteena jena jo"""


@needs_names
def test_the_course_s_names(engine):
    lines = [*run.lines(engine, NAMES)]
    rows = [[float(x) for x in re.findall(r"[\d.]+", line)] for line in lines[:12]]
    expected = [
        [n, smoothing, *losses]
        for n, row in zip(run.LENGTHS, LOSSES)
        for smoothing, losses in zip(run.SMOOTHINGS, row)
    ]
    assert [[n, s, round(train, 4), round(val, 4)] for n, s, train, val in rows] == expected
    assert lines[12] == "best on val: n 4, smoothing 0.1"
    loss, perplexity = map(float, re.findall(r"[\d.]+", lines[13]))
    assert (round(loss, 6), round(perplexity, 6)) == (2.106370, 8.218358)
    assert lines[14:] == SAMPLE.split()
    assert len("\n".join(lines[14:])) == run.SAMPLED


# -----------------------------------------------------------------------------
# the C program


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The C program, compiled from a copy of its sources."""
    if not HAS_C or not all(map(shutil.which, ("make", "cc"))):
        pytest.skip("there is no compiler")
    copy = tmp_path_factory.mktemp("program") / "csrc"
    shutil.copytree(ROOT / "csrc", copy, ignore=shutil.ignore_patterns("build", "ngram"))
    # not with the flags for the compiled module, which tests/sanitized.sh sets
    subprocess.run(["make", "-s", "-C", copy, "CFLAGS="], check=True)
    return copy / "ngram"


def run_both(program, *arguments, backend="c"):
    """What the C program and Python write, and their exit status."""
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "1", "NGRAM_BACKEND": backend}
    runs = [
        subprocess.run([*command, *arguments], cwd=ROOT, env=environment, capture_output=True)
        for command in ([program], [sys.executable, "-m", "ngram"])
    ]
    return [(run.returncode, run.stdout, run.stderr.replace(b"\r\n", b"\n")) for run in runs]


@pytest.fixture
def texts(tmp_path):
    """A folder of three short texts."""
    for name in "train.txt", "val.txt", "test.txt":
        (tmp_path / name).write_bytes(b"anna\nhannah\n")
    return tmp_path


@pytest.mark.unsanitized
def test_the_c_program_prints_the_same(program):
    c, python = run_both(program)
    assert c == python and c[0] == 0 and c[1].count(b"\n") == len(GOLDEN)
    assert run_both(program, DATA, backend="python") == [c, c]


@needs_names
@pytest.mark.unsanitized
@pytest.mark.parametrize("backend", ["c", "python"])
def test_the_c_program_prints_the_same_of_the_course_s_names(program, backend):
    c, python = run_both(program, NAMES, backend=backend)
    assert c == python and c[0] == 0


WRONG = {
    "empty": (b"", "the file is empty"),
    "upper case": (b"anna\nBob\n", "line 2, column 1: not a letter from a to z"),
    "not ASCII": ("anna\nzoë\n".encode(), "line 2, column 3: not a letter from a to z"),
    "zero byte": (b"an\0na", "line 1, column 3: not a letter from a to z"),
    "carriage return": (b"anna\r\n", "line 1, column 5: not a letter from a to z"),
    "short": (b"ann\n", "at least 5 tokens are needed, and there are 4"),
}


@pytest.mark.unsanitized
@pytest.mark.parametrize("name", ["train.txt", "val.txt", "test.txt"])
@pytest.mark.parametrize("case", WRONG)
def test_wrong_files(program, texts, case, name):
    path = texts / name
    path.write_bytes(WRONG[case][0])
    c, python = run_both(program, texts)
    assert c == python == (1, b"", f"ngram: {path}: {WRONG[case][1]}\n".encode())
    assert run_both(program, texts, backend="python") == [c, c]


@pytest.mark.unsanitized
@pytest.mark.parametrize("backend", ["c", "python"])
def test_files_that_cannot_be_read(program, texts, backend):
    (texts / "test.txt").unlink()
    (texts / "test.txt").mkdir()
    cases = {
        texts: "test.txt: Is a directory",
        f"{texts}//": "test.txt: Is a directory",
        texts / "missing": "train.txt: No such file or directory",
        texts / "train.txt": "train.txt: Not a directory",
        "./missing": "train.txt: No such file or directory",
        "": "train.txt: No such file or directory",
    }
    for directory, problem in cases.items():
        c, python = run_both(program, directory, backend=backend)
        slash = "" if str(directory).endswith("/") or not str(directory) else "/"
        assert c == python == (1, b"", f"ngram: {directory}{slash}{problem}\n".encode())


@pytest.mark.unsanitized
def test_files_without_a_last_newline_and_larger_than_a_buffer(program, texts):
    for data in b"\n" * 5, b"annas", b"anna\n" * 40_000:
        (texts / "train.txt").write_bytes(data)
        c, python = run_both(program, texts)
        assert c == python and c[0] == 0


@pytest.mark.parametrize(
    "problem, status, message",
    [(KeyboardInterrupt, 130, "interrupted"), (MemoryError, 1, "out of memory")],
)
def test_a_run_that_is_interrupted(capsys, problem, status, message):
    def lines():
        yield "one"
        raise problem

    assert print_lines("ngram", lines()) == status
    assert capsys.readouterr() == ("one\n", f"ngram: {message}\n")
