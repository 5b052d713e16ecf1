"""micrograd.parallel: the same bits for any number of workers, whatever happens to them."""

import asyncio
import concurrent.futures
import copy
import functools
import operator
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from array import array
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import ENGINES, ROOT, bits, collect_garbage, live_nodes, needs_c
from programs import run as run_program

import micrograd
from micrograd import RecordingError, backends, cli, no_grad
from micrograd.parallel import Trainer, local_client, workers
from micrograd.parallel.shards import differentiate
from micrograd.run import CourseRun

pytestmark = pytest.mark.unsanitized  # of which many processes take long

# -----------------------------------------------------------------------------
# models and losses, which the workers import from here


class Line(micrograd.Module):
    """A module of the package's own engine, with a parameter that is shared, and a subclass."""

    class Weight(micrograd.Value):
        pass

    def __init__(self):
        self.w = self.Weight(0.75)
        self.b = micrograd.Value(-0.125)

    def parameters(self):
        return [self.w, self.b, self.w]

    @micrograd.recorded
    def loss(self, x, y):
        return (self.w * x + self.b * self.w - y) ** 2


POINTS = [(i / 7, (i * i % 5) / 3) for i in range(11)]


def squares(model, points):
    """A loss for each example: they are all the same Value."""
    for x, y in points:
        yield model.loss(x, y)


def mean_square(model, points):
    """The same without recordings, as one Value."""
    f = model.loss.__func__.__wrapped__
    return sum(f(model, micrograd.Value(x), y) for x, y in points) * (1.0 / len(points))


def waiting(folder, loss, model, examples):
    """A loss that says who computes it, and goes on when it is told to."""
    (folder / f"pid-{os.getpid()}").touch()
    while not (folder / "go").exists():
        time.sleep(0.01)
    return loss(model, examples)


def dying(folder, loss, model, examples):
    """A loss that ends its process the first few times: as often as there are files."""
    for path in folder.iterdir():
        path.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return loss(model, examples)


running = []


def alone(loss, model, examples):
    """A loss that fails while another thread computes one."""
    running.append(None)
    time.sleep(0.02)
    try:
        assert len(running) == 1
        return loss(model, examples)
    finally:
        running.pop()


def once(flags, act, loss, model, examples):
    """A loss that acts when it has computed its first number."""
    found = loss(model, examples)
    if flags:
        flags.pop()
        act()
    return found


def logarithm(model, examples):
    """Fails for every shard with an example below 3, in words that name the first one."""
    if min(examples) < 3:
        raise ValueError(f"no logarithm of {examples[0]}")
    return (model.w * sum(examples)).log()


def all_bits(numbers):
    return [bits(x) for x in numbers]


def nodes_here():
    collect_garbage()
    return live_nodes()


# -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("distributed")
    with local_client(2) as client:
        yield client.cluster


@pytest.fixture
def client(cluster):
    from distributed import Client

    with Client(cluster) as client:
        client.wait_for_workers(2)
        yield client


def small(engine, seed=42):
    """The course's run, with 24 points to train with, and 31 parameters."""
    return CourseRun(engine, hidden=[5], points=30, seed=seed)


def course(engine, client, steps=4, **options):
    """Train, and return all losses and parameters."""
    run = small(engine)
    trainer = Trainer(run.model, run.train, client, **options)
    losses = []
    for _ in range(steps):
        losses.append(trainer.backward())
        run.optimizer.step()
        run.optimizer.zero_grad()
    return all_bits(losses + [p.data for p in run.model.parameters()])


def gradients(trainer, model):
    """The bits of one step from gradients of 0."""
    for p in model.parameters():
        p.grad = 0
    return all_bits([trainer.backward(), *[p.grad for p in model.parameters()]])


# -----------------------------------------------------------------------------
# bits


def test_one_shard_has_the_bits_of_the_plain_loop(engine):
    run = small(engine)
    losses = []
    for _ in range(4):
        loss = engine.mean_cross_entropy(run.model, run.train)
        loss.backward()
        losses.append(loss.data)
        run.optimizer.step()
        run.optimizer.zero_grad()
    plain = all_bits(losses + [p.data for p in run.model.parameters()])
    assert course(engine, None, shards=1) == plain
    assert course(engine, None, shards=7) != plain


def test_shards_are_neighbours_and_add_up_from_the_left(engine):
    run = CourseRun(engine, points=14)  # of which 11 to train with
    n = len(run.train)
    assert n == 11
    loss, grads = 0.0, [0.0] * 99
    for start, stop in (0, 2), (2, 5), (5, 8), (8, 11):
        part = engine.mean_cross_entropy(run.model, run.train[start:stop])
        part.backward()
        weight = (stop - start) / n
        loss += part.data * weight
        grads = [a + p.grad * weight for a, p in zip(grads, run.model.parameters())]
        run.model.zero_grad()
    trainer = Trainer(run.model, run.train, shards=4)
    assert gradients(trainer, run.model) == all_bits([loss, *grads])


def test_workers_have_the_bits_of_one_process(engine, client):
    expected = course(engine, None)
    assert course(engine, client) == expected
    assert course(engine, client, shards=3) == course(engine, None, shards=3) != expected


