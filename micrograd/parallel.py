"""Training with many workers, with the same bits for any number of them.

    from micrograd.parallel import Trainer, local_client

    with local_client(4) as client:
        trainer = Trainer(model, train, client)
        for step in range(100):
            loss = trainer.backward()  # in the place of mean_cross_entropy(...) and its backward()
            optimizer.step()
            optimizer.zero_grad()

The examples are divided into shards, whose number has nothing to do with that of the workers. In
each step every shard gets the parameters' numbers and gives back its loss and gradients, which
are added up in the order of the shards. So the order of all additions is fixed, whichever worker
computes what, and however often.

A shard is a Dask task whose result stays on its worker and is never read: the model's copy there,
the examples, and their recorded loss. The tasks of a step depend on it, so that the scheduler runs
them where the shard is, and makes it anew elsewhere if that worker has died. `docs/parallel.md` has
what is sent, what fails and how, and how far it scales. distributed is used only with a client.
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import io
import operator
import os
import pickle
import signal
import sys
import threading
import uuid
import weakref
from array import array
from collections import ChainMap
from contextlib import ExitStack, contextmanager, suppress
from contextvars import Context, ContextVar

from . import pure
from .checks import check_parameters, count, is_number, listed, number
from .grad_mode import recording_into, refuse
from .recorder import RecordedFunction, Recorder
from .recording_errors import RecordingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType
    from typing import Any, NoReturn, SupportsIndex

    from .types import Number

    Part = tuple[float, array[float]]  # a shard's part of the mean loss, and of its gradients

__all__ = ["Trainer", "local_client"]

ROUNDS = 3  # how often a step is sent again when Dask has given it up
POLL = 1.0  # seconds between two looks at whether there are workers

# -----------------------------------------------------------------------------
# the engine of a model


def _engine_of(parameter: object) -> ModuleType:
    """Return the engine whose Value this is, or raise a TypeError."""
    if isinstance(parameter, pure.Value):
        return pure
    compiled = sys.modules.get(f"{__package__}.compiled")  # it is there if it has made a Value
    if compiled is not None and isinstance(parameter, compiled.Value):
        return compiled
    raise TypeError(f"a parameter must be a Value, not {parameter!r}")


# -----------------------------------------------------------------------------
# one process: a copy of the model, and the shards that are computed there


class _Replica:
    """A copy of the model, the only one of its trainer in this process."""

    def __init__(self, model: Any, loss: Callable[..., Any]) -> None:
        self.model, self.loss = model, loss
        self.parameters = [*model.parameters()]
        self.kind = _engine_of(self.parameters[0]).Value
        self.lock = threading.Lock()  # two threads may compute two shards, or one shard twice
        # the recorded losses: no two shards may have the same
        self.recorded: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


class _Shard:
    """Some of the examples, and their loss once it is recorded."""

    def __init__(self, replica: _Replica, index: int, examples: list[Any], total: int) -> None:
        self.replica, self.index, self.examples, self.total = replica, index, examples, total
        self.recorded: Any = None

    def differentiate(self, numbers: array[float]) -> Part:
        """Return this shard's part of the mean loss, and of its gradients, at these parameters."""
        replica = self.replica
        _computing.set(replica)
        with replica.lock:
            for p, x in zip(replica.parameters, numbers):
                p.data = x
                p.grad = 0
            loss, weight = self._backward()
            return loss * weight, array("d", [p.grad * weight for p in replica.parameters])

    def _backward(self) -> tuple[float, float]:
        """Add to the gradients, and return the loss and the weight of both in the mean."""
        if self.recorded is None:
            found = self._call()
            if hasattr(type(found), "__next__"):
                return self._one_by_one(found), 1.0 / self.total
            self.recorded = self._checked(found)
        # the first time, too: a Value that the model keeps may be of other numbers, and have a grad
        self.recorded.forward()
        self.recorded.backward()
        return self.recorded.data, len(self.examples) / self.total

    def _call(self) -> Any:
        """Call the loss as a recorded function: those that it calls become a part of it."""
        replica = self.replica
        try:
            with recording_into(Recorder(replica.kind)):
                return replica.loss(replica.model, self.examples)
        except RecordingError as problem:
            raise RecordingError(
                f"{problem} Or write the loss as a generator, which yields a loss for each "
                "example: that is not recorded."
            ).with_traceback(problem.__traceback__) from None

    def _one_by_one(self, losses: Iterator[Any]) -> float:
        """Take the losses one after another: they may all be the same Value."""
        total, n = 0.0, 0
        for loss in losses:
            self._check_kind(loss)
            loss.backward()
            total += loss.data
            n += 1
        if n != len(self.examples):
            raise ValueError(
                f"the loss yielded {n} Values for {len(self.examples)} examples: yield one for each"
            )
        return total

    def _checked(self, loss: Any) -> Any:
        """Return a loss that may be replayed for this shard, or raise a TypeError."""
        self._check_kind(loss)
        if loss._is_leaf and not any(loss is p for p in self.replica.parameters):
            raise ValueError(
                f"the loss returned {loss!r}, which is computed from no parameter: compute it with "
                "the model it is given"
            )
        others = self.replica.recorded
        for other, recorded in [*others.items()]:
            if recorded is loss and other != self.index:
                raise TypeError(
                    f"the loss returned one Value for shards {min(other, self.index)} and "
                    f"{max(other, self.index)}: compute one for each"
                )
        others[self.index] = loss
        return loss

    def _check_kind(self, loss: Any) -> None:
        if not isinstance(loss, self.replica.kind):
            raise TypeError(
                "the loss must return a Value of the model's engine, or yield one for each "
                f"example, not {loss!r}"
            )
        if loss._is_unrecorded:
            raise ValueError(
                "the loss was computed under no_grad(), and has no gradients: compute it outside"
            )


