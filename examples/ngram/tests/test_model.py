"""What the model computes, checked by hand, and the arrays that it takes."""

import gc
from array import array

import pytest
from conftest import needs_c

from ngram.text import DATA, read_text

TOKENS = [0, 1, 2, 0, 1, 2, 0, 1, 1]  # 0 1 is followed by 2, 2, 1
CONTEXT = array("i", [0, 1])


def test_by_hand(engine):
    model = engine.NGram(3, smoothing=1)
    assert (model.n, model.smoothing) == (3, 1.0)
    model.train(array("i", TOKENS))
    assert model.probabilities(CONTEXT) == array("d", [1 / 30, 2 / 30, 3 / 30] + [1 / 30] * 24)
    assert model.probabilities(array("i", [5, 5])) == array("d", [1 / 27] * 27)
    model.train(array("i", TOKENS))  # adds to the counts
    assert model.probabilities(CONTEXT)[2] == 5 / 33


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_windows_of_each_length(engine, n):
    model = engine.NGram(n, smoothing=1e-100)
    model.train(array("i", range(27)))
    for first in range(27 - n + 1):
        context = array("i", range(first, first + n - 1))
        assert model.probabilities(context)[first + n - 1] == (1 / 27 if n == 1 else 1)


def test_words(engine):
    tokens = engine.encode("ab\ncz\n")
    assert tokens == array("i", [1, 2, 0, 3, 26, 0])
    assert engine.decode(tokens) == "ab\ncz\n"
    assert engine.encode("") == array("i") and engine.decode(array("i")) == ""


def test_counting_lowers_the_loss(engine):
    tokens = engine.encode(read_text(DATA / "train.txt"))
    model = engine.NGram(3)
    before = model.loss(tokens)
    model.train(tokens)
    assert model.loss(tokens) < before - 1


def test_samples_follow_the_counts(engine):
    model = engine.NGram(3, smoothing=1e-100)
    model.train(array("i", [0, 0, 1, 2, 0, 3, 0, 0]))
    assert [*model.sample(engine.RNG(7), 9)] == [1, 2, 0, 3, 0, 0, 1, 2, 0]
    assert [*model.sample(engine.RNG(7), 0)] == []


def test_a_number_that_is_a_cumulative_probability(engine):
    """The token drawn is the first whose cumulative probability is above the number."""
    model, random = engine.NGram(1, smoothing=1e-100), engine.RNG(12108632093278387723)
    model.train(array("i", [0, 1]))
    assert engine.RNG(random.state).random() == 0.5 == model.probabilities(array("i"))[0]
    assert [*model.sample(random, 1)] == [1]


def test_the_generator_goes_on(engine):
    model, random = engine.NGram(1), engine.RNG(42)
    parts = model.sample(random, 3) + model.sample(random, 0) + model.sample(random, 4)
    assert parts == model.sample(engine.RNG(42), 7)
    assert random.state != engine.RNG(42).state


def test_numpy(engine):
    np = pytest.importorskip("numpy")
    model = engine.NGram(3)
    model.train(np.array(TOKENS, np.int32))
    model.train(memoryview(array("i", TOKENS)))
    out = np.zeros((3, 9))
    assert model.probabilities(np.array([0, 1], np.int32), out) is out  # written to, not copied
    assert out.ravel().tolist() == [*model.probabilities(CONTEXT)]
    assert out.sum() == pytest.approx(1)


@needs_c
def test_numbers_that_both_engines_have():
    from ngram import checks
    from ngram.compiled.library import lib

    assert (lib.VOCABULARY, lib.LONGEST) == (checks.SIZE, checks.LONGEST)


@needs_c
def test_c_frees_what_it_has(monkeypatch):
    from ngram.compiled import model as module

    freed = []

    class Library:
        def __getattr__(self, name):
            return getattr(lib, name)

        def ngram_free(self, pointer):
            freed.append(pointer)
            lib.ngram_free(pointer)

    lib = module.lib
    monkeypatch.setattr(module, "lib", Library())
    model = module.NGram()
    del model
    gc.collect()
    assert len(freed) == 1


@needs_c
def test_no_memory(monkeypatch):
    from ngram.compiled import model as module

    class Library:
        ngram_free = module.lib.ngram_free

        def ngram_new(self, n, smoothing):
            return module.ffi.NULL

    monkeypatch.setattr(module, "lib", Library())
    with pytest.raises(MemoryError, match=r"27\*\*3 counts"):
        module.NGram()
