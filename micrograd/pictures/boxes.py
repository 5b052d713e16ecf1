"""The SVG of a graph: a box for each Value, with its operation, and lines between them."""

from __future__ import annotations

from .layout import layout
from .svg import (
    FAINT_INK,
    LINE,
    MARGIN,
    coordinate,
    document,
    escaped,
    one_line,
    text_at,
    width_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .layout import Line

LONGEST_LABEL = 32  # letters
LONGEST_OP = 12
ROW = 14.0  # height of a row of text, in pixels
PADDING = 7.0
SMALLEST_BOX = 84.0  # so that most boxes are of one width
ARROW = 6.0
JOINT = 10.0  # from an operation to its box

# -----------------------------------------------------------------------------
# a box: on the left, if there is one, the operation, and on the right label, data and grad


class _Box:
    """What is drawn for one Value, and how large it is."""

    def __init__(self, v: Any, name: str) -> None:
        self.label = one_line(str(v.label) if v.label else name, LONGEST_LABEL)
        self.rows = [("data", f"{v.data:.4g}"), ("grad", f"{v.grad:.4g}")]
        self.color = getattr(v, "_vis_color", None)
        self.op = one_line(str(v._op), LONGEST_OP) if v._prev else None
        texts = [self.label, *[f"{key} {number}" for key, number in self.rows]]
        self.width = max(SMALLEST_BOX, *[width_of(text) + 2 * PADDING for text in texts])
        self.height = ROW * (2 + bool(self.label)) + PADDING
        self.op_width = 0.0 if self.op is None else max(24.0, width_of(self.op) + 12)
        # the operation is joined to the box by a short line
        self.size = self.width + (self.op_width and self.op_width + JOINT), self.height

    def draw(self, x: float, y: float) -> list[str]:
        """Return the SVG of it, x and y being the upper left corner."""
        out = []
        if self.op is not None:
            middle = y + self.height / 2
            out += [
                f'<path d="M{coordinate(x + self.op_width)} {coordinate(middle)}h{JOINT:g}" '
                f'stroke="{LINE}"/>',
                f'<rect {_at(x, middle - 11, self.op_width, 22)} rx="11" fill="#e9ecef" '
                f'stroke="{LINE}"/>',
                text_at(x + self.op_width / 2, middle + 4, self.op, "middle"),
            ]
            x += self.op_width + JOINT
        # a colour that is no colour in SVG leaves the box as it would be without
        fill = "" if self.color is None else f' fill="{escaped(str(self.color))}"'
        out.append(f'<rect {_at(x, y, self.width, self.height)} rx="4"{fill} stroke="{LINE}"/>')
        if fill:  # text can be read on any colour: most of it is covered with white
            inner = _at(x + 3, y + 3, self.width - 6, self.height - 6)
            out.append(f'<rect {inner} rx="2" fill-opacity="0.8"/>')
        left, right = x + PADDING, x + self.width - PADDING
        y += PADDING / 2 + 11
        if self.label:
            bold = ' font-weight="bold"'
            out.append(text_at(x + self.width / 2, y, self.label, "middle", style=bold))
            y += ROW
        for key, number in self.rows:
            out.append(text_at(left, y, key, color=FAINT_INK))
            out.append(text_at(right, y, number, "end"))
            y += ROW
        return out


def _at(x: float, y: float, width: float, height: float) -> str:
    return (
        f'x="{coordinate(x)}" y="{coordinate(y)}" '
        f'width="{coordinate(width)}" height="{coordinate(height)}"'
    )


# -----------------------------------------------------------------------------
# the whole


def graph_svg(nodes: list[Any], names: dict[int, str]) -> tuple[str, float]:
    """Draw the graph of a list of Values, the result first; names are by their ids.

    Returns:
        The SVG, and how far down the result is in it.
    """
    boxes = [_Box(v, names.get(id(v), "")) for v in nodes]
    places = {id(v): i for i, v in enumerate(nodes)}
    edges = [(places[id(x)], i) for i, v in enumerate(nodes) for x in v._prev]
    drawing = layout([box.size for box in boxes], edges)
    lines = [_curves(lines) for lines in drawing.lines if lines]
    heads = [
        f"M{coordinate(x)} {coordinate(y + box.height / 2)}l{-ARROW:g} {ARROW / 2:g}v{-ARROW:g}z"
        for box, (x, y) in zip(boxes, drawing.corners)
        if box.op is not None
    ]
    body = [
        f'<g fill="none" stroke="{LINE}">',
        *[f'<path d="{line}"/>' for line in lines],
        "</g>",
        f'<path d="{"".join(heads)}" fill="{LINE}"/>',
        '<g fill="#ffffff">',
    ]
    for v, box, (x, y) in zip(nodes, boxes, drawing.corners):
        body += box.draw(x, y)
        if len(v._prev) > 1 and len({*map(id, v._prev)}) == 1:  # one line for all of them
            times = f"\u00d7{len(v._prev)}"
            body.append(text_at(x - ARROW, y + box.height / 2 - 4, times, "end", LINE))
    body.append("</g>")
    root = boxes[0]
    called = f" {root.label}" if root.label else ""
    data = root.rows[0][1]
    title = f"Graph of the Value{called}, data {data}; nodes: {len(nodes)}"
    svg = document(drawing.width, drawing.height, title, body)
    return svg, MARGIN + drawing.corners[0][1] + root.height / 2


def _curves(lines: list[Line]) -> str:
    """Return lines as the text of a path."""
    out = []
    for x0, x1, x2, x3, y0, y1 in lines:
        a, b, middle, c, d = [coordinate(x) for x in (x0, x1, (x1 + x2) / 2, x2, x3)]
        start, end = coordinate(y0), coordinate(y1)
        out.append(f"M{a} {start}")
        if y0 != y1:
            out.append(f"H{b}C{middle} {start} {middle} {end} {c} {end}")
        out.append(f"H{d}")
    return "".join(out)
