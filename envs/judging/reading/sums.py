"""Line items that add up: amounts that are parts of the wanted one, or that it is worked out from."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from itertools import product

MOST_PARTS = 3
"""Other amounts that are tried together, each several times."""
MOST_TERMS = 6
"""Other amounts that are tried together, each once."""
MOST_TIMES = 4
"""Numbers of pieces that are tried."""
MOST_COUNT = 20
"""The largest whole number that is taken for a number of pieces."""


def adds_up(
    part: Decimal, whole: Decimal, amounts: Iterable[Decimal], counts: Iterable[Decimal], *, less: bool = True
) -> bool:
    """Whether an amount is an item of a sum or a difference that gives the whole.

    Args:
        part: The amount in question.
        whole: What is wanted.
        amounts: All amounts that the text mentions.
        counts: Whole numbers that the text mentions, as numbers of pieces.
        less: Whether amounts may be taken off, as a fee is from a price; minutes and errors are only added.

    Example:
        >>> prices = [Decimal(21450), Decimal(1290)]
        >>> adds_up(Decimal(1290), Decimal(24030), prices, [Decimal(2)])
        True
        >>> adds_up(Decimal(1290), Decimal(24030), prices, [])
        False
    """
    amounts = list(dict.fromkeys(a for a in amounts if a != whole))
    times = sorted({Decimal(1), *(c for c in counts if 1 < c <= MOST_COUNT)})[:MOST_TIMES]
    for count in times[1:]:
        if count * part == whole or (count * part in amounts and _is_term(count * part, whole, amounts, times, less)):
            return True
    return _is_term(part, whole, amounts, times, less)


def _is_term(part: Decimal, whole: Decimal, amounts: list[Decimal], times: list[Decimal], less: bool) -> bool:
    """Whether the part, some times, and others of the amounts, added or taken off, give the whole."""
    rest = [a for a in amounts if a != part]
    many = len(rest) >= MOST_PARTS
    terms = [Decimal(1)] if many else times
    signed = [Decimal(0), *terms, *(-t for t in terms if less)]
    for others in product(signed, repeat=min(len(rest), MOST_TERMS if many else MOST_PARTS)):
        if not any(others):
            continue
        total = sum((t * amount for t, amount in zip(others, rest, strict=False)), Decimal(0))
        if any(whole == total + own * part or (less and whole == total - own * part) for own in terms):
            return True
    return False
