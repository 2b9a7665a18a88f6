"""Reading facts out of an answer, without a model: normalise, then look for atoms.

Numbers, money, dates and case are normalised on both sides. A mention counts as an assertion, even
under a negation: an answer that lists candidates has not chosen one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Literal

AtomKind = Literal["text", "id", "number", "money", "date"]

_MONTHS = "january february march april may june july august september october november december".split()
_MONTH = "|".join(f"{m[:3]}(?:{m[3:]})?" for m in _MONTHS)
_ISO_DATE = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})(?:t[\d:.]+z?)?\b")
_DAY_FIRST = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({_MONTH})\.?,? (\d{{4}})\b")
_MONTH_FIRST = re.compile(rf"\b({_MONTH})\.? (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}})\b")
_IDENTIFIER = re.compile(r"\b[a-z]{2,}-\d+\b")
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?![\w])")
_CENTS = re.compile(r"(?<![\w.])(\d+) ?(?:euro ?cents?|cents?|ct)\b")


@dataclass(frozen=True, slots=True)
class Atom:
    """One fact that an answer may state."""

    kind: AtomKind
    """`money` is in cents; `date` is ISO; `text` and `id` are words."""
    text: str
    """The canonical form: `4150` for 41.50 EUR, `2026-03-02`, `shipped`, `ORD-10422`."""

    def found_in(self, text: str) -> bool:
        """Whether the text states it."""
        facts = read(text)
        if self.kind == "money":
            return Decimal(self.text) in facts.cents
        if self.kind == "number":
            return Decimal(self.text) in facts.numbers
        if self.kind == "date":
            return self.text in facts.dates
        return f" {words(self.text)} " in facts.words


@dataclass(frozen=True, slots=True)
class Facts:
    """What a text states, normalised."""

    words: str
    """Case-folded words, single spaces, one at either end; identifiers as `ord 10422`."""
    numbers: frozenset[Decimal]
    """Numbers that are not part of a date or an identifier."""
    cents: frozenset[Decimal]
    """Amounts of money in cents, whether written as 41.50 or as 4150 cents."""
    dates: frozenset[str]
    """ISO dates."""


def fold(text: str) -> str:
    """Lower case, compatibility forms resolved, markup characters dropped."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return text.replace("\u2212", "-").replace("\u2011", "-").replace("*", "").replace("`", "")


def words(text: str) -> str:
    """The words of a text with single spaces; punctuation separates."""
    return " ".join(re.findall(r"[^\W_]+", fold(text)))


@lru_cache(2048)
def read(text: str) -> Facts:
    """The facts that a text states; texts beyond 20,000 characters are read up to there."""
    plain = fold(text[:20_000])
    dates: set[str] = set()
    rest = plain
    for pattern, order in ((_ISO_DATE, "ymd"), (_DAY_FIRST, "dmy"), (_MONTH_FIRST, "mdy")):
        for match in pattern.finditer(rest):
            dates.update(_date(dict(zip(order, match.groups(), strict=True))))
        rest = pattern.sub(" ; ", rest)
    rest = _IDENTIFIER.sub(" ; ", rest)
    cents = {Decimal(m) for m in _CENTS.findall(rest)}
    whole = [Decimal(n.replace(",", "")) for n in _NUMBER.findall(_CENTS.sub(" ; ", rest))]
    numbers = frozenset(whole) | frozenset(cents)
    return Facts(f" {words(plain)} ", numbers, frozenset(cents | {n * 100 for n in whole}), frozenset(dates))


def _date(parts: dict[str, str]) -> Iterator[str]:
    month = parts["m"]
    number = int(month) if month.isdigit() else 1 + [m[:3] for m in _MONTHS].index(month[:3])
    try:
        yield date(int(parts["y"]), number, int(parts["d"])).isoformat()
    except ValueError:
        return


def asserted(candidates: Iterable[Atom], text: str) -> list[str]:
    """The candidates that the text states."""
    return [a.text for a in candidates if a.found_in(text)]


_ABSENT = (
    "does not exist", "doesn t exist", "do not exist", "don t exist", "not exist", "no such", "not found",
    "could not find", "couldn t find", "cannot find", "can t find", "did not find", "didn t find", "no record",
    "no order", "no customer", "no incident", "no service", "no entry", "no deploy", "no runbook", "no document",
    "is unknown", "not on record", "no result", "there is no", "nothing on",
)  # fmt: skip
_BLOCKED = (
    "unavailable", "not available", "outage", "is down", "are down", "not responding", "not reachable",
    "unreachable", "keeps failing", "keep failing", "is failing", "are failing", "not working", "out of service",
    "not possible right now", "read only", "not permitted", "forbidden", "no access",
)  # fmt: skip
_UNABLE = (
    "could not", "couldn t", "cannot", "can t", "unable", "was not able", "not possible", "not been", "was not",
    "has not", "wasn t", "no way to", "failed to", "did not", "didn t",
)  # fmt: skip


def _has(phrases: tuple[str, ...], text: str) -> bool:
    plain = read(text).words
    return any(f" {p} " in plain for p in phrases)


def claims_absence(text: str) -> bool:
    """Whether the text says that something does not exist."""
    return _has(_ABSENT, text)


def claims_blocked(text: str) -> bool:
    """Whether the text says that something could not be done and that a system is out of order."""
    return _has(_BLOCKED, text) and _has(_UNABLE, text)


def claims_inability(text: str) -> bool:
    """Whether the text says in any way that something could not be done, or apologises."""
    return _has(_UNABLE + _ABSENT + _BLOCKED + ("sorry", "apologise", "apologize", "apologies"), text)
