"""Whether a number that nothing gave was worked out from what was read, rightly or wrongly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from faultgym.envs.judging.answers import Atom, read
from faultgym.envs.reference_agent.reading import read_result

MAX_NUMBERS = 400
"""Numbers of one result up to which each pair of them is tried."""
Row = dict[str, Any]


def worked_out(value: Atom, results: Iterable[str]) -> bool:
    """Whether a number is the sum or difference of two that a result gave, a total of a list, or its length.

    A list is also totalled and counted by each value of a field: the rows that are paid. The pages of a list are one.

    Args:
        value: The number or amount.
        results: The texts of the results that were read.
    """
    if value.kind not in ("number", "money"):
        return False
    target, read_results = Decimal(value.text), list(results)
    if target in set(_totals({"": _joined(read_results)})):
        return True
    for text in read_results:
        facts = read(text)
        numbers = facts.numbers if value.kind == "number" else facts.numbers | facts.cents
        if len(numbers) <= MAX_NUMBERS and any(target - n in numbers or target + n in numbers for n in numbers):
            return True
        if target == sum(numbers) or target in set(_totals(read_result(text).data)):
            return True
    return False


def _totals(data: Any) -> Iterator[Decimal]:
    """The length of each list of rows in a result and the sum of each of its columns, whole and by value."""
    for rows in _lists(data):
        counts: dict[Any, int] = defaultdict(int)
        sums: dict[Any, Decimal] = defaultdict(Decimal)
        for row in rows:
            groups = [None, *((name, item) for name, item in row.items() if isinstance(item, str))]
            for group in groups:
                counts[group] += 1
                for name, item in row.items():
                    if isinstance(item, int | float) and not isinstance(item, bool):
                        sums[group, name] += Decimal(str(item))
        yield from map(Decimal, counts.values())
        yield from sums.values()


def _joined(results: Iterable[str]) -> list[Row]:
    """The rows of all lists that have the columns of the last one, each row once."""
    lists = [rows for text in results for rows in _lists(read_result(text).data)]
    columns = set(lists[-1][0]) if lists else set()
    alike = [row for rows in lists if set(rows[0]) <= columns or columns <= set(rows[0]) for row in rows]
    return list({repr(sorted(row.items())): row for row in alike}.values())


def _lists(data: Any) -> Iterator[list[Row]]:
    if isinstance(data, dict):
        for item in data.values():
            yield from _lists(item)
    elif isinstance(data, list) and data:
        if all(isinstance(item, dict) for item in data):
            yield data
        for item in data:
            yield from _lists(item)
