"""Bytes a node, and the import: what a process pays before it computes anything."""

import pytest

from .clock import clock
from .imports import IMPORTS, import_seconds
from .measure import MEMORY, memory_is_known, memory_of


@pytest.mark.skipif(not memory_is_known(), reason="this system has no /proc")
@pytest.mark.parametrize("whose", MEMORY)
def test_memory(benchmark, whose, say_at_the_end):
    benchmark.group = "the process that measures memory"
    built, peak = benchmark.pedantic(memory_of, [whose])
    assert 32 <= built <= peak  # a node has two numbers, two operands, a count and an operation
    say_at_the_end(f"{whose}: {built:.1f} bytes a node, {peak:.1f} at the peak of backward()")


@pytest.mark.benchmark(group="import", timer=clock)
@pytest.mark.parametrize("what", IMPORTS)
def test_import(benchmark, what):
    code = IMPORTS[what]
    import_seconds(code)  # the files are read from memory from now on
    benchmark.pedantic(lambda: clock.advance(import_seconds(code)), rounds=5)
