"""Whether the changes of the world bear out what a text claims was done."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet

from faultgym.envs.judging.answers import read
from faultgym.envs.judging.reading.names import identifiers
from faultgym.envs.judging.reading.question import Question
from faultgym.envs.judging.reading.work import VERBS, WorkClaim
from faultgym.envs.worlds.changes import Change

_EVIDENCE = {
    "addres": "address", "note": "note", "notes": "note", "tag": "tag", "tags": "tag", "refund": "refund",
    "status": "stat",
    "replic": "replicas", "paymen": "payment", "releas": "release", "cause": "cause", "severi": "severity",
    "exchan": "exchange", "ticket": "ticket", "price": "price", "assign": "assignee", "sheet": "sheet",
    "postmo": "document", "custom": "customers", "profil": "customers", "accoun": "customers", "invoic": "invoice",
    "stock": "stock", "label": "label", "labels": "label", "parcel": "parcel", "alert": "alert", "alerts": "alert",
    "monito": "monitor",
}  # fmt: skip
"""The first letters of what was changed -> the word that the change then holds; dates of orders are never changed."""
STRONG = frozenset({"cancel", "refund", "exchange", "restart", "scale", "roll", "acknowledge", "assign", "resolve"})
_ASKED_AS = {
    "swap": "exchange",
    "reboot": "restart",
    "revert": "roll",
    "withdraw": "roll",
    "undo": "roll",
    "close": "resolve",
}


def unsupported(
    claims: Iterable[WorkClaim],
    made: Iterable[Change],
    asked: Question,
    *,
    writes: bool,
    holds: Callable[[str, tuple[str, ...]], bool],
) -> str:
    """The words of the first claim that the changes of the world do not bear out; empty where there is none.

    Args:
        claims: The claims of a text.
        made: What changed in the world.
        asked: What was asked: verbs that it uses make a claim of a description.
        writes: Whether the task wants a change made, or reports one that cannot be made.
        holds: Whether a record, by its identifier, holds one of some words: a description of it is then no claim.
    """
    made = list(made)
    evidence = [f"{c.op} {c.table} {c.key} {' '.join(f'{k} {v}' for k, v in c.values)}".lower() for c in made]
    most = max(Counter(c.table for c in made).values(), default=0)
    verbs = {_ASKED_AS.get(v, v) for v in asked.asks_for_work}
    for claim in claims:
        if not claim.mine and not _is_claim(claim, verbs, writes, holds):
            continue
        if claim.verb == "done" and not writes:
            continue
        if claim.verb == "contact" and " by " in claim.words and f" {claim.words.rpartition(' ')[2]} " in asked.plain:
            continue  # how the customer was in touch stands in the instruction
        strange = claim.verb == "change" and _sets_another(claim, evidence, asked)
        if strange or not _borne_out(claim, evidence) or _is_of_others(claim, evidence, asked):
            return claim.words
        if claim.again:
            return f"{claim.words} more than once"
        if claim.many and most < 2:
            return f"{claim.words}, of several"
    return ""


def _is_claim(
    claim: WorkClaim, verbs: AbstractSet[str], writes: bool, holds: Callable[[str, tuple[str, ...]], bool]
) -> bool:
    """Whether a statement in the passive says that something was done just now, rather than how a record stands."""
    if claim.verb in verbs & STRONG:
        return True
    if claim.verb in ("pay", "escalate"):
        return writes
    if claim.verb == "assign":
        return False  # who has a record is how it stands
    if claim.verb == "never":
        return False
    if claim.verb not in STRONG:
        return writes and claim.verb in ("change", "schedule", "done")
    if claim.names:
        return not any(holds(name, VERBS[claim.verb][1]) for name in claim.names)
    return writes and claim.verb not in ("assign", "acknowledge", "resolve")


def _borne_out(claim: WorkClaim, evidence: list[str]) -> bool:
    """Whether a change is of the kind that a claim speaks of."""
    if claim.verb in ("contact", "ongoing"):
        return False  # nobody can be written to, and after the last word nothing goes on
    needed = ("",) if claim.verb == "done" else VERBS[claim.verb][1]
    if claim.verb == "change" and _PROFILE.match(claim.rest):
        return any("customers" in each for each in evidence)
    made = _MADE.search(claim.words) if claim.verb == "change" else None
    if made and claim.what.removesuffix("s") in _RECORDS:
        return any(each.startswith(f"insert {claim.what.removesuffix('s')}s ") for each in evidence)
    if claim.verb in ("refund", "pay") and claim.amount and not _holds_amount(claim.amount, evidence):
        return False
    if claim.verb == "change" and claim.what:
        if "date" in claim.what:
            return False
        noun = _EVIDENCE.get(claim.what[:6])
        needed = (noun,) if noun else needed
    return any(word in each for each in evidence for word in needed)


def _holds_amount(amount: str, evidence: list[str]) -> bool:
    """Whether a change holds an amount, in cents, or none holds any."""
    held = {int(n) for each in evidence for n in re.findall(r"amount_cents (\d+)", each)}
    return not held or any(cents in held for cents in read(f"{amount} eur").cents)


_MADE = re.compile(r"\b(?:created|placed|booked)$")
_RECORDS = frozenset({"order", "incident", "service", "customer"})
"""What is never changed by making another."""


def _sets_another(claim: WorkClaim, evidence: list[str], asked: Question) -> bool:
    """Whether a claim names a new value that neither a change nor the question has: `set the order to on hold`."""
    match = _TO.match(claim.rest) or _TO_STATE.match(claim.rest)
    if match is None:
        return False
    value = match["value"]
    if value.isdigit():
        return not any(re.search(rf"\b{value}\b", each) for each in evidence)
    return not any(value in each for each in evidence) and f" {value} " not in asked.plain


_PROFILE = re.compile(r"[^,;]{0,40}\b(?:customer's|account|profile)\b")
_TO_STATE = re.compile(
    r" [a-z]{2,8}-\d+ (?:back )?to (?P<value>open|pending|paid|packed|shipped|delivered|returned|cancelled|"
    r"closed|resolved|acknowledged|healthy|degraded)\b"
)
_TO = re.compile(
    r" (?:the |its |this )?(?:order|incident|service|status|state|it|severity|priority)(?: \S+)? "
    r"(?:to|on) (?P<value>[a-z-]{4,}|\d+(?= replicas|\W*$| for\b))\b"
)


def _is_of_others(claim: WorkClaim, evidence: list[str], asked: Question) -> bool:
    """Whether a claim names a record of a kind that was asked about or changed, and not one of those."""
    changed = " ".join(evidence)
    kinds = asked.prefixes | {m[0].partition("-")[0] for m in identifiers(changed)}
    kind = [name for name in claim.names if name.partition("-")[0] in kinds]
    touched = [name in asked.own or name in changed for name in kind]
    given = _FOR.match(claim.rest) if claim.mine else None
    if given and given["key"] in kind and not touched[kind.index(given["key"])]:
        return True
    return bool(kind) and not (all(touched) if claim.mine and claim.verb in _EACH else any(touched))


_FOR = re.compile(r"(?: (?!and\b|but\b|as\b)[\w'.-]+){0,6}? (?:for|to|with) (?:the )?(?P<key>[a-z]{2,8}-\d+)\b")
"""What something was exchanged for, moved to or set to."""
_EACH = frozenset({"cancel", "restart", "acknowledge", "resolve"})
"""Verbs whose every object has to be changed, where the speaker lists what it did."""
