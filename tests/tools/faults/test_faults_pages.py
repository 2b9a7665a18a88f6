"""Faults of pagination, as a reader of pages meets them."""

from __future__ import annotations

from typing import Any

import pytest

LIST = "/v1/things"
ALL = {f"THG-{100 + n}" for n in range(25)}
PAGED = ("page_loop", "lost_page", "unstable_order", "expired_cursor", "duplicate_rows")


def once(kind: str, nth: int = 1) -> list[dict[str, Any]]:
    return [{"kind": kind, "trigger": {"nth": nth}}]


def pages(at: Any, most: int = 8, **query: Any) -> list[dict[str, Any]]:
    """The pages as a reader follows them, until the end, an error or the `most`-th."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while len(found) < most:
        found.append(at.body(LIST, **query, **cursor))
        if not found[-1].get("next_cursor"):
            break
        cursor = {"cursor": found[-1]["next_cursor"]}
    return found


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for page in found for item in page.get("items", [])]


@pytest.mark.parametrize("kind", PAGED)
def test_a_naive_reading_goes_wrong(lab: Any, kind: str) -> None:
    assert ids(pages(lab(once(kind)))) != sorted(ALL)


@pytest.mark.parametrize("kind", PAGED)
def test_the_total_stays_true(lab: Any, kind: str) -> None:
    assert {page["total"] for page in pages(lab(once(kind))) if "total" in page} == {25}


@pytest.mark.parametrize("kind", PAGED)
def test_a_listing_with_another_limit_is_whole(lab: Any, kind: str) -> None:
    at = lab(once(kind))
    pages(at)
    assert set(ids(pages(at, limit=50))) == ALL


@pytest.mark.parametrize("nth", [1, 2])
def test_a_loop_leads_back_to_the_page_just_shown_for_ever(lab: Any, nth: int) -> None:
    found = pages(lab(once("page_loop", nth)))
    assert len(found) == 8
    assert len({repr(page["items"]) for page in found}) == nth


def test_a_lost_page_is_between_the_others(lab: Any) -> None:
    at = lab(once("lost_page"))
    found = pages(at)
    assert ids(found) == [f"THG-{100 + n}" for n in (*range(10), *range(20, 25))]
    assert at.events[0].detail["missing"] == [f"THG-{110 + n}" for n in range(10)]


def test_duplicates_dropped_leave_the_whole_list(lab: Any) -> None:
    found = ids(pages(lab(once("duplicate_rows"))))
    assert len(found) > 25
    assert set(found) == ALL


def test_reading_an_unstable_order_again_brings_the_rest(lab: Any) -> None:
    at = lab(once("unstable_order"))
    first = ids(pages(at))
    assert len(first) == 25 > len(set(first))
    assert set(first) | set(ids(pages(at))) == ALL


def test_an_expired_cursor_is_refused_until_the_listing_is_begun_anew(lab: Any) -> None:
    at = lab(once("expired_cursor"))
    cursor = at.body(LIST)["next_cursor"]
    for _ in range(2):
        assert "start again" in at.get(LIST, cursor=cursor)
    assert ids(pages(at)) == sorted(ALL)


def test_a_single_page_is_left_alone(lab: Any) -> None:
    at = lab([{"kind": k, "trigger": {"from": 1}} for k in ("page_loop", "lost_page", "unstable_order")])
    assert at.get(LIST, limit=50) == lab().get(LIST, limit=50)