@pytest.mark.parametrize("threads", [1, 3])
def test_workers_that_are_threads_share_a_model(engine, threads):
    """Of one process, so that its shards take turns."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=threads,
            processes=False,
            dashboard_address="localhost:0",
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        loss = functools.partial(alone, engine.mean_cross_entropy)
        assert course(engine, client, loss=loss) == course(engine, None)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 4, 8])
def test_any_number_of_workers_has_the_same_bits(n):
    pytest.importorskip("distributed")
    with local_client(n) as client:
        for engine in ENGINES.values():
            assert course(engine, client) == course(engine, None)


def in_shards(model, shards):
    """The bits of the loss and the gradients of `squares`, by loops alone."""
    n, weight = len(POINTS), 1.0 / len(POINTS)
    parts = []
    for k in range(shards):
        model.zero_grad()
        total = 0.0
        for loss in squares(model, POINTS[n * k // shards : n * (k + 1) // shards]):
            loss.backward()
            total += loss.data
        parts.append([total * weight, *[p.grad * weight for p in model.parameters()]])
    model.zero_grad()
    return all_bits([functools.reduce(operator.add, numbers) for numbers in zip(*parts)])


class Weight:
    """A model of one parameter."""

    def __init__(self, engine):
        self.w = engine.Value(0.5)

    def parameters(self):
        return [self.w]


def test_many_shards():
    """More than C's stack would bear calls, and than could be compared in pairs."""
    n, model = 100_000, Weight(micrograd)
    trainer = Trainer(model, range(n), shards=n, loss=lambda model, xs: model.w * xs[0])
    sums = [functools.reduce(operator.add, [x * k * (1 / n) for k in range(n)]) for x in (0.5, 1.0)]
    assert all_bits([trainer.backward(), model.w.grad]) == all_bits(sums)


def test_losses_one_by_one(client):
    """What recorded functions return, whose results are one Value, from a generator."""
    model = Line()
    one_by_one = gradients(Trainer(model, POINTS, shards=1, loss=squares), model)
    assert one_by_one == in_shards(model, 1)

    local = Trainer(model, POINTS, shards=4, loss=squares)
    trainer = Trainer(model, POINTS, client, shards=4, loss=squares)
    for x in 0.75, -2.0:
        model.w.data = x
        assert gradients(trainer, model) == gradients(local, model) == in_shards(model, 4)


def test_a_shared_parameter_counts_once(client):
    model = Line()
    plain = mean_square(model, POINTS)
    plain.backward()
    expected = all_bits([plain.data, model.w.grad, model.b.grad, model.w.grad])
    for where in None, client:
        trainer = Trainer(model, POINTS, where, shards=1, loss=mean_square)
        assert gradients(trainer, model) == expected


def test_gradients_are_added_to_those_there_are(engine):
    run = small(engine)
    trainer = Trainer(run.model, run.train)
    loss = trainer.backward()
    once = [p.grad for p in run.model.parameters()]
    assert any(once)
    assert trainer.backward() == loss
    assert all_bits([p.grad for p in run.model.parameters()]) == all_bits([x + x for x in once])


def test_numbers_are_read_anew_and_the_copies_are_apart(engine, client):
    """A model that has been changed since, such as by load(), counts as it is now."""
    run, other = small(engine), small(engine, seed=7)
    trainers = [Trainer(run.model, run.train, where) for where in (None, client)]
    before = [gradients(trainer, run.model) for trainer in trainers]
    run.model.load_state_dict(other.model.state_dict())
    expected = gradients(Trainer(other.model, run.train), other.model)
    assert [gradients(trainer, run.model) for trainer in trainers] == [expected] * 2
    assert expected not in before
    assert all_bits([p.data for p in run.model.parameters()]) == all_bits(
        [p.data for p in other.model.parameters()]
    )


# -----------------------------------------------------------------------------
# workers that die


def stop_one(folder, numbers):
    """Kill the first process that computes, then let all others go on."""
    while not (found := [*folder.glob("pid-*")]):
        time.sleep(0.01)
    pid = int(found[0].name.partition("-")[2])
    os.kill(pid, signal.SIGKILL)
    numbers.append(pid)
    (folder / "go").touch()


def test_a_worker_is_killed_in_the_middle_of_a_step(engine, client, tmp_path):
    killed = []
    killer = threading.Thread(target=stop_one, args=(tmp_path, killed))
    killer.start()
    loss = functools.partial(waiting, tmp_path, engine.mean_cross_entropy)
    assert course(engine, client, loss=loss) == course(engine, None)
    killer.join()
    assert killed and killed[0] not in client.run(os.getpid).values()


def test_a_worker_is_killed_between_steps(client):
    run = small(micrograd)
    trainer, local = (Trainer(run.model, run.train, where) for where in (client, None))
    expected = gradients(local, run.model)
    assert gradients(trainer, run.model) == expected
    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
    assert gradients(trainer, run.model) == expected


@pytest.mark.slow
def test_what_dask_gives_up_is_sent_again(tmp_path):
    """KilledWorker: with this setting one death is enough for it."""
    distributed = pytest.importorskip("distributed")
    import dask

    engine = micrograd
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        cluster = distributed.LocalCluster(2, threads_per_worker=1, dashboard_address="localhost:0")
    loss = functools.partial(dying, tmp_path, engine.mean_cross_entropy)
    with cluster, distributed.Client(cluster) as client:
        (tmp_path / "once").touch()
        assert course(engine, client, loss=loss) == course(engine, None)
        assert not [*tmp_path.iterdir()]

        run = small(engine)
        before = gradients(Trainer(run.model, run.train), run.model)
        for i in range(50):
            (tmp_path / str(i)).touch()
        with pytest.raises(RuntimeError, match="a step was given up 3 times, because workers died"):
            Trainer(run.model, run.train, client, loss=loss).backward()
        assert all_bits([p.grad for p in run.model.parameters()]) == before[1:]


