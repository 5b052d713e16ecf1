"""The measurements in words: RESULTS.md, the READMEs' tables of a few of them, the targets."""

# ruff: noqa: RUF001  (Chinese punctuation)
import re
import statistics
from typing import NamedTuple

from .graphs import NAMES, PHASES
from .loops import Attributes
from .measure import ONE_BY_ONE, ONE_CALL, cost, ratio
from .paths import CALL, GPT, GROUPS, LOOPS, PATHS, WORD, baseline

# -----------------------------------------------------------------------------
# numbers


def digits(x):
    """x with three digits, or more before the point."""
    return f"{x:.0f}" if x >= 99.95 else f"{x:.1f}" if x >= 9.995 else f"{x:.2f}"


def duration(seconds):
    """A time in the unit that suits it."""
    for unit, size in [("s", 1), ("ms", 1e-3), ("µs", 1e-6)]:
        if seconds >= size:
            return f"{digits(seconds / size)} {unit}"
    return f"{digits(seconds / 1e-9)} ns"


def quartiles(values):
    """The lower and the upper quartile."""
    values = list(values)
    if len(values) == 1:
        return values * 2
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def spread(values):
    """The quartiles in words."""
    low, high = quartiles(values)
    return f"{duration(low)} to {duration(high)}"


# -----------------------------------------------------------------------------
# tables


def table(head, rows):
    """A table in Markdown: the first column to the left, the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def medians_of(found):
    return {name: statistics.median(times.values()) for name, times in found.steps.items()}


def paths_table(found, groups, head, columns):
    """The paths of some groups, slowest first in each.

    Args:
        head: over the columns.
        columns: gives what stands in a path's columns behind its title.
    """
    medians = medians_of(found)
    rows = []
    for group in groups:
        if len(groups) > 1:
            rows.append([f"**{group}**", *[""] * (len(head) - 1)])
        paths = [path for path in PATHS if path.group == group]
        for path in sorted(paths, key=lambda path: -medians.get(path.name, 0)):
            measured = path.name in medians
            cells = columns(path) if measured else ["not measured", *[""] * (len(head) - 2)]
            rows.append([path.title, *cells])
    return table(head, rows)


def time_columns(found, path):
    """A path's median and quartiles, of a step or of an operation in it."""
    each = [seconds / path.operations for seconds in found.steps[path.name].values()]
    return [duration(statistics.median(each)), spread(each)]


def times(found, over, under):
    """How many times as long one path takes as another, in words."""
    return f"{digits(ratio(found, over, under))}x"


def steps_table(found):
    """How long the course's step takes on every path."""

    def columns(path):
        return [
            *time_columns(found, path),
            times(found, "closures", path.name),
            times(found, path.name, "by hand"),
        ]

    head = ["", "a step", "quartiles", "faster than closures", "slower than C by hand"]
    return paths_table(found, GROUPS, head, columns)


def gpt_table(found):
    """How long the small GPT's step takes."""

    def columns(path):
        faster = times(found, baseline(GPT).name, path.name)
        return [*time_columns(found, path), faster]

    head = [GPT, "a step", "quartiles", "faster than the slotted Value"]
    return paths_table(found, [GPT], head, columns)


def word_table(found):
    """The same of the GPT's whole step, with our functions and optimiser, and by hand."""

    def columns(path):
        return [
            *time_columns(found, path),
            times(found, baseline(GPT).name, path.name),
            times(found, path.name, "gpt by hand"),
        ]

    head = [WORD, "a step", "quartiles", "faster than the slotted Value", "slower than C by hand"]
    return paths_table(found, [WORD], head, columns)


def calls_table(found):
    """What a call of a function takes that is recorded, and of one that is not."""

    def columns(path):
        slower = times(found, path.name, baseline(CALL).name)
        return [*time_columns(found, path), slower]

    head = [CALL, "a call", "quartiles", "times the function itself"]
    return paths_table(found, [CALL], head, columns)


