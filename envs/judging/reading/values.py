"""Which values a text as a whole asserts about what was asked: the wanted ones, and those that compete with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.reading.apart import is_lower_count, is_of_the_rest, is_the_whole, is_threshold
from faultgym.envs.judging.reading.beside import beside
from faultgym.envs.judging.reading.clauses import TextReading
from faultgym.envs.judging.reading.names import identifiers
from faultgym.envs.judging.reading.question import Question
from faultgym.envs.judging.reading.roles import (
    is_a_reply,
    is_kept,
    is_other_count,
    is_other_person,
    noun_behind,
)
from faultgym.envs.judging.reading.sightings import Sighting, number_of, sightings
from faultgym.envs.judging.reading.told import is_told_of_another
from faultgym.envs.judging.reading.weighing import (
    Weighing,
    alternative,
    enumerated,
    is_explained,
    is_given_twice,
    is_source_overruled,
)

_FOCUS = re.compile(
    r"\b(?:most|highest|top|noisiest|largest|cheapest|lowest|later|latest|second|duplicate|chosen|picked|selected|"
    r"refunded|assigned|exchanged|answer)\b"
)
_MARKED = re.compile(r"[\s\"')]*(?:\u2190|<-|<=)")
"""A sign that singles one out of a list."""
_LABEL = re.compile(r"\b(sev ?\d|tier \d|severity \d)\b")


@dataclass(frozen=True, slots=True)
class ValueReading:
    """What a text asserts of the values in question."""

    missing: tuple[str, ...] = ()
    """Wanted facts that it does not assert."""
    rivals: tuple[str, ...] = ()
    """Competing ones that it asserts."""
    doubt: str = ""
    """What cannot be told; empty where nothing is open."""
    why: str = ""
    """How the first missing fact is meant, where it is mentioned."""


def read_values(
    expected: Sequence[Atom], distractors: Sequence[Atom], text: TextReading, asked: Question
) -> ValueReading:
    """What a text asserts of some facts.

    Args:
        expected: The facts that are wanted.
        distractors: Facts that compete with them.
        text: The text.
        asked: What the text is meant to answer.
    """
    if not expected and not distractors:
        return ValueReading()
    weighing = Weighing(text, asked, expected)
    distractors = _in_unit(distractors, expected)
    good: dict[Atom, list[Sighting]] = {}
    missing, why = [], ""
    for atom in expected:
        seen = [(s, weighing.status(s, False)) for s in sightings(atom, text)]
        good[atom] = [s for s, status in seen if status == "asserted" and not _left_out(weighing, s)]
        if not good[atom] or any(status == "denied" for _, status in seen):
            missing.append(atom.text)
            why = why or next((status for _, status in seen if status != "asserted"), "")
    held = [s for each in good.values() for s in each]
    listed = _unranked(weighing, held, distractors)
    if listed:
        return ValueReading(tuple(missing), (listed,), "", why)
    rivals, doubt = _rivals(weighing, held, distractors)
    rivals = rivals or _bare_list(weighing, held, distractors)
    unlisted = "" if missing or rivals else next(beside(weighing, held), "")
    if unlisted:
        rivals = [unlisted]
    return ValueReading(tuple(missing), tuple(rivals), doubt, why)


def _in_unit(distractors: Sequence[Atom], expected: Sequence[Atom]) -> Sequence[Atom]:
    """The distractors, numbers in the unit of the number that is wanted."""
    unit = next((a.unit for a in expected if a.unit), "")
    return [replace(a, unit=unit) if a.kind == "number" else a for a in distractors] if unit else distractors


def _left_out(weighing: Weighing, seen: Sighting) -> bool:
    """Whether an identifier is only said to be left as it was, or to be in another state than the list's."""
    if seen.atom.kind != "id":
        return False
    number = weighing.text.clause_at(seen.start)
    clause = weighing.text.clauses[number].text
    if len(weighing.expected) > 1:
        behind = weighing.text.behind(seen.end, number)
        return _CLOSED.match(behind) is not None
    behind = weighing.text.behind(seen.end, number)
    if _KEEPS.search(weighing.text.plain, max(0, seen.start - 24), seen.start):
        return True
    return _STAYS.match(behind) is not None or (is_kept(number, weighing.text) and _FOCUS.search(clause) is None)


_KEEPS = re.compile(r"\b(?:kept|keep|keeping|left alone|spared)(?: the)?(?: \w+)? $")
_STAYS = re.compile(
    r"[\s\"')]*(?:was|is|has been|were|stays|remains)?(?: \w+)? ?(?:kept|untouched|left (?:alone|as)|not refunded)\b"
)


