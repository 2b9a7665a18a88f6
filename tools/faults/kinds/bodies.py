"""Malformed bodies: 200, and the JSON is broken.

A schedule of ordinals clears by itself (RETRY); one that goes `onward` stays on its route, and then
another route has to give the fact (REROUTE). Reads only: a write whose answer cannot be read is a
lost acknowledgement.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from faultgym.core.json import JSON
from faultgym.tools.exchange import HttpResponse
from faultgym.tools.faults.payload import (
    AIM,
    http_reply,
    is_whole,
    json_reply,
    other_value,
    reads,
    telling,
    with_body,
)
from faultgym.tools.faults.registry import kind
from faultgym.tools.faults.types import REVISION, Contract, FaultContext, ScheduledFault

_PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>Scheduled maintenance</title></head>\n<body><h1>Scheduled maintenance</h1>\n"
    b"<p>Please come back in a moment.</p></body></html>\n"
)


def _contract(fault: ScheduledFault) -> Contract:
    return Contract.REROUTE if fault.onward and fault.seconds is None else Contract.RETRY


def _is_json(context: FaultContext) -> bool:
    return json_reply(context) is not None


def _malformed(
    can_fire: Callable[[FaultContext], bool] = _is_json,
    params: JSON | None = None,
    first: Callable[[FaultContext], HttpResponse] | None = None,
) -> Callable[[Callable[[FaultContext], HttpResponse]], Callable[[FaultContext], HttpResponse]]:
    return kind(
        "http",
        "after",
        Contract.RETRY,
        targets=reads,
        can_fire=can_fire,
        pinned=True,
        varies=_contract,
        params=params or {},
        earlier={} if first is None else {1: {"act": first}},
    )


def _part(context: FaultContext) -> bytes:
    """The first third to two thirds of the body: never valid, since the object is not closed."""
    body = http_reply(context).body
    return body[: max(1, len(body) // 3 + context.pick(max(1, len(body) // 3)))]


@_malformed()
def truncated_json(context: FaultContext) -> HttpResponse:
    """The body breaks off in the middle."""
    return with_body(http_reply(context), _part(context))


@_malformed()
def partial_chunk(context: FaultContext) -> HttpResponse:
    """The connection closes early: fewer bytes arrive than `content-length` says."""
    reply = http_reply(context)
    return with_body(reply, _part(context), content_length=str(len(reply.body)))


@_malformed()
def invalid_json(context: FaultContext) -> HttpResponse:
    """Python's single quotes, a trailing comma, or NaN for a number: not JSON."""
    reply = http_reply(context)
    form = context.pick(3)
    if form == 0:
        return with_body(reply, repr(orjson.loads(reply.body)).encode())
    if form == 1:
        return with_body(reply, reply.body[:-1] + b",}")
    body = orjson.loads(reply.body)
    for name in [n for n, v in body.items() if is_whole(v)] or list(body)[:1]:
        body[name] = "\0NaN"
    return with_body(reply, orjson.dumps(body).replace(b'"\\u0000NaN"', b"NaN"))


def _page(context: FaultContext, page: bytes) -> HttpResponse:
    return with_body(http_reply(context), page, content_type="text/html; charset=utf-8")


@_malformed(
    params={REVISION: 2}, first=lambda context: _page(context, _PAGE.replace(b"Scheduled maintenance", b"Sign in", 1))
)
def html_for_json(context: FaultContext) -> HttpResponse:
    """A page in HTML with status 200."""
    return _page(context, _PAGE)


@_malformed()
def wrong_content_type(context: FaultContext) -> HttpResponse:
    """The header says that the body is something other than JSON."""
    reply = http_reply(context)
    form = ("text/html", "text/plain", "application/octet-stream")[context.pick(3)]
    return with_body(reply, reply.body, content_type=form)


@_malformed()
def double_encoded(context: FaultContext) -> HttpResponse:
    """JSON inside a JSON string."""
    reply = http_reply(context)
    return with_body(reply, orjson.dumps(reply.body.decode()))


@_malformed()
def bom_or_mojibake(context: FaultContext) -> HttpResponse:
    """A byte order mark in front, and all that is not ASCII decoded wrongly."""
    reply = http_reply(context)
    return with_body(reply, b"\xef\xbb\xbf" + reply.body.decode("latin-1").encode())


def _rival(context: FaultContext) -> tuple[str, object, object] | None:
    """(field, true value, other value) of a field that can be given twice."""
    body = json_reply(context)
    if body is None:
        return None
    hints = context.world.hints
    if isinstance(body.get("items"), list):
        return ("total", body["total"], body["total"] + 1) if is_whole(body.get("total")) else None
    for name in telling(context, body, lambda n, v: other_value(n, v, hints) is not None):
        return name, body[name], other_value(name, body[name], hints)
    return None


@_malformed(lambda context: _rival(context) is not None, AIM)
def duplicate_keys(context: FaultContext) -> HttpResponse:
    """A field appears twice with two values: which one counts is anyone's guess (RFC 8259, section 4)."""
    rival = _rival(context)
    assert rival is not None
    name, true, shown = rival
    context.detail["changes"] = [{"field": name, "true": true, "shown": shown}]
    reply = http_reply(context)
    pair = orjson.dumps({name: shown})[1:-1]
    if context.pick(2):
        return with_body(reply, b"{" + pair + b"," + reply.body[1:])
    return with_body(reply, reply.body[:-1] + b"," + pair + b"}")
