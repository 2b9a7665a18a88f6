"""Re-executing a trace: the proof that it is what it says, or the first place where it is not.

The turns are played again against a fresh world, under the stored explicit schedule. Every observation,
digest, effect and fired fault must come out the same, and so must the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from faultgym import __version__
from faultgym.agents.traces.parts import TaskInfo
from faultgym.agents.traces.plain import plain_event, plain_step, schedule_fingerprint
from faultgym.agents.traces.recorded import recorded_task
from faultgym.agents.traces.spec import identity
from faultgym.agents.traces.trace import Trace
from faultgym.core.errors import PlanError, TaskError
from faultgym.envs.episode import Episode, StepRecord
from faultgym.envs.limits import turn_tokens
from faultgym.tools.faults.registry import kind_named
from faultgym.tools.toolbox import CallRecord
from faultgym.tools.types import interface

PREVIEW_CHARS = 60
"""Characters of a long text that are shown on either side of the first difference."""
REPEATABLE = ("turn_limit", "call_limit", "token_budget", "time_budget")
"""Stop reasons that follow from the steps alone."""
FROM_OUTSIDE = {
    "wall_limit": "it was ended by real time, which no replay can repeat",
    "left": "its player left it unfinished, which no replay can repeat",
}
"""Stop reasons that do not, and what to say of them."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that came out otherwise."""

    what: str
    """The field: `content`, `digest`, `effects`, `verdict.success`, `fingerprints.world`, ..."""
    expected: str
    """What the trace says, near where the two differ."""
    got: str
    """What the replay gave there."""
    step: int | None = None
    """Index of the turn, from 0; None when it is about the whole trace."""
    call: int | None = None
    """Index of the call in its turn, from 0."""

    def __str__(self) -> str:
        """One line for people."""
        where = "" if self.step is None else f"step {self.step}, "
        where += "" if self.call is None else f"call {self.call}, "
        return f"{where}{self.what}: the trace says {self.expected}, the replay gives {self.got}"


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay showed: the first difference, or none."""

    episode_id: str
    difference: Difference | None = None
    recorded: str = ""
    """Why the trace is scored as it was recorded and cannot be proven: nothing says that it is not true."""
    notes: tuple[str, ...] = ()
    """What could not be proven, or was not the same without changing anything."""

    @property
    def proven(self) -> bool:
        """Whether everything came out the same."""
        return self.difference is None and not self.recorded

    @property
    def reason(self) -> str:
        """Why it is not proven; empty where it is."""
        return self.recorded or ("" if self.difference is None else str(self.difference))


def replay(trace: Trace) -> ReplayResult:
    """Play the trace's turns again in a fresh world. Never raises for what a trace can hold.

    Args:
        trace: A trace from anywhere: nothing in it is taken on trust.

    Returns:
        Proven, or the first thing that came out otherwise; or why there is no proof, where a kind of fault has come to
        act otherwise since.

    Example:
        >>> from faultgym.agents.registry import policy_named
        >>> from faultgym.agents.rollouts.play import run_episode
        >>> from faultgym.agents.traces.spec import EpisodeSpec
        >>> from faultgym.envs.registry import task_by_id
        >>> policy, spec = policy_named("expert"), EpisodeSpec("orders/order_status/train/0")
        >>> episode = run_episode(policy, task_by_id(spec.task))
        >>> trace = Trace.from_episode(episode, spec, policy.describe())
        >>> replay(trace).proven, Trace.from_line(trace.to_line()) == trace
        (True, True)
    """
    notes = []
    if trace.fingerprints.package != __version__:
        notes.append(f"recorded with faultgym {trace.fingerprints.package}, replayed with {__version__}")
    if trace.stop in FROM_OUTSIDE:
        notes.append(FROM_OUTSIDE[trace.stop])
    if trace.harness_error is not None:
        notes.append("the harness failed: only the steps before that are proven")
    recorded = _revised(trace)
    difference = None if recorded else next(_differences(trace), None)
    return ReplayResult(trace.episode_id, difference, recorded, tuple(notes))


def _revised(trace: Trace) -> str:
    """What to say of a trace whose schedule holds a revision of a kind that is not played here; else nothing."""
    for fault in trace.schedule:
        try:
            kind = kind_named(fault.kind)
        except PlanError:  # the episode itself is going to say so
            return ""
        if kind.plays(fault.revision):
            continue
        if fault.revision > kind.revision:
            return (
                f"it was recorded under revision {fault.revision} of the fault kind {fault.kind}, and this faultgym"
                f" has revision {kind.revision}: upgrade faultgym to prove it"
            )
        return (
            f"it was recorded under revision {fault.revision} of the fault kind {fault.kind}, which has acted otherwise"
            f" since revision {kind.revision}: it is scored as recorded, not re-proven"
        )
    return ""


def _differences(trace: Trace) -> Iterator[Difference]:
    """What differs, in the order of the episode; lazily, so that the first one ends the replay."""
    try:
        task = recorded_task(trace)
    except TaskError as error:
        yield Difference("task", repr(trace.task.id), str(error))
        return
    if not trace.opening and trace.harness_error is not None:
        return
    try:
        episode = Episode(task, trace.schedule, answers=trace.answers, reminders=trace.limits.reminders)
    except PlanError as error:
        yield Difference("schedule", "kinds of faults", str(error))
        return
    try:
        yield from _start(trace, episode)
        for number, step in enumerate(trace.steps):
            yield from _step(trace, episode, number, step)
        yield from _end(trace, episode)
    finally:
        episode.close()


def _start(trace: Trace, episode: Episode) -> Iterator[Difference]:
    """What must hold before the first turn."""
    task, prints = episode.task, trace.fingerprints
    yield from _compare("fingerprints.suite", prints.suite, episode.suite.version)
    yield from _compare("fingerprints.world", prints.world, episode.world.image.fingerprint)
    yield from _compare("fingerprints.schedule", prints.schedule, schedule_fingerprint(trace.schedule))
    yield from _fields("task", trace.task, TaskInfo.of(task))
    yield from _compare("seeds.world", trace.seeds.world, task.world_seed)
    seeds = (trace.seeds.fault, trace.seeds.policy, trace.trial)
    own = identity(trace.task.id, trace.faults, seeds, trace.policy, trace.limits, prints.suite, answers=trace.answers)
    yield from _compare("episode_id", trace.episode_id, own)
    yield from _compare("messages", trace.opening, episode.opening.messages)
    yield from _compare("tools", interface(trace.tools), interface(episode.tools))


def _step(trace: Trace, episode: Episode, number: int, step: StepRecord) -> Iterator[Difference]:
    if episode.stop:
        yield Difference("steps", "one more turn", "an episode that is over", number)
        return
    events = len(episode.events)
    try:
        episode.step(step.turn)
    except Exception as error:
        yield Difference("step", "a turn", f"{type(error).__name__}: {error}", number)
        return
    got = plain_step(episode.turns[-1])
    yield from _compare("calls", len(step.calls), len(got.calls), number)
    for index, (expected, actual) in enumerate(zip(step.calls, got.calls, strict=True)):
        yield from _call(expected, actual, number, index)
    stored = trace.events[events : len(episode.events)]
    yield from _compare("events", len(stored), len(episode.events) - events, number)
    for expected_event, event in zip(stored, episode.events[events:], strict=True):
        yield from _fields("event", expected_event, plain_event(event), number)
    yield from _compare("digest", step.digest, got.digest, number)
    yield from _compare("turn", step.turn, got.turn, number)


def _call(expected: CallRecord, got: CallRecord, step: int, call: int) -> Iterator[Difference]:
    yield from _compare("content", expected.result.content, got.result.content, step, call)
    yield from _compare("code", expected.result.code, got.result.code, step, call)
    for name in ("effects", "faults", "tables", "write", "at"):
        yield from _compare(name, getattr(expected, name), getattr(got, name), step, call)


def _end(trace: Trace, episode: Episode) -> Iterator[Difference]:
    """The stop reason, the verdict, and that nothing is left over."""
    yield from _compare("events", len(trace.events), len(episode.events))
    if trace.harness_error is not None:
        return
    tokens = sum(turn_tokens(step.turn) for step in trace.steps) if trace.limits.tokens is not None else 0
    reached = episode.stop or trace.limits.reached(episode, tokens)
    if trace.stop in REPEATABLE or reached:
        yield from _compare("stop", trace.stop, reached or "an episode that goes on")
    elif trace.stop not in FROM_OUTSIDE:
        yield Difference("stop", repr(trace.stop), "an episode that goes on")
    verdict = episode.verdict or episode.finish(trace.stop)
    yield from _fields("verdict", trace.verdict, verdict)


def _fields(what: str, expected: Any, got: Any, step: int | None = None) -> Iterator[Difference]:
    """Compare two values of one slotted dataclass, field by field."""
    for name in got.__slots__:
        yield from _compare(f"{what}.{name}", getattr(expected, name), getattr(got, name), step)


def _compare(
    what: str, expected: Any, got: Any, step: int | None = None, call: int | None = None
) -> Iterator[Difference]:
    if expected != got:
        yield Difference(what, *near(_text(expected), _text(got)), step, call)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def near(expected: str, got: str) -> tuple[str, str]:
    """Both texts, shortened to where they begin to differ and quoted.

    Example:
        >>> near("status: shipped", "status: lost")
        ("'status: shipped'", "'status: lost'")
    """
    start = 0
    for a, b in zip(expected, got, strict=False):
        if a != b:
            break
        start += 1
    begin = max(0, start - PREVIEW_CHARS)
    return _part(expected, begin, start), _part(got, begin, start)


def _part(text: str, begin: int, start: int) -> str:
    end = start + PREVIEW_CHARS
    left = "..." if begin else ""
    right = "..." if len(text) > end else ""
    return f"{left}{text[begin:end]!a}{right}"
