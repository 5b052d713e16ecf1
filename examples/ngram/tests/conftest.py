"""What the tests share: the two engines, and comparison by bits."""

import importlib.util
import os
from pathlib import Path

import hypothesis
import pytest
from comparing import bits as bits
from comparing import outcome as outcome

ROOT = Path(__file__).resolve().parent.parent
# the course's names, which are not ours to ship: a folder beside the repository's, or another
NAMES = ROOT.parent.parent.parent / "shared" / "golden" / "ngram"
NAMES = Path(os.environ.get("NGRAM_NAMES", NAMES))
HAS_C = importlib.util.find_spec("_ngram") is not None
NO_C = "the compiled engine is not installed"
needs_c = pytest.mark.skipif(not HAS_C, reason=NO_C)
if not HAS_C:
    os.environ["NGRAM_BACKEND"] = "python"  # or importing it would warn

from ngram import pure  # noqa: E402

ENGINES = {"python": pure}
if HAS_C:
    from ngram import compiled

    ENGINES["c"] = compiled


# how many examples of each kind hypothesis tries; HYPOTHESIS_PROFILE=ci tries more
for profile, examples in {"default": 100, "ci": 2000}.items():
    hypothesis.settings.register_profile(profile, max_examples=examples, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_report_header():
    return f"engines: {', '.join(ENGINES)}{'' if HAS_C else f' ({NO_C})'}"


@pytest.fixture(params=ENGINES.values(), ids=ENGINES)
def engine(request):
    """Each engine in turn."""
    return request.param
