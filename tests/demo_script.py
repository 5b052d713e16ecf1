"""The demo of Karpathy's micrograd: a network that tells two moons apart, by max-margin loss.

It prints every loss and the network after training, once with micrograd's own Value and MLP,
and with the argument "closures" with those here, which say in the shortest way what his do.
"""

import math
import random
import sys


class Value:
    def __init__(self, data, operands=(), backward=lambda: None):
        self.data, self.grad = data, 0
        self._prev, self._backward = operands, backward

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data + other.data, (self, other))

        def backward():
            self.grad += out.grad
            other.grad += out.grad

        out._backward = backward
        return out

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data * other.data, (self, other))

        def backward():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out._backward = backward
        return out

    def relu(self):
        out = Value(0 if self.data < 0 else self.data, (self,))

        def backward():
            self.grad += (out.data > 0) * out.grad

        out._backward = backward
        return out

    __radd__, __rmul__ = __add__, __mul__

    def backward(self):
        order, visited = [], set()

        def visit(v):
            if v not in visited:
                visited.add(v)
                for operand in v._prev:
                    visit(operand)
                order.append(v)

        visit(self)
        self.grad = 1
        for v in reversed(order):
            v._backward()


class Neuron:
    def __init__(self, nin, nonlin):
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b, self.nonlin = Value(0), nonlin

    def __call__(self, x):
        act = sum((wi * xi for wi, xi in zip(self.w, x)), self.b)
        return act.relu() if self.nonlin else act

    def __repr__(self):
        return f"{'ReLU' if self.nonlin else 'Linear'}Neuron({len(self.w)})"


class MLP:
    def __init__(self, nin, nouts):
        sizes = [nin, *nouts]
        self.layers = [
            [Neuron(n, nonlin=i != len(nouts) - 1) for _ in range(nouts[i])]
            for i, n in enumerate(sizes[:-1])
        ]

    def __call__(self, x):
        for layer in self.layers:
            x = [n(x) for n in layer]
        return x[0] if len(x) == 1 else x

    def parameters(self):
        return [p for layer in self.layers for n in layer for p in [*n.w, n.b]]

    def zero_grad(self):
        for p in self.parameters():
            p.grad = 0

    def __repr__(self):
        layers = [f"Layer of [{', '.join(map(str, layer))}]" for layer in self.layers]
        return f"MLP of [{', '.join(layers)}]"


def moons(n):
    noise = random.Random(7)
    for i in range(n):
        angle, side = math.pi * noise.random(), 1 - i % 2 * 2
        x = side * math.cos(angle) + (i % 2) + noise.gauss(0, 0.1)
        y = side * math.sin(angle) + (i % 2) * 0.5 + noise.gauss(0, 0.1)
        yield [x, y], -side


def main(Value, MLP, steps=8):
    random.seed(1337)
    model = MLP(2, [16, 16, 1])
    print(model, len(model.parameters()), random.random())
    points = list(moons(24))
    for k in range(steps):
        inputs = [list(map(Value, x)) for x, _ in points]
        scores = list(map(model, inputs))
        losses = [(1 + -y * score).relu() for (_, y), score in zip(points, scores)]
        data_loss = sum(losses) * (1.0 / len(losses))
        reg_loss = 1e-4 * sum(p * p for p in model.parameters())
        total_loss = data_loss + reg_loss
        accuracy = [(y > 0) == (score.data > 0) for (_, y), score in zip(points, scores)]
        model.zero_grad()
        total_loss.backward()
        learning_rate = 1.0 - 0.9 * k / 100
        for p in model.parameters():
            p.data -= learning_rate * p.grad
        print(k, total_loss.data, sum(accuracy))
    print([float(p.data).hex() for p in model.parameters()])
    print([float(p.grad).hex() for p in model.parameters()])
    print([float(model(x).data).hex() for x, _ in points])


if __name__ == "__main__":
    if sys.argv[1:] != ["closures"]:
        from micrograd.engine import Value
        from micrograd.nn import MLP
    main(Value, MLP)
