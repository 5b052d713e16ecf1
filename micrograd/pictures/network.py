"""Pictures of networks: neurons as circles in columns, and weights as lines between them."""

from __future__ import annotations

import math

from ..colors import FAINTEST, NEGATIVE, POSITIVE, THINNEST, WIDEST
from .svg import LETTER, LINE, coordinate, document, in_notebook, text_at, width_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MOST_NEURONS = 20  # that are drawn of a layer
MOST_LAYERS = 12  # of a network that is drawn
RADIUS = 9.0
ROW = 28.0  # from a neuron to the next
COLUMN = 150.0  # from a layer to the next
POINT = 4 / 3  # pixels


class _Network:
    """What is drawn of a module: its layers, lists of neurons, each (weights, bias)."""

    def __init__(self, module: Any, layers: list[list[Any]]) -> None:
        first = layers[0][0]
        self.nin = len(first.w)
        self.layers = [
            [([w.data for w in n.w], n.b.data) for n in layer[:MOST_NEURONS]] for layer in layers
        ]
        self.sizes = [self.nin, *map(len, layers)]
        shown = self.sizes[1:]
        if hasattr(module, "layers"):
            arguments, activation = f"{self.nin}, {shown}", first.activation
        else:
            activation = first.activation if first.nonlin else "linear"
            arguments = f"{self.nin}, {shown[0]}" if hasattr(module, "neurons") else f"{self.nin}"
        kind, n = type(module).__name__, len(module.parameters())
        self.text = f"{kind}({arguments}, {activation}), {n} parameters"


def network_in_notebook(module: Any, layers_of: Callable[[Any], list[list[Any]]]) -> str:
    """Return the HTML that a notebook shows for a network, or for what is none any more.

    Args:
        layers_of: that of `micrograd/pure/nn.py`, which imports this module.
    """
    try:
        network = _Network(module, layers_of(module))
    except (AttributeError, TypeError, ValueError) as problem:
        # a part has been replaced by something else
        return in_notebook("", f"{module!r}\nNo picture: {problem}.")
    if len(network.layers) > MOST_LAYERS:
        return in_notebook(
            "", f"{network.text}\nNo picture: it has more than {MOST_LAYERS} layers."
        )
    return in_notebook(_svg(network), network.text)


def _svg(network: _Network) -> str:
    tallest = min(max(network.sizes), MOST_NEURONS) * ROW
    is_cut = max(network.sizes) > MOST_NEURONS
    columns = []
    for k, size in enumerate(network.sizes):
        n = min(size, MOST_NEURONS)
        row = min(tallest / n, 2 * ROW)
        columns.append([(k * COLUMN, tallest / 2 + (i - (n - 1) / 2) * row) for i in range(n)])
    numbers = [x for layer in network.layers for w, b in layer for x in (*w, b)]
    largest = max((abs(x) for x in numbers if math.isfinite(x)), default=0.0) or 1.0
    body = ['<g fill="none" stroke-linecap="round">']
    for left, right, layer in zip(columns, columns[1:], network.layers):
        for (x1, y1), (w, _) in zip(right, layer):
            for (x0, y0), weight in zip(left, w):
                ends = (
                    f"M{coordinate(x0 + RADIUS)} {coordinate(y0)}"
                    f"L{coordinate(x1 - RADIUS)} {coordinate(y1)}"
                )
                body.append(f'<path d="{ends}" {_stroke(weight, largest)}/>')
    body.append('</g>\n<g fill="#f8f9fa">')
    half = RADIUS  # of the width of a column
    for k, column in enumerate(columns):
        for i, (x, y) in enumerate(column):
            # an input has no bias
            fill = _fill(network.layers[k - 1][i][1], largest) if k else ""
            body.append(_circle(x, y, RADIUS, f'{fill}stroke="{LINE}"'))
            if k == 0:
                size = 9 if i < 10 else 7  # so that it does not touch the circle
                body.append(text_at(x, y + 3.5, f"x{i}", "middle", style=f' font-size="{size}"'))
        more = network.sizes[k] - MOST_NEURONS
        if more > 0:
            half = max(half, width_of(f"{more} more") / 2)
            x, y = column[-1][0], column[-1][1] + RADIUS
            body += [_circle(x, y + down, 1.5, f'fill="{LINE}"') for down in (6, 12, 18)]
            body.append(text_at(x, y + 34, f"{more} more", "middle", LINE))
    body.append("</g>")
    y = tallest + (44 if is_cut else 12)
    x = -RADIUS
    legend = [
        ("positive", f'stroke="{POSITIVE}" stroke-width="3"'),
        ("negative (circles: biases)", f'stroke="{NEGATIVE}" stroke-width="3"'),
    ]
    if not all(map(math.isfinite, numbers)):
        legend.append(("dashed, grey: not finite", _stroke(math.nan, largest)))
    for words, style in legend:
        line = f'd="M{coordinate(x)} {coordinate(y)}h16" {style}'
        body += [f"<path {line}/>", text_at(x + 22, y + 4, words, color=LINE)]
        x += 36 + LETTER * len(words)
    width = max((len(columns) - 1) * COLUMN + half, x)
    return document(width + half, y + 8, network.text, body, left=half)


def _stroke(x: float, largest: float) -> str:
    """Return a line's attributes, which stand for a number: the sign is its colour, wide is large.

    The colour of a large one is stronger, too. What is not finite is dashed.
    """
    if not math.isfinite(x):
        return f'stroke="{LINE}" stroke-width="{POINT * WIDEST:g}" stroke-dasharray="3 5"'
    width = POINT * (THINNEST + (WIDEST - THINNEST) * (abs(x) / largest))
    return (
        f'stroke="{_color(x)}" stroke-opacity="{_strength(x, largest)}" stroke-width="{width:.2g}"'
    )


def _fill(x: float, largest: float) -> str:
    """Return a circle's attributes: the colour stands for a bias, grey for what is not finite."""
    if not math.isfinite(x):
        return f'fill="{LINE}" '
    return f'fill="{_color(x)}" fill-opacity="{_strength(x, largest)}" '


def _color(x: float) -> str:
    return POSITIVE if x > 0 else NEGATIVE if x < 0 else LINE


def _strength(x: float, largest: float) -> str:
    return f"{FAINTEST + (1 - FAINTEST) * (abs(x) / largest):.2g}"


def _circle(x: float, y: float, r: float, style: str) -> str:
    return f'<circle cx="{coordinate(x)}" cy="{coordinate(y)}" r="{r:g}" {style}/>'
