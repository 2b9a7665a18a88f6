"""Faults by HTTP status: the service answers, and refuses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

from faultgym.tools.exchange import HttpResponse
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
from faultgym.tools.faults.types import Contract, Hit, Site
from faultgym.tools.service import ServiceError
from faultgym.tools.service import unauthorized as refuse_token


def _problem(
    status: int, title: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any
) -> HttpResponse:
    return ServiceError(status, title, detail, headers=headers, **more).response()


# ---- it lives elsewhere -------------------------------------------------------------------------


def _has_successor(site: Site) -> bool:
    return bool(site.successor) and not site.write


def _newer(hit: Hit) -> str:
    """The path of the same thing under the newer version."""
    request = http_request(hit)
    path = request.path.replace("/v1/", "/v2/", 1)
    return f"{path}?{urlencode(request.query)}" if request.query else path


@kind("http", "before", Contract.REROUTE, suits=_has_successor, lasting=always, pinned=True)
def not_found_moved(hit: Hit) -> HttpResponse:
    """404: the resource lives under the newer version of the path, which the text names."""
    path = http_request(hit).path
    return _problem(404, "Not Found", f"{path} is no longer here: it lives under the newer version, /v2")


@kind("http", "before", Contract.REROUTE, suits=_has_successor, lasting=always, pinned=True)
def gone(hit: Hit) -> HttpResponse:
    """410: this version is retired; `Link` with rel="successor-version" names the one to use."""
    link = {"link": f'<{_newer(hit)}>; rel="successor-version"'}
    return _problem(410, "Gone", "this version of the route is retired: use its successor version", link)


@kind("http", "before", Contract.REROUTE, suits=_has_successor, lasting=always, pinned=True)
def redirect(hit: Hit) -> HttpResponse:
    """301, 307 or 308 with the newer version's path in `Location`; nothing follows it by itself."""
    status = (301, 307, 308)[hit.pick(3)]
    titles = {301: "Moved Permanently", 307: "Temporary Redirect", 308: "Permanent Redirect"}
    return _problem(status, titles[status], "follow Location", {"location": _newer(hit)})


@kind("http", "before", Contract.REROUTE, suits=reads, lasting=always, pinned=True)
def forbidden(hit: Hit) -> HttpResponse:
    """403: the token lacks a scope on this one route; a new token lacks it too."""
    scope = f"{hit.site.tables[0]}:read"
    return _problem(403, "Forbidden", f"the token lacks the scope `{scope}` that {hit.site.route} needs")


# ---- the request is to be changed ----------------------------------------------------------------


def _prefixed(hit: Hit) -> bool:
    return next(identifiers(arguments(hit)), None) is not None


@kind("http", "before", Contract.REPAIR, suits=routed, applies=_prefixed, lasting=_prefixed, pinned=True)
def bad_request(hit: Hit) -> HttpResponse:
    """400 naming the field: the identifier is to be given without its prefix."""
    name, value = next(identifiers(arguments(hit)))
    digits = value.rpartition("-")[2]
    detail = f"`{name}` must be digits only, for instance {digits}"
    errors = [{"field": name, "detail": "must be digits only"}]
    return _problem(400, "Bad Request", detail, errors=errors)


def _without_note(hit: Hit) -> bool:
    note = request_body(http_request(hit)).get("note")
    return not (isinstance(note, str) and note.strip())


@kind("http", "before", Contract.REPAIR, suits=writes, applies=_without_note, lasting=_without_note, pinned=True)
def unprocessable(hit: Hit) -> HttpResponse:
    """422 problem+json with `errors`: a note is required."""
    errors = [{"field": "note", "detail": "is required"}]
    return _problem(422, "Unprocessable Content", "`note` is required", errors=errors)


def _row(hit: Hit) -> tuple[str, str, int] | None:
    """(table, id, version) of the row that the request is about, or None when there is none."""
    if hit.site.versioned is None:
        return None
    table, name = hit.site.versioned
    key = str(arguments(hit).get(name, ""))
    row = hit.world.db.execute(
        f"SELECT id, version FROM {table} WHERE id = ? OR id LIKE '%-' || ?", (key, key)
    ).fetchone()
    return None if row is None else (table, row[0], row[1])


def _if_match(hit: Hit) -> list[str]:
    return [tag.strip() for tag in http_request(hit).headers.get("if-match", "").split(",")]


def _outdated(hit: Hit) -> bool:
    row = _row(hit)
    return row is not None and row[1] == hit.state.memory["row"] and f'"{row[2]}"' not in _if_match(hit)


