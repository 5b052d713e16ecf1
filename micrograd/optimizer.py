"""AdamW and SGD over the tape: a step is one call into C."""

from . import pure
from .binding import error, ffi, lib
from .pure import check_betas, check_parameters, number
from .value import Value

__all__ = ["AdamW", "SGD"]


class Optimizer:
    """What the optimisers have in common: leaves of the tape, and their indices for C."""

    def __init__(self, parameters):
        self._parameters = check_parameters(parameters, Value)
        self._indices = ffi.new("Index[]", [p._index for p in self._parameters])

    def __reduce__(self):
        # copies and pickles take the parameters along, and those their moments
        rates = {k: v for k, v in vars(self).items() if k not in ("_parameters", "_indices")}
        return _restored, (type(self), self._parameters, rates)

    @property
    def parameters(self):
        """The parameters, a tuple of Values. Another list needs another optimiser."""
        return self._parameters

    def zero_grad(self):
        """Set the gradients of all parameters to 0."""
        if lib.shared_zero_grad(self._indices, len(self._parameters)) < 0:
            raise error()


def _restored(kind, parameters, rates):
    optimizer = kind.__new__(kind)
    Optimizer.__init__(optimizer, parameters)
    vars(optimizer).update(rates)
    return optimizer


class AdamW(Optimizer):
    __doc__ = pure.AdamW.__doc__

    def __init__(self, parameters, lr=1e-1, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0):
        super().__init__(parameters)
        self.beta1, self.beta2 = check_betas(betas)
        self.lr = number(lr)
        self.eps = number(eps)
        self.weight_decay = number(weight_decay)
        self.t = 0
        if lib.shared_adamw_init(self._indices, len(self._parameters)) < 0:
            raise error()

    def step(self):
        rates = self.lr, self.beta1, self.beta2, self.eps, self.weight_decay, self.t
        adamw = ffi.new("AdamW *", [number(rate) for rate in rates])
        before = adamw.t
        try:
            if lib.shared_adamw_step(adamw, self._indices, len(self._parameters)) < 0:
                raise error()
        finally:  # an interrupt may come after the step, too
            if adamw.t != before:
                self.t += 1

    step.__doc__ = pure.AdamW.step.__doc__


class SGD(Optimizer):
    __doc__ = pure.SGD.__doc__

    def __init__(self, parameters, lr=1e-1):
        super().__init__(parameters)
        self.lr = number(lr)

    def step(self):
        """Move every parameter against its gradient."""
        lr = number(self.lr)
        if lib.shared_sgd_step(lr, self._indices, len(self._parameters)) < 0:
            raise error()
