"""Values that nothing gave: what an agent puts into an answer whose value it does not know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import AnswerField, FieldKind
from faultgym.envs.judging.goal import Goal
from faultgym.envs.judging.typed import fields_of_facts, wanted_fields
from faultgym.envs.task import Task

_PLAIN: Mapping[FieldKind, tuple[str, ...]] = {
    "id": ("90001", "90002"),
    "money": ("99.90", "49.90"),
    "integer": ("3", "4"),
    "number": ("3", "4"),
    "date": ("2026-01-31", "2026-02-28"),
    "time": ("17:00", "18:00"),
    "duration": ("30", "45"),
    "version": ("v1.0.0", "v2.0.0"),
    "name": ("the person on duty", "the person in charge"),
    "text": ("as usual", "as before"),
}
"""What comes to mind for each kind of field."""


def other_values(right: Atom, goal: Goal) -> Iterable[str]:
    """Values of the same kind as a right one, as an answer would write them.

    Args:
        right: The right one.
        goal: Its goal; of words and identifiers, the competing candidates are taken.
    """
    if right.kind == "money":
        yield from (f"{(int(right.text) + n) / 100:.2f} EUR" for n in (123_457, 234_571, 345_689))
    elif right.kind == "number":
        yield from (str(int(right.text) + n) for n in (7_919, 15_013, 23_027))
    elif right.kind == "date":
        day = date.fromisoformat(right.text)
        yield from ((day + timedelta(days=n)).isoformat() for n in (1_001, 1_507, 2_003))
    else:
        yield from (rival.text for rival in goal.distractors if rival.kind == right.kind)


def filled(task: Task, values: Sequence[str]) -> dict[str, Any]:
    """The fields of a typed answer that states one value for each fact, in the order of the goal's facts.

    Args:
        task: The task; where there are fewer values than facts, the fields of the other facts are left out.
        values: The values; one that its field does not take is left out.
    """
    found: dict[str, Any] = {}
    for field, value in zip(fields_of_facts(task.goal, task.answer), values, strict=False):
        if not fits(field, value):
            continue
        if field.many:
            found.setdefault(field.name, []).append(value)
        else:
            found[field.name] = value
    return found


def guessed(task: Task) -> dict[str, Any]:
    """A guess for each field of the task's answer; never the right value, should it be among the guesses.

    Args:
        task: The task; its goal serves only to avoid being right by chance.
    """
    wanted, found = wanted_fields(task.goal, task.answer), {}
    for field in task.answer:
        right = wanted.get(field.name, ())
        for value in field.values or _PLAIN.get(field.kind, ()):
            given: Any = [value] if field.many else value
            if fits(field, value) and field.normalised(given) != right:
                found[field.name] = given
                break
    return found


def fits(field: AnswerField, value: str) -> bool:
    """Whether a field takes a value; one that takes several, as one of them."""
    try:
        field.normalised([value] if field.many else value)
    except ValueError:
        return False
    return True
