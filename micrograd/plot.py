"""Plots with matplotlib: what a model has learned, how its loss fell, and its weights.

    from micrograd.plot import decision_surface, loss_curve, network

Each function draws into the axes that it is given, or into the current ones, and returns them:
`decision_surface(model, train).set_title("before")`. It neither shows nor saves anything. In a
notebook the picture appears below the cell; elsewhere call `plt.show()` or `figure.savefig(path)`.
matplotlib is imported by the first plot, not before.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

from . import Value, no_grad
from .checks import (
    check_labels,
    check_sides,
    check_split,
    check_target,
    check_threshold,
    check_weights,
    count,
    listed,
    needed,
    number,
    outputs_of,
)
from .colors import (
    BLUE,
    FAINTEST,
    GREEN,
    GREY,
    NEGATIVE,
    ORANGE,
    POSITIVE,
    PURPLE,
    SKY,
    THINNEST,
    VERMILION,
    WIDEST,
    YELLOW,
)
from .pure.nn import layers_of
from .shown import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from matplotlib.axes import Axes

    from .pure.nn import MLP, Layer, Neuron
    from .types import AnyValue, Curve, Model, Number, Split

__all__ = ["decision_surface", "loss_curve", "network"]


def __dir__() -> list[str]:
    return [*__all__]


CLASS_COLORS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW)
CLASS_MARKERS = "os^Dvp*"
OPACITY = 0.4  # where a model is sure
FEW_LOSSES = 30  # so many are drawn as dots, too
NO_LINE_STYLE = ("scalex", "scaley", "data")  # which `Axes.plot` takes, and a line does not
MOST = 1e300  # so large a weight can be
MANY_COLUMNS = 7  # so many have their names turned, which overlap otherwise

# -----------------------------------------------------------------------------
# the decision surface


def decision_surface(
    model: Model[AnyValue],
    split: Split[AnyValue],
    ax: Axes | None = None,
    *,
    threshold: Number = 0.0,
    resolution: int = 100,
    margin: Number = 0.1,
) -> Axes:
    """Colour the plane by the class that a model chooses there, and draw a data set over it.

    The colour is strong where the model is sure, and fades out where two classes are equally
    likely. Class by class the points have a colour and a marker.

    Args:
        model: an MLP, or any function of a list of two Values. It returns a list of logits, one a
            class, or a Value, of which there are two classes: above the threshold or not. It is
            called without recording, and no gradient changes.
        split: a list of (x, label), as `gen_data` makes them: x two numbers; label the index of
            the class, or for a model of one output a number, above the threshold or not.
        ax: where to draw. The current axes (`plt.gca()`) if None.
        threshold: of a model of one output: 0.5 for a sigmoid. If it is between 0 and 1, and so
            are all outputs, they are taken for probabilities.
        resolution: at how many places along each axis the model is called, 2 or more.
        margin: how much wider than the data the picture is on each side, as a part of the
            data's width.

    Returns:
        The axes.

    Raises:
        ValueError: the split is empty, a point has not two numbers or none that are finite, or the
            model has not two inputs or no output, or nowhere one that is finite.
        IndexError: the model has no class for a label.
        TypeError: something is no number, the model returns no Values, or ax is no Axes.
        ImportError: matplotlib is missing.

    Warns:
        UserWarning: the one output is on one side of the threshold everywhere, and the labels on
            both; or different labels are on one side, and so of one class.

    Example:
        decision_surface(model, train)
    """
    _check_matplotlib()
    resolution = count(resolution, "resolution", least=2)
    margin = number(margin, "margin")
    if not 0 <= margin < math.inf:
        raise ValueError(f"margin must be 0 or more, not {margin}")
    threshold = check_threshold(threshold)
    points, labels = _read(split)
    xs, ys = (_ticks(side, resolution, margin) for side in zip(*points))
    scores = _evaluate(model, xs, ys)
    outputs = len(scores[0])
    if outputs == 1:
        kind, numbers = "label", [f"≤ {threshold:g}", f"> {threshold:g}"]
        names = [f"label {threshold:g} or below", f"label above {threshold:g}"]
        labels = [*map(number, labels)]
        classes = [int(label > threshold) for label in labels]
        if check_labels(labels, threshold):
            check_sides([score for [score] in scores], threshold, "on the whole plane")
    else:
        kind, numbers = "class", [f"{i}" for i in range(outputs)]
        names = [f"class {i}" for i in range(outputs)]
        classes = [check_target(label, outputs) for label in labels]

    colors = _class_colors(len(names))
    axes = _axes(ax)
    axes.imshow(
        _shades(scores, colors, threshold).reshape(resolution, resolution, 4),
        extent=(*_edges(xs), *_edges(ys)),
        origin="lower",
        aspect="auto",
        interpolation="bilinear",
    )
    drawn = {}
    for i, name in enumerate(names):
        chosen = [point for point, c in zip(points, classes) if c == i]
        if chosen:
            drawn[numbers[i]] = axes.scatter(
                *zip(*chosen),
                color=[colors[i]],
                marker=CLASS_MARKERS[i % len(CLASS_MARKERS)],
                edgecolors=axes.get_facecolor(),  # so that each stands out from those below it
                linewidths=0.6,
                label=name,
            )
    axes.set(xlim=(xs[0], xs[-1]), ylim=(ys[0], ys[-1]), xlabel="x[0]", ylabel="x[1]")
    # small, and half transparent: points are seen through it
    axes.legend(
        [*drawn.values()],
        [*drawn],
        title=kind,
        loc="best",
        fontsize="small",
        title_fontsize="small",
        handletextpad=0,
        framealpha=0.5,
    )
    return axes


def _read(split: Iterable[Any]) -> tuple[list[list[float]], list[Any]]:
    """Return the points as pairs of floats, and their labels."""
    points, labels = [], []
    for i, (x, label) in enumerate(check_split(split)):
        point = [xi.data if hasattr(type(xi), "backward") else number(xi) for xi in x]
        if len(point) != 2:
            raise ValueError(
                f"a decision surface is for points of 2 numbers, and split[{i}] has {len(point)}"
            )
        if not all(map(math.isfinite, point)):
            raise ValueError(f"a decision surface needs finite points, and split[{i}] is {point}")
        points.append(point)
        labels.append(label)
    return points, labels


def _ticks(side: Sequence[float], n: int, margin: float) -> list[float]:
    """Return n places from below the smallest coordinate to above the largest."""
    low, high = min(side), max(side)
    pad = (high - low) * margin or 1.0  # points that are all alike still have a place in a picture
    low, high = low - pad, high + pad
    if not math.isfinite(high - low):
        raise ValueError(f"the points are too far apart for a picture: {min(side)} to {max(side)}")
    return [low + (high - low) * i / (n - 1) for i in range(n)]


def _edges(ticks: list[float]) -> tuple[float, float]:
    """Return where the first pixel begins and the last ends, if each has its tick in the middle."""
    half = (ticks[1] - ticks[0]) / 2
    return ticks[0] - half, ticks[-1] + half


def _evaluate(model: Any, xs: list[float], ys: list[float]) -> list[list[float]]:
    """Return the model's outputs at each place, row by row from the lowest y on."""
    # the same two Values for all places: a recorded function is then recorded once
    x, y = _leaf(model), _leaf(model)
    found = []
    with no_grad():
        for row in ys:
            y.data = row
            for column in xs:
                x.data = column
                found.append(outputs_of(model([x, y])))
    sizes = sorted({len(outputs) for outputs in found})
    if len(sizes) > 1 or sizes == [0]:
        raise ValueError(
            f"a model returns 1 or more Values, as many at each point, and this one {sizes}"
        )
    if not any(all(map(math.isfinite, outputs)) for outputs in found):
        raise ValueError(
            f"there is nothing to draw: the model's outputs are nowhere finite, such as "
            f"{found[0]}; network(model) shows its weights"
        )
    return found


