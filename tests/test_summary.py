"""How many parameters a module has, and the table of its layers."""

import micrograd.nn

MLP_TABLE = """\
layer     shape    activation  parameters
layers.0  2 -> 16  tanh                48
layers.1  16 -> 3  linear              51
total                                  99"""

OWN_TABLE = """\
layer             shape   activation  parameters
scale                                          1
table             4 x 3                       12
ragged                                         3
mlp.layers.0      3 -> 4  relu                16
mlp.layers.1      4 -> 2  linear              10
heads.0.layers.0  2 -> 2  linear               6
heads.1           2 -> 3  tanh                 9
others                                         2
total                                         59"""


def own_module(engine):
    """Attributes of all kinds: Values, lists of them, modules, and what is none of these."""
    Value, MLP, Layer = engine.Value, engine.MLP, engine.Layer

    class Own(engine.Module):
        def __init__(self):
            self.me, self.name, self.sizes = self, "own", [2, 3]
            self.scale = Value(1.0)
            self.table = [[Value(0.0) for _ in range(3)] for _ in range(4)]
            self.ragged = ([Value(1.0)], [Value(2.0), Value(3.0)])
            self.mlp = MLP(3, [4, 2], activation="relu")
            self.heads = [MLP(2, [2]), Layer(2, 3)]
            self.in_a_dict = {"a": Value(1.0), "b": Value(2.0)}
            self.inputs = [Value(3.0)]  # no parameters
            self.tied = self.table  # counted already

        def parameters(self):
            yield self.scale
            for row in [*self.table, *self.ragged]:
                yield from row
            for module in (self.mlp, *self.heads):
                yield from module.parameters()
            yield from self.in_a_dict.values()

    return Own()


def test_the_table_of_an_mlp(engine, no_new_nodes):
    model = engine.MLP(2, [16, 3])
    assert model.summary() == MLP_TABLE
    assert model.num_parameters() == 99 == len(model.parameters())


def test_the_tables_of_layers_and_neurons(engine):
    lines = engine.Layer(2, 3, activation="relu").summary().splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["Layer", "2", "->", "3", "relu", "9"],
        ["total", "9"],
    ]
    assert engine.Neuron(5, nonlin=False).summary().splitlines()[1].split() == [
        "Neuron", "5", "->", "1", "linear", "6",
    ]  # fmt: skip
    assert engine.Module().num_parameters() == 0
    assert engine.Module().summary().splitlines()[1].split() == ["total", "0"]


def test_the_table_of_a_module_of_one_s_own(engine, no_new_nodes):
    own = own_module(engine)
    assert own.summary() == OWN_TABLE
    assert own.num_parameters() == 59
    del own.me  # a garbage cycle


def test_neurons_that_are_not_alike_have_a_line_each(engine):
    class Own(engine.Neuron):
        def __init__(self):
            super().__init__(2)
            self.gain = engine.Value(1.0)

        def parameters(self):
            return [*super().parameters(), self.gain]

    class Foreign:
        p = engine.Value(1.0)

        def parameters(self):
            return [self.p]

    model = engine.MLP(2, [3, 1])
    model.layers[0].neurons[1] = engine.Neuron(2, nonlin=False)
    model.layers[0].neurons[2] = Own()
    model.layers[1].neurons.append(Foreign())
    rows = [line.split() for line in model.summary().splitlines()[1:]]
    assert rows == [
        ["layers.0.neurons.0", "2", "->", "1", "tanh", "3"],
        ["layers.0.neurons.1", "2", "->", "1", "linear", "3"],
        ["layers.0.neurons.2", "2", "->", "1", "tanh", "4"],
        ["layers.1.neurons.0", "3", "->", "1", "linear", "4"],
        ["others", "1"],
        ["total", "15"],
    ]


def test_shared_parameters_count_once(engine):
    """Whatever == a subclass of Value has."""

    class Equal(engine.Value):
        def __eq__(self, other):
            return True

        def __hash__(self):
            return 1

    model = engine.MLP(2, [2, 2])
    model.layers[1].neurons = model.layers[0].neurons
    assert len(model.parameters()) == 12 and model.num_parameters() == 6
    assert [line.split()[-1] for line in model.summary().splitlines()[1:]] == ["6", "0", "6"]
    layer = engine.Layer(2, 1)
    layer.neurons[0].w = [Equal(1.0), Equal(1.0)]
    assert layer.num_parameters() == 3


def test_karpathy_s_networks():
    lines = micrograd.nn.MLP(2, [16, 1]).summary().splitlines()
    assert lines[1].split() == ["layers.0", "2", "->", "16", "relu", "48"]


def test_it_shows_as_it_is_in_a_notebook(engine):
    table = engine.MLP(2, [1]).summary()
    assert repr(table) == str(table) == "\n".join(table.splitlines())


def test_a_list_within_itself(engine):
    model = engine.MLP(2, [1])
    model.cache = []
    model.cache.append(model.cache)
    assert model.summary().splitlines()[-1].split() == ["total", "3"]
