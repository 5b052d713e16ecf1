"""How tests run other programs."""

import os
import subprocess


def run(*command, cwd=None, **environment):
    """Run a program, which has to succeed, and return what it prints."""
    variables = {k: v for k, v in os.environ.items() if not k.endswith(("_BACKEND", "_REQUIRE_C"))}
    for role in "AUTHOR", "COMMITTER":
        variables |= {f"GIT_{role}_NAME": "A", f"GIT_{role}_EMAIL": "a@example.com"}
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**variables, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
