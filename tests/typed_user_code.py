"""Code as users write it, for type checkers, `mypy` and `pyright`, to find nothing wrong with.

`tests/test_types.py` runs it, too: `assert_type` then looks whether things are what type
checkers take them for. Each line at the end is wrong, and type checkers have to see it: where
they find nothing, they say that a `type: ignore` is of no use.
"""

from __future__ import annotations

import functools
import math
import random
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import micrograd
from micrograd import (
    MLP,
    RNG,
    SGD,
    AdamW,
    GradcheckError,
    Layer,
    Module,
    Neuron,
    RecordingError,
    Value,
    accuracy,
    compiled,
    cross_entropy,
    dot,
    draw_dot,
    eval_split,
    gen_data,
    gen_data_circles,
    gen_data_yinyang,
    gradcheck,
    linear,
    load,
    mean_cross_entropy,
    no_grad,
    picture,
    pure,
    recorded,
    save,
    softmax,
    take,
    trace,
    vis_color,
)
from micrograd.export import to_c

if TYPE_CHECKING:
    from typing_extensions import assert_type
else:

    def assert_type(x, kind):
        assert kind is Any or isinstance(x, getattr(kind, "__origin__", kind)), (x, kind)
        return x


# -----------------------------------------------------------------------------
# values


def first_example() -> Value:
    a = Value(2.0)
    b = Value(-3, label="b")
    c = a * b + a**2
    loss = c.tanh()
    loss.backward()
    assert_type(c, Value)
    assert_type(a.grad, float)
    assert_type(loss._prev, tuple[Value, ...])
    assert_type(loss._op, str)
    assert_type(b.label, str)
    return loss


def operators(a: Value, b: micrograd.Value) -> None:
    for c in [a + b, a - b, a * b, a / b, a**b, -a, abs(a), a + 1, 1 - a, 2.0 * a, 1 / a, 2**a]:
        assert_type(c, Value)
    for c in [a.relu(), a.tanh(), a.exp(), a.log(), a.sigmoid(), a.sqrt(), a.sin(), a.cos()]:
        assert_type(c, Value)
    assert_type(a + Fraction(1, 3), Value)
    assert_type(a < b, bool)
    assert_type(a >= 0, bool)
    assert_type(a == b, bool)
    assert_type(float(a), float)
    assert_type(a.item(), float)
    assert_type(int(a), int)
    assert_type(round(a, 2), float)
    assert_type(f"{a:.2f}", str)
    assert_type(micrograd.exp(a), Value)
    assert_type(micrograd.exp(1), float)
    assert_type(max([a, b], key=float), Value)
    assert_type(sorted([a, b])[0], Value)
    assert_type({a: "a"}[a], str)
    assert_type(sum([a, b], Value(0)), Value)
    assert_type(micrograd.sum([a, 1, b], start=a), Value)
    assert_type(dot([a, b], [1.0, b]), Value)
    assert_type(softmax([a, b, 0]), list[Value])
    assert_type(linear([a, 1.0], [[b, 2], (0.5, a)]), list[Value])
    x: Value = take([a, b, 1.0], 1)
    row: list[Value] = take([[a, b], [1.0, 2]], 0)
    assert_type([x, *row], list[Value])
    assert_type(a.detach(), Value)
    a.data -= 0.1 * a.grad
    a.grad = 0


def attributes(v: Value) -> None:
    v.label = "v"
    v.m = 0.9 * getattr(v, "m", 0.0) + 0.1 * v.grad
    v.v = 0.0
    v.note = "anything"
    v._vis_color = "lightblue"
    v.label += v.note
    del v.note


def kind_of(x: Value | float) -> float:
    if isinstance(x, Value):
        return assert_type(x, Value).data
    return x


def either_engine(v: pure.Value, w: compiled.Value) -> None:
    assert_type((v * 2).tanh(), pure.Value)
    assert_type((w * 2).tanh(), compiled.Value)
    assert_type(trace(v)[0], list[pure.Value])
    assert_type(trace(w)[0], list[compiled.Value])
    assert_type(compiled.MLP(1, [1], rng=RNG(1)).parameters(), list[compiled.Value])
    compiled.AdamW(compiled.Layer(1, 1, rng=RNG(1)).parameters()).step()
    w._backward = lambda: None
    w.label, w.m, w.note = "w", 0.0, "anything"


