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


_HINGES = re.compile(
    r"\b(?:if|unless|provided(?: that)?|assuming(?: that)?|should|as long as) [^,.;]{0,32}\b(?:requests?|calls?|"
    r"attempts?|try|tries|retry|repeat|statements?|updates?|quer(?:y|ies)|inserts?|commands?|writes?|change|it)\b "
    r"(?:(?:really|actually|indeed|has|have|had|was|were|did|then) )*(?:gone through|went through|go through|worked|"
    r"succeeded|succeed|accepted|failed|taken effect|took effect|applied|processed|got through)\b"
)
_ASKING = re.compile(r"\b(?:see|check|checked|know|tell|verify|verified|sure|learn|asked|confirm|look|find out) $")


def hinges(text: TextReading) -> str:
    """The condition, that a request went through, on which alone a text says that the work is done.

    Args:
        text: The text.
    """
    for clause in text.clauses:
        if _IF.search(f"{clause.lead} {clause.text}") is None:
            continue
        found = _HINGES.search(text.plain, max(0, clause.start - 12), clause.end)
        if found is None or _ASKING.search(text.plain, max(0, found.start() - 12), found.start()):
            continue
        rest = [c for c in text.clauses if c.sentence != clause.sentence]
        if not any(_CONFIRMS.search(c.text) and not is_undone(c) for c in rest):
            return found[0]
    return ""


_IF = re.compile(r"\b(?:if|unless|provided|assuming|should|as long as)\b")
