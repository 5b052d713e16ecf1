"""examples/ngram, a port made from the template: its links, and what it does when installed."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from conftest import HAS_C
from programs import run

pytestmark = pytest.mark.unsanitized

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "ngram"
NOT_SOURCES = shutil.ignore_patterns(
    "build", "dist", "ngram.egg-info", "*.so", "*.pyd", "*.o", "__pycache__", ".[!cg]*"
)
NAMES = ROOT.parent / "shared" / "golden" / "ngram"


def links():
    """The links of the example. An sdist has files in their place."""
    found = [path for path in EXAMPLE.rglob("*") if path.is_symlink()]
    if not found:
        pytest.skip("there are no links, as in the sdist")
    return found


def test_links_lead_to_files_of_this_repository():
    for link in links():
        target = link.resolve()
        assert target.is_file() and not Path(os.readlink(link)).is_absolute()
        assert ROOT in target.parents and EXAMPLE not in target.parents


def test_what_the_template_links_is_the_same_there():
    assert len(links()) > 15
    template = ROOT / "template"
    for path in (path for path in template.rglob("*") if path.is_symlink()):
        relative = path.relative_to(template).as_posix().replace("{{ name }}", "ngram")
        copy = EXAMPLE / relative
        assert not copy.exists() or copy.resolve() == path.resolve(), copy


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """A copy with its links, and the files that they lead to, so that nothing is built here."""
    folder = tmp_path_factory.mktemp("repository")
    copy = folder / "examples" / "ngram"
    shutil.copytree(EXAMPLE, copy, symlinks=True, ignore=NOT_SOURCES)
    for path in copy.rglob("*"):
        if path.is_symlink():
            target = (EXAMPLE / path.relative_to(copy)).resolve().relative_to(ROOT)
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / target, folder / target)
    return copy


@pytest.fixture(scope="module")
def python(example, tmp_path_factory):
    """The Python of a fresh environment with the example; its tools are those of this one."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    [packages] = folder.glob("lib/*/site-packages")
    (packages / "tools.pth").write_text(f"{Path(pytest.__file__).parent.parent}\n")
    required = {"NGRAM_REQUIRE_C": "1"} if HAS_C else {}
    words = "--quiet", "--no-build-isolation", "--no-deps", "--no-cache-dir"
    run(python, "-m", "pip", "install", *words, example, **required)
    return python


@pytest.mark.slow
def test_its_tests(example, python):
    names = {"NGRAM_NAMES": str(NAMES)} if NAMES.exists() else {}
    tests = run(python, "-m", "pytest", "-rs", "-m", "slow or not slow", cwd=example, **names)
    assert "engines: python, c\n" in tests or not HAS_C
    assert not NAMES.exists() or "names are not here" not in tests


@pytest.mark.slow
def test_both_programs_print_the_same(example, python, tmp_path):
    printed = run(python, "-W", "error", "-m", "ngram", cwd=tmp_path)
    run("make", "-C", "csrc", "CFLAGS=-Werror", cwd=example)
    assert run("csrc/ngram", cwd=example) == printed
    assert printed.count("\n") > 20


@pytest.mark.slow
def test_its_c_tests(example):
    result = run("make", "-C", "csrc", "test", "memory", "CFLAGS=-Werror", cwd=example)
    assert result.count(" 0 failed") == 2


@pytest.mark.slow
def test_its_types(example):
    pytest.importorskip("mypy")
    run(sys.executable, "-m", "mypy", cwd=example)
