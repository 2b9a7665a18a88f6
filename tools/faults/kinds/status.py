"""Faults by HTTP status: the service answers, and refuses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

from faultgym.tools.channels.http.service import ServiceError
from faultgym.tools.channels.http.service import unauthorized as refuse_token
from faultgym.tools.exchange import HttpResponse
from faultgym.tools.faults.kinds import earlier
from faultgym.tools.faults.payload import (
    always,
    arguments,
    http_request,
    identifiers,
    reads,
    request_body,
    routed,
    writes,
)
from faultgym.tools.faults.registry import kind
from faultgym.tools.faults.types import REVISION, Contract, FaultContext, Site


def _problem(
    status: int, title: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any
) -> HttpResponse:
    return ServiceError(status, title, detail, headers=headers, **more).response()


# ---- it lives elsewhere -------------------------------------------------------------------------


def _has_successor(site: Site) -> bool:
    return bool(site.successor) and not site.write


def _newer(context: FaultContext) -> str:
    """The path of the same thing under the newer version."""
    request = http_request(context)
    path = request.path.replace("/v1/", "/v2/", 1)
    return f"{path}?{urlencode(request.query)}" if request.query else path


@kind("http", "before", Contract.REROUTE, targets=_has_successor, persists_while=always, pinned=True)
def not_found_moved(context: FaultContext) -> HttpResponse:
    """404: the resource lives under the newer version of the path, which the text names."""
    path = http_request(context).path
    return _problem(404, "Not Found", f"{path} is no longer here: it lives under the newer version, /v2")


@kind("http", "before", Contract.REROUTE, targets=_has_successor, persists_while=always, pinned=True)
def gone(context: FaultContext) -> HttpResponse:
    """410: this version is retired; `Link` with rel="successor-version" names the one to use."""
    link = {"link": f'<{_newer(context)}>; rel="successor-version"'}
    return _problem(410, "Gone", "this version of the route is retired: use its successor version", link)


@kind("http", "before", Contract.REROUTE, targets=_has_successor, persists_while=always, pinned=True)
def redirect(context: FaultContext) -> HttpResponse:
    """301, 307 or 308 with the newer version's path in `Location`; nothing follows it by itself."""
    status = (301, 307, 308)[context.pick(3)]
    titles = {301: "Moved Permanently", 307: "Temporary Redirect", 308: "Permanent Redirect"}
    return _problem(status, titles[status], "follow Location", {"location": _newer(context)})


def _lacks_scope(context: FaultContext, route: str) -> HttpResponse:
    scope = f"{context.site.tables[0]}:read"
    return _problem(403, "Forbidden", f"the token lacks the scope `{scope}` that {route} needs")


@kind(
    "http",
    "before",
    Contract.REROUTE,
    targets=reads,
    persists_while=always,
    pinned=True,
    params={REVISION: 2},
    earlier={1: {"act": lambda context: _lacks_scope(context, context.site.route)}},
)
def forbidden(context: FaultContext) -> HttpResponse:
    """403: the token lacks a scope on this one route; a new token lacks it too."""
    return _lacks_scope(context, f"{http_request(context).method} {context.site.path}")


# ---- the request is to be changed ----------------------------------------------------------------


def _prefixed(context: FaultContext) -> bool:
    return next(identifiers(arguments(context)), None) is not None


@kind("http", "before", Contract.REPAIR, targets=routed, can_fire=_prefixed, persists_while=_prefixed, pinned=True)
def bad_request(context: FaultContext) -> HttpResponse:
    """400 naming the field: the identifier is to be given without its prefix."""
    name, value = next(identifiers(arguments(context)))
    digits = value.rpartition("-")[2]
    detail = f"`{name}` must be digits only, for instance {digits}"
    errors = [{"field": name, "detail": "must be digits only"}]
    return _problem(400, "Bad Request", detail, errors=errors)


def _without_note(context: FaultContext) -> bool:
    note = request_body(http_request(context)).get("note")
    return not (isinstance(note, str) and note.strip())


@kind(
    "http", "before", Contract.REPAIR, targets=writes, can_fire=_without_note, persists_while=_without_note, pinned=True
)
def unprocessable(context: FaultContext) -> HttpResponse:
    """422 problem+json with `errors`: a note is required."""
    errors = [{"field": "note", "detail": "is required"}]
    return _problem(422, "Unprocessable Content", "`note` is required", errors=errors)


def _row(context: FaultContext) -> tuple[str, str, int] | None:
    """(table, id, version) of the row that the request is about, or None when there is none."""
    if context.site.versioned is None:
        return None
    table, name = context.site.versioned
    key = str(arguments(context).get(name, ""))
    row = context.world.db.execute(
        f"SELECT id, version FROM {table} WHERE id = ? OR id LIKE '%-' || ?", (key, key)
    ).fetchone()
    return None if row is None else (table, row[0], row[1])


def _if_match(context: FaultContext) -> list[str]:
    return [tag.strip() for tag in http_request(context).headers.get("if-match", "").split(",")]


def _outdated(context: FaultContext) -> bool:
    row = _row(context)
    return row is not None and row[1] == context.state.memory["row"] and f'"{row[2]}"' not in _if_match(context)