def _leaf(model: Any) -> Any:
    """Return a Value of the engine that the model's parameters are of."""
    parameters = [*model.parameters()] if hasattr(model, "parameters") else []
    check_weights(parameters[:1])
    return parameters[0].detach() if parameters else Value(0)


def _class_colors(n: int) -> list[Any]:
    """Return a colour for each of n classes."""
    if n <= len(CLASS_COLORS):
        return [*CLASS_COLORS[:n]]
    import matplotlib

    viridis = matplotlib.colormaps["viridis"]
    return [viridis(i / (n - 1)) for i in range(n)]


def _shades(scores: list[list[float]], colors: list[Any], threshold: float) -> Any:
    """Return red, green, blue and opacity for each place: of the likeliest class, if it is sure.

    How sure the model is, is how far its likeliest class is ahead of the next, in probability:
    0 at a border between two. Where a score is not finite nothing is drawn.
    """
    import numpy as np
    from matplotlib.colors import to_rgba_array

    logits = np.array(scores)
    if logits.shape[1] == 1:  # the same as two classes, so far apart
        if 0 < threshold < 1 and ((logits >= 0) & (logits <= 1)).all():
            probabilities = np.clip(np.append(logits, threshold), 1e-15, 1 - 1e-15)
            odds = np.log(probabilities / (1 - probabilities))
            logits, threshold = odds[:-1, None], odds[-1]
        logits = (logits - threshold) / 2
        logits = np.hstack([-logits, logits])
    with np.errstate(invalid="ignore"):
        likelihoods = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = likelihoods / likelihoods.sum(axis=1, keepdims=True)
    *_, second, first = np.sort(probabilities).T
    shades = to_rgba_array(colors)[probabilities.argmax(axis=1)]
    shades[:, 3] = np.nan_to_num(first - second) * OPACITY
    return shades