# -----------------------------------------------------------------------------
# training


def course_run(steps: int = 2) -> float:
    random = RNG(42)
    train, val, _test = gen_data(random, n=100)
    model = MLP(2, [16, 3], rng=random)
    optimizer = AdamW(model.parameters(), lr=1e-1, betas=(0.9, 0.95), eps=1e-8, weight_decay=1e-4)
    for step in range(steps):
        if step % 10 == 0:
            print(f"step {step}, val loss {eval_split(model, val):.6f}")
        loss = mean_cross_entropy(model, train)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        print(f"step {step}, train loss {loss.data}")
        assert_type(loss, Value)
    assert_type(train[0], tuple[list[float], int])
    assert_type(optimizer.t, int)
    assert_type(accuracy(model, val), float)
    assert_type(accuracy(model, [([1.0, 2.0], 1)], threshold=0.5), float)
    assert_type(model.num_parameters(), int)
    assert_type(model.summary(), str)
    return eval_split(model, train)


def recorded_once(steps: int = 2) -> Value:
    model = MLP(2, (4, 2), rng=random.Random(1))  # Python's generator has a uniform(), too
    data: list[tuple[list[float], int]] = [([1.0, -1.0], 0), ([0.5, 2.0], 1)]
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    optimizer.momentum = 0.5
    loss = mean_cross_entropy(model, data)
    for _ in range(steps):
        loss.forward()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return loss


def relu_and_margins(steps: int = 2) -> list[float]:
    """Karpathy's demo: a ReLU network of one output, a margin loss, updates by hand."""
    model = MLP(2, [8, 1], activation="relu")
    xs, ys = [[0.5, 1.0], [-1.0, 0.25]], [1, -1]
    losses = []
    for k in range(steps):
        inputs = [list(map(Value, row)) for row in xs]
        scores: list[Value] = list(map(model, inputs))
        margins = [(1 + -y * score).relu() for y, score in zip(ys, scores)]
        total = sum(margins, Value(0)) * (1.0 / len(margins))
        total = total + 1e-4 * micrograd.sum(p * p for p in model.parameters())
        model.zero_grad()
        total.backward()
        rate = 1.0 - 0.9 * k / steps
        for p in model.parameters():
            p.data -= rate * p.grad
        losses.append(total.data)
    return losses


class Bigram(Module):
    """A module of the user's own."""

    def __init__(self, n: int, rng: RNG | None = None) -> None:
        self.rows = [Neuron(n, nonlin=False, rng=rng) for _ in range(n)]
        self.out = Layer(n, n, rng=rng)

    def __call__(self, x: list[Value]) -> list[Value]:
        hidden = [row(x) for row in self.rows]
        logits: list[Value] = self.out(hidden)
        return logits

    def parameters(self) -> list[Value]:
        return [p for row in self.rows for p in row.parameters()] + self.out.parameters()


def own_module() -> float:
    model = Bigram(2, rng=RNG(7))
    logits = model([Value(1.0), Value(0.0)])
    cross_entropy(logits, 1).backward()
    model.load_state_dict(model.state_dict())
    train, _, _ = gen_data_circles(RNG(1), n=10)
    gen_data_yinyang(RNG(1), n=10, r_small=0.1, r_big=0.5)
    return eval_split(model, [(x, y % 2) for x, y in train])


@no_grad()
def predict(model: MLP, x: list[float]) -> int:
    logits = model(x)
    return max(range(len(logits)), key=lambda i: float(logits[i]))


def without_graph() -> None:
    model = MLP(2, [4, 3])
    with no_grad():
        assert_type(model([1.0, 2.0]), Any)
    assert_type(predict(model, [1.0, 2.0]), int)
    assert_type(model.layers[0].neurons[0](iter([1.0, 2.0])), Value)
    assert_type(model.layers[0].neurons[0].w, list[Value])
    assert_type(model.parameters(), list[Value])


table = [[Value(0.1 * i - 0.2 * j) for j in range(3)] for i in range(3)]


@recorded
def bigram_loss(tokens: list[int], scale: float = 1.0) -> Value:
    losses = [
        cross_entropy(take(table, token), target) for token, target in zip(tokens, tokens[1:])
    ]
    return micrograd.sum(losses) * scale


