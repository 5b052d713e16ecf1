"""Networks: neurons, layers of them, and layers one after another."""

from __future__ import annotations

from ..checkpoint import SavedModule, SavedOptimizer, load_network
from ..checks import (
    ACTIVATIONS,
    check_activation,
    check_generator,
    check_inputs,
    check_lists,
    check_nonlin,
    check_numbers,
    check_point,
    check_sizes,
    check_weights,
    count,
    listed,
)
from ..grad_mode import refuse
from ..shown import shown
from ..summary import summary
from .rng import RNG, random
from .value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, SupportsIndex

    from ..types import Number, Path, SupportsUniform


class Module(SavedModule):
    """What neurons, layers and networks have in common."""

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to 0."""
        refuse("zero_grad")
        parameters = list(self.parameters())
        check_weights(parameters)
        for p in parameters:
            p.grad = 0

    def num_parameters(self) -> int:
        """Return how many parameters there are; one that is shared counts once."""
        return len({id(p): p for p in self.parameters()})  # a subclass may have an == of its own

    def summary(self) -> str:
        """Return a table of the layers: name, shape, activation, how many parameters; then all.

        The names are those of `state_dict()`. Of a module of your own each attribute has a line
        that is a module or a list of modules, a Value or a list of Values. A parameter that is
        shared counts where it comes first.

        Example:
            >>> print(MLP(2, [16, 3]).summary())
            layer     shape    activation  parameters
            layers.0  2 -> 16  tanh                48
            layers.1  16 -> 3  linear              51
            total                                  99
        """
        return summary(self)


class _Drawn(Module):
    """What a notebook shows as a picture."""

    def _repr_html_(self) -> str:
        from ..pictures.network import network_in_notebook

        return network_in_notebook(self, layers_of)


class Neuron(_Drawn):
    """A neuron: the weighted sum of its inputs and its bias, through its activation.

    Args:
        nin: how many inputs it has.
        nonlin: False for a linear neuron, without activation.
        activation: "tanh" (the course) or "relu" (Karpathy's micrograd).
        rng: where the initial weights come from: uniform in [-1, 1) / nin**0.5, in
            order. `micrograd.random` if None. The bias starts at 0.

    Attributes:
        w: the list of nin weights. b: the bias. Either may be replaced by other Values.

    Raises:
        ValueError: nin is below 1, or there is no such activation.
        TypeError: nin is no integer, nonlin a text, or rng no generator; in a call, a weight or the
            bias is no Value.
    """

    _Value = Value  # which the compiled engine replaces by its own, and so the generator
    _random: SupportsUniform = random

    def __init__(
        self,
        nin: SupportsIndex,
        nonlin: bool = True,
        activation: str = "tanh",
        rng: SupportsUniform | None = None,
    ) -> None:
        nin = count(nin, "nin", least=1)
        self.activation = check_activation(activation)
        self.nonlin = check_nonlin(nonlin)
        rng = self._random if rng is None else rng
        check_generator(rng)
        self.w = [self._Value(self._initial_weight(rng, nin)) for _ in range(nin)]
        self.b = self._Value(0)

    def _initial_weight(self, rng: SupportsUniform, nin: int) -> float:
        """Return an initial weight. They are scaled so that the sum does not grow with nin."""
        weight: float = rng.uniform(-1, 1) * nin**-0.5
        return weight

    def __call__(self, x: Iterable[Value | Number]) -> Value:
        """Return the neuron's output (a Value) for x, a list of nin numbers or Values."""
        x = check_point(x)
        if not isinstance(self.w, (list, tuple)):
            check_lists(**{"a neuron's w": self.w})
        check_inputs(x, len(self.w))
        x = check_numbers(x, self._Value)
        if {*map(type, self.w), type(self.b)} != {self._Value}:  # or of a subclass
            check_weights(self.w, "a neuron's w[{}]")
            check_weights([self.b], "a neuron's b")
        act = self.b
        for wi, xi in zip(self.w, x):
            act = act + wi * xi
        if not self.nonlin:
            return act
        return act.tanh() if check_activation(self.activation) == "tanh" else act.relu()

    def parameters(self) -> list[Value]:
        """Return the weights in order, then the bias."""
        return [*self.w, self.b]

    def _summary_row(self) -> tuple[str, str] | None:
        return f"{len(self.w)} -> 1", self.activation if self.nonlin else "linear"

    def __repr__(self) -> str:
        kind = ACTIVATIONS.get(self.activation, "?") if self.nonlin else "Linear"
        return f"{kind}Neuron({len(self.w) if hasattr(self.w, '__len__') else '?'})"


class Layer(_Drawn):
    """Neurons side by side, all with the same inputs.

    Args:
        nin: how many inputs each neuron has.
        nout: how many neurons there are.
        **kwargs: what else Neuron takes.
    """

    _Neuron = Neuron

    def __init__(self, nin: SupportsIndex, nout: SupportsIndex, **kwargs: Any) -> None:
        self.neurons = [self._Neuron(nin, **kwargs) for _ in range(count(nout, "nout", least=1))]

    def __call__(self, x: Iterable[Value | Number]) -> Any:
        """Return the list of the neurons' outputs, or the one Value if there is one neuron."""
        x = check_point(x)
        out = [n(x) for n in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Value]:
        """Return the neurons' parameters, neuron by neuron."""
        return [p for n in self.neurons for p in n.parameters()]

    def _summary_row(self) -> tuple[str, str] | None:
        rows = {n._summary_row() if isinstance(n, Neuron) else None for n in self.neurons}
        row = rows.pop() if len(rows) == 1 else None
        return row and (f"{len(self.neurons[0].w)} -> {len(self.neurons)}", row[1])

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(str(n) for n in self.neurons)}]"


