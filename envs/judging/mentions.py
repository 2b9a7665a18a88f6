"""The values that a text states, and where: dates, times of day, amounts of money, durations, numbers.

Read in that order, each from what the ones before have left, so that the 20 of `20:05` and the 3 of
`2026-03-02` are never numbers. Where a notation has two readings (`03/02/2026`, `41,50`), both count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

MentionKind = Literal["date", "yearless", "time", "cents", "number", "spelled", "duration"]


@dataclass(frozen=True, slots=True)
class Mention:
    """One value, normalised, and where it stands in the folded text."""

    kind: MentionKind
    value: str | Decimal
    """ISO date, `--MM-DD`, `HH:MM`, cents, a number, or a duration in seconds (months: negative)."""
    start: int
    timed: bool = False
    """Whether a number is followed by a unit of time."""


_MONTHS = "january february march april may june july august september october november december".split()
_MONTH = "|".join(f"{m[:3]}(?:{m[3:]})?" if m != "september" else "sept?(?:ember)?" for m in _MONTHS)
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_DATES = (
    (re.compile(r"(?<!\d)(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?!\d)(?:t[\d:.]+z?)?"), ("ymd",)),
    (re.compile(rf"\b{_DAY}(?: of)?[ -]({_MONTH})\b\.?,?[ -](\d{{4}})\b"), ("dmy",)),
    (re.compile(rf"\b({_MONTH})\b\.?(?: the)? {_DAY},? (\d{{4}})\b"), ("mdy",)),
    (re.compile(r"(?<![\d.])(\d{1,2})\. ?(\d{1,2})\. ?(\d{4})(?!\d)"), ("dmy",)),
    (re.compile(r"(?<![\d/])(\d{1,2})/(\d{1,2})/(\d{4})(?!\d)"), ("dmy", "mdy")),
)
_YEARLESS = (
    (re.compile(rf"\b{_DAY}(?: of)? ({_MONTH})\b"), "dm"),
    (re.compile(rf"\b({_MONTH}(?<!\bmay))\b\.?(?: the)? (\d{{1,2}})(?:st|nd|rd|th)?\b(?![\d.:]\d)"), "md"),
    (re.compile(r"\b(may)(?: the)? (\d{1,2})(?:st|nd|rd|th)\b"), "md"),
)
_TIME = re.compile(r"(?<![\d:.,])(\d{1,2})[:.h](\d{2})(?::\d{2})?(?: ?([ap])\.? ?m\b\.?)?(?![\d:]|[.,]\d)")
_HOUR = re.compile(r"(?<![\d:.,])(\d{1,2}) ?([ap])\.? ?m\b\.?")

_EURO, _CENT = r"(?:eur|euros?|€)(?![a-z])", r"(?:euro ?cents?|cents?|ct)(?![a-z])"
_OTHER = r"(?:us\$|\$|usd|£|gbp|chf|¥|yen|jpy|dollars?|pounds?|francs?|percent|%|k|thousand|million|mio)(?![a-z])"
_SPLIT_AMOUNT = re.compile(rf"(?<![\w.,])(\d+) ?{_EURO},?(?: and)? (\d{{1,2}})(?: ?{_CENT}|(?![\w.,:]*\d| ?[a-z%]))")
_CHUNK = re.compile(
    r"(?<![\w.])([-+]?)(?:eur(?:os?)?)?(\d++(?:[.,']\d++)*+)"
    r"(?=(?:eur|euros?|ct|cents?|s|secs?|mins?|h|hrs?|d|x)\b|(?!\w))"
)
_ENGLISH = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_GERMAN = re.compile(r"\d{1,3}(?:\.\d{3})+,\d{1,2}|\d{1,3}(?:\.\d{3}){2,}")
_SWISS = re.compile(r"\d{1,3}(?:'\d{3})+(?:\.\d+)?")

_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800, "mo": -1, "y": -12}
"""What each unit of time is worth in seconds; months and years, of no fixed length, in negative months."""
_UNIT = {
    "s": "s|secs?|seconds?", "min": "min|mins|minutes?", "h": "h|hrs?|hours?", "d": "d|days?", "w": "weeks?",
    "mo": "months?", "y": "years?|yrs?",
}  # fmt: skip
_UNITS = {name: re.compile(rf"[ -]?(?:{words})(?![a-z0-9])") for name, words in _UNIT.items()}
_HOURS_MINUTES = re.compile(r"(?<![\w.,])(\d+) ?(?:h|hrs?|hours?),?(?: and)? ?(\d+) ?(?:m|min|mins|minutes?)\b")

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    " seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_SPELLED = re.compile(rf"\b(?:({'|'.join(_TENS)})(?:[ -]({'|'.join(_ONES[1:10])}))?|({'|'.join(_ONES)}))\b")


def mentions(plain: str) -> list[Mention]:
    """The values in a text: dates, then times, then pairs such as `5 hours 2 minutes`, then numbers.

    Args:
        plain: A text as `fold` gives it.

    Example:
        >>> [(mention.kind, str(mention.value)) for mention in mentions("at 9:30 on 2 march 2026")]
        [('date', '2026-03-02'), ('time', '09:30')]
    """
    found: list[Mention] = []
    rest = _read_dates(plain, found)
    rest = re.sub(r"\b[a-z]{2,}-\d+\b", _blank, rest)  # identifiers
    rest = _read_times(rest, found)
    rest = _read_pairs(rest, found)
    found.extend(_numbers(rest))
    found.extend(_spelled(rest))
    return found


def seconds(value: Decimal, unit: str) -> Decimal:
    """A duration as a mention holds it.

    Args:
        value: The number of units.
        unit: The unit as people name it: `seconds`, `min`, `days`.

    Returns:
        Seconds; for months and years, which have no fixed length, the negative number of months.

    Raises:
        KeyError: The word is no unit of time.

    Example:
        >>> seconds(Decimal(2), "hours"), seconds(Decimal(2), "years")
        (Decimal('7200'), Decimal('-24'))
    """
    for name, pattern in _UNITS.items():
        if pattern.fullmatch(f" {unit}"):
            return value * _SECONDS[name]
    raise KeyError(unit)


def _blank(match: re.Match[str]) -> str:
    """As many characters, so that what follows keeps its place."""
    return ";" * len(match[0])


def _read_dates(plain: str, found: list[Mention]) -> str:
    rest = plain
    for pattern, orders in _DATES:
        for match in pattern.finditer(rest):
            for order in orders:
                parts = dict(zip(order, match.groups(), strict=True))
                found += [Mention("date", d, match.start()) for d in _date(parts["y"], parts["m"], parts["d"])]
        rest = pattern.sub(_blank, rest)
    for pattern, order in _YEARLESS:
        for match in pattern.finditer(rest):
            parts = dict(zip(order, match.groups(), strict=True))
            found += [Mention("yearless", d[4:], match.start()) for d in _date("2024", parts["m"], parts["d"])]
        rest = pattern.sub(_blank, rest)
    return rest


def _date(year: str, month: str, day: str) -> Iterator[str]:
    number = int(month) if month.isdigit() else 1 + [m[:3] for m in _MONTHS].index(month[:3])
    try:
        yield date(int(year), number, int(day)).isoformat()
    except ValueError:
        return


def _read_times(rest: str, found: list[Mention]) -> str:
    """Times of day. `20.05` may be a number as well, so only what is surely a time is taken out."""

    def take(match: re.Match[str]) -> str:
        hour, minute, half = int(match[1]), match[2], match[3]
        if hour > 24 or int(minute) > 59:
            return match[0]
        found.append(Mention("time", f"{_hour(hour, half):02d}:{minute}", match.start()))
        return match[0] if "." in match[0][:3] and not half else _blank(match)

    def whole(match: re.Match[str]) -> str:
        found.append(Mention("time", f"{_hour(int(match[1]), match[2]):02d}:00", match.start()))
        return _blank(match)

    return _HOUR.sub(whole, _TIME.sub(take, rest))


def _hour(hour: int, half: str | None) -> int:
    if half is None or hour > 12:
        return hour
    return hour % 12 + (12 if half == "p" else 0)


def _read_pairs(rest: str, found: list[Mention]) -> str:
    """`41 euros and 50 cents`, `5 hours 2 minutes`: two numbers that are one value."""
    for match in _SPLIT_AMOUNT.finditer(rest):
        found.append(Mention("cents", Decimal(int(match[1]) * 100 + int(match[2])), match.start()))
    rest = _SPLIT_AMOUNT.sub(_blank, rest)
    for match in _HOURS_MINUTES.finditer(rest):
        found.append(Mention("duration", Decimal(int(match[1]) * 3600 + int(match[2]) * 60), match.start()))
    return _HOURS_MINUTES.sub(_blank, rest)


def _numbers(rest: str) -> Iterator[Mention]:
    for match in _CHUNK.finditer(rest):
        chunk, sign = match[2], -1 if match[1] == "-" else 1
        start, end = match.start(), match.end()
        after, before = rest[end : end + 24], rest[max(0, start - 4) : start]
        other = re.match(rf" ?{_OTHER}", after) or re.search(r"(?:\$|£|¥|usd|gbp|chf) ?$", before)
        if other and not (before.endswith("$") and after.startswith("$")):  # $41.50$ is how TeX sets a number
            yield from (Mention("number", sign * v, start) for v in _values(chunk))
            continue
        if re.match(rf" ?{_CENT}", after):
            for value in _values(chunk):
                yield Mention("cents", sign * value, start)
                yield Mention("number", sign * value, start)
            continue
        unit = next((u for u, pattern in _UNITS.items() if pattern.match(after)), "")
        for value in _values(chunk):
            yield Mention("number", sign * value, start, bool(unit))
            if unit:
                yield Mention("duration", sign * value * _SECONDS[unit], start)
        yield from (Mention("cents", sign * v * 100, start) for v in {*_values(chunk), *_commas(chunk)})


def _values(chunk: str) -> list[Decimal]:
    """The numbers that digits with separators stand for; none for versions and addresses."""
    if _ENGLISH.fullmatch(chunk) or _SWISS.fullmatch(chunk):
        return [Decimal(chunk.replace(",", "").replace("'", ""))]
    if _GERMAN.fullmatch(chunk):
        return [Decimal(chunk.replace(".", "").replace(",", "."))]
    if "," in chunk or "'" in chunk:
        return [value for part in re.split("[,']", chunk) for value in _values(part)]
    return [Decimal(chunk)] if chunk.count(".") < 2 else []


def _commas(chunk: str) -> list[Decimal]:
    """What `41,50` and `1.234` are where the comma is the decimal sign."""
    if re.fullmatch(r"\d+,\d{1,2}", chunk):
        return [Decimal(chunk.replace(",", "."))]
    return [Decimal(chunk.replace(".", ""))] if re.fullmatch(r"\d{1,3}\.\d{3}", chunk) else []


def _spelled(rest: str) -> Iterator[Mention]:
    for match in _SPELLED.finditer(rest):
        if match[3]:
            value = _ONES.index(match[3])
        else:
            value = 20 + 10 * _TENS.index(match[1]) + (_ONES.index(match[2]) if match[2] else 0)
        yield Mention("spelled", Decimal(value), match.start())
