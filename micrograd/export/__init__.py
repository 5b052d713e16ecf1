"""Graphs and networks for elsewhere: as C source, as NumPy functions, as PyTorch modules.

    from micrograd.export import from_torch, numpy_function, to_c, to_torch, torch_function

NumPy and PyTorch are imported by the first call that needs them, not before.
"""

from .c import to_c
from .numpy import numpy_function
from .pytorch import from_torch, to_torch, torch_function

__all__ = ["to_c", "numpy_function", "torch_function", "to_torch", "from_torch"]


def __dir__() -> list[str]:
    return [*__all__]
