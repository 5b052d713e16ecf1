"""The course's step in Python as a command, the twin of c_steps.c and by_hand.c.

    python -m bench.py_steps CLASS [ENGINE] STEPS SECONDS

CLASS is one of course.py, with the ENGINE's module, or one of rivals.py. It prints the loss
of each of the first STEPS steps, and then, from steps repeated for so many seconds, how long
one takes: the median, in seconds.

It runs on PyPy, too: nothing that is imported here needs more than plain Python.
"""

import importlib
import statistics
import sys
import time

from . import course, rivals

EPOCH = 100  # steps, then from the start again
LEAST = 3  # steps, however slow


def make(name, *engine):
    """Make what takes the steps: a class of course.py with an engine, or one of rivals.py."""
    if engine:
        return getattr(course, name)(importlib.import_module(*engine))
    return getattr(rivals, name)()


def times(path, seconds):
    """Yield how long each step takes, for so many seconds."""
    begin = time.perf_counter()
    n = 0
    while n < LEAST or time.perf_counter() - begin < seconds:
        if n % EPOCH == 0:
            path.start()
        before = time.perf_counter()
        path.step()
        yield time.perf_counter() - before
        n += 1


def main(*words):
    *which, steps, seconds = words
    path = make(*which)
    path.start()
    for _ in range(int(steps)):
        print(float(path.step()))
    seconds = float(seconds)
    print(statistics.median(times(path, seconds)) if seconds else 0.0)


if __name__ == "__main__":
    main(*sys.argv[1:])
