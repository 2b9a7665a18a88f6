"""JSON values: their type, their canonical form, how deep they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import orjson

from faultgym.core.text import has_surrogates, joined

JSON: TypeAlias = dict[str, Any]
"""A JSON object, as Python holds it."""
MAX_INTEGER = 2**53
"""Beyond it JSON numbers lose digits (RFC 8259, section 6)."""


def canonical(value: Any) -> bytes:
    """The one text of a JSON value: keys sorted, no blanks, UTF-8, `30.0` written as `30`.

    Equal values have equal texts, whichever of two equal numbers they were made with. NaN and infinities become null.

    Raises:
        TypeError: The value is no JSON value, is nested too deep, or holds an integer beyond 64 bits or half a
            surrogate pair.

    Example:
        >>> canonical({"b": 30.0, "a": [True, 1.5]})
        b'{"a":[true,1.5],"b":30}'
    """
    try:
        plain = normalized_numbers(value)
    except RecursionError:
        raise TypeError("nested too deep for JSON") from None
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)


def normalized_numbers(value: Any) -> Any:
    """A copy of the value with every whole float below 2**53 as an integer, mappings as dicts, tuples as lists.

    Raises:
        RecursionError: The value is nested too deep.

    Example:
        >>> normalized_numbers({"seconds": 30.0, "share": (0.5, 1.0)})
        {'seconds': 30, 'share': [0.5, 1]}
    """
    if type(value) is float:
        return int(value) if value.is_integer() and abs(value) < MAX_INTEGER else value
    if isinstance(value, Mapping):
        return {key: normalized_numbers(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [normalized_numbers(item) for item in value]
    return value


def unfit(value: Any, *, levels: int, size: int) -> str:
    """What makes a value unfit as JSON that is stored and sent on. Walks without recursion, however deep the value is.

    Args:
        value: What a model or a client sent.
        levels: How deep containers may be nested inside the outermost one.
        size: Characters of text, keys counted, plus number of values that are allowed in total.

    Returns:
        The reason, without its subject (`are nested too deep: ...`); empty where the value is fit.

    Example:
        >>> unfit({"n": 2**60}, levels=4, size=100)
        'hold a whole number of more than 53 bits'
    """
    count = 0
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack:
        one, depth = stack.pop()
        if depth > levels:
            return f"are nested too deep: at most {levels} levels"
        if isinstance(one, str):
            count += len(one)
            if has_surrogates(one):
                return "hold half of a surrogate pair: send valid Unicode text"
        elif isinstance(one, dict):
            stack.extend((inner, depth + 1) for inner in one.values())
            stack.extend((str(key), depth + 1) for key in one)
        elif isinstance(one, list | tuple):
            stack.extend((inner, depth + 1) for inner in one)
        elif isinstance(one, int) and not -MAX_INTEGER <= one <= MAX_INTEGER:
            return "hold a whole number of more than 53 bits"
        elif one is not None and not isinstance(one, int | float):
            return f"hold a {type(one).__name__}, which is not JSON"
        count += 1
        if count > size:
            return f"are too long: at most {size:,} characters"
    return ""


def deeper_than(value: Any, levels: int) -> bool:
    """Whether lists and objects are nested more than `levels` deep, however deep they are: no recursion.

    Args:
        value: A JSON value.
        levels: Levels allowed; the outermost list or object is the first.
    """
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


MAX_STORED_DEPTH = 200
"""Levels of lists and objects that are stored: orjson writes 254 and reads 1024."""


def nearest_json(value: Any) -> Any:
    """The value with all that JSON in UTF-8 cannot hold replaced by the nearest that it can.

    Half surrogate pairs become U+FFFD, integers beyond 64 bits a string of their digits, containers more than
    `MAX_STORED_DEPTH` levels down a marker. NaN and infinities stay, and become null in the written text.

    Example:
        >>> nearest_json({"n": 2**64, "flag": True})
        {'n': '18446744073709551616', 'flag': True}
    """
    return _nearest(value, 0)


def _nearest(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return joined(value)
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return str(value)
    if not isinstance(value, dict | list | tuple):
        return value
    if depth == MAX_STORED_DEPTH:
        return f"[cut: nested deeper than {MAX_STORED_DEPTH} levels]"
    if not isinstance(value, dict):
        return [_nearest(item, depth + 1) for item in value]
    clean: dict[Any, Any] = {}
    for key, item in value.items():
        name = joined(key) if isinstance(key, str) else key
        while name in clean:  # two keys that differed only in what was replaced
            name = f"{name}\ufffd"
        clean[name] = _nearest(item, depth + 1)
    return clean
