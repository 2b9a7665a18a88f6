"""The dialects by name, and which of them a value is of."""

from __future__ import annotations

from typing import Any

from faultgym.agents.imports.dialect import Dialect, Mark, check_dialect
from faultgym.agents.imports.reading import BadRecord
from faultgym.core.registry import Registry

AUTO = "auto"
"""In the place of a dialect's name: told by content."""

_BUILTIN = {
    "atif": "atif",
    "openai": "openai_chat",
    "otel": "otel",
}
"""Name -> the file in `dialects/`, whose `DIALECT` is imported when it is asked for."""

DIALECTS: Registry[Dialect] = Registry(
    "dialect",
    "faultgym.dialects",
    check=check_dialect,
    lazy={name: f"faultgym.agents.imports.dialects.{file}:DIALECT" for name, file in _BUILTIN.items()},
)
"""Name -> dialect. Other packages add theirs in the entry-point group `faultgym.dialects`."""

_SHOWN = 8
"""Keys of a value that a message names."""


def dialect_of(value: Any) -> str:
    """The name of the dialect that a value is of.

    Raises:
        BadRecord: No dialect fits (the message names what was seen), or several do.

    Example:
        >>> dialect_of({"messages": [{"role": "user", "content": "Hi"}]})
        'openai'
    """
    marks = {name: mark for name, dialect in DIALECTS.items() if (mark := dialect.mark(value)) is not None}
    own = {name: mark for name, mark in marks.items() if not mark.plain} or marks
    if not own:
        raise BadRecord(f"no chat of a known dialect: {seen(value)}")
    if len(own) > 1:
        raise BadRecord(f"it may be {_alternatives(own)}; say which with --format")
    return next(iter(own))


def _alternatives(marks: dict[str, Mark]) -> str:
    return " or ".join(f"{name} (by {mark.seen:.60})" for name, mark in marks.items())


def seen(value: Any) -> str:
    """What a value is, for a person who looks for it in a file.

    Example:
        >>> seen({"a": 1, "b": 2})
        "a JSON object with the keys 'a', 'b'"
    """
    if isinstance(value, dict):
        keys = ", ".join(f"{key!r:.40}" for key in list(value)[:_SHOWN])
        more = f" and {len(value) - _SHOWN} more" if len(value) > _SHOWN else ""
        return f"a JSON object with the keys {keys}{more}" if keys else "an empty JSON object"
    if isinstance(value, list):
        return f"a list of {len(value)}, the first of them {seen(value[0])}" if value else "an empty list"
    return f"no JSON object but {value!r:.40}"


def is_one_chat(values: list[Any]) -> bool:
    """Whether the elements of a list are the pieces of one chat, rather than a record each."""
    return bool(values) and any(all(map(d.is_item, values)) for d in DIALECTS.values())
