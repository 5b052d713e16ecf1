"""A small GPT written out in scalars, one operator at a time, in the shape of karpathy's microgpt:
one layer, trained on one word a step. It needs a Value and nothing else of an engine.

It has start() and step() as the classes in course.py.
"""

import random

WORDS = (
    "almond banana carrot cashew celery cherry citrus endive fennel garlic "
    "ginger orange papaya pepper potato quince radish tomato turnip walnut"
).split()  # of six letters each, so that every step has as many nodes
LETTERS = sorted(set("".join(WORDS)))
EDGE = len(LETTERS)  # the token before a word's first letter and after its last
TOKENS = EDGE + 1
POSITIONS = len(WORDS[0]) + 1
WIDTH = 16
HEADS = [range(i, i + 4) for i in range(0, WIDTH, 4)]  # the elements that each looks at

# -----------------------------------------------------------------------------
# on lists of Values


def linear(x, weights):
    return [sum(w * xi for w, xi in zip(row, x)) for row in weights]


def softmax(scores):
    largest = max(score.data for score in scores)
    exps = [(score - largest).exp() for score in scores]
    total = sum(exps)
    return [e / total for e in exps]


def rmsnorm(x):
    mean_square = sum(xi * xi for xi in x) / len(x)
    scale = (mean_square + 1e-5) ** -0.5
    return [xi * scale for xi in x]


def attend(q, keys, values, head):
    """One head's part of the sum of all values, weighted by how well their keys fit q."""
    scores = [sum(q[i] * k[i] for i in head) / len(head) ** 0.5 for k in keys]
    weights = softmax(scores)
    return [sum(w * v[i] for w, v in zip(weights, values)) for i in head]


# -----------------------------------------------------------------------------
# the model


class GPT:
    """The model, its words and its Adam.

    Args:
        engine: a module that has a Value.

    Attributes:
        parameters: all the leaves that it learns, in one list.
    """

    def __init__(self, engine):
        self.Value = engine.Value

    def start(self):
        rng = random.Random(42)

        def matrix(rows, columns):
            return [[self.Value(rng.gauss(0, 0.1)) for _ in range(columns)] for _ in range(rows)]

        matrices = self.embed_token, self.embed_position, self.q, self.k, self.v, self.o, *rest = (
            matrix(TOKENS, WIDTH),
            matrix(POSITIONS, WIDTH),
            *[matrix(WIDTH, WIDTH) for _ in range(4)],
            matrix(4 * WIDTH, WIDTH),
            matrix(WIDTH, 4 * WIDTH),
            matrix(TOKENS, WIDTH),
        )
        self.up, self.down, self.unembed = rest
        self.parameters = [p for rows in matrices for row in rows for p in row]
        self.means = [0.0] * len(self.parameters)
        self.squares = [0.0] * len(self.parameters)
        self.t = 0
        self.last_loss = None

    def logits(self, token, position, keys, values):
        """Return a score for each token that may come next; add to the keys and values."""
        x = [t + p for t, p in zip(self.embed_token[token], self.embed_position[position])]
        x = rmsnorm(x)

        before, x = x, rmsnorm(x)
        q = linear(x, self.q)
        keys.append(linear(x, self.k))
        values.append(linear(x, self.v))
        x = [y for head in HEADS for y in attend(q, keys, values, head)]
        x = [a + b for a, b in zip(linear(x, self.o), before)]

        before, x = x, rmsnorm(x)
        x = [y.relu() ** 2 for y in linear(x, self.up)]
        x = [a + b for a, b in zip(linear(x, self.down), before)]

        return linear(x, self.unembed)

    def loss(self, word):
        """Return the mean cross-entropy of a word's letters and of its end."""
        tokens = [EDGE, *map(LETTERS.index, word), EDGE]
        keys, values, losses = [], [], []
        for position, (token, target) in enumerate(zip(tokens, tokens[1:])):
            probs = softmax(self.logits(token, position, keys, values))
            losses.append(-probs[target].log())
        return sum(losses) * (1 / len(losses))

    def adam(self, lr=0.01, beta1=0.9, beta2=0.99, eps=1e-8):
        self.t += 1
        means, squares = self.means, self.squares
        for i, p in enumerate(self.parameters):
            means[i] = beta1 * means[i] + (1 - beta1) * p.grad
            squares[i] = beta2 * squares[i] + (1 - beta2) * p.grad**2
            mean = means[i] / (1 - beta1**self.t)
            square = squares[i] / (1 - beta2**self.t)
            p.data -= lr * mean / (square**0.5 + eps)
            p.grad = 0

    def step(self):
        # kept until the next one is there, as in a script's loop: two graphs are alive at times,
        # and Python's garbage collector goes over both
        self.last_loss = self.loss(WORDS[self.t % len(WORDS)])
        self.last_loss.backward()
        self.adam()
        return self.last_loss.data
