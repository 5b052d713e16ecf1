"""micrograd.plot: where it draws, which numbers it draws, and what it leaves as it was."""

import math
import subprocess
import sys
import threading
import time
import warnings
import xml.etree.ElementTree as ElementTree
from fractions import Fraction

import pytest
from conftest import bits

from micrograd import RNG, Value, cli, gen_data, plot, pure, recorded
from micrograd.run import CourseRun

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is optional")
matplotlib.use("agg")

import numpy as np  # noqa: E402
from matplotlib import pyplot  # noqa: E402
from matplotlib.colors import to_hex, to_rgba  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

POINTS, *_ = gen_data(RNG(42), n=40)
SIGNS = [(x, 1 if label == 2 else -1) for x, label in POINTS]


@pytest.fixture
def ax():
    """Axes that pyplot does not know of."""
    return Figure().subplots()


@pytest.fixture(autouse=True)
def pyplot_is_left_alone():
    """Fail if pyplot's settings or figures are not as they were."""
    before = dict(matplotlib.rcParams)
    yield
    figures = pyplot.get_fignums()
    pyplot.close("all")
    assert dict(matplotlib.rcParams) == before and figures == []


def surface_of(ax):
    """The picture's places, x and y, and its colours, row by row from below."""
    [image] = ax.images
    assert image.origin == "lower"
    colors = image.get_array()
    left, right, low, high = image.get_extent()
    rows, columns, _ = colors.shape
    return (
        left + (right - left) * (np.arange(columns) + 0.5) / columns,
        low + (high - low) * (np.arange(rows) + 0.5) / rows,
        colors,
    )


# -----------------------------------------------------------------------------
# all of them


DRAWINGS = [
    lambda engine, ax: plot.decision_surface(engine.MLP(2, [3]), POINTS, ax, resolution=3),
    lambda engine, ax: plot.loss_curve([3.0, 2.0, 1.5], ax),
    lambda engine, ax: plot.network(engine.MLP(2, [4, 3]), ax, colorbar=False),
]


@pytest.mark.parametrize("draw", DRAWINGS, ids=plot.__all__)
def test_axes(engine, draw, ax):
    """Those that are given are returned, or else the current ones."""
    assert draw(engine, ax) is ax and ax.has_data()
    figure, (left, right) = pyplot.subplots(1, 2)
    pyplot.sca(left)
    assert draw(engine, right) is right
    assert pyplot.gca() is left and not left.has_data()
    assert draw(engine, None) is left and left.has_data()
    assert pyplot.gca() is left and figure.axes == [left, right]
    figure.draw_without_rendering()
    pyplot.close(figure)


@pytest.mark.parametrize("draw", DRAWINGS, ids=plot.__all__)
@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_it_is_seen_on_the_background(engine, draw, style):
    """Text, and the circles of a network."""
    with pyplot.style.context(style):
        ax = draw(engine, Figure().subplots())
    background = sum(to_rgba(ax.get_facecolor())[:3])
    texts = [ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels(), *ax.get_yticklabels()]
    texts += ax.get_legend().get_texts() if ax.get_legend() else []
    colors = [text.get_color() for text in texts]
    if ax.get_xticklabels()[0].get_text() == "2 in":
        colors += [tuple(circles.get_edgecolor()[0]) for circles in ax.collections[1:]]
    for color in colors:
        assert abs(sum(to_rgba(color)[:3]) - background) > 2


@pytest.mark.parametrize("draw", DRAWINGS, ids=plot.__all__)
def test_an_array_of_axes_is_refused(engine, draw):
    with pytest.raises(TypeError, match=r"matplotlib's Axes, such as axes\[0\], and not arr"):
        draw(engine, Figure().subplots(1, 2))


def test_importing_micrograd_does_not_import_matplotlib():
    program = "import sys, micrograd.plot, micrograd.cli; print('matplotlib' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("False\n", "")


