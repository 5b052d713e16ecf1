"""The bigram model, over C."""

from __future__ import annotations

from array import array

from ..arguments import count, floats, integers
from ..checks import check_smoothing, refuse_copy
from ..pure import model as pure
from .faults import call
from .library import ffi, lib
from .rng import RNG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsFloat, SupportsIndex

    from typing_extensions import Buffer


class Bigram:
    __doc__ = pure.Bigram.__doc__

    def __init__(self, size: SupportsIndex = 27, smoothing: SupportsFloat = 1.0) -> None:
        size = count(size, "size", least=1, most=4096)
        smoothing = check_smoothing(smoothing)
        bigram = lib.bigram_new(size, smoothing)
        if not bigram:
            raise MemoryError(f"no memory for a bigram model of {size} tokens")
        self._bigram = ffi.gc(bigram, lib.bigram_free)  # freed with the last reference to it
        self._size, self._smoothing = size, smoothing  # nothing fails from here on

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return self._size

    @property
    def smoothing(self) -> float:
        """What is added to each count."""
        return self._smoothing

    def train(self, tokens: Buffer) -> None:
        items = ffi.from_buffer("int32_t[]", integers(tokens, "tokens"))
        call(lib.bigram_train, self._bigram, items, len(items), size=self._size)

    def probabilities(self, out: Buffer | None = None) -> Buffer:
        if out is None:
            out = array("d", bytes(8 * self._size * self._size))
        view = floats(out, "out", self._size * self._size, writable=True)
        items = ffi.from_buffer("double[]", view, require_writable=True)
        lib.bigram_probabilities(self._bigram, items)
        return out

    def loss(self, tokens: Buffer) -> float:
        items = ffi.from_buffer("int32_t[]", integers(tokens, "tokens"))
        loss = ffi.new("double *")
        call(lib.bigram_loss, self._bigram, items, len(items), loss, size=self._size)
        return loss[0]

    def sample(self, random: RNG, n: SupportsIndex, start: SupportsIndex = 0) -> array[int]:
        if not isinstance(random, RNG):
            raise TypeError(f"random must be this engine's RNG, such as RNG(42), not {random!r}")
        tokens = array("i", bytes(4 * count(n, "n")))
        token = count(start, "start", most=self._size - 1)
        items = ffi.from_buffer("int32_t[]", tokens)
        lib.bigram_sample(self._bigram, random._rng, token, items, len(items))
        return tokens

    __reduce_ex__ = refuse_copy

    def __repr__(self) -> str:
        return f"Bigram(size={self._size}, smoothing={self._smoothing})"

    for method in (train, probabilities, loss, sample):
        method.__doc__ = getattr(pure.Bigram, method.__name__).__doc__
    del method
