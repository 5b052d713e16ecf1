"""Networks as PyTorch modules and back, and graphs as modules whose forward is a graph's.

All numbers are float64. The course's run in PyTorch is `micrograd/pytorch.py`.
"""

from __future__ import annotations

import itertools

from .. import pure
from ..backends import engine
from ..checks import ACTIVATIONS
from ..grad_mode import refuse
from ..pure.nn import is_called_as, layers_of
from ..pytorch import torch_package
from ..shown import shown
from .listing import Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..pure.nn import MLP, Layer, Neuron
    from ..pure.value import Value
    from ..types import Leaves

__all__ = ["from_torch", "to_torch", "torch_function"]


# -----------------------------------------------------------------------------
# networks


def to_torch(model: MLP | Layer | Neuron) -> Any:
    """Make a PyTorch module with a network's parameters.

    Args:
        model: an MLP, a Layer or a Neuron, of `micrograd` or of `micrograd.nn`.

    Returns:
        A torch.nn.Sequential of Linear, Tanh and ReLU in float64, for tensors of shape
        (points, inputs), on the CPU. The parameters have the same bits. They are copies, so that
        training the one leaves the other as it is. PyTorch's generator is not used.

    Raises:
        ImportError: PyTorch is missing.
        TypeError: the model is something else, a part of it has a `__call__` of its own, or a
            parameter is no Value, or one of the other engine.
        ValueError: the neurons of a layer differ in their inputs or activation or have none of
            these, a parameter is shared or computed from others, or a layer does not take what
            the one before gives.

    Example:
        module = to_torch(model)
        logits = module(torch.tensor([[0.5, -1.0]], dtype=torch.float64))
    """
    refuse("export")
    torch = torch_package()
    from .torch_module import float64

    instead = ": of a Module of your own export what it computes, by torch_function"
    layers = layers_of(model, instead)
    _check_parts(model, [*itertools.chain(*layers)])
    for i, neurons in enumerate(layers):
        _check_layer(i, neurons)
    modules = []
    for neurons in layers:
        first = neurons[0]
        weight, bias = [[w.data for w in n.w] for n in neurons], [n.b.data for n in neurons]
        # parameters of inference_mode could not be trained
        with torch.inference_mode(False), torch.no_grad():
            # without initial numbers, which PyTorch's generator would draw
            linear = torch.nn.utils.skip_init(
                torch.nn.Linear, len(first.w), len(neurons), dtype=torch.float64
            )
            linear.weight.copy_(float64(weight))
            linear.bias.copy_(float64(bias))
        modules.append(linear)
        if first.nonlin:
            modules.append(torch.nn.Tanh() if first.activation == "tanh" else torch.nn.ReLU())
    return torch.nn.Sequential(*modules)


def _check_layer(i: int, neurons: list[Neuron]) -> None:
    """Raise a ValueError unless the neurons are of one kind, one that PyTorch has."""
    for n in neurons:
        if n.nonlin and n.activation not in [*ACTIVATIONS]:  # an activation may be unhashable
            raise ValueError(
                f"a neuron of layer {i} has the activation {shown(n.activation)}, and to_torch "
                f"knows {' and '.join(ACTIVATIONS)}"
            )
    kinds = sorted({n.activation if n.nonlin else "linear" for n in neurons})
    if len(kinds) > 1:
        raise ValueError(
            f"a Linear has neurons of one kind, and layer {i} has {' and '.join(kinds)} neurons"
        )


def _check_parts(model: Any, neurons: list[Neuron]) -> None:
    """Raise an error if a part has a call or parameters that a Linear cannot have."""
    own: Any = pure  # the engine that the model is of
    if not issubclass(getattr(neurons[0], "_Value", pure.Value), pure.Value):
        from .. import compiled as own
    seen = set()
    for p in [p for n in neurons for p in [*n.w, n.b]]:
        if not issubclass(type(p), own.Value):
            raise TypeError(
                f"a parameter is a Value of the other engine, not the model's: {shown(p)}"
            )
        if not p._is_leaf:
            raise ValueError(
                f"a parameter must be a leaf, a Value computed from no others: {shown(p)}"
            )
        if id(p) in seen:
            raise ValueError(f"a parameter is shared, which a Linear cannot have: {shown(p)}")
        seen.add(id(p))
    kinds = own.MLP, own.Layer, own.Neuron
    for part in [model, *getattr(model, "layers", []), *neurons]:
        if not any(is_called_as(part, kind) for kind in kinds):
            raise TypeError(
                f"a {type(part).__name__} has a __call__ of its own: export what it computes, by "
                "torch_function"
            )


