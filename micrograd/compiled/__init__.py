"""micrograd over the tape in C: what `micrograd` offers when it is compiled.

The same names as in `micrograd.pure`, in files of the same names, with the same results, bit for
bit.
"""

from ..grad_mode import no_grad
from ..pure import __all__ as __all__
from ..pure import __dir__ as __dir__
from ..pure.nn import save
from ..recording_errors import RecordingError
from .data import gen_data, gen_data_circles, gen_data_yinyang
from .functions import dot, linear, softmax, take
from .functions import sum as sum
from .loss import accuracy, cross_entropy, eval_split, mean_cross_entropy
from .nn import MLP, Layer, Module, Neuron, load
from .optim import SGD, Adam, AdamW
from .recording import recorded
from .rng import RNG
from .rng import random as random
from .value import Value
from .value import live_nodes as live_nodes
