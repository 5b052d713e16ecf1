"""The course's training step in other people's libraries, each in its own idiom.

The same network from the same start, the same points and the same optimiser, with start()
and step() as in course.py. A library is imported when its class is made.
"""

from micrograd import pure
from micrograd.run import CourseRun

from .course import neuron, values_of


class Problem:
    """The course's run as plain numbers.

    Attributes:
        points: the list of 80 [x, y]. labels: the list of their classes.
        train: the list of (point, label).
        layers: for each layer its weights, a list for each neuron, and its biases.
        rates: what has lr, beta1, beta2, eps and weight_decay.
    """

    def __init__(self):
        run = CourseRun(pure)
        self.train = run.train
        self.points = [point for point, _ in run.train]
        self.labels = [label for _, label in run.train]
        self.model = run.model
        self.layers = [
            ([[w.data for w in n.w] for n in layer.neurons], [n.b.data for n in layer.neurons])
            for layer in run.model.layers
        ]
        self.rates = run.optimizer

    def adamw(self, p, m, v, g, t):
        """Return p, m and v after step t with gradient g: floats, arrays or expressions."""
        rates = self.rates
        m = rates.beta1 * m + (1 - rates.beta1) * g
        v = rates.beta2 * v + (1 - rates.beta2) * g**2
        m_hat = m / (1 - rates.beta1**t)
        v_hat = v / (1 - rates.beta2**t)
        p = p - rates.lr * (m_hat / (v_hat**0.5 + rates.eps) + rates.weight_decay * p)
        return p, m, v


# -----------------------------------------------------------------------------
# one op at a time from Python, as course.OneOpAtATime


class XAD:
    """XAD: a tape in C++, its operators called from Python."""

    def __init__(self):
        from xad import math
        from xad.adj_1st import Real, Tape

        self.Real, self.math = Real, math
        self.tape = Tape()
        self.tape.activate()

    def start(self):
        self.problem = Problem()
        self.numbers = [p.data for p in self.problem.model.parameters()]
        self.m = [0.0] * len(self.numbers)
        self.v = [0.0] * len(self.numbers)
        self.t = 0

    def step(self):
        self.tape.clearAll()
        parameters = [self.Real(x) for x in self.numbers]
        self.tape.registerInputs(parameters)
        self.tape.newRecording()
        loss = self.mean_cross_entropy(parameters)
        self.tape.registerOutput(loss)
        loss.setDerivative(1.0)
        self.tape.computeAdjoints()
        self.t += 1
        for i, p in enumerate(parameters):
            self.numbers[i], self.m[i], self.v[i] = self.problem.adamw(
                self.numbers[i], self.m[i], self.v[i], p.getDerivative(), self.t
            )
        return loss.getValue()

    def mean_cross_entropy(self, parameters):
        tanh, split = self.math.tanh, self.problem.train
        rest = iter(parameters)
        hidden, output = (
            [([next(rest) for _ in n.w], next(rest)) for n in layer.neurons]
            for layer in self.problem.model.layers
        )
        total_loss = self.Real(0.0)
        for x, y in split:
            x = [self.Real(xi) for xi in x]
            x = [tanh(neuron(weights, bias, x)) for weights, bias in hidden]
            logits = [neuron(weights, bias, x) for weights, bias in output]
            total_loss = total_loss + self.cross_entropy(logits, y)
        return total_loss * (1.0 / len(split))

    def cross_entropy(self, logits, target):
        exp, log = self.math.exp, self.math.log
        max_val = max(logit.getValue() for logit in logits)
        ex = [exp(logit - max_val) for logit in logits]
        denom = sum(ex)
        probs = [x / denom for x in ex]
        return -log(probs[target])


class TorchScalars:
    """PyTorch with a tensor for every number."""

    def __init__(self):
        import torch

        torch.set_num_threads(1)
        self.torch = torch

    def start(self):
        self.problem = Problem()

        def parameter(x):
            return self.torch.tensor(x, dtype=self.torch.float64, requires_grad=True)

        self.layers, parameters = values_of(parameter, self.problem.model)
        self.optimizer = torch_adamw(self.torch, parameters, self.problem.rates)

    def step(self):
        self.optimizer.zero_grad()
        loss = self.mean_cross_entropy()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def mean_cross_entropy(self):
        (hidden, output), split = self.layers, self.problem.train
        total_loss = 0.0
        for x, y in split:
            x = [neuron(weights, bias, x).tanh() for weights, bias in hidden]
            logits = [neuron(weights, bias, x) for weights, bias in output]
            total_loss = total_loss + self.cross_entropy(logits, y)
        return total_loss * (1.0 / len(split))

    def cross_entropy(self, logits, target):
        max_val = max(logit.item() for logit in logits)
        ex = [(logit - max_val).exp() for logit in logits]
        denom = sum(ex)
        probs = [x / denom for x in ex]
        return -probs[target].log()


# -----------------------------------------------------------------------------
# all points at once, in arrays


