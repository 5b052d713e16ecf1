"""Neuron, Layer, MLP and the loss over a data set: a whole call is one call into C."""

from __future__ import annotations

import functools
import marshal
import operator
import weakref

from . import data, pure
from .binding import call, ffi, lib, tape
from .functions import cross_entropy
from .pure import (
    ACTIVATIONS,
    check_activation,
    check_generator,
    check_sizes,
    check_split,
    check_target,
    count,
    number,
)
from .recorded import Integer
from .recording import no_grad, refuse
from .state import load_network
from .value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping
    from typing import Any, SupportsIndex

    from .types import Model, Number, Path, Split, SupportsUniform

    # of each layer, of each neuron: how many inputs it has, nonlin and activation
    Shape = list[list[tuple[int, bool, str]]]

__all__ = [
    "Module", "Neuron", "Layer", "MLP", "load",
    "cross_entropy", "mean_cross_entropy", "eval_split",
]

_OPS = {"tanh": lib.OP_TANH, "relu": lib.OP_RELU}

# -----------------------------------------------------------------------------
# what C sees of a network


class _Network:
    """A network as C takes it."""

    def __init__(self, shape: Shape, parameters: list[Value]) -> None:
        self.shape, self.parameters = shape, parameters
        sizes = [shape[0][0][0]]
        activations = []
        for neurons in shape:
            nin, nonlin, activation = neurons[0]
            if nin != sizes[-1] or any(neuron != neurons[0] for neuron in neurons):
                raise _NotPlain
            activations.append(_OPS[check_activation(activation)] if nonlin else 0)
            sizes.append(len(neurons))
        if not all(isinstance(p, Value) for p in parameters):
            raise _NotPlain
        self.nin, self.nout = sizes[0], sizes[-1]
        # C borrows these: they live as long as this object
        self._arrays = (
            ffi.new("uint32_t[]", sizes),
            ffi.new("uint8_t[]", activations),
            ffi.new("Index[]", [p._place for p in parameters]),
        )
        self.mlp = ffi.new("MLP *", (len(shape), *self._arrays))

    def __call__(self, x: list[Value | Number]) -> Any:
        if not lib.shared_are_plain(id(x)):
            x = [xi if isinstance(xi, Value) else number(xi) for xi in x]
        out = call(lib.shared_mlp_call, self.mlp, id(x))
        return out[0] if self.nout == 1 else out


# by module: its network as it was at the last call
_networks: MutableMapping[Module, _Network] = weakref.WeakKeyDictionary()


def _network(module: Module, layers: list[list[Neuron]]) -> _Network:
    """Return what C sees of a module that consists of these layers, lists of neurons.

    The neurons are read at every call, each list once, for a user, or another thread, may have
    replaced any part of them; what is made for C is made anew only if something is not as it was.
    """
    shape: Shape = []
    parameters: list[Value] = []
    for neurons in layers:
        neurons_shape: list[tuple[int, bool, str]] = []
        for n in neurons:
            if not _is_called_as(n, Neuron):
                raise _NotPlain
            w = [*n.w]
            neurons_shape.append((len(w), n.nonlin, n.activation))
            parameters += w
            parameters.append(n.b)
        if not neurons_shape:
            raise _NotPlain
        shape.append(neurons_shape)
    if not shape:
        raise _NotPlain
    try:
        known = _networks.get(module)
    except TypeError:  # a class of the user's, whose modules have no hash
        return _Network(shape, parameters)
    if known is None or known.shape != shape or not _are_same(known.parameters, parameters):
        known = _networks[module] = _Network(shape, parameters)
    return known


def _is_called_as(x: object, kind: type[Module]) -> bool:
    """Tell whether x is of this kind, or of a subclass that has no __call__ of its own."""
    return type(x) is kind or (isinstance(x, kind) and type(x).__call__ is kind.__call__)


def _are_same(values: list[Value], others: list[Value]) -> bool:
    """Tell whether they are the same handles: a subclass may have an == of its own."""
    return len(values) == len(others) and all(map(operator.is_, values, others))


