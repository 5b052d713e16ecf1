"""The READMEs and docs/: examples print what stands beside them; files and commands exist."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import needs_c

import micrograd

ROOT = Path(__file__).parent.parent
READMES = ["README.md", "README.zh.md"]
PAGES = {  # by their paths, as they name one another
    page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8")
    for page in [
        *(ROOT / name for name in [*READMES, "CONTRIBUTING.md"]),
        *sorted(ROOT.glob("docs/**/*.md")),
    ]
    if page.exists()
}
NEED_C = ["docs/how-it-works.md", "docs/threads.md"]  # the tape, and what only its engine promises
# packages that need not be there, and what blocks that need them say
OPTIONAL = {
    "matplotlib": ["matplotlib", ".plot"],
    "torch": ["torch"],
    "numpy": ["numpy"],
    "distributed": ["distributed"],
}

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
QUOTED = re.compile(r"`([^`\n]+)`")
IN_REPOSITORY = r"(?:csrc|docs|examples|micrograd|page|tests|bench|\.ci)/[\w./*-]*[\w/*]"
AT_THE_TOP = r"[\w-]+\.(?:md|py|toml|in)"
BUILT = {"csrc/micrograd"}  # by a command before
PORTS = {"docs/porting.md"}  # pages that also name files of a port, whose name is NAME


def code_of(text, *languages):
    return [code for language, code in FENCE.findall(text) if language in languages]


def commands_of(text):
    """What is for a shell: indented, or in a fence that says so; without what it prints."""
    text = "\n".join([*code_of(text, "sh"), *INDENTED.findall(FENCE.sub("", text))])
    return re.sub(r"#.*", "", text)


def has_example(page):
    return bool(code_of(PAGES[page], "python"))


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=needs_c) if page in NEED_C else page
        for page in filter(has_example, PAGES)
    ],
)
def test_examples(page, tmp_path):
    """A page's blocks are one program; what it prints stands behind each `print`."""
    blocks = code_of(PAGES[page], "python")
    for package, words in OPTIONAL.items():
        if find_spec(package) is None:
            blocks = [block for block in blocks if not any(word in block for word in words)]
    program = "\n".join(blocks)
    backend = {"MICROGRAD_BACKEND": "c"} if page in NEED_C else {}
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,  # they write files
        env={**os.environ, **backend, "PYTHONIOENCODING": "utf-8", "MPLBACKEND": "agg"},
        capture_output=True,
        encoding="utf-8",
    )
    assert run.returncode == 0, run.stderr
    printed = run.stdout.splitlines()
    expected = re.findall(r"^ *print\(.*\) +# (.*)$", program, re.MULTILINE)
    assert len(printed) == len(expected), run.stdout
    for line, comment in zip(printed, expected):
        pattern = re.escape(comment).replace(r"\.\.\.", r"\d*")
        assert re.fullmatch(pattern, line), f"{line!r} is not {comment!r}"


def test_there_are_examples():
    assert sum(map(has_example, PAGES)) >= 9 and len(PAGES) >= 11


@pytest.mark.parametrize("page", PAGES)
def test_fences_say_what_they_are(page):
    """Else a block of Python might not be run."""
    languages = {language for language, _ in FENCE.findall(PAGES[page])}
    assert languages <= {"python", "c", "diff", "sh", "text"}
    assert PAGES[page].count("```") == 2 * len(FENCE.findall(PAGES[page]))


def files_of_a_port():
    """The names of a port's files, with their folders and without."""
    template = ROOT / "template"
    paths = [path.relative_to(template).as_posix() for path in template.rglob("*")]
    paths = {path.replace("{{ name }}", "NAME").removesuffix(".jinja") for path in paths}
    return paths | {path.rpartition("/")[2] for path in paths}


