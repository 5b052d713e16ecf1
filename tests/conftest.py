"""What the tests share: the two engines, and comparison by bits."""

import gc
import os
import platform
import signal
import sys
import sysconfig
import types
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import pytest
from comparing import bits as bits
from comparing import outcome as outcome

import micrograd
from micrograd import pure

ROOT = Path(__file__).resolve().parent.parent
IS_CPYTHON = platform.python_implementation() == "CPython"


def why_no_c():
    """Return why the tests are to run without the compiled engine, or "" if they need it."""
    if not IS_CPYTHON:
        return "the compiled engine is for CPython"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "the compiled engine is for a CPython with a GIL"
    if os.environ.get("MICROGRAD_BACKEND") == "python" and find_spec("_micrograd") is None:
        return "the compiled engine is not installed"
    return ""


NO_C = why_no_c()
HAS_C = not NO_C
needs_c = pytest.mark.skipif(not HAS_C, reason=NO_C)


def is_golden_libm():
    """Tell whether tanh, exp, log and pow have the last digits with which the run was made."""
    if platform.libc_ver()[0] != "glibc":
        return False
    if platform.machine() == "x86_64":  # where glibc has two of each
        return " fma " in Path("/proc/cpuinfo").read_text()
    return platform.machine() in ("aarch64", "s390x")


same_libm = pytest.mark.skipif(
    not is_golden_libm(), reason="the golden run is that of glibc on 64-bit machines with fma"
)


class _NotHere(types.ModuleType):
    """Stands for a module of the compiled engine where there is none: who uses it is skipped."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        pytest.skip(NO_C, allow_module_level=True)


if HAS_C:
    from micrograd import compiled
    from micrograd.compiled import live_nodes
    from micrograd.compiled.binding import tape

    ENGINES = {"c": compiled, "python": pure}
else:
    ENGINES = {"python": pure}
    for name in ("compiled", "compiled.binding", "compiled.loss", "compiled.nn", "value"):
        sys.modules[f"micrograd.{name}"] = _NotHere(name)
    micrograd.compiled = sys.modules["micrograd.compiled"]

    def live_nodes():
        return 0


def differing_files():
    """The files of the package beside these tests, and C sources, that are not those tested.

    There are none if that package itself was imported: it warns of C sources that have changed.
    """
    tested, ours = Path(micrograd.__file__).resolve().parent, ROOT / "micrograd"
    if tested == ours or not ours.exists():
        return []
    files = {path.relative_to(ours) for path in ours.rglob("*.py*") if path.suffix != ".pyc"}
    files |= {path.relative_to(tested) for path in tested.rglob("*.py*") if path.suffix != ".pyc"}
    changed = [
        f"micrograd/{file}" for file in sorted(files) if not is_same(tested / file, ours / file)
    ]
    if HAS_C:
        changed += compiled.library.changed_sources(str(ROOT))
    return changed


def is_same(path, other):
    return path.exists() and other.exists() and path.read_bytes() == other.read_bytes()


def pytest_configure():
    """Refuse to test another micrograd than the one in whose folder one has been editing."""
    changed = differing_files()
    if changed:
        raise pytest.UsageError(
            f"these tests would run on {Path(micrograd.__file__).parent}, which was installed "
            f"before {', '.join(changed)} changed: run 'pip install .' again, or "
            "'pip install -e .' so that the files are used where they are"
        )


# how many examples of each kind hypothesis tries; HYPOTHESIS_PROFILE=ci or =thorough tries more
for profile, examples in {"default": 100, "ci": 2000, "thorough": 10_000}.items():
    hypothesis.settings.register_profile(profile, max_examples=examples, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def times(few, many):
    """Give the test n, how often it repeats something: a few times by default, many if slow."""
    return pytest.mark.parametrize("n", [few, pytest.param(many, marks=pytest.mark.slow)])


@pytest.fixture(autouse=True, scope="session")
def interrupts_arrive():
    """They do not where a shell has started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module", autouse=True)
def frozen():
    """Let the collector look at what a module makes, and not at all that was imported before."""
    gc.collect()
    if hasattr(gc, "freeze"):  # not on PyPy
        gc.freeze()


@pytest.fixture(params=ENGINES.values(), ids=ENGINES)
def engine(request):
    """Each engine in turn."""
    return request.param


def collect_garbage():
    """Let go of all garbage, such as frames that an exception went through.

    What was kept with a node, a function that holds itself, say, may be garbage once it has died,
    and so on.
    """
    if not IS_CPYTHON:  # where collect() does not say what it has found
        gc.collect()
        gc.collect()
    gc.collect()
    while gc.collect():
        continue


def nodes_with_attributes():
    """How many nodes have attributes that were set: those that outlive the last reference."""
    return tape.watched


@pytest.fixture
def no_new_nodes():
    """Fail if the test leaves nodes on the tape."""
    collect_garbage()
    before = live_nodes()
    yield
    collect_garbage()
    assert live_nodes() == before