class _NotPlain(Exception):
    """The network is not one that C knows: its neurons must be called one by one."""


def _check_inputs(x: list[Value | Number], nin: int) -> None:
    if len(x) != nin:
        raise ValueError(f"a neuron with {nin} inputs was given {len(x)}")


# -----------------------------------------------------------------------------
# Neuron, Layer, MLP


class Module(pure.Module):
    __doc__ = pure.Module.__doc__

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to 0."""
        refuse("zero_grad")
        parameters = list(self.parameters())
        lib.zero_grad(tape, [p._index for p in parameters], len(parameters))


class Neuron(Module):
    __doc__ = pure.Neuron.__doc__

    def __init__(
        self,
        nin: SupportsIndex,
        nonlin: bool = True,
        activation: str = "tanh",
        rng: SupportsUniform | None = None,
    ) -> None:
        nin = count(nin, "nin", least=1)
        self.activation = check_activation(activation)
        self.nonlin = bool(nonlin)
        rng = data.random if rng is None else rng
        check_generator(rng)
        self.w = [Value(rng.uniform(-1, 1) * nin**-0.5) for _ in range(nin)]
        self.b = Value(0)

    def __call__(self, x: Iterable[Value | Number]) -> Value:
        """Return the neuron's output (a Value) for x, a list of nin numbers or Values."""
        x = list(x)
        try:
            network = _network(self, [[self]])
            _check_inputs(x, network.nin)
            return network(x)
        except _NotPlain:
            pass
        _check_inputs(x, len(self.w))
        act = self.b
        for wi, xi in zip(self.w, x):
            act = act + wi * xi
        if not self.nonlin:
            return act
        return act.tanh() if check_activation(self.activation) == "tanh" else act.relu()

    def parameters(self) -> list[Value]:
        """Return the weights in order, then the bias."""
        return [*self.w, self.b]

    def __repr__(self) -> str:
        return f"{ACTIVATIONS[self.activation] if self.nonlin else 'Linear'}Neuron({len(self.w)})"


class Layer(Module):
    __doc__ = pure.Layer.__doc__

    def __init__(self, nin: SupportsIndex, nout: SupportsIndex, **kwargs: Any) -> None:
        self.neurons = [Neuron(nin, **kwargs) for _ in range(count(nout, "nout", least=1))]

    def __call__(self, x: Iterable[Value | Number]) -> Any:
        """Return the list of the neurons' outputs, or the one Value if there is one neuron."""
        x = list(x)
        try:
            network = _network(self, [self.neurons])
            _check_inputs(x, network.nin)
            return network(x)
        except _NotPlain:
            pass
        out = [n(x) for n in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Value]:
        """Return the neurons' parameters, neuron by neuron."""
        return [p for n in self.neurons for p in n.parameters()]

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(str(n) for n in self.neurons)}]"


class MLP(Module):
    __doc__ = pure.MLP.__doc__

    def __init__(
        self,
        nin: SupportsIndex,
        nouts: Iterable[SupportsIndex],
        activation: str = "tanh",
        rng: SupportsUniform | None = None,
    ) -> None:
        sizes = check_sizes(nin, nouts)
        last = len(sizes) - 2
        self.layers = [
            Layer(sizes[i], sizes[i + 1], nonlin=i != last, activation=activation, rng=rng)
            for i in range(len(sizes) - 1)
        ]

    def _network(self) -> _Network:
        layers = [*self.layers]
        if not all(_is_called_as(layer, Layer) for layer in layers):
            raise _NotPlain
        return _network(self, [layer.neurons for layer in layers])

    def __call__(self, x: Iterable[Value | Number]) -> Any:
        inputs: list[Value | Number] = [x] if isinstance(x, Value) else list(x)
        try:
            network = self._network()
            _check_inputs(inputs, network.nin)
            return network(inputs)
        except _NotPlain:
            pass
        out: Any = inputs
        for layer in self.layers:
            out = layer([out] if isinstance(out, Value) else out)
        return out

    __call__.__doc__ = pure.MLP.__call__.__doc__

    def parameters(self) -> list[Value]:
        """Return the layers' parameters, layer by layer."""
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(str(layer) for layer in self.layers)}]"


