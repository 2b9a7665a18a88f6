"""What a result's text itself gives away: that something is wrong with it, or that it is not all."""

from __future__ import annotations

from decimal import Decimal

from faultgym.envs.judging.answers import Atom, read
from faultgym.envs.reference_agent.reading import read_result


def gives(text: str, fact: Atom) -> bool:
    """Whether a text states a fact; an amount also as a bare number of cents, as the records hold it.

    Example:
        >>> gives("total_cents: 4200", Atom("money", "4200"))
        True
    """
    if fact.found_in(text):
        return True
    return fact.kind == "money" and Decimal(fact.text) in read(text).numbers


def looks_wrong(text: str) -> str:
    """Why an attentive reader would not take this result at its word; empty when nothing shows."""
    seen = read_result(text)
    if seen.trouble:
        return seen.trouble
    if "age" in seen.headers or "warning" in seen.headers:
        return "it is a stale copy"
    data = seen.data
    if not isinstance(data, dict):
        return ""
    if data.get("timed_out") or data.get("shards_failed"):
        return "the search was not complete"
    if data.get("truncated"):
        return "the result was cut"
    if data.get("source", "primary") != "primary":
        return f"it came from a {data['source']}"
    return "nothing was found" if data.get("hits") == [] else ""
