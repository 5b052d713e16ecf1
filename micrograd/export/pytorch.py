"""Networks as PyTorch modules and back, and graphs as modules whose forward is a graph's.

All numbers are float64. The course's run in PyTorch is `micrograd/pytorch.py`.
"""

from __future__ import annotations

from ..backends import engine
from ..checks import ACTIVATIONS, PACKAGE
from ..grad_mode import refuse
from ..graph import is_value
from ..pure.nn import MLP, Layer, Neuron
from ..shown import shown
from .listing import Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..pure.value import Value
    from ..types import Leaves

__all__ = ["from_torch", "to_torch", "torch_function"]


def _torch() -> Any:
    try:
        import torch
    except ImportError as problem:
        raise ImportError("this needs PyTorch: pip install torch") from problem
    return torch


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
        TypeError: the model is something else, or a part of it has a `__call__` of its own.
        ValueError: the neurons of a layer differ in their inputs or activation or have none of
            these, a parameter is shared or computed from others, or a layer does not take what
            the one before gives.

    Example:
        module = to_torch(model)
        logits = module(torch.tensor([[0.5, -1.0]], dtype=torch.float64))
    """
    refuse("export")
    torch = _torch()
    from .torch_module import float64

    layers = _layers(model)
    _check_parameters([p for neurons in layers for n in neurons for p in [*n.w, n.b]])
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


def _layers(model: Any) -> list[list[Neuron]]:
    """Return the neurons of each layer, or raise what `to_torch` raises of their shapes."""
    layers: dict[str, Any]
    if isinstance(model, MLP):
        layers = {f"layers.{i}": layer for i, layer in enumerate(model.layers)}
    elif isinstance(model, (Layer, Neuron)):
        layers = {"the layer": model}
    else:
        raise TypeError(
            f"to_torch takes an MLP, a Layer or a Neuron, not {shown(model)}: of a Module of your "
            "own export what it computes, by torch_function"
        )
    _check_call(model, type(model).__name__)
    found: list[list[Neuron]] = []
    nin = 0
    for name, layer in layers.items():
        if not isinstance(layer, (Layer, Neuron)):
            raise TypeError(f"{name} must be a Layer, not {shown(layer)}")
        _check_call(layer, name)
        neurons = layer.neurons if isinstance(layer, Layer) else [layer]
        for i, n in enumerate(neurons):
            if not isinstance(n, Neuron):
                raise TypeError(f"{name}.neurons.{i} must be a Neuron, not {shown(n)}")
            _check_call(n, f"{name}.neurons.{i}")
            if n.nonlin and n.activation not in [*ACTIVATIONS]:
                raise ValueError(
                    f"{name}.neurons.{i} has the activation {n.activation!r}, and to_torch knows "
                    f"{' and '.join(ACTIVATIONS)}"
                )
            if not n.w:
                raise ValueError(f"{name}.neurons.{i} has no weights")
        kinds = sorted({_kind(n) for n in neurons})
        if len(kinds) != 1:
            raise ValueError(
                f"a Linear has neurons of one kind, and {name} has {' and '.join(kinds) or 'none'}"
            )
        if found and len(neurons[0].w) != nin:
            raise ValueError(
                f"{name} has neurons of {len(neurons[0].w)} inputs, and {nin} neurons are before it"
            )
        found.append(neurons)
        nin = len(neurons)
    if not found:
        raise ValueError("the MLP has no layers")
    return found


def _kind(n: Neuron) -> str:
    return f"{n.activation if n.nonlin else 'linear'} neurons of {len(n.w)} inputs"


def _check_call(part: Any, name: str) -> None:
    if not getattr(type(part).__call__, "__module__", "").startswith(PACKAGE):
        raise TypeError(
            f"{name} is a {type(part).__name__} with a __call__ of its own: export what it "
            "computes, by torch_function"
        )


def _check_parameters(parameters: list[Any]) -> None:
    seen: dict[int, Any] = {}
    for p in parameters:
        if not is_value(p) or not p._is_leaf:
            raise ValueError(
                f"a parameter must be a leaf, a Value computed from no others: {shown(p)}"
            )
        if id(p) in seen:
            raise ValueError(f"a parameter is shared, which a Linear cannot have: {shown(p)}")
        seen[id(p)] = p


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
    torch = _torch()
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
    _torch()
    from .torch_module import Function

    return Function(Listing(output, inputs, parameters))
