"""Reading facts out of an answer, without a model: normalise, then look for atoms.

Numbers, money, dates, times and case are normalised on both sides. `found_in` looks for a mention;
`stated_in` asks whether the text also says so: `not shipped` mentions a status and states none. An
answer that lists candidates has not chosen one, so each rival that it states counts against it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from faultgym.core.bank import banked
from faultgym.envs.identifiers import EMAIL
from faultgym.envs.judging.mentions import Mention, mentions, seconds

AtomKind = Literal["text", "id", "number", "money", "date"]

LONGEST = 20_000
"""Characters of a text that are read."""
_TIME = re.compile(r"\d\d:\d\d")
_GROUPED = re.compile(r"(?<=\d)[\u00a0\u2009\u202f\u2019](?=\d{3}(?!\d))")
"""Signs that only ever group the digits of one number."""
_BEFORE = 80
"""Characters before a mention that tell how it is meant."""


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
        facts = read(text)
        if self.kind == "money":
            return Decimal(self.text) in facts.cents
        if self.kind == "number":
            return Decimal(self.text) in facts.numbers
        if self.kind == "date":
            return self.text in facts.dates
        return any(True for _ in _places(self, facts))

    def stated_in(self, text: str, *, rival: bool = False) -> bool:
        """Whether a text says that the fact is so, in at least one place.

        Args:
            text: An answer; its first `LONGEST` characters are read.
            rival: Whether the atom is a competing candidate: what is said of the past (`no longer`, `from packed to
                shipped`) then does not count.

        Example:
            >>> shipped = Atom("text", "shipped")
            >>> shipped.stated_in("ORD-10422 has shipped."), shipped.stated_in("ORD-10422 has not shipped.")
            (True, False)
        """
        facts = read(text)
        word = self.kind in ("text", "id")
        for start, end in _places(self, facts, rival=rival):
            source = facts.words if word else facts.plain
            before = source[max(0, start - _BEFORE) : start]
            before = f"{before} " if word else f" {words(before)} "
            if not _denied(self, before, source[end : end + 40] if word else "", rival):
                return True
        return False


@dataclass(frozen=True, slots=True)
class StatedFacts:
    """What a text states, normalised."""

    plain: str
    """The folded text."""
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
        text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    text = text.casefold().replace("\u2212", "-").replace("\u2011", "-").replace("*", "").replace("`", "")
    return text.replace("canceled", "cancelled")


def words(text: str) -> str:
    """The words of a text with single spaces; punctuation separates."""
    return " ".join(re.findall(r"[^\W_]+", fold(text)))


@banked("texts", 2048)
def read(text: str) -> StatedFacts:
    """The facts that a text states, from a cache.

    Args:
        text: An answer; its first `LONGEST` characters are read.

    Example:
        >>> sorted(read("41.50 EUR on 2 March 2026").dates)
        ['2026-03-02']
    """
    plain = fold(text[:LONGEST]).replace("_", " ")
    found = tuple(mentions(plain))
    sets: dict[str, set[Decimal | str]] = {"number": set(), "cents": set(), "date": set()}
    for mention in found:
        if mention.kind in sets:
            sets[mention.kind].add(mention.value)
    return StatedFacts(plain, f" {words(plain)} ", found, *map(frozenset, sets.values()))  # type: ignore[arg-type]


def _places(atom: Atom, facts: StatedFacts, *, rival: bool = False) -> Iterator[tuple[int, int]]:
    """Where a text mentions the atom, as places in its words, or in its folded text for values."""
    if atom.kind in ("text", "id") and not _TIME.fullmatch(atom.text):
        for form in _forms(atom):
            at = facts.words.find(form)
            while at >= 0:
                yield at, at + len(form)
                at = facts.words.find(form, at + 1)
        return
    for mention in facts.mentions:
        if _is(atom, mention, rival):
            yield mention.start, mention.start


def _forms(atom: Atom) -> Iterator[str]:
    """How the words of an atom may stand in a text: an identifier also joined, or by a long number alone."""
    plain = words(atom.text)
    yield f" {plain} "
    prefix, _, number = plain.rpartition(" ")
    if atom.kind == "id" and number.isdigit():
        yield f" {prefix}{number} "
        if len(number) > 4:
            yield f" {number} "
    level = re.fullmatch(r"([a-z]{3,})(\d)", plain)
    if level:  # `sev2` is also written SEV-2 and severity 2
        yield f" {level[1]} {level[2]} "
        if level[1] == "sev":
            yield f" severity {level[2]} "


def _is(atom: Atom, mention: Mention, rival: bool) -> bool:
    kind, value = mention.kind, mention.value
    if atom.kind == "text":
        return kind == "time" and value == atom.text
    if atom.kind == "date":
        return value == atom.text if kind == "date" else kind == "yearless" and value == atom.text[4:]
    if atom.kind == "money":
        return kind == "cents" and value == Decimal(atom.text)
    if kind == "spelled":
        return value == Decimal(atom.text) and not (rival and value == 1)  # `one` is also a pronoun
    if kind == "duration":
        return bool(atom.unit) and value == seconds(Decimal(atom.text), atom.unit)
    return kind == "number" and value == Decimal(atom.text) and not (atom.unit and mention.timed)


_FILLER = (
    r"(?: (?:a|an|the|in|at|of|on|to|as|by|yet|been|be|being|currently|actually|really|even|still|"
    r"status|state|marked|set|worth|exactly|eur|euros?|sku|ord|pay))*"
)
_NEGATED = re.compile(
    r" (?:not|never|isn t|aren t|wasn t|weren t|hasn t|haven t|hadn t|doesn t|didn t|won t|cannot|can t|neither|nor|"
    r"no longer|rather than|instead of|other than|except|without|unlike)" + _FILLER + r" $"
)
_UNREAL = re.compile(
    r"(?:(?<!appears)(?<!appear)(?<!seems)(?<!seem)(?<!shown)(?<!listed)(?<!recorded)(?<!reported)(?<!confirmed)"
    r"(?<!known)(?<!found) to| will| would| shall| should| must| may| might| can| could)"
    r"(?: (?:soon|then|also|still|now|later|only))* (?:be|get|become|have been)(?: (?:marked|set|as|to))* $"
    r"| whether(?: \w+){0,4} $"
)
_PAST = re.compile(
    r" (?:from|previously|formerly|earlier|originally|initially|had been|after being|having been|used to be|"
    r"(?:old|previous|former|earlier) (?:status|state|order|one))" + _FILLER + r" $"
    r"| (?:if|unless|until|once)(?: \w+){0,3} $"
)
_FORMER = re.compile(r"(?:earlier|before|previously|at first|until|any more|anymore) ")
_REPLIED = re.compile(r" (?:api|query|tool|look ?up|system|request|search|database|response|call|sql) $")
_REPLY = re.compile(r"(?:no|that|not|only|zero|nothing|error|empty|http|\d{3}|none) ")


def _denied(atom: Atom, before: str, after: str, rival: bool) -> bool:
    """Whether the words before a mention say that it is not so, or not yet, or, for a rival, no longer."""
    if _NEGATED.search(before):
        return True
    if atom.kind not in ("text", "id"):
        return False
    if rival and (
        _PAST.search(before) or _FORMER.match(after) or (atom.text == "returned" and _a_reply(before, after))
    ):
        return True
    return _UNREAL.search(before) is not None


def _a_reply(before: str, after: str) -> bool:
    """Whether `returned` is said of an answer and not of goods."""
    return _REPLIED.search(before) is not None or _REPLY.match(after) is not None


def asserted(candidates: Iterable[Atom], text: str) -> list[str]:
    """The candidates that a text states, in their order and canonical form.

    Args:
        candidates: Competing facts, none of which is wanted.
        text: An answer.
    """
    return [a.text for a in candidates if a.stated_in(text, rival=True)]


_MOST = {"number": 16, "money": 16, "date": 6, "id": 6, "text": 3}
"""Values of one kind that an answer may state beside those that are wanted."""


def crowded(expected: Iterable[Atom], text: str) -> str:
    """The kind of which the text states so many values that it lists candidates; empty when it does not.

    Args:
        expected: The facts that are wanted; only their kinds are counted.
        text: An answer.
    """
    wanted = Counter(atom.kind for atom in expected)
    facts = read(text)
    stated: dict[str, set[object]] = {
        "number": {m.value for m in facts.mentions if m.kind in ("number", "spelled")},
        "money": {m.value for m in facts.mentions if m.kind == "number"},
        "date": {m.value for m in facts.mentions if m.kind in ("date", "yearless")},
        "id": set(re.findall(r"\b[a-z]{2,}-\d+\b", facts.plain)),
        "text": set(EMAIL.findall(facts.plain)),
    }
    return next((kind for kind in wanted if len(stated[kind]) > wanted[kind] + _MOST[kind]), "")
