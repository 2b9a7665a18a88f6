"""Faults of the search tool: fewer, other, older or too many hits."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

from faultgym.tools.exchange import SearchHit, SearchReply, SearchRequest
from faultgym.tools.faults.kinds import earlier
from faultgym.tools.faults.registry import kind
from faultgym.tools.faults.types import REVISION, Contract, FaultContext

_QUANTITY = re.compile(r"(?<![\w.:/+-])(?<!\d,)(?!(?:19|20)\d\d\b)\d{1,4}(?![\w:/-]|[.,]\d)")
"""A number that a later revision may change: no year, and no part of a date, a time, a name or a larger number."""
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


def _deleted(context: FaultContext, as_it_was: SearchHit) -> SearchHit:
    """A document that is no longer there, which a newer one of the same title has replaced."""
    known = context.world.index.documents
    prefix = as_it_was.id.rpartition("-")[0]
    number = 90_000 + context.pick(9_000)
    while f"{prefix}-{number}" in known:
        number += 1
    return replace(as_it_was, id=f"{prefix}-{number}")


def _older(context: FaultContext, found: SearchHit) -> SearchHit:
    """The hit as an index has it that holds the revision before: smaller quantities, and the date of that revision."""
    snippet = _QUANTITY.sub(lambda m: str(_smaller(int(m[0]))), found.snippet)
    return replace(found, snippet=snippet, updated=_days_before(found.updated, 30 + context.pick(300, found.id)))


def _smaller(number: int) -> int:
    return number - max(1, number // 4) if number > 1 else number + 1


def _days_before(day: str, days: int) -> str:
    try:
        return (date.fromisoformat(day) - timedelta(days=days)).isoformat()
    except (ValueError, OverflowError):  # of a suite that writes its dates otherwise
        return day


def _as_indexed_in_revision_1(context: FaultContext) -> SearchReply:
    best = _reply(context).hits[0]
    if context.pick(2) or not earlier.has_number(best.snippet):
        gone = replace(best, updated=earlier.year_before(best.updated))
        return _with_deleted(context, gone)
    return _with_older(context, earlier.older_hit)


@kind(
    "search",
    "after",
    Contract.VERIFY,
    visible=False,
    can_fire=_found,
    persists_while=_found,
    params={REVISION: 2},
    earlier={1: {"act": _as_indexed_in_revision_1}},
)
def stale_index(context: FaultContext) -> SearchReply:
    """Snippets and dates are of older revisions, or a deleted document comes first; the document itself is true."""
    best = _reply(context).hits[0]
    if context.pick(2) or not _QUANTITY.search(best.snippet):
        return _with_deleted(context, _older(context, best))
    return _with_older(context, lambda found: _older(context, found))


def _with_deleted(context: FaultContext, as_it_was: SearchHit) -> SearchReply:
    reply, deleted = _reply(context), _deleted(context, as_it_was)
    context.detail["deleted"] = deleted.id
    return replace(reply, hits=(deleted, *reply.hits), total=reply.total + 1)


def _with_older(context: FaultContext, older: Callable[[SearchHit], SearchHit]) -> SearchReply:
    reply = _reply(context)
    shown = tuple(map(older, reply.hits))
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
