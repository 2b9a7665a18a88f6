"""Where a text mentions a fact: in any notation, and in the words that the suite's own vocabulary allows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from faultgym.core.bank import banked
from faultgym.envs.judging.answers import LEVEL, Atom, AtomKind, words
from faultgym.envs.judging.mentions import Mention, seconds
from faultgym.envs.judging.reading.clauses import TextReading

_VERSION = re.compile(r"v\d+\.\d+\.\d+")
_NAME = re.compile(r"[A-Z][a-z]+ [A-Z][a-z]+")
_PHRASE = re.compile(r"[a-z]{2,}(?: [a-z]{2,})+")
_SPELLED = {str(n): (word,) for n, word in enumerate("one two three four five".split(), 1)}
"""The grades of a level in words: `severity two`."""
_STEM = 4
"""Letters that the forms of one word share: `expired` and `expiry`, `failure` and `failed`."""
_GAP = r"(?:[\s\"'-]{1,3}\w{1,24}){0,4}?[\s\"'-]{1,3}"


class Sighting(NamedTuple):
    """One mention of a fact."""

    atom: Atom
    start: int
    end: int

    @property
    def word(self) -> bool:
        """Whether it is of words; else of a number, an amount, a date or a time."""
        return self.atom.kind in ("text", "id") and not self.atom.is_time


def sightings(atom: Atom, text: TextReading, *, rival: bool = False) -> Iterator[Sighting]:
    """Where a text mentions a fact, asserted or denied.

    Args:
        atom: The fact.
        text: The text.
        rival: Whether the fact competes with a wanted one: `one`, which is a pronoun too, is then no number.
    """
    if atom.kind in ("text", "id") and not atom.is_time:
        for match in _pattern(atom.kind, atom.text).finditer(text.plain):
            if not _is_code(match[0], atom, text.facts.raw[match.start() : match.end()]):
                yield Sighting(atom, match.start(), match.end())
        return
    for mention in text.facts.mentions:
        if is_mention(atom, mention, rival):
            yield Sighting(atom, mention.start, mention.end)


def _is_code(found: str, atom: Atom, raw: str) -> bool:
    """Whether words that seem to be a phrase are part of a code with underscores that is not the phrase itself."""
    return "_" in raw and raw.replace("_", " ") != atom.text.casefold()


@banked("tasks", 16_384)
def _pattern(kind: AtomKind, fact: str) -> re.Pattern[str]:
    """How the words of a fact may stand in a folded text."""
    plain = words(fact)
    joined = (
        r"[\s.,@_+-]*".join(map(re.escape, plain.split()))
        if "@" in fact
        else r"\W+".join(map(re.escape, plain.split()))
    )
    forms = [joined]
    if _NAME.fullmatch(fact):  # `Simi Faxkun` is also written Faxkun, Simi
        forms.append(r",\s+".join(map(re.escape, reversed(plain.split()))))
    if _VERSION.fullmatch(fact):
        forms.append(re.escape(fact[1:]))
    prefix, _, number = plain.rpartition(" ")
    if kind == "id" and number.isdigit():
        forms = [rf"{re.escape(prefix)}[\s-]?{number}"] + ([number] if len(number) > 4 else [])
    level = LEVEL.fullmatch(plain)
    if level:  # `sev2` is also written SEV-2 and severity 2
        grade = "|".join((level[2], *_SPELLED.get(level[2], ())))
        forms.append(rf"{level[1]}[\s-]?(?:{grade})")
        if level[1] == "sev":
            forms.append(rf"severity(?:[\s-]level| of| is|:)*[\s-](?:{grade})")
    if fact.startswith("is "):  # a state, also in other tenses and under a label
        forms.append(
            rf"(?:is|was|were|be|been|being|remains?|as|stat(?:e|us))(?:\W+(?:now|still|already|set to))*\W+{plain[3:]}"
        )
    elif kind == "text" and fact.islower() and _PHRASE.fullmatch(fact):
        stems = [
            rf"\b{word[:_STEM]}[a-z]*" if len(word) > _STEM else rf"\b{word}(?:ed|s|ing)?" for word in plain.split()
        ]
        forms.append(_GAP.join(stems))
        forms.append(_GAP.join(reversed(stems)))
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(forms)})(?![^\W_])")


@banked("tasks", 16_384)
def number_of(text: str) -> Decimal:
    """The number that the text of a fact stands for, from a cache."""
    return Decimal(text)


def is_mention(atom: Atom, mention: Mention, rival: bool) -> bool:
    """Whether a value in a text is the fact.

    Args:
        atom: A number, an amount, a date or a time of day.
        mention: The value.
        rival: Whether the fact competes with a wanted one.
    """
    kind, value = mention.kind, mention.value
    if atom.kind == "text":
        return kind == "time" and value == atom.text
    if atom.kind == "date":
        return value == atom.text if kind == "date" else kind == "yearless" and value == atom.text[4:]
    if atom.kind == "money":
        return kind == "cents" and value == number_of(atom.text)
    if kind == "spelled":
        return value == number_of(atom.text) and not (rival and value == 1) and not (atom.unit and mention.timed)
    if kind == "duration":
        return bool(atom.unit) and value == seconds(number_of(atom.text), atom.unit)
    return kind == "number" and value == number_of(atom.text) and not (atom.unit and mention.timed)
