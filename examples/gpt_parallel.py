"""The GPT of gpt.py, which learns from all words in every step, and several processes at once.

    python examples/gpt_parallel.py --workers 4

It prints the same digits for any number of workers.
"""

import argparse
from pathlib import Path

from gpt import GPT, make_up, read

from micrograd import RNG, AdamW, no_grad
from micrograd.parallel import Trainer, local_client


def losses(model, words):
    """The loss of each word. All are computed in the same recordings, one after another."""
    return map(model.loss, words)


def main():
    parser = argparse.ArgumentParser(description="Train a small GPT with several processes.")
    option, rivers = parser.add_argument, Path(__file__).with_name("rivers.txt")
    option("--data", type=Path, default=rivers, help="words of a-z, one a line (rivers.txt)")
    option("--steps", type=int, default=200, help="training steps, all words each (200)")
    option("--workers", type=int, default=2, help="processes that compute (2)")
    option("--shards", type=int, default=8, help="parts that the words are divided into (8)")
    options = parser.parse_args()

    rng = RNG(42)
    words = read(options.data)
    model = GPT(rng)
    optimizer = AdamW(model.parameters(), lr=0.02, betas=(0.9, 0.99))
    with local_client(options.workers) as client:
        trainer = Trainer(model, words, client, shards=options.shards, loss=losses)
        for step in range(1, options.steps + 1):
            loss = trainer.backward()
            optimizer.step()
            optimizer.zero_grad()
            if step % 20 == 0 or step == options.steps:
                print(f"step {step}, loss {loss!r}")
    with no_grad():
        print(*[make_up(model, 0.7, rng) for _ in range(10)])


if __name__ == "__main__":
    main()
