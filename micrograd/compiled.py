"""The public names over the tape in C: what `micrograd` offers when it is compiled.

The same names as in `micrograd.pure`, with the same results, bit for bit.
"""

from .data import RNG, gen_data, gen_data_circles, gen_data_yinyang
from .data import random as random
from .functions import cross_entropy, dot, linear, recorded, softmax, take
from .functions import sum as sum
from .network import MLP, Layer, Module, Neuron, eval_split, load, mean_cross_entropy
from .optimizer import SGD, Adam, AdamW
from .recording import RecordingError
from .value import Value, no_grad

__all__ = [
    "Value", "no_grad",
    "dot", "linear", "softmax", "take",
    "RNG", "gen_data", "gen_data_circles", "gen_data_yinyang",
    "Module", "Neuron", "Layer", "MLP", "load",
    "cross_entropy", "mean_cross_entropy", "eval_split",
    "Adam", "AdamW", "SGD",
    "recorded", "RecordingError",
]
