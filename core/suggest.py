"""Messages that name the nearest of what there is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], count: int = 1) -> list[str]:
    """The known names that are most like `name`, best first; empty where none is like it.

    Args:
        name: What was asked for. Only its first 80 characters are compared.
        known: The names to choose from.
        count: Names given at most.
    """
    return difflib.get_close_matches(name[:80], list(known), count)


def did_you_mean(name: str, known: Iterable[str], count: int = 1) -> str:
    """`did you mean A or B?`, or the empty text where nothing is near.

    Args:
        name: What was asked for.
        known: The names to choose from.
        count: Names offered at most.

    Example:
        >>> did_you_mean("ruogh", ["mild", "rough"])
        'did you mean rough?'
    """
    near = nearest(name, known, count)
    return f"did you mean {' or '.join(near)}?" if near else ""