def test_there_are_no_workers(caplog):
    """They may come later."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=0, threads_per_worker=1, processes=False, dashboard_address="localhost:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        run = small(micrograd)
        trainer = Trainer(run.model, run.train, client, timeout=0.2)
        with pytest.raises(TimeoutError, match=r"there has been no worker for 0\.2 seconds"):
            trainer.backward()
        collect_garbage()
        assert "never retrieved" not in caplog.text
        assert not any(p.grad for p in run.model.parameters())
        cluster.scale(1)
        client.wait_for_workers(1)
        expected = gradients(Trainer(run.model, run.train), run.model)
        assert gradients(trainer, run.model) == expected


def test_a_slow_step_is_no_lack_of_workers(client, tmp_path):
    run = small(micrograd)
    loss = functools.partial(waiting, tmp_path, micrograd.mean_cross_entropy)
    trainer = Trainer(run.model, run.train, client, loss=loss, timeout=0.1)
    timer = threading.Timer(0.5, (tmp_path / "go").touch)
    timer.start()
    assert gradients(trainer, run.model) == gradients(Trainer(run.model, run.train), run.model)
    timer.join()


def test_a_connection_that_breaks_while_workers_are_counted(client, tmp_path, monkeypatch):
    """Dask raises an OSError then, and connects again."""

    async def nthreads():
        (tmp_path / "go").touch()
        raise OSError

    monkeypatch.setattr(client, "nthreads", nthreads)
    monkeypatch.setattr("micrograd.parallel.trainer.POLL", 0.05)
    run = small(micrograd)
    loss = functools.partial(waiting, tmp_path, micrograd.mean_cross_entropy)
    trainer = Trainer(run.model, run.train, client, loss=loss)
    assert gradients(trainer, run.model) == gradients(Trainer(run.model, run.train), run.model)


def test_the_scheduler_forgets_everything(client):
    run = small(micrograd)
    trainer = Trainer(run.model, run.train, client)
    expected = gradients(trainer, run.model)
    client.cancel(trainer._sent, force=True)  # as another client of the cluster may
    assert gradients(trainer, run.model) == expected


class Late:
    """An example that cannot be unpickled the first time."""

    def __init__(self, path):
        path.touch()
        self.path = path

    def __reduce__(self):
        return unpickled, (self.path,)


def unpickled(path):
    if path.exists():
        path.unlink()
        raise OSError("at first")
    return 2.0


def test_shards_that_could_not_be_made_are_made_anew(client, tmp_path, monkeypatch):
    """Also while the client has not let go of the first ones."""
    model, sent = Weight(micrograd), []
    loss = lambda model, xs: model.w * xs[0]  # noqa: E731
    trainer = Trainer(model, [Late(tmp_path / "number")], client, shards=1, loss=loss)
    send = trainer._send
    monkeypatch.setattr(trainer, "_send", lambda: sent.append(send()) or sent[-1])
    with pytest.raises(OSError, match="at first"):
        trainer.backward()
    assert trainer.backward() == 1.0


def test_a_shard_may_move_to_another_worker(client):
    """Which makes it anew, from what it was sent as."""
    run = small(micrograd)
    trainer = Trainer(run.model, run.train, client, shards=3)
    expected = gradients(trainer, run.model)
    client.replicate(trainer._sent)
    assert {len(where) for where in client.who_has(trainer._sent).values()} == {2}
    numbers = array("d", [p.data for p in run.model.parameters()])
    for address in client.nthreads():
        steps = [
            client.submit(differentiate, shard, numbers, workers=[address], pure=False)
            for shard in trainer._sent
        ]
        loss = sum(loss for loss, _ in client.gather(steps))
        assert bits(loss) == expected[0]


# -----------------------------------------------------------------------------
# what losses share


def recorded_inside(model, points):
    """A mean of what a recorded function returns."""
    return sum(model.loss(x, y) for x, y in points) * (1.0 / len(points))


def penalty(model, points):
    """A loss with a part that the model keeps."""
    if not hasattr(model, "kept"):
        model.kept = 0.1 * (model.w * model.w)
    return mean_square(model, points) + model.kept


def penalized(model, points):
    return mean_square(model, points) + 0.1 * (model.w * model.w)


def penalty_in_vain(model, points):
    """The same, which fails when it has kept it."""
    loss = penalty(model, points)
    if not model.failed:
        model.failed = True
        raise ValueError("at first")
    return loss


@pytest.mark.parametrize("loss, plain", [(recorded_inside, mean_square), (penalty, penalized)])
def test_shards_share_computed_values(client, loss, plain):
    """As many as are on one worker, or all of them."""
    model = Line()
    trainers = [
        Trainer(model, POINTS, where, shards=4, loss=f)
        for where, f in [(None, plain), (None, loss), (client, loss)]
    ]
    for x in 0.75, -2.0, 0.5:
        model.w.data = x
        expected, *found = [gradients(trainer, model) for trainer in trainers]
        assert found == [expected] * 2


def test_a_recorded_function_is_the_loss():
    model = Line()
    recorded = micrograd.recorded(mean_square)
    trainer, plain = (Trainer(model, POINTS, shards=4, loss=f) for f in (recorded, mean_square))
    for x in 0.75, -2.0:
        model.w.data = x
        assert gradients(trainer, model) == gradients(plain, model)


def test_a_computed_value_is_older_than_the_step():
    model = Line()
    model.failed = False
    trainer = Trainer(model, POINTS, shards=4, loss=penalty_in_vain)
    with pytest.raises(ValueError, match="at first"):
        trainer.backward()
    model.w.data = -2.0
    expected = gradients(Trainer(model, POINTS, shards=4, loss=penalized), model)
    assert gradients(trainer, model) == expected


def test_what_a_replay_could_not_repeat(engine):
    run = small(engine)

    def reading(model, examples):
        loss = engine.mean_cross_entropy(model, examples)
        return loss * loss.data

    def yielding(model, examples):
        for example in examples:
            loss = engine.mean_cross_entropy(model, [example])
            yield loss * loss.data

    with pytest.raises(
        RecordingError, match=r"\.data .* Or write the loss as a generator, which y"
    ):
        Trainer(run.model, run.train, loss=reading).backward()
    assert Trainer(run.model, run.train, loss=yielding).backward() > 0.0


@pytest.mark.parametrize("what", ["recorded", "yielded", "failing"])
def test_the_model_outside(engine, what):
    """Of which workers have a copy; without any its gradients are not touched."""
    run = small(engine)

    def yielding(loss, n):
        yield from [loss] * n
        if what == "failing":
            raise ZeroDivisionError

    def loss(model, examples):
        found = engine.mean_cross_entropy(run.model, examples)
        return found if what == "recorded" else yielding(found, len(examples))

    trainer = Trainer(run.model, run.train, loss=loss)
    for p in run.model.parameters():
        p.grad = 2.5
    error, match = TypeError, "^the loss is computed with the trainer's own model: compu"
    if what == "failing":
        error, match = ZeroDivisionError, None
    with pytest.raises(error, match=match):
        trainer.backward()
    assert {p.grad for p in run.model.parameters()} == {2.5}


def test_a_loss_that_calls_its_own_trainer(engine):
    """Which would wait for itself."""
    run = small(engine)

    def calling(model, examples):
        trainer.backward()

    def yielding(model, examples):
        yield trainer.backward()

    for loss, error, match in [
        (calling, RecordingError, r"calls backward\(\)"),
        (yielding, RuntimeError, r"^the loss calls backward\(\) of the Trainer that computes it$"),
    ]:
        trainer = Trainer(run.model, run.train, loss=loss)
        for _ in range(2):
            with pytest.raises(error, match=match):
                trainer.backward()


def test_losses_that_call_each_other_s_trainers(engine):
    def calling(model, examples):
        trainers[model.other].backward()
        yield model.w

    trainers, models = [], [Weight(engine), Weight(engine)]
    for model, other in zip(models, (1, 0)):
        model.other = other
        trainers.append(Trainer(model, [0.0], shards=1, loss=calling))
    for trainer in trainers:
        with pytest.raises(RuntimeError, match="calls backward"):
            trainer.backward()
    assert [model.w.grad for model in models] == [0.0, 0.0]

    # one may call another that does not call it
    trainers[1] = Trainer(models[1], [0.0], shards=1, loss=lambda model, _: model.w)
    assert trainers[0].backward() == 0.5
    assert [model.w.grad for model in models] == [1.0, 1.0]


# -----------------------------------------------------------------------------
# errors, interrupts


class Odd(Exception):
    """Which cannot be pickled: it has a computed Value."""

    def __init__(self, v):
        super().__init__("odd")
        self.v = v


class OneWay(Exception):
    """Which can be pickled, and not unpickled."""

    def __reduce__(self):
        return operator.truediv, (1, 0)


def stopping(kind, model, examples):
    """A loss that raises what would end a worker, or what Dask has a use of its own for."""
    raise kind(model.w * 2.0) if kind is Odd else kind(examples[0])


@pytest.mark.parametrize(
    "kind",
    [SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration, MemoryError, TimeoutError,
     asyncio.CancelledError, concurrent.futures.CancelledError],
)  # fmt: skip
def test_exceptions_that_end_processes(client, kind):
    model, workers = Line(), client.run(os.getpid)
    for where in None, client:
        trainer = Trainer(model, [5, 4, 3], where, shards=3, loss=functools.partial(stopping, kind))
        for _ in range(2):
            with pytest.raises(kind) as found:
                trainer.backward()
            assert found.value.args == (5,)
            assert found.traceback[-1].name == "stopping"
    assert client.run(os.getpid) == workers


def test_an_exception_that_cannot_be_pickled(client):
    with pytest.raises(Odd):
        Trainer(Line(), [1], shards=1, loss=functools.partial(stopping, Odd)).backward()
    for kind, text in (Odd, "'odd'"), (OneWay, "1"):
        match = rf"^the loss raised {kind.__name__}\({text}\), which cannot be pickled"
        with pytest.raises(RuntimeError, match=match):
            Trainer(
                Line(), [1], client, shards=1, loss=functools.partial(stopping, kind)
            ).backward()


def test_errors_of_the_loss_come_out_as_they_are(engine, client):
    run = small(engine)
    for p in run.model.parameters():
        p.grad = 2.5
    wrong = [*run.train[:-1], (run.train[-1][0], 3)]
    with pytest.raises(IndexError) as plain:
        engine.mean_cross_entropy(run.model, wrong)
    for where in None, client:
        trainer = Trainer(run.model, wrong, where)
        for _ in range(2):
            with pytest.raises(IndexError) as found:
                trainer.backward()
            assert str(found.value) == str(plain.value)
    assert {p.grad for p in run.model.parameters()} == {2.5}


def test_the_first_shard_that_fails_is_the_one_that_is_told(client):
    model = Line()
    for where in None, client:
        trainer = Trainer(model, [5, 4, 2, 1, 0], where, shards=5, loss=logarithm)
        with pytest.raises(ValueError, match=r"^no logarithm of 2$"):
            trainer.backward()
        trainer = Trainer(model, [5, 4, 3], where, shards=3, loss=logarithm)
        model.w.data = -1.0
        with pytest.raises(ValueError, match=r"^log\(-5\.0\): only positive numbers"):
            trainer.backward()
        model.w.data = 0.75
        assert trainer.backward() and model.w.grad
        model.zero_grad()


def test_wrong_losses(engine):
    run = small(engine)
    other = [other for other in ENGINES.values() if other is not engine]
    for result, what in [
        (3.0, r"3\.0"), (None, "None"), (["x"], r"\['x'\]"),
        *[(e.Value(2.0), r"Value\(data=2\.0, grad=0\.0\)") for e in other],
    ]:  # fmt: skip
        for loss in (lambda model, examples: result), (lambda model, examples: iter([result])):  # noqa: B023
            with pytest.raises(TypeError, match=f"^the loss must return a Value .*, not {what}$"):
                Trainer(run.model, run.train, loss=loss).backward()
    with pytest.raises(ValueError, match=r"^the loss yielded 1 Values for 3 examples"):
        Trainer(run.model, run.train, loss=lambda *_: iter([engine.Value(1)])).backward()

    def kept(model, examples):  # that of the first shard
        if not hasattr(model, "loss"):
            model.loss = engine.mean_cross_entropy(model, examples)
        return model.loss

    with pytest.raises(TypeError, match="returned one Value for shards 0 and 1: compute one for e"):
        Trainer(run.model, run.train, loss=kept).backward()


def test_losses_without_a_graph(engine):
    run = small(engine)

    def refused(error, match, loss):
        with pytest.raises(error, match=match):
            Trainer(run.model, run.train, loss=loss).backward()

    with no_grad():
        v = engine.Value(2.0) * 3.0
    leaf = r"^the loss returned Value\(data=2\.0, grad=0\.0\), which is computed from no parameter"
    refused(ValueError, leaf, lambda *_: engine.Value(2.0))

    class Long(engine.Value):
        def __repr__(self):
            return "x" * 1000

    refused(ValueError, r"^the loss returned x+ \.\.\. x+, which is computed", lambda *_: Long(2.0))
    for loss in (lambda *_: v), (lambda model, examples: iter([v] * len(examples))):
        refused(ValueError, r"^the loss was computed under no_grad\(\)", loss)

    def under_no_grad(model, examples):
        with no_grad():
            return engine.mean_cross_entropy(model, examples)

    refused(
        RecordingError, r"opens a no_grad\(\) block.* Or write the loss as a gen", under_no_grad
    )
    assert not any(p.grad for p in run.model.parameters())

    # a parameter, and a number for an example that has none, are all right
    model = Line()
    trainer = Trainer(model, [0.0], shards=1, loss=lambda model, _: model.w)
    assert gradients(trainer, model) == all_bits([0.75, 1.0, 0.0, 1.0])
    skipped = Trainer(run.model, run.train, loss=lambda _, xs: iter([engine.Value(0)] * len(xs)))
    assert skipped.backward() == 0.0


def test_an_interrupt(client, tmp_path):
    run = small(micrograd)
    loss = functools.partial(waiting, tmp_path, micrograd.mean_cross_entropy)
    trainer = Trainer(run.model, run.train, client, loss=loss)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        trainer.backward()
    timer.join()
    assert not any(p.grad for p in run.model.parameters())
    (tmp_path / "go").touch()
    assert gradients(trainer, run.model) == gradients(Trainer(run.model, run.train), run.model)


def step_tasks(dask_scheduler):
    return [key for key in dask_scheduler.tasks if "micrograd-step" in str(key)]


def test_a_step_that_failed_is_cancelled(client, tmp_path, caplog):
    """Also while its exception is kept, as a notebook keeps the last one."""
    run = small(micrograd)
    loss = functools.partial(waiting, tmp_path, micrograd.mean_cross_entropy)
    trainer = Trainer(run.model, run.train, client, loss=loss)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt) as kept:
        trainer.backward()
    timer.join()
    until = time.monotonic() + 20
    while client.run_on_scheduler(step_tasks) and time.monotonic() < until:
        time.sleep(0.05)
    assert client.run_on_scheduler(step_tasks) == []
    (tmp_path / "go").touch()
    del kept
    collect_garbage()
    assert "never retrieved" not in caplog.text


@pytest.mark.parametrize("generated", [False, True])
def test_an_interrupt_of_a_loss_in_this_process(engine, generated):
    def interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)

    def one_by_one(model, examples):
        for example in examples:
            yield engine.mean_cross_entropy(model, [example])

    def interrupted(model, examples):
        for loss in one_by_one(model, examples):
            yield loss
            once(flags, interrupt, lambda *_: None, model, examples)

    run, flags = small(engine), [None]
    loss = functools.partial(once, flags, interrupt, engine.mean_cross_entropy)
    plain, loss = (one_by_one, interrupted) if generated else (None, loss)
    trainer = Trainer(run.model, run.train, loss=loss)
    expected = gradients(Trainer(run.model, run.train, loss=plain), run.model)
    with pytest.raises(KeyboardInterrupt):
        trainer.backward()
    assert all_bits([p.grad for p in run.model.parameters()]) == expected[1:]
    assert gradients(trainer, run.model) == expected


def blocked_signals():
    return signal.pthread_sigmask(signal.SIG_BLOCK, set())


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="there are none on Windows")
def test_ctrl_c_is_for_this_process_only(client):
    """A terminal sends it to all of them."""
    assert signal.SIGINT not in blocked_signals()
    for blocked in client.run(blocked_signals).values():
        assert signal.SIGINT in blocked


def listening():
    import psutil

    connections = psutil.Process().net_connections()
    return {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}


def test_only_this_machine_reaches_the_workers(client):
    for addresses in [listening(), *client.run(listening).values()]:
        assert addresses and addresses <= {"127.0.0.1", "::1"}


def test_an_interrupt_while_gradients_are_added(engine):
    """All are added or none."""

    class Interrupted(engine.Value):
        @property
        def grad(self):
            return engine.Value.grad.__get__(self)

        @grad.setter
        def grad(self, x):
            if x == interrupt_at:
                raise KeyboardInterrupt
            engine.Value.grad.__set__(self, x)

    interrupt_at = None
    run = small(engine)
    trainer = Trainer(run.model, run.train)
    gradients(trainer, run.model)
    last = run.model.layers[-1].neurons[-1]
    g = last.b.grad
    before = all_bits([p.grad for p in run.model.parameters()][:-1])
    last.b = Interrupted(last.b.data)
    interrupt_at = 0.0 + g
    with pytest.raises(KeyboardInterrupt):
        trainer.backward()
    assert all_bits([p.grad for p in run.model.parameters()][:-1]) == before


def test_wrong_arguments(engine):
    run = small(engine)
    model, train = run.model, run.train

    def refused(kind, match, *args, **kwargs):
        with pytest.raises(kind, match=match):
            Trainer(*args, **kwargs)

    refused(TypeError, r"^a model with parameters\(\) was expected, not list", train, model)
    refused(TypeError, "expected, not the class MLP", engine.MLP, train)
    refused(TypeError, "a data set was expected, not MLP: the model is first", model, model)
    refused(ValueError, "the split is empty: it has 0 examples", model, [])
    refused(
        ValueError, "^5 examples cannot be divided into 8 shards: take at most 5", model, train[:5]
    )
    refused(ValueError, "^shards must be at least 1, not 0$", model, train, shards=0)
    refused(TypeError, r"^shards must be an integer, not 2\.5$", model, train, shards=2.5)
    refused(
        TypeError, "^loss must be a function of a model and a list, not 3$", model, train, loss=3
    )
    refused(ValueError, "timeout must be above 0 seconds, not 0.0", model, train, timeout=0)
    refused(
        ValueError, "timeout must be above 0 seconds, not nan", model, train, timeout=float("nan")
    )
    refused(TypeError, "^timeout must be a number of seconds, not 'x'$", model, train, timeout="x")
    refused(TypeError, "^split must be a list, not None$", model, None)
    refused(TypeError, r"not a dict: write list\(d\.items\(\)\)$", model, dict(enumerate(train)))
    refused(TypeError, r"^split must be a list, not a set: write sorted\(s\)$", model, {1, 2})

    class Empty(engine.Module):
        def parameters(self):
            return []

    refused(ValueError, "a model needs at least 1 parameter, and this one has 0", Empty(), train)
    for parameters in [1.0], [engine.Value(2.0), 1.0]:
        Empty.parameters = lambda self: parameters  # noqa: B023
        refused(TypeError, r"a parameter must be a Value.*, not 1\.0$", Empty(), train)
    Empty.parameters = lambda self: None
    refused(TypeError, r"^parameters\(\) must be a list, not None$", Empty(), train)
    Empty.parameters = [engine.Value(2.0)]
    refused(
        TypeError, r"^Empty\.parameters must be a method that returns a list, not", Empty(), train
    )
    for other in ENGINES.values():
        if other is not engine:
            Empty.parameters = lambda self: [engine.Value(2.0), other.Value(3.0)]  # noqa: B023
            refused(
                TypeError, "^a parameter must be a Value of the same engine, not", Empty(), train
            )


def test_wrong_clients(cluster):
    from distributed import Client

    with pytest.raises(
        TypeError, match=r"or None, not 4: write `with local_client\(4\) as client:`"
    ):
        Trainer(Line(), POINTS, 4)
    with pytest.raises(TypeError, match=r"LocalCluster.*: write Client\(it\)$"):
        Trainer(Line(), POINTS, cluster)
    for n, problem in (0, ValueError), (2.5, TypeError):
        with pytest.raises(problem, match=f"^workers must be .*, not {n}$"), local_client(n):
            pass

    async def make():
        async with Client(cluster.scheduler_address, asynchronous=True) as client:
            with pytest.raises(TypeError, match="client must not be asynchronous"):
                Trainer(Line(), POINTS, client)

    asyncio.run(make())


def test_a_model_that_has_grown(engine):
    run = small(engine)
    trainer = Trainer(run.model, run.train)
    run.model.layers[0].neurons[0].w.append(engine.Value(1.0))
    with pytest.raises(ValueError, match="has 34 parameters, and had 33 when the trainer was"):
        trainer.backward()


def test_a_model_that_shares_other_parameters():
    """Or that has been given a number for one."""
    model = Line()
    trainer = Trainer(model, POINTS, shards=1, loss=mean_square)
    w, b = model.w, model.b
    for kept, others, match in [
        ([w, b, w], [w, b, micrograd.Value(1.0)], "^3 of .* 3 parameters .* and 2 were, or others"),
        ([w, b, w], [w, b, b], "^2 of .* 3 parameters .* and 2 were, or others"),
        ([w, b, w], [w, w, w], "^1 of"),
    ]:
        model.parameters = lambda: others  # noqa: B023
        with pytest.raises(ValueError, match=match):
            trainer.backward()
        model.parameters = lambda: kept  # noqa: B023
        assert trainer.backward()
    model.b = 1.0
    del model.parameters
    with pytest.raises(TypeError, match=r"a parameter must be a Value of .*, not 1\.0$"):
        trainer.backward()


def test_a_client_that_is_not_the_newest(cluster):
    """Nor the default one."""
    from distributed import Client

    run = small(micrograd)
    expected = gradients(Trainer(run.model, run.train), run.model)
    address = cluster.scheduler_address
    with Client(address, set_as_default=False) as apart, Client(address) as old, Client(address):
        for client in apart, old:
            trainer = Trainer(run.model, run.train, client, timeout=20)
            assert gradients(trainer, run.model) == expected


def test_a_closed_client(cluster):
    from distributed import Client

    with Client(cluster) as client:
        run = small(micrograd)
        trainer = Trainer(run.model, run.train, client)
        trainer.backward()
    before = all_bits([p.grad for p in run.model.parameters()])
    with pytest.raises(RuntimeError, match=r"^the client is closed: make a new Client"):
        trainer.backward()
    assert all_bits([p.grad for p in run.model.parameters()]) == before


def in_a_fork(function):
    """Return whether the function returns True in a child process."""
    child = os.fork()
    if not child:
        signal.alarm(20)  # it may wait for a thread that is not there
        try:
            os._exit(0 if function() is True else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_another_process(client):
    """After a fork the client's thread, which talks with the scheduler, is not there."""
    run = small(micrograd)
    trainer = Trainer(run.model, run.train, client)

    def child():
        with pytest.raises(RuntimeError, match="make a Client and a Trainer after the fork"):
            trainer.backward()
        return True

    assert in_a_fork(child)
    assert trainer.backward()


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_without_a_client(engine):
    run = small(engine)
    trainer = Trainer(run.model, run.train)
    expected = gradients(trainer, run.model)
    assert in_a_fork(lambda: gradients(trainer, run.model) == expected)
    assert gradients(trainer, run.model) == expected


