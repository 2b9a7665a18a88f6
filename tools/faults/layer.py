"""The one seam where faults are injected: between the callers of a backend and the backend.

Every request of every channel passes `FaultLayer.exchange`. The layer holds the schedule's entries
and counters of one episode; with an empty schedule it is the bare backend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from faultgym.core.json import unfit
from faultgym.tools.context import WorldView
from faultgym.tools.exchange import HttpRequest, Reply, Request, SearchRequest, SqlRequest
from faultgym.tools.faults.registry import kind_at
from faultgym.tools.faults.types import FaultContext, FaultEvent, FaultState, Kind, ScheduledFault, Site
from faultgym.tools.types import MAX_ARGUMENTS, MAX_DEPTH, ToolCall, ToolResult

A = TypeVar("A", bound=Request | ToolCall)
B = TypeVar("B", bound=Reply | ToolResult)

FaultSchedule = tuple[ScheduledFault, ...]
"""What may fire in an episode, compiled at reset: an explicit list."""


class FaultLayer:
    """The faults of one episode: the schedule, what each entry has done, and what fired.

    Args:
        schedule: What may fire; with none, the layer is the bare backend.

    Raises:
        PlanError: An entry is of a kind that does not exist.

    Example:
        >>> from faultgym.tools.faults.probes import ProbeWorld, probes
        >>> world, probe = ProbeWorld(), probes("http")[0]
        >>> layer = FaultLayer((ScheduledFault(0, "server_error", ordinals=(1,)),))
        >>> for _ in range(2):
        ...     layer.exchange(world, probe.site, probe.request, lambda r: probe.backend(world, r)).status
        500
        200
        >>> [event.kind for event in layer.events]
        ['server_error']
    """

    __slots__ = ("_armed", "call", "events", "schedule", "step")

    def __init__(self, schedule: FaultSchedule = ()):
        self.schedule = schedule
        self.events: list[FaultEvent] = []
        self.step = 0
        """Index of the current turn; set by the episode."""
        self.call = 0
        """Index of the current call; set by the toolbox."""
        self._armed: dict[str, list[tuple[ScheduledFault, Kind, FaultState]]] = {}
        for fault in schedule:
            found = kind_at(fault.kind, fault.revision)
            self._armed.setdefault(found.channel, []).append((fault, found, FaultState()))

    def copy(self) -> FaultLayer:
        """An independent copy in the same state, for a fork."""
        twin = FaultLayer.__new__(FaultLayer)
        twin.schedule = self.schedule
        twin.events = list(self.events)
        twin.step = self.step
        twin.call = self.call
        twin._armed = self._armed and {  # an empty one never changes
            channel: [(fault, found, state.copy()) for fault, found, state in entries]
            for channel, entries in self._armed.items()
        }
        return twin

    def armed(self, channel: str) -> bool:
        """Whether any entry of the schedule is aimed at this channel."""
        return channel in self._armed

    def exchange(self, world: WorldView, site: Site, request: A, backend: Callable[[A], B]) -> B:
        """The reply to `request`: the backend's, or what the faults that fire make of it.

        At most one fault of phase `before` fires; faults of phase `after` are applied in schedule order.

        Args:
            world: What the backend works on.
            site: Where the request passes.
            request: What the tool sends.
            backend: Gives the true reply; not called where a fault of phase `before` fires. Its errors pass through.
        """
        entries = self._armed.get(site.channel)
        if not entries:
            return backend(request)
        due = []
        for fault, found, state in entries:
            if not _aimed(fault, found, state, site, request):
                continue
            # By position: one is made for each entry at each call, and naming seven fields is a tenth of its time.
            context = FaultContext(fault, state, site, request, world, None, backend)
            if found.phase == "after":
                due.append((context, found))
            elif _fires(context, found):
                reply: B = found.act(context)
                self._record(context, found)
                return reply
            elif found.rewrite is not None and state.delivered:
                request = found.rewrite(context)
        reply = backend(request)
        for context, found in due:
            context.reply = reply
            if _fires(context, found):
                reply = found.act(context)
                self._record(context, found)
        return reply

    def _record(self, context: FaultContext, found: Kind) -> None:
        if context.quiet:
            return
        site, state = context.site, context.state
        if state.delivered == 0:
            state.first_at = context.world.clock.now
            state.route = site.route
        state.delivered += 1
        self.events.append(
            FaultEvent(
                context.fault.id,
                found.name,
                contract=found.contract_of(context.fault),
                channel=site.channel,
                tool=site.tool,
                route=site.route,
                write=site.write,
                tables=site.tables,
                step=self.step,
                call=self.call,
                at=context.world.clock.now,
                detail=context.detail,
            )
        )


def _aimed(fault: ScheduledFault, found: Kind, state: FaultState, site: Site, request: Request | ToolCall) -> bool:
    """Whether the fault is aimed at this request: by tool, route, arguments and kind."""
    if fault.tool and fault.tool != site.tool:
        return False
    if fault.route and fault.route != site.route:
        return False
    if found.pinned and state.delivered and state.route != site.route:
        return False
    if fault.match:
        text = request_text(request)
        if not all(value in text.get(name, "") for name, value in fault.match):
            return False
    return found.targets(site)


def _fires(context: FaultContext, found: Kind) -> bool:
    """Whether it fires now: counts the call, then asks the schedule and the kind."""
    fault, state = context.fault, context.state
    if state.delivered and found.persists_while is not None:
        return found.persists_while(context)
    if not found.can_fire(context):
        return False
    if fault.seconds is not None and not fault.seconds[0] <= context.world.clock.now < fault.seconds[1]:
        return False
    if fault.after_write and not context.world.effects:
        return False
    state.seen += 1
    return fault.due(state.seen)


def request_text(request: Request | ToolCall) -> dict[str, str]:
    """The parts of a request as text by name: what a rule's `match` is held against.

    Args:
        request: What passes the fault layer. Of a tool's call, the arguments are the parts, unless the toolbox is going
            to refuse them.

    Example:
        >>> request_text(SearchRequest("refund policy", {"kind": "note"}))
        {'query': 'refund policy', 'kind': 'note'}
    """
    if isinstance(request, HttpRequest):
        body = request.body.decode("utf-8", "replace")
        return {"method": request.method, "path": request.path, "body": body, **request.query}
    if isinstance(request, SqlRequest):
        return {"statement": request.statement}
    if isinstance(request, SearchRequest):
        return {"query": request.query, **request.filters}
    arguments = request.arguments or {}
    if unfit(arguments, levels=MAX_DEPTH, size=MAX_ARGUMENTS):
        return {}
    return {name: str(value) for name, value in arguments.items()}
