"""Presets: named intensities of faults.

A preset is made for one task: it knows which routes and tools the reference solution visits, so that
the faults it chooses will really be met.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from faultgym.core.errors import PlanError
from faultgym.core.hashing import stable_hash
from faultgym.core.json import JSON
from faultgym.core.suggest import did_you_mean
from faultgym.tools.faults.named import COMPOUNDS, named_plans
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.faults.registry import FAULT_KINDS
from faultgym.tools.faults.types import Contract, Kind, Site

T = TypeVar("T")

PRESETS = ("clean", "mild", "rough", "hostile", "outage")
"""Nothing; one visible fault with a way past; up to three; silent and compound ones; no API at all."""

HELD_OUT_KINDS = frozenset(
    """
    gateway_timeout reset double_encoded invalid_json connection_lost search_timeout
    unavailable locked
    unprocessable nested_field missing_table misleading_error
    gone
    unit_swap stale_replica
    lost_page snippet_cut
    """.split()
)
"""Kinds that no training preset holds: about a quarter, of every contract that has two kinds or more."""


TRAIN_KINDS = frozenset(FAULT_KINDS.own) - HELD_OUT_KINDS
"""All other built-in kinds: what packages add to the catalogue changes no preset."""


def kinds_for(site: Site) -> list[Kind]:
    """The built-in kinds that can strike at a site, in the order of the catalogue."""
    return [k for k in FAULT_KINDS.own.values() if k.channel == site.channel and k.targets(site)]


@dataclass(frozen=True, slots=True)
class _Choice:
    """A kind at a site that is visited so many times."""

    kind: Kind
    site: Site
    visits: int


def preset(name: str, seed: int, sites: Sequence[Site], *, held_out: bool = False) -> FaultPlan:
    """The plan of a preset for one task, with fewer rules, or none, where nothing suits the task.

    Args:
        name: One of `PRESETS`.
        seed: The same seed and sites give the same plan.
        sites: Where the task's reference solution passes the fault layer, once for each visit.
        held_out: Draw from `HELD_OUT_KINDS` only; otherwise none of them is drawn.

    Raises:
        PlanError: There is no such preset.

    Example:
        >>> [rule.kind for rule in preset("outage", 0, []).rules]
        ['outage']
        >>> len(preset("mild", 0, [Site("sql", "sql", "read")]).rules)
        1
    """
    if name not in PRESETS:
        hint = did_you_mean(name, PRESETS)
        raise PlanError(
            f"there is no fault preset {name!r}{f'; {hint}' if hint else ''}; the presets are {', '.join(PRESETS)}"
        )
    if name in ("clean", "outage"):
        return named_plans()[name]
    allowed = HELD_OUT_KINDS if held_out else TRAIN_KINDS
    choices = [c for c in _choices(sites) if c.kind.name in allowed]
    visible = [c for c in choices if c.kind.visible and c.kind.contract is not Contract.IGNORE]
    rules: list[JSON] = []
    if name == "mild":
        _draw(rules, visible, seed, 1)
    elif name == "rough":
        _draw(rules, visible, seed, 1 + stable_hash(seed, "how many") % 3)
    else:
        silent = [c for c in choices if not c.kind.visible and c.kind.contract is Contract.VERIFY]
        _draw(rules, silent, seed, 1)
        rules += _compound(sites, seed, allowed, _routes(rules))
        _draw(rules, [c for c in choices if c.kind.contract is Contract.IGNORE], seed, 1)
        if len(rules) < 2:
            _draw(rules, visible, seed, 2)
    return FaultPlan.from_rules(rules, name)


def _choices(sites: Sequence[Site]) -> list[_Choice]:
    """What can strike and leaves a way past, as far as a site can tell."""
    visits = Counter(sites)
    return [
        _Choice(k, site, count)
        for site, count in visits.items()
        for k in kinds_for(site)
        if _leaves_a_way(k, site, visits)
    ]


_ONE_ROUTE = frozenset({"forbidden", "null_field", "stale_value", "wrong_entity", "unit_swap"})
"""Kinds that take one route out, so that there must be another."""
_SEVERAL_PAGES = frozenset({"page_loop", "lost_page", "unstable_order", "expired_cursor"})
_WHOLE_LISTS = _SEVERAL_PAGES | {"duplicate_rows", "missing_rows", "extra_noise"}
_NEVER = frozenset({"outage", "readonly", "slow"})


def _leaves_a_way(kind: Kind, site: Site, visits: Mapping[Site, int]) -> bool:
    if kind.name in _NEVER or site.route == "issue_token":
        return False
    if kind.name in _SEVERAL_PAGES:
        return visits[site] > 1
    if site.listing and kind.contract in (Contract.REPAIR, Contract.VERIFY) and kind.pinned:
        return kind.name in _WHOLE_LISTS
    if kind.name in _ONE_ROUTE:
        return bool(site.successor)
    if kind.name == "tool_removed":
        return any(s.tool == site.tool == s.route and s.successor and not s.write for s in visits)
    if kind.name == "misleading_error":
        return site.tool not in ("search", "sql")
    if kind.name in ("renamed_column", "missing_table"):
        return site.route == "read"
    if kind.name == "serialization_failure":
        return visits[site] > 1
    return True


def _draw(rules: list[JSON], choices: Sequence[_Choice], seed: int, count: int) -> None:
    """Add up to `count` rules: each of another kind, none where another rule already is."""
    for n in range(count):
        free = [c for c in choices if _place(c.site) not in _routes(rules)]
        free = [c for c in free if c.kind.name not in {rule["kind"] for rule in rules}]
        if not free:
            return
        key = stable_hash(seed, n, sorted({c.kind.name for c in free}))
        contract = _one(sorted({c.kind.contract for c in free}), key, "contract")
        named = _one(sorted({c.kind.name for c in free if c.kind.contract == contract}), key, "kind")
        rules.append(_aimed(_one([c for c in free if c.kind.name == named], key, "site"), key))


def _one(options: Sequence[T], key: int, what: str) -> T:
    return options[stable_hash(key, what) % len(options)]


def _place(site: Site) -> str:
    return site.route if site.channel == "http" else site.tool


def _routes(rules: Iterable[JSON]) -> set[str]:
    return {rule.get("route") or rule.get("tool", "") for rule in rules}


def _aimed(choice: _Choice, key: int) -> JSON:
    """The rule for a choice: at one of the visits, or, for kinds that clear, at the first one or two."""
    kind, site = choice.kind, choice.site
    aim = {"route": site.route} if site.channel == "http" else {"tool": site.tool}
    nth = 1 + stable_hash(key, "nth") % choice.visits
    trigger: JSON = {"nth": nth}
    if kind.persists_while is None and kind.phase == "before" and nth == 1:
        trigger = {"first": 1 + stable_hash(key, "first") % 2}
    if kind.varies is not None and kind.channel == "http" and site.successor and stable_hash(key, "onward") % 3 == 0:
        trigger = {"from": nth}
    return {"kind": kind.name, **aim, "trigger": trigger}


def _compound(sites: Sequence[Site], seed: int, allowed: frozenset[str], taken: set[str]) -> list[JSON]:
    """The rules of one compound at one of the sites where no rule is yet."""
    free = [site for site in dict.fromkeys(sites) if _place(site) not in taken]
    drawn = [list(c.rules(site)) for site in free for c in COMPOUNDS.values() if c.targets(site)]
    found = [rules for rules in drawn if allowed.issuperset(rule["kind"] for rule in rules)]
    return _one(found, stable_hash(seed, "compound"), "which") if found else []