def test_without_matplotlib(engine, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in DRAWINGS:
        with pytest.raises(ImportError, match=r"^plots need matplotlib: pip install matplotlib$"):
            draw(engine, None)


# -----------------------------------------------------------------------------
# the decision surface


def expected_shade(scores, colors):
    """The colour of the likeliest class, and by how much it is ahead."""
    likelihoods = np.exp(np.array(scores) - max(scores))
    probabilities = likelihoods / likelihoods.sum()
    second, first = sorted(probabilities)[-2:]
    return (*to_rgba(colors[int(probabilities.argmax())])[:3], (first - second) * plot.OPACITY)


def test_the_surface_is_the_models(engine, ax):
    """At each place the colour is that of the model's logits there, by bits."""
    model = engine.MLP(2, [4, 3], rng=RNG(1))
    seen = {}

    def watched(x):
        logits = model(x)
        seen[x[0].data, x[1].data] = [v.data for v in logits]
        return logits

    # a function that is no module gets Values of the package's engine: give it floats in between
    function = lambda x: watched([engine.Value(xi.data) for xi in x])  # noqa: E731
    plot.decision_surface(function, POINTS, ax, resolution=5)
    xs, ys, colors = surface_of(ax)
    assert colors.shape == (5, 5, 4) and len(seen) == 25
    for i, y in enumerate(sorted({y for _, y in seen})):
        assert math.isclose(y, ys[i], abs_tol=1e-9)
        for j, x in enumerate(sorted({x for x, _ in seen})):
            assert math.isclose(x, xs[j], abs_tol=1e-9)
            assert [bits(c) for c in seen[x, y]] == [bits(v.data) for v in model([x, y])]
            shade = expected_shade(seen[x, y], plot.CLASS_COLORS)
            assert [*map(bits, colors[i, j].tolist())] == [*map(bits, map(float, shade))]

    other = plot.decision_surface(model, POINTS, Figure().subplots(), resolution=5)
    assert (surface_of(other)[2] == colors).all()


def test_one_output_goes_by_its_sign(engine, ax):
    model = engine.MLP(2, [1], rng=RNG(1))
    [neuron] = model.layers[0].neurons
    for w, x in zip(neuron.w, (2.0, 0.0)):
        w.data = x
    plot.decision_surface(model, SIGNS, ax, resolution=4, margin=0.0)
    xs, _, colors = surface_of(ax)
    for column, x in enumerate(xs):
        shade = plot.CLASS_COLORS[int(x > 0)]
        for color in colors[:, column]:
            assert to_hex(color) == shade
            assert math.isclose(color[3], plot.OPACITY * math.tanh(abs(2 * x) / 2))


@pytest.mark.parametrize("split, groups", [(POINTS, (0, 1, 2)), (SIGNS, (-1, 1))])
def test_points_by_class(engine, ax, split, groups):
    model = engine.MLP(2, [3 if len(groups) == 3 else 1], rng=RNG(1))
    plot.decision_surface(model, split, ax, resolution=2)
    assert len(ax.collections) == len(groups)
    for label, color, drawn in zip(groups, plot.CLASS_COLORS, ax.collections):
        assert drawn.get_offsets().tolist() == [x for x, y in split if y == label]
        assert to_hex(drawn.get_facecolor()[0]) == color
    markers = {drawn.get_paths()[0].vertices.tobytes() for drawn in ax.collections}
    assert len(markers) == len(groups) == len(ax.get_legend().get_texts())


@pytest.mark.parametrize("outputs, labels", [(3, ["0", "1", "2"]), (1, ["≤ 0", "> 0"])])
def test_the_legend_stays_inside(engine, outputs, labels):
    """It covers no other axes, without a layout too, and points are seen through it."""
    figure = Figure()
    ax = plot.decision_surface(
        engine.MLP(2, [outputs], rng=RNG(1)),
        [([0.0, 1.0], 0), ([1.0, 0.0], 1), ([1.0, 1.0], min(2, outputs))],
        figure.subplots(),
        resolution=2,
    )
    legend = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == labels
    figure.draw_without_rendering()
    box = legend.get_window_extent()
    inside = ax.get_window_extent()
    assert inside.x0 <= box.x0 < box.x1 <= inside.x1 and inside.y0 <= box.y0 < box.y1 <= inside.y1
    assert legend.get_frame().get_alpha() == 0.5


def sigmoid_model(engine, shift=0.0):
    """Its output is above 0.5 where x[0] is above a number."""
    return lambda x: (x[0] * 3.0 - shift).sigmoid()


def test_a_threshold(engine, ax):
    """Labels and outputs on its two sides are two classes; a probability shades as it is sure."""
    split = [([-1.0, 0.0], 0), ([1.0, 1.0], 1)]
    plot.decision_surface(sigmoid_model(engine), split, ax, threshold=0.5, resolution=3)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["≤ 0.5", "> 0.5"]
    assert [c.get_offsets().tolist() for c in ax.collections] == [[[-1.0, 0.0]], [[1.0, 1.0]]]
    xs, _, colors = surface_of(ax)
    for x, color in zip(xs, colors[0]):
        probability = 1 / (1 + math.exp(-3 * x))
        assert math.isclose(color[3], abs(2 * probability - 1) * plot.OPACITY, abs_tol=1e-12)
    assert [to_hex(color[:3]) for color in colors[0, ::2]] == [*plot.CLASS_COLORS[:2]]
    regression = plot.decision_surface(
        lambda x: x[0] * 10.0, [([-1.0, 0.0], 3), ([1.0, 1.0], 7)], Figure().subplots(),
        threshold=5, resolution=11,
    )  # fmt: skip
    assert len(regression.collections) == 2
    xs, _, colors = surface_of(regression)
    assert [to_hex(c[:3]) == plot.CLASS_COLORS[1] for c in colors[0]] == [x > 0.5 for x in xs]


@pytest.mark.parametrize("sign, side", [(1.0, "above"), (-1.0, "never above")])
def test_an_output_on_one_side_warns(engine, sign, side):
    """If there are labels on both; a picture is drawn all the same."""
    model = lambda x: sigmoid_model(engine)(x) * sign  # noqa: E731
    for labels, warns in ((0, 1), True), ((-1, 1), True), ((0, 0), False), ((1, 1), False):
        split = [([-1.0, 0.0], labels[0]), ([1.0, 1.0], labels[1])]
        ax = Figure().subplots()
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            plot.decision_surface(model, split, ax, resolution=3)
        assert len(found) == warns and ax.has_data()
        for warning in found:
            assert f"is {side} the threshold 0 on the whole plane: write thr" in str(
                warning.message
            )
            assert warning.category is UserWarning and warning.filename == __file__


def test_outputs_that_are_nowhere_finite(engine, ax):
    model = engine.MLP(2, [3])
    model.layers[0].neurons[1].b.data = math.nan
    for place in (ax, None):
        with pytest.raises(
            ValueError, match=r"outputs are nowhere finite, such as \[.*nan, .*weig"
        ):
            plot.decision_surface(model, POINTS, place, resolution=3)
    assert not ax.has_data()


def test_limits_come_from_the_data(engine, ax):
    model = engine.MLP(2, [3], rng=RNG(1))
    split = [([-1.0, 10], 0), ([3, Fraction(20)], 1)]
    plot.decision_surface(model, split, ax, resolution=3, margin=0.25)
    assert ax.get_xlim() == (-2.0, 4.0) and ax.get_ylim() == (7.5, 22.5)
    xs, ys, _ = surface_of(ax)
    assert xs.tolist() == [-2.0, 1.0, 4.0] and ys.tolist() == [7.5, 15.0, 22.5]
    one = plot.decision_surface(model, split[:1], Figure().subplots())
    assert one.get_xlim() == (-2.0, 0.0)


@pytest.mark.usefixtures("no_new_nodes")
def test_the_model_is_left_as_it_was(engine, ax):
    model = engine.MLP(2, [4, 3], rng=RNG(1))
    engine.mean_cross_entropy(model, POINTS).backward()
    before = [(p.data, p.grad) for p in model.parameters()]
    plot.decision_surface(model, POINTS, ax, resolution=4)
    plot.network(model, Figure().subplots())
    assert [(p.data, p.grad) for p in model.parameters()] == before
    assert (Value(1.0) * 2)._prev  # and operations are recorded again


@pytest.mark.usefixtures("no_new_nodes")
def test_functions(engine, ax):
    """A function of Values, one that returns its own input, a subclass, a recorded function."""
    w = Value(2.0)
    plot.decision_surface(lambda x: (x[0] * w).tanh() + x[1] ** 2 - 1, SIGNS, ax, resolution=3)
    plot.decision_surface(lambda x: x[0], SIGNS, ax, resolution=3)
    plot.decision_surface(lambda x: [x[0], 0.0, x[1]], POINTS, ax, resolution=3)

    class Mine(engine.MLP):
        def __call__(self, x):
            a, b = x
            return super().__call__([a * a, b.tanh()])

    plot.decision_surface(Mine(2, [3]), POINTS, ax, resolution=3)

    @recorded
    def product(x):
        return x[0] * x[1] * w

    plot.decision_surface(product, SIGNS, ax, resolution=7)
    assert product.cache_info().misses == 1 and product.cache_info().hits == 48
    colors = ax.images[-1].get_array()
    expected = plot.decision_surface(
        product.__wrapped__, SIGNS, Figure().subplots(), resolution=7
    ).images[0]
    assert (colors == expected.get_array()).all()
    product.cache_clear()


def test_scores_that_are_not_finite_are_left_blank(ax):
    values = iter([math.nan, math.inf, 2.0, -2.0])
    plot.decision_surface(lambda x: Value(next(values)), SIGNS, ax, resolution=2)
    opacity = ax.images[0].get_array()[..., 3].ravel().tolist()
    assert opacity[0] == 0 and opacity[1] == 0 and opacity[2] == opacity[3] > 0.3


def test_many_classes(ax):
    split = [([float(i), 0.0], i) for i in range(12)]
    plot.decision_surface(lambda x: [-((x[0] - i) ** 2) for i in range(12)], split, ax)
    found = {to_hex(drawn.get_facecolor()[0]) for drawn in ax.collections}
    assert len(found) == 12


class Numbers:
    """A model whose parameters are no Values."""

    def parameters(self):
        return [0.5]

    def __call__(self, x):
        return x[0]


@pytest.mark.parametrize(
    "change, kind, problem",
    [
        ({"split": []}, ValueError, "the split is empty"),
        ({"split": [([1.0, 2.0, 3.0], 0)]}, ValueError, r"points of 2 numbers.* split\[0\] has 3"),
        ({"split": [([1.0, 2.0], 0), ([0.0, math.nan], 0)]}, ValueError, r"split\[1\] is \[0.0, n"),
        ({"split": [([-1e308, 2.0], 0), ([1e308, 0.0], 0)]}, ValueError, "-1e.308 to 1e.308"),
        ({"split": [([1.0, 2.0], 3)]}, IndexError, "target 3 is out of range for 3"),
        ({"split": [([1.0, 2.0], 0.5)]}, TypeError, "a target must be an integer, not 0.5"),
        ({"split": [(["1", 2.0], 0)]}, TypeError, "expected a number, not str: '1'"),
        ({"nin": 3}, ValueError, "a neuron with 3 inputs was given 2"),
        ({"model": lambda x: []}, ValueError, r"1 or more Values, .*\[0\]"),
        ({"model": lambda x: [x[0]] * (1 + (x[0].data > 0))}, ValueError, r"\[1, 2\]"),
        ({"model": lambda x: None}, TypeError, "a Value or a list of Values, not None"),
        ({"model": lambda x: ["a", x[0]]}, TypeError, "a Value or a list of Values, not"),
        ({"model": Numbers()}, TypeError, r"a parameter must be a Value, not 0.5: write Value\("),
        ({"resolution": 1}, ValueError, "resolution must be at least 2, not 1"),
        ({"resolution": 2.5}, TypeError, "resolution must be an integer, not 2.5"),
        ({"threshold": "a"}, TypeError, "threshold must be a number, not 'a'"),
        ({"margin": -1}, ValueError, "margin must be 0 or more, not -1.0"),
        ({"margin": math.nan}, ValueError, "margin must be 0 or more, not nan"),
    ],
)
@pytest.mark.usefixtures("no_new_nodes")
def test_what_the_surface_refuses(engine, ax, change, kind, problem):
    """With the numbers, and with nothing drawn; no figure is made for it."""
    model = engine.MLP(change.get("nin", 2), [3], rng=RNG(1))
    words = {"model": model, "split": POINTS, "resolution": 2, **change}
    words.pop("nin", None)
    for place in (ax, None):
        with pytest.raises(kind, match=problem):
            plot.decision_surface(ax=place, **words)
    assert not ax.has_data() and (Value(1.0) * 2)._prev


def test_a_recorded_function_draws_nothing(ax):
    model = recorded(lambda x: plot.decision_surface(lambda x: x[0], SIGNS, ax) and Value(x))
    with pytest.raises(Exception, match="no_grad") as problem:
        model(1.0)
    assert problem.type.__name__ == "RecordingError" and not ax.has_data()


@pytest.mark.usefixtures("no_new_nodes")
def test_an_interrupt(ax):
    """In the middle of the surface: nothing is drawn, and recording goes on."""
    calls = []

    def model(x):
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return x[0] * x[1]

    with pytest.raises(KeyboardInterrupt):
        plot.decision_surface(model, SIGNS, ax)
    assert not ax.has_data() and (Value(1.0) * 2)._prev


def test_threads(engine):
    """Each with figures of its own, of one model: all get the same picture."""
    model = engine.MLP(2, [4, 3], rng=RNG(1))
    found = []

    def work():
        ax = plot.decision_surface(model, POINTS, Figure().subplots(), resolution=20)
        found.append(ax.images[0].get_array())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all((colors == found[0]).all() for colors in found)


def test_the_compiled_engine_is_quick(ax):
    """A hundred times a hundred places take 0.1 s; this leaves room for a busy machine."""
    compiled = pytest.importorskip("micrograd.compiled")
    model = compiled.MLP(2, [16, 3], rng=RNG(1))
    start = time.perf_counter()
    plot.decision_surface(model, POINTS, ax)
    assert time.perf_counter() - start < 2


# -----------------------------------------------------------------------------
# the loss curve


def test_one_curve(ax):
    losses = [0.1 * 3**-i for i in range(50)]
    [line] = plot.loss_curve(losses, ax, color="red").lines
    assert line.get_xdata().tolist() == [*range(50)] and line.get_ydata().tolist() == losses
    assert line.get_color() == "red" and line.get_marker() in ("", "None")
    assert ax.get_legend() is None
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "loss")


