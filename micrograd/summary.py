"""A module as a table: its layers, their shapes and activations, how many parameters each has."""

from __future__ import annotations

from .checkpoint import SavedModule, parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

HEADER = ("layer", "shape", "activation", "parameters")


class Table(str):
    """Text that shows as it is at the end of a cell, too."""

    __slots__ = ()
    __repr__ = str.__str__


def summary(module: SavedModule) -> str:
    """What `Module.summary` returns."""
    uncounted = {id(p): p for p in module.parameters()}  # by identity, as in checkpoint.py
    total = len(uncounted)
    rows: list[tuple[str, ...]] = [HEADER]
    for name, shape, activation, values in _layers(module, "", frozenset()):
        n = sum(uncounted.pop(id(p), None) is not None for p in values)
        if n or activation:  # and not an attribute that has no parameters
            rows.append((name, shape, activation, str(n)))
    if uncounted:  # what stands in a dict, say
        rows.append(("others", "", "", str(len(uncounted))))
    rows.append(("total", "", "", str(total)))
    widths = [max(map(len, column)) for column in zip(*rows)]
    aligned = [[*map(str.ljust, texts, widths), n.rjust(widths[-1])] for *texts, n in rows]
    return Table("\n".join(map("  ".join, aligned)))


def _layers(x: Any, name: str, inside: frozenset[int]) -> Iterator[tuple[str, str, str, list[Any]]]:
    """Yield the name, the shape, the activation and the Values of each layer in x.

    It is a layer if it says so, by a `_summary_row`. Of any other module each attribute is looked
    at: the modules in it, or if there are none the Values.
    """
    if id(x) in inside:  # a module may well know the one that it is part of
        return
    row = x._summary_row() if isinstance(x, SavedModule) else None
    items = list(_items(x))
    if row:
        yield (name or type(x).__name__, *row, list(x.parameters()))
    elif any(isinstance(item, SavedModule) for item in items):
        for key, part in parts(x):
            yield from _layers(part, f"{name}.{key}" if name else str(key), inside | {id(x)})
    else:
        yield name, " x ".join(map(str, _shape(x) or ())), "", items


def _items(x: Any, inside: frozenset[int] = frozenset()) -> Iterator[Any]:
    """Yield what is in x, a list of lists, say, in the end."""
    if not isinstance(x, (list, tuple)):
        yield x
    elif id(x) not in inside:  # a list may be an item of itself
        for part in x:
            yield from _items(part, inside | {id(x)})


def _shape(x: Any, inside: frozenset[int] = frozenset()) -> tuple[int, ...] | None:
    """Return how many items each level of x has; None if lists of one level differ in that."""
    if not isinstance(x, (list, tuple)):
        return ()
    if id(x) in inside:
        return None
    shapes = {_shape(part, inside | {id(x)}) for part in x}
    inner = shapes.pop() if len(shapes) == 1 else None
    return None if inner is None else (len(x), *inner)
