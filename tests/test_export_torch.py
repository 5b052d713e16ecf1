"""Networks and graphs as PyTorch modules: parameters by bits, results by a tolerance."""

import copy
import functools
import io
import math
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from conftest import ENGINES, bits, needs_c, outcome, times
from test_export_c import course_point, random_graph

import micrograd
import micrograd.nn
from micrograd.export import from_torch, to_torch, torch_function

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:Failed to initialize NumPy")


def close(ours, theirs, size=1.0):
    """PyTorch adds in another order, and its functions have other last digits."""
    if math.isnan(ours):  # how fast a**b moves with b where a is negative
        return math.isnan(theirs)
    return math.isclose(ours, theirs, rel_tol=1e-11, abs_tol=1e-12 * size)


def tensor(x):
    return torch.tensor(x, dtype=torch.float64)


def numbers(model):
    return [bits(p.data) for p in model.parameters()]


NETWORKS = {
    "the course's": lambda e: e.MLP(2, [16, 3], rng=e.RNG(42)),
    "one output": lambda e: e.MLP(3, [4, 5, 1], rng=e.RNG(1)),
    "ReLU": lambda e: e.MLP(2, [4, 4, 2], activation="relu", rng=e.RNG(2)),
    "a linear layer": lambda e: e.MLP(2, [3], rng=e.RNG(2)),
    "a layer": lambda e: e.Layer(2, 3, rng=e.RNG(3)),
    "a neuron": lambda e: e.Neuron(4, activation="relu", rng=e.RNG(4)),
    "a linear neuron": lambda e: e.Neuron(4, nonlin=False, rng=e.RNG(4)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_there_and_back(engine, name):
    model = NETWORKS[name](engine)
    before = numbers(model)
    module = to_torch(model)
    assert all(p.dtype == torch.float64 and p.requires_grad for p in module.parameters())
    again = from_torch(module)
    assert type(again) is micrograd.MLP
    assert numbers(again) == before == numbers(model)
    kinds = [
        n for layer in getattr(model, "layers", [model]) for n in getattr(layer, "neurons", [layer])
    ]
    assert [repr(n) for layer in again.layers for n in layer.neurons] == list(map(repr, kinds))
    if name == "the course's":
        assert [type(part).__name__ for part in module] == ["Linear", "Tanh", "Linear"]
    if isinstance(model, engine.MLP):
        assert repr(again) == repr(model)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_computes_the_same(engine, name):
    model, random = NETWORKS[name](engine), Random(5)
    module = to_torch(model)
    points = [[random.uniform(-2, 2) for _ in range(module[0].in_features)] for _ in range(20)]
    rows = module(tensor(points)).tolist()
    for x, row in zip(points, rows):
        out = model(x)
        for v, y in zip(out if isinstance(out, list) else [out], row):
            assert close(v.data, y)


def test_networks_of_karpathys_package():
    model = micrograd.nn.MLP(2, [4, 1], rng=Random(3))
    module = to_torch(model)
    assert [type(part).__name__ for part in module] == ["Linear", "ReLU", "Linear"]
    assert close(model([0.5, -1.0]).data, module(tensor([[0.5, -1.0]])).item())


def test_training_agrees(engine):
    """The course's steps, by the module that was made of its network."""
    train, _, _ = engine.gen_data(engine.RNG(1), n=20)
    model = engine.MLP(2, [4, 3], rng=engine.RNG(42))
    module = to_torch(model)
    ours = engine.AdamW(model.parameters(), lr=0.1)
    theirs = torch.optim.AdamW(module.parameters(), lr=0.1, betas=(0.9, 0.95), weight_decay=0.0)
    xs, labels = tensor([x for x, _ in train]), torch.tensor([y for _, y in train])
    for _ in range(5):
        engine.mean_cross_entropy(model, train).backward()
        torch.nn.functional.cross_entropy(module(xs), labels).backward()
        for optimizer in ours, theirs:
            optimizer.step()
            optimizer.zero_grad()
    for p, q in zip(model.parameters(), from_torch(module).parameters()):
        assert math.isclose(p.data, q.data, rel_tol=1e-9, abs_tol=1e-12)


def test_they_share_nothing(engine):
    model = engine.MLP(2, [3, 2], rng=engine.RNG(1))
    module = to_torch(model)
    again, before = from_torch(module), numbers(model)
    with torch.no_grad():
        module[0].weight += 1.0
    assert numbers(again) == before == numbers(model)
    model.layers[0].neurons[0].b.data = 7.0
    assert module[0].bias[0] == 0.0


def test_generators_are_not_used(engine):
    model = engine.MLP(2, [3, 2], rng=engine.RNG(1))
    state, ours = torch.random.get_rng_state(), micrograd.random.state
    from_torch(to_torch(model))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert micrograd.random.state == ours


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_other_dtypes(name):
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    module = module.to(getattr(torch, name))
    model = from_torch(module)
    w = module[0].weight
    assert [n.w[1].data for n in model.layers[0].neurons] == w[:, 1].tolist()
    assert repr(model.layers[0].neurons[0]) == "ReLUNeuron(2)"


def test_what_comes_back_can_be_saved(tmp_path):
    model = from_torch(to_torch(micrograd.MLP(2, [3, 1], activation="relu", rng=micrograd.RNG(1))))
    model.save(tmp_path / "model.json")
    again = micrograd.load(tmp_path / "model.json")
    assert repr(again) == repr(model) and numbers(again) == numbers(model)


def test_one_linear_and_mixed_activations():
    linear = torch.nn.Linear(2, 3)
    assert len(from_torch(linear).parameters()) == 9
    mixed = torch.nn.Sequential(linear, torch.nn.ReLU(), torch.nn.Linear(3, 4), torch.nn.Tanh())
    model = from_torch(mixed.double())
    assert [repr(layer.neurons[0]) for layer in model.layers] == ["ReLUNeuron(2)", "TanHNeuron(3)"]
    x = [0.25, -1.5]
    for v, y in zip(model(x), mixed(tensor(x)).tolist()):
        assert close(v.data, y)


def test_one_activation_for_several_layers():
    tanh = torch.nn.Tanh()
    module = Sequential(torch.nn.Linear(2, 3), tanh, torch.nn.Linear(3, 2), tanh)
    names = [repr(layer.neurons[0]) for layer in from_torch(module).layers]
    assert names == ["TanHNeuron(2)", "TanHNeuron(3)"]


def test_the_shape_of_the_weight_counts():
    """As for PyTorch, to which in_features and out_features are a note."""
    module = Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(5, 5)).double()
    module[0].in_features = module[1].out_features = 7
    for linear, shape in zip(module, [(3, 2), (1, 3)]):
        linear.weight = torch.nn.Parameter(tensor([[0.5 + i for i in range(shape[1])]] * shape[0]))
        linear.bias = torch.nn.Parameter(tensor([0.25] * shape[0]))
    model = from_torch(module)
    assert repr(model.layers[0].neurons) == "[LinearNeuron(2), LinearNeuron(2), LinearNeuron(2)]"
    assert close(model([0.5, -1.0]).data, module(tensor([0.5, -1.0])).item())


def test_what_a_neuron_is_called_does_not_count(engine):
    """Its nonlin and activation do."""
    layer = engine.Layer(2, 2, rng=engine.RNG(1))
    for i, n in enumerate(layer.neurons):
        n.__class__ = type("Mine", (engine.Neuron,), {"__repr__": lambda self, i=i: f"Mine{i}"})
    assert [type(part).__name__ for part in to_torch(layer)] == ["Linear", "Tanh"]
    for n in layer.neurons:
        type(n).__repr__ = lambda self: "Mine"
    layer.neurons[1].activation = "relu"
    with pytest.raises(ValueError, match="layer 0 has relu and tanh neurons"):
        to_torch(layer)


@pytest.mark.parametrize("mode", ["inference_mode", "meta"])
def test_where_it_is_made_does_not_count(engine, mode):
    """Parameters of inference_mode could not be trained, and those on meta have no numbers."""
    loss, x, model = course_point(engine)
    with torch.inference_mode() if mode == "inference_mode" else torch.device("meta"):
        module, function = to_torch(model), torch_function(loss, x, model)
        again = from_torch(module)
    assert numbers(again) == numbers(model)
    module(tensor([0.5, -1.25])).sum().backward()
    function(tensor(0.5), tensor(-1.25)).backward()
    parameters = [*module.parameters(), function.weights]
    assert all(p.grad.abs().sum() > 0 for p in parameters)


class Doubled:
    def __call__(self, x):
        return super().__call__(x) * 2


def mixed_layer(e):
    model = e.MLP(2, [2, 1], rng=e.RNG(1))
    model.layers[0].neurons[1].nonlin = False
    return model


def shared(e):
    model = e.MLP(2, [2, 1], rng=e.RNG(1))
    model.layers[1].neurons[0].w[0] = model.layers[0].neurons[1].b
    return model


def computed(e):
    neuron = e.Neuron(2, rng=e.RNG(1))
    neuron.w[1] = neuron.w[0] * 2
    return neuron


def own_neuron(e):
    layer = e.Layer(2, 2, rng=e.RNG(1))
    layer.neurons[1] = type("Mine", (Doubled, e.Neuron), {})(2, rng=e.RNG(1))
    return layer


def own_layer(e):
    model = e.MLP(2, [2, 1], rng=e.RNG(1))
    model.layers[1] = type("Mine", (Doubled, e.Layer), {})(2, 1, rng=e.RNG(1))
    return model


def wrapped(e):
    """Its __call__ has the name and the module of the one that it calls."""

    @functools.wraps(e.Neuron.__call__)
    def doubled(self, x):
        return e.Neuron.__call__(self, x) * 2

    return type("Mine", (e.Neuron,), {"__call__": doubled})(2, rng=e.RNG(1))


def list_as_activation(e):
    neuron = e.Neuron(2, rng=e.RNG(1))
    neuron.activation = ["tanh"]
    return neuron


def own_activation(e):
    layer = e.Layer(2, 2, rng=e.RNG(1))
    layer.neurons[1].activation = "gelu"
    return layer


def twice():
    linear = torch.nn.Linear(2, 2)
    return Sequential(linear, torch.nn.Tanh(), linear)


def with_its(name, value, part=None):
    """A Linear, or another part behind one, of which one attribute is another."""
    linear = torch.nn.Linear(2, 2)
    part = part or linear
    setattr(part, name, value)
    return part if part is not linear else Sequential(linear)


def shared_bias():
    module = Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    module[1].bias = module[0].bias
    return module


def with_hook(register, number=0):
    module = Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh())
    part = module if number is None else module[number]
    getattr(part, register)(lambda *arguments: None)
    return module