@kind(
    "http",
    "before",
    Contract.REPAIR,
    suits=lambda site: site.write and site.versioned is not None,
    applies=lambda hit: _row(hit) is not None,
    lasting=_outdated,
    pinned=True,
)
def conflict(hit: Hit) -> HttpResponse:
    """409 or 412: the row has really changed; it must be read again and its ETag sent in If-Match."""
    row = _row(hit)
    assert row is not None
    table, key, _ = row
    if not hit.state.delivered:
        hit.state.memory["row"] = key
        hit.world.writable().execute(f"UPDATE {table} SET version = version + 1 WHERE id = ?", (key,))
    detail = f"{key} was changed since you read it: read it again and send its ETag in If-Match"
    if "if-match" in http_request(hit).headers:
        return _problem(412, "Precondition Failed", detail)
    return _problem(409, "Conflict", detail)


# ---- the token ------------------------------------------------------------------------------------


def _same_token(hit: Hit) -> bool:
    sent = http_request(hit).headers.get("authorization", "")
    return bool(sent == hit.state.memory["authorization"])


@kind(
    "http",
    "before",
    Contract.REAUTH,
    suits=lambda site: site.route not in ("", "issue_token"),
    lasting=_same_token,
)
def unauthorized(hit: Hit) -> HttpResponse:
    """401: the token has expired; every route refuses it until a new one is sent."""
    hit.state.memory["authorization"] = http_request(hit).headers.get("authorization", "")
    return refuse_token("the token has expired").response()


# ---- patience --------------------------------------------------------------------------------------


def _until(hit: Hit) -> float:
    """The virtual time at which it is over."""
    begun = hit.state.first_at if hit.state.delivered else hit.world.clock.now
    return begun + float(hit.fault.params["retry_after"])


def _not_yet(hit: Hit) -> bool:
    return hit.world.clock.now < _until(hit)


def _retry_after(hit: Hit) -> dict[str, str]:
    """The header with the time that remains, in seconds or as an HTTP date."""
    now, until = hit.world.clock.now, _until(hit)
    if hit.pick(2, "form"):
        return {"retry-after": str(max(1, math.ceil(until - now)))}
    epoch = datetime.fromisoformat(hit.world.now_iso) - timedelta(seconds=math.floor(now))
    return {"retry-after": format_datetime(epoch + timedelta(seconds=math.ceil(until)), usegmt=True)}


@kind("http", "before", Contract.BACKOFF, suits=routed, lasting=_not_yet, params={"retry_after": 30})
def rate_limited(hit: Hit) -> HttpResponse:
    """429 with Retry-After, in seconds or as an HTTP date, until that time has come."""
    detail = f"too many requests; it is now {hit.world.now_iso}"
    return _problem(429, "Too Many Requests", detail, _retry_after(hit))


@kind("http", "before", Contract.BACKOFF, suits=routed, lasting=_not_yet, params={"retry_after": 60})
def unavailable(hit: Hit) -> HttpResponse:
    """503 with Retry-After, in seconds or as an HTTP date, until that time has come."""
    detail = f"down for maintenance; it is now {hit.world.now_iso}"
    return _problem(503, "Service Unavailable", detail, _retry_after(hit))


# ---- the server's own failures ---------------------------------------------------------------------


@kind("http", "before", Contract.RETRY, suits=routed)
def server_error(hit: Hit) -> HttpResponse:
    """500 before anything was done; the same call again works."""
    return _problem(500, "Internal Server Error", "an unexpected error occurred; nothing was done")


@kind("http", "before", Contract.RETRY, suits=routed)
def bad_gateway(hit: Hit) -> HttpResponse:
    """502 with a proxy's HTML page, before anything was done; the same call again works."""
    page = (
        "<html>\n<head><title>502 Bad Gateway</title></head>\n<body>\n<center><h1>502 Bad Gateway</h1></center>\n"
        "<hr><center>nginx</center>\n</body>\n</html>\n"
    )
    return HttpResponse(502, {"content-type": "text/html"}, page.encode())


@kind("http", "before", Contract.RETRY, suits=routed)
def gateway_timeout(hit: Hit) -> HttpResponse:
    """504: the proxy never reached the service; the same call again works."""
    hit.world.clock.advance(30.0)
    return _problem(504, "Gateway Timeout", "the service behind the gateway was not reached within 30 s")


def _still_out(hit: Hit) -> bool:
    window = hit.fault.seconds
    return window is None or hit.world.clock.now < window[1]


@kind("http", "before", Contract.REPORT, lasting=_still_out)
def outage(hit: Hit) -> HttpResponse:
    """503 without Retry-After at every call from now on, on every route: the API is out of service."""
    return _problem(503, "Service Unavailable", "the API is out of service until further notice")
