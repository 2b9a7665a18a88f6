"""A fault plan: rules as plain data, that a person can write, print and diff; and its compilation.

    {"version": 1, "name": "a lost write", "rules": [
     {"kind": "lost_ack", "route": "cancel_order", "trigger": {"nth": 1}},
     {"kind": "rate_limited", "trigger": {"first": 1}, "params": {"retry_after": 45}}
    ]}

Compiling turns rules and a seed into the explicit schedule that the fault layer follows and that the
trace stores.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from faultgym.core.bank import banked
from faultgym.core.errors import PlanError
from faultgym.core.hashing import hash_to_unit, stable_hash
from faultgym.core.json import JSON, normalized_numbers
from faultgym.core.suggest import did_you_mean
from faultgym.tools.faults.layer import FaultSchedule
from faultgym.tools.faults.registry import kind_named
from faultgym.tools.faults.rules import Border, PlanIn, RuleIn, rule_lines
from faultgym.tools.faults.types import HORIZON, LARGEST, REVISION, ScheduledFault

How = Literal["nth", "first", "every", "from", "calls", "seconds", "probability"]
Scalar = str | int | float | bool
B = TypeVar("B", bound=Border)


@dataclass(frozen=True, slots=True)
class Trigger:
    """When a rule fires, counted in calls that it is aimed at and that its kind can strike."""

    how: How
    """`nth`: at these calls. `first`: at the first k. `every`: at every n-th. `from`: at the n-th and all
    after it. `calls`: from call a to call b. `seconds`: in the virtual time [a, b). `probability`: at each
    call with this chance, by a hash."""
    values: tuple[float, ...]
    after_write: bool = False
    """Only once the effect log holds a write."""

    def __post_init__(self) -> None:
        """Give equal triggers equal numbers: seconds and chances are floats, counts are integers."""
        number = float if self.how in ("seconds", "probability") else int
        object.__setattr__(self, "values", tuple(map(number, self.values)))


@dataclass(frozen=True, slots=True)
class FaultRule:
    """One line of a plan: a kind, what it is aimed at, and when."""

    kind: str
    trigger: Trigger
    _: KW_ONLY
    tool: str = ""
    """Only calls of this tool; empty for any."""
    route: str = ""
    """Only this operation, or for SQL `read` or `write`; empty for any."""
    match: tuple[tuple[str, str], ...] = ()
    """(argument, text) pairs that the request must contain."""
    params: tuple[tuple[str, Scalar], ...] = ()
    """The kind's parameters where they are not its defaults."""

    def __post_init__(self) -> None:
        """Give equal rules equal numbers: `30.0` becomes `30`."""
        pairs = tuple((name, normalized_numbers(value)) for name, value in self.params)
        object.__setattr__(self, "params", pairs)

    def to_data(self) -> JSON:
        """The rule as JSON data, in the order in which a person would write it."""
        trigger = self.trigger
        values = [int(v) if float(v).is_integer() else v for v in trigger.values]
        pair = trigger.how in ("calls", "seconds") or len(values) > 1
        when: JSON = {trigger.how: values if pair else values[0]}
        if trigger.after_write:
            when["after_write"] = True
        data: JSON = {"kind": self.kind, "tool": self.tool, "route": self.route, "match": dict(self.match)}
        data = {name: value for name, value in data.items() if value}
        return {**data, "trigger": when, **({"params": dict(self.params)} if self.params else {})}


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """What may break, independent of any seed. Hashable, so that compiling is done once."""

    name: str = ""
    rules: tuple[FaultRule, ...] = ()

    @staticmethod
    def from_rules(rules: Iterable[Mapping[str, Any]], name: str = "") -> FaultPlan:
        """A plan of rules in their JSON form.

        Args:
            rules: What stands under `rules` in a plan's file.
            name: The plan's name, also for messages.

        Raises:
            PlanError: A rule is wrong; the message says which and why.

        Example:
            >>> plan = FaultPlan.from_rules([{"kind": "timeout", "trigger": {"nth": 1}}], "one timeout")
            >>> print(plan.to_json(), end="")
            {"version": 1, "name": "one timeout", "rules": [
              {"kind": "timeout", "trigger": {"nth": 1}}
             ]}
        """
        where = name or "plan"
        return FaultPlan(name, tuple(_rule(data, f"{where}, rule {n}") for n, data in enumerate(rules, 1)))

    @staticmethod
    def from_json(text: str, source: str = "plan") -> FaultPlan:
        """The plan in a JSON text.

        Args:
            text: The whole file.
            source: What the messages call the file.

        Raises:
            PlanError: The text is no valid plan; the message gives the line, the rule and the reason.
        """
        try:
            data = json.loads(text, parse_constant=_refuse)
        except json.JSONDecodeError as error:
            raise PlanError(f"{source} line {error.lineno}: not valid JSON: {error.msg}") from None
        except RecursionError:
            raise PlanError(f"{source}: nested too deep") from None
        except ValueError as error:
            raise PlanError(f"{source}: {error}") from None
        outer = _checked(PlanIn, data, source)
        lines = rule_lines(text)
        return FaultPlan(
            outer.name,
            tuple(_rule(r, f"{source} line {lines[n]}, rule {n + 1}") for n, r in enumerate(outer.rules)),
        )

    def to_json(self) -> str:
        """The plan as JSON text, one rule to a line; equal plans give equal text."""
        rules = ",\n".join(f"  {json.dumps(rule.to_data(), ensure_ascii=False)}" for rule in self.rules)
        body = f"[\n{rules}\n ]" if rules else "[]"
        return f'{{"version": 1, "name": {json.dumps(self.name, ensure_ascii=False)}, "rules": {body}}}\n'

    def __add__(self, other: FaultPlan) -> FaultPlan:
        """Both plans' rules, these first."""
        return FaultPlan(self.name or other.name, self.rules + other.rules)


