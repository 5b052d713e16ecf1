"""The examples of the README, and of docs/, do what it says beside them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "docs/recorded.md"]


@pytest.mark.parametrize("page, count", [("README.md", 11), ("docs/recorded.md", 5)])
def test_examples(page, count, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # they write files
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert len(blocks) == count
    names = {}
    for block in blocks:
        exec(block, names)
        printed = capsys.readouterr().out.splitlines()
        expected = re.findall(r"^print\(.*\)\s+# (.*)$", block, re.MULTILINE)
        assert len(printed) == len(expected)
        for line, comment in zip(printed, expected):
            pattern = re.escape(comment).replace(r"\.\.\.", r"\d*")
            assert re.fullmatch(pattern, line), f"{line!r} is not {comment!r}"


@pytest.mark.parametrize("page", PAGES)
def test_files_exist(page):
    text = (ROOT / page).read_text()
    names = re.findall(r"`((?:csrc|docs|examples|micrograd|tests)/[\w.]+)`", text)
    assert len(names) > 5
    for name in names:
        assert (ROOT / name).exists(), name
