"""The search tool: filters, pages, ranking that repeats, and queries of any kind."""

from __future__ import annotations

import random

import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.core.errors import HarnessError
from faultgym.tools.channels.search import SNIPPET, SearchIndex
from faultgym.tools.exchange import Document, SearchRequest

WORDS = "refund policy carrier parcel invoice damage window return credit note label stock".split()


def documents(count: int = 60, seed: int = 7) -> list[Document]:
    draw = random.Random(seed)
    return [
        Document(
            id=f"D{n:03}",
            title=" ".join(draw.choices(WORDS, k=3)),
            kind=draw.choice(["policy", "runbook"]),
            body=" ".join(draw.choices(WORDS, k=80)),
            updated="2025-01-02",
            attributes={"team": draw.choice(["north", "south"])},
        )
        for n in range(count)
    ]


INDEX = SearchIndex(documents())


def ids(index: SearchIndex, query: str, **rest: object) -> list[str]:
    reply = index.search(SearchRequest(query, **rest))  # type: ignore[arg-type]
    assert not reply.error
    return [hit.id for hit in reply.hits]


def test_words_are_found_in_any_form_and_case() -> None:
    index = SearchIndex(
        [
            Document(
                "A", title="Returns", kind="policy", body="Parcels are refunded within 14 days.", updated="2025-01-01"
            ),
            Document("B", title="Hours", kind="policy", body="Open from nine to five in Zürich.", updated="2025-01-01"),
        ]
    )
    assert ids(index, "How do I get a REFUND for a parcel?") == ["A"]
    assert ids(index, "zurich opening") == ["B"]


def test_the_title_weighs_more_than_the_body() -> None:
    body = "carrier parcel invoice label"
    index = SearchIndex(
        [
            Document("A", title="stock notes", kind="policy", body=f"{body} refund", updated="2025-01-01"),
            Document("B", title="refund notes", kind="policy", body=f"{body} stock", updated="2025-01-01"),
        ]
    )
    assert ids(index, "refund") == ["B", "A"]


def test_equal_documents_come_in_the_order_of_their_ids() -> None:
    index = SearchIndex(
        [Document(i, title="refund", kind="policy", body="refund", updated="2025-01-01") for i in "CADB"]
    )
    assert ids(index, "refund") == ["A", "B", "C", "D"]


@pytest.mark.parametrize(
    "filters", [{"kind": "policy"}, {"team": "south"}, {"kind": "runbook", "team": "north"}, {"kind": "nope"}]
)
def test_filters_keep_exactly_the_matching_hits_and_their_scores(filters: dict[str, str]) -> None:
    everything = INDEX.search(SearchRequest("refund label", size=20))
    scores = {h.id: h.score for page in range(1, everything.pages + 1) for h in hits("refund label", page)}
    expected = {
        i
        for i in scores
        if all({"kind": INDEX.documents[i].kind, **INDEX.documents[i].attributes}[k] == v for k, v in filters.items())
    }
    kept = [h for page in range(1, 5) for h in hits("refund label", page, filters)]
    assert {h.id for h in kept} == expected
    assert all(h.score == scores[h.id] for h in kept)


def hits(query: str, page: int, filters: dict[str, str] | None = None) -> list[object]:
    return list(INDEX.search(SearchRequest(query, filters or {}, page, 20)).hits)


def test_an_unknown_filter_names_the_known_ones() -> None:
    assert "kind, team" in INDEX.search(SearchRequest("refund", {"tema": "north"})).error


@pytest.mark.parametrize("size", [1, 3, 7, 20])
def test_pages_cover_every_hit_once_and_in_order(size: int) -> None:
    first = INDEX.search(SearchRequest("refund credit", size=size))
    paged = [i for page in range(1, first.pages + 1) for i in ids(INDEX, "refund credit", page=page, size=size)]
    assert len(paged) == len(set(paged)) == first.total > 20
    scores = [INDEX.search(SearchRequest("refund credit", page=p, size=size)).hits for p in (1, 2)]
    assert [h.score for h in scores[0]] >= [h.score for h in scores[1]][: len(scores[0])]
    assert paged == [i for page in range(1, 5) for i in ids(INDEX, "refund credit", page=page, size=20)]


