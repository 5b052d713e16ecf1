"""Drawings."""

import math
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time

import pytest

from micrograd import draw_dot, gradcheck, trace, vis_color

graphviz = pytest.importorskip("graphviz")


def test_trace(engine):
    a, b = engine.Value(1.0), engine.Value(2.0)
    c = a * a
    d = c + b
    e = d * c
    nodes, edges = trace(e)
    assert nodes[0] is e and len(nodes) == 5 and set(nodes) == {a, b, c, d, e}
    assert len(edges) == 5 and set(edges) == {(a, c), (c, d), (b, d), (d, e), (c, e)}
    assert {id(v) for edge in edges for v in edge} == {id(v) for v in nodes}


@pytest.mark.parametrize("hash_of", [lambda self: hash(self.data), None], ids=["hash", "no hash"])
def test_values_with_an_equality_of_their_own(engine, hash_of):
    """Nodes are told apart by identity: an equal Value is another one."""

    class Equal(engine.Value):
        def __eq__(self, other):
            return self.data == (other.data if isinstance(other, engine.Value) else other)

        __hash__ = hash_of

    a, b, c = Equal(1.0), Equal(1.0), Equal(2.0)
    y = a * b + c * a + a.tanh() * b
    nodes, edges = trace(y)
    assert len(nodes) == 9 == len({id(v) for v in nodes}) and len(edges) == 11
    assert {id(v) for edge in edges for v in edge} == {id(v) for v in nodes}
    source = draw_dot(y, outfile=None).source
    assert source.count("shape=box") == 9
    y.backward()
    tanh = math.tanh(1.0)
    assert (a.grad, b.grad, c.grad) == (1.0 + 2.0 + (1 - tanh**2) * 1.0, 1.0 + tanh, 1.0)
    b.data = 3.0
    y.forward()
    assert y.data == 1.0 * 3.0 + 2.0 * 1.0 + tanh * 3.0
    assert gradcheck(lambda a, b: a * b + b.exp(), [Equal(0.5), Equal(0.5)])
    before = [0.5, 0.25]
    inputs = [Equal(1.0), Equal(1.0)]
    for v, grad in zip(inputs, before):
        v.grad = grad
    assert gradcheck(lambda a, b: a * b + b.exp(), inputs)
    assert [v.grad for v in inputs] == before