_CLOSED = re.compile(
    r"[\s\"')]*(?:which |that |\w+ )?(?:has|have|is|was|had|are)(?: (?:already|since|now|been|just))*"
    r" (?:resolved|acknowledged|closed|excluded|removed|fixed|done|cancelled)\b"
)


def _rivals(weighing: Weighing, held: list[Sighting], distractors: Sequence[Atom]) -> tuple[list[str], str]:
    found: list[str] = []
    doubt = ""
    named = frozenset(weighing.asked.params.values())
    for atom in (*distractors, *_other_ids(weighing, distractors)):
        if atom.text in named or not _mentioned_at_all(atom, weighing.text):
            continue
        for seen in sightings(atom, weighing.text, rival=True):
            if any(h.start < seen.end and seen.start < h.end for h in held):
                continue
            weight = _weight(weighing, seen, held)
            if weight == "rival":
                found.append(atom.text)
                break
            doubt = doubt or (atom.text if weight == "doubt" else "")
    return found, doubt


def _bare_list(weighing: Weighing, held: list[Sighting], distractors: Sequence[Atom]) -> list[str]:
    """Rivals in one list with the wanted words that seem to be set aside: `wrong flag` sets nothing aside."""
    text = weighing.text
    for right in (h for h in held if h.word):
        chain, edges = list[str](), [right]
        named = (atom for atom in distractors if _mentioned_at_all(atom, text))
        seen = (s for atom in named for s in sightings(atom, text, rival=True))
        others = [s for s in seen if weighing.status(s, True) == "aside"]
        while len(chain) < LISTED:
            near = next((o for o in others if o not in edges and any(enumerated(text, o, e) for e in edges)), None)
            if near is None:
                break
            edges.append(near)
            chain.append(near.atom.text)
        if len(chain) == LISTED:
            return chain
    return []


LISTED = 3
"""Competing words beside the wanted one, with nothing but commas between them, that make a list of candidates."""


def _mentioned_at_all(atom: Atom, text: TextReading) -> bool:
    """A quick look: whether a word of the fact stands in the text at all."""
    if atom.kind == "id":
        return atom.text.rpartition("-")[2].lower() in text.plain
    if atom.kind == "text":
        return atom.text.removeprefix("is ")[:3].lower() in text.plain
    if atom.kind == "money":
        return number_of(atom.text) in text.facts.cents
    return bool(text.facts.mentions)


def _weight(weighing: Weighing, seen: Sighting, held: list[Sighting]) -> str:
    """`rival`, `doubt`, or nothing: how a competing mention counts."""
    text = weighing.text
    status = weighing.status(seen, True)
    if any(alternative(text, seen, h) for h in held):
        return "rival"
    if status not in ("denied", "aside", "past") and not seen.word and any(enumerated(text, seen, h) for h in held):
        return "rival"
    if status not in ("asserted", "hedged"):
        return ""
    if any(_MARKED.match(text.plain, h.end) for h in held) and not _MARKED.match(text.plain, seen.end):
        return ""
    if is_explained(weighing, seen, held) or is_a_reply(seen, text):
        return ""
    number = text.clause_at(seen.start)
    if is_source_overruled(text, number, held) or is_given_twice(text, number, held):
        return ""
    if not seen.word and is_told_of_another(seen, held, text, weighing.asked):
        return ""
    if seen.atom.kind == "money" and held and is_threshold(seen, number, text, weighing.asked):
        return ""
    if seen.atom.kind == "number":
        apart = any(text.clause_at(h.start) != number for h in held)
        if apart and is_of_the_rest(seen, number, text):
            return ""
        if is_the_whole(seen, held, text, weighing.asked):
            return ""
        right = next((h for h in held if h.atom.kind == "number"), None)
        if is_other_count(seen, right, text) and (right is None or noun_behind(right, text)):
            return ""
    if seen.atom.kind == "id" and is_lower_count(seen, text, held, weighing.asked):
        return ""
    if seen.word and seen.atom.text[:1].isupper() and held:
        return _named(text, number, seen, held, weighing.asked)
    return "rival"


def _named(text: TextReading, number: int, seen: Sighting, held: list[Sighting], asked: Question) -> str:
    """How another person or record counts: in the same breath it is a rival, elsewhere it may have another part."""
    if seen.atom.kind == "id" and (_is_dismissed(text, number) or _CLOSED.match(text.behind(seen.end, number))):
        return ""
    if _ONCE_MORE.search(text.clauses[number].text):
        return "rival"
    own = [text.clause_at(h.start) for h in held if h.atom.kind == seen.atom.kind]
    ranked = any(text.clauses[n].sentence > text.clauses[number].sentence for n in own if _focused(text, [n]))
    if len(text.clauses[number].text.split()) <= 2 and not ranked:
        return "rival"
    if seen.atom.kind == "text" and is_other_person(number, text, asked):
        return ""
    if not own or number in own or abs(text.clauses[number].sentence - text.clauses[own[0]].sentence) == 0:
        clause = text.clauses[number]
        if seen.atom.kind == "id" and (is_kept(number, text) or (number not in own and _focused(text, own))):
            return ""
        return "" if clause.depth and _PART.search(clause.text) else "rival"
    if seen.atom.kind == "id" and (is_kept(number, text) or _focused(text, own)):
        return ""
    if text.plain[seen.start - 4 : seen.start].strip(" ").endswith("or") or len(text.clauses[number].text.split()) <= 4:
        return "rival"
    return "doubt"


