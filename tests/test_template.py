"""The template: the names it refuses, its links, and a port made from it that does what it says."""

import keyword
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from programs import run

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "template"
if not TEMPLATE.exists():  # as in the sdist
    pytest.skip("the template is not here", allow_module_level=True)

QUESTIONS = (ROOT / "copier.yml").read_text("utf-8")
NAME = "counts"
COPIER = sys.executable, "-m", "copier"

pytestmark = pytest.mark.unsanitized


def refused(kind):
    """The names in a list of copier.yml."""
    return re.search(rf"set {kind} = '(.*?)'", QUESTIONS, re.DOTALL)[1].split()


def is_well_formed(name):
    return re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)*", name)


# -----------------------------------------------------------------------------
# without copier


@pytest.mark.skipif(sys.version_info < (3, 10), reason="it does not have the list")
def test_modules_of_the_standard_library_are_refused():
    modules = {name for name in sys.stdlib_module_names if is_well_formed(name)}
    assert modules <= {*refused("standard")}
    hidden = {name[1:] for name in sys.stdlib_module_names if name.startswith("_")}
    assert {*filter(is_well_formed, hidden)} <= {*refused("standard"), *refused("hidden")}


def test_keywords_are_refused():
    assert {name for name in keyword.kwlist if is_well_formed(name)} == {*refused("keywords")}


def test_the_projects_own_files_are_refused():
    """A package of such a name, its header or its C program would be in the place of another."""
    paths = [*TEMPLATE.glob("*"), *TEMPLATE.glob("csrc/**/*"), *TEMPLATE.glob("tests/*.*")]
    names = {path.name.split(".")[0].lower() for path in paths}
    rules = (ROOT / "csrc" / "rules.mk").read_text("utf-8")
    names |= {*re.search(r"^\.PHONY: (.*)$", rules, re.MULTILINE)[1].split()}
    known = {*refused("files"), *refused("others"), *refused("standard"), *refused("headers")}
    known |= {"changelog", "contributing", "license", "manifest", "readme", "golden"}  # harmless
    own = {name for name in names if is_well_formed(name) and not name.startswith("test_")}
    assert own <= known


def test_links_lead_to_files_of_this_repository():
    links = [path for path in TEMPLATE.rglob("*") if path.is_symlink()]
    assert len(links) > 20
    for link in links:
        target = link.resolve()
        assert target.is_file() and not Path(os.readlink(link)).is_absolute()
        assert ROOT in target.parents and TEMPLATE not in target.parents


def test_what_is_linked_does_not_name_this_package():
    """But for a list of words, which is as good for the port."""
    for link in (path for path in TEMPLATE.rglob("*") if path.is_symlink()):
        assert "micrograd" not in link.read_text("utf-8").lower(), link


def test_nothing_in_the_template_names_this_package():
    for path in TEMPLATE.rglob("*"):
        if path.is_file() and "cache" not in path.as_posix():
            assert "micrograd" not in path.read_text("utf-8").lower(), path


def test_the_page_on_porting_names_every_file():
    page = (ROOT / "docs" / "porting.md").read_text("utf-8")
    for path in TEMPLATE.rglob("*"):
        name = path.name.removesuffix(".jinja").replace("{{ name }}", "NAME")
        if path.is_file() and "cache" not in path.as_posix() and name != "__init__.py":
            assert f"{name}`" in page or "answers" in name, name


# -----------------------------------------------------------------------------
# with copier


def commit(folder):
    run("git", "add", "--all", cwd=folder)
    run("git", "commit", "--quiet", "--message", "as it is now", cwd=folder)


@pytest.fixture(scope="session")
def copier():
    if shutil.which("git") is None:
        pytest.skip("copier needs git")
    return pytest.importorskip("copier")


@pytest.fixture(scope="session")
def template(copier, tmp_path_factory):
    """A git repository of its own that has what copier needs of this one, as it is now."""
    folder = tmp_path_factory.mktemp("template")
    shutil.copy(ROOT / "copier.yml", folder)
    shutil.copytree(TEMPLATE, folder / "template", symlinks=True)
    for link in (path for path in TEMPLATE.rglob("*") if path.is_symlink()):
        target = link.resolve().relative_to(ROOT)
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / target, folder / target)
    run("git", "init", "--quiet", cwd=folder)
    commit(folder)
    return folder


