"""Which values a text as a whole asserts about what was asked: the wanted ones, and those that compete with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from faultgym.envs.identifiers import EMAIL
from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.reading.clauses import TextReading
from faultgym.envs.judging.reading.question import Question, identifiers
from faultgym.envs.judging.reading.roles import (
    is_a_reply,
    is_in_wrong_unit,
    is_kept,
    is_of_another,
    is_other_amount,
    is_other_count,
    is_other_date,
    is_other_person,
    measure,
    noun_behind,
)
from faultgym.envs.judging.reading.sightings import Sighting, sightings
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
_RESOLVED = re.compile(
    r"\b(?:so i|i (?:used|relied|trusted|went|took|chose|rely|prefer|checked|verified|confirmed)|current(?:ly)?|latest|"
    r"confirm(?:ed|s)|authoritative|correct|actual(?:ly)?|up to date|fresh|really|in fact|true|trustworthy)\b"
)
_FOCUS = re.compile(
    r"\b(?:most|highest|top|noisiest|largest|cheapest|lowest|later|latest|second|duplicate|chosen|picked|selected|"
    r"refunded|assigned|exchanged|answer)\b"
)
_SOURCE = re.compile(r"\b(?:v1|v2|api|database|sql|cache|endpoint|replica|record|search|document|source|snapshot)\b")
_VERSION = re.compile(r"\bv?(\d+\.\d+\.\d+)\b")
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


@dataclass(slots=True)
class _Weighing:
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
        if found in ("denied", "aside", "past"):
            return found
        if is_of_another(seen, number, self.text, self.asked, self.answers | {seen.atom.text.lower()}):
            return "other"
        if seen.atom.kind == "money" and is_other_amount(seen, number, self.text, self.asked):
            return "other"
        if seen.atom.kind == "number" and is_in_wrong_unit(seen, self.text, self.asked):
            return "other"
        if seen.atom.kind == "date" and is_other_date(seen, number, self.text, self.asked) and rival:
            return "other"
        return found


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
    weighing = _Weighing(text, asked, expected)
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
    unlisted = "" if missing or rivals else next(_beside(weighing, held), "")
    if unlisted:
        rivals = [unlisted]
    return ValueReading(tuple(missing), tuple(rivals), doubt, why)


def _in_unit(distractors: Sequence[Atom], expected: Sequence[Atom]) -> Sequence[Atom]:
    """The distractors, numbers in the unit of the number that is wanted."""
    unit = next((a.unit for a in expected if a.unit), "")
    return [replace(a, unit=unit) if a.kind == "number" else a for a in distractors] if unit else distractors


def _left_out(weighing: _Weighing, seen: Sighting) -> bool:
    """Whether an identifier is only said to be left as it was, or to be in another state than the list's."""
    if seen.atom.kind != "id":
        return False
    number = weighing.text.clause_at(seen.start)
    clause = weighing.text.clauses[number].text
    if len(weighing.expected) > 1:
        behind = weighing.text.plain[seen.end : weighing.text.clauses[number].end]
        return _CLOSED.match(behind) is not None
    behind = weighing.text.plain[seen.end : weighing.text.clauses[number].end]
    return _STAYS.match(behind) is not None or (is_kept(number, weighing.text) and _FOCUS.search(clause) is None)


_STAYS = re.compile(
    r"[\s\"')]*(?:was|is|has been|were|stays|remains)?(?: \w+)? ?(?:kept|untouched|left (?:alone|as)|not refunded)\b"
)


_CLOSED = re.compile(
    r"[\s\"')]*(?:which |that |\w+ )?(?:has|have|is|was|had|are)(?: (?:already|since|now|been|just))*"
    r" (?:resolved|acknowledged|closed|excluded|removed|fixed|done|cancelled)\b"
)


def _rivals(weighing: _Weighing, held: list[Sighting], distractors: Sequence[Atom]) -> tuple[list[str], str]:
    found: list[str] = []
    doubt = ""
    for atom in (*distractors, *_other_ids(weighing, distractors)):
        if atom.text in weighing.asked.params.values() or not _mentioned_at_all(atom, weighing.text):
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


