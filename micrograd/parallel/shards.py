"""One process: a copy of the model, and the shards that are computed there."""

from __future__ import annotations

import sys
import threading
import weakref
from array import array
from contextvars import Context, ContextVar

from .. import pure
from ..checks import PACKAGE
from ..grad_mode import recording_into
from ..recorder import Recorder
from ..recording_errors import RecordingError
from ..shown import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType
    from typing import Any

    Part = tuple[float, array[float]]  # a shard's part of the mean loss, and of its gradients


def engine_of(parameter: object) -> ModuleType:
    """Return the engine whose Value this is, or raise a TypeError."""
    if isinstance(parameter, pure.Value):
        return pure
    compiled = sys.modules.get(f"{PACKAGE}compiled")  # it is there if it has made a Value
    if compiled is not None and isinstance(parameter, compiled.Value):
        return compiled
    raise TypeError(f"a parameter must be a Value, not {shown(parameter)}")


class Replica:
    """A copy of the model, the only one of its trainer in this process."""

    def __init__(self, model: Any, loss: Callable[..., Any]) -> None:
        self.model, self.loss = model, loss
        self.parameters = [*model.parameters()]
        self.kind = engine_of(self.parameters[0]).Value
        self.lock = threading.Lock()  # two threads may compute two shards, or one shard twice
        # shards by the ids of their recorded losses: no two may have the same
        self.recorded: weakref.WeakValueDictionary[int, Shard] = weakref.WeakValueDictionary()


class Shard:
    """Some of the examples, and their loss once it is recorded."""

    def __init__(self, replica: Replica, index: int, examples: list[Any], total: int) -> None:
        self.replica, self.index, self.examples, self.total = replica, index, examples, total
        self.recorded: Any = None

    def differentiate(self, numbers: array[float]) -> Part:
        """Return this shard's part of the mean loss, and of its gradients, at these parameters."""
        replica = self.replica
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
        # also the first time: a Value that the model has kept since an earlier call may have old
        # data and a gradient
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
                f"the loss returned {shown(loss)}, which is computed from no parameter: compute it "
                "with the model it is given"
            )
        other = self.replica.recorded.get(id(loss))
        if other is not None and other.recorded is loss and other.index != self.index:
            first, second = sorted([other.index, self.index])
            raise TypeError(
                f"the loss returned one Value for shards {first} and {second}: compute one for each"
            )
        self.replica.recorded[id(loss)] = self
        return loss

    def _check_kind(self, loss: Any) -> None:
        if not isinstance(loss, self.replica.kind):
            raise TypeError(
                "the loss must return a Value of the model's engine, or yield one for each "
                f"example, not {shown(loss)}"
            )
        if loss._is_unrecorded:
            raise ValueError(
                "the loss was computed under no_grad(), and has no gradients: compute it outside"
            )


# the replicas whose losses are being computed, one inside another
_computing: ContextVar[tuple[Replica, ...]] = ContextVar("micrograd.computing", default=())


def differentiate(shard: Shard, numbers: array[float]) -> Part:
    """Compute a shard's part in an empty context, in which no no_grad of the caller is open."""
    outer = _computing.get()
    if shard.replica in outer:
        raise RuntimeError("the loss calls backward() of the Trainer that computes it")
    context = Context()
    context.run(_computing.set, (*outer, shard.replica))
    return context.run(shard.differentiate, numbers)
