"""A small GPT in scalars, in the shape of karpathy's microgpt: one layer, a word a step.

GPT is written out one operator at a time, and needs a Value and nothing else of an engine. The
others use what ours offer: FreshGPT records its loss in every step with the functions that
record a sum of products in one call, RecordedGPT records it once.

They have start() and step() as the classes in course.py. gpt_by_hand.c and gpt_numpy.py are the
same as FreshGPT without an engine.
"""

from micrograd.pure import RNG

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


def tokens_of(word):
    return [EDGE, *map(LETTERS.index, word), EDGE]


# -----------------------------------------------------------------------------
# on lists of Values, one operator at a time


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
        rng = RNG(42)

        def matrix(rows, columns):
            return [
                [self.Value(rng.uniform(-0.2, 0.2)) for _ in range(columns)] for _ in range(rows)
            ]

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
        tokens = tokens_of(word)
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


# -----------------------------------------------------------------------------
# with the engine's own functions and its AdamW


class FreshGPT(GPT):
    """The model over what an engine of ours offers; its loss is recorded in every step."""

    def __init__(self, engine):
        super().__init__(engine)
        self.engine = engine

    def start(self):
        super().start()
        self.words = [tokens_of(word) for word in WORDS]
        self.optimizer = self.engine.AdamW(self.parameters, lr=0.01, betas=(0.9, 0.99), eps=1e-8)
        self.function = self.loss_function()

    def rmsnorm(self, x):
        scale = (self.engine.dot(x, x) / len(x) + 1e-5) ** -0.5
        return [xi * scale for xi in x]

    def attend(self, q, keys, values, head):
        dot, softmax = self.engine.dot, self.engine.softmax
        q = [q[i] for i in head]
        scores = [dot(q, [k[i] for i in head]) / len(head) ** 0.5 for k in keys]
        weights = softmax(scores)
        return [dot(weights, [v[i] for v in values]) for i in head]

    def logits(self, token, position, keys, values):
        linear, take = self.engine.linear, self.engine.take
        x = [t + p for t, p in zip(take(self.embed_token, token), self.embed_position[position])]
        x = self.rmsnorm(x)

        before, x = x, self.rmsnorm(x)
        q = linear(x, self.q)
        keys.append(linear(x, self.k))
        values.append(linear(x, self.v))
        x = [y for head in HEADS for y in self.attend(q, keys, values, head)]
        x = [a + b for a, b in zip(linear(x, self.o), before)]

        before, x = x, self.rmsnorm(x)
        x = [y.relu() ** 2 for y in linear(x, self.up)]
        x = [a + b for a, b in zip(linear(x, self.down), before)]

        return linear(x, self.unembed)

    def loss(self, tokens):
        """Return the mean cross-entropy of the tokens after the first."""
        keys, values, losses = [], [], []
        for position, (token, target) in enumerate(zip(tokens, tokens[1:])):
            logits = self.logits(token, position, keys, values)
            losses.append(self.engine.cross_entropy(logits, target))
        return self.engine.sum(losses) * (1 / len(losses))

    def loss_function(self):
        return self.loss

    def step(self):
        loss = self.function(self.words[self.optimizer.t % len(WORDS)])
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.data


class RecordedGPT(FreshGPT):
    """The loss is recorded once for each length of words, and these are all of one."""

    def loss_function(self):
        return self.engine.recorded(self.loss)


# -----------------------------------------------------------------------------
# a call of the loss by itself: a step neither goes backward nor trains


class FreshCall(RecordedGPT):
    """A call that is not recorded: the function that `recorded` was given."""

    def start(self):
        super().start()
        self.calls = 0

    def step(self):
        word = self.words[self.calls % len(WORDS)]
        self.calls += 1
        return self.call(word).data

    def call(self, word):
        return self.function.__wrapped__(word)


class RecordedCall(FreshCall):
    """A call of what is recorded already."""

    def call(self, word):
        return self.function(word)


class FirstCalls(FreshCall):
    """The first two calls: what is not done in the first, to record, is done in the second."""

    def call(self, word):
        self.function.cache_clear()
        self.function(word)
        return self.function(word)
