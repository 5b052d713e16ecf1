"""The networks of Andrej Karpathy's micrograd: `from micrograd.nn import MLP`.

They are those of `micrograd` with other defaults, his: weights are drawn from Python's own
`random`, so that `random.seed(1337)` counts, and are uniform in [-1, 1) whatever the number
of inputs; hidden layers are ReLU. A script of his trains the same network, digit for digit.
Where his silently ignores inputs that are too many these raise a ValueError.
"""

from __future__ import annotations

import random

from . import MLP as _MLP
from . import Layer as _Layer
from . import Module
from . import Neuron as _Neuron
from . import Value as Value  # his module has it, too

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import SupportsIndex

    from .types import SupportsUniform

__all__ = ["Module", "Neuron", "Layer", "MLP"]


def __dir__() -> list[str]:
    return [*__all__, "Value"]


class Neuron(_Neuron):
    """A neuron: the weighted sum of its inputs and its bias, and then ReLU.

    Args:
        nin: how many inputs it has.
        nonlin: False for a linear neuron, without ReLU.
        activation: "relu", or "tanh" in its place.
        rng: where the initial weights come from: uniform in [-1, 1), in order. Python's
            `random` module if None. The bias starts at 0.

    Raises:
        ValueError: nin is below 1, or there is no such activation.
        TypeError: nin is no integer, nonlin a text, or rng no generator.
    """

    _random = random

    def __init__(
        self,
        nin: SupportsIndex,
        nonlin: bool = True,
        activation: str = "relu",
        rng: SupportsUniform | None = None,
    ) -> None:
        super().__init__(nin, nonlin, activation, rng)

    def _initial_weight(self, rng: SupportsUniform, nin: int) -> float:
        return rng.uniform(-1, 1)


class Layer(_Layer):
    """Neurons side by side, all with the same inputs.

    Args:
        nin: how many inputs each neuron has.
        nout: how many neurons there are.
        **kwargs: what else Neuron takes.
    """

    _Neuron = Neuron


class MLP(_MLP):
    """A multi-layer perceptron: layers one after another, all ReLU but the last one.

    Args:
        nin: how many inputs the network has.
        nouts: the list of how many neurons each layer has; the last are the outputs.
        activation: of every layer but the last: "relu" or "tanh".
        rng: where the initial weights come from; Python's `random` module if None.

    Raises:
        ValueError: a size is below 1, or there is no layer.
        TypeError: a size is no integer, or rng no generator.

    Example:
        >>> random.seed(1337)
        >>> MLP(2, [1])
        MLP of [Layer of [LinearNeuron(2)]]
    """

    _Layer = Layer

    def __init__(
        self,
        nin: SupportsIndex,
        nouts: Iterable[SupportsIndex],
        activation: str = "relu",
        rng: SupportsUniform | None = None,
    ) -> None:
        super().__init__(nin, nouts, activation, rng)
