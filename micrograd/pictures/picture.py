"""Pictures of graphs as SVG, for the Values of either engine: no other program is needed."""

from __future__ import annotations

import os

from ..graph import LARGEST_PICTURE, names_by_id, nodes_below
from ..shown import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..pure.value import Value
    from ..types import Names, TextPath

__all__ = ["picture"]


class Picture:
    """A picture of a graph: what `picture` returns, and a notebook shows.

    Attributes:
        svg: the picture as text, a whole SVG document.
    """

    def __init__(self, svg: str, result: float, nodes: int) -> None:
        self.svg = svg
        self._result = result  # how far down it is
        self._nodes = nodes

    def save(self, path: TextPath) -> None:
        """Write the picture to a file.

        Args:
            path: the file, whose name ends in .svg.

        Raises:
            ValueError: its name ends in something else.
            OSError: it cannot be written.

        Example:
            picture(loss).save("loss.svg")
        """
        path = os.fspath(path)
        if not isinstance(path, str):
            raise TypeError(f"path must be text or a Path, not {shown(path)}")
        if not path.lower().endswith(".svg"):
            raise ValueError(
                f"a picture is saved in a file that ends in .svg, not {path!r}; draw_dot writes "
                "other formats"
            )
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(self.svg)

    def __repr__(self) -> str:
        nodes = "1 node" if self._nodes == 1 else f"{self._nodes} nodes"
        return f"<picture of {nodes}: save('graph.svg') writes it>"

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:  # notebooks shrink an SVG to their width, and scroll HTML
        from .svg import in_notebook

        return in_notebook(self.svg, "", self._result)


def picture(
    root: Value, names: Names | None = None, max_nodes: int | None = LARGEST_PICTURE
) -> Picture:
    """Draw the graph below a Value as SVG, without graphviz.

    Each Value is a box with its label, data and grad, and with the operation that made it.

    Args:
        root: the Value.
        names: a Module, whose parameters get their names in `named_parameters()`, or a
            dict of Values by name. A Value's own label comes first.
        max_nodes: how many nodes the graph may have. None for any number.

    Returns:
        A Picture. A notebook shows it, `.save("graph.svg")` writes it to a file, and
        `.svg` is its text.

    Raises:
        ValueError: the graph has more nodes, or max_nodes is below 1.
        TypeError: root is no Value, or names something else.

    Example:
        >>> x = Value(2.0, label="x")
        >>> picture(x * x)
        <picture of 2 nodes: save('graph.svg') writes it>
    """
    from .boxes import graph_svg  # only when it is needed: importing micrograd is to be quick

    nodes = nodes_below(root, max_nodes)
    return Picture(*graph_svg(nodes, names_by_id(names)), len(nodes))


def shown_in_notebook(root: Any) -> str:
    """What a notebook shows for a Value: HTML with its graph, if that is small, and its text."""
    from .boxes import graph_svg
    from .svg import in_notebook

    text = repr(root)
    try:
        svg, result = graph_svg(nodes_below(root, LARGEST_PICTURE), {})
        return in_notebook(svg, text, result)
    except ValueError as problem:  # it is too large, or no graph without cycles
        return in_notebook("", f"{text}\nNo picture: {problem}.")
