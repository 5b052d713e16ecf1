"""The same network and the same run in PyTorch, in double precision, to compare with.

The names that `micrograd.run` uses, over torch tensors: the losses agree with micrograd's
to about 14 digits, not by bits, because PyTorch adds in another order. torch is imported
when something is used, not before.
"""

from __future__ import annotations

from .checks import check_split, check_target, check_threshold, needed
from .pure import RNG, gen_data, gen_data_circles, gen_data_yinyang
from .pure.loss import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .types import Number, Point, SupportsUniform

__all__ = [
    "RNG",
    "gen_data",
    "gen_data_circles",
    "gen_data_yinyang",
    "MLP",
    "cross_entropy",
    "mean_cross_entropy",
    "eval_split",
    "accuracy",
    "AdamW",
]


def torch_package() -> Any:
    """Return PyTorch, or raise an ImportError that says how to install it."""
    return needed("torch", "this needs PyTorch: pip install torch")


class MLP:
    """A multi-layer perceptron like `micrograd.MLP`, each layer a weight and a bias tensor.

    Args:
        nin: how many inputs the network has.
        nouts: the list of how many neurons each layer has.
        rng: where the initial weights come from, in the order in which micrograd's
            network draws them.
    """

    def __init__(self, nin: int, nouts: list[int], rng: SupportsUniform) -> None:
        torch = torch_package()
        self.layers: list[tuple[Any, Any]] = []
        for n, nout in zip([nin, *nouts], nouts):
            rows = [[rng.uniform(-1, 1) * n**-0.5 for _ in range(n)] for _ in range(nout)]
            weight = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
            bias = torch.zeros(nout, dtype=torch.float64, requires_grad=True)
            self.layers.append((weight, bias))

    def __call__(self, x: Any) -> Any:
        """Return the logits, shape (n, outputs), for x, a float64 tensor of shape (n, inputs)."""
        for i, (weight, bias) in enumerate(self.layers):
            x = x @ weight.T + bias
            if i < len(self.layers) - 1:
                x = x.tanh()
        return x

    def parameters(self) -> list[Any]:
        """Return the weight and the bias tensor of each layer."""
        return [p for layer in self.layers for p in layer]


def cross_entropy(logits: Any, target: int) -> Any:
    """The negative log likelihood of the target class.

    Args:
        logits: a tensor of shape (classes,).
        target: the index of the right class.
    """
    target = check_target(target, len(logits))
    return -logits.log_softmax(-1)[target]


def mean_cross_entropy(model: Callable[[Any], Any], split: Iterable[Point]) -> Any:
    """The model's mean cross-entropy over a list of (x, label): a tensor with no dimensions."""
    torch = torch_package()
    xs, labels = zip(*check_split(split))
    logits = model(torch.tensor(xs, dtype=torch.float64))
    return torch.nn.functional.cross_entropy(logits, torch.tensor(labels))


def eval_split(model: Callable[[Any], Any], split: Iterable[Point]) -> float:
    """The number that `mean_cross_entropy` computes (a float), without a graph."""
    with torch_package().no_grad():
        loss: float = mean_cross_entropy(model, split).item()
    return loss


def accuracy(model: Callable[[Any], Any], split: Iterable[Point], threshold: Number = 0.0) -> float:
    """The share of points that the model has right, as `micrograd.accuracy` counts them."""
    torch, threshold = torch_package(), check_threshold(threshold)
    xs, labels = zip(*check_split(split))
    with torch.no_grad():
        logits = model(torch.tensor(xs, dtype=torch.float64))
    return counted(zip(logits.tolist(), labels), threshold)


def AdamW(
    parameters: Iterable[Any],
    lr: float = 1e-1,
    betas: tuple[float, float] = (0.9, 0.95),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Any:
    """torch.optim.AdamW with micrograd's default arguments."""
    return torch_package().optim.AdamW(
        parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay
    )
