"""The two engines against each other: the same bits and the same errors on random input."""

from array import array

import pytest
from conftest import ENGINES, NO_C, bits, outcome
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.skipif(len(ENGINES) < 2, reason=NO_C)

sizes = st.integers(1, 6)
smoothings = st.floats(1e-3, 1e3) | st.sampled_from([1e-100, 1e100])
arrays = st.lists(st.integers(0, 5), max_size=30).map(lambda tokens: array("i", tokens))


def both(function):
    """What the function returns of each engine; they have to agree."""
    results = [function(engine) for engine in ENGINES.values()]
    assert results[0] == results[1]
    return results[0]


@given(sizes, smoothings, arrays, arrays, st.integers(1, 2**64 - 1))
def test_bigram(size, smoothing, first, second, seed):
    def run(engine):
        model = engine.Bigram(size, smoothing)
        results = [repr(model)]
        for tokens in first, second:
            results.append(outcome(model.train, tokens))
            kind, loss = outcome(model.loss, tokens)
            results.append(bits(loss) if kind == "is" else (kind, loss))
        random = engine.RNG(seed)
        results.append(outcome(model.sample, random, 20, size // 2))
        return results, random.state, [*map(bits, model.probabilities())]

    both(run)


@given(st.text(st.sampled_from("\nabyz"), max_size=20) | st.text(max_size=5))
def test_text(text):
    kind, tokens = both(lambda engine: outcome(engine.encode, text))
    if kind == "is":
        assert both(lambda engine: engine.decode(tokens)).strip("\n") == text.strip("\n")


@given(arrays, st.integers(-(2**31), 2**31 - 1))
def test_decode(tokens, another):
    tokens.append(another)
    both(lambda engine: outcome(engine.decode, tokens))


@given(st.integers(1, 2**64 - 1))
def test_rng(seed):
    def run(engine):
        random = engine.RNG(seed)
        return random.random_u32(), bits(random.random()), bits(random.uniform(-1, 3)), repr(random)

    both(run)
