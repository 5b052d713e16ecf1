"""The n-gram model, over C."""

from __future__ import annotations

from array import array

from ..arguments import count, floats, integers
from ..checks import SIZE, check_n, check_smoothing, refuse_copy
from ..pure import model as pure
from .faults import call
from .library import ffi, lib
from .rng import RNG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsFloat, SupportsIndex

    from typing_extensions import Buffer


class NGram:
    __doc__ = pure.NGram.__doc__

    def __init__(self, n: SupportsIndex = 3, smoothing: SupportsFloat = 0.1) -> None:
        n, smoothing = check_n(n), check_smoothing(smoothing)
        ngram = lib.ngram_new(n, smoothing)
        if not ngram:
            raise MemoryError(f"no memory for {SIZE}**{n} counts")
        self._ngram = ffi.gc(ngram, lib.ngram_free)  # freed with the last reference to it
        self._n, self._smoothing = n, smoothing  # nothing fails from here on

    @property
    def n(self) -> int:
        """How many tokens a window has."""
        return self._n

    @property
    def smoothing(self) -> float:
        """What is added to each count."""
        return self._smoothing

    def train(self, tokens: Buffer) -> None:
        items = ffi.from_buffer("int32_t[]", integers(tokens, "tokens"))
        call(lib.ngram_train, self._ngram, items, len(items), n=self._n)

    def probabilities(self, context: Buffer, out: Buffer | None = None) -> Buffer:
        items = ffi.from_buffer("int32_t[]", integers(context, "context", self._n - 1))
        if out is None:
            out = array("d", bytes(8 * SIZE))
        view = ffi.from_buffer("double[]", floats(out, "out", SIZE, writable=True))
        call(lib.ngram_probabilities, self._ngram, items, view, what="context")
        return out

    def loss(self, tokens: Buffer) -> float:
        items = ffi.from_buffer("int32_t[]", integers(tokens, "tokens"))
        loss = ffi.new("double *")
        call(lib.ngram_loss, self._ngram, items, len(items), loss, n=self._n)
        return loss[0]

    def sample(self, random: RNG, n: SupportsIndex) -> array[int]:
        if not isinstance(random, RNG):
            raise TypeError(f"random must be this engine's RNG, such as RNG(42), not {random!r}")
        tokens = array("i", bytes(4 * count(n, "n")))
        items = ffi.from_buffer("int32_t[]", tokens)
        lib.ngram_sample(self._ngram, random._rng, items, len(items))
        return tokens

    __reduce_ex__ = refuse_copy

    def __repr__(self) -> str:
        return f"NGram(n={self._n}, smoothing={self._smoothing})"

    for method in (train, probabilities, loss, sample):
        method.__doc__ = getattr(pure.NGram, method.__name__).__doc__
    del method
