"""Faults of cursor pagination. The way past all of them: go on, drop duplicates, compare with `total`.

They hold for one listing as it is asked for: with another `limit` it is read whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from faultgym.core.json import JSON
from faultgym.tools.channels.http.pages import encode_cursor
from faultgym.tools.channels.http.service import ServiceError
from faultgym.tools.exchange import HttpRequest, HttpResponse
from faultgym.tools.faults.payload import (
    http_reply,
    http_request,
    json_reply,
    read_again,
    reads,
    with_body,
)
from faultgym.tools.faults.registry import kind
from faultgym.tools.faults.types import Contract, FaultContext, Site


def _lists(site: Site) -> bool:
    return reads(site) and site.listing


def _page(context: FaultContext) -> JSON | None:
    """The page of a reply, or None when the reply is not one."""
    body = json_reply(context)
    return body if body is not None and isinstance(body.get("items"), list) else None


def _has_next(context: FaultContext) -> bool:
    page = _page(context)
    return page is not None and bool(page["next_cursor"])


def _asked(context: FaultContext) -> str:
    """What is asked for; a cursor before the first item is none."""
    first = ("cursor", encode_cursor(""))
    return repr(sorted(item for item in http_request(context).query.items() if item != first))


def _same_page(context: FaultContext) -> bool:
    return bool(context.state.memory["asked"] == _asked(context)) and _has_next(context)


def _of_one_page(act: Callable[[FaultContext], Any]) -> Callable[[FaultContext], Any]:
    """Make a kind of it that stays with the very page at which it first fired."""
    return kind(
        "http",
        "after",
        Contract.CONTINUE,
        targets=_lists,
        can_fire=_has_next,
        persists_while=_same_page,
        pinned=True,
    )(act)


def _at(context: FaultContext, cursor: str) -> JSON | None:
    """The true page at another cursor of the same listing."""
    request = http_request(context)
    return read_again(
        context, HttpRequest("GET", request.path, query={**request.query, "cursor": cursor}, headers=request.headers)
    )


@_of_one_page
def page_loop(context: FaultContext) -> HttpResponse:
    """`next_cursor` leads back to the page just shown, for ever; another `limit` gets past."""
    page = _page(context)
    assert page is not None
    context.state.memory["asked"] = _asked(context)
    context.detail["true"] = page["next_cursor"]
    page["next_cursor"] = http_request(context).query.get("cursor") or encode_cursor("")
    return with_body(http_reply(context), page)


@_of_one_page
def lost_page(context: FaultContext) -> HttpResponse:
    """`next_cursor` skips a page: in the end fewer items were seen than `total` says."""
    page = _page(context)
    assert page is not None
    context.state.memory["asked"] = _asked(context)
    skipped = _at(context, page["next_cursor"]) or {"items": [], "next_cursor": None}
    context.detail["missing"] = [item.get("id") for item in skipped["items"]]
    page["next_cursor"] = skipped["next_cursor"]
    return with_body(http_reply(context), page)


def _has_two(context: FaultContext) -> bool:
    page = _page(context)
    return page is not None and len(page["items"]) >= 2


@kind("http", "after", Contract.CONTINUE, targets=_lists, can_fire=_has_two, persists_while=_has_two, pinned=True)
def duplicate_rows(context: FaultContext) -> HttpResponse:
    """Some items appear twice on a page; `total` is true."""
    page = _page(context)
    assert page is not None
    items = page["items"]
    again = items[context.pick(len(items) - 1) :][:2]
    context.detail["duplicates"] = [item.get("id") for item in again]
    page["items"] = items + again
    return with_body(http_reply(context), page)


def _one_of_several(context: FaultContext) -> bool:
    page = _page(context)
    if page is None or len(page["items"]) >= page["total"]:
        return False
    return bool(page["items"])


def _before(context: FaultContext, page: JSON) -> list[JSON]:
    """The items before this page, as many as one request gives."""
    first = page["items"][0].get("id")
    query = {k: v for k, v in http_request(context).query.items() if k != "cursor"}
    request = http_request(context)
    whole = read_again(
        context, HttpRequest("GET", request.path, query={**query, "limit": "50"}, headers=request.headers)
    )
    items = whole["items"] if whole else []
    ids = [item.get("id") for item in items]
    return items[: ids.index(first)] if first in ids else []


@kind(
    "http",
    "after",
    Contract.CONTINUE,
    targets=_lists,
    can_fire=_one_of_several,
    persists_while=_one_of_several,
    pinned=True,
)
def unstable_order(context: FaultContext) -> HttpResponse:
    """Each page is sorted anew: later pages repeat an item and miss one, another at each reading."""
    page = _page(context)
    assert page is not None
    items, before = page["items"], _before(context, page)
    turn = context.state.delivered
    if before:
        at = (context.pick(len(items)) + turn) % len(items)
        context.detail["missing"] = [items[at].get("id")]
        items[at] = before[context.pick(len(before), str(turn))]
        context.detail["duplicates"] = [items[at].get("id")]
    page["items"] = items[1:] + items[:1]
    return with_body(http_reply(context), page)


def _cursor(context: FaultContext) -> str:
    return http_request(context).query.get("cursor", "")


def _still_expired(context: FaultContext) -> bool:
    """For that cursor, until the listing is begun anew."""
    if not _cursor(context):
        context.state.memory["renewed"] = True
    return not context.state.memory.get("renewed") and _cursor(context) == context.state.memory["cursor"]


@kind(
    "http",
    "before",
    Contract.CONTINUE,
    targets=_lists,
    can_fire=lambda context: bool(_cursor(context)),
    persists_while=_still_expired,
    pinned=True,
)
def expired_cursor(context: FaultContext) -> HttpResponse:
    """400: the cursor has expired; a listing begun anew, from the first page, gives fresh ones."""
    context.state.memory["cursor"] = _cursor(context)
    return ServiceError(400, "Bad Request", "the cursor has expired: start again without `cursor`").response()
