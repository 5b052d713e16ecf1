"""What an import costs, in a process of its own."""

import sys
import time

from .measure import output

IMPORTS = {
    "micrograd": "import micrograd",
    "micrograd.pure, without the compiled engine": (
        "import os; os.environ['MICROGRAD_BACKEND'] = 'python'; import micrograd"
    ),
}


def seconds(code):
    """Return how long Python takes to start, run the code and end."""
    before = time.perf_counter()
    output([sys.executable, "-c", code])
    return time.perf_counter() - before


def import_seconds(code):
    """Return how long the code takes, without what the bare interpreter does."""
    return seconds(code) - seconds("import os")


def imports_in_rounds(rounds, say):
    """Return by what is imported how long it took in each round."""
    for code in IMPORTS.values():
        seconds(code)  # the files are read from memory from now on
    times = {name: [] for name in IMPORTS}
    for i in range(rounds):
        say(f"imports, round {i + 1} of {rounds}")
        for name, code in IMPORTS.items():
            times[name].append(import_seconds(code))
    return times