def test_several_curves(ax):
    """Also those of a loss that is not computed in each step."""
    losses = {"train": iter([3, 2.0, math.nan, math.inf]), "val": [(0, 3.5), (2, 2.5)]}
    train, val = plot.loss_curve(losses, ax).lines
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["train", "val"]
    assert str(train.get_ydata().tolist()) == "[3.0, 2.0, nan, inf]"
    assert (val.get_xdata().tolist(), val.get_ydata().tolist()) == ([0.0, 2.0], [3.5, 2.5])
    assert val.get_marker() == "." and train.get_color() != val.get_color()


def test_labels_of_curves(ax):
    """They are in the legend, of several calls, too; a curve without any is not."""
    plot.loss_curve([3.0, 2.0], ax, label="a")
    plot.loss_curve([2.0, 1.0], ax)
    plot.loss_curve({"b": [1.0], "c": [[0, 1.0], [2, 0.5]]}, ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "c"]
    assert ax.lines[-1].get_xdata().tolist() == [0.0, 2.0]
    with pytest.raises(TypeError, match="leave out label='d'"):
        plot.loss_curve({"train": [1.0]}, ax, label="d")
    assert len(ax.lines) == 4


def test_a_style_that_there_is_not(ax):
    """It is refused before there are axes."""
    for place in (ax, None):
        with pytest.raises(AttributeError, match="colour"):
            plot.loss_curve([1.0], place, colour="red")
    assert not ax.has_data()
    plot.loss_curve([1.0], ax, color="red", scalex=False)


