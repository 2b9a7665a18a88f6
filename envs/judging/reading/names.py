"""Identifiers in a text, such as `ord-10422`."""

from __future__ import annotations

import re
from string import ascii_lowercase

IDENTIFIER = re.compile(r"\b[a-z]{2,8}-\d{1,9}\b")
_NUMBER = re.compile(r"-(?<=[a-z]{2}-)[0-9]")
"""The middle of an identifier: it begins with a sign that is rare, which is found several times faster."""


def identifiers(plain: str) -> list[re.Match[str]]:
    """The identifiers in a folded text, such as `ord-10422`, with their places."""
    found = []
    for number in _NUMBER.finditer(plain):
        hyphen = number.start()
        start = max(0, hyphen - 9)
        start += len(plain[start:hyphen].rstrip(ascii_lowercase))
        match = IDENTIFIER.match(plain, start)
        if match is not None:
            found.append(match)
    return found