def _hint(name: str, known: Iterable[str]) -> str:
    near = did_you_mean(name, known, 2)
    return f"; {near}" if near else ""


def _checked(model: type[B], data: Any, where: str) -> B:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False)
        first = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
        place = ".".join(str(p) for p in first["loc"])
        if first["type"] == "extra_forbidden":
            known = model.names(first["loc"])
            hint = _hint(str(first["loc"][-1]), known) or f"; known are {', '.join(known)}"
            raise PlanError(f"{where}: there is no field {place!r}{hint}") from None
        message = first["msg"].removeprefix("Value error, ")
        raise PlanError(f"{where}: {place + ': ' if place else ''}{message[0].lower()}{message[1:]}") from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _rule(data: Any, where: str) -> FaultRule:
    """One validated rule; `where` begins the message of the `PlanError` that it may raise."""
    given = _checked(RuleIn, data, where)
    try:
        found = kind_named(given.kind)
    except PlanError as error:
        raise PlanError(f"{where}: {error}") from None
    if given.channel not in ("", found.channel):
        raise PlanError(f"{where}: {given.kind} is of the channel {found.channel}, not {given.channel}")
    if given.route and found.channel in ("search", "tool"):
        raise PlanError(f"{where}: {given.kind} is of the channel {found.channel}, which has no routes: aim by tool")
    if given.route and found.channel == "sql" and given.route not in ("read", "write"):
        raise PlanError(f"{where}: the routes of SQL are read and write, not {given.route!r}")
    for name, value in given.params.items():
        if name not in found.params:
            known = ", ".join(found.params) or "none"
            raise PlanError(f"{where}: {given.kind} has no parameter {name!r}; it has: {known}")
        default = found.params[name]
        wanted = bool if isinstance(default, bool) else (int, float) if isinstance(default, int | float) else str
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise PlanError(f"{where}: the parameter {name!r} of {given.kind} cannot be {value!r}")
        if name == REVISION and not (type(value) is int and found.plays(value)):
            known = " or ".join(map(str, sorted({*found.earlier, found.revision})))
            raise PlanError(f"{where}: {given.kind} can be played in revision {known}, not {value!r}")
        if isinstance(value, int | float) and not isinstance(value, bool) and not 0 < value <= LARGEST:
            bounds = f"above 0 and at most {LARGEST:g}"
            raise PlanError(f"{where}: the parameter {name!r} of {given.kind} must be {bounds}, not {value!r}")
    how, values = given.trigger.chosen()
    return FaultRule(
        given.kind,
        Trigger(how, values, given.trigger.after_write),
        tool=given.tool,
        route=given.route,
        match=tuple(sorted(given.match.items())),
        params=tuple(sorted(given.params.items())),
    )


