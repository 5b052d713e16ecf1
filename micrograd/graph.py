"""Drawings of graphs, with the graphviz package, for the Values of either engine."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Mapping

from .checkpoint import SavedModule
from .checks import count, listed
from .shown import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from .pure.value import Value
    from .types import AnyValue, Names

__all__ = ["trace", "draw_dot", "vis_color"]

LARGEST_PICTURE = 400  # nodes, unless one asks for more; a notebook shows a larger graph as text
MOST_COUNTED = 10_000  # nodes of a graph that is too large


def is_value(v: object) -> bool:
    """Tell whether v is a Value of either engine."""
    return hasattr(type(v), "backward")


def _check_value(v: object) -> None:
    if is_value(v):
        return
    found = shown(v)
    if isinstance(v, SavedModule):
        found = f"the {type(v).__name__} itself: draw what it computes, model(x)"
    elif isinstance(v, (list, tuple)):
        found = f"a {type(v).__name__} of {len(v)}: pass one of its Values"
    raise TypeError(f"expected a Value, not {found}")


def _walk(root: Any) -> Iterator[Any]:
    """Yield every Value below root once, root first, without recursion."""
    _check_value(root)
    # by identity: subclasses may have an == of their own. What is visited is kept alive, for
    # only as long does _prev give the same objects again
    visited: dict[int, Any] = {}
    stack = [iter((root,))]  # for each node we are below, the operands not looked at so far
    while stack:
        for v in stack[-1]:
            if id(v) not in visited:
                visited[id(v)] = v
                yield v
                stack.append(iter(v._prev))
                break
        else:
            stack.pop()


def trace(root: AnyValue) -> tuple[list[AnyValue], list[tuple[AnyValue, AnyValue]]]:
    """List the graph below a Value.

    Args:
        root: the Value.

    Returns:
        (nodes, edges): the list of all Values below root, root first, and the list of
        pairs (operand, result), each pair once. The time is linear in their number, and
        the graph may be of any depth.

    Raises:
        TypeError: root is no Value.
    """
    nodes = list(_walk(root))
    edges = [(x, v) for v in nodes for x in {id(x): x for x in v._prev}.values()]
    return nodes, edges


def vis_color(nodes: Iterable[Value], color: str) -> None:
    """Give Values a fill colour in drawings.

    Args:
        nodes: the Values.
        color: a colour of graphviz and of SVG: "lightgreen", "#ffcc00" ... `picture` leaves
            white what only graphviz knows.

    Raises:
        TypeError: something is no Value. Nothing is coloured then.
    """
    nodes = listed(nodes, "nodes")
    for v in nodes:
        _check_value(v)
    for v in nodes:
        v._vis_color = color


def nodes_below(root: Any, max_nodes: int | None, caller: str = "picture") -> list[Any]:
    """List all Values below root, root first, or raise a ValueError if there are too many."""
    if max_nodes is None:
        return [*_walk(root)]
    max_nodes = count(max_nodes, "max_nodes", least=1)
    walk = _walk(root)
    nodes = [*itertools.islice(walk, max_nodes)]
    n = len(nodes) + sum(1 for _ in itertools.islice(walk, MOST_COUNTED))
    if n == len(nodes):
        return nodes
    if n < max_nodes + MOST_COUNTED:
        size, instead = f"{n}", f"{caller}(..., max_nodes={n}) draws it all the same"
    else:
        size = f"at least {n}"
        part = "the loss of one point or the output of one neuron"
        instead = f"draw a part of it, such as {part}, or all with max_nodes=None"
    raise ValueError(f"the graph has {size} nodes, more than {max_nodes}: {instead}")


def names_by_id(names: Names | None) -> dict[int, str]:
    """Return what the Values are called in a drawing, by their ids; the first of several names."""
    if names is None:
        return {}
    if isinstance(names, Mapping):
        pairs = [*names.items()]
    elif isinstance(names, SavedModule):
        pairs = names.named_parameters()
    else:
        raise TypeError(f"names must be a Module or a dict of Values by name, not {shown(names)}")
    called: dict[int, str] = {}
    for name, v in pairs:
        if not isinstance(name, str) or not is_value(v):
            raise TypeError(
                f"names must be a dict of Values by name, and has {shown(name)}: {shown(v)}"
            )
        called.setdefault(id(v), name)
    return called


def draw_dot(
    root: Value,
    format: str = "svg",
    rankdir: str = "LR",
    outfile: str | None = "graph",
    names: Names | None = None,
    max_nodes: int | None = LARGEST_PICTURE,
    timeout: float | None = 10.0,
) -> Any:
    """Draw the graph below a Value with graphviz; `picture` does so without.

    Each Value is a box with its label, data and grad, and each operation an ellipse.

    Args:
        root: the Value.
        format: of the picture: "svg", "png", "pdf" ...
        rankdir: "LR" draws from left to right, "TB" from top to bottom.
        outfile: the files' name without ending: the picture goes to outfile.format and
            its source to outfile.dot. None writes no files.
        names: a Module, whose parameters get their names in `named_parameters()`, or a
            dict of Values by name. A Value's own label comes first.
        max_nodes: how many nodes the graph may have. None for any number.
        timeout: how many seconds graphviz's program `dot` may take. None for any time.

    Returns:
        The graphviz.Digraph. A notebook shows it as a picture, in the same time limit.

    Raises:
        ValueError: rankdir is another word, outfile names no file, or graphviz knows no such
            format; the graph has more nodes; or max_nodes or timeout is not positive.
        TypeError: root is no Value, format or outfile no text, timeout no number, or names
            something else.
        ImportError: the graphviz package is missing.
        RuntimeError: graphviz's program `dot` is missing, or fails. outfile.dot is written then.
        TimeoutError: `dot` took longer and was stopped. outfile.dot is written then.

    Example:
        draw_dot(loss, outfile="loss")  # writes loss.svg and loss.dot
    """
    from .pictures.dot_program import (  # slow to import
        check_timeout,
        dot_in_notebook,
        graphviz_package,
        run_dot,
    )

    if rankdir not in ("LR", "TB"):
        raise ValueError(f"rankdir must be 'LR' or 'TB', not {shown(rankdir)}")
    if not isinstance(format, str):
        raise TypeError(f"format must be text, not {shown(format)}")
    if outfile is not None:
        if not os.path.basename(outfile):
            raise ValueError(f"outfile must end in a file's name, and {outfile!r} does not")
        outfile = os.path.join(".", outfile)
    timeout = check_timeout(timeout)
    nodes = nodes_below(root, max_nodes, "draw_dot")
    called = names_by_id(names)
    graphviz = graphviz_package()
    dot = graphviz.Digraph(
        format=format,
        graph_attr={"rankdir": rankdir, "nodesep": "0.1", "ranksep": "0.4"},
        node_attr={"fontsize": "10", "width": "0.1", "height": "0.1"},
    )
    dot._repr_mimebundle_ = functools.partial(dot_in_notebook, dot, timeout)
    places = {id(v): f"n{i}" for i, v in enumerate(nodes)}
    for v in nodes:
        place = places[id(v)]
        text = f"data {v.data:.4g}\ngrad {v.grad:.4g}"
        label = str(v.label) if v.label else called.get(id(v), "")
        if label:
            text = f"{graphviz.escape(label)}\n{text}"
        color = graphviz.escape(str(getattr(v, "_vis_color", "white")))
        dot.node(place, text, shape="box", style="filled", fillcolor=color)
        if v._prev:
            dot.node(f"{place}op", graphviz.escape(v._op))
            dot.edge(f"{place}op", place)
    for v in nodes:
        for operand in {id(x): x for x in v._prev}.values():
            dot.edge(places[id(operand)], f"{places[id(v)]}op")

    if outfile is not None:
        source = dot.save(f"{outfile}.dot")
        try:
            drawn = run_dot(dot.source, format, timeout)
        except (RuntimeError, TimeoutError) as problem:
            problem.args = (f"{problem} Only {source} was written.",)
            raise
        with open(f"{outfile}.{format}", "wb") as file:
            file.write(drawn)
    return dot