def _mentioned_at_all(atom: Atom, text: TextReading) -> bool:
    """A quick look: whether a word of the fact stands in the text at all."""
    if atom.kind == "id":
        return atom.text.rpartition("-")[2].lower() in text.plain
    if atom.kind == "text":
        return atom.text[:3].lower() in text.plain
    return True


def _weight(weighing: _Weighing, seen: Sighting, held: list[Sighting]) -> str:
    """`rival`, `doubt`, or nothing: how a competing mention counts."""
    text = weighing.text
    status = weighing.status(seen, True)
    if any(_alternative(text, seen, h) for h in held):
        return "rival"
    if status not in ("asserted", "hedged"):
        return ""
    if _is_explained(weighing, seen, held) or is_a_reply(seen, text):
        return ""
    if not seen.word and any(_enumerated(text, seen, h) for h in held):
        return "rival"
    number = text.clause_at(seen.start)
    if _is_source_overruled(text, number, held):
        return ""
    if seen.atom.kind == "number":
        right = next((h for h in held if h.atom.kind == "number"), None)
        if is_other_count(seen, right, text) and (right is None or noun_behind(right, text)):
            return ""
    if seen.word and seen.atom.text[:1].isupper() and held:
        return _named(text, number, seen, held, weighing.asked)
    return "rival"


def _named(text: TextReading, number: int, seen: Sighting, held: list[Sighting], asked: Question) -> str:
    """How another person or record counts: in the same breath it is a rival, elsewhere it may have another part."""
    own = [text.clause_at(h.start) for h in held if h.atom.kind == seen.atom.kind]
    ranked = any(text.clauses[n].sentence > text.clauses[number].sentence for n in own if _focused(text, [n]))
    if len(text.clauses[number].text.split()) <= 2 and not (ranked and len(list(text.sentence_of(number))) > 1):
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


_PART = re.compile(r"\b(?:reports? to|backup|deputy|lead|manager|next|previous|last week|backs|covers)\b")


def _focused(text: TextReading, numbers: Iterable[int]) -> bool:
    return any(_FOCUS.search(text.clauses[n].text) for n in numbers)


def _alternative(text: TextReading, one: Sighting, other: Sighting) -> bool:
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


def _enumerated(text: TextReading, one: Sighting, other: Sighting) -> bool:
    """Whether two values stand side by side with nothing but a comma between them."""
    first, second = sorted((one, other), key=lambda s: s.start)
    return second.start - first.end <= 16 and _LIST.fullmatch(text.plain, first.end, second.start) is not None


def _is_explained(weighing: _Weighing, seen: Sighting, held: list[Sighting]) -> bool:
    """Whether the rival is a part that the wanted value is worked out from, or the wanted one rounded."""
    right = next((h for h in held if h.atom.kind == seen.atom.kind), None)
    if right is None or seen.atom.kind not in ("money", "number"):
        return False
    mentions = weighing.text.facts.mentions
    kind = "cents" if seen.atom.kind == "money" else "number"
    amounts = [
        m.value
        for m in mentions
        if m.kind == kind
        and isinstance(m.value, Decimal)
        and m.start != right.start
        and (kind == "number" or _is_amount(weighing.text, m.start, m.end))
    ]
    counts = [m.value for m in mentions if m.kind in ("number", "spelled") and isinstance(m.value, Decimal)]
    if kind == "number" and "+" not in weighing.text.plain and len(amounts) < 2:
        return False
    whole, part = Decimal(right.atom.text), Decimal(seen.atom.text)
    return adds_up(part, whole, amounts, counts if kind == "cents" else ())


def _is_amount(text: TextReading, start: int, end: int) -> bool:
    """Whether a number is written as an amount: with two decimals, or beside its currency."""
    written = text.plain[start:end]
    beside = text.plain[max(0, start - 4) : start] + " " + text.plain[end : end + 5]
    return re.search(r"[.,]\d\d$", written) is not None or "eur" in beside or "€" in beside


