"""The workers: a shard in a worker's process, what is sent to it and back, and a way to start some.

Everything is sent as bytes, so that the scheduler unpickles no Values.
"""

from __future__ import annotations

import io
import pickle
import signal
import threading
import weakref
from collections import ChainMap
from contextlib import ExitStack, contextmanager

from ..checks import count
from ..recorder import RecordedFunction
from ..shown import shown
from .shards import Replica, Shard, differentiate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator
    from typing import Any, SupportsIndex

    from .shards import Part


class SentShard(Shard):
    """A shard on a worker. Another worker that gets a copy makes the shard anew."""

    def __init__(self, trainer: str, model: bytes, index: int, examples: bytes, total: int) -> None:
        replica = _replica_here(trainer, model)
        super().__init__(replica, index, pickle.loads(examples), total)
        self._sent = trainer, model, index, examples, total

    def __reduce__(self) -> tuple[Any, ...]:
        return SentShard, self._sent

    def __sizeof__(self) -> int:  # by which the scheduler weighs moving it
        return len(self._sent[1]) + len(self._sent[3])


_replicas: weakref.WeakValueDictionary[str, Replica] = weakref.WeakValueDictionary()
_replicas_lock = threading.Lock()


def _replica_here(trainer: str, model: bytes) -> Replica:
    """Return this process's copy of a trainer's model. It lives as long as one of its shards."""
    with _replicas_lock:
        replica = _replicas.get(trainer)
        if replica is None:
            replica = _replicas[trainer] = Replica(*pickle.loads(model))
        return replica


def same(x: Any) -> Any:
    return x


def differentiate_here(shard: Shard, numbers: array[float]) -> Part | bytes:
    """Return what a worker gives back.

    Exceptions are returned as pickles: some, if raised, would end the worker.
    """
    try:
        return differentiate(shard, numbers)
    except BaseException as problem:
        from tblib.pickling_support import install  # which distributed needs

        try:
            install(problem)  # so that its traceback goes with it
            sent = pickled(problem)
            pickle.loads(sent)
        except Exception:
            return pickled(RuntimeError(f"the loss raised {problem!r}, which cannot be pickled"))
        return sent


# -----------------------------------------------------------------------------
# pickles


def pickled(x: object) -> bytes:
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
    how = function._maxsize, function._kind, function._new_recording
    return RecordedFunction, (function.__wrapped__, *how)


# -----------------------------------------------------------------------------
# clients


def check_client(client: Any) -> None:
    """Raise an exception that says what to write unless it is a Client for ordinary calls."""
    distributed = _distributed()
    Client, Cluster = distributed.Client, distributed.deploy.Cluster
    if isinstance(client, Cluster):
        raise TypeError(
            f"client must be a distributed.Client, not {shown(client)}: write Client(it)"
        )
    if not isinstance(client, Client):
        raise TypeError(
            f"client must be a distributed.Client or None, not {shown(client)}: write "
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
