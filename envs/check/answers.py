"""Rules about typed answers: the fields fit the facts, the solution fills them in, and nothing else counts."""

from __future__ import annotations

from collections.abc import Iterator

from faultgym.core.errors import TaskError
from faultgym.envs.check.false_answers import answered, false_answers
from faultgym.envs.check.false_texts import false_texts, told
from faultgym.envs.check.report import Subject, Violation, require
from faultgym.envs.episode import run_reference
from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import AnswerField, wanted_value
from faultgym.envs.judging.typed import wanted_fields, wanted_outcome
from faultgym.envs.reference.run import closing_turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.task import Task

TASKS_TRIED = 4
"""Tasks of each template that are drawn; consecutive ones are in different worlds."""


def _tasks(subject: Subject, template: str) -> list[Task]:
    split = "unseen_compositions" if subject.suite.templates[template].composition else subject.split
    return [subject.suite.task(template, split, index) for index in range(TASKS_TRIED)]


def _every_task(subject: Subject) -> Iterator[Task]:
    for template in subject.suite.templates:
        yield from _tasks(subject, template)


def fields_fit_the_facts(subject: Subject) -> None:
    """Every fact of a goal has a field of its kind, and no field's name or description gives it away."""
    for task in _every_task(subject):
        goal, form = task.goal, task.answer
        try:
            wanted = wanted_fields(goal, form)
        except TaskError as error:
            raise Violation(f"{task.id}: {error}") from None
        empty = goal.kind == "answer" and not goal.changes and not wanted
        require(not empty, f"{task.id}: the goal has neither a change nor a fact: any answer reaches it")
        require(len({field.name for field in form}) == len(form), f"{task.id}: two fields have the same name")
        for field in form:
            require(bool(field.description.strip()), f"{task.id}: the field {field.name} has no description")
            choices = len(set(field.values))
            require(
                choices > 1 if field.kind == "enum" else not choices, f"{task.id}: {field.name} has {choices} choices"
            )
            for atom in goal.expected:
                told = atom.found_in(field.name.replace("_", " ")) or atom.found_in(field.description)
                require(not told, f"{task.id}: the field {field.name} gives {atom.text!r} away")


def twins_have_the_same_fields(subject: Subject) -> None:
    """Templates that ask in the same words have the same fields, whether there is an answer or not."""
    seen: dict[tuple[str, ...], tuple[str, set[tuple[AnswerField, ...]]]] = {}
    for name, template in subject.suite.templates.items():
        forms = {task.answer for task in _tasks(subject, name)}
        first, theirs = seen.setdefault(template.phrasings, (name, forms))
        same = not theirs.isdisjoint(forms)  # several where the fields depend on what was drawn
        require(same, f"{first} and {name} ask in the same words, and their answers have different fields")


def solutions_fill_in_the_fields(subject: Subject) -> None:
    """The reference solution reaches the goal with a typed answer, on tools that work."""
    for task in _every_task(subject):
        episode, answer = run_reference(task, schedule_for(task, suite=subject.suite), subject.suite, "typed")
        due = wanted_outcome(task.goal)
        require(answer.outcome == due, f"{task.id}: the solution's outcome is {answer.outcome}, the goal's is {due}")
        found = episode.step(closing_turn(answer, "typed"))
        verdict = episode.verdict
        why = verdict.reason if verdict is not None else found.messages[0].content
        episode.close()
        require(verdict is not None and verdict.success is True, f"{task.id}: the solution's typed answer fails: {why}")


def no_other_answer_counts(subject: Subject) -> None:
    """Hedges, lists, wrong values, guesses, messages that are not true and another task's answer all fail."""
    for name in subject.suite.templates:
        tasks = _tasks(subject, name)
        for task, other in zip(tasks, [*tasks[1:], tasks[0]], strict=True):
            fields = {field.name: field for field in task.answer}
            for field_name, right in wanted_fields(task.goal, task.answer).items():
                for rival in task.goal.distractors:
                    same = _value(fields[field_name], rival) in ((right,) if isinstance(right, str) else right)
                    require(not same, f"{task.id}: the field {field_name} cannot tell {rival.text!r} from {right!r}")
            for false in false_answers(task, other, subject.suite):
                require(not answered(false), f"{task.id}: {false.what} counts as success")
                false.episode.close()


def no_other_text_counts(subject: Subject) -> None:
    """The same tried with texts: hedges, lists, claims of work not done and guesses all fail."""
    for name in subject.suite.templates:
        tasks = _tasks(subject, name)
        for task, other in zip(tasks, [*tasks[1:], tasks[0]], strict=True):
            for false in false_texts(task, other, subject.suite):
                require(not told(false), f"{task.id}: {false.what} counts as success: {false.text[:200]}")
                false.episode.close()


def _value(field: AnswerField, rival: Atom) -> str | None:
    """What a field makes of a competing candidate; None where it is one for another field."""
    try:
        return wanted_value(field, rival.text)
    except ValueError:
        return None
