"""The form of a typed answer: which outcomes and fields a task's answer has, and how each value is normalised.

A form says of which kinds the values are and never which values are right, so that a task and its unanswerable or
blocked twin have the same one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import date, time
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, get_args

from faultgym.core.json import JSON
from faultgym.envs.judging.answers import fold, words
from faultgym.envs.judging.mentions import MentionKind, mentions, seconds

Outcome = Literal["done", "answered", "not_found", "refused", "unavailable"]
"""How a task can end."""
Answers = Literal["typed", "text"]
"""How an episode ends: by a call of `answer`, or by a turn without calls, whose text is read."""
ANSWERS: tuple[Answers, ...] = get_args(Answers)
DEFAULT_ANSWERS: Answers = "typed"
"""How an episode ends where nobody says so."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
EMPTY_HANDED: frozenset[Outcome] = frozenset({"not_found", "unavailable"})
"""Outcomes that come without values: one beside them would be a hedge."""
FieldKind = Literal["id", "money", "integer", "number", "date", "time", "duration", "enum", "version", "name", "text"]
Value = str | tuple[str, ...]
"""A normalised value; of a field that takes several, the sorted set of them."""
MAX_VALUES = 100
"""Values that a field for several may hold."""
MAX_TEXT = 500
"""Characters of one value that are read."""


