"""What an attentive agent makes of a result's text: status, headers, data, and what looks wrong with it.

Used by reference solutions, which see nothing but text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

_STATUS = re.compile(r"HTTP (\d{3})")


@dataclass(frozen=True, slots=True)
class ToolResponse:
    """One result, read."""

    text: str
    status: int = 0
    """The HTTP status; 0 when the result is not a response."""
    headers: Mapping[str, str] = field(default_factory=dict)
    data: Any = None
    """The JSON body; None when there is none that can be trusted."""
    trouble: str = ""
    """What is wrong with it, in words; empty when nothing is."""

    @property
    def good(self) -> bool:
        """Whether this is a success with a body that can be read."""
        return not self.trouble and (self.status == 0 or 200 <= self.status < 300)

    @property
    def detail(self) -> str:
        """The problem's detail, or the start of the text."""
        if isinstance(self.data, dict) and isinstance(self.data.get("detail"), str):
            return str(self.data["detail"])
        return self.text[:200]


class _Broken(ValueError):
    """JSON that cannot be trusted."""


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Broken("the same key appears twice")
    return found


def _no_constant(name: str) -> Any:
    raise _Broken(f"{name} is not JSON")


def strict_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: The text is not JSON, or doubtful: a key appears twice, or a constant such as NaN.
        RecursionError: The text is nested too deep.
    """
    return json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)


def read_result(text: str) -> ToolResponse:
    r"""Read the text of any tool's result. Never raises.

    Args:
        text: What the model sees.

    Example:
        >>> seen = read_result("HTTP 429\nretry-after: 30\n\n{}")
        >>> seen.status, seen.headers, seen.trouble
        (429, {'retry-after': '30'}, 'status 429')
    """
    if text.startswith("error:"):
        return ToolResponse(text, trouble=text[6:].strip())
    match = _STATUS.match(text)
    if match is None:
        return _read_json(text)
    head, _, body = text.partition("\n\n")
    headers = {}
    for line in head.split("\n")[1:]:
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    status = int(match[1])
    if not body.strip():
        return ToolResponse(text, status, headers, None, "the body is empty" if status < 300 else f"status {status}")
    try:
        data = strict_json(body)
    except (ValueError, RecursionError):
        what = "the body is not valid JSON" if status < 300 else f"status {status}"
        return ToolResponse(text, status, headers, None, what)
    if status >= 300:
        return ToolResponse(text, status, headers, data, f"status {status}")
    if "content-type" in headers:
        return ToolResponse(text, status, headers, None, f"the body came as {headers['content-type']}")
    if not isinstance(data, dict):
        return ToolResponse(text, status, headers, None, "the body is JSON inside a string")
    return ToolResponse(text, status, headers, data)


def _read_json(text: str) -> ToolResponse:
    try:
        data = strict_json(text)
    except (ValueError, RecursionError):
        return ToolResponse(text)
    return ToolResponse(text, data=data)


def retry_after(seen: ToolResponse, now: datetime | None) -> float | None:
    """Seconds that the response asks to wait: from a number or an HTTP date.

    Args:
        seen: The response.
        now: The virtual time, for a date; where that is not known, a date counts as 60 seconds.

    Returns:
        The seconds, for a date at least 1; None when the response does not say.
    """
    value = seen.headers.get("retry-after", "")
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    return max(1.0, (moment - now).total_seconds()) if now is not None else 60.0


class FieldMissing(KeyError):
    """A field that the body does not hold in any form that can be recognised."""


def pick(data: Mapping[str, Any], name: str) -> Any:
    """A field of a body, found also when it was renamed, nested, or an amount written otherwise.

    Args:
        data: The body.
        name: The documented name of the field.

    Returns:
        The value. Amounts `x_cents` are whole cents, whether they came as a number, as text, or as the newer
        `{"amount": "41.50"}`.

    Raises:
        FieldMissing: The body does not hold the field in any form that can be recognised.

    Example:
        >>> pick({"order": {"total": {"amount": "41.50", "currency": "EUR"}}}, "total_cents")
        4150
    """
    if name in data and not isinstance(data[name], str):
        return data[name]
    if name.endswith("_cents"):
        return _cents(data, name)
    for level in _levels(data):
        if name in level:
            return level[name]
    for level in _levels(data):
        near = [k for k in level if name in k]
        if len(near) == 1:
            return level[near[0]]
    raise FieldMissing(name)


def _cents(data: Mapping[str, Any], name: str) -> int:
    short = name.removesuffix("_cents")
    for level in _levels(data):
        for key in (name, short, *(k for k in level if name in k), *(k for k in level if short in k)):
            value = level.get(key)
            if isinstance(value, dict) and "amount" in value:
                value = value["amount"]
            if isinstance(value, int) and not isinstance(value, bool):
                return value
            if isinstance(value, str) and re.fullmatch(r"\d+\.\d\d", value):
                return int(value.replace(".", ""))
            if isinstance(value, str) and value.isdigit() and "cents" in key:
                return int(value)
    raise FieldMissing(name)


def _levels(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The object itself, then the objects nested in it, outermost first."""
    queue: list[Mapping[str, Any]] = [data]
    while queue:
        level = queue.pop(0)
        yield level
        queue.extend(v for v in level.values() if isinstance(v, dict))