@pytest.mark.parametrize("page", PAGES)
def test_files_exist(page):
    text = FENCE.sub("", PAGES[page])
    quoted = QUOTED.findall(text)
    names = {name for name in quoted if re.fullmatch(f"{IN_REPOSITORY}/?|{AT_THE_TOP}", name)}
    names |= set(re.findall(rf"(?<![\w./-]){IN_REPOSITORY}", commands_of(PAGES[page])))
    for words in quoted:  # commands in a sentence
        if " " in words:
            names |= set(re.findall(rf"(?<![\w./-]){IN_REPOSITORY}", words))
    missing = [name for name in sorted(names - BUILT) if not [*ROOT.glob(name)]]
    if page in PORTS:
        if not (ROOT / "template").exists():
            pytest.skip("the template is not here, as in the sdist")
        missing = [name for name in missing if name not in files_of_a_port()]
    assert not missing
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert not [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist(page):
    """The targets of `make -C csrc` and the sessions of `nox -s`."""
    code = [commands_of(PAGES[page]), *QUOTED.findall(FENCE.sub("", PAGES[page]))]
    targets, sessions = [], []
    for line in "\n".join(code).splitlines():
        for words in re.findall(r"make -C csrc((?: +[\w-]+(?!\S*=))*)", line):
            targets += words.split()
        for words in re.findall(r"nox -s((?: +[\w-]+)+)", line):
            sessions += [word.split("-")[0] for word in words.split()]
    files = (ROOT / "csrc" / name for name in ("Makefile", "rules.mk"))
    makefile = "".join(path.read_text(encoding="utf-8") for path in files)
    nox = (ROOT / "noxfile.py", ROOT / "tests" / "sessions.py")
    noxfile = "".join(path.read_text(encoding="utf-8") for path in nox)
    known = re.findall(r"^([\w -]+):(?!=)", makefile, re.MULTILINE)
    assert {*targets} <= {target for line in known for target in line.split()}
    assert {*sessions} <= {*re.findall(r"^def (\w+)\(session", noxfile, re.MULTILINE)}


def test_the_readme_leads_to_every_page():
    for page in PAGES:
        assert page == "README.md" or page in PAGES["README.md"]


def without_code(text):
    """The prose, the tables and the links. Each README also links to the other, and to notebooks
    in its own language."""
    text = INDENTED.sub("", FENCE.sub("", text))
    return re.sub(r"\]\(README(\.zh)?\.md\)", "](the other)", text).replace(".zh.ipynb", ".ipynb")


SAME_IN_BOTH = {
    # In a fence all is the same, comments too. Indented, the comments behind commands are not.
    "code": lambda text: FENCE.findall(text),
    "commands": lambda text: [
        [line.rstrip() for line in commands_of(block).splitlines()]
        for block in INDENTED.findall(FENCE.sub("", text))
    ],
    "links": lambda text: re.findall(r"\]\(([^)]+)\)", without_code(text)),
    "headings": lambda text: re.findall("^#+ ", without_code(text), re.MULTILINE),
    "table rows": lambda text: [
        line.count("|") for line in text.splitlines() if line.startswith("|")
    ],
    "words in quotes": lambda text: sorted(QUOTED.findall(without_code(text))),
    "numbers": lambda text: sorted(re.findall(r"\d+(?:[.,]\d+)*", without_code(text))),
}


@pytest.mark.parametrize("what", SAME_IN_BOTH)
def test_both_readmes_have_the_same(what):
    """What changes in one changes in the other: README.zh.md is README.md in Chinese."""
    english, chinese = (SAME_IN_BOTH[what](PAGES[name]) for name in READMES)
    assert english == chinese and len(english) > 2


def test_each_readme_links_to_the_other():
    for name, other in zip(READMES, reversed(READMES)):
        assert f"]({other})" in PAGES[name].splitlines()[2]


def test_the_pages_have_every_public_name():
    text = PAGES["docs/api.md"]
    methods = [name for name in dir(micrograd.Value) if not name.startswith("_")]
    missing = [
        name
        for name in [*micrograd.__all__, *methods]
        if not re.search(rf"\b{name}\b", text) and name not in ("m", "v", "__version__")
    ]
    assert not missing, f"docs/api.md lacks {missing}"
    version = re.search(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)[1]
    assert version == micrograd.__version__, "CHANGELOG.md begins with another version"
