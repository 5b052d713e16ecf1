"""Installing with a C compiler, without one, and where one is required.

What pip builds is unpacked into a folder of its own, and run where nothing else is found.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT, needs_c

NOT_SOURCES = shutil.ignore_patterns(
    "build", "dist", "*.so", "*.pyd", "*.egg-info", "__pycache__", ".*"
)


@pytest.fixture
def build(tmp_path):
    """A function that has pip build a wheel from fresh sources: pip's run, and the wheels."""

    def build(**environment):
        shutil.copytree(ROOT, tmp_path / "sources", ignore=NOT_SOURCES)
        words = ["--no-build-isolation", "--no-deps", "--no-cache-dir", "-v", "-w", tmp_path]
        run = subprocess.run(
            [sys.executable, "-m", "pip", "wheel", *words, tmp_path / "sources"],
            env={**os.environ, "NGRAM_REQUIRE_C": "", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return run, [*tmp_path.glob("*.whl")]

    return build


def run_wheel(wheel, tmp_path):
    """Run the package where there is only the wheel, and cffi's own library."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    cffi = importlib.util.find_spec("_cffi_backend")
    if cffi and cffi.origin and os.path.exists(cffi.origin):  # not part of the interpreter
        shutil.copy(cffi.origin, tmp_path / "installed")
    variables = {k: v for k, v in os.environ.items() if k != "NGRAM_BACKEND"}
    program = "import ngram as it; print(it.backend, it.RNG(42).random_u32())"
    return subprocess.run(
        [sys.executable, "-S", "-W", "always::RuntimeWarning", "-c", program],
        env={**variables, "PYTHONPATH": str(tmp_path / "installed")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )


@needs_c
@pytest.mark.slow
def test_as_it_is(build, tmp_path):
    run, [wheel] = build()
    assert run.returncode == 0 and "-none-any" not in wheel.name
    run = run_wheel(wheel, tmp_path)
    assert (run.stdout, run.stderr) == ("c 1456360119\n", "")


@needs_c
def test_without_a_compiler(build, tmp_path):
    run, [wheel] = build(CC="/bin/false")
    assert run.returncode == 0 and wheel.name.endswith("-py3-none-any.whl")
    assert "WITHOUT its compiled engine" in run.stdout
    run = run_wheel(wheel, tmp_path)
    assert run.stdout == "python 1456360119\n" and run.stderr.count("RuntimeWarning") == 1


def test_a_compiler_is_required(build):
    run, wheels = build(NGRAM_REQUIRE_C="1", CC="/bin/false")
    assert run.returncode != 0 and not wheels and "WITHOUT" not in run.stdout
