"""Optimisers: Adam, AdamW and SGD."""

from __future__ import annotations

from ..checkpoint import SavedOptimizer
from ..checks import check_betas, check_parameters, check_steps, number
from ..grad_mode import refuse
from .arithmetic import divide, power
from .value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..types import Number


class Optimizer(SavedOptimizer):
    """What the optimisers have in common."""

    _Value = Value  # which the compiled engine replaces by its own

    def _take_parameters(self, parameters: Iterable[Value]) -> None:
        self._parameters = check_parameters(parameters, self._Value)

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
        ValueError: a parameter is no leaf, or a beta out of range.

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
            setattr(self, name, number(rate))
        self.t = 0
        self._make_moments()

    def _make_moments(self) -> None:
        for p in self.parameters:
            p.m = 0.0  # first moment: the mean of the gradient
            p.v = 0.0  # second moment: the mean of its square

    def step(self) -> None:
        """Move every parameter against its gradient.

        Raises:
            OverflowError: a gradient's square is too large for a float.
            ZeroDivisionError: eps and a second moment are both 0.
            TypeError, ValueError: t is no integer, or out of range; a rate is no number.
            Every parameter and moment is then as it was before.
        """
        lr, eps = number(self.lr), number(self.eps)
        self._step(lambda p, m_hat, root: divide(lr * m_hat, root + eps))

    def _step(self, change: Callable[[Value, float, float], float]) -> None:
        """Take one step. `change` says by how much p shrinks, from its two moments."""
        refuse("step")
        beta1, beta2, t = number(self.beta1), number(self.beta2), check_steps(self.t) + 1
        decay1, decay2 = power(beta1, number(t)), power(beta2, number(t))
        before = [(p.data, p.m, p.v) for p in self.parameters]
        try:
            for p in self.parameters:
                p.m = beta1 * p.m + (1 - beta1) * p.grad
                p.v = beta2 * p.v + (1 - beta2) * power(p.grad, 2.0)
                m_hat = divide(p.m, 1 - decay1)
                v_hat = divide(p.v, 1 - decay2)
                p.data -= change(p, m_hat, power(v_hat, 0.5))
        except BaseException:
            for p, (data, m, v) in zip(self.parameters, before):
                p.data, p.m, p.v = data, m, v
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
        ValueError: a parameter is no leaf, or a beta out of range.

    Source: Loshchilov, Hutter, "Decoupled weight decay regularization", 2019,
    https://arxiv.org/abs/1711.05101
    """

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
        lr, eps, weight_decay = number(self.lr), number(self.eps), number(self.weight_decay)
        self._step(lambda p, m_hat, root: lr * (divide(m_hat, root + eps) + weight_decay * p.data))

    step.__doc__ = Adam.step.__doc__


class SGD(Optimizer):
    """Stochastic gradient descent: p.data -= lr * p.grad.

    Args:
        parameters: a list of leaf Values.
        lr: the learning rate; may be set between steps.

    Raises:
        TypeError: a parameter is no Value, or lr no number.
        ValueError: a parameter is no leaf.
    """

    def __init__(self, parameters: Iterable[Value], lr: Number = 1e-1) -> None:
        self._take_parameters(parameters)
        self.lr = number(lr)

    def step(self) -> None:
        """Move every parameter against its gradient."""
        refuse("step")
        lr = number(self.lr)
        for p in self.parameters:
            p.data -= lr * p.grad
