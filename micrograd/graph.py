"""Drawings of graphs, with the graphviz package, for the Values of either engine."""

from __future__ import annotations

import itertools
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from .pure.value import Value
    from .types import AnyValue

__all__ = ["trace", "draw_dot", "vis_color"]

LARGEST_PICTURE = 300  # nodes: a Value with more below it shows as text in a notebook


def _check_value(v: object) -> None:
    if not hasattr(type(v), "backward"):
        raise TypeError(f"expected a Value, not {v!r}")


def _walk(root: Any) -> Iterator[Any]:
    """Yield every Value below root once, root first, without recursion."""
    _check_value(root)
    # by identity: subclasses may have an == of their own. What is visited is kept alive, for
    # only as long does _prev give the same objects again
    visited = {id(root): root}
    stack = [root]
    while stack:
        v = stack.pop()
        yield v
        for operand in reversed(v._prev):
            if id(operand) not in visited:
                visited[id(operand)] = operand
                stack.append(operand)


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
        color: a graphviz colour: "lightgreen", "#ffcc00" ...

    Raises:
        TypeError: something is no Value. Nothing is coloured then.
    """
    nodes = list(nodes)
    for v in nodes:
        _check_value(v)
    for v in nodes:
        v._vis_color = color


def draw_dot(
    root: Value, format: str = "svg", rankdir: str = "LR", outfile: str | None = "graph"
) -> Any:
    """Draw the graph below a Value: a box for each Value, an ellipse for each operation.

    Args:
        root: the Value.
        format: of the picture: "svg", "png", "pdf" ...
        rankdir: "LR" draws from left to right, "TB" from top to bottom.
        outfile: the files' name without ending: the picture goes to outfile.format and
            its source to outfile.dot. None writes no files.

    Returns:
        The graphviz.Digraph. A notebook shows it as a picture.

    Raises:
        ValueError: rankdir is another word, outfile names no file, or graphviz knows no such
            format.
        TypeError: root is no Value, or format or outfile no text.
        ImportError: the graphviz package is missing.
        RuntimeError: graphviz's program `dot` is missing. outfile.dot is written then.

    Example:
        draw_dot(loss, outfile="loss")  # writes loss.svg and loss.dot
    """
    if rankdir not in ("LR", "TB"):
        raise ValueError(f"rankdir must be 'LR' or 'TB', not {rankdir!r}")
    if not isinstance(format, str):
        raise TypeError(f"format must be text, not {format!r}")
    if outfile is not None:
        if not os.path.basename(outfile):
            raise ValueError(f"outfile must end in a file's name, and {outfile!r} does not")
        outfile = os.path.join(".", outfile)  # for dot, what starts with - is an option
    try:
        import graphviz
    except ImportError as problem:
        raise ImportError(
            "drawing needs the graphviz package: pip install 'micrograd[viz]'"
        ) from problem

    dot = graphviz.Digraph(
        format=format,
        graph_attr={"rankdir": rankdir, "nodesep": "0.1", "ranksep": "0.4"},
        node_attr={"fontsize": "10", "width": "0.1", "height": "0.1"},
    )
    nodes, edges = trace(root)
    names = {id(v): f"n{i}" for i, v in enumerate(nodes)}
    for v in nodes:
        name = names[id(v)]
        label = f"data {v.data:.4f}\ngrad {v.grad:.4f}"
        if v.label:
            label = f"{graphviz.escape(str(v.label))}\n{label}"
        color = getattr(v, "_vis_color", "white")
        dot.node(name, label, shape="box", style="filled", fillcolor=color)
        if v._prev:
            dot.node(f"{name}op", graphviz.escape(v._op))
            dot.edge(f"{name}op", name)
    for operand, v in edges:
        dot.edge(names[id(operand)], f"{names[id(v)]}op")

    if outfile is not None:
        source = dot.save(f"{outfile}.dot")
        try:
            dot.render(source, outfile=f"{outfile}.{format}")
        except graphviz.ExecutableNotFound as problem:
            raise RuntimeError(
                f"graphviz's program 'dot' is missing, so only {source} was written. "
                "Install it: 'apt install graphviz', 'brew install graphviz', or see "
                "https://graphviz.org/download"
            ) from problem
    return dot


def notebook_picture(root: Any) -> dict[str, str]:
    """What a notebook shows for a Value: its graph, or its text where there is no picture.

    Args:
        root: the Value.

    Returns:
        A MIME bundle, as IPython's `_repr_mimebundle_` asks for: always "text/plain",
        and "image/svg+xml" if graphviz is installed and the graph is small.
    """
    bundle = {"text/plain": repr(root)}
    size = sum(1 for _ in itertools.islice(_walk(root), LARGEST_PICTURE + 1))
    if size <= LARGEST_PICTURE:
        try:
            bundle["image/svg+xml"] = draw_dot(root, outfile=None).pipe(encoding="utf-8")
        except Exception:  # without graphviz there is only the text
            pass
    return bundle
