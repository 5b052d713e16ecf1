"""What the program does, with either engine: count a file's words, and make up others."""

from __future__ import annotations

from .text import WORDS, read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike
    from types import ModuleType

SMOOTHING, SEED, SAMPLED = 0.1, 42, 120


def lines(engine: ModuleType, path: str | PathLike[str] = WORDS) -> Iterator[str]:
    """Yield what csrc/main.c prints, too, line by line."""
    text = read_text(path)
    try:
        tokens = engine.encode(text)
    except ValueError as problem:
        raise ValueError(f"{path}: {problem}") from None
    model = engine.Bigram(smoothing=SMOOTHING)
    yield f"{len(tokens)} tokens"
    yield f"loss {model.loss(tokens)}"
    model.train(tokens)
    yield f"loss {model.loss(tokens)} after counting them"
    yield from engine.decode(model.sample(engine.RNG(SEED), SAMPLED)).split("\n")
