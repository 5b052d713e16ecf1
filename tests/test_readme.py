"""The README's examples do what it says."""

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_examples(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # they write files
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 9
    names = {}
    for block in blocks:
        exec(block, names)
        printed = capsys.readouterr().out.splitlines()
        expected = re.findall(r"^print\(.*\)\s+# (.*)$", block, re.MULTILINE)
        assert len(printed) == len(expected)
        for line, comment in zip(printed, expected):
            pattern = re.escape(comment).replace(r"\.\.\.", r"\d*")
            assert re.fullmatch(pattern, line), f"{line!r} is not {comment!r}"


def test_files_exist():
    names = re.findall(r"`((?:csrc|examples|micrograd|tests)/[\w.]+)`", README.read_text())
    assert len(names) > 5
    for name in names:
        assert (README.parent / name).exists(), name
