"""JSON out of the middle of a text: where a value ends, and what it says."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

_SCANNER = json.JSONDecoder()
_BEGINS = frozenset('{["-0123456789tfn')
_SPACE = re.compile(r"\s*")


def value_at(text: str, at: int = 0) -> tuple[Any, int] | None:
    """The JSON value that stands at a place in a text, whatever comes after it.

    Python's decoder finds where it ends, orjson says what it is: so numbers beyond 64 bits, NaN and half surrogate
    pairs are the same for all who read JSON here, out of a text or as a whole.

    Args:
        text: Any text.
        at: Where to look; white space before the value is passed over.

    Returns:
        (the value, the place behind it); None where no JSON value stands there.

    Example:
        >>> value_at('{"a": "}"} and more')
        ({'a': '}'}, 10)
    """
    at = after_space(text, at)
    if text[at : at + 1] not in _BEGINS:  # an error's message takes time with the length of the text
        return None
    try:
        _, end = _SCANNER.raw_decode(text, at)
        return orjson.loads(text[at:end]), end
    except (ValueError, RecursionError, UnicodeEncodeError):
        return None


def after_space(text: str, at: int) -> int:
    """The place of the first character from `at` on that is no white space; the text's length where there is none.

    Args:
        text: Any text.
        at: Where to begin.
    """
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def json_text(value: object, written: str) -> str:
    """The value as JSON; the text it came from where the value is nested too deeply to be written.

    Args:
        value: What was read from a text.
        written: The text.
    """
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return written
