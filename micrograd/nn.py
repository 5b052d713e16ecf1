"""`from micrograd.nn import MLP`: an import path that micrograd's users have."""

from . import MLP, Layer, Module, Neuron

__all__ = ["Module", "Neuron", "Layer", "MLP"]