def test_one_loss_is_seen(ax):
    [line] = plot.loss_curve([1.0], ax).lines
    assert line.get_marker() == "."


def test_steps_are_whole_numbers(ax):
    plot.loss_curve([3.0, 2.0, 1.0, 0.5], ax)
    assert all(tick == int(tick) for tick in ax.get_xticks())


def test_a_logarithmic_axis(ax):
    plot.loss_curve([3.0, 2.0], ax).set(xscale="log", yscale="log")
    plot.loss_curve([2.0, 1.0], ax)
    assert ax.get_xscale() == ax.get_yscale() == "log" and len(ax.lines) == 2


@pytest.mark.parametrize(
    "losses, kind, problem",
    [
        ([], ValueError, "no losses to draw: losses is empty"),
        ({}, ValueError, "no losses to draw: the dict is empty"),
        ({"train": [1.0], "val": []}, ValueError, "no losses to draw: val is empty"),
        (3.0, TypeError, "losses must be a list, not 3.0"),
        ({1: Value(2.0)}, TypeError, "1 must be a list, not a Value"),
        ([1.0, "2"], TypeError, r"losses\[1\]: expected a number, not str: '2'"),
        ({"train": [1.0, None]}, TypeError, r"train\[1\]: expected a number, not NoneType"),
        ([1.0, Value(2.0)], TypeError, r"losses\[1\]: .*; x.data is its number"),
        ([(0, 1.0), (1, 2.0, 3.0)], TypeError, r"losses\[1\]: expected a number, not tuple"),
    ],
)
def test_what_the_curve_refuses(ax, losses, kind, problem):
    for place in (ax, None):
        with pytest.raises(kind, match=problem):
            plot.loss_curve(losses, place)
    assert not ax.has_data()


