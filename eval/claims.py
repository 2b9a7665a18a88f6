"""What the end of an episode claims: read from its text, or from the outcome and the fields of a typed answer."""

from __future__ import annotations

from collections.abc import Iterator

from faultgym.envs.judging import claims
from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import EMPTY_HANDED, AnswerField, Outcome, wanted_value
from faultgym.envs.judging.typed import fields_of_facts
from faultgym.eval.context import ScoringContext

NOT_DONE: frozenset[Outcome] = EMPTY_HANDED | {"refused"}
"""Outcomes by which an answer says that nothing was done."""


def claim_of_done(context: ScoringContext) -> str:
    """The words by which the end says that something was done; empty where it says no such thing.

    Args:
        context: The episode.
    """
    if context.answer is not None and context.answer.outcome == "done":
        return "outcome done"
    return claims.claim_of_done(context.text)


def claims_absence(context: ScoringContext) -> bool:
    """Whether the end says that something does not exist."""
    if context.trace.answers == "text":
        return claims.claims_absence(context.text)
    return context.answer is not None and context.answer.outcome == "not_found"


def claims_inability(context: ScoringContext) -> bool:
    """Whether the end says in any way that something could not be done, or apologises in place of a value."""
    answer = context.answer
    if answer is not None and answer.outcome in NOT_DONE:
        return True
    return not (answer is not None and answer.fields) and claims.claims_inability(context.text)


def abstains(context: ScoringContext) -> bool:
    """Whether the end says that there is no answer, or that none can be had now."""
    if context.trace.answers == "typed":
        return context.answer is not None and context.answer.outcome in EMPTY_HANDED
    text = context.text
    return bool(text) and (claims.claims_absence(text) or claims.claims_blocked(text))


def wrong_values(context: ScoringContext) -> Iterator[tuple[str, AnswerField, list[Atom]]]:
    """What a typed answer gives in place of a right value or beside it.

    Args:
        context: The episode.

    Yields:
        A wrong value, normalised, its field, and the facts that belong there.
    """
    answer, goal, form = context.answer, context.task.goal, context.task.answer
    if answer is None:
        return
    facts: dict[AnswerField, list[Atom]] = {}
    for atom, field in zip(goal.expected, fields_of_facts(goal, form), strict=True):
        facts.setdefault(field, []).append(atom)
    for field, atoms in facts.items():
        right = {wanted_value(field, atom.text) for atom in atoms}
        given = answer.fields.get(field.name, ())
        for value in (given,) if isinstance(given, str) else given:
            if value not in right:
                yield value, field, atoms


def lacking_facts(context: ScoringContext) -> list[Atom]:
    """The wanted facts that the end does not state.

    Args:
        context: The episode.
    """
    expected, answer = context.task.goal.expected, context.answer
    if answer is None:
        return [atom for atom in expected if atom.text in context.verdict.missing_facts]
    lacking = []
    for atom, field in zip(expected, fields_of_facts(context.task.goal, context.task.answer), strict=True):
        wanted, given = wanted_value(field, atom.text), answer.fields.get(field.name, ())
        if wanted not in ((given,) if isinstance(given, str) else given):
            lacking.append(atom)
    return lacking
