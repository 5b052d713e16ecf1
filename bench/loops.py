"""Loops that do one thing over and over: what an operator, an attribute, a user's node costs.

Each has start() and step() as the classes in course.py. A step does its thing `operations`
times, and returns a number that depends on it.
"""

import gc
import math


class Chain:
    """x = x*b + a from a leaf on, all of it freed at the end."""

    length = 1000
    operations = 2 * length

    def __init__(self, engine):
        self.Value = engine.Value

    def start(self):
        self.x, self.a, self.b = map(self.Value, (0.5, 0.25, -0.999))

    def step(self):
        x, a, b = self.x, self.a, self.b
        for _ in range(self.length):
            x = x * b + a
        return float(x)


# -----------------------------------------------------------------------------
# the attributes of many objects, as an optimiser's loop goes over its parameters


class Attributes:
    """Objects with a `data` and a `grad`."""

    operations = 4000

    def __init__(self, engine):
        self.Value = engine.Value

    def start(self):
        self.values = [self.Value(i / 1024) for i in range(self.operations)]
        self.x = 0.0

    def step(self):
        self.x += 0.125  # another number in each step
        return self.loop(self.values, self.x)


class Read(Attributes):
    def loop(self, values, x):
        for v in values:
            data = v.data
        return data + x


class Write(Attributes):
    def loop(self, values, x):
        for v in values:
            v.data = x
        return v.data


class Add(Attributes):
    def loop(self, values, x):
        for v in values:
            v.grad += x
        return v.grad


# -----------------------------------------------------------------------------
# nodes that a user makes


def sine(Value, x):
    out = Value(math.sin(x.data), (x,), "sin")

    def _backward():
        x.grad += math.cos(x.data) * out.grad

    out._backward = _backward
    return out


def total(Value, xs):
    out = Value(sum(x.data for x in xs), xs, "total")

    def _backward():
        for x in xs:
            x.grad += out.grad

    out._backward = _backward
    return out


class UserNodes:
    """A graph of nodes with a `_backward`: created, gone backward over, and freed.

    A node and its function refer to each other, and it may need the garbage collector to free
    them. It is called at the end of each step, so that no engine's garbage is left uncounted.
    """

    chains, length = 100, 100
    operations = chains * length + 1

    def __init__(self, engine):
        self.Value = engine.Value

    def start(self):
        self.leaves = [self.Value(i / 128) for i in range(self.chains)]
        gc.collect()
        gc.freeze()  # modules: the same for all engines, and more than the graph

    def step(self):
        ends = self.leaves
        for _ in range(self.length):
            ends = [sine(self.Value, x) for x in ends]
        out = total(self.Value, tuple(ends))
        out.backward()
        found = out.data + self.leaves[-1].grad
        del ends, out
        gc.collect()
        return found


# -----------------------------------------------------------------------------
# an optimiser


class AdamW:
    """Steps of AdamW over as many parameters as microgpt has; their gradients stay as they are."""

    operations = 4192

    def __init__(self, engine):
        self.engine = engine

    def start(self):
        random, parameters = self.engine.RNG(42), []
        for _ in range(self.operations):
            parameters.append(self.engine.Value(random.uniform(-1.0, 1.0)))
            parameters[-1].grad = random.uniform(-0.1, 0.1)
        self.optimizer = self.engine.AdamW(parameters, lr=1e-1, weight_decay=1e-4)

    def step(self):
        self.optimizer.step()
        return self.optimizer.parameters[self.optimizer.t].data
