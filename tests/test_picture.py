"""Pictures of graphs and networks: what notebooks show, and files of it."""

import copy
import math
import os
import pickle
import re
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from conftest import needs_c

import micrograd
from micrograd import graph as graph_module
from micrograd import picture, pure, vis_color
from micrograd.graph import LARGEST_PICTURE
from micrograd.pictures.network import NEGATIVE, POSITIVE
from micrograd.pictures.svg import LINE

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg):
    """The root of the XML, which has no ids, classes or styles that others could meet."""
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg" and root.get("role") == "img" and root[0].tag == f"{SVG}title"
    for element in root.iter():
        assert element.tag.removeprefix(SVG) in {
            "svg",
            "title",
            "g",
            "path",
            "rect",
            "text",
            "circle",
        }
        assert not {*element.keys()} & {"id", "class", "style"}
    return root


def texts(svg):
    return [element.text or "" for element in parsed(svg).iter(f"{SVG}text")]


def picture_in(html):
    """The SVG in what a notebook shows, and the text below it."""
    root = ElementTree.fromstring(html)
    svg = root.find(f".//{SVG}svg")
    assert svg is None or svg.attrib.pop("style").startswith("max-width: none;")  # or it shrinks
    svg = None if svg is None else ElementTree.tostring(svg, encoding="unicode")
    return svg, root.find("pre").text


def rnn(engine, steps):
    w, u, b = (engine.Value(x, label=name) for name, x in (("w", 0.5), ("u", -0.3), ("b", 0.1)))
    h = engine.Value(0.0, label="h")
    for i in range(steps):
        h = (w * h + u * math.sin(i) + b).tanh()
    return h


def chain(engine, n):
    x = y = engine.Value(1.01, label="x")
    for _ in range(n):
        y = y * x
    return y


# -----------------------------------------------------------------------------
# graphs


def test_what_is_in_it(engine, no_new_nodes):
    a, b = engine.Value(2.0, label="a"), engine.Value(-3.0, label="b")
    c = a * b + a**2
    loss = c.tanh()
    loss.backward()
    vis_color([a], "lightgreen")
    svg = picture(loss).svg
    found = texts(svg)
    assert found.count("a") == found.count("b") == 1  # one box each, though a is used twice
    assert found.count("data") == found.count("grad") == 6
    assert {"*", "+", "**2", "tanh", "2", "-3", "-0.964", "0.07065", "0.1413"} <= set(found)
    assert svg.count('fill="lightgreen"') == 1
    assert parsed(svg)[0].text == "Graph of the Value, data -0.964; nodes: 6"


@needs_c
def test_both_engines_draw_the_same():
    engines = micrograd.pure, micrograd.compiled
    assert len({picture(rnn(engine, 3)).svg for engine in engines}) == 1
    networks = [engine.MLP(2, [3, 1], rng=engine.RNG(1)) for engine in engines]
    assert len({network._repr_html_() for network in networks}) == 1


def test_one_operand_several_times(engine):
    """One line, on which it says how often."""
    x, y = engine.Value(2.0), engine.Value(3.0)
    for root, times in [
        (x + x, "\u00d72"), (x * x, "\u00d72"), (engine.Value(1.0, (x, x, x), "f"), "\u00d73"),
        (x * y, None), (engine.Value(1.0, (x, y, x), "f"), None), (x.tanh(), None),
    ]:  # fmt: skip
        assert [text for text in texts(picture(root).svg) if "\u00d7" in text] == [times] * bool(
            times
        )


def test_the_same_each_time(engine):
    h = rnn(engine, 5)
    assert picture(h).svg == picture(h).svg == picture(rnn(engine, 5)).svg


@pytest.mark.parametrize(
    "graph, nodes",
    [(lambda e: chain(e, 140), 141), (lambda e: rnn(e, 40), 244),
     (lambda e: e.sum([e.Value(i) for i in range(200)]), 401),
     (lambda e: e.Value(1.0, [e.Value(float(i)) for i in range(200)], "f"), 201)],
    ids=["chain", "rnn", "sum", "wide"],
)  # fmt: skip
def test_time(engine, graph, nodes):
    root = graph(engine)
    start = time.perf_counter()
    svg = picture(root, max_nodes=None).svg
    assert time.perf_counter() - start < 2  # it takes less than 0.1, but tests run side by side
    assert texts(svg).count("data") == nodes