# -----------------------------------------------------------------------------
# the loss curve


def loss_curve(
    losses: Curve | Mapping[str, Curve], ax: Axes | None = None, **line_style: Any
) -> Axes:
    """Draw losses over the steps of a training run.

    Args:
        losses: a list of numbers, one a step from step 0 on; or of pairs (step, loss), for a loss
            that is not computed in each step. Or several of them by name, in a dict such as
            {"train": losses, "val": val_losses}. The names go into a legend.
        ax: where to draw. The current axes (`plt.gca()`) if None.
        **line_style: what `Axes.plot` takes: `color=`, `linewidth=` ...; `label=` is the name of a
            curve that is alone.

    Returns:
        The axes. `loss_curve(losses).set_yscale("log")` makes the axis logarithmic.

    Raises:
        ValueError: there are no losses.
        TypeError: a loss is no number, or ax no Axes; or there are a dict and a label.
        AttributeError: `Axes.plot` has no such style.
        ImportError: matplotlib is missing.

    Example:
        loss_curve({"train": losses, "val": val_losses})
    """
    _check_matplotlib()
    label: Any = line_style.get("label")
    if isinstance(losses, Mapping):
        if label is not None:
            raise TypeError(f"the dict's names are the labels: leave out label={shown(label)}")
        curves: Mapping[Any, Any] = losses
        lines = [(name, *_line(name, curve)) for name, curve in curves.items()]
    else:
        lines = [(label, *_line("losses", losses))]
    if not lines:
        raise ValueError("there are no losses to draw: the dict is empty")

    from matplotlib.lines import Line2D
    from matplotlib.ticker import AutoLocator

    Line2D([], [], **{name: x for name, x in line_style.items() if name not in NO_LINE_STYLE})
    axes = _axes(ax)
    for name, steps, numbers in lines:
        marker = "." if len(steps) <= FEW_LOSSES else ""
        axes.plot(steps, numbers, **{"marker": marker, **line_style, "label": name})
    axes.set(xlabel="step", ylabel="loss")
    if isinstance(axes.xaxis.get_major_locator(), AutoLocator):  # and no user's, nor a logarithm's
        axes.locator_params(axis="x", integer=True)  # there is no step 2.5
    if any(name is not None for name, *_ in lines):
        axes.legend()
    return axes


def _line(name: str, curve: Iterable[Any]) -> tuple[list[float], list[float]]:
    """Return the steps and the losses of a curve."""
    steps, losses = [], []
    for i, item in enumerate(listed(curve, f"{name}")):
        pair: Any = item if isinstance(item, (tuple, list)) and len(item) == 2 else (i, item)
        step, loss = pair
        try:
            steps.append(number(step))
            losses.append(number(loss))
        except TypeError as problem:
            raise TypeError(f"{name}[{i}]: {problem}") from None
    if not losses:
        raise ValueError(f"there are no losses to draw: {name} is empty")
    return steps, losses


# -----------------------------------------------------------------------------
# the network


