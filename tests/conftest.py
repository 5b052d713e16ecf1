"""What the tests share: the two engines, and comparison by bits."""

import gc
import math
import os
import struct

import hypothesis
import pytest

from micrograd import compiled, pure
from micrograd.value import live_nodes

# HYPOTHESIS_PROFILE=thorough looks at ten thousand examples of each kind
hypothesis.settings.register_profile("default", max_examples=300, deadline=None)
hypothesis.settings.register_profile("thorough", max_examples=10_000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(params=[compiled, pure], ids=["c", "python"])
def engine(request):
    """Each engine in turn."""
    return request.param


@pytest.fixture
def no_new_nodes():
    """Fail if the test leaves nodes on the tape."""
    gc.collect()
    before = live_nodes()
    yield
    gc.collect()  # an exception that was caught holds the frames it went through
    assert live_nodes() == before


def bits(x):
    """The bits of a float; all nans count as one, whose sign and payload nobody promises."""
    return "nan" if math.isnan(x) else struct.pack(">d", x).hex()


def outcome(function, *args):
    """What a call comes to: ("is", its result), or the exception's type and message."""
    try:
        return "is", function(*args)
    except (ArithmeticError, ValueError, TypeError, IndexError) as problem:
        return type(problem), str(problem)
