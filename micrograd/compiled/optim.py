"""Adam, AdamW and SGD over the tape: a step is one call into C."""

from __future__ import annotations

from ..checks import check_beta, check_rate, check_steps, no_step, number
from ..grad_mode import recorder_blocks, refuse
from ..pure import optim as pure
from .binding import call, ffi, lib, raise_from, tape
from .value import Value, index_of, place_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..types import Number


class Optimizer(pure.Optimizer):
    """What the optimisers have in common: leaves of the tape, and their indices for C."""

    _for_c: tuple[str, ...] = ("_indices",)  # attributes that a copy makes anew

    _Value = Value

    def _take_parameters(self, parameters: Iterable[Value]) -> None:
        super()._take_parameters(parameters)
        self._find_indices()

    def _find_indices(self) -> None:
        self._indices = ffi.new("Index[]", [place_of(p) for p in self._parameters])

    # copies and pickles take the parameters along, and those their moments

    def __getstate__(self) -> dict[str, Any]:
        return {name: x for name, x in vars(self).items() if name not in self._for_c}

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        vars(self).update(attributes)
        self._find_indices()

    def _make_moments(self) -> None:
        call(lib.shared_adam_init, self._indices, len(self._parameters))

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to 0."""
        if recorder_blocks:
            refuse("zero_grad")
        lib.zero_grad(tape, self._indices, len(self._parameters))

    def _set_by_hand(self, out: list[Any]) -> None:
        """Take over moments that were deleted and set again by hand, or raise what C has said.

        C has both of a parameter or none, and these are attributes like others.
        """
        if not isinstance(out[-1], AttributeError):
            raise_from(out)
        self._numbers()  # raises what C has said if a moment is missing
        lost = [p for p in self._parameters if not lib.tape_moments(tape, index_of(p))]
        moments = [(number(getattr(p, "m", 0.0)), number(getattr(p, "v", 0.0))) for p in lost]
        for p, numbers in zip(lost, moments):
            call(lib.shared_adam_init, ffi.new("Index *", index_of(p)), 1)
            p.m, p.v = numbers


_set = object.__setattr__  # for what steps set: it does not look at the name
_NO_RATES: tuple[Any, ...] = (object(),) * 4  # which no rate is


class Adam(Optimizer, pure.Adam):
    __doc__ = pure.Adam.__doc__

    _for_c = ("_indices", "_adam", "_checked")

    def _find_indices(self) -> None:
        super()._find_indices()
        self._adam, self._checked = ffi.new("Adam *"), _NO_RATES

    def step(self) -> None:
        self._step_in_c(lib.shared_adam_step, 0.0)

    step.__doc__ = pure.Adam.step.__doc__

    def _step_in_c(self, take_step: Callable[..., int], weight_decay: Number) -> None:
        if recorder_blocks:
            refuse("step")
        adam = self._adam
        lr, eps, beta1, beta2 = self.lr, self.eps, self.beta1, self.beta2
        if type(lr) is not float or not lr >= 0:
            lr = check_rate(lr, "lr")
        a, b, c, d = self._checked
        if not (eps is a and weight_decay is b and beta1 is c and beta2 is d):
            rates = eps, weight_decay, beta1, beta2
            numbers = [
                check_rate(eps, "eps"),
                check_rate(weight_decay, "weight_decay"),
                check_beta(beta1, "beta1"),
                check_beta(beta2, "beta2"),
            ]
            _set(self, "_checked", _NO_RATES)  # these may have run code of the user's
            adam.eps, adam.weight_decay, adam.beta1, adam.beta2 = numbers
            if {*map(type, rates)} <= {float, int}:  # others can change
                _set(self, "_checked", rates)
        adam.lr = lr  # which often changes from step to step
        t = before = self.t
        if type(t) is not int or not 0 <= t < 2**53:
            t = check_steps(t)
        adam.t = t
        out: list[Any] = []
        try:
            _set(self, "t", t + 1)  # before the step, because it may find no memory
            if take_step(adam, self._indices, len(self._parameters), id(out)) < 0:
                if isinstance(out[-1], ZeroDivisionError):
                    out[-1] = no_step(out[-1], eps)
                self._set_by_hand(out)
                call(take_step, adam, self._indices, len(self._parameters))
        finally:  # an interrupt may come before the step or after it
            if adam.t == t:
                _set(self, "t", before)


class AdamW(Adam, pure.AdamW):
    __doc__ = pure.AdamW.__doc__

    def step(self) -> None:
        self._step_in_c(lib.shared_adamw_step, self.weight_decay)

    step.__doc__ = pure.AdamW.step.__doc__


class SGD(Optimizer, pure.SGD):
    __doc__ = pure.SGD.__doc__

    def step(self) -> None:
        if recorder_blocks:
            refuse("step")
        lr, momentum = self.lr, self.momentum
        if type(lr) is not float or not lr >= 0:
            lr = check_rate(lr, "lr")
        if type(momentum) is not float or momentum:
            momentum = self._checked_momentum()
            if momentum:
                self._step_with_momentum(lr, momentum)
                return
        lib.sgd_step(tape, lr, self._indices, len(self._parameters))

    step.__doc__ = pure.SGD.step.__doc__

    def _step_with_momentum(self, lr: float, momentum: float) -> None:
        if not self._moments:  # it has been set since
            self._start_momentum()
        out: list[Any] = []
        arguments = lr, momentum, self._indices, len(self._parameters)
        if lib.shared_sgd_momentum_step(*arguments, id(out)) < 0:
            self._set_by_hand(out)
            call(lib.shared_sgd_momentum_step, *arguments)
