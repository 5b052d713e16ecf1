"""What pytest says below the tables of pytest-benchmark."""

import pytest

LINES = pytest.StashKey()


@pytest.fixture
def say_at_the_end(request):
    """A function that takes a line for the end of pytest's output."""
    return request.config.stash.setdefault(LINES, []).append


def pytest_terminal_summary(terminalreporter, config):
    lines = config.stash.get(LINES, [])
    if lines:
        terminalreporter.section("memory")
    for line in lines:
        terminalreporter.write_line(line)
