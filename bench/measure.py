"""Runs what is measured: each in a process of its own, in turn, in rounds.

A machine has its moods. What takes turns shares them: a ratio is taken within each round,
and the median of the rounds is one of the two paths, and not of the moods.
"""

import functools
import math
import os
import platform
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from micrograd import pure
from micrograd.run import CourseRun

from .graphs import PHASES
from .programs import program

ROOT = Path(__file__).resolve().parent.parent
CHECKED = 10  # steps whose losses are looked at
TOLERANCE = 1e-12  # of a rival's loss, relative: it adds up in another order


class WrongResult(Exception):
    """Something computes other numbers than it has to: how fast does not matter."""


class Measurements(NamedTuple):
    """What was found.

    Attributes:
        steps: by a path's name the seconds of a step, by the rounds in which it had a turn.
        nodes: by how a graph is recorded, and by its size, for each round the seconds that a
            node takes, by phase.
        memory: by whose they are, the bytes of a node: built, and at the peak of backward().
        imports: by what is imported the seconds that it takes, one for each round.
        missing: by a path's name why it could not be measured.
        machine: by what it is, which processor, compiler, version ... this was.
    """

    steps: dict
    nodes: dict
    memory: dict
    imports: dict
    missing: dict
    machine: dict


def output(command, **variables):
    """Run a command in the project's folder; return the lines that it prints."""
    command = [str(word) for word in command]
    run = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    if run.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{run.stderr}")
    return run.stdout.splitlines()


# -----------------------------------------------------------------------------
# the paths


@functools.cache
def expected_losses():
    """The course's losses: the golden ones, or with another libm those of the engine in Python."""
    lines = CourseRun(pure).lines(CHECKED)
    if platform.libc_ver()[0] == "glibc" and platform.machine() == "x86_64":
        lines = (ROOT / "tests" / "golden" / "course-run.txt").read_text().splitlines()
    found = [re.fullmatch(r"step \d+, train loss (.*)", line) for line in lines]
    return [float(match[1]) for match in found if match][:CHECKED]


def take(path, steps, seconds):
    """Run a path's command; return the losses, which are right, and how long a step takes."""
    command, variables = path.command()
    *losses, median = map(float, output([*command, steps, seconds], **variables))
    for step, (loss, expected) in enumerate(zip(losses, expected_losses())):
        tolerance = 0.0 if path.exact else TOLERANCE
        if not math.isclose(loss, expected, rel_tol=tolerance, abs_tol=0.0):
            raise WrongResult(f"{path.name}: the loss of step {step} is {loss!r}, not {expected!r}")
    if len(losses) != steps:
        raise WrongResult(f"{path.name} printed {len(losses)} losses instead of {steps}")
    return losses, median


def check(path):
    """Raise a WrongResult unless a path's losses are the course's."""
    take(path, CHECKED, 0)


def check_all(paths):
    """Check what can be measured here; return those paths, and by name why the others cannot."""
    good, missing = [], {}
    for path in paths:
        reason = path.missing()
        if not reason:
            try:
                check(path)
            except RuntimeError as problem:
                if not path.package:
                    raise
                reason = f"it fails: {str(problem).splitlines()[-1]}"
        if reason:
            missing[path.name] = reason
        else:
            good.append(path)
    return good, missing


def slice_of(path, seconds):
    """Return how long a step takes on a path, from a slice of time."""
    return take(path, 1, seconds * path.slice)[1]


def rounds_of(paths, rounds, seconds, say):
    """Return by the paths' names, and by the rounds, how long a step took."""
    times = {path.name: {} for path in paths}
    for i in range(rounds):
        say(f"steps, round {i + 1} of {rounds}")
        for path in paths:
            if i % path.every == 0:
                times[path.name][i] = slice_of(path, seconds)
    return times


def ratio(found, over, under, best=False):
    """How many times as long a step takes on one path as on another.

    Args:
        found: the measurements.
        over, under: the paths' names.
        best: whether to compare the best rounds of the two, and not the rounds one by one.

    Raises:
        KeyError: one of them was not measured.
    """
    a, b = found.steps[over], found.steps[under]
    if best:
        return min(a.values()) / min(b.values())
    return statistics.median(a[i] / b[i] for i in a if i in b)


# -----------------------------------------------------------------------------
# graphs by size


OPS, TAPE = "recorded one op at a time from Python", "recorded in one call, in C"


class Nodes(NamedTuple):
    """What c_nodes and py_nodes print.

    Attributes:
        numbers: the loss and the gradients.
        count: how many nodes there are.
        seconds: by phase, a node.
    """

    numbers: list
    count: int
    seconds: dict


def nodes_of(how, size, repeats):
    """Measure a graph of about `size` nodes."""
    python = [sys.executable, "-m", "bench.py_nodes", "micrograd.compiled"]
    command = python if how == OPS else [program("c_nodes")]
    lines = output([*command, size, repeats])
    n = len(PHASES)
    seconds = dict(zip(PHASES, map(float, lines[-n:])))
    return Nodes([float(x) for x in lines[: -n - 1]], int(lines[-n - 1]), seconds)


def nodes_by_size(sizes, rounds, least, say):
    """Return by how a graph is recorded and by its size what its nodes took in each round.

    Small graphs are repeated until there were a million nodes, and all `least` times; in C,
    where that is soon done, more often. The system may give a process its first memory slowly,
    and a graph that is repeated is measured in memory that is there.
    """
    found = {how: {size: [] for size in sizes} for how in (OPS, TAPE)}
    for i in range(rounds):
        say(f"graphs by size, round {i + 1} of {rounds}")
        for size in sizes:
            ops = nodes_of(OPS, size, max(least, 10**6 // size))
            tape = nodes_of(TAPE, size, max(5, 10**7 // size))
            if ops.numbers != tape.numbers:
                raise WrongResult(f"at {size} nodes the two recordings do not agree")
            found[OPS][size].append(ops.seconds)
            found[TAPE][size].append(tape.seconds)
    return found


def growth(found, how, best=False):
    """How many times as much a node costs in the graph where it costs most as in the smallest."""
    by_size = {size: list(map(cost, rounds)) for size, rounds in found.nodes[how].items()}
    smallest = by_size[min(by_size)]
    if best:
        return max(min(costs) for costs in by_size.values()) / min(smallest)
    return max(
        statistics.median(a / b for a, b in zip(costs, smallest)) for costs in by_size.values()
    )


def cost(seconds):
    """What a node costs that is built, gone backward over and freed."""
    return seconds["build"] + seconds["backward"] + seconds["free"]


# -----------------------------------------------------------------------------
# memory


MEMORY = {
    OPS: ("ops", "micrograd.compiled", 10**6),
    TAPE: ("call", "micrograd.compiled", 10**6),
    "micrograd.pure": ("ops", "micrograd.pure", 10**5),
    "the course's engine, closures": ("ops", "bench.closures", 10**5),
}


def memory_of(name):
    """Return the bytes of a node: built, and at the peak of backward()."""
    *_, nodes = words = MEMORY[name]
    loss, built, peak = map(float, output([sys.executable, "-m", "bench.memory", *words]))
    expected = float(output([program("c_nodes"), nodes, 1])[0])
    if loss != expected:
        raise WrongResult(f"memory, {name}: the loss is {loss!r}, not {expected!r}")
    return built, peak


def memory_is_known():
    """Tell whether this system says how much memory a process has."""
    return Path("/proc/self/status").exists()
