"""What `micrograd.parallel` costs, and whether killed workers change a bit of a run.

    python -m bench.parallel

It trains the GPT of examples/gpt.py on the rivers, and on them again and again as a larger data
set. A step is `trainer.backward()`; the times are medians. It takes some five minutes.
"""

import os
import random
import signal
import statistics
import sys
import threading
import time
import timeit
from pathlib import Path

from micrograd import MLP, RNG, AdamW
from micrograd.parallel import Trainer, local_client

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
sys.path.insert(0, str(EXAMPLES))

from gpt import GPT, read  # noqa: E402
from gpt_parallel import losses  # noqa: E402

WORDS = read(EXAMPLES / "rivers.txt")
SHARDS = 8
WORKERS = 1, 2, 4, 8


def training(client, times=1, steps=30):
    """Train; return the median of a step's seconds, and all losses and parameters."""
    model = GPT(RNG(42))
    optimizer = AdamW(model.parameters(), lr=0.02, betas=(0.9, 0.99))
    trainer = Trainer(model, WORDS * times, client, shards=SHARDS, loss=losses)
    seconds, numbers = [], []
    for _ in range(steps):
        start = time.perf_counter()
        numbers.append(trainer.backward())
        seconds.append(time.perf_counter() - start)
        optimizer.step()
        optimizer.zero_grad()
    return statistics.median(seconds), numbers + [p.data for p in model.parameters()]


def column(workers):
    return "1 worker" if workers == 1 else f"{workers} workers"


def steps_by_size():
    print("| words in a shard | one process |", " | ".join(map(column, WORKERS)), "|")
    print("| ---: |" + " ---: |" * (1 + len(WORKERS)))
    for times, steps in (1, 41), (8, 21), (64, 7):
        plain, expected = training(None, times, steps)
        row = [f"{plain * 1e3:.0f} ms"]
        for n in WORKERS:
            with local_client(n) as client:
                seconds, numbers = training(client, times, steps)
            assert numbers == expected, f"other bits with {n} workers"
            row.append(f"{seconds * 1e3:.0f} ms")
        print(f"| {len(WORDS) * times // SHARDS} |", " | ".join(row), "|", flush=True)


def tasks(n=2):
    """How long Dask takes for shards that compute next to nothing."""
    model, points = MLP(2, [1], rng=RNG(1)), [([0.5, -1.0], 0)] * 512
    with local_client(n) as client:
        for shards in 8, 64, 512:
            trainer = Trainer(model, points, client, shards=shards)
            seconds = min(timeit.repeat(trainer.backward, number=1, repeat=10))
            print(f"{shards} shards of a tiny model, {n} workers: {seconds * 1e3:.0f} ms")


def kills(times=8, steps=40, n=4, seed=1):
    """Kill three of the workers at random moments of a run, and compare it with none killed."""
    start = time.perf_counter()
    _, expected = training(None, times, steps)
    with local_client(n) as client:
        client.wait_for_workers(n)
        undisturbed = time.perf_counter()
        assert training(client, times, steps)[1] == expected
        undisturbed = time.perf_counter() - undisturbed
        chance = random.Random(seed)
        moments = sorted(chance.uniform(0.1, 0.9) * undisturbed for _ in range(3))
        killed = []

        def kill():
            for moment in moments:
                time.sleep(max(0.0, start + moment - time.perf_counter()))
                pids = sorted(client.run(os.getpid, on_error="ignore").values())
                killed.append(chance.choice(pids))
                os.kill(killed[-1], signal.SIGKILL)

        start = time.perf_counter()
        killer = threading.Thread(target=kill)
        killer.start()
        numbers = training(client, times, steps)[1]
        seconds = time.perf_counter() - start
        killer.join()
    assert len({*killed}) == 3
    print(
        f"{steps} steps with {n} workers: {undisturbed:.1f} s; with 3 of them killed after "
        f"{', '.join(f'{moment:.1f}' for moment in moments)} s: {seconds:.1f} s, and "
        f"{'the same bits' if numbers == expected else 'OTHER BITS'}"
    )


if __name__ == "__main__":
    steps_by_size()
    print()
    tasks()
    print()
    kills()
