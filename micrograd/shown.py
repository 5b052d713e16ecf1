"""A user's object as text for an error message."""

from __future__ import annotations

LONGEST = 80  # letters


def shown(x: object) -> str:
    """Return the repr of x, without its middle if it is long; that of an object if it fails."""
    try:
        text = repr(x)
    except Exception:
        text = object.__repr__(x)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 23]} ... {text[-18:]}"
