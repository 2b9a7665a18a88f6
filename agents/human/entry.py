"""One argument as a person types it: what is wanted, and what the text stands for."""

from __future__ import annotations

import re
from typing import Any

import orjson

from faultgym.core.json import JSON

_WHOLE = re.compile(r"[+-]?[0-9]{1,15}", re.ASCII)
_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "object": "JSON object",
    "array": "JSON list",
}
_YES, _NO = ("y", "yes", "true"), ("n", "no", "false")
EMPTY = '""'
"""What a person types for an empty text, because Enter alone leaves an argument out."""


def wanted(schema: JSON) -> str:
    """What an argument takes, in a few words: `whole number, 1 to 50`.

    Args:
        schema: The argument's JSON Schema.

    Example:
        >>> wanted({"type": "integer", "minimum": 1, "maximum": 50})
        'whole number, 1 to 50'
    """
    if "enum" in schema:
        return "one of " + ", ".join(f"{n} {value}" for n, value in enumerate(schema["enum"], 1))
    if schema.get("type") == "boolean":
        return "yes or no"
    kind = str(schema.get("type", "JSON"))
    words = _WORDS.get(kind, kind)
    low = f"{schema['minimum']}" if "minimum" in schema else ""
    high = f"{schema['maximum']}" if "maximum" in schema else ""
    if "exclusiveMinimum" in schema:
        words += f", more than {schema['exclusiveMinimum']}"
    if low and high:
        words += f", {low} to {high}"
    elif low or high:
        words += f", {low} or more" if low else f", at most {high}"
    examples = schema.get("examples")
    return f"{words} such as {examples[0]}" if isinstance(examples, list) and examples else words


def typed_value(text: str, schema: JSON) -> Any:
    """The value that the text stands for.

    Args:
        text: What a person typed; `EMPTY` for an empty text.
        schema: The argument's JSON Schema. Of an `enum` a value's number in the list does too.

    Raises:
        ValueError: The text stands for no such value; the message says what is wanted instead.

    Example:
        >>> typed_value("7", {"type": "integer"}), typed_value("yes", {"type": "boolean"})
        (7, True)
    """
    if "enum" in schema:
        return _choice(text, schema["enum"])
    value = _of_type(text, schema)
    problem = _beyond(value, schema)
    if problem:
        raise ValueError(problem)
    return value


def _choice(text: str, values: list[Any]) -> Any:
    for value in values:
        if text == str(value):
            return value
    if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= len(values):
        return values[int(text[:9]) - 1]
    close = [value for value in values if str(value).lower() == text.lower()]
    if close:
        return close[0]
    raise ValueError(f"it takes {', '.join(map(str, values))}")


def _of_type(text: str, schema: JSON) -> Any:
    kind = schema.get("type")
    if kind == "string":
        return "" if text == EMPTY else text
    if kind == "boolean":
        if text.lower() not in _YES + _NO:
            raise ValueError("it takes yes or no")
        return text.lower() in _YES
    if kind in ("integer", "number"):
        return _number(text, whole=kind == "integer")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if kind in ("object", "array"):
            raise ValueError(f"it takes a {_WORDS[kind]}: {error.msg} at column {error.colno}") from None
        return text
    if (kind == "object" and not isinstance(value, dict)) or (kind == "array" and not isinstance(value, list)):
        raise ValueError(f"it takes a {_WORDS[kind]}")
    return value


def _number(text: str, *, whole: bool) -> int | float:
    if _WHOLE.fullmatch(text):
        return int(text)
    if whole:
        raise ValueError("it takes a whole number")
    try:
        value = float(text)
    except ValueError:
        raise ValueError("it takes a number") from None
    if not abs(value) < float("inf"):
        raise ValueError("it takes a number")
    return value


def _beyond(value: Any, schema: JSON) -> str:
    """What is wrong with a value of the right type, or an empty text."""
    if isinstance(value, str):
        if len(value) < schema.get("minLength", 0):
            return f"it takes at least {schema['minLength']} characters"
        if len(value) > schema.get("maxLength", len(value)):
            return f"it takes at most {schema['maxLength']} characters, not {len(value)}"
        if "pattern" in schema and not re.search(schema["pattern"], value):
            return f"it takes {wanted(schema)}"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        low, above = schema.get("minimum", value), schema.get("exclusiveMinimum")
        if value < low or value > schema.get("maximum", value) or (above is not None and value <= above):
            return f"it takes a {wanted(schema)}"
    return ""


def confidence(text: str) -> float | None:
    """A probability as a person writes it: `0.8` or `80%`; None for an empty text.

    Raises:
        ValueError: The text is neither a number from 0 to 1 nor a percentage.

    Example:
        >>> confidence("80%")
        0.8
    """
    if not text:
        return None
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError("it takes a number from 0 to 1, or a percentage such as 80%")
    return value