@kind(
    "http",
    "before",
    Contract.REPAIR,
    targets=lambda site: site.write and site.versioned is not None,
    can_fire=lambda context: _row(context) is not None,
    persists_while=_outdated,
    pinned=True,
)
def conflict(context: FaultContext) -> HttpResponse:
    """409 or 412: the row has really changed; it must be read again and its ETag sent in If-Match."""
    row = _row(context)
    assert row is not None
    table, key, _ = row
    if not context.state.delivered:
        context.state.memory["row"] = key
        context.world.writable().execute(f"UPDATE {table} SET version = version + 1 WHERE id = ?", (key,))
    detail = f"{key} was changed since you read it: read it again and send its ETag in If-Match"
    if "if-match" in http_request(context).headers:
        return _problem(412, "Precondition Failed", detail)
    return _problem(409, "Conflict", detail)


# ---- the token ------------------------------------------------------------------------------------


def _same_token(context: FaultContext) -> bool:
    sent = http_request(context).headers.get("authorization", "")
    return bool(sent == context.state.memory["authorization"])


@kind(
    "http",
    "before",
    Contract.REAUTH,
    targets=lambda site: site.route not in ("", "issue_token"),
    persists_while=_same_token,
)
def unauthorized(context: FaultContext) -> HttpResponse:
    """401: the token has expired; every route refuses it until a new one is sent."""
    context.state.memory["authorization"] = http_request(context).headers.get("authorization", "")
    return refuse_token("the token has expired").response()


# ---- patience --------------------------------------------------------------------------------------


def _until(context: FaultContext) -> float:
    """The virtual time at which it is over."""
    begun = context.state.first_at if context.state.delivered else context.world.clock.now
    return begun + float(context.fault.params["retry_after"])


def _not_yet(context: FaultContext) -> bool:
    return context.world.clock.now < _until(context)


def _retry_after(context: FaultContext) -> dict[str, str]:
    """The header with the time that remains, in seconds or as an HTTP date."""
    now, until = context.world.clock.now, _until(context)
    if context.pick(2, "form"):
        return {"retry-after": str(max(1, math.ceil(until - now)))}
    epoch = datetime.fromisoformat(context.world.now_iso) - timedelta(seconds=math.floor(now))
    return {"retry-after": format_datetime(epoch + timedelta(seconds=math.ceil(until)), usegmt=True)}


@kind("http", "before", Contract.BACKOFF, targets=routed, persists_while=_not_yet, params={"retry_after": 30})
def rate_limited(context: FaultContext) -> HttpResponse:
    """429 with Retry-After, in seconds or as an HTTP date, until that time has come."""
    detail = f"too many requests; it is now {context.world.now_iso}"
    return _problem(429, "Too Many Requests", detail, _retry_after(context))


@kind("http", "before", Contract.BACKOFF, targets=routed, persists_while=_not_yet, params={"retry_after": 60})
def unavailable(context: FaultContext) -> HttpResponse:
    """503 with Retry-After, in seconds or as an HTTP date, until that time has come."""
    detail = f"down for maintenance; it is now {context.world.now_iso}"
    return _problem(503, "Service Unavailable", detail, _retry_after(context))


# ---- the server's own failures ---------------------------------------------------------------------


@kind(
    "http",
    "before",
    Contract.RETRY,
    targets=routed,
    params={REVISION: 2},
    earlier={1: {"act": lambda context: _problem(500, "Internal Server Error", earlier.SERVER_ERROR)}},
)
def server_error(context: FaultContext) -> HttpResponse:
    """500 before anything was done, which it does not say: lost writes look the same; the same call again works."""
    return _problem(500, "Internal Server Error", "an unexpected error occurred")


@kind("http", "before", Contract.RETRY, targets=routed)
def bad_gateway(context: FaultContext) -> HttpResponse:
    """502 with a proxy's HTML page, before anything was done; the same call again works."""
    page = (
        "<html>\n<head><title>502 Bad Gateway</title></head>\n<body>\n<center><h1>502 Bad Gateway</h1></center>\n"
        "<hr><center>nginx</center>\n</body>\n</html>\n"
    )
    return HttpResponse(502, {"content-type": "text/html"}, page.encode())


def _late(context: FaultContext, detail: str) -> HttpResponse:
    context.world.clock.advance(30.0)
    return _problem(504, "Gateway Timeout", detail)


@kind(
    "http",
    "before",
    Contract.RETRY,
    targets=routed,
    params={REVISION: 2},
    earlier={1: {"act": lambda context: _late(context, earlier.GATEWAY_TIMEOUT)}},
)
def gateway_timeout(context: FaultContext) -> HttpResponse:
    """504: the proxy never reached the service, which it does not say; the same call again works."""
    return _late(context, "the service behind the gateway did not answer within 30 s")


def _still_out(context: FaultContext) -> bool:
    window = context.fault.seconds
    return window is None or context.world.clock.now < window[1]


@kind("http", "before", Contract.REPORT, persists_while=_still_out)
def outage(context: FaultContext) -> HttpResponse:
    """503 without Retry-After at every call from now on, on every route: the API is out of service."""
    return _problem(503, "Service Unavailable", "the API is out of service until further notice")
