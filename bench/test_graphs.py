"""Graphs from a thousand to ten million nodes: build, backward, forward, order, free."""

import pytest

from micrograd import compiled, pure

from . import closures
from .graphs import NAMES, SIZES, SIZES_IN_PYTHON, Graph, GraphInOneCall, expected_numbers

KINDS = {
    "c": (Graph, compiled, SIZES),
    "c, in one call": (GraphInOneCall, compiled, SIZES),
    "python": (Graph, pure, SIZES_IN_PYTHON),
    "closures": (Graph, closures, SIZES_IN_PYTHON),
}
GRAPHS = [(size, name) for name, (_, _, sizes) in KINDS.items() for size in sizes]


@pytest.fixture(scope="module", params=GRAPHS, ids=lambda param: f"{NAMES[param[0]]}-{param[1]}")
def graph(request):
    """A graph whose numbers are right, of each size and kind."""
    size, name = request.param
    kind, engine, _ = KINDS[name]
    graph = kind(engine, size)
    graph.build()
    graph.backward()
    assert graph.numbers() == expected_numbers(size)
    graph.size = size
    yield graph
    graph.free()


def ensure(graph, built):
    """Bring the graph to where a phase starts: built, or not."""
    if graph.loss is None and built:
        graph.build()
    elif graph.loss is not None and not built:
        graph.free()


@pytest.mark.parametrize("phase", ["build", "backward", "forward", "order", "free"])
def test_graph(benchmark, graph, phase):
    benchmark.group = f"{NAMES[graph.size]} nodes: {phase}"
    if graph.engine is closures and phase not in ("build", "backward"):
        pytest.skip("the course's engine has no such function, and leaves freeing to the collector")
    ensure(graph, built=True)
    if phase == "forward":
        graph.forward()  # the first one also keeps the order, for all that follow
    benchmark.pedantic(
        getattr(graph, phase),
        setup=lambda: ensure(graph, built=phase != "build"),
        rounds=min(20, max(2, 500_000 // graph.size)),
    )
