"""python -m bench: compare everything in one run."""

import argparse
import importlib.util
import sys
from typing import NamedTuple

from . import plots, report, targets
from .graphs import SIZES
from .imports import imports_in_rounds
from .machine import machine
from .measure import (
    MEMORY,
    ONE_BY_ONE,
    ONE_CALL,
    ROOT,
    Measurements,
    WrongResult,
    check_all,
    memory_is_known,
    memory_of,
    nodes_by_size,
    rounds_of,
)
from .paths import PATHS


class Effort(NamedTuple):
    """How much is measured.

    Attributes:
        paths, rounds, slice: of the step: which, how often, and for how many seconds each.
        sizes, one_by_one, one_call: of graphs: which, and how often, recorded one op at a
            time and in one call.
        memory: whose.
        imports: how often.
    """

    paths: list
    rounds: int
    slice: float
    sizes: list
    one_by_one: int
    one_call: int
    memory: list
    imports: int


FULL = Effort(PATHS, 21, 0.3, SIZES, 5, 9, list(MEMORY), 9)
QUICK = Effort(targets.PATHS, 4, 0.2, [SIZES[0], SIZES[-1]], 1, 3, targets.MEMORY, 0)
LOOKS = 3  # in a quick run: a machine is not noisy all the time


def say(what):
    print(what, file=sys.stderr, flush=True)


def measure(effort):
    where = machine()
    say("do all compute the same?")
    paths, missing = check_all(effort.paths)
    for name, why in missing.items():
        say(f"not measured: {name}: {why}")
    steps = rounds_of(paths, effort.rounds, effort.slice, say)
    nodes = {
        ONE_BY_ONE: nodes_by_size(ONE_BY_ONE, effort.sizes, effort.one_by_one, say),
        ONE_CALL: nodes_by_size(ONE_CALL, effort.sizes, effort.one_call, say),
    }
    say("memory")
    memory = {name: memory_of(name) for name in effort.memory if memory_is_known()}
    imports = imports_in_rounds(effort.imports, say)
    return Measurements(steps, nodes, memory, imports, missing, where)


def write(found, verdicts, root):
    """Write bench/RESULTS.md, the plots and the READMEs' tables."""
    plots.draw(found, root / "bench")
    results = report.results(found, verdicts)
    (root / "bench" / "RESULTS.md").write_text(results, encoding="utf-8")
    for name, words in report.READMES.items():
        readme = root / name
        text = readme.read_text(encoding="utf-8")
        readme.write_text(report.readme(text, found, words), encoding="utf-8")


def status(verdicts):
    """The exit status: 1 if a target is missed."""
    return int(any(verdict.passed is False for verdict in verdicts))


def quick_look():
    """Return the verdicts of a quick look: the second or the third if the first ones fail."""
    for _ in range(LOOKS):
        verdicts = targets.judge(measure(QUICK), quick=True)
        if status(verdicts) == 0:
            break
        say(report.targets_text(verdicts))
    return verdicts


def full_run():
    """Return the verdicts of a full run, and write what it has found."""
    found = measure(FULL)
    verdicts = targets.judge(found)
    write(found, verdicts, ROOT)
    return verdicts


def main(words=None):
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="look only at the targets, with a factor of two to spare, and write nothing",
    )
    quick = parser.parse_args(words).quick
    if not quick and importlib.util.find_spec("matplotlib") is None:
        parser.error("the plots need matplotlib: pip install '.[test,bench]'")
    try:
        verdicts = quick_look() if quick else full_run()
    except WrongResult as problem:
        sys.exit(f"wrong: {problem}")
    print(report.targets_text(verdicts))
    return status(verdicts)


if __name__ == "__main__":
    sys.exit(main())
