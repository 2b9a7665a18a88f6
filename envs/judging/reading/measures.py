"""A value in another measure than the one that was asked for: dollars for euros, months for days."""

from __future__ import annotations

import re
from decimal import Decimal

from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.mentions import seconds
from faultgym.envs.judging.reading.clauses import TextReading
from faultgym.envs.judging.reading.outcomes import is_attempt
from faultgym.envs.judging.reading.sightings import number_of, sightings
from faultgym.envs.judging.reading.stance import stance

_CURRENCIES = {
    "EUR": r"eur|euros?|€", "USD": r"us\$|\$|usd|(?:us )?dollars?", "GBP": r"£|gbp|pounds?(?: sterling)?",
    "CHF": r"chf|(?:swiss )?francs?", "JPY": r"¥|jpy|yen", "cents": r"(?:euro ?)?cents?|ct",
}  # fmt: skip
_PERCENT = r"percent|per cent|%"
_TIME = r"seconds?|secs?|s|minutes?|mins?|hours?|hrs?|h|days?|weeks?|months?|years?|yrs?"
_MONEY = "|".join(f"(?P<{code}>{words})" for code, words in _CURRENCIES.items())
_BEHIND = re.compile(rf"[ -]?(?:{_MONEY}|(?P<percent>{_PERCENT})|(?P<time>{_TIME}))(?![a-z0-9])")
_BEFORE = re.compile(rf"(?<![a-z])(?:{_MONEY}) ?$")
_WAITED = re.compile(r"\b(?:retr\w+|timed?|rate|throttl\w+|i waited|took|ago|backoff|429)\b")


def other_measure(atom: Atom, unit: str, text: TextReading) -> str:
    """The words by which a text gives a wanted number in another measure, and nowhere in the right one.

    Args:
        atom: The wanted fact.
        unit: The currency or the unit that it was asked for in; empty where it has none.
        text: The text.

    Example:
        >>> from faultgym.envs.judging.reading.clauses import reading
        >>> other_measure(Atom("money", "4500"), "EUR", reading("It comes to 45 USD."))
        '45 USD'
        >>> other_measure(Atom("number", "14"), "days", reading("Two weeks."))
        ''
    """
    if atom.kind not in ("money", "number") or not unit:
        return ""
    wanted = Atom(atom.kind, atom.text, unit if _is_time(unit) else "")
    value = number_of(atom.text) / 100 if atom.kind == "money" else number_of(atom.text)
    found = ""
    for mention in text.facts.mentions:
        if mention.kind in ("number", "spelled") and mention.value == value and not found:
            found = _strange(wanted, unit, text, mention.start, mention.end)
    right = any(not _strange(wanted, unit, text, s.start, s.end) for s in sightings(wanted, text)) if found else True
    return "" if right else found


def _strange(atom: Atom, unit: str, text: TextReading, start: int, end: int) -> str:
    """A number with the measure beside it, if that is not the wanted one; only statements count."""
    if text.plain[start - 1 : start] == "$" == text.plain[end : end + 1]:
        return ""  # how TeX sets a number
    behind, before = _BEHIND.match(text.plain, end), _BEFORE.search(text.plain, max(0, start - 8), start)
    beside = behind or before
    if beside is None or not _differs(atom, unit, beside):
        return ""
    number = text.clause_at(start)
    clause = text.clauses[number]
    if is_attempt(clause) or (beside.lastgroup == "time" and _WAITED.search(clause.text)):
        return ""
    if stance(text, number, start, end, word=False, rival=True) != "asserted":
        return ""
    return text.plain[beside.start() if before and not behind else start : max(end, beside.end())].upper().strip()


def _differs(atom: Atom, unit: str, beside: re.Match[str]) -> bool:
    """Whether what stands beside a number is a measure of the wanted kind, and not the wanted one."""
    kind = beside.lastgroup or ""
    if _is_time(unit):
        said = beside[kind].strip(" -")
        return kind == "time" and seconds(Decimal(1), said) != seconds(Decimal(1), unit)
    if re.fullmatch(_PERCENT, unit.lower()):
        return kind in _CURRENCIES
    return atom.kind == "money" and kind in _CURRENCIES and kind != unit.upper()


def _is_time(unit: str) -> bool:
    return re.fullmatch(_TIME, unit) is not None
