"""Answers that would be wrong at a fork, in the very words in which right ones are given elsewhere.

A value is replaced by the one that another task of the same template asks for: true there, false here, and of
the same kind and form. A report of an outage is phrased as the expert phrases it, with nothing out of order. Where
answers are typed, the same answers are calls, with outcome and fields; and the right one comes with another outcome,
or as plain text in place of the call.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from faultgym.agents.scripted.reference_run import reference_run
from faultgym.envs.judging.answering import ANSWER, answer_in
from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import Outcome
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.run import closing_turn
from faultgym.envs.reference_agent.client import ReferenceAnswer
from faultgym.envs.reference_agent.reading import ToolResponse
from faultgym.envs.registry import suite_named
from faultgym.envs.task import Task
from faultgym.tools.toolbox import parse_arguments
from faultgym.training.forks.branch_point import BranchPoint
from faultgym.training.forks.fork import same_decision

_TAKEN_FOR: Mapping[Outcome, tuple[Outcome, ...]] = {
    "done": ("answered", "answered", "refused"),
    "answered": ("done", "done", "refused"),
    "refused": ("answered", "done"),
}
"""Outcome -> those that are claimed in its place."""


def wrong_answer(at: BranchPoint) -> ReferenceAnswer | None:
    """An answer in the right words: with another value, or of a change that has not been made.

    Args:
        at: The fork.

    Returns:
        The answer; None where no such answer is known.
    """
    task = at.task
    if task.goal.kind == "abstain":
        return _answer_to_another(at)
    right = reference_run(task).answer
    if task.goal.expected:
        return _with_values_of_another(at, right)
    return right if task.goal.changes or task.goal.kind == "report" else None


def _with_values_of_another(at: BranchPoint, right: ReferenceAnswer) -> ReferenceAnswer | None:
    wanted = at.task.goal.expected
    for sibling in at.siblings():
        others = sibling.goal.expected
        if len(others) != len(wanted) or [a.kind for a in others] != [a.kind for a in wanted]:
            continue
        text, replaced = right.text, 0
        for atom, other in zip(wanted, others, strict=True):
            if atom == other:
                continue
            text, count = _replaced(text, _written(atom), _written(other))
            replaced += count
        if replaced:
            theirs = reference_run(sibling).answer.fields
            return replace(right, text=text, fields={n: theirs.get(n, value) for n, value in right.fields.items()})
    return None


def _replaced(text: str, old: str, new: str) -> tuple[str, int]:
    """The text with one whole word for another, and how often."""
    return re.subn(rf"(?<!\w){re.escape(old)}(?!\w)", new.replace("\\", r"\\"), text)


def _written(atom: Atom) -> str:
    return f"{int(atom.text) / 100:.2f}" if atom.kind == "money" else atom.text


def _answer_to_another(at: BranchPoint) -> ReferenceAnswer | None:
    """What the template that asks most alike would answer, about the record that is asked for here."""
    asked = set(re.findall(r"[a-z]+", at.task.instruction.lower()))
    best, answer = 0, None
    for name in at.other_templates():
        for sibling in at.siblings(name)[:1]:
            said = _about(at, sibling)
            alike = len(asked & set(re.findall(r"[a-z]+", sibling.instruction.lower())))
            if said is not None and alike > best:
                best, answer = alike, said
    return answer


def _about(at: BranchPoint, other: Task) -> ReferenceAnswer | None:
    """The other task's answer with this task's identifier in place of its own; None when they do not fit."""
    mine, theirs = _identifiers(at.task), _identifiers(other)
    if len(mine) != 1 or len(theirs) != 1 or mine[0].split("-")[0] != theirs[0].split("-")[0]:
        return None
    if other.goal.changes or not other.goal.expected:
        return None
    said = reference_run(other).answer
    fields = _renamed(at.task, other, said.fields)
    if theirs[0] not in said.text or (at.typed and fields is None):
        return None
    return replace(said, text=said.text.replace(theirs[0], mine[0]), fields=fields or {})


def _renamed(task: Task, other: Task, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Another task's values under the names of this task's fields, in their order; None where they do not fit."""
    if task.answer == other.answer:
        return dict(values)
    given = [values[field.name] for field in other.answer if field.name in values]
    if len(given) != len(task.answer):
        return None
    try:
        for field, value in zip(task.answer, given, strict=True):
            field.normalised(value)
    except ValueError:
        return None
    return {field.name: value for field, value in zip(task.answer, given, strict=True)}


def _identifiers(task: Task) -> list[str]:
    return list(filter(suite_named(task.suite).identifiers.matches, task.params.values()))


def absence(at: BranchPoint) -> ReferenceAnswer | None:
    """The answer that what is asked for does not exist; None where the task names no record."""
    for name, value in at.task.params.items():
        for entity in at.suite.entities.values():
            if entity.parameter == name and at.suite.identifiers.matches(value):
                return at.desk().absent(entity.name.replace("_", " "), value)
    return None


def outage(at: BranchPoint) -> ReferenceAnswer:
    """The answer that the task cannot be done because something is out of order."""
    reason = _reason(at.seen) if at.trouble else "no source answers"
    call = at.turn.tool_calls[0] if at.turn.tool_calls else None
    aim = at.aim(call) if call is not None else None
    if at.trouble and aim is not None and aim.write and aim.target in at.suite.service.operations:
        reason = f"{aim.target.replace('_', ' ')} fails: {reason}"
    return at.desk().report(reason)


def _reason(seen: ToolResponse) -> str:
    if seen.status in (429, 503):
        return f"it keeps answering {seen.status}"
    if seen.status in (403, 404, 405, 410):
        return f"it answers {seen.status}: {seen.detail[:100]}"
    trouble = seen.trouble
    if "locked" in trouble or "busy" in trouble:
        return "the database stays locked"
    if "readonly" in trouble or "read-only" in trouble:
        return "the database is read only"
    return f"it does not answer properly ({trouble})" if trouble else "no source answers"


def false_endings(at: BranchPoint) -> Iterator[Turn]:
    """Turns that would end the episode wrongly at this fork; whether they are wrong is for the verdict to say.

    An answer comes always, a report or an abstention as often as keeps the kinds of answers chosen and rejected alike.
    Where answers are typed and the right turn is one, it comes with another outcome too, or as plain text.

    Args:
        at: The fork.
    """
    answers = [wrong_answer(at)]
    if at.trouble and not at.ends(at.turn):
        answers += [outage(at)]
    elif at.ends(at.turn) or at.pick(3, "resigns") == 0:
        answers += [(absence, outage)[at.pick(2, "text")](at)]
    for answer in answers:
        if answer is not None and answer.text:
            turn = closing_turn(answer, at.forks.trace.answers)
            if not same_decision(turn, at.turn):
                yield turn
    if at.typed:
        yield from _misgiven(at)


def _misgiven(at: BranchPoint) -> Iterator[Turn]:
    """The right answer with another outcome, or as plain text: one of the two, as other moves are to be learned too."""
    right = answer_in(at.turn, at.task.answer)
    if right is None:
        return
    others = _TAKEN_FOR.get(right.outcome, ())
    if others and at.pick(2, "misgiven"):
        sent = parse_arguments(next(call for call in at.turn.tool_calls if call.name == ANSWER))
        other = others[at.pick(len(others), "outcome")]
        yield closing_turn(ReferenceAnswer(right.message, other, sent.get("fields") or {}), "typed")
    elif right.message:
        yield Turn(right.message)
