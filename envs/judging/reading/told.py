"""What the texts of a world say of a value, and whether an answer says the same of it.

A policy gives a number for each tier. An answer that names the wanted one, and then another one under the tier
that it really belongs to, tells more than was asked for and nothing untrue.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from faultgym.core.bank import banked
from faultgym.envs.judging.answers import Atom, fold, folded_words
from faultgym.envs.judging.mentions import mentions
from faultgym.envs.judging.reading.clauses import TextReading
from faultgym.envs.judging.reading.question import Question
from faultgym.envs.judging.reading.sightings import Sighting, number_of
from faultgym.envs.worlds.world import WorldImage

_PARTS = re.compile(r";\s|\.\s|\n|\.$")
_LEVEL = re.compile(r"\b([a-z]{3,}) (\d)\b")
_GRADE = re.compile(r"\b(?:tier|sev|severity|level|priority) \d$")
_AFTER = re.compile(r"[^,;.()\d]{0,16}\b(?:for|in|on|at|under|if)\b[^,;.()\d]{0,32}")
"""What may follow a value and say of what it is: `6 months for luggage`."""
_SMALL = frozenset(
    "the a an of for in on at to from is are was and or it its this that with after before within by be gets get has "
    "have only just until not day days month months minutes seconds eur euros".split()
)
"""Words that tell nothing apart."""
_POINTS = re.compile(r"\b(?:it|its|this|that's|that|so|here|which|your|[a-z]{2,8}-\d+)\b")
"""Words by which a statement is one about the thing in question."""


class Told(NamedTuple):
    """One statement of a document that holds a value."""

    document: int
    words: frozenset[str]
    """The words around the value, in lower case, those of the line's label included."""


@banked("worlds", 64)
def _told(image: WorldImage) -> Mapping[tuple[str, object], Sequence[Told]]:
    """Kind and value -> the statements of the world's documents that hold it."""
    found: dict[tuple[str, object], list[Told]] = {}
    for number, body in enumerate(_bodies(image)):
        for line in body.split("\n"):
            label, colon, rest = fold(line).partition(": ")
            for part in _PARTS.split(rest if colon else label):
                held = mentions(part)
                said = _tokens(f"{label} {part}" if colon else part) if held else frozenset()
                for mention in held:
                    found.setdefault((mention.kind, mention.value), []).append(Told(number, said))
    return found


def _bodies(image: WorldImage) -> list[str]:
    """The texts of several lines that the world holds."""
    bodies: list[str] = []
    for table, columns in sorted(image.domain.readable.items()):
        for column in sorted(columns):
            rows = image.reader.raw.execute(f"SELECT {column} FROM {table} WHERE instr({column}, char(10)) > 0")
            bodies += [row[0] for row in rows if isinstance(row[0], str)]
    return bodies


def _tokens(plain: str) -> frozenset[str]:
    """The words that tell statements apart, `tier 1` in one."""
    levels = {match[1] + match[2] for match in _LEVEL.finditer(plain)}
    return frozenset(word for word in folded_words(plain).split() if not word.isdigit()) - _SMALL | levels


def _statements(atom: Atom, asked: Question) -> Sequence[Told]:
    """What the world's documents say of a value."""
    if asked.image is None:
        return ()
    kind = "cents" if atom.kind == "money" else "time" if atom.is_time else atom.kind
    value = atom.text if kind in ("date", "time") else number_of(atom.text) if kind in ("cents", "number") else None
    return _told(asked.image).get((kind, value), ())


def is_told_so(atom: Atom, word: str, asked: Question) -> bool:
    """Whether a document gives a value with a certain word beside it, such as the year of `700 EUR a year`.

    Args:
        atom: The value.
        word: The word.
        asked: What was asked, and in which world.
    """
    return any(word in told.words for told in _statements(atom, asked))


def is_told_of_another(seen: Sighting, held: Sequence[Sighting], text: TextReading, asked: Question) -> bool:
    """Whether a competing value stands under the words that it has in the document of the wanted one.

    Args:
        seen: The competing mention.
        held: Mentions of what is wanted, asserted.
        text: The text.
        asked: What was asked, and in which world.
    """
    rights = [h for h in held if h.atom.kind == seen.atom.kind]
    right = next((h for h in rights if h.start < seen.start or _is_concluded(h, text)), None)
    if right is None:
        return False
    theirs = _statements(seen.atom, asked)
    if not theirs:
        return False
    beside = _depth(seen, text) > _depth(right, text)
    said, near = _tokens(_stretch(seen, text)), _tokens(_stretch(right, text))
    for own in _statements(right.atom, asked):
        for other in theirs:
            if own.document != other.document:
                continue
            apart, wanted = other.words - own.words, own.words - other.words
            if apart & said and not wanted & said and not apart & near:
                return beside or not wanted & near or _is_tied(right, wanted, text, asked)
    return False


def _is_concluded(right: Sighting, text: TextReading) -> bool:
    """Whether the wanted value is what a text comes to, as a row of a table or a list is not."""
    clause = text.clauses[text.clause_at(right.start)]
    return clause.lead in ("so", "therefore", "thus", "hence") or _CONCLUDES.search(clause.text) is not None


_CONCLUDES = re.compile(r"\b(?:appl(?:y|ies)|holds|it is|it's|that is|that's|that makes|which makes|here)\b")


def _depth(seen: Sighting, text: TextReading) -> int:
    return text.clauses[text.clause_at(seen.start)].depth


def _is_tied(right: Sighting, wanted: frozenset[str], text: TextReading, asked: Question) -> bool:
    """Whether a text says that the words of the wanted value are those of the thing asked for, as no table does."""
    if wanted & _tokens(asked.plain):
        return True
    sentence = list(text.sentence_of(text.clause_at(right.start)))
    if any(_POINTS.search(clause.text) for clause in sentence):
        return True
    return any(clause not in sentence and wanted & _tokens(clause.text) for clause in text.clauses)


def _stretch(seen: Sighting, text: TextReading) -> str:
    """The words that go with a value: back to the one before in its sentence, and behind it what it is for."""
    number = text.clause_at(seen.start)
    start = text.clauses[number].start
    for clause in reversed(text.clauses[text.firsts[text.clauses[number].sentence] : number]):
        if clause.depth != text.clauses[number].depth:
            break
        start = clause.start
    for mention in text.facts.mentions:
        grade = _GRADE.search(text.plain, max(0, mention.end - 16), mention.end)
        if start < mention.end <= seen.start and mention.kind != "spelled" and not grade:
            start = mention.end
    behind = _AFTER.match(text.plain, seen.end, text.clauses[number].end)
    return text.plain[start : seen.start] + " " + (behind[0] if behind else "")
