"""`Trace`: one episode as it went, with all that is needed to prove it, score it and learn from it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import PurePath
from typing import Any

import orjson

from faultgym import __version__
from faultgym.agents.traces import records as trace_io
from faultgym.agents.traces.chat import chat_messages
from faultgym.agents.traces.schema import SCHEMA_VERSION
from faultgym.agents.traces.spec import EpisodeSpec, episode_id
from faultgym.core.json import JSON
from faultgym.envs.episode import Episode, StepRecord
from faultgym.envs.judging.goal import Verdict
from faultgym.envs.limits import Limits
from faultgym.envs.messages.turn import Message
from faultgym.envs.registry import suite_named
from faultgym.envs.task import Style, Task
from faultgym.tools.context import Effect
from faultgym.tools.faults.layer import FaultSchedule
from faultgym.tools.faults.types import FaultEvent, ScheduledFault
from faultgym.tools.toolbox import CallRecord
from faultgym.tools.types import ToolSpec

NO_LIMITS = Limits(turns=None)


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """Which task it was; `task_by_id(id)` gives the rest."""

    id: str
    suite: str
    template: str
    split: str
    index: int
    style: Style
    phrasing: int = 0
    answerable: bool = True
    needs_tools: bool = True

    @classmethod
    def of(cls, task: Task) -> TaskInfo:
        """The part of a task that a trace names."""
        return cls(
            task.id,
            task.suite,
            task.template,
            task.split,
            task.index,
            task.style,
            task.phrasing,
            task.answerable,
            task.needs_tools,
        )


@dataclass(frozen=True, slots=True)
class Seeds:
    """Where randomness came from."""

    world: int
    fault: int
    policy: int


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """What must be the same for a replay to be possible."""

    package: str
    """Version of faultgym."""
    suite: int
    """Version of the suite."""
    world: str
    """Hash of the database as it was built."""
    schedule: str
    """Hash of the schedule."""


def said(error: BaseException) -> str:
    """What an exception says, also where its own code fails at saying it."""
    try:
        return str(error)
    except Exception as other:
        return f"an exception that cannot be shown ({type(other).__name__})"


@dataclass(frozen=True, slots=True)
class HarnessFailure:
    """What broke on our side, or the policy's code; the episode says nothing about how it acts."""

    type: str
    message: str
    where: tuple[str, ...] = ()
    """The last places of the traceback, innermost last; without folders, so that machines agree."""
    attempts: int = 1

    @classmethod
    def of(cls, error: BaseException, attempts: int = 1) -> HarnessFailure:
        """What an exception says."""
        frames = traceback.extract_tb(error.__traceback__)[-6:]
        where = tuple(f"{PurePath(f.filename).name}:{f.lineno} in {f.name}" for f in frames)
        return cls(type(error).__name__, said(error)[:4000], where, attempts)


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
    """`final`, the limit that was reached, `left` by a person, or `harness_error`."""
    harness_error: HarnessFailure | None = None
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
        """The trace of an episode that has ended, or that `failure` ended. `policy` is its description."""
        task = episode.task
        schedule = plain_schedule(episode.schedule)
        suite = episode.suite
        return cls(
            episode_id(spec, policy, limits, suite.version),
            TaskInfo.of(task),
            spec.faults_data,
            policy,
            Seeds(task.world_seed, spec.fault_seed, spec.policy_seed),
            spec.trial,
            limits,
            Fingerprints(__version__, suite.version, episode.world.image.fingerprint, schedule_fingerprint(schedule)),
            (Message("system", task.system), Message("user", task.instruction)),
            tuple(tool.spec for tool in episode.toolbox.tools.values()),
            schedule,
            tuple(map(plain_event, episode.events)),
            tuple(map(plain_step, episode.turns)),
            episode.verdict if failure is None else None,
            episode.stop if failure is None else "harness_error",
            failure,
        )

    @classmethod
    def never_begun(cls, spec: EpisodeSpec, policy: JSON, limits: Limits, failure: HarnessFailure) -> Trace:
        """The trace of an episode whose task, world or schedule could not be made."""
        body, _, style = spec.task.partition(":")
        suite, template, split, index = body.split("/")
        version = suite_named(suite).version
        return cls(
            episode_id(spec, policy, limits, version),
            TaskInfo(spec.task, suite, template, split, int(index), "tools" if style == "tools" else "http"),
            spec.faults_data,
            policy,
            Seeds(0, spec.fault_seed, spec.policy_seed),
            spec.trial,
            limits,
            Fingerprints(__version__, version, "", schedule_fingerprint(())),
            (),
            (),
            (),
            (),
            (),
            None,
            "harness_error",
            failure,
        )

    @property
    def messages(self) -> list[JSON]:
        """The whole chat in OpenAI's form; tool arguments are JSON text."""
        return chat_messages(self.opening, self.steps)

    def to_messages(self) -> list[JSON]:
        """The whole chat in OpenAI's form."""
        return self.messages

    @classmethod
    def from_messages(cls, messages: list[JSON], rest: JSON) -> Trace:
        """The trace whose chat these are; `rest` is its record, with or without `messages`.

        Raises TraceError when the two do not belong together.
        """
        return cls.from_record({**rest, "messages": messages})

    def to_record(self) -> JSON:
        """The trace as JSON values, in the form that `trace_schema` publishes."""
        return trace_io.to_record(self)

    @classmethod
    def from_record(cls, record: Any) -> Trace:
        """The trace that a record holds. Raises TraceError that names the field and the reason."""
        return cls(**trace_io.fields_of(record))

    @property
    def records(self) -> list[CallRecord]:
        """All calls in order, as `Episode.records`."""
        return [record for step in self.steps for record in step.calls]

    @property
    def calls(self) -> int:
        """Calls, those that were refused included."""
        return sum(len(step.calls) for step in self.steps)

    @property
    def tokens(self) -> int | None:
        """Sampled tokens; None when the server did not return those of every turn."""
        counts = [len(s.turn.token_ids) for s in self.steps if s.turn.token_ids is not None]
        return sum(counts) if counts and len(counts) == len(self.steps) else None

    @property
    def seconds(self) -> float:
        """Virtual seconds from the beginning to the last result."""
        return next((s.calls[-1].at for s in reversed(self.steps) if s.calls), 0.0)

    @property
    def removed(self) -> dict[str, int]:
        """Tools that a fault took away -> the first step at which they were no longer offered."""
        gone: dict[str, int] = {}
        for event in self.events:
            if event.kind == "tool_removed":
                gone.setdefault(event.tool, event.step + 1)
        return gone

    def tools_at(self, step: int) -> tuple[ToolSpec, ...]:
        """The tools offered at a step, from 0."""
        gone = self.removed
        if not gone:
            return self.tools
        return tuple(spec for spec in self.tools if gone.get(spec.name, step + 1) > step)


