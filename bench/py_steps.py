"""A step in Python as a command, the twin of c_steps.c and by_hand.c.

    python -m bench.py_steps CLASS [ENGINE] STEPS SECONDS

CLASS is one of course.py, gpt.py or loops.py, with the ENGINE's module, or one of rivals.py:
`gpt.GPT bench.slotted`. It prints the loss of each of the first STEPS steps, and then, from
steps repeated for so many seconds, how long one takes: the median of batches, in seconds.
They are short, so that few of them have to wait for another process; only a single step would
be too short: the garbage collector may be at work in one of three.

It runs on PyPy, too: nothing that is imported here needs more than plain Python.
"""

import importlib
import itertools
import statistics
import sys
import time

EPOCH = 100  # steps, then from the start again
BATCH = 20  # steps, or as many as there is time for
LEAST = 5  # but no fewer


def make(name, *engine):
    """Make what takes the steps: a class of this folder, with an engine if it wants one."""
    module, name = name.split(".")
    kind = getattr(importlib.import_module(f"bench.{module}"), name)
    return kind(*map(importlib.import_module, engine))


def batches(path, seconds):
    """Yield how long a step takes in each batch, for so many seconds."""
    begin = time.perf_counter()
    end = begin + seconds
    for n in itertools.count():
        if begin >= end:
            return
        if n % (EPOCH // BATCH) == 0:
            path.start()
        begin = now = time.perf_counter()
        steps = 0
        while steps < LEAST or (steps < BATCH and now < end):
            path.step()
            steps += 1
            now = time.perf_counter()
        yield (now - begin) / steps
        begin = now


def main(*words):
    *which, steps, seconds = words
    path = make(*which)
    path.start()
    for _ in range(int(steps)):
        print(float(path.step()))
    print(statistics.median(batches(path, float(seconds)) if float(seconds) else [0.0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
