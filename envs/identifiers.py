"""What the identifiers of a suite's records look like: one of its prefixes, a hyphen, up to nine digits.

`Suite.identifiers` gives the rule of one suite. Where no suite is known, `ANY_IDENTIFIER` of the tools takes every
word of capitals for a prefix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from faultgym.core.bank import banked
from faultgym.tools.declare import ANY_IDENTIFIER, IDENTIFIER_DIGITS

__all__ = ["ANY_IDENTIFIER", "EMAIL", "SHARED_PREFIXES", "Identifiers", "declared_prefix", "identifiers_with"]

SHARED_PREFIXES = ("DOC",)
"""Prefixes that every suite has: those of the documents that search finds."""
EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
"""Addresses, which name a customer as an identifier does."""
_ALONE = r"(?<![\w.-])[0-9]{4,9}(?![\w.-])"
"""A number that may be an identifier without its prefix."""
_DECLARED = re.compile(r"\^\((\w+)-\)")


class Identifiers:
    """How the identifiers of one suite are found, recognised and shortened.

    Args:
        prefixes: The suite's own prefixes, such as `ORD`; `SHARED_PREFIXES` are added.

    Example:
        >>> orders = identifiers_with(("ORD", "CUS"))
        >>> orders.found("ORD-10422 of CUS-7, as UTF-8")
        ['ORD-10422', 'CUS-7']
        >>> orders.bare("ORD-10422")
        '10422'
    """

    def __init__(self, prefixes: Iterable[str]):
        self.prefixes = tuple(dict.fromkeys((*prefixes, *SHARED_PREFIXES)))
        names = "|".join(map(re.escape, sorted(self.prefixes, key=len, reverse=True)))
        self._whole = re.compile(rf"\b(?:{names})-{IDENTIFIER_DIGITS}\b")
        self._any_case = re.compile(self._whole.pattern, re.IGNORECASE)
        self._numbers = re.compile(rf"\b(?:{names})-({IDENTIFIER_DIGITS})\b|({_ALONE})")
        self._prefix = re.compile(rf"(?:{names})-(?={IDENTIFIER_DIGITS}$)")
        self._canonical = {prefix.upper(): prefix for prefix in self.prefixes}

    def found(self, text: str) -> list[str]:
        """The identifiers in a text, in its order, repetitions included."""
        return self._whole.findall(text)

    def found_in_any_case(self, text: str) -> list[str]:
        """The identifiers in a text, also those written as `ord-10422`; all in the suite's own spelling."""
        return [self.spelled(match) for match in self._any_case.findall(text)]

    def first(self, text: str) -> str | None:
        """The first identifier in a text."""
        match = self._whole.search(text)
        return match[0] if match else None

    def matches(self, value: object) -> bool:
        """Whether a value is a text that consists of one identifier."""
        return isinstance(value, str) and self._whole.fullmatch(value) is not None

    def prefix(self, value: str) -> str:
        """The prefix of an identifier; empty when the value is none."""
        return value.rpartition("-")[0] if self.matches(value) else ""

    def bare(self, value: str) -> str:
        """The value without the prefix of the identifier at its end; any other value as it is."""
        return self._prefix.sub("", value)

    def numbers(self, text: str) -> set[str]:
        """The digits of the identifiers in a text, and numbers that may be identifiers without their prefix."""
        return {prefixed or alone for prefixed, alone in self._numbers.findall(text)}

    def spelled(self, value: str) -> str:
        """An identifier with its prefix as the suite writes that prefix; an unknown prefix stays as it is."""
        prefix, _, digits = value.rpartition("-")
        return f"{self._canonical.get(prefix.upper(), prefix)}-{digits}"


@banked("code", 64)
def identifiers_with(prefixes: tuple[str, ...]) -> Identifiers:
    """The rule for these prefixes, compiled once.

    Args:
        prefixes: The suite's own prefixes, such as `ORD`; `SHARED_PREFIXES` are added.
    """
    return Identifiers(prefixes)


def declared_prefix(parameter: Mapping[str, Any]) -> str:
    """The prefix of the identifiers that a parameter takes; empty where the parameter takes none.

    Args:
        parameter: The parameter's JSON Schema.

    Example:
        >>> declared_prefix({"type": "string", "pattern": "^(ORD-)?[0-9]{1,9}$"})
        'ORD'
    """
    match = _DECLARED.match(str(parameter.get("pattern", "")))
    return match[1] if match else ""