def schedule_fingerprint(schedule: FaultSchedule) -> str:
    """A hash of an explicit schedule."""
    data = orjson.dumps([trace_io.fault_data(f) for f in schedule], option=orjson.OPT_SORT_KEYS)
    return blake2b(data, digest_size=8).hexdigest()


_FLAT = frozenset({str, int, float, bool, type(None)})


def plain(values: Any) -> Any:
    """The same values as JSON gives them back: lists for tuples, all the way down."""
    if all(type(value) in _FLAT for value in values.values()):
        return values if type(values) is dict else dict(values)
    return _plain(values)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [_plain(item) for item in items]
    if type(value) in _FLAT:
        return value
    if hasattr(value, "items"):
        return {str(key): _plain(item) for key, item in value.items()}
    return value.value if hasattr(value, "value") else str(value)


def plain_schedule(schedule: FaultSchedule) -> FaultSchedule:
    """The schedule as a record gives it back."""
    return tuple(f if _is_plain(f.params) else _replanned(f) for f in schedule)


def _is_plain(values: Any) -> bool:
    return type(values) is dict and all(type(value) in _FLAT for value in values.values())


def _replanned(f: ScheduledFault) -> ScheduledFault:
    return ScheduledFault(
        f.id,
        f.kind,
        tool=f.tool,
        route=f.route,
        match=f.match,
        ordinals=f.ordinals,
        onward=f.onward,
        seconds=f.seconds,
        after_write=f.after_write,
        params=plain(f.params),
    )


def plain_event(e: FaultEvent) -> FaultEvent:
    """The event as a record gives it back: plain words and JSON values."""
    return FaultEvent(
        e.fault,
        e.kind,
        contract=str(e.contract),
        channel=e.channel,
        tool=e.tool,
        route=e.route,
        write=e.write,
        tables=e.tables,
        step=e.step,
        call=e.call,
        at=e.at,
        detail=plain(e.detail),
    )


def plain_step(step: StepRecord) -> StepRecord:
    """The step as a record gives it back."""
    for record in step.calls:
        if record.effects and not all(_is_plain(e.values) for e in record.effects):
            return StepRecord(step.turn, tuple(map(_plain_call, step.calls)), step.digest)
    return step


def _plain_call(r: CallRecord) -> CallRecord:
    effects = tuple(Effect(e.kind, e.table, e.key, plain(e.values)) for e in r.effects)
    return CallRecord(r.call, r.result, tables=r.tables, write=r.write, effects=effects, faults=r.faults, at=r.at)