def test_draw_dot(engine, tmp_path):
    a = engine.Value(2.0, label="a <&>")
    b = (a * 3.0).tanh() ** 2
    vis_color([a], "lightgreen")
    b.backward()
    dot = draw_dot(b, outfile=str(tmp_path / "graph"))
    assert isinstance(dot, graphviz.Digraph)
    source = (tmp_path / "graph.dot").read_text()
    for text in ("data 2\ngrad", "grad ", "lightgreen", "tanh", "**2", "rankdir=LR", "a <&>"):
        assert text in source
    svg = (tmp_path / "graph.svg").read_text()
    assert "data 6" in svg and "a &lt;&amp;&gt;" in svg
    draw_dot(b, format="png", rankdir="TB", outfile=str(tmp_path / "other"))
    assert (tmp_path / "other.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="'RL'"):
        draw_dot(b, rankdir="RL")


def test_names(engine):
    model = engine.Neuron(1, rng=engine.RNG(1))
    model.b.label = "its own"
    y = model([engine.Value(3.0)])
    source = draw_dot(y, outfile=None, names=model).source
    assert 'label="w.0\n' in source and 'label="its own\n' in source and '"b\n' not in source
    assert 'label="y <>\n' in draw_dot(y, outfile=None, names={"y <>": y}).source
    with pytest.raises(TypeError, match="names must be a Module or a dict"):
        draw_dot(y, outfile=None, names=[y])


def test_limits(engine):
    v = engine.Value(1.0)
    for _ in range(200):
        v = v + 1.0
    with pytest.raises(ValueError, match=r"has 401 nodes, more than 400: draw_dot\(.*nodes=401\)"):
        draw_dot(v, outfile=None)
    with pytest.raises(ValueError, match="401 nodes, more than 300"):
        draw_dot(v, outfile=None, max_nodes=300)
    for enough in (401, None):
        assert draw_dot(v, outfile=None, max_nodes=enough).source.count("shape=box") == 401
    for wrong in (0, -1.0, math.nan):
        with pytest.raises(ValueError, match="timeout must be above 0 seconds"):
            draw_dot(v, timeout=wrong, max_nodes=None)


@pytest.fixture
def endless_dot(tmp_path, monkeypatch):
    """A program `dot` that waits for a child; what it gives is a pipe that both hold open."""
    program, pipe = tmp_path / "bin" / "dot", tmp_path / "pipe"
    program.parent.mkdir()
    os.mkfifo(pipe)
    program.write_text(f"#!/bin/sh\nexec 3>{pipe}\necho started >&3\nsleep 60 &\nwait\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    yield end
    os.close(end)


def read(pipe):
    assert select.select([pipe], [], [], 20)[0], "nothing comes, and somebody holds it open"
    return os.read(pipe, 100)


def test_a_slow_program_is_stopped(engine, tmp_path, endless_dot):
    v = engine.Value(1.0) * 2
    (tmp_path / "graph.svg").write_text("an old picture")
    with pytest.raises(TimeoutError, match=r"stopped.*0\.5 sec.*fewer nodes.*picture.*graph\.dot"):
        draw_dot(v, outfile=str(tmp_path / "graph"), timeout=0.5)
    assert read(endless_dot) == b"started\n" and read(endless_dot) == b""
    assert (tmp_path / "graph.svg").read_text() == "an old picture"
    assert "digraph" in (tmp_path / "graph.dot").read_text()


def test_a_notebook_stops_a_slow_program(engine, endless_dot):
    dot = draw_dot(engine.Value(1.0), outfile=None, timeout=0.5)
    with pytest.raises(TimeoutError, match="stopped"):
        dot._repr_mimebundle_()
    assert read(endless_dot) == b"started\n" and read(endless_dot) == b""


def test_an_interrupt_stops_the_program(engine, tmp_path, endless_dot):
    def functions_of_main_thread():
        frame = sys._current_frames()[threading.main_thread().ident]
        while frame:
            yield frame.f_code.co_name
            frame = frame.f_back

    def interrupt():
        read(endless_dot)
        while "wait" not in functions_of_main_thread():  # it is still starting the program
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        draw_dot(engine.Value(1.0), outfile=str(tmp_path / "graph"), timeout=None)
    thread.join()
    assert read(endless_dot) == b""


def test_a_program_that_fails(engine, tmp_path, endless_dot):
    (tmp_path / "bin" / "dot").write_text("#!/bin/sh\necho no such font >&2\nexit 3\n")
    with pytest.raises(
        RuntimeError, match=r"failed with status 3: no such font\. Only .*graph.dot"
    ):
        draw_dot(engine.Value(1.0), outfile=str(tmp_path / "graph"))
    assert not (tmp_path / "graph.svg").exists()


def test_what_is_returned_in_a_notebook(engine):
    dot = draw_dot(engine.Value(2.0) * 3, outfile=None)
    assert "data 6" in dot._repr_mimebundle_()["image/svg+xml"]
    assert dot._repr_mimebundle_(include={"text/plain"}) == {}
    assert dot._repr_mimebundle_(exclude={"image/svg+xml"}) == {}


def test_a_notebook_that_wants_png(engine):
    dot = draw_dot(engine.Value(2.0) * 3, outfile=None)
    graphviz.set_jupyter_format("png")
    try:
        [(kind, png)] = dot._repr_mimebundle_().items()
    finally:
        graphviz.set_jupyter_format("svg")
    assert kind == "image/png" and png.startswith(b"\x89PNG")
    assert dot._repr_mimebundle_(include={"image/png"}).keys() == {"image/png"}
    assert dot._repr_mimebundle_().keys() == {"image/svg+xml"}


def test_a_colour_that_is_no_name(engine):
    v = engine.Value(1.0)
    for color in ('<b>"\\', 7):
        vis_color([v], color)
        assert draw_dot(v, outfile=None)._repr_mimebundle_()


def test_without_the_program(engine, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    v = engine.Value(1.0) + 1
    with pytest.raises(RuntimeError, match="apt install graphviz"):
        draw_dot(v, outfile=str(tmp_path / "graph"))
    assert "digraph" in (tmp_path / "graph.dot").read_text()


def test_without_the_package(tmp_path):
    (tmp_path / "graphviz.py").write_text("raise ImportError")
    program = """
import sys
sys.path.insert(0, sys.argv[1])
from micrograd import Value, draw_dot
try:
    draw_dot(Value(1.0))
except ImportError as problem:
    print(problem)
"""
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True
    )
    assert run.stdout == (
        "drawing with graphviz needs its Python package: pip install graphviz. micrograd.picture "
        "draws SVG without it\n"
    )


def test_a_drawing_can_be_copied(engine):
    graphviz = pytest.importorskip("graphviz")
    dot = pickle.loads(pickle.dumps(draw_dot(engine.Value(1.0) * 2, outfile=None)))
    assert type(dot) is graphviz.Digraph and "data 2" in dot.source
