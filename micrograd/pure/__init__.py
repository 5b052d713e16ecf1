"""micrograd in plain Python: the specification, made to be read. Begin with `value.py`.

This engine says what the right answer is. The compiled one (`micrograd.compiled`) has the same
public names, in files of the same names, and gives the same numbers, bit for bit; the tests hold
the two against each other. Use it when there is no compiler, or to look how something works.
"""

from ..grad_mode import no_grad
from ..recording_errors import RecordingError
from .data import gen_data, gen_data_circles, gen_data_yinyang
from .functions import dot, linear, softmax, take
from .functions import sum as sum
from .loss import accuracy, cross_entropy, eval_split, mean_cross_entropy
from .nn import MLP, Layer, Module, Neuron, load, save
from .optim import SGD, Adam, AdamW
from .recording import recorded
from .rng import RNG
from .rng import random as random
from .value import Value

__all__ = [
    "Value", "no_grad",
    "dot", "linear", "softmax", "take",
    "RNG", "gen_data", "gen_data_circles", "gen_data_yinyang",
    "Module", "Neuron", "Layer", "MLP", "load", "save",
    "cross_entropy", "mean_cross_entropy", "eval_split", "accuracy",
    "Adam", "AdamW", "SGD",
    "recorded", "RecordingError",
]  # fmt: skip


def __dir__() -> list[str]:  # no modules, and what `import *` leaves out
    return [*__all__, "random", "sum"]
