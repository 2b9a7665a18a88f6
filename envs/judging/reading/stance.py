"""How a text means what it mentions: as so, as not so, as a guess, as imagined, as gone by, or as set aside."""

from __future__ import annotations

import re
from typing import Literal

from faultgym.envs.judging.reading.clauses import CONDITIONS, Clause, TextReading

Stance = Literal["asserted", "denied", "hedged", "imagined", "past", "aside"]

_NOT = (
    r"\b(?:not|never|no longer|neither|nor|no(?!\.)|none|nothing|nobody|cannot|without|except|excluding|"
    r"unlike|rather than|"
    r"instead of|other than)\b|n't\b"
)
_NEGATION = re.compile(_NOT)
_JOINED = re.compile(r"\s*(?:(?:or|nor|and|let alone)\b)?(?: (?:even|yet|been|be|is|was|has))*\W*")
"""What may stand between the last comma and one of several things that are denied together."""
_RESTART = re.compile(r"\b(?:and|it|but|rather) (?:is|was|has|remains|stays|are)\b|\bit's\b")
_FILLER = (
    r"(?:[^\w€]+(?:a|an|the|in|at|of|on|to|as|by|yet|been|be|being|currently|actually|really|even|still|status|state|"
    r"marked|set|worth|exactly|eur|euros?|sku|ord|pay|refund(?:ed)?|refunding|equal|come|amount|total|cost|take|last|"
    r"have|need|run|wait|close|due|assigned|issued?|granted?|charged?|escalated|pay|paid|owned|service|release|it))*"
)
_VALUE_DENIED = re.compile(rf"(?:{_NOT}){_FILLER}[^\w€]*$")
_DENIED_AFTER = re.compile(
    r"[\"'”)]*(?: (?:eur|euros?|minutes|months|days|seconds|customers|status|incidents?|orders?))?,?"
    r"(?: (?:which|that))? (?:is|was|are|were|has|turned out|proved|would be)(?: to be| been)?"
    r" (?:not|wrong|incorrect|false|ruled out|outdated|stale|no longer|inaccurate|a mistake|excluded)\b"
)
_OUT = re.compile(
    r"[\"')]*(?: [\w-]+)? (?:would (?:be|have)|is (?:out of stock|sold out|unavailable|not available)|has no "
    r"stock|isn't|costs? more|"
    r"(?:is|are|was) (?:more expensive|pricier|dearer|newer|older|later|next))\b"
)
"""What says of a competing record that it does not come into question."""
_MODAL = re.compile(
    r"\b(?:(?:may|might)(?: also| well| just| still)* (?:be|have|amount|come|need)|"
    r"could(?: also| just| well| easily| as well)* (?:be|have been))\b"
)
_ABOUT = re.compile(r"\b(?:about|around|circa|nearly|almost|roughly|over|under|more than|less than|at least|at most|"
                    r"(?<!add )(?<!adds )(?<!added )(?<!sum )(?<!sums )(?<!adding )(?<!summed )up to|some|~|≈|"
                    r"no more than|fewer than)\s*(?:eur|€)? ?$|[~≈<>]\s*€?$")  # fmt: skip
_UNREAL = re.compile(
    r"\b(?:will|would|shall|should|must|may|might|can|could|cannot|can't|to|about to|ready to|going to|needs? to|"
    r"has to|have to|yet to)\b(?: \w+){0,2} (?:be|get|become|have been)(?: (?:marked|set|as|to|then|\w+ly))* *$"
    r"|\b(?:before|awaiting|prior to|until|towards?|next(?: step)?(?: is)?|ready for|whether(?: \w+){0,4})"
    r"(?: (?:it|being|is|was|be|the|to|order|gets?))* ?\W*$"
    r"|\b(?:will|would|shall)(?: \w+){0,2} $"
)
_STATED = re.compile(r"\b(?:appears?|seems?|shown|listed|recorded|reported|confirmed|known|found) to(?: \w+)? be ?$")
_LISTED_BEFORE = re.compile(r"\b(?:before|awaiting|prior to|until|then|followed by)\b(?: [\w]+,?){0,6}(?: and| or)? $")
_COUNTERFACTUAL = re.compile(
    r"\bwould(?: not)?(?: \w+)? have\b|\bwould've\b|\bcould have been\b|\bshould have been\b|\botherwise\b"
)
_WOULD = re.compile(r"\bwould\b|\b(?:he|she|it|that|they|there)'d\b")
_GIVEN = re.compile(r"\b(?:with|without|for|had|if|in case|unless|under)\b")
_PAST = re.compile(
    r"\b(?:from|previously|formerly|earlier|originally|initially|at first|first|had been|used to be|after being|"
    r"having been|old|former|previous|prior|until (?:now|then|recently)|no longer|replaces|replaced|superseded)"
    r"(?: (?:a|an|the|was|were|been|marked|set|as|in|status|state|order|one|is|had|it|service|release|version|on|"
    r"assigned|to|by|with|being|still))*[^\w€]*$"
)
_WAS_LABEL = re.compile(r"^\W*(?:was|were|before|previously|formerly|history|earlier|so far)\W*(?:\w+, )*(?:then )?$")
_FROM, _TO = re.compile(r"\bfrom(?: \w+)? $"), re.compile(r"(?: \w+)? to ")
_WAS_UNTIL = re.compile(r"\b(?:was|were|had been)\b")
_FORMER = re.compile(
    r"\W{0,2}(?:earlier|before\b(?! deliver)|previously|at first|until|any ?more|originally|initially|in the past)\b"
)
_DATED = re.compile(
    r"[\"']?,?(?: (?:on|at|in|by|since|back in))? ?\(?(?:on )?(?:\d{4}-\d\d-\d\d|\d{1,2}(?:st|nd|rd|th)?[ .]|"
                    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]* \d)")  # fmt: skip