def test_copies_and_pickles(engine, client):
    """Of a Trainer, or of a model that has one."""
    run = small(engine)
    for where in None, client:
        run.model.trainer = None
        run.model.trainer = trainer = Trainer(run.model, run.train, where)
        makers = copy.copy, copy.deepcopy, pickle.dumps
        for make, x in [*[(make, trainer) for make in makers], (copy.deepcopy, run.model)]:
            with pytest.raises(TypeError, match="a Trainer cannot be copied or pickled"):
                make(x)
        with pytest.raises(TypeError, match="a model that is copied must not have one as attrib"):
            Trainer(run.model, run.train, where)
        assert trainer.backward()


# -----------------------------------------------------------------------------
# pairs with the rest of the package


def test_under_no_grad(engine, client):
    run = small(engine)
    expected = gradients(Trainer(run.model, run.train), run.model)
    one_by_one = in_shards(Line(), 1)
    with no_grad():
        for where in None, client:
            assert gradients(Trainer(run.model, run.train, where), run.model) == expected
        model = Line()
        trainer = Trainer(model, POINTS, shards=1, loss=squares)  # which nothing records
        assert gradients(trainer, model) == one_by_one


def test_in_a_recorded_function(engine):
    run = small(engine)
    trainer = Trainer(run.model, run.train)

    @engine.recorded
    def f(x):
        trainer.backward()
        return x * 2.0

    with pytest.raises(RecordingError, match=r"calls backward\(\)"):
        f(1.0)


