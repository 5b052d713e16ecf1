"""Interrupts: whatever is under way when one comes is then done, or not done at all."""

import gc
import signal
import sys
import time

import pytest
from conftest import bits
from test_value import sine

from micrograd import compiled
from micrograd.compiled import MLP, RNG, AdamW, Value, mean_cross_entropy


@pytest.fixture
def interrupted():
    """A function that calls another and interrupts it after so many seconds."""

    def call(function, seconds):
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            try:
                function()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            return True
        return False

    gc.collect()  # of other tests: Python swallows an interrupt that arrives in a finaliser
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    yield call
    signal.signal(signal.SIGALRM, before)
    gc.collect()


def delays(function, n):
    """n moments of a call: 0 is before it begins, for a timer, and the last about at its end."""
    start = time.perf_counter()
    function()
    length = time.perf_counter() - start
    return [max(1e-6, length * 1.2 * i / n) for i in range(n)]


def below(root):
    """All Values below root, and itself."""
    found, stack = {root}, [root]
    while stack:
        for operand in stack.pop()._prev:
            if operand not in found:
                found.add(operand)
                stack.append(operand)
    return list(found)


def numbers(values):
    return [bits(x) for v in values for x in (v.data, v.grad)]


def chain(link, n):
    """A Value at the end of a chain of n links, and the one at its start."""
    y = x = Value(0.5)
    for _ in range(n):
        y = link(y)
    return x, y


CHAINS = {
    "in C": lambda: chain(lambda y: (y * 0.9 + 0.1).tanh(), 2000),
    "with a user's functions": lambda: chain(lambda y: sine(compiled, y) + 0.25, 200),
}


@pytest.mark.parametrize("which", CHAINS)
@pytest.mark.parametrize("name", ["backward", "forward"])
def test_a_pass_is_whole_or_none(interrupted, which, name):
    x, y = CHAINS[which]()
    values = below(y)

    def reset():
        x.data = 0.5
        y.forward()
        for v in values:
            v.grad = 0.0
        y.backward()
        x.data, x.grad = 0.75, 3.0

    method = getattr(y, name)
    reset()
    before = numbers(values)
    method()
    after = numbers(values)
    assert before != after
    seen = set()
    for seconds in delays(method, 60):
        reset()
        was_interrupted = interrupted(method, seconds)
        state = numbers(values)
        assert state in (before, after)
        seen.add((was_interrupted, state == after))
    # the pass of a user's functions is interrupted in its middle, C's when it is over
    assert (True, which == "in C") in seen


@pytest.mark.parametrize("where", [0, 50, 99])
@pytest.mark.parametrize("name", ["_backward", "_forward"])
def test_an_interrupt_in_a_function_of_the_users(where, name):
    nodes = []

    def link(y):
        nodes.append(sine(compiled, y))
        return nodes[-1] * 0.5 + y

    x, y = chain(link, 100)
    y.backward()
    x.data = 0.25
    values = below(y)
    before = numbers(values)
    kept = getattr(nodes[where], name)

    def interrupting():
        kept()
        signal.raise_signal(signal.SIGINT)

    setattr(nodes[where], name, interrupting)
    with pytest.raises(KeyboardInterrupt):
        getattr(y, name[1:])()
    assert numbers(values) == before
    setattr(nodes[where], name, kept)
    y.forward()
    y.backward()
    assert numbers(values) != before


@pytest.mark.skipif(sys.version_info < (3, 11), reason="one may come between any two instructions")
def test_a_step_and_its_count_go_together(interrupted):
    p = [Value(0.0) for _ in range(300)]
    optimizer = AdamW(p)
    for v in p:
        v.grad = 1.0
    count = {0.0: 0}  # by first moment: after how many steps
    m = 0.0
    for t in range(1, 400):
        m = 0.9 * m + (1 - 0.9) * 1.0
        count[m] = t
    interrupts = 0
    for seconds in delays(optimizer.step, 50) * 6:
        interrupts += interrupted(optimizer.step, seconds)
        assert {v.m for v in p} == {p[0].m}
        assert optimizer.t == count[p[0].m]
    assert interrupts > 5


def test_interrupts_between_handles_arrive(interrupted):
    """Handles that `_prev` gives out come and go without any of Python's code in between."""
    y = Value(1.0) * Value(2.0)

    def walk():
        for _ in range(20_000):
            y._prev  # noqa: B018

    assert all(interrupted(walk, seconds) for seconds in [1e-4] * 300)


def test_an_interrupt_beside_an_error(interrupted):
    """A pass that fails restores its numbers, however close behind an interrupt comes."""
    x = Value(2.0)
    user = Value(1.0, (x * 3,), "user")

    def _backward():
        x.grad += 1.0
        raise KeyError

    user._backward = _backward
    root = user * 1.0 + x

    def fail():
        with pytest.raises(KeyError):
            root.backward()

    for seconds in delays(fail, 20) * 20:
        x.grad = 5.0
        interrupted(fail, seconds)
        assert (x.grad, root.grad) == (5.0, 0.0)


def test_a_loss_is_whole_or_none(interrupted, no_new_nodes):
    """A data set is read and its graph recorded in one call."""
    random = RNG(7)
    model = MLP(2, [16, 3], rng=random)
    split = [([random.uniform(-1, 1), random.uniform(-1, 1)], k % 3) for k in range(300)]
    expected = bits(mean_cross_entropy(model, split).data)
    losses = []
    for delay in delays(lambda: mean_cross_entropy(model, split), 60):
        interrupted(lambda: losses.append(mean_cross_entropy(model, split)), delay)
        gc.collect()
    assert losses and {bits(loss.data) for loss in losses} == {expected}