def load(path: Path) -> Any:
    return load_network(path, {"Neuron": Neuron, "Layer": Layer, "MLP": MLP})


load.__doc__ = pure.load.__doc__


# -----------------------------------------------------------------------------
# the loss over a data set


def mean_cross_entropy(model: Model[Value], split: Split[Value]) -> Value:
    split = check_split(split)
    if _is_called_as(model, MLP):
        try:
            return _mean_cross_entropy_of(model, split)
        except _NotPlain:
            pass
    total_loss = Value(0)
    for x, y in split:
        logits = model([xi if isinstance(xi, Value) else Value(xi) for xi in x])
        logits = [logits] if isinstance(logits, Value) else logits
        total_loss = total_loss + cross_entropy(logits, y)
    return total_loss * (1.0 / len(split))


def _mean_cross_entropy_of(model: Any, split: list[Any]) -> Value:
    network: _Network = model._network()
    points: _PlainPoints | _Points
    plain = _plain_points(split)
    if plain is None or plain.nin != network.nin or plain.most >= network.nout:
        points = _Points(split, network)
    else:
        points = plain
    return call(lib.shared_mean_cross_entropy, network.mlp, *points.arrays, len(split))[0]


class _Points:
    """Any data set as C takes it: all is looked at, piece by piece."""

    def __init__(self, split: list[Any], network: _Network) -> None:
        values, labels = [], []
        for x, y in split:
            x = list(x)
            _check_inputs(x, network.nin)
            if isinstance(y, Integer):
                raise _NotPlain
            labels.append(check_target(y, network.nout))
            values += x
        if not lib.shared_are_plain(id(values)):
            values = [xi if isinstance(xi, Value) else number(xi) for xi in values]
        self.values = values  # where an x is an iterator it is the only one that keeps them
        nodes, numbers = ffi.new("Index[]", len(values)), ffi.new("double[]", len(values))
        call(lib.shared_read, id(values), nodes, numbers)
        self.arrays = (nodes, numbers, ffi.new("int32_t[]", labels))


class _PlainPoints:
    """A data set of nothing but lists of numbers and labels, as `gen_data` makes it."""

    def __init__(self, xs: tuple[Any, ...], labels: tuple[int, ...]) -> None:
        numbers = [xi for x in xs for xi in x]
        self.nin, self.most = len(xs[0]), max(labels)
        self.arrays = (
            ffi.new("Index[]", len(numbers)),
            ffi.new("double[]", numbers),
            ffi.new("int32_t[]", labels),
        )


def _plain_points(split: list[Any]) -> _PlainPoints | None:
    """Return the data set as C takes it if it is plain, else None.

    To look at it takes a third of the time that C needs for the whole training step. So what
    was found is kept, by the bytes that marshal makes of the data: they tell types and bits,
    and take a sixth of that.
    """
    try:
        text = marshal.dumps(split, 2)
    except ValueError:  # there is something else in it: a Value, say
        return None
    return (_read if len(text) <= 2**20 else _read.__wrapped__)(text)


@functools.lru_cache(maxsize=16)
def _read(text: bytes) -> _PlainPoints | None:
    try:
        xs, labels = zip(*marshal.loads(text))
    except (TypeError, ValueError):  # not pairs
        return None
    if not {type(x) for x in xs} <= {list, tuple} or {type(y) for y in labels} != {int}:
        return None
    if len({len(x) for x in xs}) != 1 or min(labels) < 0 or max(labels) >= 2**31:
        return None
    if not {type(xi) for x in xs for xi in x} <= {float, int}:
        return None
    try:
        return _PlainPoints(xs, labels)
    except OverflowError:  # an integer that is too large for a float
        return None


def eval_split(model: Model[Value], split: Split[Value]) -> float:
    with no_grad():
        return mean_cross_entropy(model, split).data


mean_cross_entropy.__doc__ = pure.mean_cross_entropy.__doc__
eval_split.__doc__ = pure.eval_split.__doc__
