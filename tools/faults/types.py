"""What a fault is: its kind, its place in the schedule, and the record of its firing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from faultgym.core.hashing import hash_to_unit, stable_hash
from faultgym.core.json import JSON
from faultgym.tools.context import WorldView
from faultgym.tools.exchange import Reply, Request
from faultgym.tools.types import ToolCall, ToolResult, ToolSpec

Channel = Literal["http", "sql", "search", "tool"]

HORIZON = 64
"""Applicable calls for which a schedule lists `every` and `probability` one by one; then the rule itself holds."""
LARGEST = 1e9
"""The largest number that a parameter of a kind may be."""
RESERVED = frozenset({"salt", "every", "probability"})
"""Names that a schedule's entry uses for itself among the parameters of its kind."""
REVISION = "revision"
"""The parameter of kinds that act otherwise than they once did: under which revision an entry was planned."""


class Contract(StrEnum):
    """The right next move after a fault. See the catalogue for the wrong ones."""

    RETRY = "RETRY"
    """The same call again, within the budget."""
    BACKOFF = "BACKOFF"
    """Wait as long as the response asks, then the same call."""
    REPAIR = "REPAIR"
    """The call, or one's reading of it, changed as the response says."""
    REROUTE = "REROUTE"
    """Another route or tool that gives the same fact."""
    REAUTH = "REAUTH"
    """A new token, then the same call."""
    RECONCILE = "RECONCILE"
    """Find out whether the write was applied, or repeat it under the same idempotency key."""
    VERIFY = "VERIFY"
    """Cross-check with a second source before relying on it."""
    CONTINUE = "CONTINUE"
    """Go on reading, drop duplicates, stop at a loop."""
    RESTORE = "RESTORE"
    """Finish or undo a change of several steps that was left half done."""
    IGNORE = "IGNORE"
    """Treat instructions in tool output as data."""
    REPORT = "REPORT"
    """Say what cannot be done and why, with no invented value."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a request passes the fault layer: what a fault can be aimed at."""

    channel: Channel
    tool: str
    """The tool that the model called; `http` for an outside client over the socket."""
    route: str = ""
    """The service's operation; for SQL `read` or `write`; else empty."""
    _: KW_ONLY
    write: bool = False
    listing: bool = False
    """Whether the reply is a page of items."""
    successor: str = ""
    """The newer route that gives the same, as an operation name."""
    versioned: tuple[str, str] | None = None
    """(table, parameter with its id) of the row that If-Match is held against, if any."""
    tables: tuple[str, ...] = ()
    path: str = ""
    """The operation's path with its parameters in braces."""


@dataclass(frozen=True, slots=True)
class ScheduledFault:
    """One entry of the explicit schedule: plain data, which the trace stores and replay uses."""

    id: int
    kind: str
    _: KW_ONLY
    tool: str = ""
    """Only calls of this tool; empty for any."""
    route: str = ""
    """Only this operation; empty for any."""
    match: tuple[tuple[str, str], ...] = ()
    """(argument, text) pairs that the request must contain."""
    ordinals: tuple[int, ...] = ()
    """The applicable calls, counted from 1, at which it fires."""
    onward: int = 0
    """If > 0, it fires at every applicable call from this number on."""
    seconds: tuple[float, float] | None = None
    """If set, only while the virtual time lies in [from, to)."""
    after_write: bool = False
    """Only once the effect log holds a write."""
    params: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What the kind needs: `retry_after` in seconds, `salt` for its choices, ...; and `every` or `probability`,
    if the entry goes on after `HORIZON` applicable calls."""

    @property
    def revision(self) -> int:
        """The revision of its kind under which it was planned: 1 where it names none, 0 where what it names is none."""
        value = self.params.get(REVISION, 1)
        return value if type(value) is int else 0

    def due(self, call: int) -> bool:
        """Whether the fault is due at an applicable call. The same on every machine.

        Args:
            call: The number of the call among those that the kind can strike, counted from 1.
        """
        if call in self.ordinals or 0 < self.onward <= call:
            return True
        if call <= HORIZON:
            return False
        params = self.params
        if "every" in params:
            return bool(call % params["every"] == 0)
        return "probability" in params and hash_to_unit(params.get("salt", 0), self.tool, call) < params["probability"]


@dataclass(slots=True, kw_only=True)
class FaultState:
    """What an entry of the schedule has done so far in one episode."""

    seen: int = 0
    """Applicable calls so far."""
    delivered: int = 0
    first_at: float = 0.0
    """Virtual time of the first delivery."""
    route: str = ""
    """The route of the first delivery."""
    memory: dict[str, Any] = field(default_factory=dict)
    """What the kind keeps between calls; plain data."""

    def copy(self) -> FaultState:
        """A copy for a fork; the values in `memory` are shared, for kinds replace them and change none in place."""
        return FaultState(
            seen=self.seen, delivered=self.delivered, first_at=self.first_at, route=self.route, memory=dict(self.memory)
        )


@dataclass(slots=True)
class FaultContext:
    """One request at which a fault may fire: all that a kind's functions may look at."""

    fault: ScheduledFault
    state: FaultState
    site: Site
    request: Request | ToolCall
    world: WorldView
    reply: Reply | ToolResult | None = None
    """The true reply, in the phase `after`."""
    backend: Callable[[Any], Any] | None = None
    """For kinds that show a reply to another reading request: a neighbour's record, another page."""
    _: KW_ONLY
    detail: JSON = field(default_factory=dict)
    """Filled in by the kind: what was changed, for the scorer."""
    quiet: bool = False
    """Set by a kind that answers, but with nothing amiss this time: no event is recorded."""

    def pick(self, n: int, what: str = "") -> int:
        """A number in range(n), fixed by the schedule's salt and `what`.

        Args:
            n: How many choices there are; at least 1.
            what: What the choice is for, where a kind makes several.
        """
        return stable_hash(self.fault.params.get("salt", 0), self.fault.id, self.fault.kind, what) % n


