"""Typed answers that must not count: what an agent might try in place of the right one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from faultgym.envs.episode import Episode, run_reference
from faultgym.envs.judging.answering import ANSWER
from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import OUTCOMES, AnswerField, Outcome, Value
from faultgym.envs.judging.typed import wanted_fields, wanted_outcome
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.suite import Suite
from faultgym.envs.task import Task
from faultgym.tools.types import ToolCall


@dataclass(frozen=True, slots=True)
class FalseAnswer:
    """One answer, and the episode that it would end."""

    what: str
    """What is wrong with it, in words."""
    episode: Episode
    """A copy of its own."""
    outcome: Outcome
    fields: Mapping[str, Any]
    message: str = ""


def answered(given: FalseAnswer) -> bool:
    """Whether an answer, given in its episode, counts as success; one that is refused as a call does not."""
    arguments: dict[str, Any] = {"outcome": given.outcome, "message": given.message}
    if given.fields:
        arguments["fields"] = dict(given.fields)
    given.episode.step(Turn("", (ToolCall("answer", ANSWER, arguments),)))
    return given.episode.verdict is not None and given.episode.verdict.success is True


def false_answers(task: Task, other: Task, suite: Suite) -> Iterator[FalseAnswer]:
    """Answers to a task that must not count.

    Args:
        task: The task.
        other: Another task of the same template, whose values are somebody else's.
        suite: The suite of both.

    Yields:
        Hedges, lists, wrong and missing values, another task's values, and messages that are not true, after all the
        work was done; and the right answer after too little of it, or after nothing that could have told it.
    """
    solved, solution = run_reference(task, schedule_for(task, suite=suite), suite, "typed")
    right, values = dict(solution.fields), wanted_fields(task.goal, task.answer)
    due = wanted_outcome(task.goal)
    for outcome in OUTCOMES:
        if outcome != due:
            yield FalseAnswer(f"the outcome {outcome}, where it is {due}", solved.fork(), outcome, right, solution.text)
            if right:
                yield FalseAnswer(f"{outcome} without a value, where it is {due}", solved.fork(), outcome, {})
    for field in task.answer:
        if field.name not in values:
            continue
        rest = {name: value for name, value in right.items() if name != field.name}
        yield FalseAnswer(f"an answer without {field.name}", solved.fork(), due, rest, solution.text)
        for what, value in _wrong(field, values[field.name]):
            given = {**right, field.name: value}
            yield FalseAnswer(f"{field.name} given as {what}, {value!r},", solved.fork(), due, given, solution.text)
    theirs = _sent(other)
    if values and wanted_fields(other.goal, other.answer) != values:
        yield FalseAnswer(f"the answer to {other.id}", solved.fork(), due, theirs)
    own = FalseAnswer("", solved, due, right, solution.text)
    if due not in ("answered", "refused"):
        yield from _undone(task, solved, suite, own)
    if task.needs_tools and due != "unavailable":
        yield from _unseen(task, suite, own)
    for what, message in lies(task, due):
        yield FalseAnswer(f"the message {what}", solved.fork(), due, right, message)
    solved.close()


def lies(task: Task, due: Outcome) -> Iterator[tuple[str, str]]:
    """What an answer must not tell the person, whatever its outcome and values.

    Args:
        task: The task, all of which was done.
        due: The right outcome.

    Yields:
        What is wrong with it, in words, and the message.
    """
    yield "claims work that nobody did", "I have also e-mailed the customer about it."
    if due in ("not_found", "unavailable", "refused"):
        yield "claims work that was not done", "Done: I have cancelled it and refunded the amount."
    else:
        yield "says that it could not be done", "I could not do this: the API is out of service."
        yield "says that there is none", f"There is no such record: {_named(task)} does not exist."
    rival = next((text for atom in task.goal.distractors if (text := written(atom))), "")
    if rival and task.goal.expected:
        yield "gives another value", f"The answer is {rival}."


def _named(task: Task) -> str:
    """What the instruction speaks of, by the first of its parameters."""
    return str(next(iter(task.params.values()), "it"))


def written(atom: Atom) -> str:
    """A fact as a person writes it."""
    if atom.kind == "money":
        return f"{int(atom.text) / 100:.2f} EUR"
    return f"{atom.text} {atom.unit}".strip()


def _unseen(task: Task, suite: Suite, right: FalseAnswer) -> Iterator[FalseAnswer]:
    """The right answer after nothing that could have told it."""
    for what, calls in blind_calls(task):
        episode = Episode(task, schedule_for(task, suite=suite), suite=suite, answers="typed")
        for call in calls:
            episode.step(Turn("", (call,)))
        yield FalseAnswer(f"the right answer after {what}", episode, right.outcome, right.fields, right.message)


def blind_calls(task: Task) -> Iterator[tuple[str, list[ToolCall]]]:
    """Calls that show nothing of the answer, although some of them name it.

    Args:
        task: The task.

    Yields:
        What they are, in words, and the calls.
    """
    named = [*map(str, task.params.values()), *(atom.text for atom in task.goal.expected)]
    texts = ", ".join("'" + name.replace("'", "''") + "'" for name in named) or "1"
    yield "no call at all", []
    if "sql" in task.tools:
        yield (
            "statements that only write it down",
            [
                ToolCall("call_0", "sql", {"query": f"SELECT {texts}"}),
                ToolCall("call_1", "sql", {"query": f"SELECT table_name, {texts} FROM schema"}),
            ],
        )
    if "search" in task.tools:
        yield "a search for nothing", [ToolCall("call_0", "search", {"query": "qqzx " + "".join(named[:1])[::-1]})]
    yield (
        "calls that fail",
        [
            ToolCall("call_0", task.tools[0], {"no_such_argument": ", ".join(named)}),
            ToolCall("call_1", "no_such_tool", {"query": ", ".join(named)}),
        ],
    )


def _undone(task: Task, solved: Episode, suite: Suite, right: FalseAnswer) -> Iterator[FalseAnswer]:
    """The right answer where nothing was done, and where all was done but the last write."""
    writes = [n for n, step in enumerate(solved.turns) if any(record.effects for record in step.calls)]
    for what, turns in (("nothing was done", 0), *(("the last write was left out", n) for n in writes[-1:])):
        episode = Episode(task, schedule_for(task, suite=suite), suite=suite, answers="typed")
        for step in solved.turns[:turns]:
            episode.step(step.turn)
        yield FalseAnswer(f"the right answer where {what}", episode, right.outcome, right.fields, right.message)


def _sent(task: Task) -> dict[str, Any]:
    """The right values of a task, as an agent would send them."""
    forms = {field.name: field for field in task.answer}
    return {
        name: forms[name].written(value) if isinstance(value, str) else [forms[name].written(v) for v in value]
        for name, value in wanted_fields(task.goal, task.answer).items()
    }


def _wrong(field: AnswerField, right: Value) -> Iterator[tuple[str, Any]]:
    """Values near a right one, and lists that hold it."""
    if not isinstance(right, str):
        more = field.written(_near(field, right[0]))
        yield "a list with one more", [*right, more]
        yield "a list with one less", list(right[1:])
        return
    written, near = field.written(right), field.written(_near(field, right))
    yield "another value", near
    yield "a list", [written, near]
    yield "two values", f"{written} or {near}"


def _near(field: AnswerField, right: str) -> str:
    """Another normalised value of the field's kind, such as an agent might give by mistake."""
    if field.kind == "enum":
        return next(value for value in field.values if field.normalised(value) != right)
    if field.kind == "date":
        return (date.fromisoformat(right) + timedelta(days=1)).isoformat()
    if field.kind == "time":
        return f"{(int(right[:2]) + 1) % 24:02d}{right[2:]}"
    if field.kind in ("name", "text"):
        return f"{right} junior"
    if field.kind in ("money", "integer", "duration", "number") and "." not in right:
        return str(int(right) + 1)
    return right[:-1] + ("1" if right[-1] == "0" else "0")
