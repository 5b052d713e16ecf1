"""The steps on every path, each in a process of its own: of the loops one operation."""

import pytest

from .clock import clock
from .measure import check, slice_of
from .paths import GROUPS, PATHS


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize("path", PATHS, ids=[path.name for path in PATHS])
def test_step(benchmark, path):
    benchmark.group = f"{'a training step: ' * (path.group in GROUPS)}{path.group}"
    if path.missing():
        pytest.skip(path.missing())
    check(path)
    benchmark.pedantic(lambda: clock.advance(slice_of(path, 0.2) / path.operations), rounds=3)
