"""Values that no goal lists, and that a text gives beside the wanted one: as a choice, as the same, or in the end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from faultgym.envs.identifiers import EMAIL
from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.reading.roles import (
    measure,
)
from faultgym.envs.judging.reading.sightings import Sighting
from faultgym.envs.judging.reading.stance import stance
from faultgym.envs.judging.reading.weighing import (
    Weighing,
    alternative,
    enumerated,
    is_amount,
    is_explained,
    is_source_overruled,
)

_MOVED = re.compile(
    r"\b(?:extended|postponed|moved|changed|corrected|rescheduled|brought forward)(?: \w+)? (?:to|until) $"
)
_VERSION = re.compile(r"\bv?(\d+\.\d+\.\d+)\b")


def beside(weighing: Weighing, held: list[Sighting]) -> Iterator[str]:
    """Values that the goal does not list and that the text gives as a choice beside the wanted one, or as the same."""
    text = weighing.text
    for right in held:
        for mention in text.facts.mentions:
            kind = {"money": "cents", "number": "number", "date": "date"}.get(right.atom.kind)
            if mention.kind != kind or mention.start == right.start:
                continue
            if kind == "cents" and not is_amount(text, mention.start, mention.end):
                continue
            atom = Atom(right.atom.kind, str(mention.value).removesuffix(".00"), right.atom.unit)
            if kind == "cents" and mention.value == Decimal(right.atom.text):
                continue
            seen = Sighting(atom, mention.start, mention.end)
            if kind != "cents" and str(mention.value) == right.atom.text:
                continue
            if _is_rounded(mention.value, right):
                continue
            moved = kind != "cents" and _MOVED.search(text.plain, max(0, mention.start - 32), mention.start) is not None
            listed = moved or (enumerated(text, seen, right) and not is_explained(weighing, seen, [right]))
            money = kind == "cents" and (
                _same_measure(weighing, seen, right)
                or _concludes(weighing, seen, right)
                or _replaces(weighing, seen, right, held)
                or _is_last(weighing, seen, held)
            )
            if alternative(text, seen, right) or listed or money:
                yield atom.text
    for right in held:
        if _VERSION.fullmatch(right.atom.text):
            for match in _VERSION.finditer(text.plain):
                other = Sighting(Atom("text", match[0]), match.start(), match.end())
                if match[1] != right.atom.text.removeprefix("v") and alternative(text, other, right):
                    yield match[0]
    if not held or "@" not in text.plain:
        return
    mails = {m.lower() for m in EMAIL.findall(text.plain)}
    wanted = {h.atom.text.lower() for h in held if "@" in h.atom.text}
    for mail in sorted(mails - wanted):
        place = text.plain.find(mail)
        other = Sighting(Atom("text", mail), place, place + len(mail))
        if any(alternative(text, other, h) for h in held if "@" in h.atom.text):
            yield mail


def _is_rounded(value: object, right: Sighting) -> bool:
    """Whether an amount is the wanted one without its cents."""
    return isinstance(value, Decimal) and abs(value - Decimal(right.atom.text)) < 100 and value % 100 == 0


def _concludes(weighing: Weighing, seen: Sighting, right: Sighting) -> bool:
    """Whether another amount is what a text comes to in the end: `so the figure is ...`, after the wanted one."""
    text = weighing.text
    clause = text.clauses[text.clause_at(seen.start)]
    if clause.lead not in ("so", "therefore", "thus", "hence") or seen.start < right.end or right.start >= clause.start:
        return False
    return weighing.status(seen, True) == "asserted" and not is_explained(weighing, seen, [right])


def _same_measure(weighing: Weighing, seen: Sighting, right: Sighting) -> bool:
    """Whether two amounts are given as the value of the same thing, such as the total, each by itself."""
    text = weighing.text
    number = text.clause_at(seen.start)
    noun = measure(seen, number, text)
    if not noun or f" {noun} " not in weighing.asked.plain or weighing.status(seen, True) != "asserted":
        return False
    return not is_explained(weighing, seen, [right]) and not is_source_overruled(text, number, [right])


def _replaces(weighing: Weighing, seen: Sighting, right: Sighting, held: list[Sighting]) -> bool:
    """Whether a text goes on from the wanted amount to another one: `plus 5.90 EUR, so put 480.85 EUR on it`."""
    text = weighing.text
    if seen.start < right.end or any(h.start > seen.start for h in held if h.atom.kind == "money"):
        return False
    change = abs(Decimal(seen.atom.text) - Decimal(right.atom.text))
    between = (
        m
        for m in text.facts.mentions
        if m.kind == "cents" and m.value == change and right.end <= m.start and m.end <= seen.start
    )
    step = next(between, None)
    if step is None or not _STEP.search(text.plain, right.end, step.start):
        return False
    return weighing.status(seen, True) in ("asserted", "other") and is_amount(text, seen.start, seen.end)


_STEP = re.compile(r"\b(?:plus|with|adding|add|and|less|minus|after|deducting|including|on top)\b")


def _is_last(weighing: Weighing, seen: Sighting, held: list[Sighting]) -> bool:
    """Whether an amount after the wanted one is what is to be charged instead: `but you should charge 156.02 EUR`."""
    text = weighing.text
    if any(h.start > seen.start for h in held if h.atom.kind == "money"):
        return False
    clause = text.clauses[text.clause_at(seen.start)]
    if _INSTEAD.search(text.plain, clause.start, seen.start) is None or not is_amount(text, seen.start, seen.end):
        return False
    number = text.clause_at(seen.start)
    return stance(text, number, seen.start, seen.end, word=False, rival=False) == "asserted"


_INSTEAD = re.compile(
    r"\b(?:brings? (?:it|that|this|the \w+) to|(?:should|must|have to|need to|please|to) (?:charge|bill|invoice|pay)|"
    r"(?:corrected|revised|updated|final) (?:total|amount|sum|price|figure|invoice)(?: is|:| comes to| of)*)"
    r"\W*(?:eur ?|€ ?)?$"
)
