"""A small GPT in the shape of karpathy's microgpt, over the Values of either engine: one layer."""

import random

LETTERS = "abcdefgh"
EDGE = len(LETTERS)  # the token before a word's first letter and after its last
TOKENS = EDGE + 1
LONGEST = 8
WIDTH = 4
HEADS = [range(0, 2), range(2, 4)]


def tokens_of(word):
    return [EDGE, *map(LETTERS.index, word), EDGE]


def words(n, seed=1):
    """Random words of one to six letters."""
    rng = random.Random(seed)
    return ["".join(rng.choices(LETTERS, k=rng.randint(1, 6))) for _ in range(n)]


class GPT:
    def __init__(self, engine, seed=42):
        self.engine, rng = engine, random.Random(seed)

        def matrix(rows, columns=WIDTH):
            return [[engine.Value(rng.gauss(0, 0.3)) for _ in range(columns)] for _ in range(rows)]

        self.wte, self.wpe, self.head = matrix(TOKENS), matrix(LONGEST), matrix(TOKENS)
        self.q, self.k, self.v, self.o = (matrix(WIDTH) for _ in range(4))
        self.up, self.down = matrix(2 * WIDTH), matrix(WIDTH, 2 * WIDTH)

    def parameters(self):
        matrices = [m for m in vars(self).values() if isinstance(m, list)]
        return [p for m in matrices for row in m for p in row]

    def logits(self, token, position, keys, values):
        """Scores for each token that may come next; adds to the keys and values."""
        dot, linear, softmax = self.engine.dot, self.engine.linear, self.engine.softmax
        x = [t + p for t, p in zip(self.engine.take(self.wte, token), self.wpe[position])]
        before, x = x, self.norm(x)
        q = linear(x, self.q)
        keys.append(linear(x, self.k))
        values.append(linear(x, self.v))
        x = []
        for head in HEADS:
            scores = [dot([q[i] for i in head], [k[i] for i in head]) / 2**0.5 for k in keys]
            weights = softmax(scores)
            x += [dot(weights, [v[i] for v in values]) for i in head]
        x = [a + b for a, b in zip(linear(x, self.o), before)]
        before, x = x, self.norm(x)
        hidden = [h.relu() for h in linear(x, self.up)]
        x = [a + b for a, b in zip(linear(hidden, self.down), before)]
        return linear(x, self.head)

    def norm(self, x):
        scale = (self.engine.dot(x, x) / len(x) + 1e-5) ** -0.5
        return [xi * scale for xi in x]

    def loss(self, tokens):
        """The mean cross-entropy of a word's letters and of its end."""
        keys, values, losses = [], [], []
        for i in range(len(tokens) - 1):
            logits = self.logits(tokens[i], i, keys, values)
            losses.append(self.engine.cross_entropy(logits, tokens[i + 1]))
        return self.engine.sum(losses) * (1 / len(losses))
