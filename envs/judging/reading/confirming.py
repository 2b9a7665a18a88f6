"""Whether a text says at all that the work it was asked for is done."""

from __future__ import annotations

import re

from faultgym.envs.judging.reading.clauses import Clause, TextReading
from faultgym.envs.judging.reading.finding import TextGoal
from faultgym.envs.judging.reading.names import IDENTIFIER
from faultgym.envs.judging.reading.outcomes import is_refusal, is_undone, statements
from faultgym.envs.judging.reading.question import Question
from faultgym.envs.judging.reading.work import work_claims

_CONFIRMS = re.compile(
    r"\b(?:done|ok|all set|corrected|success\w*|completed?|applied|in place|added|inserted|removed|deleted|"
    r"saved|stored|updated|"
    r"changed|cancelled|moved|recorded|taken care of|gone through|went through|finished|complied|written|set|handled|"
    r"dealt with|fulfilled|carried out|settled|sorted|executed|exactly once|no longer|carries|goes to|(?:is|"
    r"are) (?:on|in)|has it|"
    r"as (?:requested|asked|instructed|ordered|you (?:asked|wished|wanted))|(?:one|1|two|2) rows? (?:\w+ )?affected|"
    r"(?:is|are|has|have|goes?|runs?|stands?|reads?|sits?|belongs?|shows?|points?)(?: \w+)? (?:now|already)|"
    r"(?:now|already) (?:is|are|has|have|goes?|runs?|stands?|reads?|sits?|belongs?|shows?|points?|on|under|with|at|in)|"
    r"will (?:now )?(?:go|ship|be delivered|be sent) to)\b|✔|✅|☑"
)
"""Words of which a statement that something is as it was wanted holds one."""
_REQUESTED = re.compile(
    r"\b(?:(?:task|request|job|instruction|wish) (?:was|is|reads|says)|(?:asked|wanted|supposed|meant|told)(?: me)? to|"
    r"(?:you|they) (?:asked|wanted|want|told))\b(?!.*\b(?:done|fulfilled|complete\w*|carried)\b)"
)
"""What only says again what was asked for."""
_ASKED_OF_OTHERS = re.compile(r"^\W*(?:please|kindly|you (?:can|could|should|need|have to|may|might))\b")


def confirms(goal: TextGoal, text: TextReading, asked: Question) -> bool:
    """Whether a text says in any way that the wanted changes were made; to say what was asked says no such thing.

    Args:
        goal: The goal, which wants changes.
        text: The text.
        asked: What was asked.
    """
    if next(work_claims(text), None):
        return True
    new = [str(v).lower() for change in goal.changes for _, v in change.values if len(str(v)) >= SHORTEST]
    values = [value for value in new if IDENTIFIER.fullmatch(value) is None]
    return any(_confirms(c, values) for _, c in statements(text) if c.words not in asked.plain)


def only_asks(text: TextReading) -> bool:
    """Whether a text holds nothing but questions."""
    return all(clause.asks for clause in text.clauses)


SHORTEST = 4
"""Letters of a new value that tell it from other words."""


def _confirms(clause: Clause, values: list[str]) -> bool:
    undone = is_undone(clause) and "no longer" not in clause.text
    if undone or _REQUESTED.search(clause.text):
        return False
    if clause.lead != ":" and clause.text.strip(" .!,") == "ok":  # it may mean that the request was heard
        return False
    if _ASKED_OF_OTHERS.match(clause.text) or is_refusal(clause):
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