def from_torch(module: Any) -> Any:
    """Make an MLP with the parameters of a PyTorch module: what `to_torch` undoes.

    Args:
        module: a torch.nn.Sequential of Linear, each of which a Tanh or a ReLU may follow, of any
            real dtype; or one Linear.

    Returns:
        An MLP of `micrograd`, a layer for each Linear. Numbers of float32 and smaller are the same
        as floats. It shares nothing with the module, and `micrograd.random` is not used.

    Raises:
        ImportError: PyTorch is missing.
        TypeError, ValueError: a part of the module is something else, has a forward of its own,
            hooks, or parameters that an MLP cannot have, such as shared ones, and the message
            names it; an activation has no Linear before it, a Linear has no bias, or does not take
            what the one before gives.

    Example:
        model = from_torch(torch.nn.Sequential(torch.nn.Linear(2, 3)))
    """
    torch = torch_package()
    activations = {torch.nn.Tanh: "tanh", torch.nn.ReLU: "relu"}
    parts = [("", module)]
    if type(module) is torch.nn.Sequential:
        _check_forward("the Sequential", module)
        parts = [*module._modules.items()]  # named_children leaves out what comes a second time
    layers: list[tuple[str, Any, str]] = []  # each Linear with its activation
    owners: dict[int, str] = {}  # which part has a parameter
    for name, part in parts:
        where = f"part {name}, {shown(part)}," if name else f"{shown(part)}"
        if type(part) is torch.nn.Linear:
            _check_forward(where, part)
            _check_linear(where, part)
            for kind, p in ("weight", part.weight), ("bias", part.bias):
                if id(p) in owners:
                    raise ValueError(
                        f"{where} has the same {kind} as part {owners[id(p)]}, and an MLP made of "
                        "them would have two"
                    )
                owners[id(p)] = name
            inputs = part.weight.shape[1]
            if layers and len(layers[-1][1].weight) != inputs:
                raise ValueError(
                    f"{where} takes {inputs} inputs, and the Linear before it "
                    f"gives {len(layers[-1][1].weight)}"
                )
            layers.append((where, part, ""))
        elif type(part) in activations:
            _check_forward(where, part)
            if not layers or layers[-1][2]:
                raise ValueError(f"{where} has no Linear just before it")
            layers[-1] = (*layers[-1][:2], activations[type(part)])
        else:
            raise TypeError(
                f"from_torch takes Linear, Tanh and ReLU in a Sequential, and {where} is none of "
                "these"
            )
    if not layers:
        raise ValueError("the Sequential has no Linear")
    linears = [linear for _, linear, _ in layers]
    model = engine.MLP(
        linears[0].weight.shape[1],
        [len(linear.weight) for linear in linears],
        activation=next((activation for *_, activation in layers if activation), "tanh"),
        rng=engine.RNG(1),  # for numbers that are replaced
    )
    for layer, (_, linear, activation) in zip(model.layers, layers):
        weight, bias = (p.detach().cpu().double().tolist() for p in (linear.weight, linear.bias))
        for neuron, row, b in zip(layer.neurons, weight, bias):
            neuron.nonlin, neuron.activation = bool(activation), activation or neuron.activation
            for v, x in zip(neuron.parameters(), [*row, b]):
                v.data = x
    return model


def _check_forward(where: str, part: Any) -> None:
    """Raise a TypeError if a module computes something else than its class, as far as it shows."""
    if "forward" in vars(part):
        raise TypeError(f"{where} has a forward of its own")
    if part._forward_hooks or part._forward_pre_hooks:
        raise TypeError(
            f"{where} has forward hooks, as weight_norm and prune make them: remove them first"
        )


def _check_linear(where: str, part: Any) -> None:
    """Raise an error unless the parameters of a Linear are those of a layer."""
    weight, bias = part.weight, part.bias
    if weight is None:
        raise ValueError(f"{where} has no weight")
    if bias is None:
        raise ValueError(f"{where} has no bias, and each neuron of an MLP has one")
    if weight.is_complex() or bias.is_complex():
        raise TypeError(f"{where} has complex parameters")
    if weight.is_meta or bias.is_meta:
        raise ValueError(f"{where} is on the device meta, where parameters have no numbers")
    shapes = tuple(weight.shape), tuple(bias.shape)
    if weight.dim() != 2 or 0 in weight.shape or bias.shape != weight.shape[:1]:
        raise ValueError(
            f"{where} has a weight of shape {shapes[0]} and a bias of shape {shapes[1]}, and a "
            "layer has (neurons, inputs) and (neurons,), with at least 1 of each"
        )


# -----------------------------------------------------------------------------
# graphs


def torch_function(
    output: Value | Sequence[Value], inputs: Leaves, parameters: Leaves | None = None
) -> Any:
    """Make a PyTorch module that computes what a graph does, by PyTorch's own operations.

    Args:
        output: a Value, or a list of Values.
        inputs: the leaves that are arguments of the module: a list, or a dict by name.
        parameters: the leaves that are parameters of the module: a Module, a list, or a dict by
            name. All other leaves are constants with their present numbers.

    Returns:
        A torch.nn.Module. It is called with as many tensors or numbers as there are inputs, which
        are broadcast; it returns a float64 tensor of that shape, or of a list of Values a list of
        tensors. Autograd goes through it to arguments and parameters. The parameters are one
        tensor, `weights`, in the order of the list `names`; its numbers are copies.

    Raises:
        ImportError: PyTorch is missing.
        TypeError, ValueError: as `to_c`; and in a call, a TypeError of an argument of anything but
            real numbers.

    Example:
        function = torch_function(model(x)[0], x, model)
        optimizer = torch.optim.SGD(function.parameters(), lr=0.1)
    """
    torch_package()
    from .torch_module import Function

    return Function(Listing(output, inputs, parameters))
