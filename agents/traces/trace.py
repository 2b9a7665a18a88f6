"""`Trace`: one episode as it went, with all that is needed to prove it, score it and learn from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import msgspec
import orjson

from faultgym import __version__
from faultgym.agents.traces.chat import chat_messages, join_steps, split_steps
from faultgym.agents.traces.parts import Fingerprints, HarnessFailure, Seeds, TaskInfo
from faultgym.agents.traces.plain import plain_event, plain_schedule, plain_step, schedule_fingerprint
from faultgym.agents.traces.schema import SCHEMA_VERSION, CountsData, ToolsChanged, TraceLine, TraceRecord
from faultgym.agents.traces.spec import EpisodeSpec, episode_id
from faultgym.agents.traces.tools import tools_json, tools_of
from faultgym.agents.traces.versions import OLDEST_VERSION, readable, upgraded
from faultgym.core.errors import HarnessError, TraceError
from faultgym.core.json import JSON, nearest_json
from faultgym.core.records import explained, restored
from faultgym.core.values import shallow
from faultgym.envs.episode import Episode, StepRecord
from faultgym.envs.judging.form import DEFAULT_ANSWERS, Answers
from faultgym.envs.judging.goal import Verdict
from faultgym.envs.limits import Limits
from faultgym.envs.messages.turn import CONTENT_FILTER, CONTEXT_OVERFLOW, Message
from faultgym.envs.messages.usage import Usage, summed
from faultgym.envs.registry import suite_named
from faultgym.envs.simulation import calls_in
from faultgym.envs.suite import parse_task_id
from faultgym.envs.worlds.changes import Change
from faultgym.tools.faults.layer import FaultSchedule
from faultgym.tools.faults.types import FaultEvent, ScheduledFault, offered, removed, renamed
from faultgym.tools.toolbox import CallRecord
from faultgym.tools.types import ToolSpec

NO_LIMITS = Limits(turns=None)


@dataclass(frozen=True, slots=True)
class Trace:
    """One episode. Scorers and builders read the same `StepRecord`s that a live episode holds."""

    episode_id: str
    """Hash of what defines the episode."""
    task: TaskInfo
    faults: str | JSON
    """The preset's name, or the plan."""
    policy: JSON
    """What the policy says of itself."""
    seeds: Seeds
    trial: int
    limits: Limits
    fingerprints: Fingerprints
    opening: tuple[Message, ...]
    """The system message and the instruction."""
    tools: tuple[ToolSpec, ...]
    """Offered at the first step; see `tools_at`."""
    schedule: FaultSchedule
    """What was planned."""
    events: tuple[FaultEvent, ...]
    """What fired."""
    steps: tuple[StepRecord, ...]
    verdict: Verdict | None
    """None only when the harness failed."""
    stop: str
    """`final`, why the last turn was cut short, the limit that was reached, `left` by a person, or `harness_error`."""
    harness_error: HarnessFailure | None = None
    answers: Answers = DEFAULT_ANSWERS
    """How the episode ends."""
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def from_episode(
        cls,
        episode: Episode,
        spec: EpisodeSpec,
        policy: JSON,
        limits: Limits = NO_LIMITS,
        failure: HarnessFailure | None = None,
    ) -> Trace:
        """The trace of an episode that has ended, or that `failure` ended.

        Args:
            episode: The episode; may be closed afterwards.
            spec: What the episode was planned as.
            policy: The policy's description.
            limits: The budgets that the episode was played under.
            failure: What the harness broke; then there is no verdict.
        """
        task = episode.task
        schedule = plain_schedule(episode.schedule)
        suite = episode.suite
        world = episode.world.image.fingerprint
        if spec.answers != episode.answers:  # the id says how the episode ended, whatever was planned
            spec = replace(spec, answers=episode.answers)
        return cls(
            episode_id=episode_id(spec, policy, limits, suite.version),
            task=TaskInfo.of(task),
            faults=spec.faults_data,
            policy=policy,
            seeds=Seeds(task.world_seed, spec.fault_seed, spec.policy_seed),
            trial=spec.trial,
            limits=limits,
            fingerprints=Fingerprints(__version__, suite.version, world, schedule_fingerprint(schedule)),
            opening=cast("tuple[Message, ...]", episode.opening.messages),
            tools=episode.tools_at_first,
            schedule=schedule,
            events=tuple(map(plain_event, episode.events)),
            steps=tuple(map(plain_step, episode.turns)),
            verdict=episode.verdict if failure is None else None,
            stop=episode.stop if failure is None else "harness_error",
            harness_error=failure,
            answers=episode.answers,
        )

    @classmethod
    def never_begun(cls, spec: EpisodeSpec, policy: JSON, limits: Limits, failure: HarnessFailure) -> Trace:
        """The trace of an episode whose task, world or schedule could not be made.

        Raises:
            TaskError: There is no such suite, or the task's id has not the form of one.
        """
        suite, template, split, index, style = parse_task_id(spec.task)
        version = suite_named(suite).version
        return cls(
            episode_id=episode_id(spec, policy, limits, version),
            task=TaskInfo(
                id=spec.task,
                suite=suite,
                template=template,
                split=split,
                index=index,
                style=style or "http",
            ),
            faults=spec.faults_data,
            policy=policy,
            seeds=Seeds(0, spec.fault_seed, spec.policy_seed),
            trial=spec.trial,
            limits=limits,
            fingerprints=Fingerprints(__version__, version, "", schedule_fingerprint(())),
            opening=(),
            tools=(),
            schedule=(),
            events=(),
            steps=(),
            verdict=None,
            stop="harness_error",
            harness_error=failure,
            answers=spec.answers,
        )

    @property
    def messages(self) -> list[JSON]:
        """The whole chat in OpenAI's form; tool arguments are JSON text."""
        return chat_messages(self.opening, self.steps)

    @property
    def asked(self) -> str:
        """What the person asked, in the words of the release that recorded it; empty where no episode began."""
        return next((message.content for message in self.opening if message.role == "user"), "")

    def to_line(self) -> bytes:
        """The trace as one line of JSON, newline included: what the store holds.

        Raises:
            HarnessError: A value in the trace has no JSON form.
        """
        try:
            record = self._record(clean=True, kind=TraceLine, tools=tools_json(self.tools))
            return _ENCODER.encode(record) + b"\n"
        except (TypeError, ValueError, OverflowError, RecursionError):
            pass  # half a surrogate pair, say: stored as the nearest that can be
        record = self._record(kind=TraceRecord, tools=[spec.openai() for spec in self.tools])
        try:
            data = nearest_json(msgspec.to_builtins(record, enc_hook=_json_form))
            return orjson.dumps(data, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
        except (TypeError, ValueError, RecursionError) as error:
            raise HarnessError(f"episode {self.episode_id!r} cannot be stored: {error}") from error

    @classmethod
    def from_line(cls, line: bytes | str) -> Trace:
        """The trace that a line of JSON holds.

        Raises:
            TraceError: The line holds none; the error names the field and the reason.
        """
        try:
            data = _DECODER.decode(line)
            return cls._restored(data, tools_of(bytes(data.tools)))
        except (ValueError, RecursionError):  # of an earlier version, or damaged: which one, the record tells
            pass
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise TraceError(f"not valid JSON ({error.msg} at column {error.colno})") from error
        return cls.from_record(record)

    def to_record(self) -> JSON:
        """The trace as JSON values, in the form that `trace_schema` publishes, as they are read back from a line."""
        record: JSON = orjson.loads(self.to_line())
        return record

    @classmethod
    def from_record(cls, record: Any) -> Trace:
        """The trace that a record holds, also one of an earlier version.

        Raises:
            TraceError: The record is no trace; the error names the episode, the field and the reason.
        """
        data = _current(record)
        try:
            found = msgspec.convert(data, TraceRecord)
            return cls._restored(found, tools_of(msgspec.json.encode(found.tools)))
        except msgspec.ValidationError as error:
            reason = explained(data, TraceRecord) or str(error)
            raise TraceError(f"{_name_of(record)}: {reason}") from None

    def _record(self, kind: type[TraceRecord], tools: Any, *, clean: bool = False) -> TraceRecord:
        messages, steps = split_steps(self.opening, self.steps, clean=clean)
        return kind(
            **{name: getattr(self, name) for name in _SAME},
            messages=tuple(messages),
            tools=tools,
            tool_changes=self._tool_changes(),
            steps=tuple(steps),
            verdict=None if self.verdict is None else _verdict_data(self.verdict),
            counts=self._counts(),
        )

    @classmethod
    def _restored(cls, data: TraceRecord, tools: tuple[ToolSpec, ...]) -> Trace:
        try:
            opening, steps = join_steps(data.messages, data.steps)
            trace = cls(
                **{name: getattr(data, name) for name in _AS_THEY_ARE},
                **{name: restored(kind, getattr(data, name)) for name, kind in _PARTS.items()},
                opening=opening,
                tools=tools,
                schedule=tuple([restored(ScheduledFault, fault) for fault in data.schedule]),
                events=tuple([restored(FaultEvent, event) for event in data.events]),
                steps=steps,
                verdict=None if data.verdict is None else _verdict(data.verdict),
                harness_error=None if data.harness_error is None else restored(HarnessFailure, data.harness_error),
            )
            trace._check(data)
        except TraceError as error:
            raise TraceError(f"trace {data.episode_id}: {error}") from None
        return trace

    def _tool_changes(self) -> tuple[ToolsChanged, ...]:
        changes: list[ToolsChanged] = []
        gone: frozenset[str] = frozenset()
        names: dict[str, dict[str, str]] = {}
        for step in sorted({event.step for event in self.events if event.channel == "tool"}):
            events = [event for event in self.events if event.step <= step]
            lost, before, gone = removed(events) - gone, names, removed(events)
            names = renamed(events)
            new = {tool: found for tool, found in names.items() if found != before.get(tool)}
            if lost or new:
                order = dict.fromkeys(event.tool for event in events if event.tool in lost)
                changes.append(ToolsChanged(step=step + 1, removed=tuple(order), renamed=new))
        return tuple(changes)

    def _counts(self) -> CountsData:
        return CountsData(turns=len(self.steps), calls=self.calls, tokens=self.tokens, seconds=self.seconds)

    def _check(self, data: TraceRecord) -> None:
        """What one field alone cannot show: the parts must belong together."""
        if (self.verdict is None) != (self.harness_error is not None):
            raise TraceError("verdict: it is there when the episode ended, null when there is a harness_error")
        if data.counts != self._counts():
            raise TraceError(f"counts: the steps say {_shown(self._counts())}, not {_shown(data.counts)}")
        if self.harness_error is None:
            self._check_events()
        if data.tool_changes != self._tool_changes():
            got, own = _shown(data.tool_changes), _shown(self._tool_changes())
            raise TraceError(f"tool_changes: the events say {own}, not {got}")
        for number, record in enumerate(self.records):
            if record.faults and max(record.faults) >= len(self.events):
                raise TraceError(f"steps: call {number} names fault events that are not there")

    def _check_events(self) -> None:
        """Faults fire in steps and calls that are there; a step that the harness broke off may leave some behind."""
        steps, calls = len(self.steps), self.calls
        for number, event in enumerate(self.events):
            if event.step >= steps or event.call >= calls:
                raise TraceError(f"events.{number}: there is no step {event.step} with a call {event.call}")

    @property
    def records(self) -> list[CallRecord]:
        """All calls in order, as `Episode.records`."""
        return calls_in(self.steps)

    @property
    def calls(self) -> int:
        """How many calls there were, refused ones included, the answer not."""
        return len(calls_in(self.steps))

    @property
    def tokens(self) -> int | None:
        """Sampled tokens; None when the server neither returned nor counted those of every turn.

        A turn that the context's end, or a filter, kept from being played sampled none.
        """
        unplayed = (CONTEXT_OVERFLOW, CONTENT_FILTER)
        turns = [step.turn for step in self.steps]
        counts = [turn.sampled for turn in turns if turn.sampled is not None or turn.finish_reason not in unplayed]
        return sum(n or 0 for n in counts) if counts and None not in counts else None

    @property
    def usage(self) -> Usage | None:
        """What the server counted, of all turns; None where it counted none."""
        return summed(step.turn.usage for step in self.steps)

    @property
    def seconds(self) -> float:
        """Virtual seconds from the beginning to the last result."""
        return next((s.calls[-1].at for s in reversed(self.steps) if s.calls), 0.0)

    def tools_at(self, step: int) -> tuple[ToolSpec, ...]:
        """The tools offered at a step, counted from 0."""
        before = [event for event in self.events if event.channel == "tool" and event.step < step]
        return offered(self.tools, before) if before else self.tools


_PARTS: dict[str, type] = {"task": TaskInfo, "seeds": Seeds, "limits": Limits, "fingerprints": Fingerprints}
_AS_THEY_ARE = ("episode_id", "faults", "policy", "trial", "stop", "answers")
_SAME = (*_AS_THEY_ARE, *_PARTS, "schema_version", "schedule", "events", "harness_error")
"""Fields of a trace that its record has under the same name, with the same value."""


def _json_form(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} has no JSON form")


_ENCODER = msgspec.json.Encoder(enc_hook=_json_form)
_DECODER = msgspec.json.Decoder(TraceLine)


def _verdict_data(verdict: Verdict) -> Verdict | JSON:
    """The verdict as its record has it: the values of changes by their columns."""
    if not (verdict.missing_changes or verdict.extra_changes or verdict.duplicate_changes):
        return verdict
    changes = {
        name: [{**shallow(change), "values": dict(change.values)} for change in getattr(verdict, name)]
        for name in _CHANGES
    }
    return {**shallow(verdict), **changes}


_CHANGES = ("missing_changes", "extra_changes", "duplicate_changes")


def _verdict(data: Any) -> Verdict:
    verdict: Verdict = restored(Verdict, data)
    if not (verdict.missing_changes or verdict.extra_changes or verdict.duplicate_changes):
        return verdict
    changes: dict[str, Any] = {name: tuple(map(_change, getattr(data, name))) for name in _CHANGES}
    return replace(verdict, **changes)


def _change(data: Any) -> Change:
    return Change(data.op, data.table, data.key, tuple(sorted(data.values.items())))


def _current(record: Any) -> JSON:
    """The record in today's schema. Raises TraceError for what is no record of a version that is read."""
    if not isinstance(record, dict):
        raise TraceError(f"a trace is a JSON object, not {type(record).__name__}")
    if record.get("kind") == "imported":
        todo = "what re-execution proved stands in the folder verified of its run"
        raise TraceError(f"{_name_of(record)}: it is an imported chat, which nothing proves, and no trace; {todo}")
    version = record.get("schema_version")
    if not readable(version):
        newer = type(version) is int and version > SCHEMA_VERSION
        todo = "upgrade faultgym" if newer else "run the episode again with this faultgym"
        known = f"this faultgym reads versions {OLDEST_VERSION} to {SCHEMA_VERSION}"
        raise TraceError(f"{_name_of(record)}: schema_version is {version!r}; {known}: {todo}")
    return upgraded(record)


def _name_of(record: JSON) -> str:
    return f"trace {str(record.get('episode_id', '(no episode_id)'))[:80]}"


def _shown(value: Any) -> Any:
    return msgspec.to_builtins(value)
