"""The README's examples print what stands below them."""

import doctest

from conftest import ROOT


def test_examples():
    result = doctest.testfile(str(ROOT / "README.md"), module_relative=False, encoding="utf-8")
    assert result.attempted > 3 and result.failed == 0