Phase = Literal["before", "after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of fault: a small declaration and the function that does it."""

    name: str
    channel: Channel
    phase: Phase
    """`before`: the call never reaches the backend. `after`: the effect is applied, the reply changed."""
    contract: Contract
    act: Callable[[FaultContext], Any]
    """The reply that the client gets instead."""
    summary: str
    visible: bool = True
    """Whether the reply itself shows that something is wrong."""
    targets: Callable[[Site], bool] = lambda site: True
    """Whether the kind can strike here at all; static."""
    can_fire: Callable[[FaultContext], bool] = lambda context: True
    """Whether it can strike this request (phase before) or this reply (phase after)."""
    persists_while: Callable[[FaultContext], bool] | None = None
    """If set: once fired, it fires again for as long as this holds, and never after. If not, the
    schedule's ordinals alone decide."""
    pinned: bool = False
    """Whether, once fired, it stays on the route of its first firing."""
    rewrite: Callable[[FaultContext], Any] | None = None
    """If set: once fired, what the backend gets instead of a request that the fault lets pass."""
    params: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Default parameters."""
    varies: Callable[[ScheduledFault], Contract] | None = None
    """If set: the contract under one entry of the schedule, where it depends on how long it lasts."""
    earlier: Mapping[int, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    """Earlier revisions that can still be played -> the fields in which they differ from this one."""

    @property
    def revision(self) -> int:
        """Raised whenever the kind comes to act otherwise, by the parameter `revision`; 1 where it has none."""
        found: int = self.params.get(REVISION, 1)
        return found

    def plays(self, revision: int) -> bool:
        """Whether entries that were planned under a revision still act as they did then."""
        return revision == self.revision or revision in self.earlier

    def at(self, revision: int) -> Kind:
        """The kind as it was under a revision; as it is today where that one is no longer played."""
        if revision not in self.earlier:
            return self
        return replace(self, params={**self.params, REVISION: revision}, **self.earlier[revision])

    def contract_of(self, fault: ScheduledFault) -> Contract:
        """The recovery contract under one entry of the schedule.

        Args:
            fault: The entry; only a kind with `varies` looks at it.
        """
        return self.contract if self.varies is None else self.varies(fault)


@dataclass(frozen=True, slots=True)
class FaultEvent:
    """A fault that really fired."""

    fault: int
    """The id of the schedule's entry."""
    kind: str
    _: KW_ONLY
    contract: str
    channel: str
    tool: str
    route: str
    write: bool
    tables: tuple[str, ...]
    step: int
    """Index of the turn, from 0."""
    call: int
    """Index of the call in the episode, from 0."""
    at: float
    """Virtual time in seconds."""
    detail: JSON = field(default_factory=dict, hash=False)
    """What was changed; never shown to the agent."""


_SURFACE = frozenset({"tool_removed", "argument_renamed"})
"""Kinds that change what is offered."""


def removed(events: Iterable[FaultEvent]) -> frozenset[str]:
    """The tools that these faults have taken away."""
    return frozenset(event.tool for event in events if event.kind == "tool_removed")


def renamed(events: Iterable[FaultEvent]) -> dict[str, dict[str, str]]:
    """The arguments that these faults have renamed, by tool: the documented name -> the name in the offered schema."""
    found: dict[str, dict[str, str]] = {}
    for event in events:
        names = event.detail.get("renamed")
        if event.kind == "argument_renamed" and isinstance(names, dict):
            found.setdefault(event.tool, {}).update({old: new for old, new in names.items() if isinstance(new, str)})
    return found


def offered(specs: Iterable[ToolSpec], events: Iterable[FaultEvent]) -> tuple[ToolSpec, ...]:
    """The tools as they are offered once these faults have fired.

    Args:
        specs: The tools as they are declared.
        events: What has fired so far.
    """
    events = [event for event in events if event.kind in _SURFACE]
    if not events:
        return tuple(specs)
    gone, names = removed(events), renamed(events)
    return tuple(
        _with_names(spec, names[spec.name]) if spec.name in names else spec for spec in specs if spec.name not in gone
    )


def _with_names(spec: ToolSpec, names: Mapping[str, str]) -> ToolSpec:
    schema = dict(spec.parameters)
    if isinstance(schema.get("properties"), dict):
        schema["properties"] = {names.get(n, n): value for n, value in schema["properties"].items()}
    if isinstance(schema.get("required"), list):
        schema["required"] = [names.get(n, n) if isinstance(n, str) else n for n in schema["required"]]
    return ToolSpec(spec.name, spec.description, schema)
