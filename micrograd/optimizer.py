"""Adam, AdamW and SGD over the tape: a step is one call into C."""

from __future__ import annotations

from . import pure
from .binding import call, ffi, lib, tape
from .pure import check_betas, check_parameters, check_steps, number
from .recording import refuse
from .value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .types import Number

__all__ = ["Adam", "AdamW", "SGD"]


class Optimizer(pure.Optimizer):
    """What the optimisers have in common: leaves of the tape, and their indices for C."""

    def __init__(self, parameters: Iterable[Value]) -> None:
        self._parameters = check_parameters(parameters, Value)
        self._find_indices()

    def _find_indices(self) -> None:
        self._indices = ffi.new("Index[]", [p._place for p in self._parameters])

    # copies and pickles take the parameters along, and those their moments

    def __getstate__(self) -> dict[str, Any]:
        return {name: x for name, x in vars(self).items() if name != "_indices"}

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        vars(self).update(attributes)
        self._find_indices()

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to 0."""
        refuse("zero_grad")
        lib.zero_grad(tape, self._indices, len(self._parameters))


class Adam(Optimizer):
    __doc__ = pure.Adam.__doc__

    _moments = pure.Adam._moments

    lr: float
    eps: float

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: Number = 0.01,
        betas: Iterable[Number] = (0.85, 0.99),
        eps: Number = 1e-8,
    ) -> None:
        self._start(parameters, betas, lr=lr, eps=eps)

    def _start(self, parameters: Iterable[Value], betas: Iterable[Number], **rates: Number) -> None:
        super().__init__(parameters)
        self.beta1, self.beta2 = check_betas(betas)
        for name, rate in rates.items():
            setattr(self, name, number(rate))
        self.t = 0
        call(lib.shared_adam_init, self._indices, len(self._parameters))

    def step(self) -> None:
        self._step(lib.shared_adam_step, 0.0)

    step.__doc__ = pure.Adam.step.__doc__

    def _step(self, take_step: Callable[..., int], weight_decay: Number) -> None:
        refuse("step")
        t = check_steps(self.t)
        rates = self.lr, self.eps, weight_decay, self.beta1, self.beta2, t
        lr, eps, weight_decay, beta1, beta2, before = [
            rate if type(rate) is float else number(rate) for rate in rates
        ]
        adam = ffi.new("Adam *", (lr, beta1, beta2, eps, weight_decay, before))
        try:
            call(take_step, adam, self._indices, len(self._parameters))
        finally:  # an interrupt may come after the step, too
            if adam.t != before:
                self.t = t + 1


class AdamW(Adam):
    __doc__ = pure.AdamW.__doc__

    weight_decay: float

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: Number = 1e-1,
        betas: Iterable[Number] = (0.9, 0.95),
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
    ) -> None:
        self._start(parameters, betas, lr=lr, eps=eps, weight_decay=weight_decay)

    def step(self) -> None:
        self._step(lib.shared_adamw_step, self.weight_decay)

    step.__doc__ = pure.AdamW.step.__doc__


class SGD(Optimizer):
    __doc__ = pure.SGD.__doc__

    def __init__(self, parameters: Iterable[Value], lr: Number = 1e-1) -> None:
        super().__init__(parameters)
        self.lr = number(lr)

    def step(self) -> None:
        """Move every parameter against its gradient."""
        refuse("step")
        lib.sgd_step(tape, number(self.lr), self._indices, len(self._parameters))
