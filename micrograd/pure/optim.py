"""Optimisers: Adam, AdamW and SGD."""

from __future__ import annotations

from ..checkpoint import SavedOptimizer
from ..checks import (
    PACKAGE,
    check_beta,
    check_betas,
    check_parameters,
    check_rate,
    check_steps,
    is_number,
    no_step,
    number,
    warn_of_repeats,
)
from ..grad_mode import refuse
from .arithmetic import divide, power
from .value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..types import Number, State

LOST = "a parameter has lost the moments that its optimiser keeps with it"


class Optimizer(SavedOptimizer):
    """What the optimisers have in common."""

    _Value = Value  # which the compiled engine replaces by its own
    _names: tuple[str, ...] = ()  # of the attributes that may be set between steps

    def _take_parameters(self, parameters: Iterable[Value]) -> None:
        self._parameters = check_parameters(parameters, self._Value)
        warn_of_repeats(self._parameters)

    if not TYPE_CHECKING:  # type checkers know which attributes there are

        def __setattr__(self, name: str, x: object) -> None:
            """Set an attribute, but not one that no step looks at. Subclasses may have any."""
            kind = type(self)
            if name in self._names:
                if not is_number(x) and kind.__module__.startswith(PACKAGE):
                    number(x, name)
            elif not name.startswith("_"):
                if kind.__module__.startswith(PACKAGE) and not hasattr(kind, name):
                    raise AttributeError(
                        f"{kind.__name__} has no attribute {name!r}, but has "
                        f"{', '.join(self._names)}; a name of your own may start with _"
                    )
            super().__setattr__(name, x)

    def __repr__(self) -> str:
        n = len(self._parameters)
        rates = [f"{name}={x!r}" for name, x in self._rates().items()]
        parameters = f"{n} parameter" if n == 1 else f"{n} parameters"
        return f"{type(self).__name__}({', '.join([parameters, *rates])})"

    def _rates(self) -> dict[str, Any]:
        """Return the constructor's other arguments, as they are now."""
        return {name: getattr(self, name) for name in self._names}

    def _make_moments(self) -> None:
        for p in self.parameters:
            p.m = 0.0  # first moment: the mean of the gradient (SGD: its sum, which fades)
            p.v = 0.0  # second moment: the mean of its square (SGD: not used)

    def _numbers(self) -> list[tuple[float, ...]]:
        """Return each parameter's number and moments."""
        names = ("data", *self._moments)
        try:
            return [tuple(getattr(p, name) for name in names) for p in self.parameters]
        except AttributeError:
            raise AttributeError(LOST) from None

    def _restore(self, before: list[tuple[float, ...]]) -> None:
        for p, numbers in zip(self.parameters, before):
            for name, x in zip(("data", *self._moments), numbers):
                setattr(p, name, x)

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to 0."""
        refuse("zero_grad")
        for p in self._parameters:
            p.grad = 0


class Adam(Optimizer):
    """The Adam optimiser, with the arithmetic and the default arguments of karpathy's microgpt.

    Args:
        parameters: a list of leaf Values.
        lr: the learning rate.
        betas: the decay rates of the first and the second moment, each in [0, 1).
        eps: what keeps the divisor from 0.

    Attributes:
        t: steps taken. lr, beta1, beta2, eps: may be set between steps.
        Each parameter p has its moments, p.m and p.v.

    Raises:
        TypeError: a parameter is no Value, or an argument no number.
        ValueError: there are no parameters, one is no leaf, or a rate is out of range.

    Warns:
        UserWarning: a parameter is in the list more than once.

    Example:
        >>> p = Value(1.0)
        >>> optimizer = Adam([p], lr=0.25, eps=0)
        >>> p.grad = 3.0
        >>> optimizer.step()
        >>> p.data
        0.75

    Source: Kingma, Ba, "Adam: a method for stochastic optimization", 2015,
    https://arxiv.org/abs/1412.6980; Karpathy, "microgpt", 2026,
    https://gist.github.com/karpathy/8627fe009c40f57531cb18360106ce95
    """

    _moments = ("m", "v")
    _names: tuple[str, ...] = ("lr", "beta1", "beta2", "eps", "t")

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
        self._take_parameters(parameters)
        self.beta1, self.beta2 = check_betas(betas)
        for name, rate in rates.items():
            setattr(self, name, check_rate(rate, name))
        self.t = 0
        self._make_moments()

    def _rates(self) -> dict[str, Any]:
        return {"lr": self.lr, "betas": (self.beta1, self.beta2), "eps": self.eps}

    def step(self) -> None:
        """Move every parameter against its gradient.

        Raises:
            OverflowError: a gradient's square is too large for a float.
            ZeroDivisionError: eps and a second moment are both 0.
            TypeError, ValueError: t is no integer, or out of range; a rate is no number, or
                negative.
            AttributeError: a parameter has lost its moments.
            Every parameter and moment is then as it was before.
        """
        lr, eps = check_rate(self.lr, "lr"), check_rate(self.eps, "eps")
        self._step(lambda p, m_hat, root: divide(lr * m_hat, root + eps))

    def _step(self, change: Callable[[Value, float, float], float]) -> None:
        """Take one step. `change` says by how much p shrinks, from its two moments."""
        refuse("step")
        beta1, beta2 = check_beta(self.beta1, "beta1"), check_beta(self.beta2, "beta2")
        t = check_steps(self.t) + 1
        decay1, decay2 = power(beta1, number(t)), power(beta2, number(t))
        before = self._numbers()
        try:
            for p in self.parameters:
                p.m = beta1 * p.m + (1 - beta1) * p.grad
                p.v = beta2 * p.v + (1 - beta2) * power(p.grad, 2.0)
                m_hat = divide(p.m, 1 - decay1)
                v_hat = divide(p.v, 1 - decay2)
                p.data -= change(p, m_hat, power(v_hat, 0.5))
        except BaseException as problem:
            self._restore(before)
            if isinstance(problem, ZeroDivisionError):
                raise no_step(problem, self.eps) from None
            raise
        self.t = t


class AdamW(Adam):
    """The AdamW optimiser, as the course's and PyTorch's: Adam with decoupled weight decay.

    Args:
        parameters: a list of leaf Values.
        lr: the learning rate.
        betas: the decay rates of the first and the second moment, each in [0, 1).
        eps: what keeps the divisor from 0.
        weight_decay: how fast parameters shrink.

    Attributes:
        t: steps taken. lr, beta1, beta2, eps, weight_decay: may be set between steps.
        Each parameter p has its moments, p.m and p.v.

    Raises:
        TypeError: a parameter is no Value, or an argument no number.
        ValueError: there are no parameters, one is no leaf, or a rate is out of range.

    Warns:
        UserWarning: a parameter is in the list more than once.

    Source: Loshchilov, Hutter, "Decoupled weight decay regularization", 2019,
    https://arxiv.org/abs/1711.05101
    """

    _names = ("lr", "beta1", "beta2", "eps", "weight_decay", "t")

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

    def _rates(self) -> dict[str, Any]:
        return {**super()._rates(), "weight_decay": self.weight_decay}

    def step(self) -> None:
        lr, eps = check_rate(self.lr, "lr"), check_rate(self.eps, "eps")
        weight_decay = check_rate(self.weight_decay, "weight_decay")
        self._step(lambda p, m_hat, root: lr * (divide(m_hat, root + eps) + weight_decay * p.data))

    step.__doc__ = Adam.step.__doc__


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum as PyTorch's.

    Without momentum p.data -= lr * p.grad. With it p.m = momentum * p.m + p.grad, and
    p.data -= lr * p.m.

    Args:
        parameters: a list of leaf Values.
        lr: the learning rate.
        momentum: how much of the last step goes into the next one: 0 for none, often 0.9.

    Attributes:
        lr, momentum: may be set between steps.
        With momentum each parameter p has its moment p.m, and a p.v, which stays 0.

    Raises:
        TypeError: a parameter is no Value, or an argument no number.
        ValueError: there are no parameters, one is no leaf, or a rate is negative.

    Warns:
        UserWarning: a parameter is in the list more than once.

    Example:
        >>> p = Value(1.0)
        >>> optimizer = SGD([p], lr=0.25, momentum=0.5)
        >>> p.grad = 1.0
        >>> optimizer.step()
        >>> optimizer.step()
        >>> p.data
        0.375
    """

    _names = ("lr", "momentum")

    momentum: float = 0.0  # of those that were pickled before there was any

    def __init__(
        self, parameters: Iterable[Value], lr: Number = 1e-1, momentum: Number = 0.0
    ) -> None:
        self._take_parameters(parameters)
        self.lr = check_rate(lr, "lr")
        self.momentum = check_rate(momentum, "momentum")
        self._moments = ()
        if self.momentum:
            self._start_momentum()

    def _completed(self, state: State) -> tuple[State, tuple[str, ...]]:
        return {"momentum": 0.0, **state}, ("m",) if "m" in state else ()

    def _checked_momentum(self) -> float:
        """Return the momentum of the next step. A subclass may use that name for its own."""
        if not self._moments and not type(self).__module__.startswith(PACKAGE):
            return 0.0
        return check_rate(self.momentum, "momentum")

    def _start_momentum(self) -> None:
        self._make_moments()
        self._moments = ("m",)

    def step(self) -> None:
        """Move every parameter against its gradient.

        Raises:
            TypeError, ValueError: a rate is no number, or negative.
            AttributeError: a parameter has lost its moment.
            Every parameter and moment is then as it was before.
        """
        refuse("step")
        lr, momentum = check_rate(self.lr, "lr"), self._checked_momentum()
        if momentum:
            self._step_with_momentum(lr, momentum)
            return
        for p in self.parameters:
            p.data -= lr * p.grad

    def _step_with_momentum(self, lr: float, momentum: float) -> None:
        if not self._moments:  # it has been set since
            self._start_momentum()
        before = self._numbers()
        try:
            for p in self.parameters:
                p.m = momentum * p.m + p.grad
                p.data -= lr * p.m
        except BaseException:
            self._restore(before)
            raise