STRANGE = {
    "<b>&\"'</b>": "<b>&\"'</b>",
    "two\nlines\tand \r\n a tab": "two lines and a tab",
    "a\x00b\x1b[1m\x7f": "a\ufffdb\ufffd[1m\ufffd",
    "\ud800 \ufffe": "\ufffd \ufffd",
    "\u202egnorw": "\ufffdgnorw",
    "]]>": "]]>",
    "x" * 10**6: "x" * 31 + "…",
    "漢字": "漢字",
}


@pytest.mark.parametrize("label", STRANGE, ids=range(len(STRANGE)))
def test_strange_labels(engine, label):
    x = engine.Value(1.0, label=label)
    assert STRANGE[label] in texts(picture(x * 2).svg)
    y = engine.Value(1.0)
    assert STRANGE[label] in texts(picture(y * 2, names={label: y}).svg)
    z = engine.Value(1.0, (x,), label)  # the name of an operation is cut sooner
    assert any(text and text[:4] == STRANGE[label][:4] for text in texts(picture(z).svg)[-9:])
    picture_in(x._repr_html_())


@pytest.mark.parametrize("color", ['red"/><script>', "no colour", "", 7, None, "rgb(255, 0, 0)"])
def test_strange_colours(engine, color):
    x = engine.Value(1.0)
    x._vis_color = color
    fills = [box.get("fill") for box in parsed(picture(x).svg).iter(f"{SVG}rect")]
    assert fills[0] == (None if color is None else str(color))


def test_labels_that_are_no_text(engine):
    x, y = engine.Value(1.0), engine.Value(2.0)
    x.label, y.label = 7, None
    assert "7" in texts(picture(x * y, names={"y": y}).svg)
    assert "y" in texts(picture(x * y, names={"y": y}).svg)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -0.0, 1e-300, -1.23456e308])
def test_strange_numbers(engine, number):
    x = engine.Value(number)
    x.grad = number
    assert texts(picture(x).svg) == ["data", f"{number:.4g}", "grad", f"{number:.4g}"]


def test_very_many_nodes(engine, monkeypatch):
    """It is told early that they are too many."""
    x = engine.Value(1.0)
    for _ in range(100_000):
        x = x + 0.0
    walk, seen = graph_module._walk, []

    def counted(root):
        for v in walk(root):
            seen.append(id(v))
            yield v

    monkeypatch.setattr(graph_module, "_walk", counted)
    for draw in (picture, micrograd.draw_dot):
        with pytest.raises(ValueError, match=r"at least 10400 nodes, more than 400: draw a part"):
            draw(x)
    svg, text = picture_in(x._repr_html_())
    assert svg is None and text.startswith("Value(data=1.0, grad=0.0)\n")
    assert "at least 10400 nodes, more than 400" in text and "max_nodes=None" in text
    assert len(seen) == 3 * (LARGEST_PICTURE + graph_module.MOST_COUNTED)


def test_limits(engine):
    x = chain(engine, 3)
    assert texts(picture(x, max_nodes=4).svg).count("data") == 4
    with pytest.raises(ValueError, match=r"has 4 nodes, more than 3: picture\(.*, max_nodes=4\)"):
        picture(x, max_nodes=3)
    assert texts(picture(chain(engine, 400), max_nodes=None).svg).count("data") == 401
    model = engine.MLP(2, [16, 3])  # README's: the loss of one point is drawn, in whichever way
    for loss in (
        engine.mean_cross_entropy(model, [([0.5, -1.0], 0)]),
        -engine.softmax(model([0.5, -1.0]))[0].log(),
    ):
        assert 290 < texts(picture(loss).svg).count("data") < LARGEST_PICTURE
    for wrong, error in (0, ValueError), (-1, ValueError), (1.5, TypeError), ("9", TypeError):
        with pytest.raises(error, match="max_nodes must be"):
            picture(x, max_nodes=wrong)
    for wrong in (1.0, None, engine.Value):
        with pytest.raises(TypeError, match="expected a Value"):
            picture(wrong)
    with pytest.raises(TypeError, match="expected a Value, not a list of 2: pass one of its Val"):
        picture([x, x])
    model = engine.MLP(1, [1])
    with pytest.raises(TypeError, match=r"not the MLP itself: draw what it computes, model\(x\)"):
        picture(model)
    with pytest.raises(TypeError, match=r"not the MLP itself: pass model.parameters\(\)"):
        vis_color(model, "red")
    with pytest.raises(TypeError, match=r"nodes must be a list, not a Value: write \[a\]"):
        vis_color(x, "red")


