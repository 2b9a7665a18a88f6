"""Final texts that would be wrong at a fork, in the very words in which right ones are given elsewhere.

A value is replaced by the one that another task of the same template asks for: true there, false here, and of
the same kind and form. A report of an outage is phrased as the expert phrases it, with nothing out of order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from faultgym.agents.scripted.reference_run import reference_run
from faultgym.envs.judging.answers import Atom
from faultgym.envs.reference_agent.reading import ToolResponse
from faultgym.envs.registry import suite_named
from faultgym.envs.task import Task
from faultgym.training.forks.branch_point import BranchPoint


def wrong_answer(at: BranchPoint) -> str:
    """An answer in the right words: with another value, or of a change that has not been made.

    Args:
        at: The fork.

    Returns:
        The text; empty where no such answer is known.
    """
    task = at.task
    if task.goal.kind == "abstain":
        return _answer_to_another(at)
    right = reference_run(task).text
    if task.goal.expected:
        return _with_values_of_another(at, right)
    return right if task.goal.changes or task.goal.kind == "report" else ""


def _with_values_of_another(at: BranchPoint, right: str) -> str:
    wanted = at.task.goal.expected
    for sibling in at.siblings():
        others = sibling.goal.expected
        if len(others) != len(wanted) or [a.kind for a in others] != [a.kind for a in wanted]:
            continue
        text, replaced = right, 0
        for atom, other in zip(wanted, others, strict=True):
            if atom == other:
                continue
            text, count = _replaced(text, _written(atom), _written(other))
            replaced += count
        if replaced:
            return text
    return ""


def _replaced(text: str, old: str, new: str) -> tuple[str, int]:
    """The text with one whole word for another, and how often."""
    return re.subn(rf"(?<!\w){re.escape(old)}(?!\w)", new.replace("\\", r"\\"), text)


def _written(atom: Atom) -> str:
    return f"{int(atom.text) / 100:.2f}" if atom.kind == "money" else atom.text


def _answer_to_another(at: BranchPoint) -> str:
    """What the template that asks most alike would answer, about the record that is asked for here."""
    asked = set(re.findall(r"[a-z]+", at.task.instruction.lower()))
    best, text = 0, ""
    for name in at.other_templates():
        for sibling in at.siblings(name)[:1]:
            said = _about(at.task, sibling)
            alike = len(asked & set(re.findall(r"[a-z]+", sibling.instruction.lower())))
            if said and alike > best:
                best, text = alike, said
    return text


def _about(task: Task, other: Task) -> str:
    """The other task's answer with this task's identifier in place of its own; empty when they do not fit."""
    mine, theirs = _identifiers(task), _identifiers(other)
    if len(mine) != 1 or len(theirs) != 1 or mine[0].split("-")[0] != theirs[0].split("-")[0]:
        return ""
    if other.goal.changes or not other.goal.expected:
        return ""
    said = reference_run(other).text
    return said.replace(theirs[0], mine[0]) if theirs[0] in said else ""


def _identifiers(task: Task) -> list[str]:
    return list(filter(suite_named(task.suite).identifiers.matches, task.params.values()))


def absence(at: BranchPoint) -> str:
    """The text that says that what is asked for does not exist; empty where the task names no record."""
    for name, value in at.task.params.items():
        for entity in at.suite.entities.values():
            if entity.parameter == name and at.suite.identifiers.matches(value):
                return at.desk().absent(entity.name.replace("_", " "), value).text
    return ""


def outage(at: BranchPoint) -> str:
    """The text that says that the task cannot be done because something is out of order."""
    reason = _reason(at.seen) if at.trouble else "no source answers"
    call = at.turn.tool_calls[0] if at.turn.tool_calls else None
    aim = at.aim(call) if call is not None else None
    if at.trouble and aim is not None and aim.write and aim.target in at.suite.service.operations:
        reason = f"{aim.target.replace('_', ' ')} fails: {reason}"
    return at.desk().report(reason).text


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


def final_texts(at: BranchPoint) -> Iterator[str]:
    """Wrong final texts at this fork; whether they are wrong is for the verdict to say.

    An answer comes always, a report or an abstention as often as keeps the kinds of text chosen and rejected alike.

    Args:
        at: The fork.
    """
    texts = [wrong_answer(at)]
    if at.trouble and not at.turn.final:
        texts += [outage(at)]
    elif at.turn.final or at.pick(3, "resigns") == 0:
        texts += [(absence, outage)[at.pick(2, "text")](at)]
    for text in texts:
        if text and text != at.turn.text:
            yield text
