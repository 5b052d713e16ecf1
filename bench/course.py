"""The course's training step with our engines, in the three ways in which one may write it.

Each has start(), which goes back to the untrained network, and step(), which takes one step
and returns its loss: the network MLP(2, [16, 3]), 80 points, AdamW.
"""

from micrograd import pure
from micrograd.run import CourseRun

# -----------------------------------------------------------------------------
# one op at a time: the course's own loops over Values


def neuron(weights, bias, x):
    act = bias
    for wi, xi in zip(weights, x):
        act = act + wi * xi
    return act


def cross_entropy(logits, target):
    max_val = max(logit.data for logit in logits)
    ex = [(logit - max_val).exp() for logit in logits]
    denom = sum(ex)
    probs = [x / denom for x in ex]
    return -probs[target].log()


def mean_cross_entropy(Value, layers, split):
    hidden, output = layers
    total_loss = Value(0.0)
    for x, y in split:
        x = [Value(xi) for xi in x]
        x = [neuron(weights, bias, x).tanh() for weights, bias in hidden]
        logits = [neuron(weights, bias, x) for weights, bias in output]
        total_loss = total_loss + cross_entropy(logits, y)
    return total_loss * (1.0 / len(split))


def values_of(Value, model):
    """Return a network's numbers as Values of any kind: by layer and neuron, and in a row."""
    layers = [
        [([Value(w.data) for w in n.w], Value(n.b.data)) for n in layer.neurons]
        for layer in model.layers
    ]
    return layers, [p for layer in layers for weights, bias in layer for p in [*weights, bias]]


class OneOpAtATime:
    """Loops over Values: a script as people have them."""

    def __init__(self, engine):
        self.engine = engine

    def start(self):
        run = CourseRun(pure)
        self.train, rates = run.train, run.optimizer
        self.layers, parameters = values_of(self.engine.Value, run.model)
        betas = rates.beta1, rates.beta2
        self.optimizer = self.engine.AdamW(
            parameters, rates.lr, betas, rates.eps, rates.weight_decay
        )

    def step(self):
        loss = mean_cross_entropy(self.engine.Value, self.layers, self.train)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.data


# -----------------------------------------------------------------------------
# with the package's network, loss and optimiser


class FreshGraph:
    """The README's training loop: the loss is recorded in every step."""

    def __init__(self, engine):
        self.engine = engine

    def start(self):
        self.run = CourseRun(self.engine)

    def step(self):
        loss = self.engine.mean_cross_entropy(self.run.model, self.run.train)
        loss.backward()
        self.run.optimizer.step()
        self.run.optimizer.zero_grad()
        return loss.data


class OneRecording(FreshGraph):
    """The loss is recorded once, and every step goes forward and backward over it."""

    def start(self):
        super().start()
        self.loss = self.engine.mean_cross_entropy(self.run.model, self.run.train)

    def step(self):
        self.loss.forward()
        self.loss.backward()
        self.run.optimizer.step()
        self.run.optimizer.zero_grad()
        return self.loss.data
