"""Graphs of any size: the course's loss over so many points that it has about n nodes,
recorded one op at a time from Python, as people do.

Most of what such a node costs is Python; c_nodes.c has the tape by itself, with the same
graph recorded in one call.
"""

import functools
import gc

from micrograd import compiled, pure
from micrograd.compiled.binding import lib

from . import closures
from .course import mean_cross_entropy, values_of

NODES_A_POINT = 198
SIZES = [10**3, 10**4, 10**5, 10**6, 10**7]
SIZES_IN_PYTHON = SIZES[:3]  # a graph of Python objects is some 500 bytes a node
NAMES = {size: f"1e{len(str(size)) - 1}" for size in SIZES}
PHASES = ["build", "backward", "forward", "order", "free"]


class Graph:
    """A graph of about `nodes` nodes with any engine that has a Value.

    Attributes:
        loss: its root, None before build() and after free().
        parameters: the 99 leaves whose gradients backward() computes.
    """

    def __init__(self, engine, nodes):
        self.engine = engine
        self.loss = None
        random = pure.RNG(42)
        n = nodes // NODES_A_POINT
        train, val, test = pure.gen_data(random, n=n)
        self.points = train + val + test
        self.layers, self.parameters = values_of(engine.Value, pure.MLP(2, [16, 3], rng=random))

    def build(self):
        self.loss = mean_cross_entropy(self.engine.Value, self.layers, self.points)

    def backward(self):
        self.loss.backward()

    def forward(self):
        self.loss.forward()

    def order(self):
        """Find the order of the nodes, as the passes do, and return how many there are."""
        if self.engine is pure:
            return len(pure.topological_order(self.loss))
        return lib.tape_walk(lib.shared_tape(), self.loss._index, 0)

    def free(self):
        self.loss = None
        if self.engine is closures:
            gc.collect()  # each of its nodes is a cycle with its closure

    def numbers(self):
        """The loss, and the gradients of all parameters: set to 0 again."""
        gradients = [float(p.grad) for p in self.parameters]
        for p in self.parameters:
            p.grad = 0.0
        return [float(self.loss.data), *gradients]


class GraphInOneCall(Graph):
    """The same graph, recorded by the engine's mean_cross_entropy."""

    def __init__(self, engine, nodes):
        super().__init__(engine, nodes)
        self.model = engine.MLP(2, [16, 3])
        for layer, neurons in zip(self.model.layers, self.layers):
            for neuron, (weights, bias) in zip(layer.neurons, neurons):
                neuron.w, neuron.b = weights, bias

    def build(self):
        self.loss = self.engine.mean_cross_entropy(self.model, self.points)


@functools.cache
def expected_numbers(size):
    """The numbers of a graph of this size: pure's, or where that is too large C's for one call."""
    graph = Graph(pure, size) if size in SIZES_IN_PYTHON else GraphInOneCall(compiled, size)
    graph.build()
    graph.backward()
    return graph.numbers()