def test_nothing_is_left_on_the_workers(client):
    """When a trainer is dropped, also after a call that failed."""
    before = client.run(nodes_here)
    run = small(micrograd)
    trainer = Trainer(run.model, run.train, client)
    failing = Trainer(Line(), [5, 4, 2], client, shards=3, loss=logarithm)
    trainer.backward()
    with pytest.raises(ValueError, match="no logarithm of 2"):
        failing.backward()
    if micrograd.backend == "c":
        assert client.run(nodes_here) != before
    del trainer, failing
    until = time.monotonic() + 20
    while client.run(nodes_here) != before and time.monotonic() < until:
        time.sleep(0.05)
    assert client.run(nodes_here) == before


def test_nothing_is_left_here(engine, no_new_nodes):
    run = small(engine)
    trainer = Trainer(run.model, run.train)
    trainer.backward()


def test_garbage_cycles_after_a_failed_loss(engine, no_new_nodes):
    def failing(model, examples):
        model.trainers, model.loss = trainers, model.w * 2.0
        model.problem = ValueError(model)
        if len(trainers) > 1 and examples[0]:
            raise model.problem
        return model.loss * model.w

    trainers = []
    trainers += [Trainer(Weight(engine), [0, 1], shards=2, loss=failing) for _ in range(2)]
    with pytest.raises(ValueError):
        trainers[0].backward()
    trainers.pop()
    assert trainers[0].backward() == 0.5


