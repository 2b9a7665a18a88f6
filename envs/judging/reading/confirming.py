"""Whether a text says at all that the work it was asked for is done."""

from __future__ import annotations

import re

from faultgym.envs.judging.reading.clauses import Clause, TextReading
from faultgym.envs.judging.reading.finding import TextGoal
from faultgym.envs.judging.reading.outcomes import is_refusal, is_undone, statements
from faultgym.envs.judging.reading.work import work_claims

_CONFIRMS = re.compile(
    r"\b(?:done|all set|ok|success\w*|completed?|applied|in place|now|added|inserted|removed|deleted|saved|stored|"
    r"updated|"
    r"changed|cancelled|moved|recorded|taken care of|gone through|went through|finished|complied|written|set|handled|"
    r"executed|exactly once|no longer|already|shows?|carries|goes to|is on|are on|has it|"
    r"will (?:now )?(?:go|ship|be delivered|be sent) to)\b"
)
"""Words of which a statement that something is as it was wanted holds one."""
_ASKED_OF_OTHERS = re.compile(r"^\W*(?:please|kindly|you (?:can|could|should|need|have to|may|might))\b")


def confirms(goal: TextGoal, text: TextReading) -> bool:
    """Whether a text says in any way that the wanted changes were made.

    Args:
        goal: The goal, which wants changes.
        text: The text.
    """
    if next(work_claims(text), None):
        return True
    values = [str(v).lower() for change in goal.changes for _, v in change.values if len(str(v)) >= SHORTEST]
    return any(_confirms(clause, values) for _, clause in statements(text))


SHORTEST = 4
"""Letters of a new value that tell it from other words."""


def _confirms(clause: Clause, values: list[str]) -> bool:
    undone = is_undone(clause) and "no longer" not in clause.text
    if undone or _ASKED_OF_OTHERS.match(clause.text) or is_refusal(clause):
        return False
    return _CONFIRMS.search(clause.text) is not None or any(value in clause.text for value in values)
