"""Faults of the transport: the response is lost, late or empty."""

from __future__ import annotations

from faultgym.tools.channels.http.service import ServiceError
from faultgym.tools.exchange import HttpResponse
from faultgym.tools.faults.payload import http_reply, reads, routed, writes
from faultgym.tools.faults.registry import kind
from faultgym.tools.faults.types import Contract, FaultContext

TIMEOUT = 30.0
"""Virtual seconds after which a client gives up."""


def _timed_out(context: FaultContext) -> HttpResponse:
    context.world.clock.advance(TIMEOUT)
    return HttpResponse(0, transport=f"timeout: no response within {TIMEOUT:g} s")


def _reset() -> HttpResponse:
    return HttpResponse(0, transport="reset: connection reset by peer")


@kind("http", "before", Contract.RETRY, targets=routed)
def timeout(context: FaultContext) -> HttpResponse:
    """No response within 30 virtual seconds; the request never arrived; the same call again works."""
    return _timed_out(context)


@kind("http", "before", Contract.RETRY, targets=routed)
def reset(context: FaultContext) -> HttpResponse:
    """The connection is reset before the request arrived; the same call again works."""
    return _reset()


@kind(
    "http",
    "after",
    Contract.RECONCILE,
    targets=writes,
    can_fire=lambda context: 200 <= http_reply(context).status < 300,
)
def lost_ack(context: FaultContext) -> HttpResponse:
    """The write is applied and its response lost: a timeout, a reset or a 500 is all that is seen."""
    form = ("timeout", "reset", "500")[context.pick(3)]
    context.detail["shown"] = form
    if form == "timeout":
        return _timed_out(context)
    if form == "reset":
        return _reset()
    return ServiceError(500, "Internal Server Error", "an unexpected error occurred").response()


@kind("http", "after", Contract.CONTINUE, visible=False, targets=routed, params={"seconds": 20})
def slow(context: FaultContext) -> HttpResponse:
    """The true response comes late: only virtual time passes."""
    context.world.clock.advance(float(context.fault.params["seconds"]))
    return http_reply(context)


@kind(
    "http",
    "after",
    Contract.RETRY,
    targets=reads,
    can_fire=lambda context: http_reply(context).status == 200 and bool(http_reply(context).body),
)
def empty_response(context: FaultContext) -> HttpResponse:
    """200 without a body; the same call again works."""
    return HttpResponse(200, {"content-length": "0"})
