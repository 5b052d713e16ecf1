"""Numbers, sums and loops as the text of C."""

from __future__ import annotations

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Optional

    # a number in the source: an array and the index in it, or a constant as text and None. "-v" is
    # an array whose numbers are taken with the other sign
    Ref = tuple[str, Optional[int]]
    # `target += factor * g`, or without a factor `target += g`
    Addition = tuple[Ref, Optional[Ref], Ref]

WIDTH = 100  # of a line
FEWEST = 4  # terms that are worth a loop
ONE, MINUS_ONE = ("1.0", None), ("-1.0", None)


def literal(x: float) -> str:
    """Return a number as C has it."""
    if math.isnan(x):
        return "NAN"
    if math.isinf(x):
        return "INFINITY" if x > 0 else "-INFINITY"
    return repr(x)


def text_of(ref: Ref, step: int | None = None) -> str:
    """Return a number as text; with a step that of a loop over i, which begins at the ref."""
    array, index = ref
    if index is None:
        return array
    if step:
        of = "i" if abs(step) == 1 else f"{abs(step)} * i"
        sign = "+" if step > 0 else "-"
        return f"{array}[{index} {sign} {of}]" if index or step < 0 else f"{array}[{of}]"
    return f"{array}[{index}]"


def _added(term: tuple[Ref, Ref | None], steps: Sequence[int | None] = (None, None)) -> str:
    """Return a term with the sign before it."""
    a, b = term
    if b == MINUS_ONE and a != MINUS_ONE:  # c + a * -1.0 is c - a
        a, b = (a[0][1:] if a[0][0] == "-" else f"-{a[0]}", a[1]), None
    text = text_of(a, steps[0])
    sign = "+"
    if text[0] == "-":
        sign, text = "-", text[1:]
    return f"{sign} {text}" if b is None else f"{sign} {text} * {text_of(b, steps[1])}"


def sum_statements(v: str, terms: Sequence[tuple[Ref, Ref | None]]) -> Iterator[str]:
    """Yield `v = ...;`, in several statements where it is long, and loops where these can be."""
    a, b = terms[0]
    line = f"{v} = {text_of(a)}" if b is None else f"{v} = {text_of(a)} * {text_of(b)}"
    for run in _runs(terms[1:]):
        if len(run) >= FEWEST:
            if line:
                yield f"{line};"
                line = ""
            sign, text = _added(run[0], _steps(run)).split(" ", 1)
            yield f"for (int i = 0; i < {len(run)}; i++) {v} {sign}= {text};"
        else:
            for term in run:
                if len(line) > WIDTH - 35:
                    yield f"{line};"
                    line = ""
                line = f"{line or f'{v} = {v}'} {_added(term)}"
    if line:
        yield f"{line};"


def largest_statements(v: str, refs: Sequence[Ref]) -> Iterator[str]:
    """Yield the statements that leave in v the largest of these."""
    yield f"{v} = {text_of(refs[0])};"
    for run in _runs([(ref,) for ref in refs[1:]]):
        [step] = _steps(run) if len(run) >= FEWEST else [None]
        for (ref,) in run[:1] if step else run:
            text = text_of(ref, step)
            statement = f"if ({text} > {v}) {v} = {text};"
            yield f"for (int i = 0; i < {len(run)}; i++) {statement}" if step else statement


def addition_statements(nodes: Sequence[Sequence[Addition]]) -> Iterator[str]:
    """Yield the statements of nodes one after the other, in loops where these can be."""
    flat = [tuple(ref for addition in node for ref in addition) for node in nodes]
    for run in _runs(flat):
        steps = _steps(run) if len(run) >= FEWEST else []
        for refs in run[:1] if steps else run:
            statements = [
                _addition(refs[k : k + 3], steps[k : k + 3] or (None,) * 3)
                for k in range(0, len(refs), 3)
            ]
            if steps:
                text = " ".join(statements)
                text = text if len(statements) == 1 else f"{{ {text} }}"
                yield f"for (int i = 0; i < {len(run)}; i++) {text}"
            else:
                yield from statements


def _addition(refs: Sequence[Any], steps: Sequence[int | None]) -> str:
    to, factor, g = refs
    target, amount = text_of(to, steps[0]), text_of(g, steps[2])
    if factor is None or factor == ONE:
        return f"{target} += {amount};"
    if factor == MINUS_ONE:
        return f"{target} -= {amount};"
    return f"{target} += {text_of(factor, steps[1])} * {amount};"


def _runs(items: Sequence[Any]) -> Iterator[list[Any]]:
    """Divide items, tuples of refs, into runs in which each ref moves by the same step."""
    run: list[Any] = []
    steps: list[int | None] | None = None
    for item in items:
        following = _steps([run[-1], item]) if run else None
        if run and (following is None or (steps is not None and following != steps)):
            yield run
            run, following = [], None
        steps = following
        run.append(item)
    if run:
        yield run


def _steps(run: Sequence[Any]) -> Any:
    """Return by how much each ref moves from the first item to the second; None if it cannot."""
    if len(run) < 2 or len(run[0]) != len(run[1]):
        return None
    steps: list[int | None] = []
    for a, b in zip(run[0], run[1]):
        if a is None or b is None or a[0] != b[0]:
            if a is not b:
                return None
            steps.append(0)
        else:
            steps.append(0 if a[1] is None else b[1] - a[1])
    return steps if any(steps) else None
