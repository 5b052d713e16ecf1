"""Adam, AdamW and SGD over the tape: a step is one call into C."""

from __future__ import annotations

from operator import is_

from . import pure
from .binding import call, ffi, lib, raise_from, tape
from .pure import check_betas, check_parameters, check_steps, number
from .recording import _recorders, refuse
from .value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .types import Number

__all__ = ["Adam", "AdamW", "SGD"]


class Optimizer(pure.Optimizer):
    """What the optimisers have in common: leaves of the tape, and their indices for C."""

    _for_c: tuple[str, ...] = ("_indices",)  # attributes that a copy makes anew

    def __init__(self, parameters: Iterable[Value]) -> None:
        self._parameters = check_parameters(parameters, Value)
        self._find_indices()

    def _find_indices(self) -> None:
        self._indices = ffi.new("Index[]", [p._place for p in self._parameters])

    # copies and pickles take the parameters along, and those their moments

    def __getstate__(self) -> dict[str, Any]:
        return {name: x for name, x in vars(self).items() if name not in self._for_c}

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        vars(self).update(attributes)
        self._find_indices()

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to 0."""
        if _recorders:
            refuse("zero_grad")
        lib.zero_grad(tape, self._indices, len(self._parameters))


_NO_RATES: tuple[Any, ...] = (object(),) * 5  # which no rate is


class Adam(Optimizer):
    __doc__ = pure.Adam.__doc__

    _moments = pure.Adam._moments
    _for_c = ("_indices", "_adam", "_rates")

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

    def _find_indices(self) -> None:
        super()._find_indices()
        self._adam, self._rates = ffi.new("Adam *"), _NO_RATES

    def step(self) -> None:
        self._step(lib.shared_adam_step, 0.0)

    step.__doc__ = pure.Adam.step.__doc__

    def _step(self, take_step: Callable[..., int], weight_decay: Number) -> None:
        if _recorders:
            refuse("step")
        adam = self._adam
        rates = self.lr, self.eps, weight_decay, self.beta1, self.beta2
        if not all(map(is_, rates, self._rates)):
            numbers = [*map(number, rates)]  # that may run code of the user's
            self._rates = _NO_RATES
            adam.lr, adam.eps, adam.weight_decay, adam.beta1, adam.beta2 = numbers
            if {*map(type, rates)} <= {float, int}:  # others can change
                self._rates = rates
        t = self.t
        if type(t) is not int or not 0 <= t < 2**53:
            t = check_steps(t)
        adam.t = t
        out: list[Any] = []
        try:
            if take_step(adam, self._indices, len(self._parameters), id(out)) < 0:
                raise_from(out)
        finally:  # an interrupt may come after the step, too
            if adam.t != t:
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
