"""A text as clauses: stretches that say one thing, each with the word that joins it to the one before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from faultgym.core.bank import banked
from faultgym.envs.judging.answers import StatedFacts, folded_words, read
from faultgym.envs.judging.reading.guesses import guesses_from_the_start, is_guess
from faultgym.envs.judging.reading.names import identifiers

_SHORT = ("i.e", "e.g", "approx", "etc", "vs", "incl", "excl", "no", "nr", "mr", "mrs", "ms", "dr", "st", "a.m", "p.m")
_BEHIND_SHORT = "|".join(rf"(?<=\b{re.escape(short)}[.])" for short in _SHORT)
_ABBREVIATION = re.compile(rf"[.](?:{_BEHIND_SHORT})(?= ?[a-z0-9,])")
"""The last point of an abbreviation, which ends no sentence."""
_CONJUNCTIONS = (
    "but", "however", "although", "even though", "though", "whereas", "while", "because", "since", "so that", "so",
    "therefore", "thus", "hence", "if", "unless", "until", "whether", "when", "as soon as", "which", "who", "whose",
    "and then", "then", "due to", "once", "and", "yet",
)  # fmt: skip
_BREAK = re.compile(
    r"[.]|[!]|[?]|;|:|\n|\(|\[|\)|\]|\u2013|\u2014|-|" + "|".join(sorted(_CONJUNCTIONS, key=len, reverse=True))
)
"""Every alternative begins with a letter of its own, which is what lets the engine skip what is none of them."""
_SUBJECT = re.compile(r" (?:i|we|it|they|its|no|nothing|neither|there|this|that|please|so)\b")
_ONCE = re.compile(r" (?:it|the|they|we|this|that|\w+ (?:is|are|has|have|was))\b| it's")
_LITERAL = re.compile(r" ?(?:true|false|null|none)\b")
_FAR = re.compile(r" (?:far|much)\b")
_DO = re.compile(r"\b(?:do|did|done|doing) $")
_HAS = re.compile(r"(?:\bha[sdv]e?|'s|'ve|'d) $")
"""What stands before `since` where it is an adverb: `has since moved on`."""
_OPENING = re.compile(
    r"\s*(?:if|once(?! more| again)|unless|until|as soon as|although|though|while|because|since|when|after|"
    r"due to)\b"
)
CONDITIONS = frozenset({"if", "unless", "until", "whether", "as soon as", "once"})
"""Words that make what follows a condition and not a statement."""
DEEPEST = 8
"""Parentheses in each other that are told apart."""


class Clause(NamedTuple):
    """One stretch of a text."""

    start: int
    end: int
    text: str
    """The characters from `start` to `end` of the whole text."""
    lead: str = ""
    """The conjunction that begins it; `:` after a label; empty where it stands alone."""
    sentence: int = 0
    """The number of its sentence, from 0."""
    depth: int = 0
    """Parentheses around it."""
    asks: bool = False
    """Whether it is a question."""
    guess: bool = False
    """Whether it is only a guess, by its own words."""
    words: str = "  "
    """Its words with single spaces, one at either end."""
    names: tuple[str, ...] = ()
    """The identifiers in it."""


@dataclass(frozen=True, slots=True)
class TextReading:
    """A text, folded, with its values and its clauses."""

    facts: StatedFacts
    plain: str
    """The folded text with straight apostrophes: as long as `facts.plain`."""
    clauses: tuple[Clause, ...]
    firsts: Mapping[int, int]
    """Number of a sentence -> that of its first clause."""
    stated: tuple[int, ...]
    """The numbers of the clauses that state something: not asked, conditional, guessed, or part of a conditional
    sentence."""

    def clause_at(self, place: int) -> int:
        """The number of the clause that a character belongs to."""
        low, high = 0, len(self.clauses) - 1
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.clauses[middle].start <= place else (low, middle - 1)
        return low

    def sentence_of(self, number: int) -> Iterator[Clause]:
        """The clauses of the sentence that a clause belongs to, in their order."""
        sentence = self.clauses[number].sentence
        first = self.firsts[sentence]
        while first < len(self.clauses) and self.clauses[first].sentence == sentence:
            yield self.clauses[first]
            first += 1

    def behind(self, place: int, number: int) -> str:
        """What follows a place in its clause, and in what goes on with it behind brackets: `PAY-1 (21 May) is kept`."""
        clause = self.clauses[number]
        said = self.plain[place : clause.end]
        for later in self.clauses[number + 1 :]:
            if later.sentence != clause.sentence or later.depth < clause.depth or later.lead:
                break
            if later.depth == clause.depth:
                went_on = self.clauses[number + 1].depth > clause.depth
                return f"{said.rstrip()} {later.text.lstrip()}" if went_on else said
        return said


@banked("texts", 2048)
def reading(text: str) -> TextReading:
    """A text as clauses, from a cache.

    Args:
        text: An answer; as much of it is read as `read` reads.

    Example:
        >>> [(clause.lead, clause.text.strip()) for clause in reading("It is paid, but not shipped yet.").clauses]
        [('', 'it is paid,'), ('but', 'not shipped yet')]
    """
    facts = read(text)
    plain = facts.plain.replace("\u2019", "'").replace("\u201c", '"').replace("\u201d", '"')
    marks = _ABBREVIATION.sub("_", plain)
    clauses = tuple(_split(plain, marks)) or (_read(0, plain, "", 0, 0, False),)
    firsts: dict[int, int] = {}
    for number, clause in enumerate(clauses):
        firsts.setdefault(clause.sentence, number)
    stated = tuple(n for n, c in enumerate(clauses) if _states(c, clauses[firsts[c.sentence] : n]))
    return TextReading(facts, plain, clauses, firsts, stated)


def _states(clause: Clause, before: Sequence[Clause]) -> bool:
    """Whether a clause states something, after those that stand before it in its sentence."""
    if clause.asks or clause.guess or clause.lead in CONDITIONS:
        return False
    if not before:
        return True
    if before[0].guess and guesses_from_the_start(before[0].text):
        return False
    turned = clause.lead in _TURNS or any(c.lead in _TURNS for c in before)
    return turned or before[0].lead not in ("if", "unless", "whether")


_TURNS = ("but", "however")


def _split(plain: str, marks: str) -> Iterator[Clause]:
    start, lead, sentence, depth = 0, "", 0, 0
    for match in _BREAK.finditer(marks):
        sign, at, after = match[0], match.start(), match.end()
        if not _breaks(marks, sign, at, after):
            continue
        yield from _clause(plain, start, at, lead, sentence, depth, sign == "?")
        lead = sign if sign == ":" or sign[0].isalpha() else ""
        if sign in _ENDS:
            sentence += 1
        elif sign in "([":
            depth = min(depth + 1, DEEPEST)
        elif sign in ")]":
            depth = max(depth - 1, 0)
        start = after
    yield from _clause(plain, start, len(plain), lead, sentence, depth, False)


_ENDS = frozenset(".!?;\n")


def _breaks(marks: str, sign: str, at: int, after: int) -> bool:
    """Whether a sign or a word that may divide clauses does so here."""
    before, behind = marks[at - 1 : at], marks[after : after + 1]
    if sign == ":" and _LITERAL.match(marks, after):
        return False
    if sign in ".!:":
        return not behind or not (behind.isalnum() or behind in ".,/-_@")
    if sign == "-":
        return before in ("", " ", "\n") and behind == " "
    if not sign[0].isalpha():
        return True
    if before.isalnum() or behind.isalnum() or behind in ("-", "'") or before == "-":
        return False
    if sign == "and":
        return _SUBJECT.match(marks, after) is not None
    if sign == "yet":
        return marks[at - 2 : at] == ", "
    if sign == "since":
        return _HAS.search(marks, max(0, at - 6), at) is None
    if sign == "once":
        return _ONCE.match(marks, after) is not None
    return sign != "so" or (_FAR.match(marks, after) is None and _DO.search(marks, max(0, at - 6), at) is None)


def _clause(plain: str, start: int, end: int, lead: str, sentence: int, depth: int, asks: bool) -> Iterator[Clause]:
    """The clause, or two where it opens with a subordinate one: `if it is late, call`."""
    text = plain[start:end]
    if not text.strip(" ,|\"'-"):
        return
    opening = _OPENING.match(text)
    comma = text.find(", ", opening.end()) if opening else text.find(", ") if lead in CONDITIONS else -1
    if comma >= 0:
        own = opening[0].strip() if opening else lead
        yield _read(start, text[:comma], own, sentence, depth, asks)
        yield _read(start + comma, text[comma:], "", sentence, depth, asks)
        return
    yield _read(start, text, opening[0].strip() if opening else lead, sentence, depth, asks)


def _read(start: int, text: str, lead: str, sentence: int, depth: int, asks: bool) -> Clause:
    words = folded_words(text)
    guess = is_guess(text, words.split())
    names = tuple(m[0] for m in identifiers(text)) if "-" in text else ()
    return Clause(start, start + len(text), text, lead, sentence, depth, asks, guess, f" {words} ", names)
