"""Faults of the search tool: fewer, other, older or too many hits."""

from __future__ import annotations

import re
from dataclasses import replace

from faultgym.tools.exchange import SearchHit, SearchReply, SearchRequest
from faultgym.tools.faults.registry import kind
from faultgym.tools.faults.types import Contract, Hit

_NUMBER = re.compile(r"(?<![\w-])\d{1,4}(?![\w-])")
_CUT = 20
"""Characters that are left of a snippet."""


def _request(hit: Hit) -> SearchRequest:
    assert isinstance(hit.request, SearchRequest)
    return hit.request


def _reply(hit: Hit) -> SearchReply:
    assert isinstance(hit.reply, SearchReply)
    return hit.reply


def _found(hit: Hit) -> bool:
    return bool(_reply(hit).hits)


def _bag(hit: Hit) -> str:
    """The query's words, whatever their order and case."""
    return " ".join(sorted(re.findall(r"\w+", _request(hit).query.lower())))


@kind("search", "before", Contract.REPAIR, lasting=lambda hit: hit.state.memory["bag"] == _bag(hit))
def no_hits(hit: Hit) -> SearchReply:
    """Nothing is found for these words; another wording finds it."""
    hit.state.memory.setdefault("bag", _bag(hit))
    return SearchReply(page=_request(hit).page)


def _fewer(hit: Hit) -> SearchReply:
    """The reply without the best half of its hits."""
    reply = _reply(hit)
    lost = (len(reply.hits) + 1) // 2
    hit.detail["missing"] = [h.id for h in reply.hits[:lost]]
    return replace(reply, hits=tuple(reply.hits[lost:]), total=reply.total - lost)


@kind("search", "after", Contract.RETRY, applies=_found)
def partial_shards(hit: Hit) -> SearchReply:
    """Two shards failed, which the reply says: the best hits are missing; the same search again works."""
    return replace(_fewer(hit), shards_failed=2)


@kind("search", "after", Contract.RETRY, applies=_found)
def search_timeout(hit: Hit) -> SearchReply:
    """The search was stopped, which the reply says: the best hits are missing; again works."""
    hit.world.clock.advance(10.0)
    return replace(_fewer(hit), timed_out=True)


def _deleted(hit: Hit) -> SearchHit:
    """A document that is no longer there, much like the best hit."""
    best, known = _reply(hit).hits[0], hit.world.index.documents
    prefix = best.id.rpartition("-")[0]
    number = 90_000 + hit.pick(9_000)
    while f"{prefix}-{number}" in known:
        number += 1
    return replace(best, id=f"{prefix}-{number}", updated=_year_before(best.updated))


def _year_before(date: str) -> str:
    return f"{int(date[:4]) - 1}{date[4:]}" if date[:4].isdigit() else date


def _older(found: SearchHit) -> SearchHit:
    snippet = _NUMBER.sub(lambda m: str(int(m[0]) + max(1, int(m[0]) // 3)), found.snippet)
    return replace(found, snippet=snippet, updated=_year_before(found.updated))


@kind("search", "after", Contract.VERIFY, visible=False, applies=_found, lasting=_found)
def stale_index(hit: Hit) -> SearchReply:
    """Snippets are of older revisions, or a deleted document comes first; the document itself is true."""
    reply = _reply(hit)
    if hit.pick(2) or not _NUMBER.search(reply.hits[0].snippet):
        deleted = _deleted(hit)
        hit.detail["deleted"] = deleted.id
        return replace(reply, hits=(deleted, *reply.hits), total=reply.total + 1)
    shown = tuple(_older(h) for h in reply.hits)
    hit.detail["changes"] = [
        {"record": h.id, "field": "snippet", "true": h.snippet, "shown": s.snippet}
        for h, s in zip(reply.hits, shown, strict=True)
        if h.snippet != s.snippet
    ]
    return replace(reply, hits=shown)


@kind("search", "after", Contract.CONTINUE, applies=_found, lasting=_found)
def duplicate_hits(hit: Hit) -> SearchReply:
    """Every hit comes twice."""
    return replace(_reply(hit), hits=tuple(h for h in _reply(hit).hits for _ in range(2)))


def _distractors(hit: Hit) -> list[SearchHit]:
    """Up to three documents that the search did not find."""
    reply, request = _reply(hit), _request(hit)
    top = max((h.score for h in reply.hits), default=1.0)
    found = {h.id for h in reply.hits}
    wanted = request.filters.get("kind")
    others = [d for d in hit.world.index.documents.values() if d.id not in found and wanted in (None, d.kind)]
    first = hit.pick(max(1, len(others)))
    return [
        SearchHit(d.id, d.title, d.kind, " ".join(d.body[:160].split()), top + 1.0, d.updated)
        for d in (others[first:] + others[:first])[:3]
    ]


def _has_distractors(hit: Hit) -> bool:
    return _found(hit) and bool(_distractors(hit))


@kind("search", "after", Contract.CONTINUE, applies=_has_distractors, lasting=_has_distractors)
def distractor_hits(hit: Hit) -> SearchReply:
    """Irrelevant documents stand before the right ones."""
    reply, others = _reply(hit), _distractors(hit)
    hit.detail["added"] = [h.id for h in others]
    return replace(reply, hits=(*others, *reply.hits), total=reply.total + len(others))


@kind("search", "after", Contract.CONTINUE, applies=_found, lasting=_found)
def snippet_cut(hit: Hit) -> SearchReply:
    """Snippets break off after a few words: the document has to be opened."""
    return replace(
        _reply(hit),
        hits=tuple(
            replace(h, snippet=h.snippet[:_CUT] + "…") if len(h.snippet) > _CUT else h for h in _reply(hit).hits
        ),
    )