def loops_table(found):
    """What an operation takes in the loops over numbers."""

    def columns(path):
        other = baseline(path.group)
        slower = "" if path == other else times(found, path.name, other.name)
        return [*time_columns(found, path), slower]

    head = ["", "an operation", "quartiles", "times the other's"]
    return paths_table(found, LOOPS, head, columns)


def missing_lines(found):
    """What was not measured, and why."""
    titles = {path.name: f"{path.title} ({path.group})" for path in PATHS}
    return "".join(
        f"\nNot measured: {titles[name]}: {why}.\n" for name, why in found.missing.items()
    )


def nodes_table(by_size):
    """What each phase takes a node, by the size of the graph, in nanoseconds."""
    rows = []
    for size, rounds in by_size.items():
        costs = [statistics.median(seconds[phase] for seconds in rounds) for phase in PHASES]
        costs.append(statistics.median(map(cost, rounds)))
        rows.append([NAMES[size], *[digits(cost / 1e-9) for cost in costs]])
    return table(["nodes", *PHASES, "build + backward + free"], rows)


def memory_table(found):
    rows = [[name, digits(built), digits(peak)] for name, (built, peak) in found.memory.items()]
    return table(["bytes a node", "built", "at the peak of backward()"], rows)


def imports_table(found):
    rows = [
        [name, duration(statistics.median(times)), spread(times)]
        for name, times in found.imports.items()
    ]
    return table(["", "import", "quartiles"], rows)


def targets_rows(verdicts):
    """The targets as rows of words, under a head."""
    head = ["target", "has to be", "aim", "is", ""]
    rows = []
    for target, value, passed, slack in verdicts:
        sign = "≥" if target.at_least else "≤"
        limit, aim = f"{target.bound(slack):g}{target.unit}", f"{target.aim:g}{target.unit}"
        value = "" if value is None else f"{digits(value)}{target.unit}"
        status = {None: "not measured", True: "passed", False: "FAILED"}[passed]
        rows.append([target.what, f"{sign} {limit}", f"{sign} {aim}", value, status])
    return head, rows


def targets_text(verdicts):
    """The targets in columns, for a terminal."""
    head, rows = targets_rows(verdicts)
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    lines = ["  ".join(word.ljust(n) for word, n in zip(row, widths)) for row in [head, *rows]]
    return "\n".join(line.rstrip() for line in lines)


# -----------------------------------------------------------------------------
# documents


def results(found, verdicts):
    """RESULTS.md."""
    machine = "\n".join(f"- {what}: {which}" for what, which in found.machine.items())
    rounds = len(found.steps["by hand"])
    one_by_one, one_call = (found.nodes[how] for how in (ONE_BY_ONE, ONE_CALL))
    return f"""# How fast micrograd is

`python -m bench` has written this file and the plots beside it, in one run.

{machine}

## Targets

{table(*targets_rows(verdicts))}

## The course's training step

The network `MLP(2, [16, 3])`, 80 points, AdamW: about 16,000 nodes a step. Every path starts
from the same numbers, and before it is timed its losses are compared with the course's: bit
for bit where the arithmetic is the same, else to a relative 1e-12. The paths take turns, each
in a process of its own, {rounds} rounds. Times are medians of the rounds; a ratio is taken
within each round, and is the median of those.

{steps_table(found)}
{missing_lines(found)}
![The same as a plot](paths.svg)

## A small GPT, one op at a time

One layer and 3,920 parameters in the shape of microgpt, written out in scalars; a step learns
one word of six letters, about 59,000 nodes, and ends with an Adam loop in Python over `.data`
and `.grad`. The last loss is kept until the next one is there, as in a script's loop. The
slotted Value has local gradients and no closures. All three have the same losses, bit for bit.

{gpt_table(found)}

## A small GPT, a step a word

The same network with the functions `take`, `linear`, `dot`, `softmax` and `cross_entropy`, and
with `AdamW`: a step is forward, backward and the optimiser. One recording serves all words of
one length, by `recorded`. By hand are the backward passes of a program in C, compiled with plain
`-O3`, and of one in NumPy; both take all positions of a word at once. Before the timing losses
are compared: on micrograd's paths bit for bit, of what is derived by hand to a relative 1e-12.

{word_table(found)}

![The same as a plot](gpt.svg)

What a call of the loss takes, without `backward()` and the optimiser: of the function itself,
of `recorded`'s, and of the first two of those, in which it is recorded and compiled.

{calls_table(found)}

## Loops over numbers

What one operation takes in a Python loop that does little else: an operator on two Values;
one attribute of {Attributes.operations:,} Values in a list; a user's node with a `_backward`,
created, gone backward over and freed. The time includes freeing and the garbage collector.

{loops_table(found)}

## A node, by the size of the graph

The course's loss over more and more points, in nanoseconds a node. Recorded in one call, a node
costs what the tape does. One op at a time, it mostly costs what Python does around it, and
`backward()` has to find the order first, which the recording in one call knows.

A graph {ONE_BY_ONE}:

{nodes_table(one_by_one)}

A graph {ONE_CALL}:

{nodes_table(one_call)}

![The same as a plot](nodes.svg)

## Memory

{memory_table(found)}

## Import

{imports_table(found)}
"""