IN_A_SCRIPT = """
import sys
from pathlib import Path
from micrograd import Module, Value, recorded
from micrograd.parallel.workers import pickled

class Line(Module):
    def __init__(self):
        self.w = Value(3.0)

    def parameters(self):
        return [self.w]

    @recorded(maxsize=5)
    def loss(self, x):
        return self.w * x + bias

bias = 0.5
Path(sys.argv[1]).write_bytes(pickled((Line(), lambda model, xs: map(model.loss, xs))))
"""

ON_A_WORKER = """
import pickle, sys
from pathlib import Path
model, losses = pickle.loads(Path(sys.argv[1]).read_bytes())
print([v.data for v in losses(model, [1.0, 2.0, 3.0])], model.loss.cache_parameters())
print(model.loss.cache_info())
"""


@pytest.mark.parametrize("backend", [pytest.param("c", marks=needs_c), "python"])
def test_what_a_script_or_a_notebook_defines(tmp_path, backend):
    """Recorded functions, too, which are pickled by name otherwise."""
    pytest.importorskip("cloudpickle")
    assert pickle.loads(workers.pickled(Line.loss)) is Line.loss
    path = tmp_path / "pickle"
    run_program(sys.executable, "-c", IN_A_SCRIPT, path, MICROGRAD_BACKEND=backend)
    printed = run_program(sys.executable, "-c", ON_A_WORKER, path, MICROGRAD_BACKEND=backend)
    assert printed.splitlines() == [
        "[3.5, 6.5, 9.5] {'maxsize': 5}",
        "CacheInfo(hits=2, misses=1, maxsize=5, currsize=1)",
    ]


