"""What pydantic says of wrong input, as one sentence for a person."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from faultgym.core.suggest import did_you_mean, nearest

if TYPE_CHECKING:
    from pydantic import ValidationError


def explained(error: ValidationError, known: Iterable[str] = (), *, value_chars: int = 80) -> str:
    """The first thing that is wrong: `field: reason, not VALUE (and 2 more)`.

    Args:
        error: What pydantic raised.
        known: The names of all fields; the nearest is offered for an unknown one.
        value_chars: Characters of the wrong value that are shown.
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


def refusal(error: ValidationError, kind: type) -> str:
    """What is wrong with a setting: `SETTING: VALUE is not allowed (did you mean 'A'?); it has to be WHAT`.

    Args:
        error: What pydantic raised.
        kind: The pydantic class that was to be made; what is allowed is told by its JSON schema.
    """
    from pydantic import TypeAdapter  # here: help texts are shown without loading it

    schema = TypeAdapter(kind).json_schema()
    first = error.errors(include_url=False)[0]
    place, value = [str(part) for part in first["loc"] if not isinstance(part, int)], first["input"]
    name, parent, field = ".".join(place), schema, schema
    for part in place:
        parent = _resolved(field, schema)
        field = parent.get("properties", {}).get(part, {})
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = sorted(parent["properties"])
        return unknown_setting(name, known)
    if first["type"] in ("missing", "missing_argument") or (value in ("", ()) and first["type"] in _EMPTY):
        return f"{name} is missing: it has to be {allowed(field, schema)}"
    if first["type"] == "value_error":
        return f"{name}: {first['ctx']['error']}"
    near = _hint(value, _choices(field, schema)) if isinstance(value, str) else ""
    return f"{name}: {value!r:.200} is not allowed{near}; it has to be {allowed(field, schema)}"


def unknown_setting(name: str, known: Iterable[str]) -> str:
    """The message about a setting that does not exist: the nearest one, and all there are.

    Args:
        name: The setting as it was given, with dots where it is nested.
        known: The settings there are, without the dots and what stands before them.

    Example:
        >>> unknown_setting("training.step", ["steps", "seed"])
        "unknown setting 'training.step' (did you mean 'steps'?); there are seed, steps"
    """
    names = sorted(known)
    return f"unknown setting {name!r}{_hint(name.rpartition('.')[2], names)}; there are {', '.join(names)}"


_EMPTY = ("string_too_short", "too_short")


def allowed(field: dict[str, Any], schema: dict[str, Any]) -> str:
    """What a JSON schema allows, in words.

    Args:
        field: The schema of one setting.
        schema: The schema that it is part of, whose `$defs` its references name.

    Example:
        >>> allowed({"type": "integer", "minimum": 1}, {})
        'a whole number from 1'
    """
    if choices := _choices(field, schema):
        return f"one of {', '.join(choice or 'nothing' for choice in choices)}"
    field = next((one for one in field.get("anyOf", ()) if one.get("type") != "null"), field)
    field = _resolved(field, schema)
    kind = field.get("type", "")
    if kind in ("integer", "number"):
        what = "a whole number" if kind == "integer" else "a number"
        low = f" above {field['exclusiveMinimum']:g}" if "exclusiveMinimum" in field else ""
        low = f" from {field['minimum']:g}" if "minimum" in field else low
        return what + low + (f" to {field['maximum']:g}" if "maximum" in field else "")
    empty = ", not empty" if field.get("minLength") or field.get("minItems") else ""
    words = {"boolean": "true or false", "array": "names, separated by commas", "string": "a text"}
    return words.get(kind, "settings, such as {learning_rate: 1e-4}") + empty


def _choices(field: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    parts = [_resolved(one, schema) for one in field.get("anyOf", [field])]
    found = [choice for one in parts for choice in one.get("enum", [one["const"]] if "const" in one else [])]
    return ["", *found] if found and {"type": "null"} in parts else found


def _resolved(field: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = field.get("$ref", "").rpartition("/")[2]
    return schema["$defs"][name] if name else field


def _hint(word: str, known: Iterable[str]) -> str:
    near = nearest(word, known)
    return f" (did you mean {near[0]!r}?)" if near else ""
