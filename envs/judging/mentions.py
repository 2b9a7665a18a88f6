"""The values that a text states, and where: dates, times of day, amounts of money, durations, numbers.

Read in that order, each from what the ones before have left, so that the 20 of `20:05` and the 3 of
`2026-03-02` are never numbers. Where a notation has two readings (`03/02/2026`, `41,50`), both count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Literal, NamedTuple

from faultgym.envs.judging.spelled import DAY_WORDS, DAYS, spelled_numbers

MentionKind = Literal["date", "yearless", "time", "cents", "number", "spelled", "duration"]


class Mention(NamedTuple):
    """One value, normalised, and where it stands in the folded text."""

    kind: MentionKind
    value: str | Decimal
    """ISO date, `--MM-DD`, `HH:MM`, cents, a number, or a duration in seconds (months: negative)."""
    start: int
    end: int
    """Where its digits or its words end; a unit or a currency behind them is left out."""
    timed: bool = False
    """Whether a number is followed by a unit of time."""


_MONTHS = "january february march april may june july august september october november december".split()
_MONTH = "|".join(f"{m[:3]}(?:{m[3:]})?" if m != "september" else "sept?(?:ember)?" for m in _MONTHS)
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_DATES = (
    (re.compile(r"(?<!\d)(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?!\d)(?:t[\d:.]+z?)?"), ("ymd",)),
    (re.compile(rf"\b{_DAY}(?: of)?[ -]({_MONTH})\b\.?,?[ -](\d{{4}})\b"), ("dmy",)),
    (re.compile(rf"\b({_MONTH})\b\.?(?: the)? {_DAY},? (\d{{4}})\b"), ("mdy",)),
    (re.compile(rf"\b({DAY_WORDS})(?: of)? ({_MONTH})\b\.?,? (\d{{4}})\b"), ("dmy",)),
    (re.compile(rf"\b({_MONTH})(?: the)? ({DAY_WORDS}),? (\d{{4}})\b"), ("mdy",)),
    (re.compile(r"(?<![\d.])(\d{1,2})\. ?(\d{1,2})\. ?(\d{4})(?!\d)"), ("dmy",)),
    (re.compile(r"(?<![\d/])(\d{1,2})/(\d{1,2})/(\d{4})(?!\d)"), ("dmy", "mdy")),
)
_YEARLESS = (
    (re.compile(rf"\b{_DAY}(?: of)? ({_MONTH})\b"), "dm"),
    (re.compile(rf"\b({_MONTH}(?<!\bmay))\b\.?(?: the)? (\d{{1,2}})(?:st|nd|rd|th)?\b(?![\d.:]\d)"), "md"),
    (re.compile(r"\b(may)(?: the)? (\d{1,2})(?:st|nd|rd|th)\b"), "md"),
)
_ABROAD = {
    name: number
    for names in (
        "januar februar märz april mai juni juli august september oktober november dezember",
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
        "januari februari maart april mei juni juli augustus september oktober november december",
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    )
    for number, name in enumerate(names.split(), 1)
}
"""Months as German, French, Spanish, Italian, Dutch and Portuguese texts name them."""
_DATE_ABROAD = re.compile(rf"(?<!\d)(\d{{1,2}})(?:\.|er|º)? (?:de )?({'|'.join(_ABROAD)}) (?:de )?(\d{{4}})(?!\d)")
_YEAR_ABROAD = re.compile(r"[a-z] (?:de )?[12]\d{3}(?!\d)")
_MONTH_START = re.compile("|".join(month[:3] for month in _MONTHS))
_NUMERIC_DATE = re.compile(r"[0-9][-/.] ?\d\d?[-/.] ?\d")
"""What every date in digits holds: a quick look that spares most texts the patterns above."""

_TIME = re.compile(r"([0-9](?<![\d:.,].)\d?)[:.h](\d{2})(?::\d{2})?(?: ?([ap])\.? ?m\b\.?)?(?![\d:]|[.,]\d)")
_DIGIT = re.compile(r"[0-9]")
_HALF = re.compile(r"[0-9] ?[ap]\.? ?m")
_HOUR = re.compile(r"(?<![\d:.,])(\d{1,2}) ?([ap])\.? ?m\b\.?")

_EURO, _CENT = r"(?:eur|euros?|€)(?![a-z])", r"(?:euro ?cents?|cents?|ct)(?![a-z])"
_OTHER = r"(?:us\$|\$|usd|£|gbp|chf|¥|yen|jpy|dollars?|pounds?|francs?|percent|%|k|thousand|million|mio)(?![a-z])"
_SPLIT_AMOUNT = re.compile(rf"(?<![\w.,])(\d+) ?{_EURO},?(?: and)? (\d{{1,2}})(?: ?{_CENT}|(?![\w.,:]*\d| ?[a-z%]))")
_OPEN = "(?:" + "|".join(rf"(?<={sign}.)(?<![\w.]{sign}.)" for sign in ("", "eur", "euro", "euros")) + ")"
_CHUNK = re.compile(
    rf"[0-9]{_OPEN}"
    r"(?:\d{0,2}(?: \d{3})++[.,]\d\d(?![\d.,])|\d{0,2}(?: \d{3})++(?= [a-z]{3})|\d*+(?:[.,']\d++)*+)"
    r"(?=(?:eur|euros?|ct|cents?|s|secs?|mins?|h|hrs?|d|x)\b|(?!\w))"
)
"""A number: it begins with the digit, which is what lets the engine skip everything else."""
_CENTS_OF = re.compile(r"\bcents?(?: is| are)?\W{1,4}$")
_GLUED = re.compile(r"[\w.]")
_IDENTIFIER = re.compile(r"-(?<=[a-z]{2}-)\d+\b")
_ENGLISH = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_GERMAN = re.compile(r"\d{1,3}(?:\.\d{3})+,\d{1,2}|\d{1,3}(?:\.\d{3}){2,}")
_CENTS = re.compile(r"0\d")
_SWISS = re.compile(r"\d{1,3}(?:'\d{3})+(?:\.\d+)?")

_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800, "mo": -1, "y": -12}
"""What each unit of time is worth in seconds; months and years, of no fixed length, in negative months."""
_UNIT = {
    "s": "s|secs?|seconds?", "min": "min|mins|minutes?", "h": "h|hrs?|hours?", "d": "d|days?", "w": "weeks?",
    "mo": "months?", "y": "years?|yrs?",
}  # fmt: skip
_UNITS = {name: re.compile(rf"[ -]?(?:{words})(?![a-z0-9])") for name, words in _UNIT.items()}
_BEHIND = re.compile(
    rf" ?(?P<other>{_OTHER})| ?(?P<cent>{_CENT})|"
    + "|".join(rf"(?P<{name}>[ -]?(?:{words})(?![a-z0-9]))" for name, words in _UNIT.items())
)
"""What stands behind a number: another currency or measure, cents, or a unit of time by its name."""
_FOREIGN = re.compile(r"(?:\$|£|¥|usd|gbp|chf) ?$")
_EUROS = re.compile(rf" ?{_EURO}")
_AND = re.compile(rf" ?{_EURO},?(?: and)? ")
_AND_CENTS = re.compile(rf" ?{_EURO},?(?: and)? [a-z -]{{3,24}} ?{_CENT}")
_NOUN = re.compile(r" (?!eur\b|euros?\b)[a-z]{3,}")
_PAIR = re.compile(r"[0-9] ?(?:h|m|eur|€)")
_MINUTES_SECONDS = re.compile(r"(?<![\w.,])(\d+) ?(?:m|min|mins|minutes?),?(?: and)? ?(\d+) ?(?:s|secs?|seconds?)\b")
_HOURS_MINUTES = re.compile(r"(?<![\w.,])(\d+) ?(?:h|hrs?|hours?),?(?: and)? ?(\d+) ?(?:m|min|mins|minutes?)\b")


def mentions(plain: str) -> list[Mention]:
    """The values in a text: dates, then times, then pairs such as `5 hours 2 minutes`, then numbers.

    Args:
        plain: A text as `fold` gives it.

    Example:
        >>> [(mention.kind, str(mention.value)) for mention in mentions("at 9:30 on 2 march 2026")]
        [('date', '2026-03-02'), ('time', '09:30')]
    """
    found: list[Mention] = []
    rest = _IDENTIFIER.sub(_blank, plain)
    if not _DIGIT.search(rest):  # identifiers alone
        return list(_spelled(rest))
    rest = _read_dates(plain, found)
    rest = _IDENTIFIER.sub(_blank, rest)
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
    worded = _MONTH_START.search(plain) is not None
    if worded or _NUMERIC_DATE.search(plain):
        for pattern, orders in _DATES:
            for match in pattern.finditer(rest):
                for order in orders:
                    parts = dict(zip(order, match.groups(), strict=True))
                    days = _date(parts["y"], parts["m"], parts["d"])
                    found += [Mention("date", day, match.start(), match.end()) for day in days]
            rest = pattern.sub(_blank, rest)
    if _YEAR_ABROAD.search(rest):
        for match in _DATE_ABROAD.finditer(rest):
            days = _date(match[3], str(_ABROAD[match[2]]), match[1])
            found += [Mention("date", day, match.start(), match.end()) for day in days]
        rest = _DATE_ABROAD.sub(_blank, rest)
    if worded:
        for pattern, order in _YEARLESS:
            for match in pattern.finditer(rest):
                parts = dict(zip(order, match.groups(), strict=True))
                days = _date("2024", parts["m"], parts["d"])
                found += [Mention("yearless", day[4:], match.start(), match.end()) for day in days]
            rest = pattern.sub(_blank, rest)
    return rest


def _date(year: str, month: str, day: str) -> Iterator[str]:
    number = int(month) if month.isdigit() else 1 + [m[:3] for m in _MONTHS].index(month[:3])
    try:
        yield date(int(year), number, DAYS.get(day) or int(day)).isoformat()
    except ValueError:
        return


def _read_times(rest: str, found: list[Mention]) -> str:
    """Times of day. `20.05` may be a number as well, so only what is surely a time is taken out."""

    def take(match: re.Match[str]) -> str:
        hour, minute, half = int(match[1]), match[2], match[3]
        if hour > 24 or int(minute) > 59:
            return match[0]
        found.append(Mention("time", f"{_hour(hour, half):02d}:{minute}", match.start(), match.end()))
        return match[0] if "." in match[0][:3] and not half else _blank(match)

    def whole(match: re.Match[str]) -> str:
        found.append(Mention("time", f"{_hour(int(match[1]), match[2]):02d}:00", match.start(), match.end()))
        return _blank(match)

    rest = _TIME.sub(take, rest)
    return _HOUR.sub(whole, rest) if _HALF.search(rest) else rest


def _hour(hour: int, half: str | None) -> int:
    if half is None or hour > 12:
        return hour
    return hour % 12 + (12 if half == "p" else 0)


def _read_pairs(rest: str, found: list[Mention]) -> str:
    """`41 euros and 50 cents`, `5 hours 2 minutes`: two numbers that are one value."""
    if not _PAIR.search(rest):
        return rest
    for match in _SPLIT_AMOUNT.finditer(rest):
        found.append(Mention("cents", Decimal(int(match[1]) * 100 + int(match[2])), match.start(), match.end()))
    rest = _SPLIT_AMOUNT.sub(_blank, rest)
    for match in _HOURS_MINUTES.finditer(rest):
        found.append(
            Mention("duration", Decimal(int(match[1]) * 3600 + int(match[2]) * 60), match.start(), match.end())
        )
    rest = _HOURS_MINUTES.sub(_blank, rest)
    for match in _MINUTES_SECONDS.finditer(rest):
        found.append(Mention("duration", Decimal(int(match[1]) * 60 + int(match[2])), match.start(), match.end()))
    return _MINUTES_SECONDS.sub(_blank, rest)


def _numbers(rest: str) -> Iterator[Mention]:
    for match in _CHUNK.finditer(rest):
        chunk, end = match[0].replace(" ", ""), match.end()
        start, negative = _begin(rest, match.start())
        values = [-value for value in _values(chunk)] if negative else _values(chunk)
        behind = _BEHIND.match(rest, end)
        kind = behind.lastgroup if behind is not None else None
        tex = rest[start - 1 : start] == "$" and rest[end : end + 1] == "$"  # $41.50$ is how TeX sets a number
        if (kind == "other" and not tex) or (not tex and _FOREIGN.search(rest, max(0, start - 4), start)):
            yield from (Mention("number", value, start, end) for value in values)
            continue
        if kind == "cent" or (kind is None and _CENTS_OF.search(rest, max(0, start - 16), start)):
            for value in values:
                yield Mention("cents", value, start, end)
                yield Mention("number", value, start, end)
            continue
        unit = kind if kind in _SECONDS else ""
        for value in values:
            yield Mention("number", value, start, end, bool(unit))
            if unit:
                yield Mention("duration", value * _SECONDS[unit], start, end)
        commas = _commas(chunk)
        for value in dict.fromkeys((*values, *(-v if negative else v for v in commas))):
            yield Mention("cents", value * 100, start, end)
        if not unit and commas and "." in chunk and _NOUN.match(rest, end):  # `5.687 customers`
            yield from (Mention("number", -v if negative else v, start, end) for v in commas)


def _begin(rest: str, start: int) -> tuple[int, bool]:
    """Where a number begins with the currency and the sign before its digits, and whether it is negative."""
    if rest[start - 1 : start].isalpha():
        start = rest.rindex("eur", 0, start)
    signed = rest[start - 1 : start] in ("-", "+") and not _GLUED.match(rest, start - 2)
    return (start - 1, rest[start - 1] == "-") if signed else (start, False)


def _values(chunk: str) -> list[Decimal]:
    """The numbers that digits with separators stand for; none for versions and addresses."""
    if _ENGLISH.fullmatch(chunk) or _SWISS.fullmatch(chunk):
        return [Decimal(chunk.replace(",", "").replace("'", ""))]
    if _GERMAN.fullmatch(chunk):
        return [Decimal(chunk.replace(".", "").replace(",", "."))]
    if "," in chunk or "'" in chunk:
        parts = re.split("[,']", chunk)  # the 00 of `111,00` is no number of its own
        return [value for part in parts if not _CENTS.fullmatch(part) for value in _values(part)]
    return [Decimal(chunk)] if chunk.count(".") < 2 else []


def _commas(chunk: str) -> list[Decimal]:
    """What `41,50` and `1.234` are where the comma is the decimal sign."""
    if re.fullmatch(r"\d+,\d{1,2}", chunk):
        return [Decimal(chunk.replace(",", "."))]
    return [Decimal(chunk.replace(".", ""))] if re.fullmatch(r"\d{1,3}\.\d{3}", chunk) else []


def _spelled(rest: str) -> Iterator[Mention]:
    euros: Mention | None = None
    for number, start, end in spelled_numbers(rest):
        behind = _BEHIND.match(rest, end)
        kind = behind.lastgroup if behind is not None else None
        unit = kind if kind in _SECONDS else ""
        value = Decimal(number)
        yield Mention("spelled", value, start, end, bool(unit))
        if unit:
            yield Mention("duration", value * _SECONDS[unit], start, end)
        elif kind == "cent" and euros is not None and _AND.fullmatch(rest, euros.end, start):
            yield Mention("cents", Decimal(euros.value) * 100 + value, euros.start, end)
            euros = None
        elif _EUROS.match(rest, end):
            euros = Mention("spelled", value, start, end)
            if not _AND_CENTS.match(rest, end):
                yield Mention("cents", value * 100, start, end)