@recorded(maxsize=None)
def two_results(x: float) -> tuple[Value, list[Value]]:
    y = Value(1.0) * x
    return y, [y.tanh()]


class Recorded:
    def __init__(self) -> None:
        self.w = [Value(0.5), Value(2.0)]

    @recorded(maxsize=16)
    def twice(self, i: int) -> Value:
        w: Value = take(self.w, i)
        return w * 2


def recorded_functions() -> None:
    optimizer = SGD([p for row in table for p in row], lr=0.1)
    for tokens in [0, 1, 2], [2, 2, 0], [1, 0]:
        loss = bigram_loss(tokens, scale=0.5)
        assert_type(loss, Value)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        print(loss.data)
    y, _ = two_results(2.0)
    assert_type(y, Value)
    assert_type(bigram_loss.cache_info().hits, int)
    assert_type(bigram_loss.cache_parameters(), dict[str, "int | None"])
    assert_type(bigram_loss.__wrapped__([0, 1]), Value)
    bigram_loss.cache_clear()
    assert_type(Recorded().twice(1), Value)
    assert_type(Recorded.twice(Recorded(), 1), Value)

    @recorded
    def frozen(x: float) -> Value:
        return Value(math.exp(Value(1.0).data)) * x

    try:
        frozen(1.0)
    except RecordingError as problem:
        print(str(problem).endswith("."))


# -----------------------------------------------------------------------------
# nodes of one's own, files, checks, drawings


def softplus(x: Value) -> Value:
    out = Value(math.log1p(math.exp(x.data)), (x,), "softplus")

    def _backward() -> None:
        x.grad += out.grad / (1 + math.exp(-x.data))

    def _forward() -> float:
        return math.log1p(math.exp(x.data))

    out._backward = _backward
    out._forward = _forward
    return out


def double(x: Value) -> Value:
    out = Value(2 * x.data, [x])

    def rule(factor: float) -> None:
        x.grad += factor * out.grad

    out._backward = functools.partial(rule, 2.0)
    out._backward()
    return out


def half(x: Value) -> Value:
    out = Value(x.data / 2, (x,), (0.5,))
    out = Value(out.data, children=[x], local_grads=[0.5], label="half")
    out = Value(out.data, _children=iter([x]), _op="half", local_grads=(0.5,))
    assert_type(out._local_grads, tuple[float, ...])
    with Value.no_grad():
        assert_type(out._children, tuple[Value, ...])
    return out


def checks() -> None:
    assert_type(gradcheck(softplus, [1.0]), bool)
    assert_type(gradcheck(half, [1.0]), bool)
    assert_type(gradcheck(lambda a, b: (a * b).tanh(), [0.5, Value(-2.0)], eps=1e-5), bool)
    try:
        gradcheck(Value.relu, [0.0])
    except GradcheckError as problem:
        assert_type(problem.index, int)
        assert_type(problem.difference, float)


def files(path: Path) -> None:
    model = MLP(2, [4, 3])
    optimizer = AdamW(model.parameters())
    model.save(path, optimizer=optimizer)
    optimizer.load(path)
    save(model, path, optimizer)
    again: MLP = load(path)
    again.load(str(path))
    assert_type(model.state_dict(), dict[str, float])
    optimizer.load_state_dict(optimizer.state_dict())


def drawing(root: Value, path: Path) -> None:
    nodes: set[Value] = set()
    edges: set[tuple[Value, Value]] = set()

    def build(v: Value) -> None:
        if v not in nodes:
            nodes.add(v)
            for child in v._prev:
                edges.add((child, v))
                build(child)

    build(root)
    names = {id(v): f"{v.label} {v.data:.4f} {v.grad:.4f} {v._op}" for v in nodes}
    print(sorted(names[id(child)] + names[id(v)] for child, v in edges))
    found, pairs = trace(root)
    assert_type(found, list[Value])
    assert_type(pairs, list[tuple[Value, Value]])
    vis_color(found, "lightgreen")
    drawn = picture(root, names={"root": root}, max_nodes=None)
    assert_type(drawn.svg, str)
    drawn.save(path.with_suffix(".svg"))
    model = MLP(1, [1], rng=RNG(1))
    drawn = picture(model([1.0]), names=model)
    assert_type(dict(model.named_parameters()), dict[str, Any])
    if TYPE_CHECKING:  # it needs graphviz
        draw_dot(root, format="png", outfile=None, names=model, timeout=None).render(path)


