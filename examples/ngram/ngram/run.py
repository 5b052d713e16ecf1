"""What the program does, with either engine: find the best model of three texts, and sample it."""

from __future__ import annotations

import math
import os

from .checks import too_few_tokens
from .text import DATA, read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator
    from types import ModuleType

LENGTHS = 3, 4, 5
SMOOTHINGS = 0.03, 0.1, 0.3, 1.0
SEED, SAMPLED = 1337, 200


def lines(engine: ModuleType, directory: str | os.PathLike[str] = DATA) -> Iterator[str]:
    """Yield what csrc/main.c prints, too, line by line."""
    train = load(engine, os.path.join(directory, "train.txt"))
    val = load(engine, os.path.join(directory, "val.txt"))
    test = load(engine, os.path.join(directory, "test.txt"))

    # the validation text chooses: the loss of the training text gets less with each longer n
    best_loss = math.inf
    for n in LENGTHS:
        for smoothing in SMOOTHINGS:
            model = engine.NGram(n, smoothing)
            model.train(train)
            loss = model.loss(val)
            losses = f"train loss {model.loss(train)} | val loss {loss}"
            yield f"n {n} | smoothing {smoothing} | {losses}"
            if loss < best_loss:
                best_loss, best = loss, (n, smoothing)

    n, smoothing = best
    yield f"best on val: n {n}, smoothing {smoothing}"
    model = engine.NGram(n, smoothing)
    model.train(train)
    loss = model.loss(test)
    yield f"test loss {loss}, perplexity {math.exp(loss)}"
    yield from engine.decode(model.sample(engine.RNG(SEED), SAMPLED)).split("\n")


def load(engine: ModuleType, path: str) -> array[int]:
    """Return the tokens of a file, enough of them for the longest window."""
    text = read_text(path)
    try:
        tokens: array[int] = engine.encode(text)
        if len(tokens) < max(LENGTHS):
            raise too_few_tokens(len(tokens), max(LENGTHS))
    except ValueError as problem:
        raise ValueError(f"{path}: {problem}") from None
    return tokens
