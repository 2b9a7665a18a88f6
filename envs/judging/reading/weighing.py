"""One text held against the facts in question: how each mention counts, and how two of them stand together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.reading.apart import is_lower_ranked
from faultgym.envs.judging.reading.clauses import TextReading
from faultgym.envs.judging.reading.question import Question
from faultgym.envs.judging.reading.roles import (
    is_first_day,
    is_in_another_part,
    is_in_wrong_unit,
    is_of_another,
    is_other_amount,
    is_other_date,
    is_term,
)
from faultgym.envs.judging.reading.sightings import Sighting
from faultgym.envs.judging.reading.stance import says, stance
from faultgym.envs.judging.reading.sums import adds_up

_OR = re.compile(
    r"[\s\"')]*(?:eur|euros?|€|minutes|days|months|seconds|customers|errors|orders|sev|status)?[\s\"'(,.\u2013-]*"
    r"(?:\b(?:or|and/or|alternatively|else)\b(?:, [\w ]{1,40},)?|/)"
    r"[\s\"'(]*(?:maybe|possibly|perhaps|even|rather|else|it is|it's|the|a|an|eur|€)?[\s\"'(€]*(?:eur )?"
)
_LIST = re.compile(r"[\s\"')]*(?:eur|euros?|€)?,[\s\"'(€]*(?:and )?(?:or )?(?:eur )?")
_RANGE = re.compile(r" ?(?:eur|euros?|€|minutes|days|months|seconds)? ?(?:-|\u2013|\u2014|to|and) ?(?:eur|€)? ?")
_BETWEEN = re.compile(r"\bbetween\b")
_SENT_TO = re.compile(
    r"\b(?:should|must|can|could|would|to) (?:\w+ )?(?:go|be (?:sent|addressed|directed|reached|"
    r"contacted)) (?:to|at|under) \W*$"
)
_RESOLVED = re.compile(
    r"\b(?:so i|i (?:used|relied|trusted|went|took|chose|rely|prefer|checked|verified|confirmed)|current(?:ly)?|latest|"
    r"confirm(?:ed|s)|authoritative|correct|actual(?:ly)?|up to date|fresh|really|in fact|true|trustworthy)\b"
)
_SOURCE = re.compile(
    r"\b(?:v1|v2|api|database|sql|cache|endpoint|replica|record|search|document|source|snapshot|"
    r"field|counter|header|envelope|metadata|reply|response|summary)\b"
)


@dataclass(slots=True)
class Weighing:
    """One text, weighed against the facts in question."""

    text: TextReading
    asked: Question
    expected: Sequence[Atom]

    def __post_init__(self) -> None:
        self.answers = frozenset(a.text.lower() for a in self.expected if a.kind == "id")

    answers: frozenset[str] = frozenset()

    def status(self, seen: Sighting, rival: bool) -> str:
        """The stance of a mention, `other` where it is of something else than what was asked."""
        number = self.text.clause_at(seen.start)
        found = stance(
            self.text,
            number,
            seen.start,
            seen.end,
            word=seen.word,
            rival=rival,
            dated=seen.atom.kind == "date" or not (seen.word or seen.atom.kind in ("money", "number")),
            key=seen.atom.kind == "id",
        )
        if found == "imagined" and "@" in seen.atom.text and _SENT_TO.search(self.text.plain, 0, seen.start):
            found = "asserted"  # where messages should go is their address
        if found in ("denied", "aside", "past"):
            return found
        if is_of_another(seen, number, self.text, self.asked, self.answers | {seen.atom.text.lower()}):
            return "other"
        if seen.atom.kind == "id" and is_lower_ranked(seen, self.text, self.asked):
            return "other"
        if seen.word and not rival and is_in_another_part(seen, number, self.text, self.asked):
            return "other"
        if seen.atom.kind == "money" and is_term(seen, self.text):
            return "other"
        if seen.atom.kind == "money" and is_other_amount(seen, number, self.text, self.asked):
            return "other"
        if seen.atom.kind == "number" and is_in_wrong_unit(seen, self.text, self.asked):
            return "other"
        if seen.atom.kind == "date" and is_first_day(seen, number, self.text, self.asked):
            return "other"
        if seen.atom.kind == "date" and is_other_date(seen, number, self.text, self.asked) and rival:
            return "other"
        return found


def alternative(text: TextReading, one: Sighting, other: Sighting) -> bool:
    """Whether two mentions are given as a choice or as the ends of a range."""
    first, second = sorted((one, other), key=lambda s: s.start)
    between = text.plain[first.end : second.start]
    if len(between) > 40:
        return False
    if _OR.fullmatch(between):
        return True
    if first.word or first.atom.kind == "date":
        return False
    before = text.plain[max(0, first.start - 24) : first.start]
    return _RANGE.fullmatch(between) is not None and (
        _BETWEEN.search(before) is not None or ("and" not in between and "from" not in before)
    )


def enumerated(text: TextReading, one: Sighting, other: Sighting) -> bool:
    """Whether two values stand side by side with nothing but a comma between them."""
    first, second = sorted((one, other), key=lambda s: s.start)
    return second.start - first.end <= 16 and _LIST.fullmatch(text.plain, first.end, second.start) is not None


def is_explained(weighing: Weighing, seen: Sighting, held: list[Sighting]) -> bool:
    """Whether the rival is a part that the wanted value is worked out from, or the wanted one rounded."""
    right = next((h for h in held if h.atom.kind == seen.atom.kind), None)
    if right is None or seen.atom.kind not in ("money", "number"):
        return False
    if right.atom.unit and is_near(weighing.text, seen, right):
        return True
    mentions = weighing.text.facts.mentions
    kind = "cents" if seen.atom.kind == "money" else "number"
    amounts = [
        m.value
        for m in mentions
        if m.kind == kind
        and isinstance(m.value, Decimal)
        and m.start != right.start
        and (kind == "number" or is_amount(weighing.text, m.start, m.end))
    ]
    counts = [m.value for m in mentions if m.kind in ("number", "spelled") and isinstance(m.value, Decimal)]
    if kind == "number" and "+" not in weighing.text.plain and len(amounts) < 2:
        return False
    whole, part = Decimal(right.atom.text), Decimal(seen.atom.text)
    return adds_up(part, whole, amounts, counts if kind == "cents" else (), less=kind == "cents")


def is_amount(text: TextReading, start: int, end: int) -> bool:
    """Whether a number is written as an amount: with two decimals, or beside its currency."""
    written = text.plain[start:end]
    beside = text.plain[max(0, start - 4) : start] + " " + text.plain[end : end + 5]
    return re.search(r"[.,]\d\d$", written) is not None or "eur" in beside or "€" in beside


def is_source_overruled(text: TextReading, number: int, held: list[Sighting]) -> bool:
    """Whether a clause only gives what one source says, and the text settles for another."""
    clause = text.clauses[number]
    if not says(clause) or not _SOURCE.search(clause.text):
        return False
    own = [text.clauses[text.clause_at(h.start)] for h in held]
    if clause in own:
        return False
    return any(_RESOLVED.search(c.text) for c in text.clauses) or any(not says(c) for c in own)


def is_given_twice(text: TextReading, number: int, held: list[Sighting]) -> bool:
    """Whether a sentence says that a source gave two values for one thing, and another clause settles it."""
    clause = text.clauses[number]
    if not _TWICE.search(clause.text) or not (says(clause) or _SOURCE_GAVE.search(clause.text)):
        return False
    return any(text.clause_at(h.start) != number for h in held)


_TWICE = re.compile(
    r"\bonce (?:as|with)\b.*\bonce (?:as|with)\b|\bboth as\b.*\band as\b|\bin one place\b.*\bin another\b|"
    r"\bthe first time\b.*\bthe second\b"
)
_SOURCE_GAVE = re.compile(r"\b(?:carried|came|was given|was written|were given|twice|written)\b")


def is_near(text: TextReading, seen: Sighting, right: Sighting) -> bool:
    """Whether a number is said to be roughly the right one: `235 s, nearly four minutes`."""
    off = abs(Decimal(seen.atom.text) - Decimal(right.atom.text))
    return off * 10 <= abs(Decimal(right.atom.text)) and _ROUGHLY.search(text.plain, 0, seen.start) is not None


_ROUGHLY = re.compile(r"\b(?:about|around|nearly|almost|roughly|just (?:over|under)|a (?:bit|little) (?:over|under)) $")
