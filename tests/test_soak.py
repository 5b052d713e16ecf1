"""Long runs: `pytest -m slow tests/test_soak.py`."""

import gc
import resource
import sys

import pytest

from micrograd import compiled
from micrograd.compiled import MLP, RNG, AdamW, Value, gen_data, live_nodes, mean_cross_entropy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.unsanitized,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

STEPS, WARM_UP = 100_000, 40_000


def resident():
    """Return how many bytes of this process are in memory now."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def recorded_one_at_a_time(model, points):
    """The loss as the course's Python loops record it."""
    total = Value(0.0)
    for x, y in points:
        logits = []
        hidden = [Value(xi) for xi in x]
        for layer in model.layers:
            logits = []
            for n in layer.neurons:
                act = n.b
                for wi, xi in zip(n.w, hidden):
                    act = act + wi * xi
                logits.append(act.tanh() if n.nonlin else act)
            hidden = logits
        largest = max(v.data for v in logits)
        ex = [(v - largest).exp() for v in logits]
        total = total - (ex[y] / sum(ex)).log()
    return total * (1.0 / len(points))


def fresh(model, points, loss):
    return mean_cross_entropy(model, points)


def replayed(model, points, loss):
    if loss is None:
        return mean_cross_entropy(model, points)
    loss.forward()
    return loss


def single(model, points, loss):
    return recorded_one_at_a_time(model, points[:6])


def with_functions(model, points, loss):
    """A user's node with an attribute and two functions in every step."""
    loss = recorded_one_at_a_time(model, points[:3])
    out = Value(2.0 * loss.data, (loss,), "twice", label="twice")

    def _backward():
        loss.grad += 2.0 * out.grad

    out._backward = _backward
    out._forward = lambda: 2.0 * loss.data
    return out


@pytest.mark.parametrize(
    "record, hidden", [(fresh, 16), (replayed, 16), (single, 4), (with_functions, 4)]
)
def test_training_takes_no_memory(record, hidden):
    train, _, _ = gen_data(RNG(42), n=100)
    model = MLP(2, [hidden, 3], rng=RNG(42))
    optimizer = AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
    loss = None
    for step in range(STEPS):
        if step % 10_000 == 0:
            gc.collect()  # for nodes whose functions refer to them, on top of their graphs
        if step == WARM_UP:
            nodes, memory = live_nodes(), resident()
        loss = record(model, train, loss)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    gc.collect()
    grown = resident() - memory
    print(f"\n{record.__name__}: {memory >> 10} kB after {WARM_UP} steps, {grown >> 10} kB more")
    assert live_nodes() == nodes
    assert grown < 120_000  # bytes: 60,000 steps that lose 2 each would show


def test_twenty_million_nodes():
    before, memory = live_nodes(), resident()
    x = Value(0.5)
    y = x
    for _ in range(10_000_000):
        y = y * 1.0
    assert live_nodes() == before + 20_000_001
    y.backward()
    assert (y.data, x.grad) == (0.5, 1.0)
    x.data = 0.25
    for _ in range(3):
        y.forward()
        assert y.data == 0.25
    y.backward()
    assert x.grad == 2.0
    print(f"\nat most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss} kB")
    del y
    assert live_nodes() == before + 1
    assert resident() < memory + 200_000_000


def test_two_million_nodes_side_by_side():
    """A wide graph: one Value that a million others use."""
    x = Value(2.0)
    total = compiled.dot([x] * 1_000_000, [x] * 1_000_000)
    total.backward()
    assert (total.data, x.grad) == (4_000_000.0, 4_000_000.0)
    for _ in range(3):
        total.forward()
    total.backward()
    assert x.grad == 8_000_000.0