def parameter(*shape, dtype=torch.float64):
    return torch.nn.Parameter(torch.zeros(shape, dtype=dtype))


def Sequential(*parts):
    return torch.nn.Sequential(*parts)


MISTAKES = {
    "mixed": (
        lambda e: to_torch(mixed_layer(e)),
        ValueError,
        "layer 0 has linear and tanh neurons",
    ),
    "no activation": (
        lambda e: to_torch(own_activation(e)),
        ValueError,
        "a neuron of layer 0 has the activation 'gelu', and to_torch knows tanh and relu",
    ),
    "shared": (lambda e: to_torch(shared(e)), ValueError, "a parameter is shared.*data=0.0"),
    "computed": (lambda e: to_torch(computed(e)), ValueError, "must be a leaf"),
    "own call": (
        lambda e: to_torch(own_neuron(e)),
        TypeError,
        "a Mine has a __call__ of its own: export what it computes, by torch_function",
    ),
    "own call of all": (
        lambda e: to_torch(type("Mine", (Doubled, e.MLP), {})(2, [2])),
        TypeError,
        "a Mine has a __call__ of its own",
    ),
    "own call of a layer": (lambda e: to_torch(own_layer(e)), TypeError, "a Mine has a __call__"),
    "a wrapped call": (lambda e: to_torch(wrapped(e)), TypeError, "a Mine has a __call__"),
    "a list as activation": (
        lambda e: to_torch(list_as_activation(e)),
        ValueError,
        r"has the activation \['tanh'\], and",
    ),
    "no weight": (
        lambda e: from_torch(with_its("weight", None)),
        ValueError,
        "part 0, Linear.* has no weight",
    ),
    "a dropout": (
        lambda e: from_torch(Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5))),
        TypeError,
        r"part 1, Dropout\(p=0.5",
    ),
    "no module": (lambda e: from_torch(3), TypeError, "takes Linear, Tanh .* and 3 is none"),
    "no bias": (
        lambda e: from_torch(Sequential(torch.nn.Linear(2, 1, bias=False))),
        ValueError,
        "part 0, Linear.* has no bias",
    ),
    "tanh first": (
        lambda e: from_torch(Sequential(torch.nn.Tanh(), torch.nn.Linear(2, 1))),
        ValueError,
        r"part 0, Tanh\(\), has no Linear just before it",
    ),
    "tanh twice": (
        lambda e: from_torch(Sequential(torch.nn.Linear(2, 1), torch.nn.Tanh(), torch.nn.ReLU())),
        ValueError,
        r"part 2, ReLU\(\), has no Linear just before it",
    ),
    "widths": (
        lambda e: from_torch(Sequential(torch.nn.Linear(2, 4), torch.nn.Linear(3, 1))),
        ValueError,
        "part 1, .* takes 3 inputs, and the Linear before it gives 4",
    ),
    "empty": (lambda e: from_torch(Sequential()), ValueError, "has no Linear"),
    "complex": (
        lambda e: from_torch(torch.nn.Linear(2, 1, dtype=torch.complex64)),
        TypeError,
        "has complex parameters",
    ),
    "complex bias": (
        lambda e: from_torch(with_its("bias", parameter(2, dtype=torch.complex64))),
        TypeError,
        "part 0, Linear.* has complex parameters",
    ),
    "a Linear twice": (
        lambda e: from_torch(twice()),
        ValueError,
        "part 2, Linear.*, has the same weight as part 0",
    ),
    "a shared bias": (
        lambda e: from_torch(shared_bias()),
        ValueError,
        "part 1, Linear.*, has the same bias as part 0",
    ),
    "shapes": (
        lambda e: from_torch(with_its("weight", parameter(3, 2))),
        ValueError,
        r"part 0, Linear.* a weight of shape \(3, 2\) and a bias of shape \(2,\)",
    ),
    "a weight of one dimension": (
        lambda e: from_torch(with_its("weight", parameter(2))),
        ValueError,
        r"part 0, Linear.* a weight of shape \(2,\)",
    ),
    "a bias for all": (
        lambda e: from_torch(with_its("bias", parameter(1))),
        ValueError,
        r"part 0, Linear.* a weight of shape \(2, 2\) and a bias of shape \(1,\)",
    ),
    "no inputs": (
        lambda e: from_torch(with_its("weight", parameter(2, 0))),
        ValueError,
        r"part 0, Linear.* a weight of shape \(2, 0\) .* at least 1 of each",
    ),
    "meta": (
        lambda e: from_torch(Sequential(torch.nn.Linear(2, 2, device="meta"))),
        ValueError,
        "part 0, Linear.* is on the device meta",
    ),
    "a hook": (
        lambda e: from_torch(with_hook("register_forward_hook")),
        TypeError,
        "part 0, Linear.* has forward hooks",
    ),
    "a hook before": (
        lambda e: from_torch(with_hook("register_forward_pre_hook", 1)),
        TypeError,
        "part 1, Tanh.* has forward hooks",
    ),
    "a hook of all": (
        lambda e: from_torch(with_hook("register_forward_hook", None)),
        TypeError,
        "the Sequential has forward hooks",
    ),
    "own forward": (
        lambda e: from_torch(with_its("forward", abs)),
        TypeError,
        "part 0, Linear.* has a forward of its own",
    ),
    "own forward of all": (
        lambda e: from_torch(with_its("forward", abs, part=twice())),
        TypeError,
        "the Sequential has a forward of its own",
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_mistakes(engine, what):
    mistake, kind, text = MISTAKES[what]
    with pytest.raises(kind, match=text):
        mistake(engine)


def test_in_a_recorded_function(engine):
    """It would freeze the numbers that parameters have in the first call."""
    model = engine.Neuron(2)
    for export in (lambda x: to_torch(model), lambda x: torch_function(x * 2, [x])):
        with pytest.raises(engine.RecordingError, match=r"exports a Value .* after the call"):
            engine.recorded(export)(1.0)


def test_values_of_a_subclass_and_in_an_array(engine):
    np = pytest.importorskip("numpy")
    model, plain = (
        engine.MLP(2, [2, 1], rng=engine.RNG(1)),
        engine.MLP(2, [2, 1], rng=engine.RNG(1)),
    )
    kind = type("Mine", (engine.Value,), {"__eq__": None, "__hash__": None})
    for n in model.layers[0].neurons:
        n.w, n.b = np.array([kind(v.data) for v in n.w]), kind(n.b.data)
    assert numbers(from_torch(to_torch(model))) == numbers(plain)


@needs_c
def test_networks_of_both_engines():
    for one, other in zip(ENGINES.values(), reversed(ENGINES.values())):
        neuron = one.Neuron(2, rng=one.RNG(1))
        neuron.b = other.Value(0.25)
        with pytest.raises(TypeError, match=r"of the other engine.*data=0.25"):
            to_torch(neuron)
        model = one.MLP(2, [2, 1], rng=one.RNG(1))
        model.layers[1] = other.Layer(2, 1, rng=other.RNG(1))
        with pytest.raises(TypeError, match="of the other engine"):
            to_torch(model)


# -----------------------------------------------------------------------------
# graphs


def test_in_threads(engine):
    """Each with its own gradients of the arguments."""
    loss, x, model = course_point(engine)
    module = torch_function(loss, x, model)

    def gradient(y):
        a = tensor(0.5).requires_grad_()
        return torch.autograd.grad(module(a, y), a)[0].item()

    with ThreadPoolExecutor(4) as pool:
        found = [*pool.map(gradient, [0.5, -1.0] * 8)]
    assert found == [gradient(y) for y in [0.5, -1.0] * 8]


@times(40, 600)
def test_random_graphs(engine, n):
    compared = 0
    for seed in range(n):
        root, inputs, parameters = random_graph(engine, Random(seed))
        if outcome(root.backward)[0] != "is":
            continue
        nodes = micrograd.trace(root)[0]
        size = max(max(abs(v.data), abs(v.grad)) for v in nodes)
        if not size < 1e4:  # few digits would be left
            continue
        module = torch_function(root, inputs, parameters)
        xs = [tensor(v.data).requires_grad_() for v in inputs]
        found = module(*xs)
        found.backward()
        assert close(root.data, found.item(), size), seed
        gradients = [0.0 if x.grad is None else x.grad.item() for x in xs]
        if parameters:
            gradients += module.weights.grad.tolist()
        for v, theirs in zip(inputs + parameters, gradients):
            assert close(v.grad, theirs, 100 * size), seed
        compared += 1
    assert compared > 0.7 * n


def test_the_loss_of_points(engine):
    """One graph over many points, and gradients of the parameters that add up over them."""
    loss, x, model = course_point(engine)
    module = torch_function(loss, x, model)
    assert module.names == [name for name, _ in model.named_parameters()]
    assert repr(module) == "Function(2 inputs, 99 parameters)"
    points = [[0.5, -1.25], [1.5, 0.5], [-1.0, -0.25]]
    found = module(*tensor(points).T)
    found.sum().backward()
    expected = []
    for point in points:
        for v, number in zip(x, point):
            v.data = number
        loss.forward()
        loss.backward()
        expected.append(loss.data)
    assert all(map(close, expected, found.tolist()))
    assert all(map(close, (p.grad for p in model.parameters()), module.weights.grad.tolist()))


def test_the_gradient_at_a_kink_and_of_the_largest(engine):
    xs = [engine.Value(x) for x in (0.0, -0.0, 2.0, 2.0)]
    root = xs[0].relu() + abs(xs[1]) + engine.cross_entropy(xs, 3)
    root.backward()
    arguments = [tensor(x.data).requires_grad_() for x in xs]
    torch_function(root, xs)(*arguments).backward()
    assert all(close(x.grad, a.grad.item()) for x, a in zip(xs, arguments))


def test_second_derivatives():
    x, w = micrograd.Value(0.5), micrograd.Value(2.0)
    module = torch_function((x * w) ** 3, [x], [w])
    a = tensor(0.5).requires_grad_()
    [first] = torch.autograd.grad(module(a), a, create_graph=True)
    [second] = torch.autograd.grad(first, a)
    assert (first.item(), second.item()) == (6.0, 24.0)


def test_several_outputs_are_broadcast(engine):
    x, y = engine.Value(1.0), engine.Value(2.0)
    module = torch_function([x + 1, x * y, engine.Value(3.0)], {"x": x, "y": y})
    outs = module([1.0, 2.0], 5)
    assert [out.tolist() for out in outs] == [[2.0, 3.0], [5.0, 10.0], [3.0, 3.0]]
    assert module.weights is None and not list(module.parameters())
    with pytest.raises(TypeError, match=r"takes 2 arguments \(x, y\), and was given 3"):
        module(1, 2, 3)


def test_python_s_numbers_are_not_rounded(engine):
    """PyTorch's own are float32."""
    x = engine.Value(1.0)
    module = torch_function(x * 1.0, [x])
    for given in (0.1, [0.1, -1e-300], [[0.1]], 2**53 + 1, 2**70, tensor(0.1), True):
        expected = given if isinstance(given, torch.Tensor) else tensor(given)
        assert torch.equal(module(given), expected)


def test_results_are_tensors_of_their_own(engine):
    """Also of an output that is an input or a parameter, or depends on none, or on some."""
    x, y, w = engine.Value(1.0), engine.Value(2.0), engine.Value(5.0)
    total = x + y
    module = torch_function([x, w, total, total, engine.Value(4.0), y], [x, y], [w])
    given = torch.zeros(3, dtype=torch.float64)
    with torch.no_grad():
        outs = module(given, 2.0)
        for out in outs:
            assert out.is_contiguous()
            out += torch.tensor([0.0, 1.0, 2.0])  # in a broadcast one each element would change all
    firsts = [0.0, 5.0, 2.0, 2.0, 4.0, 2.0]
    assert [out.tolist() for out in outs] == [[z, z + 1, z + 2] for z in firsts]
    assert given.tolist() == [0.0] * 3 and module.weights.tolist() == [5.0]


@pytest.mark.parametrize("x", [1j, [1j, 2.0], torch.zeros(2, dtype=torch.complex64), None, "3"])
def test_no_numbers(engine, x):
    v = engine.Value(1.0)
    module = torch_function(v * 2, [v])
    with pytest.raises(TypeError, match="argument x0 must be real numbers, not"):
        module(x)


def test_a_value_as_argument(engine):
    v = engine.Value(1.0)
    module = torch_function(v * 2, {"v": v})
    with pytest.raises(TypeError, match=r"argument v must be numbers, not Value\(data=1.0"):
        module(v)


def test_the_module_is_kept_and_copied(engine):
    loss, x, model = course_point(engine)
    module = torch_function(loss, x, model)
    expected = module(0.5, -1.25).item()
    others = [pickle.loads(pickle.dumps(module)), copy.deepcopy(module)]
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    with torch.no_grad():
        module.weights.zero_()
    assert module(0.5, -1.25).item() != expected
    assert bits(model.layers[0].neurons[0].w[0].data) != bits(0.0)
    module.load_state_dict(torch.load(file))
    for other in [module, *others]:
        assert other(0.5, -1.25).item() == expected


def test_without_torch(engine, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    x = engine.Value(1.0)
    for call in (
        lambda: to_torch(engine.Neuron(2)),
        lambda: from_torch(3),
        lambda: torch_function(x * 2, [x]),
    ):
        with pytest.raises(ImportError, match="this needs PyTorch: pip install torch"):
            call()
