"""What has to be reached, and what is hoped for: the one place where it stands."""

from typing import NamedTuple, Optional

from .measure import ONE_BY_ONE, ONE_CALL, first_call, growth, nanoseconds, ratio
from .paths import ADAMW, ADD, BY_NAME, READ, WRITE

SLACK = 2  # a quick look leaves so much room: a machine may be noisy


class Target(NamedTuple):
    """A figure and its bounds.

    Attributes:
        what: in words.
        value: computes it from the measurements, and from whether to go by the best round; a
            KeyError if they lack something.
        limit, aim: what has to be reached, and what is hoped for.
        at_least: whether more is better.
        unit: behind the number.
    """

    what: str
    value: callable
    limit: float
    aim: float
    at_least: bool = False
    unit: str = "x"

    def passes(self, value, slack=1):
        bound = self.bound(slack)
        return value >= bound if self.at_least else value <= bound

    def bound(self, slack=1):
        """The limit, with so much slack."""
        return self.limit / slack if self.at_least else self.limit * slack


def _ratio(over, under):
    return lambda found, best: ratio(found, over, under, best)


def _nanoseconds(name):
    return lambda found, best: nanoseconds(found, BY_NAME[name], best)


def _memory(which):
    return lambda found, best: max(found.memory[how][which] for how in MEMORY)


def _growth(how):
    return lambda found, best: growth(found, how, best)


OPS_FASTER = "one op at a time from Python: faster than"
GPT_FASTER = "a small GPT, one op at a time: faster than a slotted Value with local gradients"
RECORDED = "a small GPT, its loss recorded once:"
CHAIN_SLOWER = "x = x * b + a in a loop, against floats"
ATTRIBUTE_SLOWER = "of a Value, against a slotted Python object"
USER_NODES_FASTER = "nodes with a _backward of the user's: faster than micrograd.pure"
FRESH_SLOWER = "a fresh graph in each step, against C by hand:"
REPLAY_SLOWER = "forward() over one recording, against C by hand:"
FIRST_CALL = "first call of a recorded function, against one of the function itself"
GROWTH = "cost of a node in the largest graph, against the smallest,"

# fmt: off
TARGETS = [
    Target(f"{OPS_FASTER} closures", _ratio("closures", "ops"), 90, 130, at_least=True),
    Target(f"{OPS_FASTER} XAD-py", _ratio("xad", "ops"), 5, 7, at_least=True),
    Target(GPT_FASTER, _ratio("gpt slotted", "gpt"), 15, 25, at_least=True),
    Target(f"{RECORDED} against C by hand", _ratio("gpt recorded", "gpt by hand"), 2, 1),
    Target(
        f"{RECORDED} faster than NumPy by hand", _ratio("gpt numpy", "gpt recorded"), 2.5, 5,
        at_least=True,
    ),
    Target(
        f"{RECORDED} faster than a slotted Value", _ratio("gpt slotted", "gpt recorded"),
        1500, 4000, at_least=True,
    ),
    Target(FIRST_CALL, first_call, 2, 1.3),
    Target(CHAIN_SLOWER, _ratio("chain", "chain of floats"), 3, 2),
    Target(f"{READ} {ATTRIBUTE_SLOWER}", _ratio("read", "slotted read"), 5, 3),
    Target(f"{WRITE} {ATTRIBUTE_SLOWER}", _ratio("write", "slotted write"), 5, 3),
    Target(f"{ADD} {ATTRIBUTE_SLOWER}", _ratio("add", "slotted add"), 5, 3),
    Target(USER_NODES_FASTER, _ratio("pure user nodes", "user nodes"), 1.3, 3, at_least=True),
    Target(f"{FRESH_SLOWER} from Python", _ratio("fresh", "by hand"), 8, 6),
    Target(f"{REPLAY_SLOWER} from Python", _ratio("replay", "by hand"), 1.8, 1.2),
    Target(f"{FRESH_SLOWER} a C program", _ratio("c fresh", "by hand"), 7, 5),
    Target(f"{ADAMW}, in a C program", _nanoseconds("adamw"), 6, 3, unit=" ns"),
    Target("memory a node: built", _memory(0), 48, 40, unit=" bytes"),
    Target("memory a node: at the peak of backward()", _memory(1), 60, 56, unit=" bytes"),
    Target(f"{GROWTH} {ONE_BY_ONE}", _growth(ONE_BY_ONE), 3, 2),
    Target(f"{GROWTH} {ONE_CALL}", _growth(ONE_CALL), 3, 2),
]
# fmt: on

# what of all that is measured the targets need
PATHS = [
    BY_NAME[name]
    for name in (
        "closures", "ops", "xad", "fresh", "replay", "by hand", "c fresh", "gpt slotted", "gpt",
        "gpt recorded", "gpt by hand", "gpt numpy", "fresh call", "recorded call", "first calls",
        "chain of floats", "chain", "slotted read", "read", "slotted write", "write",
        "slotted add", "add", "pure user nodes", "user nodes", "adamw",
    )
]  # fmt: skip
MEMORY = [ONE_BY_ONE, ONE_CALL]


class Verdict(NamedTuple):
    """A target, its value, and whether it is reached: both None if it was not measured."""

    target: Target
    value: Optional[float]
    passed: Optional[bool]
    slack: float


def judge(found, quick=False):
    """Return a verdict on each target.

    A quick look goes by the best of a few rounds and allows for a factor of two: what it
    finds wrong is wrong on a noisy machine, too.
    """
    slack = SLACK if quick else 1
    verdicts = []
    for target in TARGETS:
        try:
            value = target.value(found, quick)
        except KeyError:
            verdicts.append(Verdict(target, None, None, slack))
        else:
            verdicts.append(Verdict(target, value, target.passes(value, slack), slack))
    return verdicts