class Words(NamedTuple):
    """What a README's table says beside its numbers."""

    head: list
    titles: dict  # of the rows, each a path
    below: str


READMES = {
    "README.md": Words(
        head=["", "takes", "faster"],
        titles={
            "closures": "the course's step: its own engine, closures",
            "ops": "the course's step: micrograd, one op at a time",
            "fresh": "the course's step: micrograd, `mean_cross_entropy` in every step",
            "replay": "the course's step: micrograd, one recording",
            "gpt slotted": "a small GPT's step: a slotted `Value` in Python",
            "gpt recorded": "a small GPT's step: micrograd, one recording",
        },
        below=(
            "Faster than closures, and than the slotted `Value`: medians of {rounds} rounds of "
            "micrograd\n{micrograd} on {where}."
        ),
    ),
    "README.zh.md": Words(
        head=["", "耗时", "加速比"],
        titles={
            "closures": "课程的一步：课程自己的引擎，用闭包",
            "ops": "课程的一步：micrograd，逐个运算录制",
            "fresh": "课程的一步：micrograd，每一步都调用 `mean_cross_entropy`",
            "replay": "课程的一步：micrograd，只录制一次",
            "gpt slotted": "小型 GPT 的一步：Python 写的 `Value`，带 slots",
            "gpt recorded": "小型 GPT 的一步：micrograd，只录制一次",
        },
        below=(
            "加速比分别以闭包和带 slots 的 `Value` 为基准。数字取 {rounds} 轮的中位数，"
            "micrograd {micrograd}，运行环境：{where}。"
        ),
    ),
}


def speeds_table(found, words):
    """A README's table: six paths, each beside the Python engine that takes the same step."""
    medians = medians_of(found)
    rows = []
    for name, title in words.titles.items():
        slowest = baseline(GPT).name if name.startswith("gpt") else "closures"
        rows.append([title, duration(medians[name]), times(found, slowest, name)])
    return table(words.head, rows)


MARKERS = re.compile(r"(<!-- bench -->).*?(<!-- /bench -->)", re.DOTALL)


def readme(text, found, words):
    """A README's text with the table of this run between its markers, if it has them."""
    below = words.below.format(
        rounds=len(found.steps["by hand"]),
        micrograd=found.machine["micrograd"],
        where="; ".join(found.machine[what] for what in ("processor", "Python", "compiler")),
    )
    part = f"\n\n{speeds_table(found, words)}\n\n{below}\n\n"
    return MARKERS.sub(lambda match: match[1] + part + match[2], text)
