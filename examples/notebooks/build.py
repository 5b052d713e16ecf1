"""Make the notebooks, each in two languages, from the Markdown files beside this one.

    python examples/notebooks/build.py

In such a file a line `<!-- en -->` begins a text in English, and `<!-- zh -->` the same in Chinese.
Each block of Python is a cell of both notebooks. What a cell prints stands behind the `print`, or
below, in comments: the tests run the cells and compare. Edit a Markdown file and run this again.
"""

import json
import re
from pathlib import Path

FOLDER = Path(__file__).parent
ENDINGS = {"en": ".ipynb", "zh": ".zh.ipynb"}

TEXT = r"<!-- (?P<language>\w+) -->\n(?P<text>.*?)(?=^<!-- |^```python$|\Z)"
CODE = r"^```python\n(?P<code>.*?)^```$"
PART = re.compile(f"{TEXT}|{CODE}", re.MULTILINE | re.DOTALL)

# Chinese has no space between words, nor beside its punctuation: a line break there becomes none
HAN, MARK = "[\u4e00-\u9fff]", "[\u3001-\u303f\uff01-\uff5e\u201c\u201d]"
BLOCK = r"\s|#|[-*] |\d+\. |\$\$"  # what a list, a heading or a formula of its own begins with
CHINESE_BREAK = re.compile(
    rf"({MARK}\**)\n *(?!{BLOCK})|({HAN}\**)\n *(?=\**{HAN})|\n *(?=\**{MARK})"
)


def cells_of(source, language):
    """The cells of a notebook: the texts in this language, and all code."""
    cells = []
    for part in PART.finditer(source):
        if part["language"] not in (language, None):
            continue
        kind = "code" if part["language"] is None else "markdown"
        text = (part["code"] or part["text"]).strip()
        if kind == "markdown" and language == "zh":
            text = CHINESE_BREAK.sub(r"\1\2", text)
        lines = text.splitlines(keepends=True)
        cell = {"cell_type": kind, "id": f"cell-{len(cells)}", "metadata": {}, "source": lines}
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        cells.append(cell)
    return cells


def notebook(source, language):
    """A notebook, as the text of its file."""
    contents = {
        "cells": cells_of(source, language),
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(contents, ensure_ascii=False, indent=1) + "\n"


def notebooks():
    """All notebooks: their texts by their paths."""
    return {
        path.with_suffix(ending): notebook(path.read_text(encoding="utf-8"), language)
        for path in sorted(FOLDER.glob("*.md"))
        for language, ending in ENDINGS.items()
    }


if __name__ == "__main__":
    for path, text in notebooks().items():
        path.write_text(text, encoding="utf-8")