class Slow(Weight):
    """A model that takes long to unpickle."""

    def __setstate__(self, state):
        time.sleep(0.1)
        vars(self).update(state)


def test_threads_of_a_worker_make_one_copy_of_the_model(engine):
    pytest.importorskip("cloudpickle")
    sent = workers.pickled((Slow(engine), squares))
    with ThreadPoolExecutor(4) as pool:
        shards = [*pool.map(lambda k: workers.SentShard("a", sent, k, sent, 4), range(4))]
    assert len({shard.replica for shard in shards}) == 1


def sizes(dask_scheduler):
    return [t.nbytes for k, t in dask_scheduler.tasks.items() if "micrograd-shard" in str(k)]


def test_the_scheduler_knows_what_moving_a_shard_costs(client):
    run = small(micrograd)
    trainer = Trainer(run.model, run.train, client, shards=3)
    trainer.backward()
    sent = [len(trainer._pickled_model) + len(part) for part in trainer._pickled_parts]
    found = client.run_on_scheduler(sizes)
    assert len(found) == 3 and min(found) >= min(sent)


def test_dask_is_not_imported_before_it_is_needed():
    program = """
import sys, micrograd
from micrograd import *
print("micrograd.parallel" in sys.modules)
micrograd.parallel.Trainer(MLP(2, [3]), [([1.0, 2.0], 0)], shards=1).backward()
print({"dask", "distributed", "cloudpickle"} & {*sys.modules})
"""
    assert run_program(sys.executable, "-c", program) == "False\nset()\n"