def _is_source_overruled(text: TextReading, number: int, held: list[Sighting]) -> bool:
    """Whether a clause only gives what one source says, and the text settles for another."""
    clause = text.clauses[number]
    if not says(clause) or not _SOURCE.search(clause.text):
        return False
    own = [text.clauses[text.clause_at(h.start)] for h in held]
    if clause in own:
        return False
    return any(_RESOLVED.search(c.text) for c in text.clauses) or any(not says(c) for c in own)


def _unranked(weighing: _Weighing, held: list[Sighting], distractors: Sequence[Atom]) -> str:
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
        for atom in distractors:
            for seen in sightings(atom, text, rival=True):
                other = _label_of(text, seen)
                if other and other != label and weighing.status(seen, True) == "asserted":
                    return atom.text
    return ""


def _label_of(text: TextReading, seen: Sighting) -> str:
    sentence = next(text.sentence_of(text.clause_at(seen.start)))
    found = ""
    for match in _LABEL.finditer(text.plain, sentence.start, seen.start):
        found = match[1]
    return found


def _other_ids(weighing: _Weighing, distractors: Sequence[Atom]) -> Iterator[Atom]:
    """Identifiers of the wanted kind that the goal does not list, as rivals."""
    kinds = {a.text.lower().partition("-")[0] for a in weighing.expected if a.kind == "id"}
    if not kinds:
        return
    known = {a.text.lower() for a in (*weighing.expected, *distractors)} | weighing.asked.own
    for key in dict.fromkeys(m[0] for m in identifiers(weighing.text.plain)):
        if key.partition("-")[0] in kinds and key not in known:
            yield Atom("id", key.upper())


def _beside(weighing: _Weighing, held: list[Sighting]) -> Iterator[str]:
    """Values that the goal does not list and that the text gives as a choice beside the wanted one, or as the same."""
    text = weighing.text
    for right in held:
        for mention in text.facts.mentions:
            kind = {"money": "cents", "number": "number", "date": "date"}.get(right.atom.kind)
            if mention.kind != kind or mention.start == right.start:
                continue
            if kind == "cents" and not _is_amount(text, mention.start, mention.end):
                continue
            atom = Atom(right.atom.kind, str(mention.value).removesuffix(".00"), right.atom.unit)
            if kind == "cents" and mention.value == Decimal(right.atom.text):
                continue
            seen = Sighting(atom, mention.start, mention.end)
            if kind == "number" and mention.value == Decimal(right.atom.text):
                continue
            if _is_rounded(mention.value, right):
                continue
            if (
                _alternative(text, seen, right)
                or (_enumerated(text, seen, right) and not _is_explained(weighing, seen, [right]))
                or (kind == "cents" and _same_measure(weighing, seen, right))
            ):
                yield atom.text
    for right in held:
        if _VERSION.fullmatch(right.atom.text):
            for match in _VERSION.finditer(text.plain):
                other = Sighting(Atom("text", match[0]), match.start(), match.end())
                if match[1] != right.atom.text.removeprefix("v") and _alternative(text, other, right):
                    yield match[0]
    if not held:
        return
    mails = {m.lower() for m in EMAIL.findall(text.plain)}
    wanted = {h.atom.text.lower() for h in held if "@" in h.atom.text}
    for mail in sorted(mails - wanted):
        place = text.plain.find(mail)
        other = Sighting(Atom("text", mail), place, place + len(mail))
        if any(_alternative(text, other, h) for h in held if "@" in h.atom.text):
            yield mail


def _is_rounded(value: object, right: Sighting) -> bool:
    """Whether an amount is the wanted one without its cents."""
    return isinstance(value, Decimal) and abs(value - Decimal(right.atom.text)) < 100 and value % 100 == 0


def _same_measure(weighing: _Weighing, seen: Sighting, right: Sighting) -> bool:
    """Whether two amounts are given as the value of the same thing, such as the total, each by itself."""
    text = weighing.text
    number = text.clause_at(seen.start)
    noun = measure(seen, number, text)
    if not noun or f" {noun} " not in weighing.asked.plain or weighing.status(seen, True) != "asserted":
        return False
    return not _is_explained(weighing, seen, [right]) and not _is_source_overruled(text, number, [right])
