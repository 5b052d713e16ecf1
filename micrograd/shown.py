"""A user's object as text for an error message."""

from __future__ import annotations

LONGEST = 80  # letters


def shown(x: object) -> str:
    """Return the repr of x, without its middle if it is long."""
    text = repr(x)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 23]} ... {text[-18:]}"
