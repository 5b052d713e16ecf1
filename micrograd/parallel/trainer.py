"""What the user trains with: `Trainer`."""

from __future__ import annotations

import asyncio
import copy
import operator
import os
import pickle
import uuid
from array import array
from contextlib import suppress

from ..checks import check_examples, check_parameters, count, is_number, listed, number
from ..grad_mode import refuse
from ..shown import shown
from .shards import Replica, Shard, differentiate, engine_of
from .workers import SentShard, check_client, differentiate_here, pickled, same

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn, SupportsIndex

    from ..types import Number
    from .shards import Part

ROUNDS = 3  # how often a step is sent again when Dask has given it up
POLL = 1.0  # seconds between two looks at whether there are workers


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
        TypeError: model, split, client or loss is of another type, or shards or timeout is no
            number.
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
        parameters = _parameters_of(model)
        engine = engine_of(parameters[0])
        if loss is None:
            loss = engine.mean_cross_entropy
        if not callable(loss):
            raise TypeError(f"loss must be a function of a model and a list, not {shown(loss)}")
        self._timeout = _seconds(timeout)
        parts = _divided(_examples(split), count(shards, "shards", least=1))
        self._model, self._places, self._client = model, _places(parameters), client
        self._total = sum(map(len, parts))
        self._local: list[Shard] = []
        self._sent: list[Any] = []  # the futures of the shards, while workers have them
        if client is None:
            model, loss, parts = copy.deepcopy((model, loss, parts))
            replica = Replica(model, loss)
            self._local = [Shard(replica, k, p, self._total) for k, p in enumerate(parts)]
        else:
            check_client(client)
            self._process, self._name = os.getpid(), uuid.uuid4().hex
            self._pickled_model = pickled((model, loss))
            self._pickled_parts = [pickled(part) for part in parts]

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
        before = array("d", [p.grad for p in parameters])  # of all first: one may be listed twice
        try:
            (loss, gradients), *others = self._parts(numbers)
            now = array("d", [p.grad for p in parameters])
            if self._client is None and now.tobytes() != before.tobytes():
                raise TypeError(
                    "the loss is computed with the trainer's own model: compute it with the model "
                    "that it is given, which is a copy"
                )
            total = [*gradients]
            for part, gradients in others:
                loss += part
                total = [*map(operator.add, total, gradients)]
            for p, x, gradient in zip(parameters, before, total):
                p.grad = x + gradient
        except BaseException:
            for p, x in zip(parameters, before):
                p.grad = x
            raise
        return loss

    def _parts(self, numbers: array[float]) -> list[Part]:
        """Return the shards' losses and gradients, in order, or raise what the first one raised."""
        if self._client is None:
            return [differentiate(shard, numbers) for shard in self._local]
        parts = []
        for found in self._from_workers(numbers):
            if isinstance(found, bytes):
                raise pickle.loads(found)
            parts.append(found)
        return parts

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
            sent = client.submit(same, numbers, key=f"micrograd-numbers-{name}")
            # a group for each step: tasks of a group that outgrows the cluster may be placed
            # anywhere, and not where their shards are
            keys = [(f"micrograd-step-{name}", k) for k in range(len(self._sent))]
            steps = client.map(differentiate_here, self._sent, numbers=sent, key=keys)
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
        model = submit(same, self._pickled_model, key=f"micrograd-model-{uuid.uuid4().hex}")
        group = f"micrograd-shard-{uuid.uuid4().hex}"
        return [
            submit(SentShard, self._name, model, k, part, self._total, key=(group, k))
            for k, part in enumerate(self._pickled_parts)
        ]

    async def _watch(self, steps: list[Any]) -> Any:
        """Return the tasks' results, or raise a TimeoutError if there are no workers."""
        results = asyncio.ensure_future(self._client.gather(steps))
        # if it ends later, because the tasks are cancelled, asyncio need not log that
        results.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        loop = asyncio.get_running_loop()
        seen = loop.time()
        while True:
            done, _ = await asyncio.wait({results}, timeout=min(POLL, self._timeout))
            if done:
                return results.result()
            with suppress(OSError):  # if the connection breaks, results has an exception soon
                if await self._client.nthreads():
                    seen = loop.time()
            if loop.time() - seen >= self._timeout:
                raise TimeoutError(
                    f"there has been no worker for {self._timeout:g} seconds: start some, and "
                    "call backward() again"
                )

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            "a Trainer cannot be copied or pickled (a model that is copied must not have one as "
            "attribute): make a new one"
        )


def _parameters_of(model: Any) -> list[Any]:
    """Return the model's parameters, or raise an exception that says what is wrong with them."""
    if not callable(model.parameters):
        raise TypeError(
            f"{type(model).__name__}.parameters must be a method that returns a list, not "
            f"{shown(model.parameters)}"
        )
    found: Any = model.parameters()
    parameters = listed(found, "parameters()")
    if not parameters:
        raise ValueError("a model needs at least 1 parameter, and this one has 0")
    return [*check_parameters(parameters, engine_of(parameters[0]).Value)]


def _places(parameters: list[Any]) -> list[int]:
    """Return for each parameter where it is listed first: some may be the same Value."""
    first: dict[int, int] = {}
    return [first.setdefault(id(p), i) for i, p in enumerate(parameters)]


def _seconds(timeout: Number) -> float:
    if not is_number(timeout):
        raise TypeError(f"timeout must be a number of seconds, not {shown(timeout)}")
    seconds = number(timeout)
    if not seconds > 0:
        raise ValueError(f"timeout must be above 0 seconds, not {seconds}")
    return seconds


def _examples(split: Any) -> list[Any]:
    """Return the examples, or raise a TypeError if they have no order."""
    if isinstance(split, (dict, set, frozenset)):
        instead = "list(d.items())" if isinstance(split, dict) else "sorted(s)"
        raise TypeError(f"split must be a list, not a {type(split).__name__}: write {instead}")
    return check_examples(split)


def _divided(examples: list[Any], shards: int) -> list[list[Any]]:
    """Divide examples into runs of neighbours, whose lengths differ by 1 at most."""
    n = len(examples)
    if shards > n:
        raise ValueError(f"{n} examples cannot be divided into {shards} shards: take at most {n}")
    return [examples[n * k // shards : n * (k + 1) // shards] for k in range(shards)]
