"""Texts that speak against a change that was made: that it was not made, will be made, or was made elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable

from faultgym.envs.judging.answers import words
from faultgym.envs.judging.reading.clauses import CONDITIONS, Clause, TextReading, reading
from faultgym.envs.judging.reading.finding import TextGoal
from faultgym.envs.judging.reading.outcomes import is_attempt, is_promise, is_undone
from faultgym.envs.judging.reading.question import Question, identifiers
from faultgym.envs.judging.reading.stance import is_hedged


def without(text: TextReading, quoted: Iterable[str]) -> TextReading:
    """A text without what it only quotes from the instruction, such as the note that was to be written."""
    plain = text.plain
    for phrase in quoted:
        plain = plain.replace(phrase, "it")
    return text if plain == text.plain else reading(plain)


def denies_work(goal: TextGoal, text: TextReading, asked: Question) -> str:
    """The words by which a text says or leaves open that the wanted change was not made; the change is there."""
    if not goal.changes:
        return ""
    text = without(text, asked.quoted)
    states = any(column in ("status", "state") for change in goal.changes for column, _ in change.values)
    for number, clause in enumerate(text.clauses):
        if clause.lead in CONDITIONS or clause.asks or _of_another(clause, goal, asked):
            continue
        if _EITHER.search(clause.text) and not goal.expected:
            return clause.text.strip()
        stays = states and _STILL.search(clause.text) is not None
        if is_hedged(clause) or not (stays or is_final(clause) or is_promise(clause)) or is_attempt(clause):
            continue
        rest = text.clauses[number + 1 :]
        if any(
            c.lead in ("but", "so", "then", "and then", "however") and not is_final(c) and not is_undone(c)
            for c in rest
        ):
            continue
        if clause.lead == "so" and any(w in text.clauses[number - 1].text for w in ("n't", " not ")):
            continue
        return clause.text.strip()
    return ""


def wrong_target(goal: TextGoal, text: TextReading, asked: Question) -> str:
    """What a text names in place of the record or the value that was changed."""
    if not goal.changes:
        return ""
    names = [m[0] for m in identifiers(text.plain) if m[0].partition("-")[0] in asked.prefixes]
    touched = " ".join(f"{c.key} {c.values}" for c in goal.changes).lower()
    if names and not any(n in asked.own or n in touched for n in names):
        return names[0]
    for value in asked.params.values():
        phrase = words(value)
        number, _, rest = phrase.partition(" ")
        if not number.isdigit() or len(rest) < SHORTEST_TAIL:
            continue
        street = rest.split()[0]
        for match in re.finditer(rf" (\d+) {re.escape(street)} ", text.facts.words):
            if match[1] != number and f" {number} {street} " not in text.facts.words:
                return match[0].strip()
    return ""


SHORTEST_TAIL = 4
"""Letters that have to follow a number for the two to be an address."""
_STILL = re.compile(
    r"\b(?:still|remains?) (?:open|pending|paid|packed|unacknowledged|unassigned|unresolved|acknowledged)\b"
)
_EITHER = re.compile(r"\b(?:either|or still|perhaps|probably|maybe|might have|may have|could have|unsure|not sure)\b")


_FINAL = re.compile(
    r"\b(?:nothing|no change|no changes) (?:was|were|has|have)(?: been)? (?:\w+ed|changed|done|made)\b|"
    r"\b(?:kept|prevented|stopped|blocked|hindered) (?:me|us|it) from\b|\bstill (?:goes|carries|runs|shows|"
    r"stands|has to be|needs)\b|\b(?:refunded|changed|did|cancelled) nothing\b"
    r"|(?:could not|couldn't|can't|cannot|unable to|n't able to|not able to|failed to|did not|didn't|haven't|"
    r"has not|hasn't|have not|was not|wasn't|is not|isn't|not) (?:\w+ ){0,3}?"
    r"(?:cancel|refund|exchang|swap|restart|scal|roll|revert|acknowledg|assign|resolv|clos|chang|updat|"
    r"correct|redirect|stor|writ|put|delet|remov|fil|not|mov|add|insert|complet|process|carr|appl|done|"
    r"do (?:it|this|that|so)\b|perform|made|make)\w*"
    r"|\b(?:refund|cancellation|exchange|restart|rollback|scaling|change|update|request|note|move|assignment|"
    r"insert|insertion|write|deletion|statement|acknowledgement|it)\b(?: of)?(?: [\w.,€-]+){0,4} (?:failed|"
    r"did not go through|didn't go through|was rejected|was refused|was unsuccessful)\b"
    r"|\b(?:remains?|is|still) (?:unchanged|not \w+ed)\b"
)


def is_final(clause: Clause) -> bool:
    """Whether a clause says that the work as such was not done."""
    return _FINAL.search(clause.text) is not None


def _of_another(clause: Clause, goal: TextGoal, asked: Question) -> bool:
    """Whether a clause names records, and none that the goal changes or the question names."""
    names = [m[0] for m in identifiers(clause.text)]
    touched = " ".join(f"{c.key} {c.values}" for c in goal.changes).lower()
    return bool(names) and not any(n in touched or n in asked.own for n in names)
