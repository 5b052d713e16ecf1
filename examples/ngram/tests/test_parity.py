"""The two engines against each other: the same bits and the same errors on random input."""

from array import array

import pytest
from conftest import ENGINES, NO_C, bits, outcome
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.skipif(len(ENGINES) < 2, reason=NO_C)

windows = st.integers(1, 4) | st.just(5)  # which has 57 MB in C
smoothings = st.floats(1e-3, 1e3) | st.sampled_from([1e-100, 1e100])
lists = st.lists(st.integers(0, 3) | st.integers(-1, 27), max_size=40)
arrays = lists.map(lambda tokens: array("i", tokens))


def both(function):
    """What the function returns of each engine; they have to agree."""
    results = [function(engine) for engine in ENGINES.values()]
    assert results[0] == results[1]
    return results[0]


@given(windows, smoothings, arrays, arrays, arrays, st.integers(1, 2**64 - 1))
def test_ngram(n, smoothing, first, second, context, seed):
    def run(engine):
        model = engine.NGram(n, smoothing)
        results = [repr(model)]
        for tokens in first, second:
            results.append(outcome(model.train, tokens))
            kind, loss = outcome(model.loss, tokens)
            results.append(bits(loss) if kind == "is" else (kind, loss))
        for tokens in context, context[: n - 1], first[: n - 1], array("i", [0] * (n - 1)):
            kind, row = outcome(model.probabilities, tokens)
            results.append([*map(bits, row)] if kind == "is" else (kind, row))
        random = engine.RNG(seed)
        results.append(model.sample(random, 20))
        return results, random.state

    both(run)


@given(st.text(st.sampled_from("\nabyz"), max_size=20) | st.text(max_size=5))
def test_text(text):
    kind, tokens = both(lambda engine: outcome(engine.encode, text))
    if kind == "is":
        assert both(lambda engine: engine.decode(tokens)) == text


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