@pytest.mark.parametrize("name", ["", "n-gram", "../x", "class", "random", "csrc", "micrograd"])
def test_wrong_names_are_refused(copier, tmp_path, name):
    shutil.copy(ROOT / "copier.yml", tmp_path)
    (tmp_path / "template").mkdir()
    (tmp_path / "template" / "file").touch()
    with pytest.raises(ValueError, match=f"name.*{re.escape(name)}"):
        copier.run_copy(str(tmp_path), tmp_path / "port", {"name": name}, defaults=True, quiet=True)
    assert not (tmp_path / "port").exists()
    copier.run_copy(str(tmp_path), tmp_path / "port", {"name": "a"}, defaults=True, quiet=True)
    assert (tmp_path / "port" / "file").exists()


def test_what_the_validator_says(copier):
    import yaml
    from jinja2 import Environment

    environment = Environment(extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"])
    validator = environment.from_string(yaml.safe_load(QUESTIONS)["name"]["validator"])
    kinds = "keywords", "standard", "hidden", "commands", "devices", "others", "files", "headers"
    for kind in kinds:
        names = refused(kind)
        assert len({*names}) == len(names) > 5
        for name in names:
            assert validator.render(name=name).startswith(name)
    for name in "Ngram", "n gram", "2gram", "_ngram", "ngram_", "n__gram", "größe", "ngram\n":
        assert f"'{name}' is no name for a package" in validator.render(name=name)
    assert "a file or a folder of its own" in validator.render(name="test_ngram")
    assert validator.render(name=21 * "a") == f"{21 * 'a'} has 21 letters, and 20 are the most"
    for name in "ngram", "mlp", "tensor", "attention", "bigram", "a", "gpt2", "my_port":
        assert validator.render(name=name) == ""


@pytest.fixture(scope="session")
def port(copier, template, tmp_path_factory):
    """A project made from the template, in a git repository."""
    folder = tmp_path_factory.mktemp("ports") / NAME
    run(*COPIER, "copy", "--defaults", "--quiet", "--data", f"name={NAME}", template, folder)
    run("git", "init", "--quiet", cwd=folder)
    commit(folder)
    return folder


def test_a_port(port):
    files = run("git", "ls-files", cwd=port).split("\n")
    assert f"{NAME}/pure/rng.py" in files and f"csrc/{NAME}.h" in files and "setup.py" in files
    assert not [path for path in port.rglob("*") if path.is_symlink()]
    for file in filter(None, files):
        text = (port / file).read_text("utf-8")
        assert "{{ name" not in text and "{%" not in text and "micrograd" not in text.lower(), file
    assert (port / "setup.py").read_bytes() == (ROOT / "setup.py").read_bytes()
    assert (port / ".ci" / "run").stat().st_mode & 0o100


def test_answers_stand_where_they_belong(copier, template, tmp_path):
    answers = {"name": "ngram", "description": 'A "model" of \\n-grams', "author": "O'Neil & Söhne"}
    copier.run_copy(str(template), tmp_path, answers, defaults=True, quiet=True)
    assert answers["description"] in (tmp_path / "README.md").read_text("utf-8")
    assert answers["author"] in (tmp_path / "LICENSE").read_text("utf-8")
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["description"] == answers["description"]
    assert project["authors"] == [{"name": answers["author"]}]


# -----------------------------------------------------------------------------
# slow: what the port's README and CONTRIBUTING say


@pytest.fixture(scope="session")
def python(port, tmp_path_factory):
    """The Python of a fresh virtual environment with the port; its tools are those of this one."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    [packages] = folder.glob("lib/*/site-packages")
    (packages / "tools.pth").write_text(f"{Path(pytest.__file__).parent.parent}\n")
    install(python, copy_of(port, tmp_path_factory.mktemp("source")), COUNTS_REQUIRE_C="1")
    return python


def copy_of(port, folder):
    """A clone, so that nothing is built among the port's own files."""
    run("git", "clone", "--quiet", port, folder / NAME)
    return folder / NAME


def install(python, source, *options, **environment):
    words = ["install", "--quiet", "--no-build-isolation", "--no-deps", "--no-cache-dir", *options]
    run(python, "-m", "pip", *words, source, **environment)


def golden(port):
    return (port / "tests" / "golden.txt").read_text("utf-8")


@pytest.mark.slow
def test_both_programs_print_the_same(port, python, tmp_path):
    printed = run(python, "-W", "error", "-m", NAME, cwd=tmp_path)
    source = copy_of(port, tmp_path)
    run("make", "-C", "csrc", "CFLAGS=-Werror", cwd=source)
    assert run(f"csrc/{NAME}", cwd=source) == printed
    assert len(printed.splitlines()) == len(golden(port).splitlines()) > 10


@pytest.mark.slow
def test_its_tests_and_its_bench(port, python):
    tests = run(python, "-m", "pytest", "-rs", "-m", "slow or not slow", cwd=port)
    assert "engines: python, c\n" in tests
    bench = run(python, "-m", "pytest", "-q", "--benchmark-only", cwd=port)
    assert "10 passed" in bench


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a", "transformer", "attention_mechanisms"])
def test_its_lint_and_types(copier, template, tmp_path, name):
    for module in "ruff", "clang_format", "mypy":
        pytest.importorskip(module)
    copier.run_copy(str(template), tmp_path, {"name": name}, defaults=True, quiet=True)
    run(sys.executable, "-m", "ruff", "check", cwd=tmp_path)
    run(sys.executable, "-m", "ruff", "format", "--check", cwd=tmp_path)
    if name == "a":
        run(sys.executable, "-m", "mypy", cwd=tmp_path)
    sources = [*tmp_path.glob("csrc/*.[ch]"), *tmp_path.glob("csrc/tests/*.[ch]")]
    words = ["--style=file:csrc/.clang-format", "--dry-run", "-Werror", *sources]
    run(Path(sys.executable).parent / "clang-format", *words, cwd=tmp_path)


@pytest.mark.slow
def test_its_c_tests(port, tmp_path):
    source = copy_of(port, tmp_path)
    result = run("make", "-C", "csrc", "test", "memory", "CFLAGS=-Werror", cwd=source)
    assert result.count(" 0 failed") == 2


@pytest.mark.slow
def test_its_sdist_and_wheel(port, python, tmp_path):
    pytest.importorskip("build")
    source = copy_of(port, tmp_path)
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    build = "python -m build --no-isolation --outdir dist"
    run("bash", "-euc", f". .ci/lanes.sh; {build}; check_packages", cwd=source, PATH=path)
    [wheel] = source.glob("dist/*.whl")
    assert wheel.name.startswith(f"{NAME}-0.1.0-cp39-abi3-")


@pytest.mark.slow
def test_without_a_compiler(port, python, tmp_path):
    """The plain engine prints the same, and a warning; the tests run over it alone."""
    source = copy_of(port, tmp_path)
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    [packages] = tmp_path.glob("venv/lib/*/site-packages")
    (packages / "tools.pth").write_text(f"{Path(pytest.__file__).parent.parent}\n")
    python = tmp_path / "venv" / "bin" / "python"
    install(python, source, CC="/bin/false")
    printed = run(python, "-m", NAME, cwd=tmp_path)
    assert f"RuntimeWarning: {NAME} runs on its plain-Python engine" in printed
    assert printed.endswith(golden(port))
    tests = run(python, "-m", "pytest", cwd=source)
    assert "engines: python (the compiled engine is not installed)" in tests


@pytest.mark.slow
@pytest.mark.parametrize("tag", [None, "v1.0.0"])
def test_an_update(copier, template, tmp_path, tag):
    """What has changed here arrives, and what the author has changed stays."""
    ours, port = tmp_path / "template", tmp_path / NAME
    run("git", "clone", "--quiet", template, ours)
    run(*COPIER, "copy", "--defaults", "--quiet", "--data", f"name={NAME}", ours, port)
    run("git", "init", "--quiet", cwd=port)
    commit(port)

    own = {"csrc/rng.c": "// The author's own line.\n", "README.md": "My own words.\n"}
    for file, line in own.items():
        with (port / file).open("a") as text:
            text.write(line)
    (port / NAME / "more.py").write_text("# a file of the author's own\n")
    (port / "CHANGELOG.md").unlink()
    commit(port)

    rng = ours / "csrc" / "rng.c"
    rng.write_text(rng.read_text().replace("// The generator:", "// The course's generator:"))
    commit(ours)
    if tag:
        run("git", "tag", tag, cwd=ours)
    run(*COPIER, "update", "--defaults", "--quiet", cwd=port)

    changed = run("git", "status", "--short", cwd=port).splitlines()
    assert sorted(changed) == [" M .copier-answers.yml", " M csrc/rng.c"]
    text = (port / "csrc" / "rng.c").read_text()
    assert text.startswith("// The course's generator:") and text.endswith(own["csrc/rng.c"])
    assert "<<<<<<<" not in text and (port / NAME / "more.py").exists()
    assert (port / "README.md").read_text().endswith(own["README.md"])
