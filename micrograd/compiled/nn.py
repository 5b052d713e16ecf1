"""Neuron, Layer and MLP over the tape: a whole call is one call into C."""

from __future__ import annotations

import weakref

from ..checkpoint import load_network
from ..checks import check_activation, check_inputs, check_numbers, check_point, check_weights
from ..grad_mode import refuse
from ..pure import nn as pure
from ..pure.nn import is_called_as
from .binding import call, ffi, lib, tape
from .rng import RNG, random
from .value import Value, index_of, place_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from ..types import Number, Path

    # of each layer, of each neuron: how many inputs it has, nonlin and activation
    Shape = list[list[tuple[int, bool, str]]]
    _Found = tuple["_Network", list[Value]]

_OPS = {"tanh": lib.OP_TANH, "relu": lib.OP_RELU}

# -----------------------------------------------------------------------------
# what C sees of a network


class _Network:
    """A network as C takes it. It keeps none of the parameters alive."""

    def __init__(self, shape: Shape, parameters: list[Value]) -> None:
        self.shape = shape
        sizes = [shape[0][0][0], *map(len, shape)]
        activations = [
            _OPS[check_activation(activation)] if nonlin else 0
            for [(_, nonlin, activation), *_] in shape
        ]
        self.nin, self.nout = sizes[0], sizes[-1]
        self._places = ffi.new("Index[]", [place_of(p) for p in parameters])
        # C borrows these: they live as long as this object
        self._arrays = ffi.new("uint32_t[]", sizes), ffi.new("uint8_t[]", activations)
        self.mlp = ffi.new("MLP *", (len(shape), *self._arrays, self._places))

    def is_of(self, shape: Shape, parameters: list[Value]) -> bool:
        """Tell whether it is still what C would see of them."""
        return self.shape == shape and bool(lib.shared_are_at(id(parameters), self._places))

    def __call__(self, x: list[Value | Number]) -> Any:
        check_inputs(x, self.nin)
        if not lib.shared_are_plain(id(x)):
            x = check_numbers(x, Value)
        out = call(lib.shared_mlp_call, self.mlp, id(x))
        return out[0] if self.nout == 1 else out


# by the module's id: the module, and its network as it was at the last call. If garbage calls it
# in a __del__ that may stay for good, from CPython 3.14 on: one more reason to keep no Values
_networks: dict[int, tuple[weakref.ref[Module], _Network]] = {}


def _keep(module: Module, network: _Network) -> None:
    key = id(module)
    _networks[key] = weakref.ref(module, lambda _: _networks.pop(key, None)), network


def _is_plain(shape: Shape, parameters: list[Value]) -> bool:
    """Tell whether C can call it: neurons of a layer are alike, and fit the layer before."""
    nins = [neurons[0][0] for neurons in shape if neurons]
    return (
        0 < len(nins) == len(shape)
        and nins[1:] == [len(neurons) for neurons in shape[:-1]]
        and all(neuron == neurons[0] for neurons in shape for neuron in neurons)
        and all(issubclass(type(p), Value) for p in parameters)  # a weak proxy is none
    )


def _network(module: Module, layers: Sequence[list[pure.Neuron]]) -> _Found | None:
    """Return what C sees of a module that consists of these layers, lists of neurons.

    With it come the parameters, which have to live while C works: another thread may replace them.
    None if it is none that C knows: then the neurons have to be called one by one. They are read at
    every call, each list once, because a user, or another thread, may have replaced any part of
    them; what is made for C is made anew only if something is not as it was.
    """
    shape: Shape = []
    parameters: list[Value] = []
    for neurons in layers:
        neurons_shape: list[tuple[int, bool, str]] = []
        for n in neurons:
            w = n.w
            if not is_called_as(n, Neuron) or not isinstance(w, (list, tuple)):
                return None
            w = [*w]
            neurons_shape.append((len(w), n.nonlin, n.activation))
            parameters += w
            parameters.append(n.b)
        shape.append(neurons_shape)
    kept = _networks.get(id(module))
    known = kept[1] if kept and kept[0]() is module else None
    if known is None or not known.is_of(shape, parameters):
        if not _is_plain(shape, parameters):
            return None
        known = _Network(shape, parameters)
        _keep(module, known)
    return known, parameters


# -----------------------------------------------------------------------------
# Neuron, Layer, MLP: those of the plain engine, with another call


class Module(pure.Module):
    __doc__ = pure.Module.__doc__

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to 0."""
        refuse("zero_grad")
        parameters = list(self.parameters())
        try:
            indices = [index_of(p) for p in parameters]
        except TypeError:
            check_weights(parameters)
            raise
        lib.zero_grad(tape, indices, len(parameters))


class Neuron(Module, pure.Neuron):
    __doc__ = pure.Neuron.__doc__

    _Value = Value
    _random = random

    def __call__(self, x: Iterable[Value | Number]) -> Value:
        x = check_point(x)
        found = self._network()
        return super().__call__(x) if found is None else found[0](x)

    def _network(self) -> _Found | None:
        return _network(self, [[self]])

    __call__.__doc__ = pure.Neuron.__call__.__doc__


class Layer(Module, pure.Layer):
    __doc__ = pure.Layer.__doc__

    _Neuron = Neuron

    def __call__(self, x: Iterable[Value | Number]) -> Any:
        x = check_point(x)
        found = self._network()
        return super().__call__(x) if found is None else found[0](x)

    def _network(self) -> _Found | None:
        return _network(self, [self.neurons])

    __call__.__doc__ = pure.Layer.__call__.__doc__


class MLP(Module, pure.MLP):
    __doc__ = pure.MLP.__doc__

    _Value, _Layer = Value, Layer

    def _network(self) -> _Found | None:
        layers = [*self.layers]
        if not all(is_called_as(layer, Layer) for layer in layers):
            return None
        return _network(self, [layer.neurons for layer in layers])

    def __call__(self, x: Iterable[Value | Number]) -> Any:
        inputs: list[Value | Number] = [x] if isinstance(x, Value) else check_point(x)
        found = self._network()
        return super().__call__(inputs) if found is None else found[0](inputs)

    __call__.__doc__ = pure.MLP.__call__.__doc__


def load(path: Path) -> Any:
    return load_network(path, [Neuron, Layer, MLP], RNG(1))


load.__doc__ = pure.load.__doc__