# -----------------------------------------------------------------------------
# the command line, the example


@pytest.mark.parametrize(
    "n, words", [(2, []), pytest.param(1, ["--points", "6"], marks=pytest.mark.slow)]
)
def test_the_command_line(capsys, n, words):
    """With 6 points there are 4 to train with, and as many shards."""
    pytest.importorskip("distributed")
    assert cli.main(["--workers", str(n), "--steps", "2", *words]) == 0
    run = CourseRun(backends.engine, points=6 if words else 100)
    run.backward = Trainer(run.model, run.train, shards=4 if words else 8).backward
    assert capsys.readouterr().out == "".join(f"{line}\n" for line in run.lines(2))


def test_wrong_workers(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    for words, message in [
        (["--workers", "0"], "'0' is not an integer above 0"),
        (["--workers", "2", "--backend", "torch"], "--workers needs an engine of ours"),
        (["--workers", "2"], "--workers needs Dask: pip install distributed"),
    ]:
        with pytest.raises(SystemExit) as stop:
            cli.main(words)
        assert stop.value.code == 2 and message in capsys.readouterr().err
    with pytest.raises(
        ImportError, match="workers need Dask's distributed: pip install distributed"
    ):
        Trainer(Line(), POINTS, 3)


@pytest.mark.slow
def test_the_example(tmp_path):
    pytest.importorskip("distributed")
    words = tmp_path / "words.txt"
    words.write_text("ebro\nelbe\noder\nodra\nyare\nyarra\n")
    outputs = []
    for n in 1, 3:
        program = ROOT / "examples" / "gpt_parallel.py"
        options = ["--data", words, "--steps", 3, "--shards", 4, "--workers", n]
        command = [sys.executable, "-W", "error", program, *map(str, options)]
        outputs.append(subprocess.check_output(command, text=True))  # Dask's log is apart
    assert outputs[0] == outputs[1] and outputs[0].startswith("step 3, loss ")
