"""Both engines, timed: `pytest --benchmark-only`. What is timed is first checked."""

import pytest

import ngram
from ngram import pure
from ngram.text import DATA, read_text

ENGINES = {"python": pure}
if ngram.backend == "c":
    from ngram import compiled

    ENGINES["c"] = compiled

TEXT = read_text(DATA / "train.txt")
TOKENS = pure.encode(TEXT)
ACTIONS = {
    "encode": lambda engine, model: engine.encode(TEXT),
    "train": lambda engine, model: engine.NGram(3).train(TOKENS),
    "loss": lambda engine, model: model.loss(TOKENS),
    "probabilities": lambda engine, model: model.probabilities(TOKENS[:2]),
    "sample": lambda engine, model: model.sample(engine.RNG(42), 1000),
}


def trained(engine):
    model = engine.NGram(3)
    model.train(TOKENS)
    return model


@pytest.mark.benchmark(max_time=0.2)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("action", ACTIONS)
def test_action(benchmark, action, engine):
    benchmark.group = action
    run, engine = ACTIONS[action], ENGINES[engine]
    model = trained(engine)
    assert run(engine, model) == run(pure, trained(pure))
    benchmark(run, engine, model)