_computing: ContextVar[_Replica | None] = ContextVar("micrograd.computing", default=None)


def _differentiate(shard: _Shard, numbers: array[float]) -> Part:
    """Do so in a context of its own, without the caller's no_grad."""
    if _computing.get() is shard.replica:
        raise RuntimeError("the loss calls backward() of the Trainer that computes it")
    return Context().run(shard.differentiate, numbers)


# -----------------------------------------------------------------------------
# a worker's process. What travels is bytes, so that the scheduler makes no Values of it


class _SentShard(_Shard):
    """A shard on a worker. Another worker that gets a copy makes the shard anew."""

    def __init__(self, trainer: str, model: bytes, index: int, examples: bytes, total: int) -> None:
        replica = _replica_here(trainer, model)
        super().__init__(replica, index, pickle.loads(examples), total)
        self._sent = trainer, model, index, examples, total

    def __reduce__(self) -> tuple[Any, ...]:
        return _SentShard, self._sent

    def __sizeof__(self) -> int:  # by which the scheduler weighs moving it
        return len(self._sent[1]) + len(self._sent[3])


_replicas: weakref.WeakValueDictionary[str, _Replica] = weakref.WeakValueDictionary()
_replicas_lock = threading.Lock()


def _replica_here(trainer: str, model: bytes) -> _Replica:
    """Return this process's copy of a trainer's model. It lives as long as one of its shards."""
    with _replicas_lock:
        replica = _replicas.get(trainer)
        if replica is None:
            replica = _replicas[trainer] = _Replica(*pickle.loads(model))
        return replica


def _same(x: Any) -> Any:
    return x


def _differentiate_here(shard: _Shard, numbers: array[float]) -> Part | bytes:
    """Return what a worker gives back. Some exceptions would end it: they are pickled instead."""
    try:
        return _differentiate(shard, numbers)
    except BaseException as problem:
        from tblib.pickling_support import install  # which distributed needs

        try:
            install(problem)  # so that its traceback goes with it
            pickled = _pickled(problem)
            pickle.loads(pickled)
        except Exception:
            return _pickled(RuntimeError(f"the loss raised {problem!r}, which cannot be pickled"))
        return pickled


# -----------------------------------------------------------------------------
# pickles for workers


def _pickled(x: object) -> bytes:
    """Pickle x, with what it uses of a script or a notebook, which workers cannot import."""
    import cloudpickle

    base: Any = cloudpickle.Pickler
    table = ChainMap({RecordedFunction: _reduced}, base.dispatch_table)
    file = io.BytesIO()
    type("Pickler", (base,), {"dispatch_table": table})(file).dump(x)
    return file.getvalue()


def _reduced(function: RecordedFunction) -> str | tuple[Any, ...]:
    """Reduce a recorded function of a script to what it is made of, others to their names."""
    if function.__module__ != "__main__":
        return function.__reduce__()
    engine = "pure" if function._kind is pure.Value else "compiled"
    return _recorded_again, (engine, function.__wrapped__, function._maxsize)


