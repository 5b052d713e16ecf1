"""PyTorch, by a tolerance: it adds in another order."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from test_parity import OPERATIONS

from micrograd import compiled
from micrograd.run import CourseRun

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:Failed to initialize NumPy")


def tensor(x):
    return torch.tensor(x, dtype=torch.float64, requires_grad=True)


def close(ours, theirs):
    theirs = float(theirs.detach()) if isinstance(theirs, torch.Tensor) else theirs
    return math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12)


def run_torch(name, a, b, k):
    if name == "relu":
        return torch.relu(a)
    if name == "take":
        return torch.stack([b, torch.tensor(k), a])[2]
    try:
        return OPERATIONS[name](a, b, k)
    except AttributeError:  # what its tensors do not have as a method
        return getattr(torch.nn.functional, name)(a)


def torch_has(name):
    return name != "detach" and "graph" not in name


@pytest.mark.parametrize("name", [name for name in OPERATIONS if torch_has(name)])
@pytest.mark.parametrize("x, y, k", [(0.7, 1.3, 2.5), (2.0, 0.5, 3.0), (1.5, -2.0, -1.0)])
def test_single_operations(name, x, y, k):
    if name == "k ** a":
        k = abs(k)
    a, b = compiled.Value(x), compiled.Value(y)
    p, q = tensor(x), tensor(y)
    ours, theirs = OPERATIONS[name](a, b, k), run_torch(name, p, q, k)
    ours.backward()
    theirs.backward()
    assert close(ours.data, theirs)
    assert close(a.grad, p.grad)
    assert close(b.grad, 0.0 if q.grad is None else q.grad)


@given(
    st.lists(st.floats(0.1, 2), min_size=2, max_size=4),
    st.lists(
        st.tuples(
            st.sampled_from(["a + b", "a * b", "a - b", "a / b", "tanh", "sigmoid", "sin", "cos",
                             "relu", "a ** 2", "k * a", "k - a", "a / k", "abs"]),
            st.integers(0, 100),
            st.integers(0, 100),
            st.floats(0.1, 2),
        ),
        min_size=1,
        max_size=20,
    ),
)  # fmt: skip
def test_random_graphs(leaves, program):
    ours, theirs = [compiled.Value(x) for x in leaves], [tensor(x) for x in leaves]
    for name, i, j, k in program:
        a, b = ours[i % len(ours)], ours[j % len(ours)]
        assume(not (name == "a / b" and abs(b.data) < 0.01))
        assume(not (name in ("relu", "abs") and a.data == 0))
        ours.append(OPERATIONS[name](a, b, k))
        theirs.append(run_torch(name, theirs[i % len(theirs)], theirs[j % len(theirs)], k))
    ours[-1].backward()
    theirs[-1].backward()
    assert close(ours[-1].data, theirs[-1])
    largest = max(abs(v.grad) for v in ours)
    assume(largest < 1e6)
    for v, t in zip(ours, theirs[: len(leaves)]):
        gradient = 0.0 if t.grad is None else float(t.grad)
        assert math.isclose(v.grad, gradient, rel_tol=1e-9, abs_tol=1e-9 * (1 + largest))


def test_the_course_run():
    from micrograd import pytorch

    def losses(engine):
        return [float(line.split()[-1]) for line in CourseRun(engine).lines(20)]

    ours, theirs = losses(compiled), losses(pytorch)
    assert len(ours) == 22
    assert all(abs(a - b) < 1e-9 for a, b in zip(ours, theirs))


def test_the_command_line(capsys):
    from micrograd import cli

    assert cli.main(["--backend", "torch", "--steps", "1"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "step 0, val loss 0.917090"
    assert second.startswith("step 0, train loss 0.98118977")


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_sgd(momentum):
    def loss(p, q):
        return (p * q - 1.0) ** 2 + 0.5 * p * p

    ours, theirs = [compiled.Value(x) for x in (1.5, -0.5)], [tensor(x) for x in (1.5, -0.5)]
    sgd = compiled.SGD(ours, lr=0.05, momentum=momentum)
    torch_sgd = torch.optim.SGD(theirs, lr=0.05, momentum=momentum)
    for _ in range(10):
        loss(*ours).backward()
        loss(*theirs).backward()
        sgd.step()
        torch_sgd.step()
        sgd.zero_grad()
        torch_sgd.zero_grad()
        assert all(close(p.data, q) for p, q in zip(ours, theirs))
    if momentum:
        buffers = [torch_sgd.state[q]["momentum_buffer"] for q in theirs]
        assert all(close(p.m, buffer) for p, buffer in zip(ours, buffers))


def test_cross_entropy():
    from micrograd import pytorch

    logits = [0.5, -1.0, 2.0]
    ours = compiled.cross_entropy([compiled.Value(x) for x in logits], 1)
    assert close(ours.data, pytorch.cross_entropy(torch.tensor(logits, dtype=torch.float64), 1))
    with pytest.raises(IndexError, match="3 is out of range for 3"):
        pytorch.cross_entropy(torch.tensor(logits), 3)


@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=1, max_size=8))
def test_functions_of_many_values(pairs):
    def loss(values, total, softmax):
        ws, xs = values[::2], values[1::2]
        probs = softmax(xs)
        return total([w * p for w, p in zip(ws, probs)]) * probs[0]

    numbers = [x for pair in pairs for x in pair]
    ours, theirs = [compiled.Value(x) for x in numbers], [tensor(x) for x in numbers]
    out = loss(ours, compiled.sum, compiled.softmax)
    twin = compiled.dot(ours[::2], compiled.softmax(ours[1::2]))
    expected = loss(theirs, sum, lambda xs: torch.stack(xs).softmax(0))
    out.backward()
    expected.backward()
    assert close(out.data, expected)
    assert close(twin.data * compiled.softmax(ours[1::2])[0].data, expected)
    assert all(close(v.grad, t.grad) for v, t in zip(ours, theirs))
