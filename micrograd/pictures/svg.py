"""Pieces of SVG and HTML that the pictures are made of.

The pictures have no style sheet, no ids and no classes, so several on one page do not disturb each
other. They have no ground of their own, either: lines are of a middle grey, and what text stands on
is light, so that they can be read on a light page and on a dark one.
"""

from __future__ import annotations

import unicodedata

from ..colors import GREY

LINE = GREY
INK = "#212529"  # on what is light
FAINT_INK = "#495057"
FONT = 'font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="11"'
LETTER = 6.7  # how wide a letter of it is, at most
MARGIN = 6

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})


def escaped(text: str) -> str:
    """Return text as it stands in XML, also between quotes; what is not printed is replaced."""
    return "".join([c if c.isprintable() else "\ufffd" for c in text]).translate(_ESCAPES)


def one_line(text: str, most: int) -> str:
    """Return text without line breaks, cut to so many letters."""
    text = " ".join(text[: 4 * most].split())
    return text if len(text) <= most else text[: most - 1] + "…"


def width_of(text: str) -> float:
    """Return how wide text is in the pictures' font, in pixels."""
    wide = sum([unicodedata.east_asian_width(c) in "WF" for c in text])
    return LETTER * (len(text) + wide)


def coordinate(x: float) -> str:
    """Return a length with one digit after the point at most."""
    text = f"{x:.1f}"
    return text[:-2] if text.endswith(".0") else text


def text_at(
    x: float, y: float, text: str, anchor: str = "start", color: str = INK, style: str = ""
) -> str:
    """Return a text whose start, middle or end stands at (x, y)."""
    where = f'x="{coordinate(x)}" y="{coordinate(y)}" text-anchor="{anchor}"'
    return f'<text {where} fill="{color}"{style}>{escaped(text)}</text>'


def document(width: float, height: float, title: str, body: list[str], left: float = 0.0) -> str:
    """Return a whole picture as SVG, with a margin around; left of x = 0 there is some more."""
    w, h = coordinate(width + 2 * MARGIN), coordinate(height + 2 * MARGIN)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{w}" height="{h}" '
            f'viewBox="{coordinate(-left - MARGIN)} {-MARGIN} {w} {h}" {FONT}>',
            f"<title>{escaped(title)}</title>",
            *body,
            "</svg>\n",
        ]
    )


def in_notebook(svg: str, text: str, result: float | None = None) -> str:
    """Return HTML: a picture, in a frame that scrolls if it is large, and text below.

    The frame shows the upper left corner at first; or, if there is one, the result at the right
    end, so many pixels down. Browsers without scroll-initial-target show the upper right corner.
    """
    # notebooks have `svg {max-width: 100%; height: auto}`, and would shrink it
    style = "max-width: none; flex: none; align-self: flex-start; margin-right: auto"
    svg = svg.replace("<svg ", f'<svg style="{style}" ', 1)
    direction = "row"  # from which end scrolling begins
    if result is not None:
        direction = "row-reverse"
        place = f"position: absolute; right: 0; top: {coordinate(result)}px"
        svg += f'<i style="{place}; scroll-initial-target: nearest; scroll-snap-align: center"></i>'
    style = f"display: flex; flex-direction: {direction}; overflow: auto; max-height: 80vh"
    frame = f'<div style="{style}; position: relative">{svg}</div>' if svg else ""
    lines = "\n".join([escaped(line) for line in text.splitlines()])
    return f'<div>{frame}<pre style="white-space: pre-wrap">{lines}</pre></div>'
