"""The gate: no task is used before it has been shown to be solvable, and not solvable by less.

For each template: the expert reaches the goal clean and under faults; agents that do nothing, call at
random, echo the tools or list every candidate fail; and so does the expert with its last write
dropped, doubled, or aimed at a neighbour. All of them play with typed answers and with texts. So do those who want to
pass without the work: hedgers, who lists candidates or claims work not done, whose message is not true, who guesses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import product

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.play import run_episode
from faultgym.agents.scripted.harms import without_key
from faultgym.agents.scripted.wrong_calls import replaced
from faultgym.envs.check.false_answers import answered, false_answers
from faultgym.envs.check.false_texts import false_texts, told
from faultgym.envs.episode import Episode
from faultgym.envs.judging.form import ANSWERS, DEFAULT_ANSWERS, Answers
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.run import MAX_MOVES, Reference, closing_turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.reference_agent.client import ReferenceAnswer, ReferenceStep
from faultgym.envs.registry import suite_named
from faultgym.envs.suite import Suite
from faultgym.envs.task import Task
from faultgym.envs.worlds.world import world_image
from faultgym.tools.faults.presets import PRESETS
from faultgym.tools.toolbox import CallRecord

MUST_FAIL = ("null", "random", "echo", "spam")


@dataclass(slots=True)
class GateRow:
    """What the gate saw of one template: for each check, (as wanted, tried)."""

    suite: str
    template: str
    checks: dict[str, tuple[int, int]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    """`task id: what went wrong`, for each check that did not go as wanted."""

    @property
    def clean(self) -> bool:
        """Whether every check went as wanted."""
        return not self.failures

    def note(self, check: str, task: Task, wanted: bool, why: str) -> None:
        """Count one check.

        Args:
            check: The name of the check.
            task: The task that was tried.
            wanted: Whether the check went as wanted.
            why: What went wrong, for `failures`.
        """
        good, tried = self.checks.get(check, (0, 0))
        self.checks[check] = (good + wanted, tried + 1)
        if not wanted:
            self.failures.append(f"{task.id}: {check}: {why}")


def gate(suite: Suite, template: str, tasks: Iterable[Task]) -> GateRow:
    """Run every check of the gate on some tasks of one template.

    Args:
        suite: The suite.
        template: The template's name.
        tasks: Its tasks; every check is run on each.

    Returns:
        What was tried, and what did not go as wanted.
    """
    row = GateRow(suite.name, template)
    for task in tasks:
        for preset, answers in product(PRESETS, ANSWERS):
            episode = run_episode(policy_named("expert"), task, schedule_for(task, preset), answers=answers)
            row.note(f"expert {preset} {answers}", task, _succeeded(episode), _why(episode))
        for name, answers in product(MUST_FAIL, ANSWERS):
            episode = run_episode(policy_named(name), task, schedule_for(task), answers=answers)
            row.note(f"{name} {answers}", task, not _succeeded(episode), f"{name} passes")
        for (name, spoil), answers in product(_SPOILERS.items(), ANSWERS):
            ended = spoiled(task, spoil, answers)
            if ended is not None:
                why = f"the expert passes with its last write {name}"
                row.note(f"{name} {answers}", task, not _succeeded(ended), why)
        other = suite.task(template, task.split, task.index + 1)
        for answer in false_answers(task, other, suite):
            row.note("false typed", task, not answered(answer), f"{answer.what} passes")
        for text in false_texts(task, other, suite):
            row.note("false text", task, not told(text), f"{text.what} passes")
    return row


def _succeeded(episode: Episode) -> bool:
    return episode.verdict is not None and episode.verdict.success is True


def _why(episode: Episode) -> str:
    return episode.verdict.reason if episode.verdict is not None else "no verdict"


Spoil = Callable[[Task, ReferenceStep], list[ReferenceStep]]


def _drop(task: Task, move: ReferenceStep) -> list[ReferenceStep]:
    return []


def _double(task: Task, move: ReferenceStep) -> list[ReferenceStep]:
    """The write as it is, then again as a careless agent would: without the key that makes it safe."""
    return [move, replace(move, call=without_key(move.call))]


def _aside(task: Task, move: ReferenceStep) -> list[ReferenceStep]:
    """The write, aimed at another record of the same kind."""
    text = repr(move.call.arguments)
    for found in suite_named(task.suite).identifiers.found(text):
        other = _neighbour(task, found)
        if other is not None:
            arguments = replaced(move.call.arguments or {}, found, other)
            return [replace(move, call=replace(move.call, arguments=arguments))]
    return []


def _neighbour(task: Task, key: str) -> str | None:
    image = world_image(suite_named(task.suite), task.split, task.world_seed)
    for table in image.domain.visible:
        keys = sorted(image.rows(table))
        if key in keys:
            return keys[(keys.index(key) + 1) % len(keys)]
    return None


_SPOILERS: dict[str, Spoil] = {"dropped": _drop, "doubled": _double, "neighbour": _aside}
"""What is done to the expert's last write."""


def spoiled(task: Task, spoil: Spoil, answers: Answers = DEFAULT_ANSWERS) -> Episode | None:
    """The expert's episode with its last write spoiled.

    A spoiled write is answered to the expert as the true one would have been, so that only the world differs.

    Args:
        task: The task.
        spoil: Gives, for the last write, the moves that are made in its place.
        answers: How the episode ends.

    Returns:
        The episode; None when the expert writes nothing, or the service itself refuses to do the write twice.
    """
    last = _last_write(task)
    if last is None:
        return None
    episode = Episode(task, schedule_for(task), answers=answers)
    shadow = Episode(task, schedule_for(task))
    reference = Reference(task, set())
    text: str | None = None
    for n in range(MAX_MOVES):
        move = reference.next(text, {spec.name for spec in episode.tools})
        if isinstance(move, ReferenceAnswer):
            episode.step(closing_turn(move, episode.answers))
            return episode
        text = shadow.step(Turn("", (move.call,))).messages[0].content
        moves = spoil(task, move) if n == last else [move]
        for m in moves:
            episode.step(Turn("", (m.call,), m.reasoning))
        if len(moves) > 1 and not episode.records[-1].effects:
            return None
    return episode


def _last_write(task: Task) -> int | None:
    """Index of the expert's last call that changed something, in a clean run."""
    episode = run_episode(policy_named("expert"), task, schedule_for(task))
    records: list[CallRecord] = episode.records
    writes = [n for n, record in enumerate(records) if record.effects]
    return writes[-1] if writes else None