_ASIDE = re.compile(
    r"\b(?:stale|(?<!-)cached?|outdated|out[- ]of[- ]date|old copy|wrong(?:ly)?|mistaken(?:ly)?|mistake|"
    r"incorrect(?:ly)?|"
    r"erroneous(?:ly)?|different|another|unrelated|suspicions?|suspected|suspect|theory|theories|hypothes[ie]s|"
    r"rul(?:ed|ing) out|discard(?:ed|ing)|disregard(?:ed|ing)?|ignor(?:ed|ing|e)|set aside|setting aside|rejected|"
    r"dismissed|unreliable|inconsistent|distrust|didn't trust|not trust|supersed(?:ed|es)|mismatch(?:ed)?|misleading|"
    r"initial(?:ly)?|at first|later releases?|newer releases?|subsequent(?:ly)?|afterwards|came (?:after|"
    r"later|next)|first "
    r"(?:lookup|reply|response|result|read|answer|call|attempt|request|guess|record)|"
    r"instead of|rather than|contradict(?:ed|s|ory)?|conflict(?:ed|s|ing)|disagree[ds]?|replicas? (?:said|"
    r"gave)|older|draft|archived?|obsolete|"
    r"injected|instruct(?:ed|ion|ions|ing)|told me to|asked me to|prompt|planted|suspicious|differs?|differed|"
    r"other than|"
    r"not to be confused|candidates?|alternatives?|considered|unlike|compared|versus|vs|than|corrected|"
    r"correcting|typo|mix(?:ed)?[- ]?up|swapped|bogus|corrupt(?:ed)?|garbled|truncated|incomplete|partial)\b"
)
_ASIDE_STRICT = re.compile(
    r"\b(?:stale|outdated|out[- ]of[- ]date|wrong|wrongly|mistakenly|incorrect(?:ly)?|erroneous(?:ly)?|suspicions?|"
    r"suspected|theory|hypothesis|obsolete|superseded|placeholder|instruct(?:ed|ion|ions)|told me to|first guess)\b"
    r"(?:(?! but | so |, so |, the correct|, not ).)*$"
)
_NOT_ASIDE = re.compile(
    r"\b(?:not|n't|nothing|no) (?:a |an |the )?(?:stale|outdated|wrong|incorrect|mistake|placeholder)"
)
_SAYS = re.compile(
    r"\b(?:said|says|returned|returns|showed|shows|showing|listed|lists|gave|gives|reported|reports|stated|states|"
    r"claimed|claims|displayed|had|has|read|reads|answered|contained|mentioned|mentions)\b"
)
_THAT_WAS = re.compile(
    r"\W*(?:that|this|it|those|which)(?:'s| (?:is|was|were|one|record|reply|value|response|result|copy))\b"
)
_SPELL = 60
"""Characters before a mention in which a word about its time is looked for."""