def test_names(engine):
    model = engine.MLP(2, [2, 1], rng=engine.RNG(1))
    model.layers[0].neurons[0].b.label = "its own"
    found = texts(picture(model([1.0, 2.0]), names=model).svg)
    expected = {name for name, _ in model.named_parameters()} - {"layers.0.neurons.0.b"}
    assert len(expected) == 8 and expected | {"its own"} <= set(found)
    x, y = engine.Value(1.0), engine.Value(2.0)
    assert "first" in texts(picture(x + y, names={"first": x, "second": x, "other": y * 2}).svg)
    for wrong in ({x: "x"}, {"x": 1.0}, [x], "x", model.parameters()):
        with pytest.raises(TypeError, match="names must be a"):
            picture(x, names=wrong)


def test_a_circle():
    """Only the plain-Python engine lets one be built."""
    x = pure.Value(1.0)
    y = pure.Value(2.0, (x,), "y")
    x._prev = (y,)
    with pytest.raises(ValueError, match="2 of the boxes are in a circle"):
        picture(y)
    svg, text = picture_in(y._repr_html_())
    assert svg is None
    problem = "No picture: 2 of the boxes are in a circle, or lead to one."
    assert text == f"Value(data=2.0, grad=0.0)\n{problem}"


def test_copies_and_pickles(engine):
    drawn = picture(chain(engine, 3))
    for other in copy.copy(drawn), copy.deepcopy(drawn), pickle.loads(pickle.dumps(drawn)):
        assert (other.svg, repr(other)) == (drawn.svg, repr(drawn))
        assert other._repr_html_() == drawn._repr_html_()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_in_a_fork(engine, tmp_path):
    """A child draws what its parent has recorded, and what it has computed itself."""
    v, model = chain(engine, 3), engine.MLP(2, [2, 1])
    child = os.fork()
    if child == 0:
        try:
            picture(v + 1.0, names={"v": v}).save(tmp_path / "child.svg")
            html = v._repr_html_() + model._repr_html_()
            (tmp_path / "child.html").write_text(html, "utf-8")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / "child.svg").read_text("utf-8") == picture(v + 1.0, names={"v": v}).svg
    html = v._repr_html_() + model._repr_html_()
    assert (tmp_path / "child.html").read_text("utf-8") == html


def test_files(engine, tmp_path):
    drawn = picture(engine.Value(1.0, label="ü"))
    for path in (tmp_path / "a.svg", str(tmp_path / "b.SVG")):
        drawn.save(path)
        assert Path(path).read_text("utf-8") == drawn.svg
    for wrong in ("graph", "graph.png", "svg", tmp_path):
        with pytest.raises(ValueError, match=r"ends in \.svg, not .*draw_dot"):
            drawn.save(wrong)
    with pytest.raises(TypeError, match=r"path must be text or a Path, not b'a\.svg'"):
        drawn.save(b"a.svg")
    for wrong in (7, None):
        with pytest.raises(TypeError):
            drawn.save(wrong)
    with pytest.raises(FileNotFoundError):
        drawn.save(tmp_path / "no" / "graph.svg")
    assert sorted(os.listdir(tmp_path)) == ["a.svg", "b.SVG"]
    assert repr(drawn) == "<picture of 1 node: save('graph.svg') writes it>"
    shown = re.sub('<svg style="[^"]*" ', "<svg ", drawn._repr_html_())
    assert drawn._repr_svg_() == drawn.svg and drawn.svg in shown


# -----------------------------------------------------------------------------
# in a notebook


