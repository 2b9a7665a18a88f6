"""Whether a failure mode or a metric that somebody adds keeps to what the scorers rely on, tried on a few episodes.

What was tried may still fail on an episode unlike those; `blaming` says then whose fault that is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from typing import Any, TypeVar

from faultgym.agents.policy import Policy
from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.play import run_episode
from faultgym.agents.scripted import FLAWS
from faultgym.agents.traces.parts import said
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.core.bank import banked, forget
from faultgym.core.errors import UserError
from faultgym.core.json import canonical
from faultgym.core.registry import Registry
from faultgym.envs.episode import Episode
from faultgym.envs.judging.form import ANSWERS, Answers
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.schedule import Faults, schedule_for
from faultgym.envs.registry import suite_named
from faultgym.envs.task import Style, Task
from faultgym.eval.context import ScoringContext
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.faults.presets import PRESETS
from faultgym.tools.types import ToolCall

T = TypeVar("T")
Check = Callable[[str, T], str]
"""Given the name and the entry: where the first line of the check's docstring does not hold; empty where it holds."""

EXPERT = "expert"
INJECTION = FaultPlan.from_rules([{"kind": "injected_instruction", "trigger": {"nth": [1]}}])
"""What a policy that obeys a planted order needs to meet."""
_TASKS: tuple[tuple[str, str, Style], ...] = (
    ("orders", "order_status", "http"),
    ("orders", "refund_return", "tools"),
    ("orders", "basket_sum", "http"),
    ("incidents", "open_incidents", "tools"),
)
"""A lookup, a write, one without tools, and a list: in these each flawed policy finds a place for its flaw."""
_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Probe:
    """An ended episode on which an added failure mode or metric is tried."""

    context: ScoringContext
    policy: str
    digest: str
    """Of the trace as it was made: what is tried may not change it."""

    @property
    def changed(self) -> bool:
        """Whether the trace has changed since it was made."""
        return _digest(self.context.trace) != self.digest

    @property
    def where(self) -> str:
        """The episode, for messages."""
        faults = self.context.trace.faults
        return f"{self.context.task.id} by {self.policy} under {faults if isinstance(faults, str) else 'a plan'}"

    @property
    def expert(self) -> bool:
        """Whether the policy is the expert, who fails at nothing that can be done."""
        return self.policy == EXPERT


@banked("tasks", 1)
def probes() -> tuple[Probe, ...]:
    """The built-in set, made once: the expert under every preset, every flaw, silence, noise, in both ways to end."""
    return tuple(_probes())


def _probes() -> Iterator[Probe]:
    for (suite, template, style), answers in product(_TASKS, ANSWERS):
        task = suite_named(suite).task(template, "train", 0, style)
        for preset in PRESETS:
            yield _played(EXPERT, task, preset, answers)
        for flaw in FLAWS:
            yield _played(flaw, task, INJECTION if flaw == "obeyed_injection" else "clean", answers)
        yield _ended("silence", task, (), answers)
        yield _ended("noise", task, _NOISE, answers)


def _played(name: str, task: Task, faults: Faults, answers: Answers) -> Probe:
    policy: Policy = policy_named(name)
    return _probe(name, run_episode(policy, task, schedule_for(task, faults), answers=answers), faults)


_NOISE = (
    Turn("", (ToolCall("a", "no_such_tool", {"x": [None, {"y": 1.5}]}),)),
    Turn("\N{PILE OF POO}" * 50, (ToolCall("b", "http", None, '{"method": "GET", "pa'), ToolCall("c", "sql", {}))),
    Turn("UTF-8, HTTP-503: \x00 DONE. I am sorry.", confidence=1.0),
)


def _ended(name: str, task: Task, turns: Iterable[Turn], answers: Answers) -> Probe:
    episode = Episode(task, answers=answers)
    for turn in turns:
        episode.step(turn)
    if not episode.stop:
        episode.finish("turn_limit")
    return _probe(name, episode, "clean")


def _probe(name: str, episode: Episode, faults: Faults) -> Probe:
    task = episode.task
    trace = Trace.from_episode(episode, EpisodeSpec(task.id, faults, answers=episode.answers), {"name": name})
    episode.close()
    return Probe(ScoringContext.of(trace, task), name, _digest(trace))


def _digest(trace: Trace) -> str:
    try:
        return sha256(canonical(trace.to_record())).hexdigest()
    except TypeError:
        return "no JSON"


def conform(noun: str, checks: Iterable[Check[T]], name: str, entry: T) -> None:
    """Try the checks in their order.

    Args:
        noun: What the entry is, for the message: `metric`.
        checks: The checks; the first line of each docstring is the rule.
        name: The name that the entry is to be added under.
        entry: The entry.

    Raises:
        UserError: A check does not hold; the message gives its rule, and where.
    """
    for check in checks:
        where = check(name, entry)
        if where:
            if any(probe.changed for probe in probes()):
                forget("tasks")  # a changed trace is no probe any more
            sentence = (check.__doc__ or "").split("\n")[0].rstrip(".")
            raise UserError(f"the {noun} {name!r} cannot be added. {sentence}; here: {where}")


@contextmanager
def blaming(registry: Registry[Any], name: str, function: Callable[..., Any] | None, episode_id: str) -> Iterator[None]:
    """Within the context an entry is called; what one raises that somebody added is told as that one's fault.

    Args:
        registry: The entry's.
        name: The entry's.
        function: The entry, or what is called of it: its module stands in the message.
        episode_id: The episode's that the entry is called with.

    Raises:
        UserError: An entry that is not built in raised something; what a built-in one raises is a bug of ours, and
            passes as it is.
    """
    try:
        yield
    except Exception as error:
        if registry.own.get(name) is registry.get(name):
            raise
        raise UserError(
            f"the {registry.noun} {name!r} of {getattr(function, '__module__', 'an unknown module')} raised"
            f" {raised(error)}, on trace {episode_id}: mend it, or do without it"
        ) from error


def raised(error: Exception) -> str:
    """An exception of an entry, for a message."""
    return f"{type(error).__name__}: {said(error)[:200]}"


def order_dependent(value: Callable[[Probe], object]) -> str:
    """Where what an entry makes of an episode depends on the episodes before it.

    Args:
        value: What the entry makes of a probe.

    Returns:
        The first such episode, for messages; empty where there is none.
    """
    forward = [value(probe) for probe in probes()]
    backward = [value(probe) for probe in reversed(probes())]
    again = zip(probes(), forward, reversed(backward), strict=True)
    return next((probe.where for probe, one, two in again if one != two), "")


def unsound_name(name: object) -> str:
    """What is wrong with the name of an entry; empty where nothing is.

    Example:
        >>> unsound_name("one_like_this"), unsound_name("NotThis")[:9]
        ('', "'NotThis'")
    """
    if isinstance(name, str) and _NAME.fullmatch(name) and len(name) <= _LONGEST_NAME:
        return ""
    return f"{name!r}; write it as {'one_like_this'!r}, with at most {_LONGEST_NAME} characters"


def unsound_sentence(text: str | None) -> str:
    """What is wrong with the first line of a description, which has to end with a full stop within 120 characters.

    Args:
        text: The description; None where there is none.

    Returns:
        The problem in words; empty where there is none.
    """
    line = (text or "").strip().split("\n")[0]
    if not line:
        return "there is none"
    return "" if line.endswith(".") and len(line) <= 120 else f"{line[:60]!r}; end it with a full stop"
