"""The published JSON Schema of a trace's record, made of its declaration."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

import msgspec

from faultgym.agents.traces.schema import SCHEMA_VERSION, TraceRecord
from faultgym.core.json import JSON
from faultgym.core.records import structs_of

SCHEMA_ID = f"urn:faultgym:trace:{SCHEMA_VERSION}"


def trace_schema() -> JSON:
    """The JSON Schema (2020-12) of a record."""
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "faultgym trace",
    }
    _, found = msgspec.json.schema_components([TraceRecord], ref_template="#/$defs/{name}")
    for struct, source in structs_of(TraceRecord).items():
        docs = _field_docs(source)
        for name, field in found[struct.__name__]["properties"].items():
            if name in docs:
                found[struct.__name__]["properties"][name] = {**field, "description": docs[name]}
    shapes = {name: _plain(shape) for name, shape in found.items()}
    record = shapes.pop(TraceRecord.__name__)
    return {**head, **record, "$defs": dict(sorted(shapes.items()))}


def _field_docs(cls: type) -> dict[str, str]:
    """What stands beneath each field of a class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    docs: dict[str, str] = {}
    name = ""
    for node in getattr(body, "body", []):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
            continue
        if name and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            docs[name] = inspect.cleandoc(str(node.value.value))
        name = ""
    return docs


def _plain(schema: Any) -> Any:
    """Without titles, which repeat the names of classes, and without `discriminator`, which is OpenAPI's."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: _plain(value)
        for name, value in schema.items()
        if not (name == "title" and isinstance(value, str))
        and not (name == "discriminator" and "propertyName" in value)
    }
