"""Reading facts out of an answer, without a model: normalise, then look for atoms.

Numbers, money, dates, times and case are normalised on both sides. `found_in` looks for a mention; whether
the text also says so is for `reading` to tell: `not shipped` mentions a status and states none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from faultgym.core.bank import banked
from faultgym.envs.identifiers import EMAIL
from faultgym.envs.judging.mentions import Mention, mentions

AtomKind = Literal["text", "id", "number", "money", "date"]

LONGEST = 20_000
"""Characters of a text that are read."""
_TIME = re.compile(r"\d\d:\d\d")
_GROUPED = re.compile(r"(?<=\d)[\u00a0\u2009\u202f\u2019](?=\d{3}(?!\d))")
"""Signs that only ever group the digits of one number."""


@dataclass(frozen=True, slots=True)
class Atom:
    """One fact that an answer may state."""

    kind: AtomKind
    """`money` is in cents; `date` is ISO; `text` and `id` are words."""
    text: str
    """The canonical form: `4150` for 41.50 EUR, `2026-03-02`, `shipped`, `ORD-10422`, `09:30`."""
    unit: str = ""
    """Of a number that is a duration, such as `months`: 2 years are 24 of them, 24 years are not."""
    field: str = ""
    """The field of a typed answer that holds it, where that does not follow from the order of the facts."""

    def found_in(self, text: str) -> bool:
        """Whether a text mentions the fact, asserted or denied."""
        return self.found_among(read(text))

    def found_among(self, facts: StatedFacts) -> bool:
        """The same of a text whose facts have been read."""
        if self.kind == "money":
            return Decimal(self.text) in facts.cents
        if self.kind == "number":
            return Decimal(self.text) in facts.numbers
        if self.kind == "date":
            return self.text in facts.dates
        if self.is_time:
            return any(m.kind == "time" and m.value == self.text for m in facts.mentions)
        return any(form in facts.words for form in _forms(self))

    @property
    def is_time(self) -> bool:
        """Whether it is a time of day, such as `09:30`."""
        return self.kind == "text" and _TIME.fullmatch(self.text) is not None


@dataclass(frozen=True, slots=True)
class StatedFacts:
    """What a text states, normalised."""

    raw: str
    """The folded text."""
    plain: str
    """The same with spaces for underscores."""
    words: str
    """Case-folded words, single spaces, one at either end; identifiers as `ord 10422`."""
    mentions: tuple[Mention, ...]
    """Dates, times, amounts and numbers with their places in `plain`."""
    numbers: frozenset[Decimal]
    """Numbers that are not part of a date, a time or an identifier; in digits."""
    cents: frozenset[Decimal]
    """Amounts of money in cents, whether written as 41.50 or as 4150 cents."""
    dates: frozenset[str]
    """ISO dates."""


def fold(text: str) -> str:
    """Lower case, compatibility forms resolved, markup and invisible characters dropped.

    Example:
        >>> fold("**Canceled**")
        'cancelled'
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _GROUPED.sub("", text))
        if not text.isascii():
            text = _FOREIGN.sub(_plain, text)
    text = text.casefold().replace("\u2212", "-").replace("\u2011", "-").replace("*", "").replace("`", "")
    return text.replace("canceled", "cancelled")


_FOREIGN = re.compile(r"[^\x00-\x7f]")


def _plain(match: re.Match[str]) -> str:
    """A sign, nothing in place of an invisible one, and a digit of any script as one of ours."""
    sign = match[0]
    if sign.isdecimal():
        return str(unicodedata.decimal(sign))
    return "" if unicodedata.category(sign) == "Cf" else sign


def words(text: str) -> str:
    """The words of a text with single spaces; punctuation separates."""
    return folded_words(fold(text))


def folded_words(plain: str) -> str:
    """The words of a text that is folded already.

    Args:
        plain: As `fold` gives it, or a part of it.
    """
    if plain.isascii():  # several times faster than the pattern
        return b" ".join(plain.encode().translate(_SPACED).split()).decode()
    return " ".join(_WORD.findall(plain))


_WORD = re.compile(r"[^\W_]+")
_SPACED = bytes(code if chr(code).isalnum() else 32 for code in range(128)) + bytes(128)
"""Code of an ASCII character -> the same for letters and digits, a space for all others."""


@banked("texts", 2048)
def read(text: str) -> StatedFacts:
    """The facts that a text states, from a cache.

    Args:
        text: An answer; its first `LONGEST` characters are read.

    Example:
        >>> sorted(read("41.50 EUR on 2 March 2026").dates)
        ['2026-03-02']
    """
    raw = fold(text[:LONGEST])
    plain = raw.replace("_", " ")
    found = tuple(mentions(plain))
    sets: dict[str, set[Decimal | str]] = {"number": set(), "cents": set(), "date": set()}
    for mention in found:
        if mention.kind in sets:
            sets[mention.kind].add(mention.value)
    return StatedFacts(raw, plain, f" {folded_words(plain)} ", found, *map(frozenset, sets.values()))  # type: ignore[arg-type]


def _forms(atom: Atom) -> Iterator[str]:
    """How the words of an atom may stand in a text: an identifier also joined, or by a long number alone."""
    plain = words(atom.text)
    yield f" {plain} "
    prefix, _, number = plain.rpartition(" ")
    if atom.kind == "id" and number.isdigit():
        yield f" {prefix}{number} "
        if len(number) > 4:
            yield f" {number} "
    level = LEVEL.fullmatch(plain)
    if level:  # `sev2` is also written SEV-2 and severity 2
        yield f" {level[1]} {level[2]} "
        if level[1] == "sev":
            yield f" severity {level[2]} "


LEVEL = re.compile(r"([a-z]{3,})(\d)")
_MOST = {"number": 16, "money": 16, "date": 6, "id": 6, "text": 3}
"""Values of one kind that an answer may state beside those that are wanted."""


def crowded(expected: Iterable[Atom], text: str) -> str:
    """The kind of which the text states so many values that it lists candidates; empty when it does not.

    Args:
        expected: The facts that are wanted; only their kinds are counted.
        text: An answer.
    """
    wanted: dict[AtomKind, int] = {}
    for atom in expected:
        wanted[atom.kind] = wanted.get(atom.kind, 0) + 1
    facts = read(text)
    for kind, number in wanted.items():
        most = number + _MOST[kind]
        if _at_most(kind, facts) > most and len(_all_of(kind, facts)) > most:
            return kind
    return ""


def _at_most(kind: str, facts: StatedFacts) -> int:
    """A quick look: as many values of a kind as a text can have."""
    return len(facts.mentions) if kind in _KINDS else facts.plain.count("-" if kind == "id" else "@")


_KEY = re.compile(r"\b[a-z]{2,}-\d+\b")
_KINDS = {"number": ("number", "spelled"), "money": ("number",), "date": ("date", "yearless")}


def _all_of(kind: str, facts: StatedFacts) -> set[object]:
    """The different values of a kind in a text."""
    if kind in _KINDS:
        return {m.value for m in facts.mentions if m.kind in _KINDS[kind]}
    return set((_KEY if kind == "id" else EMAIL).findall(facts.plain))