def _is_dismissed(text: TextReading, number: int) -> bool:
    """Whether what follows in the sentence says why a record does not count: `but it is acknowledged already`."""
    sentence = text.clauses[number].sentence
    if _OMITTED.search(text.clauses[number].text):
        return True
    if any(c.sentence == sentence and _THOSE_OUT.search(c.text) for c in text.clauses[: number + 1]):
        return True
    return any(
        c.sentence == sentence
        and c.lead in ("but", "though", "although", "because", "since")
        and _WHY_NOT.search(c.text)
        for c in text.clauses[number + 1 : number + 2]
    )


_OMITTED = re.compile(
    r"\b(?:left out|leaving out|excluded|excluding|omitted|skipped)\b.*\b(?:already|acknowledged|resolved|such as)\b"
)
_THOSE_OUT = re.compile(
    r"\b(?:those|these|they|(?:the )?(?:others?|rest))(?: \w+)? (?:are|were|have been|had been|is)(?: \w+)? "
    r"(?:acknowledged|resolved|closed|excluded|left out|out of stock|sold out)\b"
)
_ONCE_MORE = re.compile(r"\b(?:once more|again|as well)\b")
_WHY_NOT = re.compile(
    r"\b(?:already|no longer|excluded|left out|acknowledged|resolved|closed|out of stock|sold out|none left|"
    r"no stock|nothing left|(?:not|n't) (?:in stock|available)|does not count|"
    r"doesn't count|"
    r"another|different|other|older|newer|later)\b"
)
_PART = re.compile(r"\b(?:reports? to|backup|deputy|lead|manager|next|previous|last week|backs|covers)\b")


def _focused(text: TextReading, numbers: Iterable[int]) -> bool:
    return any(
        _FOCUS.search(text.clauses[n].text)
        or (n and text.clauses[n].lead == ":" and _FOCUS.search(text.clauses[n - 1].text))
        for n in numbers
    )


def _unranked(weighing: Weighing, held: list[Sighting], distractors: Sequence[Atom]) -> str:
    """A rival under a label of its own, where the wanted value has only such a label too: a table."""
    text = weighing.text
    for right in held:
        if right.word:
            continue
        label = _label_of(text, right)
        if not label or len([m for m in _LABEL.finditer(text.plain) if m[1] == label]) > 1:
            continue
        clause = text.clauses[text.clause_at(right.start)]
        if any(own in c.text for own in weighing.asked.own for c in text.clauses) or re.search(
            r"\b(?:it|this|a|an) ", clause.text
        ):
            continue
        for seen in (*(s for atom in distractors for s in sightings(atom, text, rival=True)), *_alike(text, right)):
            other = _label_of(text, seen)
            if text.clauses[text.clause_at(seen.start)].depth > clause.depth:
                continue  # in brackets behind the answer
            if other and other != label and weighing.status(seen, True) == "asserted":
                return seen.atom.text
    return ""


def _alike(text: TextReading, right: Sighting) -> Iterator[Sighting]:
    """The other numbers of a text in the unit of the right one."""
    if right.atom.kind == "number" and right.atom.unit:
        for mention in text.facts.mentions:
            if mention.kind == "number" and mention.timed and mention.start != right.start:
                yield Sighting(Atom("number", str(mention.value), right.atom.unit), mention.start, mention.end)


def _label_of(text: TextReading, seen: Sighting) -> str:
    sentence = next(text.sentence_of(text.clause_at(seen.start)))
    found = ""
    for match in _LABEL.finditer(text.plain, sentence.start, seen.start):
        found = match[1]
    return found


def _other_ids(weighing: Weighing, distractors: Sequence[Atom]) -> Iterator[Atom]:
    """Identifiers of the wanted kind that the goal does not list, as rivals."""
    kinds = {a.text.lower().partition("-")[0] for a in weighing.expected if a.kind == "id"}
    if not kinds:
        return
    known = {a.text.lower() for a in (*weighing.expected, *distractors)} | weighing.asked.own
    for key in dict.fromkeys(m[0] for m in identifiers(weighing.text.plain)):
        if key.partition("-")[0] in kinds and key not in known:
            yield Atom("id", key.upper())
