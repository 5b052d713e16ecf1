"""A small GPT from the first line: it reads words and learns to make up others like them.

    python examples/gpt.py                              # names of rivers
    python examples/gpt.py --data FILE                  # words of your own, one a line
    python examples/gpt.py --save gpt.json              # keep what it has learned ...
    python examples/gpt.py --load gpt.json --steps 0    # ... to make up more, or to go on

With MICROGRAD_BACKEND=python it prints the same digits, more slowly.
"""

import argparse
import bisect
import itertools
from pathlib import Path

from micrograd import (
    RNG,
    AdamW,
    Module,
    Value,
    cross_entropy,
    dot,
    linear,
    no_grad,
    recorded,
    softmax,
    take,
)

try:
    from tqdm import tqdm  # a bar while it trains
except ImportError:
    tqdm = None

LETTERS = "abcdefghijklmnopqrstuvwxyz"
EDGE = len(LETTERS)  # the token before the first letter of a word and after its last
TOKENS = len(LETTERS) + 1
POSITIONS = 16  # so a word has at most 15 letters: the first position is the edge's
WIDTH = 16  # how many numbers stand for a letter on its way through the network
HEAD = 4  # how many of these one head of the attention looks at


def rmsnorm(x):
    """x scaled so that the mean of its squares is 1: sums further on stay of one size."""
    scale = (dot(x, x) / len(x) + 1e-5) ** -0.5
    return [xi * scale for xi in x]


def add(x, y):
    return [xi + yi for xi, yi in zip(x, y)]


def attend(query, keys, values):
    """The mean of the values, in which those whose keys fit the query weigh most."""
    weights = softmax([dot(query, key) / len(query) ** 0.5 for key in keys])
    return [dot(weights, column) for column in zip(*values)]


class GPT(Module):
    """A transformer of one layer. A Module saves and loads what it has as attributes."""

    def __init__(self, rng):
        def matrix(rows, columns):
            size = columns**-0.5
            return [[Value(rng.uniform(-size, size)) for _ in range(columns)] for _ in range(rows)]

        self.letter = matrix(TOKENS, WIDTH)  # which letter it is
        self.position = matrix(POSITIONS, WIDTH)  # and where it stands
        self.query, self.key, self.value, self.out = [matrix(WIDTH, WIDTH) for _ in range(4)]
        self.up, self.down = matrix(4 * WIDTH, WIDTH), matrix(WIDTH, 4 * WIDTH)
        self.score = matrix(TOKENS, WIDTH)

    def parameters(self):
        return [p for matrix in vars(self).values() for row in matrix for p in row]

    def scores(self, tokens):
        """For each position, a score for every token that may come next."""
        keys, values, scores = [], [], []
        for position, token in enumerate(tokens):
            # take, and not self.letter[token]: a recording serves other tokens, too
            x = add(take(self.letter, token), self.position[position])

            # attention: look back at the positions so far, each head in its part of x
            normed = rmsnorm(x)
            query = linear(normed, self.query)
            keys.append(linear(normed, self.key))
            values.append(linear(normed, self.value))
            found = []
            for start in range(0, WIDTH, HEAD):
                head = slice(start, start + HEAD)
                found += attend(query[head], [k[head] for k in keys], [v[head] for v in values])
            x = add(x, linear(found, self.out))

            # and two layers that work on what was found there
            hidden = [h.relu() for h in linear(rmsnorm(x), self.up)]
            x = add(x, linear(hidden, self.down))

            scores.append(linear(x, self.score))
        return scores

    # Words of one length make the same graph. So each length is recorded once, and for every
    # other word of that length computed again with its own letters.

    @recorded
    def loss(self, tokens):
        """The mean cross-entropy of a word's tokens, each given those before it."""
        losses = map(cross_entropy, self.scores(tokens[:-1]), tokens[1:])
        return sum(losses) / (len(tokens) - 1)

    @recorded
    def probabilities(self, tokens):
        """For each token, how likely it is to come next."""
        return softmax(self.scores(tokens)[-1])


