"""The numbers that every port of the course has to give."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ENGINES, needs_c, same_libm

import micrograd
from micrograd import compiled, pure
from micrograd.run import CourseRun

HERE = Path(__file__).parent
GOLDEN = (HERE / "golden" / "course-run.txt").read_text()


def test_generator(engine):
    def draw(seed, n):
        random = engine.RNG(seed)
        return [random.random_u32() for _ in range(n)]

    assert draw(42, 5) == [1456360119, 3359763283, 3393612768, 4054632243, 3283045847]
    assert draw(1337, 3) == [989205090, 818269915, 1335155955]
    assert draw(2**64 - 1, 3) == [4180462053, 2415166680, 879531507]
    random = engine.RNG(42)
    assert [random.random() for _ in range(3)] == [
        0.3390852212905884, 0.7822558283805847, 0.790136992931366,
    ]  # fmt: skip


def test_gen_data(engine):
    random = engine.RNG(42)
    train, val, test = engine.gen_data(random, n=100)
    assert train[0] == ([-0.6436591148376465, 1.1290233135223389], 0)
    assert test[-1] == ([-0.9766521453857422, -0.15662121772766113], 0)
    assert random.state == 71058172779015269
    assert (len(train), len(val), len(test)) == (80, 10, 10)


def test_gen_data_yinyang(engine):
    random = engine.RNG(42)
    train, _, test = engine.gen_data_yinyang(random, n=100)
    assert train[:3] == [
        ([-0.6436591148376465, 1.1290233135223389], 0),
        ([1.502126693725586, -1.2461860179901123], 1),
        ([1.0598013401031494, 0.09119725227355957], 2),
    ]
    assert test[-1] == ([0.21432042121887207, 1.640775442123413], 0)
    assert random.state == 40890607258806830


def test_gen_data_circles(engine):
    random = engine.RNG(42)
    train, val, test = engine.gen_data_circles(random, n=100)
    assert random.state == 71058172779015269  # the same points as gen_data
    for (x, y), label in train + val + test:
        assert label == (0 if x * x + y * y < 1 else 1 if x * x + y * y < 2 else 2)


@same_libm
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "python")) for name in ENGINES]
)
def test_course_run(name):
    engine = ENGINES[name]
    assert "".join(f"{line}\n" for line in CourseRun(engine).lines()) == GOLDEN


def test_course_run_is_the_same_on_both_engines():
    for ours, theirs in itertools.zip_longest(
        CourseRun(compiled).lines(5), CourseRun(pure).lines(5)
    ):
        assert ours == theirs


@same_libm
def test_course_run_as_a_program():
    run = subprocess.run([sys.executable, "-m", "micrograd"], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, GOLDEN, "")


def test_course_run_in_c():
    csrc = HERE.parent / "csrc"
    subprocess.run(["make", "-s", "-C", csrc], check=True, env={**os.environ, "MAKEFLAGS": ""})
    run = subprocess.run([csrc / "micrograd"], capture_output=True, text=True)
    lines = [f"{line}\n" for line in CourseRun(micrograd).lines()]
    assert (run.returncode, run.stdout) == (0, "".join(lines))


def test_karpathys_example(engine):
    a = engine.Value(-4.0)
    b = engine.Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    g.backward()
    assert f"{g.data:.4f}" == "24.7041"
    assert f"{a.grad:.4f}" == "138.8338"
    assert f"{b.grad:.4f}" == "645.5773"


@needs_c
def test_number_repr():
    import struct

    from hypothesis import example, given
    from hypothesis import strategies as st

    from micrograd.compiled.binding import ffi, lib

    powers = st.integers(-1074, 1023).map(lambda e: 2.0**e)
    any_bits = st.integers(0, 2**64 - 1).map(lambda n: struct.unpack(">d", struct.pack(">Q", n))[0])

    @given(st.floats() | powers | any_bits)
    @example(2.0**-44)
    def check(x):
        text = ffi.new("char[32]")
        lib.number_repr(x, text)
        assert ffi.string(text).decode() == repr(x)

    check()
