"""Faults of cursor pagination. The way past all of them: go on, drop duplicates, compare with `total`.

They hold for one listing as it is asked for: with another `limit` it is read whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
from faultgym.tools.faults.types import Contract, Hit, Site
from faultgym.tools.pages import encode_cursor
from faultgym.tools.service import ServiceError
from faultgym.tools.types import JSON


def _lists(site: Site) -> bool:
    return reads(site) and site.listing


def _page(hit: Hit) -> JSON | None:
    """The page of a reply, or None when the reply is not one."""
    body = json_reply(hit)
    return body if body is not None and isinstance(body.get("items"), list) else None


def _has_next(hit: Hit) -> bool:
    page = _page(hit)
    return page is not None and bool(page["next_cursor"])


def _asked(hit: Hit) -> str:
    """What is asked for; a cursor before the first item is none."""
    first = ("cursor", encode_cursor(""))
    return repr(sorted(item for item in http_request(hit).query.items() if item != first))


def _same_page(hit: Hit) -> bool:
    return bool(hit.state.memory["asked"] == _asked(hit)) and _has_next(hit)


def _of_one_page(act: Callable[[Hit], Any]) -> Callable[[Hit], Any]:
    """Make a kind of it that stays with the very page at which it first fired."""
    return kind(
        "http",
        "after",
        Contract.CONTINUE,
        suits=_lists,
        applies=_has_next,
        lasting=_same_page,
        pinned=True,
    )(act)


def _at(hit: Hit, cursor: str) -> JSON | None:
    """The true page at another cursor of the same listing."""
    request = http_request(hit)
    return read_again(hit, HttpRequest("GET", request.path, {**request.query, "cursor": cursor}, request.headers))


@_of_one_page
def page_loop(hit: Hit) -> HttpResponse:
    """`next_cursor` leads back to the page just shown, for ever; another `limit` gets past."""
    page = _page(hit)
    assert page is not None
    hit.state.memory["asked"] = _asked(hit)
    hit.detail["true"] = page["next_cursor"]
    page["next_cursor"] = http_request(hit).query.get("cursor") or encode_cursor("")
    return with_body(http_reply(hit), page)


@_of_one_page
def lost_page(hit: Hit) -> HttpResponse:
    """`next_cursor` skips a page: in the end fewer items were seen than `total` says."""
    page = _page(hit)
    assert page is not None
    hit.state.memory["asked"] = _asked(hit)
    skipped = _at(hit, page["next_cursor"]) or {"items": [], "next_cursor": None}
    hit.detail["missing"] = [item.get("id") for item in skipped["items"]]
    page["next_cursor"] = skipped["next_cursor"]
    return with_body(http_reply(hit), page)


def _has_two(hit: Hit) -> bool:
    page = _page(hit)
    return page is not None and len(page["items"]) >= 2


@kind("http", "after", Contract.CONTINUE, suits=_lists, applies=_has_two, lasting=_has_two, pinned=True)
def duplicate_rows(hit: Hit) -> HttpResponse:
    """Some items appear twice on a page; `total` is true."""
    page = _page(hit)
    assert page is not None
    items = page["items"]
    again = items[hit.pick(len(items) - 1) :][:2]
    hit.detail["duplicates"] = [item.get("id") for item in again]
    page["items"] = items + again
    return with_body(http_reply(hit), page)


def _one_of_several(hit: Hit) -> bool:
    page = _page(hit)
    if page is None or len(page["items"]) >= page["total"]:
        return False
    return bool(page["items"])


def _before(hit: Hit, page: JSON) -> list[JSON]:
    """The items before this page, as many as one request gives."""
    first = page["items"][0].get("id")
    query = {k: v for k, v in http_request(hit).query.items() if k != "cursor"}
    request = http_request(hit)
    whole = read_again(hit, HttpRequest("GET", request.path, {**query, "limit": "50"}, request.headers))
    items = whole["items"] if whole else []
    ids = [item.get("id") for item in items]
    return items[: ids.index(first)] if first in ids else []


@kind(
    "http",
    "after",
    Contract.CONTINUE,
    suits=_lists,
    applies=_one_of_several,
    lasting=_one_of_several,
    pinned=True,
)
def unstable_order(hit: Hit) -> HttpResponse:
    """Each page is sorted anew: later pages repeat an item and miss one, another at each reading."""
    page = _page(hit)
    assert page is not None
    items, before = page["items"], _before(hit, page)
    turn = hit.state.delivered
    if before:
        at = (hit.pick(len(items)) + turn) % len(items)
        hit.detail["missing"] = [items[at].get("id")]
        items[at] = before[hit.pick(len(before), str(turn))]
        hit.detail["duplicates"] = [items[at].get("id")]
    page["items"] = items[1:] + items[:1]
    return with_body(http_reply(hit), page)


def _cursor(hit: Hit) -> str:
    return http_request(hit).query.get("cursor", "")


def _still_expired(hit: Hit) -> bool:
    """For that cursor, until the listing is begun anew."""
    if not _cursor(hit):
        hit.state.memory["renewed"] = True
    return not hit.state.memory.get("renewed") and _cursor(hit) == hit.state.memory["cursor"]


@kind(
    "http",
    "before",
    Contract.CONTINUE,
    suits=_lists,
    applies=lambda hit: bool(_cursor(hit)),
    lasting=_still_expired,
    pinned=True,
)
def expired_cursor(hit: Hit) -> HttpResponse:
    """400: the cursor has expired; a listing begun anew, from the first page, gives fresh ones."""
    hit.state.memory["cursor"] = _cursor(hit)
    return ServiceError(400, "Bad Request", "the cursor has expired: start again without `cursor`").response()