# -----------------------------------------------------------------------------
# the network


def drawn_by(ax):
    """The lines' ends and weights, and the neurons' biases."""
    lines, inputs, neurons = ax.collections
    assert lines.get_clim() == neurons.get_clim()
    return lines.get_segments(), [*lines.get_array()], inputs, [*neurons.get_array()]


def test_weights_and_biases(engine, ax):
    model = engine.MLP(2, [4, 3], rng=RNG(1))
    for i, p in enumerate(model.parameters()):
        p.data = (-1) ** i * 0.1 * i
    plot.network(model, ax)
    segments, weights, inputs, biases = drawn_by(ax)
    neurons = [n for layer in model.layers for n in layer.neurons]
    assert weights == [w.data for n in neurons for w in n.w]
    assert biases == [n.b.data for n in neurons]
    assert len(segments) == 2 * 4 + 4 * 3 and len(inputs.get_offsets()) == 2
    widths = ax.collections[0].get_linewidths()
    by_size = [width for _, width in sorted(zip(map(abs, weights), widths))]
    assert by_size == sorted(by_size) and by_size[0] < by_size[-1]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["2 in", "4 tanh", "3 linear"]
    # the fifth line leads from the first input to the third neuron of the hidden layer
    (x0, y0), (x1, y1) = segments[4]
    assert (x0, x1) == (0, 1) and y0 == 0.5 and y1 == -0.5
    low, high = ax.collections[0].get_clim()
    assert -low == high == max(map(abs, weights + biases))


