"""Drawings."""

import math
import subprocess
import sys

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
    for text in ("data 2.0000", "grad ", "lightgreen", "tanh", "**2", "rankdir=LR", "a <&>"):
        assert text in source
    svg = (tmp_path / "graph.svg").read_text()
    assert "data 6.0000" in svg and "a &lt;&amp;&gt;" in svg
    draw_dot(b, format="png", rankdir="TB", outfile=str(tmp_path / "other"))
    assert (tmp_path / "other.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="'RL'"):
        draw_dot(b, rankdir="RL")


def test_without_the_program(engine, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    v = engine.Value(1.0) + 1
    with pytest.raises(RuntimeError, match="apt install graphviz"):
        draw_dot(v, outfile=str(tmp_path / "graph"))
    assert "digraph" in (tmp_path / "graph.dot").read_text()
    assert v._repr_mimebundle_() == {"text/plain": "Value(data=2.0, grad=0.0)"}


def test_without_the_package(tmp_path):
    (tmp_path / "graphviz.py").write_text("raise ImportError")
    program = """
import sys
sys.path.insert(0, sys.argv[1])
from micrograd import Value, draw_dot
v = Value(1.0)
assert list(v._repr_mimebundle_()) == ["text/plain"]
try:
    draw_dot(v)
except ImportError as problem:
    print(problem)
"""
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True
    )
    assert run.stdout.strip() == "drawing needs the graphviz package: pip install 'micrograd[viz]'"


def test_in_a_notebook(engine):
    v = engine.Value(1.0, label="v")
    bundle = (v * 2)._repr_mimebundle_()
    assert bundle["text/plain"] == "Value(data=2.0, grad=0.0)"
    assert "<svg" in bundle["image/svg+xml"]
    for _ in range(400):
        v = v + 1.0
    assert list(v._repr_mimebundle_()) == ["text/plain"]
