"""JSON values: their type, their canonical form, how deep they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import orjson

JSON: TypeAlias = dict[str, Any]
"""A JSON object, as Python holds it."""


def canonical(value: Any) -> bytes:
    """The one text of a JSON value: keys sorted, no blanks, UTF-8, `30.0` written as `30`.

    Equal values have equal texts, whichever of two equal numbers they were made with.

    Raises:
        TypeError: The value is no JSON value, or holds an integer beyond 64 bits or half a surrogate pair.

    Example:
        >>> canonical({"b": 30.0, "a": [True, 1.5]})
        b'{"a":[true,1.5],"b":30}'
    """
    return orjson.dumps(normalized_numbers(value), option=orjson.OPT_SORT_KEYS)


def normalized_numbers(value: Any) -> Any:
    """The value with every whole float below 2**53 as an integer; containers are copied only where one is inside."""
    if type(value) is float:
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, Mapping):
        return {key: normalized_numbers(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [normalized_numbers(item) for item in value]
    return value


def deeper_than(value: Any, levels: int) -> bool:
    """Whether lists and objects are nested more than `levels` deep, however deep they are: no recursion."""
    stack = [(value, 1)]
    while stack:
        one, depth = stack.pop()
        inner = one.values() if isinstance(one, Mapping) else one if isinstance(one, (list, tuple)) else None
        if inner is None:
            continue
        if depth > levels:
            return True
        stack.extend((item, depth + 1) for item in inner)
    return False
