"""Wrong arguments: a clear error from both engines, and a model that is as it was."""

import copy
import pickle
import sys
from array import array
from mmap import ACCESS_READ, mmap

import pytest

from ngram import read_text


def ints(*numbers):
    return array("i", numbers)


C = ints(0, 1)  # a context

WRONG = [
    (lambda e, m: e.NGram(0), ValueError, "n must be from 1 to 5, not 0: "),
    (lambda e, m: e.NGram(6), ValueError, "n must be from 1 to 5, not 6: .* 1.5 GB for n = 6"),
    (lambda e, m: e.NGram(2.0), TypeError, "n must be an integer, not 2.0"),
    (lambda e, m: e.NGram(3, 0), ValueError, "smoothing must be from 1e-100 to 1e.100, not 0.0"),
    (lambda e, m: e.NGram(3, float("nan")), ValueError, "smoothing .* not nan"),
    (lambda e, m: e.NGram(3, "1"), TypeError, "expected a number, not str: '1'"),
    (lambda e, m: m.train([0, 1]), TypeError, "tokens must be an array of 32-bit .* not list"),
    (lambda e, m: m.train("ab"), TypeError, "tokens must be .* not str"),
    (lambda e, m: m.train(array("d", [0, 1])), TypeError, "tokens must be .* format 'd'"),
    (lambda e, m: m.train(array("q", [0, 1])), TypeError, "tokens must be .* format 'q'"),
    (lambda e, m: m.train(memoryview(ints(0, 1, 2))[::2]), ValueError, "must be contiguous"),
    (lambda e, m: m.train(ints()), ValueError, "at least 3 tokens are needed, and there are 0"),
    (lambda e, m: m.train(ints(1, 2)), ValueError, "and there are 2"),
    (lambda e, m: m.train(ints(0, 1, 27)), ValueError, r"tokens\[2\] must be .* to 26, not 27"),
    (lambda e, m: m.loss(ints(0, -1, 2)), ValueError, r"tokens\[1\] must be .* to 26, not -1"),
    (lambda e, m: m.loss(ints(0)), ValueError, "and there are 1"),
    (lambda e, m: m.sample(42, 3), TypeError, "random must be this engine's RNG, .* not 42"),
    (lambda e, m: m.sample(e.RNG(1), -1), ValueError, "n must be from 0 to .* not -1"),
    (lambda e, m: m.probabilities([0, 1]), TypeError, "context must be an array .* not list"),
    (lambda e, m: m.probabilities(ints(0)), ValueError, "context must have 2 items, not 1"),
    (lambda e, m: m.probabilities(ints(0, 1, 2)), ValueError, "must have 2 items, not 3"),
    (lambda e, m: m.probabilities(ints(0, 27)), ValueError, r"context\[1\] must be .* not 27"),
    (lambda e, m: m.probabilities(C, [0.0] * 27), TypeError, "out must be .* not list"),
    (lambda e, m: m.probabilities(C, array("f", [0] * 27)), TypeError, "out .* format 'f'"),
    (lambda e, m: m.probabilities(C, array("d", [0] * 26)), ValueError, "27 items, not 26"),
    (lambda e, m: m.probabilities(C, array("d")), ValueError, "must have 27 items, not 0"),
    (
        lambda e, m: m.probabilities(C, memoryview(array("d", [0] * 27)).toreadonly()),
        ValueError,
        "out cannot be written to",
    ),
    (lambda e, m: e.encode(b"a"), TypeError, "text must be a str, not bytes"),
    (lambda e, m: e.encode("a\nb!"), ValueError, "line 2, column 2: not a letter from a to z"),
    (lambda e, m: e.encode("a\u0101"), ValueError, "line 1, column 2"),
    (lambda e, m: e.decode(ints(0, 27)), ValueError, r"tokens\[1\] must be from 0 to 26, not 27"),
    (lambda e, m: e.RNG(0), ValueError, "a seed must be at least 1, not 0"),
    (lambda e, m: e.RNG("1"), TypeError, "a seed must be an integer, not '1'"),
]


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_wrong(engine, case):
    call, error, message = WRONG[case]
    model = engine.NGram(3)
    model.train(ints(0, 1, 2))
    before = model.probabilities(C)
    with pytest.raises(error, match=message):
        call(engine, model)
    assert model.probabilities(C) == before


@pytest.mark.parametrize("dtype", ["int64", "uint32", ">i4", "float64", "bool"])
def test_wrong_arrays_of_numpy(engine, dtype):
    np = pytest.importorskip("numpy")
    with pytest.raises(TypeError, match="tokens must be an array of 32-bit integers"):
        engine.NGram(3).train(np.array([0, 1], dtype))


@pytest.mark.skipif(sys.maxsize < 2**33 or sys.platform == "win32", reason="no such file there")
def test_more_windows_than_can_be_counted(engine, tmp_path):
    """Of a file that has only a size: it is refused before a token of it is read."""
    model = engine.NGram(1)
    model.train(ints(0))
    with open(tmp_path / "tokens", "wb") as file:
        file.truncate(4 * (2**32 - 1))
    with open(tmp_path / "tokens", "rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as map:
        with memoryview(map) as view, view.cast("i") as tokens:
            with pytest.raises(ValueError, match="no more than 4294967295 windows can be counted"):
                model.train(tokens)


def test_wrong_files(tmp_path):
    with pytest.raises(OSError):
        read_text(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "missing.txt")
    (tmp_path / "empty.txt").touch()
    with pytest.raises(ValueError, match="the file is empty"):
        read_text(tmp_path / "empty.txt")


def test_a_second_init_that_fails(engine):
    """It changes nothing: C has memory for the first one."""
    model = engine.NGram(2)
    before = repr(model), model.probabilities(ints(0))
    with pytest.raises(ValueError, match="smoothing"):
        model.__init__(5, -1)
    assert (repr(model), model.probabilities(ints(0))) == before


class Text(str):
    def __len__(self):
        return 0


def test_a_text_with_another_length(engine):
    assert engine.encode(Text("anna")) == engine.encode("anna")


@pytest.mark.parametrize("action", [copy.copy, copy.deepcopy, pickle.dumps])
def test_copies_are_refused(engine, action):
    with pytest.raises(TypeError, match="a NGram cannot be copied or pickled"):
        action(engine.NGram(2))
