"""The small GPT's step in NumPy with its backward pass derived by hand: all positions of a word
at once in matrix products, all parameters in one array.

It has start() and step() as the classes in course.py; the network is that of gpt.py.
"""

import math

import numpy as np

from micrograd.pure import RNG

from .gpt import HEADS, POSITIONS, TOKENS, WIDTH, WORDS, tokens_of

HEADS, SIZE = len(HEADS), len(HEADS[0])
SHAPES = {
    "token": (TOKENS, WIDTH),
    "position": (POSITIONS, WIDTH),
    "qkv": (3 * WIDTH, WIDTH),
    "o": (WIDTH, WIDTH),
    "up": (4 * WIDTH, WIDTH),
    "down": (WIDTH, 4 * WIDTH),
    "unembed": (TOKENS, WIDTH),
}  # in the order of gpt.py's
COUNT = sum(rows * columns for rows, columns in SHAPES.values())
LATER = np.triu(np.full((POSITIONS, POSITIONS), -np.inf), 1)  # no position looks at later ones
HERE = np.arange(POSITIONS)


def views(flat):
    """Return the matrices, by name, that one array consists of."""
    matrices, start = {}, 0
    for name, (rows, columns) in SHAPES.items():
        matrices[name] = flat[start : start + rows * columns].reshape(rows, columns)
        start += rows * columns
    return matrices


def rmsnorm(x):
    scale = 1 / np.sqrt(np.einsum("ij,ij->i", x, x) / WIDTH + 1e-5)[:, None]
    return x * scale, scale


def rmsnorm_back(x, scale, dy):
    slope = np.einsum("ij,ij->i", dy, x)[:, None] * scale * scale / WIDTH
    return scale * (dy - slope * x)


class GPT:
    """The model and its AdamW."""

    def start(self):
        rng = RNG(42)
        self.flat = np.array([rng.uniform(-0.2, 0.2) for _ in range(COUNT)])
        self.gradient, self.m, self.v, self.scratch = np.zeros((4, COUNT))
        self.p, self.g = views(self.flat), views(self.gradient)
        self.words = [np.array(tokens_of(word)) for word in WORDS]
        self.t = 0

    def step(self):
        word = self.words[self.t % len(WORDS)]
        loss = self.forward_and_backward(word[:-1], word[1:])
        self.adamw()
        return loss

    def forward_and_backward(self, tokens, targets):
        """Set the gradients; return the loss."""
        p, g = self.p, self.g

        embedded = p["token"][tokens] + p["position"]
        x0, scale0 = rmsnorm(embedded)

        x1, scale1 = rmsnorm(x0)
        # by head, position and feature
        qkv = (x1 @ p["qkv"].T).reshape(POSITIONS, 3, HEADS, SIZE).transpose(1, 2, 0, 3)
        q, k, v = qkv
        scores = q @ k.transpose(0, 2, 1) / SIZE**0.5 + LATER
        weights = np.exp(scores - scores.max(2, keepdims=True))
        weights /= weights.sum(2, keepdims=True)
        attended = (weights @ v).transpose(1, 0, 2).reshape(POSITIONS, WIDTH)
        x2 = attended @ p["o"].T + x0

        x3, scale3 = rmsnorm(x2)
        up = np.maximum(x3 @ p["up"].T, 0)
        squared = up * up
        x4 = squared @ p["down"].T + x2

        logits = x4 @ p["unembed"].T
        probs = np.exp(logits - logits.max(1, keepdims=True))
        probs /= probs.sum(1, keepdims=True)
        loss = -np.log(probs[HERE, targets]).sum() / POSITIONS

        # backward, in the reverse order
        probs[HERE, targets] -= 1
        probs /= POSITIONS
        np.matmul(probs.T, x4, out=g["unembed"])
        dx = probs @ p["unembed"]

        np.matmul(dx.T, squared, out=g["down"])
        dup = dx @ p["down"]
        dup *= 2 * up
        np.matmul(dup.T, x3, out=g["up"])
        dx += rmsnorm_back(x2, scale3, dup @ p["up"])

        np.matmul(dx.T, attended, out=g["o"])
        dattended = (dx @ p["o"]).reshape(POSITIONS, HEADS, SIZE).transpose(1, 0, 2)
        dscores = dattended @ v.transpose(0, 2, 1)
        dscores -= (weights * dscores).sum(2, keepdims=True)
        dscores *= weights
        dscores /= SIZE**0.5
        dqkv = np.empty((POSITIONS, 3, HEADS, SIZE))
        dq, dk, dv = dqkv.transpose(1, 2, 0, 3)
        np.matmul(dscores, k, out=dq)
        np.matmul(dscores.transpose(0, 2, 1), q, out=dk)
        np.matmul(weights.transpose(0, 2, 1), dattended, out=dv)
        dqkv = dqkv.reshape(POSITIONS, 3 * WIDTH)
        np.matmul(dqkv.T, x1, out=g["qkv"])
        dx += rmsnorm_back(x0, scale1, dqkv @ p["qkv"])

        dx = rmsnorm_back(embedded, scale0, dx)
        g["token"][:] = 0
        np.add.at(g["token"], tokens, dx)
        g["position"][:] = dx
        return loss

    def adamw(self, lr=0.01, beta1=0.9, beta2=0.99, eps=1e-8):
        """One step on all parameters at once, in place; its weight decay is 0."""
        self.t += 1
        g, scratch = self.gradient, self.scratch
        self.m *= beta1
        self.m += np.multiply(g, 1 - beta1, out=scratch)
        np.multiply(g, g, out=g)
        g *= 1 - beta2
        self.v *= beta2
        self.v += g
        # m / bias1 / (sqrt(v / bias2) + eps), with the root of bias2 taken out of the arrays
        root = math.sqrt(1 - beta2**self.t)
        np.sqrt(self.v, out=scratch)
        scratch += eps * root
        np.divide(self.m, scratch, out=scratch)
        scratch *= lr * root / (1 - beta1**self.t)
        self.flat -= scratch
