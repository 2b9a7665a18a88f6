"""Faults of the search tool."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from faultgym.tools.channels.search import SearchIndex
from faultgym.tools.exchange import Document

QUERY = "lent thing days"
LASTING = ("stale_index", "duplicate_hits", "distractor_hits", "snippet_cut", "no_hits")


def once(kind: str) -> list[dict[str, Any]]:
    return [{"kind": kind, "trigger": {"nth": 1}}]


def ids(reply: Any) -> list[str]:
    return [hit["id"] for hit in reply["hits"]]


@pytest.mark.parametrize(("kind", "flag"), [("partial_shards", "shards_failed"), ("search_timeout", "timed_out")])
def test_a_partial_answer_says_so_lacks_the_best_and_clears(lab: Any, kind: str, flag: str) -> None:
    at, true = lab(once(kind)), lab().search(QUERY)
    shown = at.search(QUERY)
    assert shown[flag]
    assert ids(true)[0] not in ids(shown)
    assert at.search(QUERY) == true


@pytest.mark.parametrize("kind", LASTING)
def test_the_same_search_again_meets_the_same(lab: Any, kind: str) -> None:
    at = lab(once(kind))
    shown = [at.search(QUERY) for _ in range(3)]
    assert shown[0] == shown[1] == shown[2] != lab().search(QUERY)


def test_no_hits_takes_another_wording_and_no_other_order(lab: Any) -> None:
    at = lab(once("no_hits"))
    assert ids(at.search(QUERY)) == ids(at.search("Days, thing LENT")) == []
    assert ids(at.search("lent things")) == ids(lab().search("lent things"))


@pytest.mark.parametrize("kind", ["stale_index", "duplicate_hits", "distractor_hits", "snippet_cut"])
@pytest.mark.parametrize("seed", range(3))
def test_the_right_documents_are_still_among_the_hits(lab: Any, kind: str, seed: int) -> None:
    assert set(ids(lab(once(kind), seed).search(QUERY))) >= set(ids(lab().search(QUERY)))


def test_a_stale_index_shows_old_numbers_or_a_deleted_document(lab: Any) -> None:
    details = set()
    for seed in range(8):
        at = lab(once("stale_index"), seed)
        best = at.search(QUERY)["hits"][0]
        details.update(at.events[0].detail)
        assert date.fromisoformat(best["updated"]) < date(2026, 1, 5)
        assert best["id"] not in at.world.index.documents or best != lab().search(QUERY)["hits"][0]
    assert details == {"deleted", "changes"}


@pytest.mark.parametrize("seed", range(6))
def test_an_older_revision_has_other_quantities_and_the_same_years_times_and_names(lab: Any, seed: int) -> None:
    at = lab(once("stale_index"), seed)
    body = "Since 2024-02-29, and all of 2025, lent for 14 days until 17:30; see A-12, v2.5 and 1,200 others."
    leap = Document("DOC-9", title="Lent thing days", kind="rule", body=body, updated="2024-02-29")
    at.world.index = SearchIndex([leap])
    best = at.search(QUERY)["hits"][0]
    assert best["snippet"] in (body, body.replace("14", "11"))
    assert (best["id"] == "DOC-9") == ("changes" in at.events[0].detail)
    assert date.fromisoformat(best["updated"]) < date(2024, 2, 29)


def test_distractors_come_first(lab: Any) -> None:
    at = lab(once("distractor_hits"))
    added = ids(at.search(QUERY))
    assert added[: len(at.events[0].detail["added"])] == at.events[0].detail["added"]


def test_cut_snippets_are_short_and_the_rest_is_whole(lab: Any) -> None:
    shown, true = lab(once("snippet_cut")).search(QUERY), lab().search(QUERY)
    assert all(len(hit["snippet"]) <= 21 for hit in shown["hits"])
    assert [hit["title"] for hit in shown["hits"]] == [hit["title"] for hit in true["hits"]]
