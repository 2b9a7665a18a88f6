"""What sets a competing value apart from the wanted one: a lower rank, a limit, or that it counts what was left."""

from __future__ import annotations

import re
from decimal import Decimal

from faultgym.envs.judging.answers import folded_words
from faultgym.envs.judging.reading.clauses import TextReading
from faultgym.envs.judging.reading.question import Question
from faultgym.envs.judging.reading.sightings import Sighting


def is_lower_ranked(seen: Sighting, text: TextReading, asked: Question) -> bool:
    """Whether a record is said to come behind another, where the first of a ranking is asked for."""
    if "top" not in asked.senses.get("rank", ()):
        return False
    before = text.plain[max(0, seen.start - 32) : seen.start]
    return _BEHIND.search(before) is not None or _SECOND.match(text.plain, seen.end) is not None


def is_lower_count(seen: Sighting, text: TextReading, held: list[Sighting], asked: Question) -> bool:
    """Whether a record is given with a smaller number than the one that is first in the ranking that was asked for."""
    if "top" not in asked.senses.get("rank", ()):
        return False
    most = next((Decimal(h.atom.text) for h in held if h.atom.kind == "number"), None)
    key = next((h for h in held if h.atom.kind == "id"), None)
    if most is None or key is None or not key.start < seen.start:
        return False
    own = (m for m in text.facts.mentions if seen.end <= m.start <= seen.end + 16 and m.kind in ("number", "spelled"))
    first = next(own, None)
    return first is not None and isinstance(first.value, Decimal) and first.value < most


_BEHIND = re.compile(
    r"\b(?:followed by|ahead of|second(?: place)?(?: is| was| goes to|,|:)*|runner-up(?: is| was|,|:)*)(?: the)?"
    r"(?: service)? ?\W*$"
)
_SECOND = re.compile(
    r"[\"')*]*,? (?:(?:comes|came|is|was|ranks|ranked|follows|only|the|in|a close) ?)+(?:second|third|runner-up|"
    r"behind)\b"
)


def is_threshold(seen: Sighting, number: int, text: TextReading, asked: Question) -> bool:
    """Whether a competing amount only says where the wanted one holds, or is paid where the limit is asked for."""
    if _LIMIT.search(asked.plain):
        return _PAYS.search(text.clauses[number].text[: seen.start - text.clauses[number].start]) is not None
    before = text.plain[max(0, seen.start - 32) : seen.start]
    return _FROM_WHERE.search(before) is not None or _UPWARDS.match(text.plain, seen.end) is not None


_LIMIT = re.compile(r" (?:limit|threshold|minimum|maximum|from which|at which) ")
_PAYS = re.compile(r"\b(?:pays?|paid|charged?|charges|costs?|fee)\b")
_FROM_WHERE = re.compile(
    r"\b(?:below|under|above|over|from|up to|at least|less than|more than|reach\w*|exceed\w*|limit|threshold|"
    r"orders|baskets|order value)(?: of| is| a| an| the| value| total| worth| comes to|:)*\W*(?:eur ?|€ ?)?$"
)
_UPWARDS = re.compile(r" ?(?:eur|euros?|€)? (?:and (?:above|over|up|more)|or (?:more|above|over)|upwards?|on\b)")


def is_of_the_rest(seen: Sighting, number: int, text: TextReading) -> bool:
    """Whether a number counts what was left as it was, or what does not belong to what was counted."""
    clause = text.clauses[number]
    if _REST_BEFORE.search(text.plain, max(clause.start, seen.start - 12), seen.start):
        return True
    return _REST_AFTER.match(text.plain, seen.end) is not None or _LEFT.search(clause.text) is not None


def is_the_whole(seen: Sighting, held: list[Sighting], text: TextReading, asked: Question) -> bool:
    """Whether the wanted number is given as a part of a competing one: `14 orders, 5 of which are packed`, or another
    is given behind it as that of all there are."""
    clause = text.clauses[text.clause_at(seen.start)]
    if _IN_ALL.search(clause.text) and any(h.start < clause.start for h in held):
        return any(f" {name} " not in clause.words for name in asked.names)
    right = next((h for h in held if seen.end <= h.start <= seen.end + LONGEST_WHOLE), None)
    part = _OF_WHICH.match(text.plain, right.end) if right is not None else None
    return part is not None and any(f" {name} " in f" {folded_words(part[0])} " for name in asked.names)


_IN_ALL = re.compile(r"\b(?:in total|altogether|overall|all told|of (?:all|any) (?:statuses|states|kinds))\b")
LONGEST_WHOLE = 48
"""Characters between a whole and its part."""
_OF_WHICH = re.compile(r"(?: orders?| customers?| incidents?)? of (?:which|them|these|those|whom)\b[^.;()]*")
_REST_BEFORE = re.compile(r"\b(?:other|another|further|remaining|rest:) ?$")
_REST_AFTER = re.compile(r" (?:more|further|others?|additional|remaining)\b")
_LEFT = re.compile(
    r"\b(?:unchanged|untouched|left (?:out|alone|as)|as (?:they|it) (?:are|is|were|was)|do(?:es)? not count|"
    r"(?:were|had been|are) already)\b"
)
