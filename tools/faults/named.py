"""Plans that have a name: nothing, an outage, and compounds of faults that make one another harder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faultgym.core.bank import banked
from faultgym.core.errors import PlanError
from faultgym.core.json import JSON
from faultgym.core.suggest import did_you_mean
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.faults.types import Site


@dataclass(frozen=True, slots=True)
class Compound:
    """A few rules that belong together."""

    summary: str
    targets: Callable[[Site], bool]
    """Whether it can be aimed at this site."""
    rules: Callable[[Site], Sequence[JSON]]


def _at(kind: str, route: str = "", **trigger: Any) -> JSON:
    after_write = trigger.pop("after_write", False)
    when = {**trigger, **({"after_write": True} if after_write else {})}
    return {"kind": kind, "trigger": when, **({"route": route} if route else {})}


def _http(site: Site) -> bool:
    return site.channel == "http" and bool(site.route)


COMPOUNDS: Mapping[str, Compound] = {
    "burst": Compound(
        "a timeout, and the repeat meets a 500",
        _http,
        lambda site: [_at("timeout", site.route, nth=1), _at("server_error", site.route, nth=1)],
    ),
    "cut_twice": Compound(
        "a gateway's timeout, and the repeat is reset",
        _http,
        lambda site: [_at("gateway_timeout", site.route, nth=1), _at("reset", site.route, nth=1)],
    ),
    "intermittent": Compound(
        "every third request meets a bad gateway", _http, lambda site: [_at("bad_gateway", every=3)]
    ),
    "token_expires_while_waiting": Compound(
        "a rate limit, and after the wait the token has expired",
        _http,
        lambda site: [_at("rate_limited", site.route, nth=1), _at("unauthorized", site.route, nth=1)],
    ),
    "new_token_fails": Compound(
        "the token has expired, and asking for a new one fails at first",
        _http,
        lambda site: [_at("unauthorized", site.route, nth=1), _at("server_error", "issue_token", first=1)],
    ),
    "loop_under_limit": Compound(
        "pages loop, and the next request meets a rate limit",
        lambda site: _http(site) and site.listing,
        lambda site: [_at("page_loop", site.route, nth=1), _at("rate_limited", site.route, nth=2)],
    ),
    "lost_write_then_timeout": Compound(
        "a write's answer is lost, and the first request after it times out",
        lambda site: _http(site) and site.write,
        lambda site: [_at("lost_ack", site.route, nth=1), _at("timeout", first=1, after_write=True)],
    ),
    "moved_and_limited": Compound(
        "the route has moved, and the new one is rate limited",
        lambda site: _http(site) and bool(site.successor) and not site.write,
        lambda site: [_at("not_found_moved", site.route, nth=1), _at("rate_limited", site.successor, nth=1)],
    ),
}
"""Bursts, intermittent faults, two that interact, and faults on the way of recovery itself."""


OUTAGE: JSON = {"kind": "outage", "trigger": {"from": 1}}


@banked("tasks", 1)
def named_plans() -> dict[str, FaultPlan]:
    """The plans that need no task: `clean`, `outage`, and each compound aimed at any route."""
    anywhere = Site("http", "", successor="")
    plans = {"clean": FaultPlan("clean"), "outage": FaultPlan.from_rules([OUTAGE], "outage")}
    return plans | {n: FaultPlan.from_rules(c.rules(anywhere), n) for n, c in COMPOUNDS.items()}


def load_plan(path_or_name: str) -> FaultPlan:
    """A plan from a JSON file, or one that has a name.

    Args:
        path_or_name: The path of a plan in JSON, or one of `named_plans`.

    Raises:
        PlanError: There is no such plan (the message gives the nearest names), or the file cannot be read or is wrong.

    Example:
        >>> [rule.kind for rule in load_plan("burst").rules]
        ['timeout', 'server_error']
    """
    named = named_plans()
    if path_or_name in named:
        return named[path_or_name]
    path = Path(path_or_name)
    if path.suffix != ".json" and not path.is_file():
        hint = did_you_mean(path_or_name, named, 2)
        raise PlanError(
            f"there is no fault plan {path_or_name!r}{f'; {hint}' if hint else ''}; give a JSON file or one of "
            + ", ".join(named)
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"cannot read the plan {path_or_name}: {error}") from None
    return FaultPlan.from_json(text, path.name)