def test_a_network_looks_as_in_a_notebook(engine, ax):
    """The same colours, and lines as wide; an SVG's pixel is three quarters of a point."""
    model = engine.MLP(2, [4, 3], rng=RNG(1))
    model.layers[0].neurons[1].b.data = -0.5
    lines = plot.network(model, ax).collections[0]
    ax.figure.draw_without_rendering()
    svg = ElementTree.fromstring(model._repr_html_())[0][0]
    drawn = list(svg.iter("{http://www.w3.org/2000/svg}path"))[:-2]
    for width, line in zip(lines.get_linewidths(), drawn):
        assert abs(0.75 * float(line.get("stroke-width")) - width) < 0.05
    signs = [w.data > 0 for layer in model.layers for n in layer.neurons for w in n.w]
    expected = [plot.POSITIVE if sign else plot.NEGATIVE for sign in signs]
    assert [line.get("stroke") for line in drawn] == expected
    assert (plot.POSITIVE, plot.NEGATIVE) == (plot.BLUE, plot.ORANGE)
    _, _, *circles = svg.iter("{http://www.w3.org/2000/svg}circle")
    assert [circle.get("fill") == plot.NEGATIVE for circle in circles] == [False, True] + [
        False
    ] * 5


def test_positive_is_blue_and_negative_orange(engine, ax):
    neuron = engine.Neuron(2, rng=RNG(1))
    neuron.w[0].data, neuron.w[1].data = 1.5, -1.5
    plot.network(neuron, ax).figure.draw_without_rendering()
    assert [*map(to_hex, ax.collections[0].get_edgecolors())] == [plot.BLUE, plot.ORANGE]


def test_colorbar(engine):
    figure, ax = pyplot.subplots()
    plot.network(engine.MLP(2, [3]), ax)
    assert len(figure.axes) == 2 and pyplot.gca() is ax
    pyplot.close(figure)
    alone = plot.network(engine.MLP(2, [3]), Figure().subplots(), colorbar=False)
    assert alone.figure.axes == [alone]


def test_parts_of_a_network(engine, ax):
    layer = engine.Layer(3, 2, activation="relu", rng=RNG(1))
    plot.network(layer, ax)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["3 in", "2 relu"]
    layer.neurons[0].nonlin = False
    layer.neurons[1].b = layer.neurons[1].w[0]  # a parameter in two places
    layer.neurons[1].w[1].data = math.nan
    other = plot.network(layer, Figure().subplots())
    assert [t.get_text() for t in other.get_xticklabels()] == ["3 in", "2 mixed"]
    other.figure.draw_without_rendering()

    class Mine(engine.MLP):
        pass

    zeros = Mine(1, [1])
    for p in zeros.parameters():
        p.data = 0
    plot.network(zeros, Figure().subplots()).figure.draw_without_rendering()