def test_a_value_in_a_notebook(engine):
    x = engine.Value(1.0, label="x") * 2
    svg, text = picture_in(x._repr_html_())
    assert "x" in texts(svg) and text == "Value(data=2.0, grad=0.0)"
    with engine.no_grad():
        assert picture_in((x * 3)._repr_html_())[1] == "Value(data=6.0, grad=0.0)"
        assert texts(picture(x).svg).count("data") == 3
    assert not hasattr(x, "_repr_mimebundle_")  # of which terminals ask, too
    assert "row-reverse" in x._repr_html_() and "row-reverse" in picture(x)._repr_html_()
    assert "row-reverse" not in engine.MLP(1, [1])._repr_html_()  # it opens at its left end
    assert picture_in(rnn(engine, (LARGEST_PICTURE - 4) // 7)._repr_html_())[0]


def test_a_large_graph_in_a_notebook(engine):
    """It is not shrunk, and opens at the result.

    Notebooks have `svg {max-width: 100%; height: auto}`. Such a height is the picture's own, by
    its viewBox, unless a flex box stretches it to the box's height.
    """
    tree = [engine.Value(i) for i in range(64)]
    while len(tree) > 1:
        tree = [a + b for a, b in zip(tree[::2], tree[1::2])]
    root = tree[0] + rnn(engine, 3)
    for html in root._repr_html_(), picture(root)._repr_html_():
        frame = ElementTree.fromstring(html).find("div")
        assert {"overflow: auto", "position: relative"} <= {*frame.get("style").split("; ")}
        svg, place = frame
        own = {*svg.get("style").split("; ")}
        assert {"max-width: none", "flex: none", "align-self: flex-start"} <= own
        style = dict(rule.split(": ") for rule in place.get("style").split("; "))
        assert style["scroll-initial-target"] == "nearest" and style["position"] == "absolute"
        _, box, *_ = svg.findall(f".//{SVG}g[@fill='#ffffff']/{SVG}rect")  # the root's is first
        middle = float(box.get("y")) + float(box.get("height")) / 2
        top = middle - float(svg.get("viewBox").split()[1])
        assert style["top"] == f"{top:g}px" and abs(top - float(svg.get("height")) / 2) > 500
    assert "<i " not in engine.MLP(1, [1])._repr_html_()


def test_subclasses(engine):
    class Named(engine.Value):
        def __repr__(self):
            return f"<{self.data} & more>\nand a line"

    svg, text = picture_in(Named(2.0)._repr_html_())
    assert texts(svg) == ["data", "2", "grad", "0"] and text == "<2.0 & more>\nand a line"


def test_in_a_recorded_function(engine):
    model = engine.MLP(1, [1], rng=engine.RNG(1))

    @engine.recorded
    def f(x, how):
        y = model([x])
        shown.append(how(y))
        return y

    shown = []
    for how in (
        lambda y: y._repr_html_(), picture, lambda y: model._repr_html_(),
        lambda y: micrograd.draw_dot(y, outfile=None),
    ):  # fmt: skip
        with pytest.raises(engine.RecordingError, match=r"test_picture\.py, line"):
            f(1.0, how)
    assert not shown
    y = engine.recorded(lambda x: model([x]))(2.0)
    svg, text = picture_in(y._repr_html_())
    assert text == repr(y) and f"{y.data:.4g}" in texts(svg)


def test_after_a_replay(engine):
    """The compiled engine has the inner numbers elsewhere until something asks for them."""
    x = engine.Value(0.5)
    inner = x * 3.0
    y = inner.tanh()
    for number in (1.0, 0.25, 0.75):
        x.data = number
        y.forward()
        y.backward()
        assert {f"{3 * number:.4g}", f"{x.grad:.4g}"} <= set(texts(picture(y).svg))


def test_in_threads(engine):
    h, drawn = rnn(engine, 20), []
    threads = [threading.Thread(target=lambda: drawn.append(picture(h).svg)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drawn == [picture(h).svg] * 4


def test_no_picture_in_a_terminal(engine, monkeypatch):
    """IPython's own formatters: a notebook's, which take every format, and a terminal's."""
    formatters = pytest.importorskip("IPython.core.formatters")
    formatter = formatters.DisplayFormatter()
    x = engine.Value(1.0) * 2
    model = engine.MLP(1, [1], rng=engine.RNG(1))
    for thing in (x, model, picture(x)):
        formats, _ = formatter.format(thing)
        assert formats["text/plain"] == repr(thing)
        assert "<svg" in formats["text/html"]
    assert formatter.format(picture(x))[0]["image/svg+xml"] == picture(x).svg
    formatter.active_types = ["text/plain"]
    monkeypatch.setattr("micrograd.pictures.svg.document", None)
    for thing in (x, model):
        assert formatter.format(thing) == ({"text/plain": repr(thing)}, {})


# -----------------------------------------------------------------------------
# networks


def test_an_mlp_in_a_notebook(engine):
    model = engine.MLP(2, [16, 3], rng=engine.RNG(1))
    svg, text = picture_in(model._repr_html_())
    assert text == "MLP(2, [16, 3], tanh), 99 parameters"
    root = parsed(svg)
    assert root[0].text == text
    circles = [*root.iter(f"{SVG}circle")]
    lines = [*root[1].iter(f"{SVG}path")]
    assert len(circles) == 2 + 16 + 3 and len(lines) == 2 * 16 + 16 * 3
    weights = [w.data for layer in model.layers for n in layer.neurons for w in n.w]
    colors = [POSITIVE if w > 0 else NEGATIVE for w in weights]
    assert [line.get("stroke") for line in lines] == colors
    widths = [float(line.get("stroke-width")) for line in lines]
    largest = max(weights, key=abs)
    assert widths[weights.index(largest)] == max(widths) == 4
    assert repr(model).startswith("MLP of [Layer of [TanHNeuron(2)")


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda e, **given: e.Layer(4, 3, **given), "Layer(4, 3, tanh), 15 parameters"),
        (
            lambda e, **given: e.Layer(4, 1, nonlin=False, **given),
            "Layer(4, 1, linear), 5 parameters",
        ),
        (
            lambda e, **given: e.Neuron(3, activation="relu", **given),
            "Neuron(3, relu), 4 parameters",
        ),
        (lambda e, **given: e.MLP(1, [1], "relu", **given), "MLP(1, [1], relu), 2 parameters"),
    ],
)
def test_other_networks_in_a_notebook(engine, make, text):
    svg, shown = picture_in(make(engine, rng=engine.RNG(1))._repr_html_())
    assert shown == text and parsed(svg)[0].text == text


def test_large_networks(engine):
    model = engine.MLP(30, [200, 1], rng=engine.RNG(1))
    svg, text = picture_in(model._repr_html_())
    assert text == "MLP(30, [200, 1], tanh), 6401 parameters"
    assert {"10 more", "180 more"} <= set(texts(svg))
    assert len(svg) < 100_000


@pytest.mark.parametrize("number", [math.nan, math.inf, 0.0])
def test_strange_weights(engine, number):
    neuron = engine.Neuron(2, rng=engine.RNG(1))
    for v in neuron.parameters():
        v.data = number
    svg = picture_in(neuron._repr_html_())[0]
    parsed(svg)
    assert "nan" not in svg and "inf" not in svg
    is_finite = math.isfinite(number)
    assert ("dashed, grey: not finite" in texts(svg)) != is_finite
    assert svg.count("stroke-dasharray") == (0 if is_finite else 3)  # two weights, and the legend's
    assert (f'fill="{LINE}" stroke' in svg) != is_finite


def why_not(module):
    """What a notebook shows in the place of a picture, below the module's own text."""
    svg, text = picture_in(module._repr_html_())
    own, problem = text.split("\nNo picture: ")
    assert svg is None and own == repr(module)
    return problem


def test_everything_is_in_sight(engine):
    """Also the words below the first and the last column."""
    for sizes in (120, [3]), (2, [120]), (1, [1]):
        root = parsed(picture_in(engine.MLP(*sizes)._repr_html_())[0])
        left, _, width, _ = map(float, root.get("viewBox").split())
        for element in root.iter(f"{SVG}text"):
            x = float(element.get("x"))
            half = 6.7 * len(element.text) / 2 if element.get("text-anchor") == "middle" else 0
            assert left <= x - half and x + half <= left + width
    inputs = [e for e in root.iter(f"{SVG}text") if e.text == "x0"]
    assert [e.get("font-size") for e in inputs] == ["9"]
    wide = parsed(picture_in(engine.MLP(12, [1])._repr_html_())[0])
    assert [e.get("font-size") for e in wide.iter(f"{SVG}text") if e.text == "x11"] == ["7"]


def test_other_modules(engine):
    """A subclass is drawn, under its own name; a module that is no network has no picture."""

    class Mine(engine.MLP):
        pass

    model = Mine(1, [2, 1], rng=engine.RNG(1))
    assert picture_in(model._repr_html_())[1] == "Mine(1, [2, 1], tanh), 7 parameters"
    assert not hasattr(engine.Module(), "_repr_html_")


# -----------------------------------------------------------------------------
# nothing else is needed


def test_without_graphviz(tmp_path):
    """Neither the package, nor the program, nor a module that is slow to import."""
    (tmp_path / "graphviz.py").write_text("raise ImportError")
    program = """
import sys
sys.path.insert(0, sys.argv[1])
import micrograd
from micrograd import MLP, Value, picture
slow = {"micrograd.pictures.dot_program", "micrograd.pictures.layout", "micrograd.pictures.network"}
print(*slow & sys.modules.keys())
picture(Value(1.0)).save(sys.argv[1] + "/graph.svg")
print(*("<svg" in thing._repr_html_() for thing in (Value(1.0), MLP(1, [1]))))
"""
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (run.stdout, run.stderr) == ("\nTrue True\n", "")
    parsed((tmp_path / "graph.svg").read_text("utf-8"))


def test_a_deep_network_is_text(engine):
    html = engine.MLP(1, [1] * 13)._repr_html_()
    assert "<svg" not in html
    assert "MLP(1, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], tanh), 26 parameters" in html
    assert "No picture: it has more than 12 layers." in html
