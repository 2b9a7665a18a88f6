"""Whether a server's refusal says that the chat no longer fits into the model's context, or that a filter stopped it.

Every server says it in its own words, and some of them word other complaints almost the same: a tool's description that
is too long, a rate in tokens a minute. What a reply says by code counts first, then the message, and nothing else of
the reply: the chat itself may be quoted there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

STATUSES = frozenset({400, 413, 422, 500})
"""Others speak of something else, whatever their words: a rate, a queue, a key. 500 is what llama.cpp may say."""
_CODES = frozenset(
    "context_length_exceeded context_window_exceeded exceed_context_size_error model_context_window_exceeded"
    " request_too_large".split()
)
_OTHER_CODES = frozenset(
    "array_above_max_length insufficient_quota invalid_api_key model_not_found rate_limit_exceeded"
    " string_above_max_length unsupported_parameter unsupported_value".split()
)
_FILTERS = frozenset("content_filter content_policy_violation data_inspection_failed datainspectionfailed".split())
"""Azure and LiteLLM; DashScope."""
_OTHER = re.compile(
    r"\b(string|array) too long|functions?(\.\d+|\[\d+\])?\.description|\bdescription\b.{0,40}too long"
    r"|\b(too many|number of|at most \d+) tools\b"
    r"|\brate.?limit|too many requests|tokens per (minute|day)|\(TPM\)|\bquota\b|please wait",
    re.IGNORECASE,
)
"""Complaints about a field, the tools or a rate."""
_OVERFLOW = re.compile(
    r"maximum (context|model|prompt|input) (length|size|window)|maximum allowed (input )?length"
    r"|(exceed\w*|(long|great|larg)er than|too large for).{0,40}\b(context|model token)[ _](length|window|size|limit)"
    r"|context[ _]?(length|window|size).{0,20}(exceed|overflow|is only)"
    r"|\b(prompt|input)s?`? (is|are|was) too long|prompt too long|prompt exceeds|too many tokens"
    r"|reduce the length of the (messages|input|prompt)"
    r"|input token count.{0,40}exceeds? the maximum|input tokens exceed|too many input tokens"
    r"|prompt token count.{0,30}exceeds? the limit|configured context size"
    r"|`?inputs`? (tokens \+|must have less than \d+ tokens)|range of input length should be"
    r"|expected maxLength: \d+, actual|max_tokens must be at least 1, got -",
    re.IGNORECASE,
)
_DEEPEST = 3
"""Errors within errors, as gateways hand them on."""


def refused_by_filter(status: int, body: str) -> bool:
    """Whether a refusal says that a content filter does not let the chat through; by code alone.

    Args:
        status: The reply's.
        body: The reply's, JSON or not.

    Example:
        >>> refused_by_filter(400, '{"error": {"code": "content_filter", "message": "The response was filtered."}}')
        True
    """
    if status not in STATUSES:
        return False
    errors = _errors(_read(body), _DEEPEST)
    return any(str(error.get(name) or "").lower() in _FILTERS for error in errors for name in ("code", "type"))


def is_overflow(status: int, body: str) -> bool:
    """Whether a refusal says that the chat is too long for the model.

    Args:
        status: The reply's.
        body: The reply's, JSON or not.

    Example:
        >>> is_overflow(400, '{"error": {"message": "prompt is too long: 210000 tokens > 200000 maximum"}}')
        True
        >>> is_overflow(400, '{"error": {"message": "Invalid \\'tools\\': array too long. Maximum length 128"}}')
        False
    """
    if status not in STATUSES:
        return False
    told = list(_errors(_read(body), _DEEPEST))
    for error in told:
        if str(error.get("param") or "").startswith("tools"):
            return False
        codes = {str(error.get(name) or "").lower() for name in ("code", "type", "error_type")}
        if codes & _OTHER_CODES:
            return False
        if codes & _CODES:
            return True
    words = [text for error in told for text in _messages(error)]
    return not any(map(_OTHER.search, words)) and any(map(_OVERFLOW.search, words))


def _read(body: str) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        return body


def _errors(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    """The error objects in a body, the outer one first: in `error`, in a list, alone, or as text in another's `raw`."""
    if not depth:
        return
    if isinstance(value, str):
        yield {"message": value}
    for item in value if isinstance(value, list) else ():
        yield from _errors(item, depth - 1)
    if not isinstance(value, dict):
        return
    if value.get("error"):
        yield {name: item for name, item in value.items() if name != "error"}
        yield from _errors(value["error"], depth)
        return
    yield value
    inner = value.get("metadata")
    if isinstance(inner, dict) and isinstance(inner.get("raw"), str):
        yield from _errors(_read(inner["raw"]), depth - 1)


def _messages(error: dict[str, Any]) -> Iterator[str]:
    for name in ("message", "Message", "detail"):
        if isinstance(error.get(name), str):
            yield error[name]
