"""Faults of the search tool: fewer, other, older or too many hits."""

from __future__ import annotations

import re
from dataclasses import replace

from faultgym.tools.exchange import SearchHit, SearchReply, SearchRequest
from faultgym.tools.faults.registry import kind
from faultgym.tools.faults.types import Contract, FaultContext

_NUMBER = re.compile(r"(?<![\w-])\d{1,4}(?![\w-])")
_CUT = 20
"""Characters that are left of a snippet."""


def _request(context: FaultContext) -> SearchRequest:
    assert isinstance(context.request, SearchRequest)
    return context.request


def _reply(context: FaultContext) -> SearchReply:
    assert isinstance(context.reply, SearchReply)
    return context.reply


def _found(context: FaultContext) -> bool:
    return bool(_reply(context).hits)


def _bag(context: FaultContext) -> str:
    """The query's words, whatever their order and case."""
    return " ".join(sorted(re.findall(r"\w+", _request(context).query.lower())))


@kind("search", "before", Contract.REPAIR, persists_while=lambda context: context.state.memory["bag"] == _bag(context))
def no_hits(context: FaultContext) -> SearchReply:
    """Nothing is found for these words; another wording finds it."""
    context.state.memory.setdefault("bag", _bag(context))
    return SearchReply(page=_request(context).page)


def _fewer(context: FaultContext) -> SearchReply:
    """The reply without the best half of its hits."""
    reply = _reply(context)
    lost = (len(reply.hits) + 1) // 2
    context.detail["missing"] = [h.id for h in reply.hits[:lost]]
    return replace(reply, hits=tuple(reply.hits[lost:]), total=reply.total - lost)


@kind("search", "after", Contract.RETRY, can_fire=_found)
def partial_shards(context: FaultContext) -> SearchReply:
    """Two shards failed, which the reply says: the best hits are missing; the same search again works."""
    return replace(_fewer(context), shards_failed=2)


@kind("search", "after", Contract.RETRY, can_fire=_found)
def search_timeout(context: FaultContext) -> SearchReply:
    """The search was stopped, which the reply says: the best hits are missing; again works."""
    context.world.clock.advance(10.0)
    return replace(_fewer(context), timed_out=True)


def _deleted(context: FaultContext) -> SearchHit:
    """A document that is no longer there, much like the best hit."""
    best, known = _reply(context).hits[0], context.world.index.documents
    prefix = best.id.rpartition("-")[0]
    number = 90_000 + context.pick(9_000)
    while f"{prefix}-{number}" in known:
        number += 1
    return replace(best, id=f"{prefix}-{number}", updated=_year_before(best.updated))


def _year_before(date: str) -> str:
    return f"{int(date[:4]) - 1}{date[4:]}" if date[:4].isdigit() else date


def _older(found: SearchHit) -> SearchHit:
    snippet = _NUMBER.sub(lambda m: str(int(m[0]) + max(1, int(m[0]) // 3)), found.snippet)
    return replace(found, snippet=snippet, updated=_year_before(found.updated))


@kind("search", "after", Contract.VERIFY, visible=False, can_fire=_found, persists_while=_found)
def stale_index(context: FaultContext) -> SearchReply:
    """Snippets are of older revisions, or a deleted document comes first; the document itself is true."""
    reply = _reply(context)
    if context.pick(2) or not _NUMBER.search(reply.hits[0].snippet):
        deleted = _deleted(context)
        context.detail["deleted"] = deleted.id
        return replace(reply, hits=(deleted, *reply.hits), total=reply.total + 1)
    shown = tuple(_older(h) for h in reply.hits)
    context.detail["changes"] = [
        {"record": h.id, "field": "snippet", "true": h.snippet, "shown": s.snippet}
        for h, s in zip(reply.hits, shown, strict=True)
        if h.snippet != s.snippet
    ]
    return replace(reply, hits=shown)


@kind("search", "after", Contract.CONTINUE, can_fire=_found, persists_while=_found)
def duplicate_hits(context: FaultContext) -> SearchReply:
    """Every hit comes twice."""
    return replace(_reply(context), hits=tuple(h for h in _reply(context).hits for _ in range(2)))


def _distractors(context: FaultContext) -> list[SearchHit]:
    """Up to three documents that the search did not find."""
    reply, request = _reply(context), _request(context)
    top = max((h.score for h in reply.hits), default=1.0)
    found = {h.id for h in reply.hits}
    wanted = request.filters.get("kind")
    others = [d for d in context.world.index.documents.values() if d.id not in found and wanted in (None, d.kind)]
    first = context.pick(max(1, len(others)))
    return [
        SearchHit(
            d.id, title=d.title, kind=d.kind, snippet=" ".join(d.body[:160].split()), score=top + 1.0, updated=d.updated
        )
        for d in (others[first:] + others[:first])[:3]
    ]


def _has_distractors(context: FaultContext) -> bool:
    return _found(context) and bool(_distractors(context))


@kind("search", "after", Contract.CONTINUE, can_fire=_has_distractors, persists_while=_has_distractors)
def distractor_hits(context: FaultContext) -> SearchReply:
    """Irrelevant documents stand before the right ones."""
    reply, others = _reply(context), _distractors(context)
    context.detail["added"] = [h.id for h in others]
    return replace(reply, hits=(*others, *reply.hits), total=reply.total + len(others))


@kind("search", "after", Contract.CONTINUE, can_fire=_found, persists_while=_found)
def snippet_cut(context: FaultContext) -> SearchReply:
    """Snippets break off after a few words: the document has to be opened."""
    return replace(
        _reply(context),
        hits=tuple(
            replace(h, snippet=h.snippet[:_CUT] + "…") if len(h.snippet) > _CUT else h for h in _reply(context).hits
        ),
    )