def test_a_page_beyond_the_end_is_empty_and_knows_the_total() -> None:
    reply = INDEX.search(SearchRequest("refund", page=10**12))
    assert (list(reply.hits), reply.error) == ([], "")
    assert reply.total == INDEX.search(SearchRequest("refund")).total


@pytest.mark.parametrize(("page", "size"), [(0, 5), (-1, 5), (1, 0), (1, 21)])
def test_a_page_that_cannot_be_is_an_error(page: int, size: int) -> None:
    assert "page must be" in INDEX.search(SearchRequest("refund", page=page, size=size)).error


@pytest.mark.parametrize("query", ["", "   ", "?!", "the of and", "😀"])
def test_a_query_without_words_is_an_error(query: str) -> None:
    assert "no word" in INDEX.search(SearchRequest(query)).error


@settings(deadline=None, max_examples=15)
@given(st.permutations(documents(20)), st.lists(st.sampled_from(WORDS), min_size=1, max_size=5))
def test_the_order_in_which_documents_come_changes_nothing(shuffled: list[Document], words: list[str]) -> None:
    request = SearchRequest(" ".join(words), size=20)
    assert SearchIndex(shuffled).search(request) == SearchIndex(documents(20)).search(request)


@settings(deadline=None, max_examples=examples(200))
@given(
    st.one_of(
        st.text(st.characters()),
        st.lists(
            st.sampled_from(
                ["refund", "AND", "OR", "NOT", "(", ")", '"', "title:", "+", "-", "*", "~2", "^9", "\ud800"]
            )
        ).map(" ".join),
    ),
    st.dictionaries(st.sampled_from(["kind", "team"]), st.text(st.characters())),
)
def test_no_query_raises(query: str, filters: dict[str, str]) -> None:
    reply = INDEX.search(SearchRequest(query, filters))
    assert bool(reply.error) <= (not reply.hits)


def test_operators_and_quotes_in_a_query_mean_nothing() -> None:
    plain = INDEX.search(SearchRequest("refund label"))
    assert INDEX.search(SearchRequest('NOT "refund" AND (+label -')) == plain


def test_a_very_long_query_counts_its_first_words_only() -> None:
    long = " ".join(f"nothing{n}" for n in range(64)) + " refund " * 10_000
    assert INDEX.search(SearchRequest(long)).total == 0
    assert INDEX.search(SearchRequest("refund " * 20_000)).hits == INDEX.search(SearchRequest("refund")).hits


def test_a_snippet_is_plain_text_around_the_match_cut_between_words() -> None:
    body = "filler words; " * 40 + "a refund <b>Zürich</b> is paid within days. " + "more filler " * 40
    index = SearchIndex([Document("A", title="x", kind="policy", body=body, updated="2025-01-01")])
    snippet = index.search(SearchRequest("refunds")).hits[0].snippet
    assert "a refund <b>Zürich</b> is paid" in snippet
    assert snippet[0] == snippet[-1] == "…"
    assert len(snippet) <= SNIPPET + 2
    assert f" {snippet.strip('…')} " in body


def test_the_snippet_of_a_match_in_the_title_is_the_beginning_of_the_body() -> None:
    index = SearchIndex([Document("A", title="refund", kind="policy", body="word " * 100, updated="2025-01-01")])
    assert index.search(SearchRequest("refund")).hits[0].snippet.startswith("word word")


def test_an_index_without_documents_finds_nothing() -> None:
    reply = SearchIndex([]).search(SearchRequest("refund"))
    assert (list(reply.hits), reply.total, reply.error) == ([], 0, "")


def test_two_documents_with_one_id_are_our_mistake() -> None:
    with pytest.raises(HarnessError):
        SearchIndex([*documents(2), *documents(1)])
