"""A tool as a Python method that transformers reads the same schema off: type hints, and a Google `Args:` section.

What hints and docstrings cannot say is lost to who reads them: patterns, ranges, lengths, and that nothing else may
be sent. The tool itself still holds to all of it. Trainers that take schemas
should be given those (`factory.specs_of`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, Literal, Union

from faultgym.core.json import JSON
from faultgym.tools.types import ToolSpec

PLAIN: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "null": type(None),
    "object": dict,
    "array": list,
}
_SECTION = re.compile(r"\b(Args|Returns|Raises):")


def tool_method(spec: ToolSpec) -> Callable[..., str]:
    """The method that calls a tool, with the signature and the docstring that schemas are made of.

    The method takes whatever a model sends: what does not fit is answered by the tool.

    Args:
        spec: The tool as a model is shown it.

    Returns:
        A function of `self` and the tool's arguments, which are given by name.
    """
    name = spec.name

    def method(self: Any, /, **arguments: Any) -> str:
        answer: str = self._call(name, arguments)
        return answer

    properties: dict[str, JSON] = spec.parameters.get("properties", {})
    required = spec.parameters.get("required", [])
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)]
    for argument, schema in properties.items():
        default = inspect.Parameter.empty if argument in required else None
        parameters.append(
            inspect.Parameter(argument, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint_of(schema))
        )
    method.__name__ = name
    method.__qualname__ = f"ToolEpisode.{name}"
    method.__doc__ = docstring_of(spec)
    method.__annotations__ = {argument: hint_of(schema) for argument, schema in properties.items()}
    method.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return method


def hint_of(schema: JSON) -> Any:
    """The type hint that says the most of what a JSON Schema says; `Any` where the schema gives no type.

    Args:
        schema: The schema of one argument.

    Example:
        >>> hint_of({"type": "array", "items": {"type": "string"}})
        list[str]
    """
    if "enum" in schema:
        return Literal[tuple(schema["enum"])]
    if "anyOf" in schema:
        return Union[tuple(hint_of(part) for part in schema["anyOf"])]  # noqa: UP007 - made of a list
    kind = schema.get("type")
    if kind == "array" and isinstance(schema.get("items"), dict):
        return list[hint_of(schema["items"])]  # type: ignore[misc]
    values = schema.get("additionalProperties")
    if kind == "object" and values:
        return dict[str, hint_of(values) if isinstance(values, dict) else Any]  # type: ignore[misc]
    return PLAIN.get(str(kind), Any)


def docstring_of(spec: ToolSpec) -> str:
    """The description and an `Args:` section; an argument without a description is described by its name.

    Args:
        spec: The tool as a model is shown it.

    Example:
        >>> properties = {"order_id": {"type": "string", "description": "Such as ORD-17."}}
        >>> print(docstring_of(ToolSpec("get_order", "Read an order.", {"type": "object", "properties": properties})))
        Read an order.
        <BLANKLINE>
        Args:
            order_id: Such as ORD-17.
    """
    lines = [_line(spec.description)]
    properties: dict[str, JSON] = spec.parameters.get("properties", {})
    if properties:
        lines += ["", "Args:"]
        lines += [
            f"    {argument}: {_line(str(schema.get('description') or argument.replace('_', ' ')))}"
            for argument, schema in properties.items()
        ]
    return "\n".join(lines)


def _line(text: str) -> str:
    """One line, without what would begin a section."""
    return _SECTION.sub(r"\1", " ".join(text.split()))
