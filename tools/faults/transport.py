"""Faults of the transport: the response is lost, late or empty."""

from __future__ import annotations

from faultgym.tools.exchange import HttpResponse
from faultgym.tools.faults.payload import http_reply, reads, routed, writes
from faultgym.tools.faults.registry import kind
from faultgym.tools.faults.types import Contract, Hit
from faultgym.tools.service import ServiceError

TIMEOUT = 30.0
"""Virtual seconds after which a client gives up."""


def _timed_out(hit: Hit) -> HttpResponse:
    hit.world.clock.advance(TIMEOUT)
    return HttpResponse(0, transport=f"timeout: no response within {TIMEOUT:g} s")


def _reset() -> HttpResponse:
    return HttpResponse(0, transport="reset: connection reset by peer")


@kind("http", "before", Contract.RETRY, suits=routed)
def timeout(hit: Hit) -> HttpResponse:
    """No response within 30 virtual seconds; the request never arrived; the same call again works."""
    return _timed_out(hit)


@kind("http", "before", Contract.RETRY, suits=routed)
def reset(hit: Hit) -> HttpResponse:
    """The connection is reset before the request arrived; the same call again works."""
    return _reset()


@kind(
    "http",
    "after",
    Contract.RECONCILE,
    suits=writes,
    applies=lambda hit: 200 <= http_reply(hit).status < 300,
)
def lost_ack(hit: Hit) -> HttpResponse:
    """The write is applied and its response lost: a timeout, a reset or a 500 is all that is seen."""
    form = ("timeout", "reset", "500")[hit.pick(3)]
    hit.detail["shown"] = form
    if form == "timeout":
        return _timed_out(hit)
    if form == "reset":
        return _reset()
    return ServiceError(500, "Internal Server Error", "an unexpected error occurred").response()


@kind("http", "after", Contract.CONTINUE, visible=False, suits=routed, params={"seconds": 20})
def slow(hit: Hit) -> HttpResponse:
    """The true response comes late: only virtual time passes."""
    hit.world.clock.advance(float(hit.fault.params["seconds"]))
    return http_reply(hit)


@kind(
    "http",
    "after",
    Contract.RETRY,
    suits=reads,
    applies=lambda hit: http_reply(hit).status == 200 and bool(http_reply(hit).body),
)
def empty_response(hit: Hit) -> HttpResponse:
    """200 without a body; the same call again works."""
    return HttpResponse(200, {"content-length": "0"})