def _recorded_again(engine: str, function: Callable[..., Any], maxsize: int | None) -> Any:
    return importlib.import_module(f"{__package__}.{engine}").recorded(function, maxsize=maxsize)


# -----------------------------------------------------------------------------
# the trainer


class Trainer:
    """Computes a model's mean loss over a data set, and its gradients, shard by shard.

    Args:
        model: a Module, or anything with parameters(). Workers get a copy as it is now, and in
            every step the parameters' present numbers.
        split: a list of examples, such as (x, label), which is read now. In shards they are
            neighbours, as many in each, but for one.
        client: a `distributed.Client`, whose workers compute. None: this process computes the same
            shards, one after another, to the same bits.
        shards: into how many parts the examples are divided. Losses and gradients depend on it in
            their last bits, and on nothing else. With one they are those of the plain loop.
        loss: called as loss(model, examples) with a copy of the model and a shard's examples. It
            returns the mean loss as a Value, which is recorded once and replayed by forward(); or
            it is a generator that yields a loss for each example, and is called in every step.
            `mean_cross_entropy` if None.
        timeout: for how many seconds there may be no worker before `backward()` gives up.

    Raises:
        TypeError: model, client or loss is none, or a number is no number.
        ValueError: there are no parameters or examples, more shards than examples, or shards or
            timeout is out of range.
        ImportError: there is a client, but no `distributed`.
        What pickling the model, the loss or an example raises.

    Example:
        >>> train = [([0.5, -1.0], 0), ([1.0, 0.25], 1), ([-0.5, 0.5], 1)]
        >>> trainer = Trainer(MLP(2, [2], rng=RNG(42)), train, shards=3)
        >>> round(trainer.backward(), 6)
        0.740391
    """

    def __init__(
        self,
        model: Any,
        split: Iterable[Any],
        client: Any = None,
        shards: SupportsIndex = 8,
        loss: Callable[[Any, list[Any]], Any] | None = None,
        timeout: Number = 60.0,
    ) -> None:
        if isinstance(model, type) or not hasattr(model, "parameters"):
            given = (
                f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
            )
            raise TypeError(f"a model with parameters() was expected, not {given}")
        if hasattr(type(split), "parameters"):
            raise TypeError(
                f"a data set was expected, not {type(split).__name__}: the model is first"
            )
        parameters = _parameters_of(model)
        engine = _engine_of(parameters[0])
        if loss is None:
            loss = engine.mean_cross_entropy
        if not callable(loss):
            raise TypeError(f"loss must be a function of a model and a list, not {loss!r}")
        self._timeout = _seconds(timeout)
        parts = _divided(_listed(split), count(shards, "shards", least=1))
        self._model, self._places, self._client = model, _places(parameters), client
        self._total = sum(map(len, parts))
        self._local: list[_Shard] = []
        self._sent: list[Any] = []  # the futures of the shards, while workers have them
        if client is None:
            model, loss, parts = copy.deepcopy((model, loss, parts))
            replica = _Replica(model, loss)
            self._local = [_Shard(replica, k, p, self._total) for k, p in enumerate(parts)]
        else:
            _check_client(client)
            self._process, self._name = os.getpid(), uuid.uuid4().hex
            self._pickled_model = _pickled((model, loss))
            self._pickled_parts = [_pickled(part) for part in parts]

    def backward(self) -> float:
        """Add the mean loss's gradients to those of the parameters, as its backward() would.

        Whether the caller is under no_grad makes no difference.

        Returns:
            The mean loss of all examples, a float.

        Raises:
            TypeError: the loss is computed with this model, and not with the one it is given.
            ValueError: the model does not have as many parameters as when the trainer was made, or
                others of them are the same Value.
            TimeoutError: there was no worker for `timeout` seconds.
            RuntimeError: the client is closed, belongs to another process, or has lost its
                scheduler; or wherever a shard is computed its process dies.
            What the loss raises, for the first shard of those that fail.
            All gradients are then as they were before.
        """
        refuse("backward")
        parameters = _parameters_of(self._model)
        self._check_places(_places(parameters))
        numbers = array("d", [p.data for p in parameters])
        if self._client is None:
            parts = self._from_here(parameters, numbers)
        else:
            parts = []
            for found in self._from_workers(numbers):
                if isinstance(found, bytes):
                    raise pickle.loads(found)
                parts.append(found)
        loss, gradients = parts[0]
        total: Iterable[float] = gradients
        for part, gradients in parts[1:]:
            loss += part
            total = map(operator.add, total, gradients)
        _add_gradients(parameters, [*total])
        return loss

    def _check_places(self, places: list[int]) -> None:
        """Raise a ValueError unless the parameters are as many, and shared, as at the beginning."""
        had = self._places
        if len(places) != len(had):
            raise ValueError(
                f"the model has {len(places)} parameters, and had {len(had)} when the "
                "trainer was made: make a new Trainer"
            )
        if places != had:
            raise ValueError(
                f"{len({*places})} of the model's {len(places)} parameters are Values of their "
                f"own, and {len({*had})} were, or others, when the trainer was made: make a new "
                "Trainer"
            )

    def _from_here(self, parameters: list[Any], numbers: array[float]) -> list[Part]:
        """Return the shards' losses and gradients, in order."""
        before = array("d", [p.grad for p in parameters])
        try:
            parts = [_differentiate(shard, numbers) for shard in self._local]
        finally:
            touched = array("d", [p.grad for p in parameters]).tobytes() != before.tobytes()
            if touched:
                for p, x in zip(parameters, before):
                    p.grad = x
        if touched:
            raise TypeError(
                "the loss is computed with the trainer's own model: compute it with the model that "
                "it is given, which is a copy"
            )
        return parts

    def _from_workers(self, numbers: array[float]) -> list[Part | bytes]:
        """Return the shards' losses and gradients, in order, whatever happens to workers.

        Where the loss has raised an exception there is its pickle.
        """
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        if os.getpid() != self._process:
            raise RuntimeError(
                f"a Trainer's client belongs to the process {self._process}, and this is "
                f"{os.getpid()}: make a Client and a Trainer after the fork"
            )
        lost: BaseException | None = None
        for _ in range(ROUNDS):
            if self._client.status != "running":
                raise RuntimeError(
                    f"the client is {self._client.status}: make a new Client, and a Trainer with it"
                ) from lost
            try:
                return self._step(numbers)
            except (KilledWorker, CancelledError) as problem:
                lost = problem
        raise RuntimeError(
            f"a step was given up {ROUNDS} times, because workers died or their scheduler dropped "
            f"it: has a worker enough memory for its shards? The last time: {lost}"
        ) from lost

    def _step(self, numbers: array[float]) -> list[Part | bytes]:
        client, name = self._client, uuid.uuid4().hex
        steps: list[Any] = []
        try:
            if not self._sent:
                self._sent = self._send()
            sent = client.submit(_same, numbers, key=f"micrograd-numbers-{name}")
            # a group of tasks of its own, with a name of its own
            keys = [(f"micrograd-step-{name}", k) for k in range(len(self._sent))]
            steps = client.map(_differentiate_here, self._sent, numbers=sent, key=keys)
            found: list[Part | bytes] = client.sync(self._watch, steps)
            return found
        except BaseException:
            with suppress(Exception):  # it is the first problem that counts
                client.cancel(steps)
            if any(future.status != "finished" for future in self._sent):
                self._sent = []  # what failed is not kept for the next call
            raise

    def _send(self) -> list[Any]:
        """Return the futures of the shards."""
        submit = self._client.submit
        # once for all shards, and once to every worker: they pass it on to one another
        model = submit(_same, self._pickled_model, key=f"micrograd-model-{uuid.uuid4().hex}")
        group = f"micrograd-shard-{uuid.uuid4().hex}"
        return [
            submit(_SentShard, self._name, model, k, part, self._total, key=(group, k))
            for k, part in enumerate(self._pickled_parts)
        ]

    async def _watch(self, steps: list[Any]) -> Any:
        """Return the tasks' results, or raise a TimeoutError if there are no workers."""
        results = asyncio.ensure_future(self._client.gather(steps))
        loop = asyncio.get_running_loop()
        seen = loop.time()
        try:
            while True:
                done, _ = await asyncio.wait({results}, timeout=min(POLL, self._timeout))
                if done:
                    return results.result()
                with suppress(OSError):
                    if await self._client.nthreads():
                        seen = loop.time()
                if loop.time() - seen >= self._timeout:
                    raise TimeoutError(
                        f"there has been no worker for {self._timeout:g} seconds: start some, and "
                        "call backward() again"
                    )
        finally:
            results.cancel()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            "a Trainer cannot be copied or pickled, because its shards belong to its client: save "
            "the model, and make a new Trainer"
        )