@dataclass(frozen=True, slots=True)
class AnswerField:
    """One value that the answer to a task may hold."""

    name: str
    kind: FieldKind
    description: str
    """What the value is, in a few words, without the value."""
    _: KW_ONLY
    unit: str = ""
    """The currency of money, the unit of a number or a duration (`minutes`), the prefix of an id (`ORD`)."""
    values: tuple[str, ...] = ()
    """What an enum may be."""
    many: bool = False
    """Whether the answer is a set of such values, in any order."""
    only: Outcome | None = None
    """The outcome that alone goes with a value here, as the description says; beside another it is a false claim."""

    @property
    def schema(self) -> JSON:
        """The field as JSON Schema, as the model is shown it."""
        schema: JSON = {"type": _TYPES.get(self.kind, "string")}
        if self.values:
            schema["enum"] = list(self.values)
        if self.many:
            schema = {"type": "array", "items": schema, "maxItems": MAX_VALUES}
        return {**schema, "description": self.described}

    @property
    def described(self) -> str:
        """The description, and how the value is written."""
        if self.kind == "id" and not self.unit:
            return self.description
        return f"{self.description}{_FORMS[self.kind].format(unit=self.unit)}"

    def normalised(self, value: Any) -> Value:
        """A value that was sent, in the form in which two equal ones are the same text.

        Args:
            value: A JSON value.

        Raises:
            ValueError: The value is not of the field's kind; the message says what is.

        Example:
            >>> AnswerField("total", "money", "The total", unit="EUR").normalised("EUR 240.30")
            '24030'
            >>> AnswerField("services", "id", "The services", unit="SVC", many=True).normalised(["svc-2", "1"])
            ('SVC-1', 'SVC-2')
        """
        if not self.many:
            return self._one(value)
        if not isinstance(value, list | tuple):
            raise ValueError(f"takes a list, not {_shown(value)}")
        if len(value) > MAX_VALUES:
            raise ValueError(f"takes at most {MAX_VALUES} values, not {len(value)}")
        return tuple(sorted({self._one(item) for item in value}))

    def written(self, value: str) -> str:
        """One normalised value as a person would write it.

        Args:
            value: What `normalised` gave; of a field that takes several, one of them.

        Example:
            >>> AnswerField("total", "money", "The total", unit="EUR").written("24030")
            '240.30 EUR'
        """
        if self.kind == "version":
            return f"v{value}"
        if self.kind == "money":
            sign, cents = "-" if value.startswith("-") else "", value.lstrip("-").rjust(3, "0")
            value = f"{sign}{cents[:-2]}.{cents[-2:]}"
        return f"{value} {self.unit}" if self.unit and self.kind in ("money", "number", "duration") else value

    def _one(self, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(f"takes {_WANTED[self.kind]}, not {_shown(value)}")
        text = value.strip() if isinstance(value, str) else repr(value)
        found = _READERS[self.kind](self, text) if 0 < len(text) <= MAX_TEXT else None
        if found is None:
            wanted = f"one of {', '.join(self.values)}" if self.values else _WANTED[self.kind]
            raise ValueError(f"takes {wanted}, not {_shown(value)}")
        return found


def wanted_value(field: AnswerField, canonical: str) -> str:
    """What `AnswerField.normalised` gives for a right value.

    Args:
        field: The field.
        canonical: The value as an `Atom` holds it: cents, an ISO date, words.
    """
    return canonical if field.kind == "money" else field._one(canonical)


def _shown(value: Any) -> str:
    return repr(value)[:80]


_TYPES = {"money": "number", "integer": "integer", "number": "number", "duration": "number"}
"""Kinds that are no strings in JSON."""
_FORMS: Mapping[FieldKind, str] = {
    "id": ", such as {unit}-10422",
    "money": ", in {unit}, such as 12.50",
    "integer": "",
    "number": ", in {unit}",
    "date": ", as YYYY-MM-DD",
    "time": ", as HH:MM",
    "duration": ", in {unit}",
    "enum": "",
    "version": ", such as v1.2.3",
    "name": "",
    "text": "",
}
_WANTED: Mapping[FieldKind, str] = {
    "id": "an identifier",
    "money": "an amount of money with at most two decimals",
    "integer": "a whole number",
    "number": "a number",
    "date": "a date as YYYY-MM-DD",
    "time": "a time as HH:MM",
    "duration": "a number",
    "enum": "one of the listed values",
    "version": "a version such as v1.2.3",
    "name": "a name",
    "text": "a text",
}


def _id(field: AnswerField, text: str) -> str | None:
    if not field.unit:
        return text.upper() if re.fullmatch(r"[\w.-]+", text) else None
    match = re.fullmatch(rf"(?:{re.escape(field.unit)}[- ]?)?([0-9]{{1,9}})", text, re.IGNORECASE)
    return f"{field.unit}-{match[1]}" if match else None


_AMOUNT = re.compile(r"(-?)(\d{1,3}(?:[ ,'\u2019]\d{3})+|\d{1,3}(?:\.\d{3})+(?=,)|\d+)(?:[.,](\d{1,2}))?")
_CURRENCIES = {"EUR": r"(?:eur|euros?|€)"}


def _money(field: AnswerField, text: str) -> str | None:
    sign = _CURRENCIES.get(field.unit, re.escape(field.unit.lower()) or "(?!)")
    bare = re.sub(rf"^{sign} ?| ?{sign}$", "", fold(text), count=1)
    match = _AMOUNT.fullmatch(bare.removesuffix(".0"))
    if match is None:
        return None
    whole, cents = re.sub(r"\D", "", match[2]), (match[3] or "").ljust(2, "0")
    return str(int(f"{match[1]}{whole}{cents}"))


def _number(field: AnswerField, text: str) -> str | None:
    """A number, alone or with its unit; a duration in another unit of time is converted."""
    bare = fold(text)
    try:
        number = Decimal(bare)
    except InvalidOperation:
        return _with_unit(field, bare)
    return _plain(number)


def _with_unit(field: AnswerField, bare: str) -> str | None:
    match = re.fullmatch(r"(-?\d+(?:\.\d+)?) ?([a-z%€]+)", bare)
    if match is None or not field.unit:
        return None
    if match[2] == field.unit.lower():
        return _plain(Decimal(match[1]))
    try:
        theirs, ours = seconds(Decimal(1), match[2]), seconds(Decimal(1), field.unit)
    except KeyError:
        return None
    return _plain(Decimal(match[1]) * theirs / ours) if theirs * ours > 0 else None  # a month is no number of days


def _plain(number: Decimal) -> str | None:
    if not number.is_finite() or abs(number.adjusted()) > 30:
        return None
    return f"{number.normalize():f}" if number else "0"


def _integer(field: AnswerField, text: str) -> str | None:
    found = _number(field, text)
    return found if found is not None and re.fullmatch(r"-?\d+", found) else None


def _date(field: AnswerField, text: str) -> str | None:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        named = re.search(r"[a-z]{3}", text, re.IGNORECASE) is not None
        return _only(text, "date", 2 if named else 3)


def _time(field: AnswerField, text: str) -> str | None:
    try:
        return time.fromisoformat(text).strftime("%H:%M")
    except ValueError:
        return _only(text, "time", 3)


def _only(text: str, kind: MentionKind, numbers: int) -> str | None:
    """The one value of a kind that a text of at most so many numbers mentions: 03/02/2026 may be two days."""
    found = {mention.value for mention in mentions(fold(text)) if mention.kind == kind}
    return str(found.pop()) if len(found) == 1 and len(re.findall(r"\d+", text)) <= numbers else None


def _enum(field: AnswerField, text: str) -> str | None:
    plain = words(text)
    return next((words(value) for value in field.values if words(value) == plain), None)


def _version(field: AnswerField, text: str) -> str | None:
    bare = text.lower().removeprefix("version").strip().removeprefix("v")
    return bare if re.fullmatch(r"\d+(?:\.\w+)*(?:[-+][\w.-]+)?", bare) else None


def _words(field: AnswerField, text: str) -> str | None:
    return words(text) or None


_READERS: Mapping[FieldKind, Callable[[AnswerField, str], str | None]] = {
    "id": _id,
    "money": _money,
    "integer": _integer,
    "number": _number,
    "date": _date,
    "time": _time,
    "duration": _number,
    "enum": _enum,
    "version": _version,
    "name": _words,
    "text": _words,
}


@dataclass(frozen=True, slots=True)
class TypedAnswer:
    """What an agent gave with its call of `answer`, normalised."""

    outcome: Outcome
    fields: Mapping[str, Value]
    message: str = ""
    """What it tells the person."""


def outline(form: Sequence[AnswerField]) -> str:
    """The fields in one line, for the instructions of a task.

    Example:
        >>> outline((AnswerField("total", "money", "The order's total", unit="EUR"),))
        "total (the order's total, in EUR, such as 12.50)"
    """
    parts = []
    for field in form:
        text = field.described
        listed = f": {' | '.join(field.values)}" if field.values else ""
        several = "list of: " if field.many else ""
        parts.append(f"{field.name} ({several}{text[:1].lower()}{text[1:]}{listed})")
    return "; ".join(parts)
