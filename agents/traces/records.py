"""A trace's record: how it is written, and how it is read with nothing taken on trust."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from faultgym.agents.traces.chat import join_steps, split_steps
from faultgym.agents.traces.schema import RECORD, SCHEMA_VERSION
from faultgym.core.errors import TraceError
from faultgym.core.json import JSON
from faultgym.envs.judging.goal import Verdict
from faultgym.envs.limits import Limits
from faultgym.envs.worlds.changes import Change
from faultgym.tools.faults.types import FaultEvent, ScheduledFault
from faultgym.tools.types import ToolSpec

if TYPE_CHECKING:
    from faultgym.agents.traces.trace import Trace


def to_record(trace: Trace) -> JSON:
    """The trace as JSON values, `episode_id` first."""
    messages, steps = split_steps(trace.opening, trace.steps)
    failure = trace.harness_error
    return {
        "episode_id": trace.episode_id,
        "schema_version": trace.schema_version,
        "task": flat(trace.task),
        "faults": trace.faults,
        "policy": trace.policy,
        "seeds": flat(trace.seeds),
        "trial": trace.trial,
        "limits": flat(trace.limits),
        "fingerprints": flat(trace.fingerprints),
        "messages": messages,
        "tools": [spec.openai() for spec in trace.tools],
        "tool_changes": _tool_changes(trace),
        "steps": steps,
        "schedule": [fault_data(f) for f in trace.schedule],
        "events": [event_data(e) for e in trace.events],
        "verdict": None if trace.verdict is None else verdict_data(trace.verdict),
        "stop": trace.stop,
        "harness_error": None if failure is None else {**flat(failure), "where": list(failure.where)},
        "counts": _counts(trace),
    }


def flat(value: Any) -> JSON:
    """The fields of a slotted dataclass that holds plain values only: `asdict` without its deep copies."""
    return {name: getattr(value, name) for name in value.__slots__}


def _tool_changes(trace: Trace) -> list[JSON]:
    steps: dict[int, list[str]] = {}
    for name, step in trace.removed.items():
        steps.setdefault(step, []).append(name)
    return [{"step": step, "removed": names} for step, names in sorted(steps.items())]


def _counts(trace: Trace) -> JSON:
    return {
        "turns": len(trace.steps),
        "calls": trace.calls,
        "tokens": trace.tokens,
        "seconds": trace.seconds,
    }


def fault_data(f: ScheduledFault) -> JSON:
    """An entry of a schedule as JSON values."""
    return {
        "id": f.id,
        "kind": f.kind,
        "tool": f.tool,
        "route": f.route,
        "match": [list(pair) for pair in f.match],
        "ordinals": list(f.ordinals),
        "onward": f.onward,
        "seconds": None if f.seconds is None else list(f.seconds),
        "after_write": f.after_write,
        "params": dict(f.params),
    }


def event_data(e: FaultEvent) -> JSON:
    """A fault that fired as JSON values."""
    return {
        "fault": e.fault,
        "kind": e.kind,
        "contract": e.contract,
        "channel": e.channel,
        "tool": e.tool,
        "route": e.route,
        "write": e.write,
        "tables": list(e.tables),
        "step": e.step,
        "call": e.call,
        "at": e.at,
        "detail": e.detail,
    }


def verdict_data(verdict: Verdict) -> JSON:
    """A verdict as JSON values."""
    return {
        "success": verdict.success,
        "reported": verdict.reported,
        "missing_atoms": list(verdict.missing_atoms),
        "rivals": list(verdict.distractors),
        "missing_changes": _changes_data(verdict.missing_changes),
        "extra_changes": _changes_data(verdict.extra_changes),
        "duplicate_changes": _changes_data(verdict.duplicate_changes),
        "reason": verdict.reason,
    }


def _changes_data(changes: Sequence[Change]) -> list[JSON]:
    return [{"op": c.op, "table": c.table, "key": c.key, "values": dict(c.values)} for c in changes]


def fields_of(record: Any) -> dict[str, Any]:
    """The fields of the trace in a record. Raises TraceError that names the episode, the field and the reason."""
    checked = _checked(record)
    try:
        return _fields(checked)
    except TraceError as error:
        raise TraceError(f"trace {checked['episode_id']}: {error}") from None


def _checked(record: Any) -> Mapping[str, Any]:
    if not isinstance(record, dict):
        raise TraceError(f"a trace is a JSON object, not {type(record).__name__}")
    name = f"trace {str(record.get('episode_id', '(no episode_id)'))[:80]}"
    if record.get("kind") == "imported":
        todo = "what re-execution proved stands in the folder verified of its run"
        raise TraceError(f"{name}: it is an imported chat, which nothing proves, and no trace; {todo}")
    version = record.get("schema_version")
    if version != SCHEMA_VERSION or type(version) is not int:
        newer = type(version) is int and version > SCHEMA_VERSION
        todo = "upgrade faultgym" if newer else "run the episode again with this faultgym"
        raise TraceError(f"{name}: schema_version is {version!r}; this faultgym reads version {SCHEMA_VERSION}: {todo}")
    try:
        return RECORD.validate_python(record)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        reason = first["msg"][0].lower() + first["msg"][1:]
        got = "" if first["type"] == "missing" else f", not {first['input']!r:.80}"
        raise TraceError(f"{name}: {field}: {reason}{got}{more}") from None


def _fields(data: Mapping[str, Any]) -> dict[str, Any]:
    from faultgym.agents.traces.trace import Fingerprints, HarnessFailure, Seeds, TaskInfo, Trace

    opening, steps = join_steps(data["messages"], data["steps"])
    failure = data["harness_error"]
    fields = {
        "episode_id": data["episode_id"],
        "task": TaskInfo(**data["task"]),
        "faults": data["faults"],
        "policy": data["policy"],
        "seeds": Seeds(**data["seeds"]),
        "trial": data["trial"],
        "limits": Limits(**data["limits"]),
        "fingerprints": Fingerprints(**data["fingerprints"]),
        "opening": opening,
        "tools": tuple(ToolSpec(**spec["function"]) for spec in data["tools"]),
        "schedule": tuple(map(_fault, data["schedule"])),
        "events": tuple(FaultEvent(**{**e, "tables": tuple(e["tables"])}) for e in data["events"]),
        "steps": steps,
        "verdict": None if data["verdict"] is None else _verdict(data["verdict"]),
        "stop": data["stop"],
        "harness_error": None if failure is None else HarnessFailure(**{**failure, "where": tuple(failure["where"])}),
    }
    _check_whole(Trace(**fields), data)
    return fields


def _fault(data: Mapping[str, Any]) -> ScheduledFault:
    seconds = data["seconds"]
    return ScheduledFault(
        **{
            **data,
            "match": tuple(tuple(pair) for pair in data["match"]),
            "ordinals": tuple(data["ordinals"]),
            "seconds": None if seconds is None else tuple(seconds),
        }
    )


def _verdict(data: Mapping[str, Any]) -> Verdict:
    return Verdict(
        data["success"],
        data["reported"],
        tuple(data["missing_atoms"]),
        tuple(data["rivals"]),
        _changes(data["missing_changes"]),
        _changes(data["extra_changes"]),
        _changes(data["duplicate_changes"]),
        data["reason"],
    )


def _changes(data: Sequence[Mapping[str, Any]]) -> tuple[Change, ...]:
    return tuple(Change(c["op"], c["table"], c["key"], tuple(sorted(c["values"].items()))) for c in data)


def _check_whole(trace: Trace, data: Mapping[str, Any]) -> None:
    """What one field alone cannot show: the parts must belong together."""
    if (trace.verdict is None) != (trace.harness_error is not None):
        raise TraceError("verdict: it is there when the episode ended, null when there is a harness_error")
    if data["counts"] != _counts(trace):
        raise TraceError(f"counts: the steps say {_counts(trace)}, not {data['counts']}")
    if trace.harness_error is None:
        _check_events(trace)
    if data["tool_changes"] != _tool_changes(trace):
        raise TraceError(f"tool_changes: the events say {_tool_changes(trace)}, not {data['tool_changes']}")
    for number, record in enumerate(trace.records):
        if any(index >= len(trace.events) for index in record.faults):
            raise TraceError(f"steps: call {number} names fault events that are not there")


def _check_events(trace: Trace) -> None:
    """Faults fire in steps and calls that are there; a step that the harness broke off may have left some behind."""
    for n, event in enumerate(trace.events):
        if not (0 <= event.step < len(trace.steps) and 0 <= event.call < trace.calls):
            raise TraceError(f"events.{n}: there is no step {event.step} with a call {event.call}")