def _parameters_of(model: Any) -> list[Any]:
    """Return the model's parameters, or raise an exception that says what is wrong with them."""
    if not callable(model.parameters):
        raise TypeError(
            f"{type(model).__name__}.parameters must be a method that returns a list, not "
            f"{model.parameters!r}"
        )
    found: Any = model.parameters()
    parameters = listed(found, "parameters()")
    if not parameters:
        raise ValueError("a model needs at least 1 parameter, and this one has 0")
    return [*check_parameters(parameters, _engine_of(parameters[0]).Value)]


def _places(parameters: list[Any]) -> list[int]:
    """Return for each parameter where it is listed first: some may be the same Value."""
    first: dict[int, int] = {}
    return [first.setdefault(id(p), i) for i, p in enumerate(parameters)]


def _seconds(timeout: Number) -> float:
    if not is_number(timeout):
        raise TypeError(f"timeout must be a number of seconds, not {timeout!r}")
    seconds = number(timeout)
    if not seconds > 0:
        raise ValueError(f"timeout must be above 0 seconds, not {seconds}")
    return seconds


def _listed(split: Any) -> list[Any]:
    """Return the examples, or raise a TypeError if they have no order."""
    if isinstance(split, (dict, set, frozenset)):
        instead = "list(d.items())" if isinstance(split, dict) else "sorted(s)"
        raise TypeError(f"split must be a list, not a {type(split).__name__}: write {instead}")
    examples: list[Any] = listed(split, "split")
    return examples


