"""Random arguments that fit a tool's JSON Schema: what an untrained policy might send."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from faultgym.core.json import JSON
from faultgym.envs.suite import Suite
from faultgym.tools.types import ToolSpec

Suggestions = Mapping[tuple[str, str], tuple[Any, ...]]
"""(tool, argument) -> values worth trying: statements for `sql`, words for `search`."""

_WORDS = ("order", "policy", "status", "open", "service", "note", "late", "a", "the", "of", "1", "42", "é")
_DEEPEST = 4
_LARGEST = 100_000


def suggestions(suite: Suite) -> Suggestions:
    """Values that reach the suite's tables, documents and routes: what `arguments_for` chooses from first."""
    statements = ["SELECT * FROM schema"]
    for table, columns in sorted(suite.readable.items()):
        statements.append(f"SELECT {', '.join(sorted(columns))} FROM {table} LIMIT 3")
        statements.append(f"SELECT count(*) FROM {table}")
    routes = [(op.method, op.path) for op in suite.service.operations.values()]
    return {
        ("sql", "query"): tuple(statements),
        ("search", "query"): tuple(sorted({word for t in suite.templates for word in t.split("_")})),
        ("search", "kind"): ("policy", "runbook"),
        ("http", "path"): tuple(path for method, path in routes if method == "GET"),
    }


def arguments_for(tool: ToolSpec, rng: random.Random, suggested: Suggestions) -> JSON:
    """Random arguments that fit the tool's schema: all that are required, half of the others.

    Args:
        tool: The tool.
        rng: Where chance comes from.
        suggested: Values to choose nine times in ten, where there are any for the tool and argument.
    """
    schema = tool.parameters
    arguments = {}
    for name, part in schema.get("properties", {}).items():
        if name in schema.get("required", ()) or rng.random() < 0.5:
            known = suggested.get((tool.name, name))
            arguments[name] = rng.choice(known) if known and rng.random() < 0.9 else some_value(part, schema, rng)
    path = arguments.get("path")
    if isinstance(path, str) and "{" in path:
        arguments["path"] = _filled(path, rng)
    return arguments


def some_value(schema: JSON, root: JSON, rng: random.Random, depth: int = 0) -> Any:
    """A random value that fits a JSON Schema.

    Args:
        schema: The schema of the value.
        root: The document that `$ref`s of the schema point into.
        rng: Where chance comes from.
        depth: How deep the value stands; deep objects get their required properties only.
    """
    if "$ref" in schema:
        schema = _referenced(schema["$ref"], root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return rng.choice(schema["enum"])
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return some_value(rng.choice(schema[union]), root, rng, depth)
    kind = schema.get("type")
    if kind == "string":
        return _some_string(schema, rng)
    if kind in ("integer", "number"):
        return _some_number(schema, rng)
    if kind == "array":
        count = rng.randrange(schema.get("minItems", 0), schema.get("minItems", 0) + 3)
        return [some_value(schema.get("items", {}), root, rng, depth + 1) for _ in range(count)]
    if kind == "object":
        return _some_object(schema, root, rng, depth)
    return rng.choice((True, False)) if kind == "boolean" else None if kind == "null" else some_text(rng, 1)


def some_text(rng: random.Random, words: int) -> str:
    """A random text, with identifier-like words among the others.

    Args:
        rng: Where chance comes from.
        words: The largest number of words; the smallest is one.
    """
    return " ".join(
        f"{rng.choice('ACDKOSTX')}{rng.choice('ERDOM')}-{rng.randrange(10**4)}"
        if rng.random() < 0.2
        else rng.choice(_WORDS)
        for _ in range(rng.randrange(words) + 1)
    )


def _some_string(schema: JSON, rng: random.Random) -> str:
    examples = schema.get("examples")
    if examples:
        prefix, dash, digits = str(rng.choice(examples)).rpartition("-")
        return f"{prefix}-{rng.randrange(10**5)}" if dash and digits.isdigit() else prefix + dash + digits
    text = some_text(rng, 3)
    text = text.ljust(schema.get("minLength", 0), "x")
    longest: int = schema.get("maxLength", len(text))
    return text[:longest]


def _some_number(schema: JSON, rng: random.Random) -> int | float:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is None:
        low = 0 if high is None else high - _LARGEST
    if high is None:
        high = low + _LARGEST
    if schema["type"] == "integer":
        first = low + ("exclusiveMinimum" in schema)
        return rng.randrange(first, max(first, high - ("exclusiveMaximum" in schema)) + 1)
    value = round(rng.uniform(low, high), 2)
    return value if low < value < high else (low + high) / 2


def _some_object(schema: JSON, root: JSON, rng: random.Random, depth: int) -> JSON:
    properties = schema.get("properties", {})
    made = {
        name: some_value(part, root, rng, depth + 1)
        for name, part in properties.items()
        if name in schema.get("required", ()) or (rng.random() < 0.5 and depth < _DEEPEST)
    }
    more = schema.get("additionalProperties", False)
    if not properties and more and depth < _DEEPEST and rng.random() < 0.5:
        part = more if isinstance(more, dict) else {}
        made[rng.choice(("limit", "status", "reason"))] = some_value(part, root, rng, depth + 1)
    return made


def _referenced(pointer: str, root: JSON) -> JSON:
    found: Any = root
    for name in pointer.removeprefix("#/").split("/"):
        found = found[name]
    return dict(found)


def _filled(path: str, rng: random.Random) -> str:
    return "/".join(str(rng.randrange(10**5)) if part[:1] == "{" else part for part in path.split("/"))