def network(model: Neuron | Layer | MLP, ax: Axes | None = None, *, colorbar: bool = True) -> Axes:
    """Draw a network: its neurons in columns, and each weight as a line between two of them.

    A line is the wider, and its colour the stronger, the larger the weight: blue above 0, orange
    below. A neuron is filled with the colour of its bias; the inputs, on the left, are empty.
    What is not finite is grey, and a line of it dashed.

    Args:
        model: an MLP, a Layer or a Neuron.
        ax: where to draw. The current axes (`plt.gca()`) if None.
        colorbar: whether to add a bar that says which colour means which number. It takes its
            place from the axes.

    Returns:
        The axes.

    Raises:
        TypeError: the model is none of the three, a weight or a bias no Value, or ax no Axes.
        ValueError: there is no layer, a layer has no neurons, or not as many inputs as the layer
            before has neurons; or the largest weight or bias is above 1e300.
        ImportError: matplotlib is missing.

    Example:
        network(MLP(2, [16, 3]))
    """
    _check_matplotlib()
    layers = layers_of(model)
    sizes = [len(layers[0][0].w), *map(len, layers)]
    places = [[(x, (n - 1) / 2 - i) for i in range(n)] for x, n in enumerate(sizes)]
    lines, weights = [], []
    for neurons, before, here in zip(layers, places, places[1:]):
        for neuron, end in zip(neurons, here):
            lines += [(start, end) for start in before]
            weights += [w.data for w in neuron.w]
    biases = [neuron.b.data for neurons in layers for neuron in neurons]

    from matplotlib.collections import LineCollection
    from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgba

    all_finite = all(map(math.isfinite, weights + biases))
    broken = [line for line, w in zip(lines, weights) if not math.isfinite(w)]
    lines = [line for line, w in zip(lines, weights) if math.isfinite(w)]
    weights = [w for w in weights if math.isfinite(w)]
    biases = [b if math.isfinite(b) else math.nan for b in biases]
    largest = max((abs(x) for x in weights + biases if math.isfinite(x)), default=0.0) or 1.0
    if largest > MOST:
        raise ValueError(f"a weight or bias is too large for a picture: {largest}")
    axes = _axes(ax)
    background, ink = axes.get_facecolor(), axes.xaxis.label.get_color()  # white and black, or not
    pale = [(1 - FAINTEST) * a + FAINTEST * b for a, b in zip(to_rgba(background), to_rgba(ink))]
    colormap = LinearSegmentedColormap.from_list("weights", [NEGATIVE, pale, POSITIVE])
    scale: dict[str, Any] = {
        "cmap": colormap.with_extremes(bad=GREY),
        "norm": Normalize(-largest, largest),
    }
    widths = [THINNEST + (WIDEST - THINNEST) * abs(w) / largest for w in weights]
    drawn = LineCollection(lines, array=weights, linewidths=widths, zorder=1, **scale)
    axes.add_collection(drawn)
    if broken:
        axes.add_collection(LineCollection(broken, colors=GREY, linestyles="dashed", zorder=1))
    circles: dict[str, Any] = {
        "s": min(16.0, 160 / max(sizes)) ** 2,
        "edgecolors": ink,
        "linewidths": 0.8,
    }
    xs, ys = zip(*places[0])
    axes.scatter(xs, ys, color=[background], **circles)
    xs, ys = zip(*itertools.chain(*places[1:]))
    axes.scatter(xs, ys, c=biases, plotnonfinite=True, **scale, **circles)

    rotation = 90 if len(sizes) >= MANY_COLUMNS else 0
    names = [f"{sizes[0]} in", *map(_description, layers)]
    axes.set_xticks(range(len(sizes)), names, rotation=rotation)
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.margins(0.1)
    if colorbar:
        dashed = "" if all_finite else "; dashed, grey: not finite"
        axes.figure.colorbar(drawn, ax=axes, label=f"weights and biases{dashed}")
    return axes


def _description(neurons: list[Any]) -> str:
    """Say how many neurons a layer has, and of what kind: "16 tanh", "3 linear"."""
    kinds = {neuron.activation if neuron.nonlin else "linear" for neuron in neurons}
    return f"{len(neurons)} {kinds.pop() if len(kinds) == 1 else 'mixed'}"


# -----------------------------------------------------------------------------
# matplotlib


def _check_matplotlib() -> None:
    """Raise an ImportError that says what to install if matplotlib is missing."""
    needed("matplotlib", "plots need matplotlib: pip install matplotlib")


def _axes(ax: Axes | None) -> Axes:
    """Return the axes to draw into."""
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.gca()
    elif not (hasattr(ax, "scatter") and hasattr(ax, "get_facecolor")):  # pyplot has the one
        given = shown(ax)  # it may be a long list of losses
        raise TypeError(f"ax must be one of matplotlib's Axes, such as axes[0], and not {given}")
    return ax