def _divided(examples: list[Any], shards: int) -> list[list[Any]]:
    """Divide examples into runs of neighbours, whose lengths differ by 1 at most."""
    n = len(examples)
    if n == 0:
        raise ValueError("the split is empty: there is no mean over 0 examples")
    if shards > n:
        raise ValueError(f"{n} examples cannot be divided into {shards} shards: take at most {n}")
    return [examples[n * k // shards : n * (k + 1) // shards] for k in range(shards)]


def _check_client(client: Any) -> None:
    """Raise an exception that says what to write unless it is a Client for ordinary calls."""
    distributed = _distributed()
    Client, Cluster = distributed.Client, distributed.deploy.Cluster
    if isinstance(client, Cluster):
        raise TypeError(f"client must be a distributed.Client, not {client!r}: write Client(it)")
    if not isinstance(client, Client):
        raise TypeError(
            f"client must be a distributed.Client or None, not {client!r}: write "
            "`with local_client(4) as client:`"
        )
    if client.asynchronous:
        raise TypeError("client must not be asynchronous: write Client(...) without asynchronous=")


def _distributed() -> Any:
    """Return Dask's package, or raise an ImportError that says how to get it."""
    try:
        import distributed
    except ImportError as problem:
        raise ImportError(
            f"workers need Dask's distributed: pip install distributed ({problem})"
        ) from problem
    return distributed


def _add_gradients(parameters: list[Any], gradients: list[float]) -> None:
    """Add to all gradients or, if there is an interrupt, to none."""
    before = [p.grad for p in parameters]  # of all first: one may be listed twice
    try:
        for p, x, gradient in zip(parameters, before, gradients):
            p.grad = x + gradient
    except BaseException:
        for p, x in zip(parameters, before):
            p.grad = x
        raise


# -----------------------------------------------------------------------------
# workers on this machine


@contextmanager
def local_client(workers: SupportsIndex) -> Iterator[Any]:
    """Start worker processes on this machine, in a `with` block at whose end they end.

    In a script it stands below `if __name__ == "__main__":`, because each worker imports the
    script. Only this machine can reach the workers. Ctrl-C interrupts this process, not them.

    Args:
        workers: how many processes, each with one thread; as many as there are processors is
            a good number.

    Returns:
        What `with` gives: their `distributed.Client`, of a `LocalCluster`.

    Raises:
        ValueError, TypeError: workers is below 1, or no integer.
        ImportError: there is no `distributed`.
    """
    n = count(workers, "workers", least=1)
    distributed = _distributed()
    with ExitStack() as stack:
        with _interrupts_blocked():
            cluster = distributed.LocalCluster(
                n_workers=n, threads_per_worker=1, dashboard_address="localhost:0"
            )
            stack.enter_context(cluster)
        yield stack.enter_context(distributed.Client(cluster))


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Hold SIGINT back; the threads and processes that are started meanwhile never get it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # when it starts it unblocks SIGINT in its thread
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