def read(path):
    """Return the words of a file, one a line, as lists of tokens."""
    lines = path.read_text(encoding="utf-8-sig", errors="replace").lower().splitlines()
    words = [line.strip() for line in lines]
    for number, word in enumerate(words, start=1):
        if len(word) >= POSITIONS or not set(word) <= set(LETTERS):
            most = POSITIONS - 1
            raise ValueError(f"{path}, line {number}: {word!r} is not at most {most} letters a-z")
    if not any(words):
        raise ValueError(f"{path} has no words in it")
    return [[EDGE, *map(LETTERS.index, word), EDGE] for word in words if word]


def train(model, optimizer, words, steps):
    """Take so many steps, a word each, and print the mean of the losses now and then."""
    losses = []
    steps = range(1, steps + 1)
    for step in tqdm(steps, unit="step", leave=False, disable=None) if tqdm else steps:
        loss = model.loss(words[optimizer.t % len(words)])
        loss.backward()
        optimizer.lr = 0.02 / (1 + optimizer.t / 100) ** 0.5  # in the end only small corrections
        optimizer.step()
        optimizer.zero_grad()

        losses.append(loss.data)
        if step % 500 == 0 or step == len(steps):
            line = f"step {optimizer.t}, loss {sum(losses) / len(losses):.4f}"
            tqdm.write(line) if tqdm else print(line)
            losses.clear()


def choose(weights, rng):
    """A random index; each comes up as often as its weight says."""
    sums = list(itertools.accumulate(weights))
    return bisect.bisect(sums, rng.uniform(0, sums[-1]))


def make_up(model, temperature, rng):
    """A new word, letter by letter."""
    tokens = [EDGE]
    while len(tokens) < POSITIONS:
        probs = [p.data for p in model.probabilities(tokens)]
        # a low temperature leaves little to what is less likely than the likeliest
        token = choose([(p / max(probs)) ** (1 / temperature) for p in probs], rng)
        if token == EDGE:
            break
        tokens.append(token)
    return "".join(LETTERS[token] for token in tokens[1:])


def run(options):
    rng = RNG(options.seed)
    words = read(options.data)
    words.sort(key=lambda _: rng.random())  # in a random order
    model = GPT(rng)
    optimizer = AdamW(model.parameters(), betas=(0.9, 0.99))
    if options.load:
        model.load(options.load)
        optimizer.load(options.load)
    print(f"{len(words)} words, {len(model.parameters())} parameters")
    train(model, optimizer, words, options.steps)
    if options.save:
        model.save(options.save, optimizer=optimizer)

    with no_grad():
        for _ in range(10):
            print(make_up(model, options.temperature, rng))


def main():
    parser = argparse.ArgumentParser(description="Train a small GPT on words and make up others.")
    option, rivers = parser.add_argument, Path(__file__).with_name("rivers.txt")
    option("--data", type=Path, default=rivers, help="words of a-z, one a line (rivers.txt)")
    option("--steps", type=int, default=5000, help="training steps, a word each (5000)")
    option("--seed", type=int, default=42, help="of the random numbers (42)")
    option("--temperature", type=float, default=0.7, help="low: words are likely ones (0.7)")
    option("--save", metavar="FILE", help="keep what has been learned")
    option("--load", metavar="FILE", help="go on from what --save has kept")
    options = parser.parse_args()
    if not options.temperature > 0:
        parser.error(f"--temperature {options.temperature:g} is not above 0")
    if options.steps < 0:
        parser.error(f"--steps {options.steps} is below 0")
    if options.save and not Path(options.save).absolute().parent.is_dir():
        parser.error(f"--save {options.save}: there is no such folder")
    try:
        run(options)
    except (OSError, ValueError) as problem:
        parser.error(str(problem))


if __name__ == "__main__":
    main()