def test_what_is_not_finite_is_dashed_and_grey(engine, ax):
    model = engine.MLP(2, [2, 1], rng=RNG(1))
    for x, place in zip((math.nan, math.inf, -math.inf), (0, 1, 4)):
        model.parameters()[place].data = x
    model.layers[0].neurons[0].b.data = math.inf
    plot.network(model, ax).figure.draw_without_rendering()
    lines, broken, _, neurons = ax.collections
    assert len(lines.get_segments()) == 3 and len(broken.get_segments()) == 3
    assert broken.get_linestyle()[0][1] and to_hex(broken.get_edgecolor()[0]) == plot.GREY
    is_grey = [to_hex(color) == plot.GREY for color in neurons.get_facecolors()]
    assert is_grey == [True, False, False]
    assert not np.ma.getmaskarray(neurons.get_offsets()).any()
    assert ax.figure.axes[1].get_ylabel() == "weights and biases; dashed, grey: not finite"
    for p in model.parameters():
        p.data = math.nan
    plot.network(model, Figure().subplots()).figure.draw_without_rendering()


def test_names_of_many_layers(engine):
    """They do not overlap."""
    for layers in 2, 6, 13:
        ax = plot.network(engine.MLP(2, [3] * layers), Figure().subplots())
        ax.figure.draw_without_rendering()
        boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
        assert all(left.x1 < right.x0 for left, right in zip(boxes, boxes[1:]))


def test_weights_that_are_too_large_for_a_picture(engine, ax):
    model = engine.MLP(2, [2])
    model.layers[0].neurons[0].w[0].data = 1e300
    plot.network(model).figure.draw_without_rendering()
    pyplot.close("all")
    model.layers[0].neurons[0].w[0].data = -1.7e308
    for place in (ax, None):
        with pytest.raises(ValueError, match=r"too large for a picture: 1.7e\+308"):
            plot.network(model, place)
    assert not ax.has_data()


# -----------------------------------------------------------------------------
# python -m micrograd --plot


@pytest.mark.parametrize(
    "ending, start", [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_the_command_line(engine, tmp_path, capsys, ending, start):
    """It writes the file, and prints what it would print without."""
    backend = "python" if engine is pure else "c"
    words = ["--steps", "2", "--points", "20", "--hidden", "1", "--backend", backend]
    assert cli.main(words) == 0
    expected = capsys.readouterr()
    path = tmp_path / f"loss.{ending}"
    assert cli.main([*words, "--plot", str(path)]) == 0
    assert capsys.readouterr() == expected and path.read_bytes().startswith(start)


def test_the_command_line_in_the_present_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["--steps", "1", "--points", "10", "--plot", "loss.png"]) == 0
    assert capsys.readouterr().out and (tmp_path / "loss.png").exists()


def test_the_losses_of_a_run(engine):
    """They are those that it prints, and of one run only."""
    run = CourseRun(engine, points=20)
    for steps in 3, 12:
        lines = [*run.lines(steps)]
        train = [f"step {step}, train loss {loss}" for step, loss in run.losses["train"]]
        val = [f"step {step}, val loss {loss:.6f}" for step, loss in run.losses["val"]]
        assert [line for line in lines if "train" in line] == train and len(train) == steps
        assert [line for line in lines if "val" in line] == val


@pytest.mark.parametrize(
    "words, problem",
    [
        (["x.gif"], "--plot 'x.gif' must end in one of .png .svg .pdf"),
        ([""], "--plot '' must end in one of .png .svg .pdf"),
        (["nothing/x.png"], "--plot 'nothing/x.png': there is no folder 'nothing'"),
        (["x.png", "--backend", "torch"], "--plot needs an engine of ours: --backend c or python"),
    ],
)
def test_what_the_command_line_refuses(words, problem, capsys, tmp_path, monkeypatch):
    """Before it trains."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        cli.main(["--plot", *words])
    out, err = capsys.readouterr()
    assert stop.value.code == 2 and out == "" and err.endswith(f"micrograd: error: {problem}\n")


def test_the_command_line_without_matplotlib(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit):
        cli.main(["--plot", "x.png"])
    out, err = capsys.readouterr()
    assert out == "" and err.endswith("error: --plot needs matplotlib: pip install matplotlib\n")
