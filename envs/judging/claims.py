"""What a final text says of its own success: that something was done, does not exist, or could not be done."""

from __future__ import annotations

import re

from faultgym.envs.judging.reading.clauses import TextReading, reading
from faultgym.envs.judging.reading.outcomes import is_absence, is_down, is_unable, is_undone, statements
from faultgym.envs.judging.reading.work import work_claims

MOST_READ = 4_000
"""Characters of a text in which claims are looked for."""
_SORRY = re.compile(r"\b(?:sorry|apologi[sz]e|apologies|unable|was not able|wasn't able)\b")


def _read(text: str) -> TextReading:
    return reading(text[:MOST_READ])


def claims_absence(text: str) -> bool:
    """Whether the text says that something does not exist.

    Example:
        >>> claims_absence("I could not find that order."), claims_absence("The order is paid.")
        (True, False)
    """
    return any(is_absence(clause) for _, clause in statements(_read(text)))


def claims_blocked(text: str) -> bool:
    """Whether the text says that something could not be done and that a system is out of order."""
    said = [clause for _, clause in statements(_read(text))]
    return any(map(is_undone, said)) and any(map(is_down, said))


def claims_inability(text: str) -> bool:
    """Whether the text says in any way that something could not be done, or apologises."""
    said = _read(text)
    return _SORRY.search(said.plain) is not None or any(
        is_unable(clause) or is_absence(clause) or is_down(clause) for _, clause in statements(said)
    )


def claim_of_done(text: str) -> str:
    """The words by which a text says that something was done; empty where it says no such thing.

    A text that also says that something could not be done claims nothing.

    Example:
        >>> claim_of_done("ORD-10422 has been cancelled.")
        'has been cancelled'
        >>> claim_of_done("It is done for ORD-10422, but I could not tell the customer.")
        ''
    """
    if claims_inability(text):
        return ""
    claim = next(iter(work_claims(_read(text))), None)
    if claim is None:
        return ""
    found = re.search(re.escape(claim.words), text, re.IGNORECASE)
    return found[0] if found is not None else claim.words