class TorchTensors:
    """PyTorch with tensors, one thread, and its fused AdamW."""

    def __init__(self):
        import torch

        torch.set_num_threads(1)
        self.torch = torch

    def start(self):
        torch, problem = self.torch, Problem()
        self.x = torch.tensor(problem.points, dtype=torch.float64)
        self.y = torch.tensor(problem.labels)
        self.parameters = [
            torch.tensor(numbers, dtype=torch.float64, requires_grad=True)
            for layer in problem.layers
            for numbers in layer
        ]
        self.optimizer = torch_adamw(torch, self.parameters, problem.rates)

    def step(self):
        torch = self.torch
        w1, b1, w2, b2 = self.parameters
        hidden = torch.addmm(b1, self.x, w1.T).tanh()
        logits = torch.addmm(b2, hidden, w2.T)
        loss = torch.nn.functional.cross_entropy(logits, self.y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def torch_adamw(torch, parameters, rates):
    return torch.optim.AdamW(
        parameters,
        lr=rates.lr,
        betas=(rates.beta1, rates.beta2),
        eps=rates.eps,
        weight_decay=rates.weight_decay,
        fused=True,
    )


class Autograd:
    """autograd: NumPy's functions, traced anew in every step."""

    def __init__(self):
        import autograd

        self.np = autograd.numpy
        self.value_and_grad = autograd.value_and_grad(self.mean_cross_entropy)

    def start(self):
        np = self.np
        self.problem = Problem()
        self.x = np.array(self.problem.points)
        self.y = np.eye(3)[self.problem.labels]
        self.p = [np.array(numbers) for layer in self.problem.layers for numbers in layer]
        self.m = [np.zeros_like(p) for p in self.p]
        self.v = [np.zeros_like(p) for p in self.p]
        self.t = 0

    def mean_cross_entropy(self, parameters):
        np = self.np
        w1, b1, w2, b2 = parameters
        hidden = np.tanh(np.dot(self.x, w1.T) + b1)
        logits = np.dot(hidden, w2.T) + b2
        logits = logits - np.max(logits, axis=1, keepdims=True)
        logp = logits - np.log(np.sum(np.exp(logits), axis=1, keepdims=True))
        return -np.sum(self.y * logp) / len(self.y)

    def step(self):
        loss, gradients = self.value_and_grad(self.p)
        self.t += 1
        for i, g in enumerate(gradients):
            self.p[i], self.m[i], self.v[i] = self.problem.adamw(
                self.p[i], self.m[i], self.v[i], g, self.t
            )
        return loss


class Casadi:
    """casadi: the whole step as one function of matrices, its gradient made beforehand."""

    def __init__(self):
        import casadi
        import numpy

        self.numpy = numpy
        self.problem = Problem()
        self.buffer, self.evaluate = self.function(casadi).buffer()

    def function(self, ca):
        p, m, v, t = [ca.MX.sym(name, 99) for name in "pmv"] + [ca.MX.sym("t")]
        loss = self.mean_cross_entropy(ca, p)
        after = self.problem.adamw(p, m, v, ca.gradient(loss, p), t + 1)
        return ca.Function("step", [p, m, v, t], [*after, t + 1, loss])

    def mean_cross_entropy(self, ca, p):
        n = len(self.problem.train)
        x = ca.DM(self.problem.points).T
        y = ca.DM(self.numpy.eye(3)[self.problem.labels]).T
        w1 = ca.reshape(p[:48], 3, 16).T  # a row for each neuron, its bias last
        w2 = ca.reshape(p[48:], 17, 3).T
        hidden = ca.tanh(w1[:, :2] @ x + ca.repmat(w1[:, 2], 1, n))
        logits = w2[:, :16] @ hidden + ca.repmat(w2[:, 16], 1, n)
        max_val = ca.fmax(ca.fmax(logits[0, :], logits[1, :]), logits[2, :])
        ex = ca.exp(logits - ca.repmat(max_val, 3, 1))
        probs = ca.sum1(ex * y) / ca.sum1(ex)
        return -ca.sum2(ca.log(probs)) / n

    def start(self):
        np = self.numpy
        numbers = [p.data for p in self.problem.model.parameters()]
        self.state = [np.array(numbers), np.zeros(99), np.zeros(99), np.zeros(1)]
        self.result = [np.zeros_like(x) for x in [*self.state, np.zeros(1)]]
        for i, x in enumerate(self.state):
            self.buffer.set_arg(i, memoryview(x))
        for i, x in enumerate(self.result):
            self.buffer.set_res(i, memoryview(x))

    def step(self):
        self.evaluate()
        *state, loss = self.result
        for x, after in zip(self.state, state):
            x[:] = after
        return loss[0]


class JAX:
    """JAX: the whole step compiled, all parameters in one array, which it may overwrite."""

    def __init__(self):
        import jax
        from jax import flatten_util

        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_enable_x64", True)
        self.np = np = jax.numpy
        self.problem = Problem()
        x, y = np.array(self.problem.points), np.array(self.problem.labels)
        layers = [tuple(np.array(numbers) for numbers in layer) for layer in self.problem.layers]
        self.flat, unflatten = flatten_util.ravel_pytree(layers)

        def mean_cross_entropy(p):
            (w1, b1), (w2, b2) = unflatten(p)
            logits = np.tanh(x @ w1.T + b1) @ w2.T + b2
            return -jax.nn.log_softmax(logits)[np.arange(len(y)), y].mean()

        def step(p, m, v, t):
            loss, g = jax.value_and_grad(mean_cross_entropy)(p)
            return loss, *self.problem.adamw(p, m, v, g, t + 1), t + 1

        self.compiled = jax.jit(step, donate_argnums=(0, 1, 2, 3))

    def start(self):
        zeros = self.np.zeros_like
        self.state = self.np.copy(self.flat), zeros(self.flat), zeros(self.flat), self.np.array(0.0)

    def step(self):
        loss, *self.state = self.compiled(*self.state)
        return float(loss)
