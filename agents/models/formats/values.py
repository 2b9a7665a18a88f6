"""Values that a text gives without their types, as the tool's schema has them: the rules of vLLM's parsers.

Those decide what a server makes of such a call, so they hold here too, whether one likes them or not: the first type
that takes the text, in the order null, integer, number, boolean, object or array, string.
"""

from __future__ import annotations

import math
from typing import Any

import orjson

from faultgym.agents.models.formats.format import Tools
from faultgym.core.json import JSON
from faultgym.tools.types import ToolCall

_SPELLINGS = {
    **dict.fromkeys(("str", "text", "varchar", "char", "enum"), "string"),
    **dict.fromkeys(("int", "int32", "int64", "uint", "uint32", "uint64", "long", "short", "unsigned"), "integer"),
    **dict.fromkeys(("float", "float32", "float64", "double"), "number"),
    **dict.fromkeys(("arr", "list", "sequence"), "array"),
    "bool": "boolean",
    "dict": "object",
}
_KINDS = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
_DEEP = 32
"""Levels of a schema that are looked at."""


def properties(tools: Tools, name: str) -> JSON:
    """The schemas of a tool's arguments; empty where the tool is not offered, or says nothing of them."""
    found = next((tool.parameters.get("properties") for tool in tools if tool.name == name), None)
    return found if isinstance(found, dict) else {}


def typed_call(call: ToolCall, tools: Tools) -> ToolCall:
    """The call with its arguments' values of the types that the tool's schema gives.

    Args:
        call: A call; one without arguments stays as it is.
        tools: Those that were offered.
    """
    if call.arguments is None:
        return call
    schemas = properties(tools, call.name)
    arguments = {key: typed(value, schemas.get(key)) for key, value in call.arguments.items()}
    return ToolCall(call.id, call.name, arguments)


def typed(value: Any, schema: Any, depth: int = 0) -> Any:
    """A value of the type that a schema gives, where it can be read as one; else the value.

    Args:
        value: A text, or any other JSON value.
        schema: The JSON schema; anything else is none.
        depth: How deep in the value this is.

    Example:
        >>> typed("7", {"type": "integer"}), typed("7", {"type": "string"}), typed(7, {"type": "string"})
        (7, '7', '7')
    """
    if not isinstance(schema, dict) or depth > _DEEP:
        return value
    if isinstance(value, str):
        return from_text(value, kinds(schema))
    if isinstance(value, dict):
        inner = schema.get("properties")
        return {k: typed(v, inner.get(k), depth + 1) for k, v in value.items()} if isinstance(inner, dict) else value
    if isinstance(value, list):
        return [typed(item, schema.get("items"), depth + 1) for item in value]
    return from_text(orjson.dumps(value).decode(), kinds(schema))


def kinds(schema: Any, depth: int = 0) -> frozenset[str]:
    """The types that a schema allows; `string` alone where it names none.

    Args:
        schema: The JSON schema.
        depth: How deep in another schema it stands.

    Example:
        >>> sorted(kinds({"anyOf": [{"type": "integer"}, {"enum": [None]}]}))
        ['integer', 'null']
    """
    found: set[str] = set()
    if isinstance(schema, dict) and depth < _DEEP:
        given = schema.get("type")
        found.update(t for t in (given if isinstance(given, list) else [given]) if isinstance(t, str))
        listed = schema.get("enum")
        if isinstance(listed, list):
            found.update(_KINDS[type(item)] for item in listed if type(item) in _KINDS)
        for choice in ("anyOf", "oneOf", "allOf"):
            for one in schema[choice] if isinstance(schema.get(choice), list) else ():
                found.update(kinds(one, depth + 1))
    return frozenset(found or {"string"})


def from_text(text: str, types: frozenset[str]) -> Any:
    """The value that a text stands for, if any of the types takes it; else the text.

    Args:
        text: What the model wrote.
        types: JSON Schema types, in any of their spellings.

    Example:
        >>> from_text("True", frozenset({"boolean"})), from_text("1e3", frozenset({"number"}))
        (True, 1000)
    """
    names = {_SPELLINGS.get(t.strip().lower(), t.strip().lower()) for t in types}
    if "null" in names and text.lower() == "null":
        return None
    number = _number(text, names)
    if number is not None:
        return number
    if "boolean" in names and text.lower().strip() in ("true", "1", "false", "0"):
        return text.lower().strip() in ("true", "1")
    if "string" in names and not names & {"object", "array"}:
        return text
    try:
        return orjson.loads(text)
    except (ValueError, UnicodeEncodeError):
        return text


def _number(text: str, names: set[str]) -> int | float | None:
    if "integer" in names:
        try:
            return in_64_bits(int(text))
        except ValueError:
            pass
    if "number" in names:
        try:
            value = float(text)
        except ValueError:
            return None
        if math.isfinite(value):
            return in_64_bits(int(value)) if value.is_integer() else value
    return None


def in_64_bits(value: int) -> int | float:
    """The integer; beyond 64 bits a float, as numbers in JSON are read here.

    Example:
        >>> in_64_bits(2**64)
        1.8446744073709552e+19
    """
    try:
        return value if -(2**63) <= value < 2**64 else float(value)
    except OverflowError:
        raise ValueError("a number beyond all floats") from None