def exports(model: MLP, x: list[Value]) -> None:
    loss = cross_entropy(model(x), 1)
    assert_type(to_c(loss, x, model), str)
    assert_type(to_c([loss, loss], {"a": x[0]}, iter(x[1:]), name="two"), str)
    assert_type(to_c(x[0] * 2, x[:1], {"w": x[1]}), str)


def names() -> None:
    assert_type(micrograd.backend, str)
    assert_type(micrograd.__version__, str)
    assert_type(micrograd.random, RNG)
    assert_type(micrograd.random.state, int)
    assert_type(micrograd.random.uniform(-1, 1), float)


def main(folder: Path) -> None:
    operators(Value(1.0), Value(2.0))
    attributes(Value(1.0))
    print(kind_of(Value(1.0)), kind_of(2.0))
    either_engine(pure.Value(1.0), compiled.Value(1.0))
    print(course_run(), recorded_once(), relu_and_margins(), own_module())
    without_graph()
    recorded_functions()
    double(Value(1.0)).backward()
    checks()
    exports(MLP(2, [2], rng=RNG(1)), [Value(0.5), Value(-1.0)])
    files(folder / "model.json")
    drawing(first_example(), folder / "graph")
    names()


if __name__ == "__main__":
    main(Path(sys.argv[1]))


# -----------------------------------------------------------------------------
# what type checkers have to refuse

if TYPE_CHECKING:
    v = Value(1.0)
    Value("1")  # type: ignore[arg-type]
    Value(None)  # type: ignore[arg-type]
    Value(1j)  # type: ignore[arg-type]
    Value(1.0, (2.0,))  # type: ignore[arg-type]
    v + "a"  # type: ignore[operator]
    [v] * v  # type: ignore[operator]
    v.data = "1"  # type: ignore[assignment]
    text: str = v.data  # type: ignore[assignment]
    v.backward(1.0)  # type: ignore[call-arg]
    v._backward = 1.0  # type: ignore[assignment]
    print(v < "a")  # type: ignore[operator]
    v[0]  # type: ignore[index]
    RNG("42")  # type: ignore[arg-type]
    gen_data(42)  # type: ignore[arg-type]
    MLP(2, 3)  # type: ignore[arg-type]
    MLP(2, [3], seed=42)  # type: ignore[call-arg]
    Neuron(2)(["a", "b"])  # type: ignore[list-item]
    AdamW([1.0])  # type: ignore[list-item]
    AdamW([v], lr="fast")  # type: ignore[arg-type]
    AdamW([v], 0.1, 0.9)  # type: ignore[arg-type]
    SGD(MLP(2, [3]))  # type: ignore[arg-type]
    save("a.json", MLP(2, [3]))  # type: ignore[arg-type]
    SGD([v]).learning_rate = 0.1  # type: ignore[attr-defined]
    accuracy(MLP(2, [3]), [([1.0], 0.5)])  # type: ignore[list-item]
    cross_entropy([v, v], 0.5)  # type: ignore[arg-type]
    Value(1.0, (v,), ("1",))  # type: ignore[arg-type]
    Value(1.0, children=v)  # type: ignore[arg-type]
    Value(1.0, (v,), local_grads=0.5)  # type: ignore[arg-type]
    mean_cross_entropy(softplus, [([1.0], 0)])  # type: ignore[arg-type]
    dot([v], ["a"])  # type: ignore[list-item]
    softmax(v)  # type: ignore[arg-type]
    MLP(1, [1])(v)  # type: ignore[arg-type]
    compiled.Neuron(1)(compiled.Value(1.0))  # type: ignore[arg-type]
    predict(MLP(2, [3]), "point")  # type: ignore[arg-type]
    bigram_loss("text")  # type: ignore[arg-type]
    bigram_loss([0, 1], size=2)  # type: ignore[call-arg]
    recorded(maxsize="3")(predict)  # type: ignore[call-overload]
    recorded(128)  # type: ignore[call-overload]
    take([v], 0.5)  # type: ignore[arg-type]
    linear([v], [v])  # type: ignore[list-item]
    to_c(1.0, [v])  # type: ignore[arg-type]
    to_c(v, 1.0)  # type: ignore[arg-type]
    to_c(v, [v], name=1)  # type: ignore[arg-type]
