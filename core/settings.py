"""What pydantic says of wrong input, as one sentence for a person."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from faultgym.core.suggest import did_you_mean

if TYPE_CHECKING:
    from pydantic import ValidationError


def explained(error: ValidationError, known: Iterable[str] = (), *, value_chars: int = 80) -> str:
    """The first thing that is wrong: `field: reason, not VALUE (and 2 more)`.

    Args:
        error: What pydantic raised.
        known: The names of all fields; the nearest is offered for an unknown one.
        value_chars: How much of the wrong value is shown, in characters.
    """
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    count = error.error_count() - 1
    more = f" (and {count} more)" if count else ""
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        name = str(first["loc"][-1])
        hint = did_you_mean(name, known)
        return f"{field}: there is no such field{f'; {hint}' if hint else ''}{more}"
    reason = first["msg"].removeprefix("Value error, ")
    reason = reason[:1].lower() + reason[1:]
    got = "" if first["type"] in ("missing", "missing_argument") else f", not {first['input']!r:.{value_chars}}"
    return f"{field}: {reason}{got}{more}" if field else f"{reason}{got}{more}"
