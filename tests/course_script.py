"""A script as people have them: written for the course's Value, with its own network and
optimiser, its own graph walk, and printed digits. `VALUES` names the module to import.
"""

import importlib
import math
import os

Value = importlib.import_module(os.environ["VALUES"]).Value


def neuron(ws, b, xs):
    return sum((w * x for w, x in zip(ws, xs)), b).tanh()


def noise(n):
    return [math.sin(12.9898 * i) * 0.8 for i in range(1, n + 1)]


numbers = iter(noise(100))
hidden = [([Value(next(numbers)) for _ in range(2)], Value(0.0)) for _ in range(5)]
output = [([Value(next(numbers)) for _ in range(5)], Value(0.0)) for _ in range(2)]
parameters = [p for ws, b in hidden + output for p in [*ws, b]]
for p in parameters:
    p.m = 0.0
points = [([next(numbers), next(numbers)], i % 2) for i in range(6)]


def loss_of(points):
    total = Value(0.0)
    for x, y in points:
        h = [neuron(ws, b, x) for ws, b in hidden]
        logits = [sum((w * hi for w, hi in zip(ws, h)), b) for ws, b in output]
        ex = [logit.exp() for logit in logits]
        denom = sum(ex)
        total = total - (ex[y] / denom).log()
    penalty = sum(p**2 for p in parameters) * 0.001
    return total / len(points) + penalty + (1 - logits[0]).relu() / 10.0


for step in range(10):
    loss = loss_of(points)
    for p in parameters:
        p.grad = 0.0
    loss.backward()
    for p in parameters:
        p.m = 0.9 * p.m + 0.1 * p.grad
        p.data -= 0.3 * p.m
    print(f"step {step}: loss {loss.data}, gradient {parameters[0].grad}")

nodes, edges = set(), set()


def build(v):
    if v not in nodes:
        nodes.add(v)
        for child in v._prev:
            edges.add((child, v))
            build(child)


build(loss)
names = {id(n): n._op for n in nodes}
print(len(nodes), len(edges), sorted(names.values()))
print(sorted(f"{float(n.data)} {float(n.grad)}" for n in nodes if n._op))
print(sorted(f"{names[id(a)]} in {names[id(b)]}" for a, b in edges if b is not loss))
print(parameters[0], parameters[-1])