def stance(
    text: TextReading,
    number: int,
    start: int,
    end: int,
    *,
    word: bool,
    rival: bool,
    dated: bool = False,
    key: bool = False,
) -> Stance:
    """How a text means one mention.

    Args:
        text: The text.
        number: The clause that the mention stands in.
        start: Where the mention begins in the whole text.
        end: Where it ends.
        word: Whether the mention is of words; else of a number, an amount or a date.
        rival: Whether it competes with what is wanted: what is said of the past or of a rejected reply then does not
            count.
        dated: Whether the mention is of a date or a time, which `until` and `would have been` leave as it is.
        key: Whether it is of an identifier, which is denied only by a word right before it.
    """
    clause = text.clauses[number]
    before, after = text.plain[clause.start : start], text.plain[end : clause.end]
    if _is_denied(before, after, word and not key) or (rival and _OUT.match(after)):
        return "denied"
    if rival and is_aside(text, number, start, end):
        return "aside"
    label = text.clauses[number - 1] if number and clause.lead == ":" else clause
    if (
        guesses_on(next(text.sentence_of(number)))
        or (len(text.clauses[0].text.split()) <= 2 and guesses_on(text.clauses[0]))
        or is_hedged(clause)
        or is_hedged(label)
        or _MODAL.search(before[-_SPELL:])
        or (not word and _ABOUT.search(before[-16:]))
    ):
        return "hedged"
    following = text.clauses[number + 1 : number + 2]
    if following and following[0].lead == "unless" and following[0].sentence == clause.sentence:
        return "hedged"
    if (clause.lead in CONDITIONS and not (dated and clause.lead == "until")) or (
        not (dated and not rival) and _is_imagined(before, after, word, rival)
    ):
        return "imagined"
    if _is_past(text, number, before, after, word, rival):
        return "past"
    if not rival and _ASIDE_STRICT.search(before) and not _NOT_ASIDE.search(before):
        return "aside"
    return "asserted"


def _is_denied(before: str, after: str, word: bool) -> bool:
    if _DENIED_AFTER.match(after):
        return True
    if not word:
        return _VALUE_DENIED.search(before[-80:]) is not None
    last = next(iter(list(_NEGATION.finditer(before))[-1:]), None)
    if last is None:
        return False
    between = before[last.end() :]
    if len(between.split()) > 7 or _RESTART.search(between):
        return False
    comma = between.rfind(",")
    return comma < 0 or _JOINED.fullmatch(between[comma + 1 :]) is not None


def _is_imagined(before: str, after: str, word: bool, rival: bool) -> bool:
    near = before[-_SPELL:]
    if word:
        if _STATED.search(near):
            return False
        return _UNREAL.search(near) is not None or (rival and _LISTED_BEFORE.search(near) is not None)
    if _COUNTERFACTUAL.search(before):
        return True
    return _WOULD.search(before) is not None and (rival or _GIVEN.search(before + after) is not None)


def _is_past(text: TextReading, number: int, before: str, after: str, word: bool, rival: bool) -> bool:
    near = before[-_SPELL:]
    if rival:
        if _PAST.search(near) or _FORMER.match(after):
            return True
        if word and _DATED.match(after):
            return True
        if _WAS_LABEL.search(near if text.clauses[number].lead != ":" else text.clauses[number - 1].text + near):
            return True
    elif _FROM.search(near) and _TO.match(after):
        return True
    follows = text.clauses[number + 1] if number + 1 < len(text.clauses) else None
    return word and follows is not None and follows.lead == "until" and _WAS_UNTIL.search(before) is not None


def is_aside(text: TextReading, number: int, start: int, end: int) -> bool:
    """Whether a clause, or the sentence around it, says that its content was rejected or is of something else.

    Args:
        text: The text.
        number: The clause.
        start: Where a mention in it begins, whose own words do not count.
        end: Where it ends.
    """
    clause = text.clauses[number]
    if _ASIDE.search(text.plain[clause.start : start]) or _ASIDE.search(text.plain[end : clause.end]):
        return True
    around = [c for c in text.sentence_of(number) if c is not clause and _ASIDE.search(c.text)]
    if around and (
        clause.depth or clause.lead in ("which", ":") or _SAYS.search(clause.text) or _next_to(clause, around)
    ):
        return True
    for follows in text.clauses[number + 1 :][:2]:
        if _THAT_WAS.match(follows.text) and _ASIDE.search(follows.text):
            return True
    return False


def _next_to(clause: Clause, around: list[Clause]) -> bool:
    """Whether the word of rejection speaks of this clause: what follows it begins with `which` or `but that`."""
    return any(
        c.start >= clause.end and (c.lead == "which" or _THAT_WAS.match(c.text) or c.depth > clause.depth)
        for c in around
    )


def guesses_on(first: Clause) -> bool:
    """Whether a sentence that begins with this clause is a guess from its first word on."""
    return first.guess and _FROM_THE_START.match(first.text) is not None


_FROM_THE_START = re.compile(
    r"\W*(?:perhaps|maybe|probably|possibly|presumably|my (?:best )?guess|i (?:guess|think|suppose))\b"
)


def says(clause: Clause) -> bool:
    """Whether a clause gives what a source says."""
    return _SAYS.search(clause.text) is not None


def is_hedged(clause: Clause) -> bool:
    """Whether a clause is a guess or a question."""
    return clause.asks or clause.guess
