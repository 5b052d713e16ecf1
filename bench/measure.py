"""Runs what is measured: each in a process of its own, in turn, in rounds.

The paths take turns, so that the machine's drift hits all of them equally: a ratio is taken
within each round, and the median over the rounds is the figure.
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

from .graphs import PHASES, expected_numbers
from .paths import GROUPS, baseline
from .programs import program
from .py_steps import make

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
def expected_losses(group):
    """The losses that the paths of a group have to have: the course's, or their baseline's."""
    if group in GROUPS:
        return course_losses()
    path = make(*baseline(group).words)
    path.start()
    return [float(path.step()) for _ in range(CHECKED)]


def course_losses():
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
    for step, (loss, expected) in enumerate(zip(losses, expected_losses(path.group))):
        tolerance = 0.0 if path.exact else TOLERANCE
        if not math.isclose(loss, expected, rel_tol=tolerance, abs_tol=0.0):
            raise WrongResult(f"{path.name}: the loss of step {step} is {loss!r}, not {expected!r}")
    if len(losses) != steps:
        raise WrongResult(f"{path.name} printed {len(losses)} losses instead of {steps}")
    return losses, median


def check(path):
    """Raise a WrongResult unless a path's losses are right."""
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
                if path.ours:
                    raise
                reason = f"it fails: {str(problem).splitlines()[-1]}"
        if reason:
            missing[path.name] = reason
        else:
            good.append(path)
    return good, missing


def slice_of(path, seconds):
    """Return how long a step takes on a path, from a slice of time."""
    return take(path, path.warm, seconds * path.slices)[1]


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


def first_call(found, best=False):
    """How many times as long a recorded function's first call takes as one of the function itself.

    What is not done in the first call, to record, is done in the second: it is what both
    take, without what a call takes from then on.
    """
    names = "first calls", "recorded call", "fresh call"
    both, one, fresh = (found.steps[name] for name in names)
    if best:
        return (min(both.values()) - min(one.values())) / min(fresh.values())
    return statistics.median((both[i] - one[i]) / fresh[i] for i in both)


# -----------------------------------------------------------------------------
# graphs by size


ONE_BY_ONE, ONE_CALL = "recorded one op at a time from Python", "recorded in one call, in C"


def nodes_of(how, size, repeats):
    """Return by phase what a node takes in a graph of about `size` nodes."""
    python = [sys.executable, "-m", "bench.py_nodes", "micrograd.compiled"]
    command = python if how == ONE_BY_ONE else [program("c_nodes")]
    lines = [float(line) for line in output([*command, size, repeats])]
    numbers, seconds = lines[: -len(PHASES) - 1], lines[-len(PHASES) :]  # between them the count
    if numbers != expected_numbers(size):
        raise WrongResult(f"{size} nodes {how}: the loss or a gradient is wrong")
    return dict(zip(PHASES, seconds))


def nodes_by_size(how, sizes, rounds, say):
    """Return by the size of a graph that is recorded in this way what its nodes took, by round.

    Small graphs are repeated, and in C, where that is soon done, large ones, too: the system
    may be slow to give a process its first memory.
    """
    least, nodes = (1, 10**6) if how == ONE_BY_ONE else (5, 10**7)
    found = {size: [] for size in sizes}
    for i in range(rounds):
        say(f"graphs {how}, round {i + 1} of {rounds}")
        for size in sizes:
            found[size].append(nodes_of(how, size, max(least, nodes // size)))
    return found


def nanoseconds(found, path, best=False):
    """What one operation of a path takes: the median of the rounds, or the best one."""
    seconds = (min if best else statistics.median)(found.steps[path.name].values())
    return 1e9 * seconds / path.operations


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
    ONE_BY_ONE: ("ops", "micrograd.compiled", 10**6),
    ONE_CALL: ("call", "micrograd.compiled", 10**6),
    "micrograd.pure": ("ops", "micrograd.pure", 10**5),
    "the course's engine, closures": ("ops", "bench.closures", 10**5),
}


def memory_of(name):
    """Return the bytes of a node: built, and at the peak of backward()."""
    *_, size = words = MEMORY[name]
    loss, built, peak = map(float, output([sys.executable, "-m", "bench.memory", *words]))
    if loss != expected_numbers(size)[0]:
        raise WrongResult(f"memory, {name}: the loss {loss!r} is wrong")
    return built, peak


def memory_is_known():
    """Tell whether this system says how much memory a process has."""
    return Path("/proc/self/status").exists()