class MLP(_Drawn):
    """A multi-layer perceptron: layers one after another, the last one linear.

    Args:
        nin: how many inputs the network has.
        nouts: the list of how many neurons each layer has; the last are the outputs.
        activation: of every layer but the last: "tanh" or "relu".
        rng: where the initial weights come from; `micrograd.random` if None.

    Raises:
        ValueError: a size is below 1, or there is no layer.
        TypeError: a size is no integer, or rng no generator.

    Example:
        >>> model = MLP(2, [16, 3])
        >>> len(model.parameters())
        99
    """

    _Value, _Layer = Value, Layer

    def __init__(
        self,
        nin: SupportsIndex,
        nouts: Iterable[SupportsIndex],
        activation: str = "tanh",
        rng: SupportsUniform | None = None,
    ) -> None:
        sizes = check_sizes(nin, nouts, activation, rng)
        last = len(sizes) - 2
        self.layers = [
            self._Layer(sizes[i], sizes[i + 1], nonlin=i != last, activation=activation, rng=rng)
            for i in range(len(sizes) - 1)
        ]

    def __call__(self, x: Iterable[Value | Number]) -> Any:
        """Return the list of outputs (Values), or the one Value if there is one output.

        Args:
            x: a list of nin numbers or Values.

        Raises:
            ValueError: x has another length; the message has both numbers.
        """
        for layer in self.layers:
            x = layer([x] if isinstance(x, self._Value) else x)
        return x

    def parameters(self) -> list[Value]:
        """Return the layers' parameters, layer by layer."""
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(str(layer) for layer in self.layers)}]"


def is_called_as(x: object, kind: type[Neuron | Layer | MLP]) -> bool:
    """Tell whether x is of this kind, or of a subclass that has no __call__ of its own."""
    return type(x) is kind or (isinstance(x, kind) and type(x).__call__ is kind.__call__)


def layers_of(model: Any, instead: str = "") -> list[list[Neuron]]:
    """Return the neurons of each layer of a network, or raise an error that says what is wrong.

    There is a layer, each has neurons, and each of these as many weights as there are neurons
    before it, or inputs, at least one. Weights and biases are Values. Layers and neurons may be of
    classes of the user's own.

    Args:
        instead: what is added to the message if the model is no network.
    """
    if not isinstance(model, (MLP, Layer, Neuron)):
        raise TypeError(f"a network is an MLP, a Layer or a Neuron, not {shown(model)}{instead}")
    parts: list[Any] = [*model.layers] if isinstance(model, MLP) else [model]
    layers: list[list[Neuron]] = []
    inputs = 0
    for i, layer in enumerate(parts):
        if not hasattr(layer, "neurons") and not hasattr(layer, "w"):
            raise TypeError(f"layer {i} must be a Layer or a Neuron, not {shown(layer)}")
        neurons = [*layer.neurons] if hasattr(layer, "neurons") else [layer]
        if not neurons:
            raise ValueError(f"layer {i} has no neurons")
        for n in neurons:
            if not hasattr(n, "w"):
                raise TypeError(f"a neuron of layer {i} must be a Neuron, not {shown(n)}")
            weights = listed(n.w, "a neuron's w")
            check_weights(weights, "a neuron's w[{}]")
            check_weights([n.b], "a neuron's b")
            inputs = inputs or len(weights)
            if not weights:
                raise ValueError(f"a neuron of layer {i} has no weights")
            if len(weights) != inputs:
                raise ValueError(
                    f"a neuron of layer {i} has {len(weights)} weights for {inputs} inputs"
                )
        layers.append(neurons)
        inputs = len(neurons)
    if not layers:
        raise ValueError("the MLP has no layers")
    return layers


def save(model: SavedModule, path: Path, optimizer: SavedOptimizer | None = None) -> None:
    """Write a model's numbers to a file, as `model.save(path, optimizer)` does.

    Args:
        model: a Module.
        path: the file, in JSON. It is replaced as a whole or not at all.
        optimizer: whose state goes into the same file, to resume training from.

    Raises:
        TypeError: the model is no Module.
        What `Module.save` raises. An old file is then as it was before.
    """
    if not isinstance(model, SavedModule):
        raise TypeError(f"save(model, path) takes a Module first, not {shown(model)}")
    model.save(path, optimizer)


def load(path: Path) -> Any:
    """Make the network anew that `save` has written to a file.

    Files from strangers are safe to load: nothing in them can run, and time and memory are in
    proportion to their size.

    Args:
        path: the file of a Neuron, a Layer or an MLP. For another module, or a network
            that has been changed since it was made (other neurons, shared parameters),
            make one like it and call its own `load`.

    Returns:
        The network. `micrograd.random` is not used for it.

    Raises:
        ValueError: it is no such file, not all of it, or a folder.
        OSError: it cannot be read.

    Example:
        >>> MLP(2, [16, 3]).save("model.json")
        >>> len(load("model.json").parameters())
        99
    """
    return load_network(path, [Neuron, Layer, MLP], RNG(1))
