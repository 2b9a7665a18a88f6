"""Final texts that must not count: what an agent might write in place of the right one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from faultgym.envs.check.false_answers import blind_calls, written
from faultgym.envs.episode import Episode, run_reference
from faultgym.envs.judging.typed import wanted_fields, wanted_outcome
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.suite import Suite
from faultgym.envs.task import Task


@dataclass(frozen=True, slots=True)
class FalseText:
    """One final text, and the episode that it would end."""

    what: str
    """What is wrong with it, in words."""
    episode: Episode
    """A copy of its own."""
    text: str


def told(given: FalseText) -> bool:
    """Whether a text, given in its episode, counts as success."""
    given.episode.step(Turn(given.text))
    return given.episode.verdict is not None and given.episode.verdict.success is True


def false_texts(task: Task, other: Task, suite: Suite) -> Iterator[FalseText]:
    """Final texts of a task that must not count.

    Args:
        task: The task.
        other: Another task of the same template, whose values are somebody else's.
        suite: The suite of both.

    Yields:
        Hedges, lists, other outcomes, claims of work that nobody did and another task's answer, after all the work was
        done; and the right text after too little of it, or after nothing that could have told it.
    """
    solved, solution = run_reference(task, schedule_for(task, suite=suite), suite)
    due, right = wanted_outcome(task.goal), solution.text
    about = ", ".join(task.goal.about) or str(next(iter(task.params.values()), "it"))
    values = " and ".join(map(written, task.goal.expected)) or "it is done"
    yield FalseText("a hedge of three outcomes", solved.fork(), hedge(about, values))
    rivals = [written(rival) for rival in task.goal.distractors][:12]
    if rivals and task.goal.expected:
        yield FalseText("a list of candidates", solved.fork(), f"It is {', '.join([*rivals, values])}.")
        yield FalseText("two values", solved.fork(), f"It is {values} or {rivals[0]}.")
    yield FalseText("a claim of more work", solved.fork(), f"{right} I have also e-mailed the customer about it.")
    if due != "unavailable":
        down = f"I could not do this for {about}: the API is out of service."
        yield FalseText("a report of an outage that there is not", solved.fork(), down)
    if due != "not_found":
        none = f"There is no such record: {about} does not exist."
        yield FalseText("an absence of what is there", solved.fork(), none)
    theirs = run_reference(other, schedule_for(other, suite=suite), suite)[1].text
    if wanted_fields(other.goal, other.answer) != wanted_fields(task.goal, task.answer):
        yield FalseText(f"the answer to {other.id}", solved.fork(), theirs)
    if task.goal.changes:
        fresh = Episode(task, schedule_for(task, suite=suite), suite=suite)
        yield FalseText("a claim of the work where nothing was done", fresh, right)
    if task.needs_tools and due != "unavailable":
        for what, calls in blind_calls(task):
            episode = Episode(task, schedule_for(task, suite=suite), suite=suite)
            for call in calls:
                episode.step(Turn("", (call,)))
            yield FalseText(f"the right text after {what}", episode, right)
    solved.close()


def hedge(about: str, guess: str) -> str:
    """One text that reports a value, an outage and an absence at once.

    Args:
        about: What was asked about.
        guess: The value.
    """
    return (
        f"{about}: {guess}. If that could not be confirmed, it is because the system was unavailable at times and"
        " there is no such record."
    )