def check_aims(plan: FaultPlan, whose: str, routes: Iterable[str], tools: Iterable[str]) -> None:
    """Refuse rules that no call can ever meet, for there is nothing of the name that they are aimed at.

    Args:
        plan: The plan.
        whose: The subject of the message: `the suite orders`.
        routes: The operations of the service.
        tools: The tools that may be offered.

    Raises:
        PlanError: A rule names another route or tool; the message says which, and the nearest that there is.
    """
    known = {"route": tuple(routes), "tool": tuple(tools)}
    for number, rule in enumerate(plan.rules, 1):
        of_service = kind_named(rule.kind).channel == "http"
        for what, name in (("route", rule.route if of_service else ""), ("tool", rule.tool)):
            if name and name not in known[what]:
                hint = _hint(name, known[what]) or f"; there are {', '.join(known[what])}"
                place = f"{plan.name or 'plan'}, rule {number} ({rule.kind})"
                raise PlanError(f"{place}: {whose} has no {what} {name!r}{hint}")


def same_plan(stored: FaultSchedule, own: FaultSchedule) -> bool:
    """Whether a stored schedule is what its plan gives today, or gave when its kinds were of earlier revisions.

    Args:
        stored: The schedule of a trace; version 0.1 left out calls beyond the listed ones.
        own: What the trace's plan and seed give now.
    """
    plain, now = _without(stored, REVISION), _without(own, REVISION)
    return plain in (now, _without(now, "every", "probability"))


def _without(schedule: FaultSchedule, *names: str) -> FaultSchedule:
    return tuple(replace(fault, params={n: v for n, v in fault.params.items() if n not in names}) for fault in schedule)


@banked("tasks", 16_384)
def compile_plan(plan: FaultPlan, seed: int) -> FaultSchedule:
    """The explicit schedule of a plan under a seed: what the fault layer follows and the trace stores.

    All choices are hashes of the seed and the rule's own content, so that neither the order of the
    rules nor that of the calls, nor a fork, can change them.

    Args:
        plan: The plan.
        seed: Fixes the calls of `probability` triggers, and the salt of each kind's own choices.

    Returns:
        One entry for each rule, in the plan's order; an entry's id is the index of its rule.

    Raises:
        PlanError: A rule is of a kind that does not exist.

    Example:
        >>> plan = FaultPlan.from_rules([{"kind": "timeout", "trigger": {"first": 2}}])
        >>> [fault.ordinals for fault in compile_plan(plan, 0)]
        [(1, 2)]
    """
    counts: dict[FaultRule, int] = {}
    schedule = []
    for id_, rule in enumerate(plan.rules):
        counts[rule] = counts.get(rule, 0) + 1
        schedule.append(_compiled(id_, rule, stable_hash(seed, _content(rule), counts[rule])))
    return tuple(schedule)


def _content(rule: FaultRule) -> str:
    """The text that stands for a rule in its hash: that of version 0.1, for another would change every schedule."""
    trigger = rule.trigger
    when = f"Trigger(how={trigger.how!r}, values={trigger.values!r}, after_write={trigger.after_write!r})"
    aim = f"tool={rule.tool!r}, route={rule.route!r}, match={rule.match!r}"
    return f"Rule(kind={rule.kind!r}, trigger={when}, {aim}, params={rule.params!r})"


def _compiled(id_: int, rule: FaultRule, key: int) -> ScheduledFault:
    params = {**kind_named(rule.kind).params, **dict(rule.params), "salt": key % 2**31}
    bare = ScheduledFault(
        id_,
        rule.kind,
        tool=rule.tool,
        route=rule.route,
        match=rule.match,
        after_write=rule.trigger.after_write,
        params={name: value for name, value in params.items() if value is not None},
    )
    how, values = rule.trigger.how, rule.trigger.values
    whole = [int(v) for v in values]
    if how == "from":
        return replace(bare, onward=whole[0])
    if how == "seconds":
        return replace(bare, onward=1, seconds=(values[0], values[1]))
    if how == "nth":
        return replace(bare, ordinals=tuple(sorted(set(whole))))
    if how == "first":
        return replace(bare, ordinals=tuple(range(1, whole[0] + 1)))
    if how == "calls":
        return replace(bare, ordinals=tuple(range(whole[0], whole[1] + 1)))
    if how == "every":
        ordinals = tuple(range(whole[0], HORIZON + 1, whole[0]))
        return replace(bare, ordinals=ordinals, params={**bare.params, "every": whole[0]})
    drawn = tuple(n for n in range(1, HORIZON + 1) if hash_to_unit(key, rule.tool, n) < values[0])
    return replace(bare, ordinals=drawn, params={**bare.params, "probability": values[0]})
