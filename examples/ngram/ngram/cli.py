"""The command line: `ngram`, or `python -m ngram`, finds the best model and makes up words."""

from __future__ import annotations

import argparse

from .backends import engine
from .program import print_lines
from .run import lines
from .text import DATA
from .version import __version__


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        arguments: a list of words; None takes this process's own.
    """
    parser = argparse.ArgumentParser(
        prog="ngram",
        description="Find the n-gram model that predicts words best.",
    )
    parser.add_argument(
        "directory",
        nargs="?",
        default=DATA,
        help="of train.txt, val.txt and test.txt: words, one a line, a to z only",
    )
    parser.add_argument("--version", action="version", version=f"ngram {__version__}")
    options = parser.parse_args(arguments)
    return print_lines("ngram", lines(engine, options.directory))
