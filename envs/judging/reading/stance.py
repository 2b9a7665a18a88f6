"""How a text means what it mentions: as so, as not so, as a guess, as imagined, as gone by, or as set aside."""

from __future__ import annotations

import re
from typing import Literal

from faultgym.envs.judging.reading.clauses import CONDITIONS, Clause, TextReading
from faultgym.envs.judging.reading.guesses import guesses_from_the_start

Stance = Literal["asserted", "denied", "hedged", "imagined", "past", "aside"]

_NOT = (
    r"\b(?:not|never|no longer|neither|nor|no(?!\.)|none|nothing|nobody|cannot|without|except|excluding|"
    r"unlike|rather than|"
    r"instead of|other than)\b|n't\b"
)
_NEGATION = re.compile(_NOT)
_JOINED = re.compile(r"\s*(?:(?:\w+ )?(?:or|nor|and|let alone)\b)?(?: (?:even|yet|been|be|is|was|has))*\W*")
"""What may stand between the last comma and one of several things that are denied together."""
_RULED_OUT = re.compile(r"\brul(?:es|ed|ing) out(?: an?| the| any)? $")
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
_ABOUT = re.compile(
    r"\b(?:about|around|circa|nearly|almost|roughly|over|under|more than|less than|at least|at most|"
    r"some|no more than|"
    r"fewer than|up to)\s*(?:eur|€)? ?$|[~≈<>]\s*€?$"
)
_EARLIER = re.compile(r"\b(?:before|prior to) $")
"""What lies before a number or a time is none of these; `not before` a date is the date."""
_BROUGHT = re.compile(
    r"\b(?:add\w*|sum\w*|total\w*|bring\w*|brought|scal\w+|rais\w+|increas\w+|set|mov\w+|go|goes|went|gone|came|comes?|"
    r"taken|took|put|ramp\w*|grown|resiz\w+|count\w*)(?: [\w-]+){0,3} up to\s*(?:eur|€)? ?$"
)
"""What is brought up to a number has that number, and no less."""
_UNREAL = re.compile(
    r"\b(?:will|would|shall|should|must|may|might|can|could|cannot|can't|to|about to|ready to|going to|needs? to|"
    r"has to|have to|yet to)\b(?: \w+){0,2} (?:be|get|become|have been)(?: (?:marked|set|as|to|then|on|at|in|with|"
    r"\w+ly))* *$"
    r"|\b(?:should|will|would|shall|to) (?:\w+ )?(?:reach|become|turn|change to) ?$"
    r"|\b(?:before|awaiting|prior to|until|towards?|next(?: step)?(?: is)?|ready for|whether(?: \w+){0,4})"
    r"(?: (?:it|being|is|be|the|to|order|gets?)| (?<!it )was)* ?\W*$"
    r"|\b(?:should|would|must|has to|needs? to|ought to) (?:\w+ )?(?:go|be given|be handed|be passed) to(?: the)? $"
    r"|\b(?:will|would|shall)(?: \w+){0,2} $"
)
_POLITE = re.compile(r"\W*(?:that|this) would be $")
_WOULD_BE = re.compile(r"[\"')]* would (?:be|have been)\b")
_WOULD_DO = re.compile(r"(?: \w+)? would (?:be|have been) (?:needed|required|necessary|right|enough)\b")
_STATED = re.compile(r"\b(?:appears?|seems?|shown|listed|recorded|reported|confirmed|known|found) to(?: \w+)? be ?$")
_LISTED_BEFORE = re.compile(r"\b(?:before|awaiting|prior to|until|then|followed by)\b(?: [\w]+,?){0,6}(?: and| or)? $")
_COUNTERFACTUAL = re.compile(
    r"\bwould(?: not)?(?: \w+)? have\b|\bwould've\b|\bcould have been\b|\bshould have been\b|\botherwise\b"
)
_OWN_DOING = re.compile(r"\W*(?:if|unless)? ?(?:you|one|we|i)\b")
_WOULD = re.compile(r"\bwould\b|\b(?:he|she|it|that|they|there)'d\b")
_GIVEN = re.compile(r"\b(?:with|without|for|had|if|in case|unless|under)\b")
_PAST = re.compile(
    r"\b(?:from|after|following|previously|formerly|earlier|originally|initially|at first|first|had been|used to be|"
    r"after being|"
    r"having been|"
    r"(?:opened|started|began|reported|filed|raised|entered) as|(?:up|down)graded from|old|former|"
    r"previous|prior|until (?:now|then|recently)|no longer|replaces|replaced|superseded)"
    r"(?: (?:a|an|the|was|were|been|marked|set|as|in|status|state|order|one|is|had|it|service|release|version|on|"
    r"assigned|to|by|with|being|still))*[^\w€]*$"
)
_NOT_YET = re.compile(
    r"[\"')]*,? (?:is|was)(?: only| still| just)? (?:staged|planned|scheduled|a candidate|"
    r"(?:deployed|released|rolled out|published) (?:after|later))\b"
)
_SUCCEEDS = re.compile(
    r"[\"')]*,? (?:(?:did not|didn't) (?:yet )?(?:come|arrive|exist|go (?:out|live))\b|"
    r"(?:(?:was|had|has|only|later|then) )*(?:followed|follows|preceded|precedes|(?:came|come|comes|"
    r"arrived|went (?:out|live))\b(?=.*\b(?:only|after|afterwards|later|until|next|before|earlier|too late)))\b)"
    r"(?!.* (?:live|running|current|when)\b)"
)
"""What says of a competing version or state that its time was before or after the one in question."""
_REPLACED = re.compile(
    r"[\"')]*(?: \w+)? (?:was|were|is|has|had|got)(?: \w+)?? (?:been )?(?:replaced|superseded|retired|withdrawn|"
    r"rolled back|reverted|overwritten)\b"
)
_REACHES = re.compile(
    r"\b(?:reach\w*|exceed\w*|(?:is|are|comes|come) (?:to|over|above|worth)|more than|at least)\b.*\d"
)
"""What says where a rule ends, which leaves what the rule gives as it is."""
_AGO = r"(?:yesterday|the day before|last (?:night|week|month|year)|an? \w+ ago|\w+ (?:days|weeks) ago|back then)"
_LONG_AGO = re.compile(rf"\b{_AGO}\b.*\b(?:was|were|had been) (?:\w+ )?$")
_THEN = re.compile(rf"[\"')]*,? (?:{_AGO}|at first|initially|originally|beforehand)\b")
_HISTORY = re.compile(r"\b(?:timeline|history|chronology|so far|events)\b")
_WAS_LABEL = re.compile(r"^\W*(?:was|were|before|previously|formerly|history|earlier|so far)\W*(?:\w+, )*(?:then )?$")
_FROM, _TO = re.compile(r"\bfrom(?: \w+)? $"), re.compile(r"(?: \w+)? to ")
_WAS_UNTIL = re.compile(r"\b(?:was|were|had been)\b")
_BEFORE = re.compile(r" (?:\w+ )?before\W*$")
_HAD = re.compile(r"\b(?:had|was|were) $")
_ONCE_HAD = re.compile(
    r"^\W*(?:before|before that|beforehand|previously|earlier|until (?:now|then)|originally|initially|up to now),? "
    r"(?:[\w-]+ ){1,3}(?:had|was|were|ran|carried|held|counted|stood)\b"
)
_HAS = re.compile(
    r"\b(?:has|is|are|have)\b[^.]*\bnow\b|\bnow (?:has|is|are|have)\b|"
    r"\b(?:the|its|their) (?:current|present|latest|new)(?: [\w-]+){1,3}? (?:is|has)\b"
)
_FORMER = re.compile(
    r"\W{0,2}(?:earlier|beforehand|before\b(?! deliver)|previously|at first|until|any ?more|originally|"
    r"initially|in the past)\b"
)
_DATED = re.compile(
    r"[\"']?,?(?: (?:on|at|in|by|since|back in))? ?\(?(?:on )?(?:\d{4}-\d\d-\d\d|\d{1,2}(?:st|nd|rd|"
    r"th)?[ .]+(?:of )?(?=jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|\d)|"
                    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]* \d)")  # fmt: skip
_ASIDE = re.compile(
    r"\b(?:stale|lag(?:s|ged|ging)?|(?<!-)cached?|outdated|out[- ]of[- ]date|old copy|wrong(?:ly)?|"
    r"mistaken(?:ly)?|mistake|"
    r"incorrect(?:ly)?|"
    r"erroneous(?:ly)?|different|another|unrelated|suspicions?|suspected|suspect|theory|theories|hypothes[ie]s|"
    r"rul(?:ed|ing) out|discard(?:ed|ing)|disregard(?:ed|ing)?|ignor(?:ed|ing|e)|set aside|setting aside|rejected|"
    r"dismissed|unreliable|inconsistent|distrust|didn't trust|not trust|supersed(?:ed|es)|mismatch(?:ed)?|misleading|"
    r"initial(?:ly)?|at first|later releases?|newer releases?|subsequent(?:ly)?|afterwards|"
    r"(?:came|deployed|released|rolled out|went live|followed|started)(?: \w+)? (?:after|later|next)|(?:i|"
    r"we) first \w+|first "
    r"(?:lookup|reply|response|result|read|answer|call|attempt|request|guess|record|sum|count|total|figure|number|"
    r"calculation|version|impression)|slipped in|"
    r"(?:would|might|could|may|should) (?:\w+ )?(?:think|expect|assume|suppose|believe|suggest|imply|have thought)|"
    r"instead of|rather than|nothing to do with|the other one|rules? out|discuss(?:es|ed)|considers|weighs|"
    r"weighed|"
    r"other (?:services|orders|customers|incidents|products|towns|teams|tiers|documents|shops|payments)|"
    r"contradict(?:ed|s|ory)?|conflict(?:ed|s|ing)|disagree[ds]?|replicas? (?:said|"
    r"gave)|older|draft|archive|ahead of|followed by|runner-up|remember(?:ed)?|recalled|had in mind|(?:old|former|"
    r"previous|earlier) (?:\w+ )?(?:version|copy|edition|value|figure|entry|document|reply|record)|"
    r"archived (?:\w+ )?(?:copy|edition|version|document|one|record|page|text|file)|obsolete|"
    r"(?:somebody|someone) else|the other (?:order|parcel|shipment|incident|service|customer|product|record|payment)|"
    r"(?:next|following|previous) (?:deploy|deployment|release|version)|"
    r"injected|instruct(?:ed|ion|ions|ing)|told me to|asked me to|prompt|planted|suspicious|differs?|differed|"
    r"other than|for (?:comparison|reference|contrast)|(?:by|in) (?:contrast|comparison)|"
    r"(?:does not|doesn't|do not|don't) (?:apply|concern|affect|matter|come into)|"
    r"not (?:a )?part of|not (?:included|relevant)|irrelevant|(?:previous|earlier) (?:order|incident|payment|parcel)|"
    r"not to be confused|candidates?|alternatives?|considered|unlike|compared|versus|vs|than|corrected|"
    r"correcting|typo|mix(?:ed)?[- ]?up|swapped|bogus|corrupt(?:ed)?|garbled|truncated|incomplete|partial)\b"
)
_ASIDE_STRICT = re.compile(
    r"\b(?:stale|outdated|out[- ]of[- ]date|wrong|wrongly|mistakenly|incorrect(?:ly)?|erroneous(?:ly)?|suspicions?|"
    r"suspects?|suspected|(?:archived|older|old|outdated) (?:edition|version|copy)|theory|hypothesis|obsolete|"
    r"superseded|placeholder|instruct(?:ed|ion|ions)|told me to|"
    r"first guess)\b"
    r"(?:(?! but | so |, so |, the correct|, not ).)*$"
)
_NOT_ASIDE = re.compile(
    r"\b(?:not|n't|nothing|no) (?:a |an |the )?(?:stale|outdated|wrong|incorrect|mistake|placeholder)"
)
_SAYS = re.compile(
    r"\b(?:said|says|returned|returns|showed|shows|showing|listed|lists|gave|gives|reported|reports|stated|states|"
    r"claimed|claims|displayed|had|has|read|reads|answered|contained|mentioned|mentions|i (?:first )?(?:got|saw|"
    r"received))\b"
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
    before, after = text.plain[clause.start : start], text.behind(end, number)
    if _is_denied(before, after, word and not key) or (rival and _OUT.match(after)):
        return "denied"
    if rival and is_aside(text, number, start, end):
        return "aside"
    label = text.clauses[number - 1] if number and clause.lead == ":" else clause
    if (
        guesses_on(next(text.sentence_of(number)))
        or (text.clauses[0].guess and len(text.clauses[0].text.split()) <= 2 and guesses_on(text.clauses[0]))
        or is_hedged(clause)
        or is_hedged(label)
        or _MODAL.search(before[-_SPELL:])
        or (not word and (not dated or ":" in text.plain[start:end]) and _EARLIER.search(before[-16:]))
        or (not word and _ABOUT.search(before[-16:]) and not _BROUGHT.search(before[-_SPELL:]))
    ):
        return "hedged"
    following = text.clauses[number + 1 : number + 2]
    if following and following[0].lead == "unless" and following[0].sentence == clause.sentence:
        return "asserted" if _REACHES.search(following[0].text) else "hedged"
    if (clause.lead in CONDITIONS and not (dated and clause.lead == "until")) or (
        not (dated and not rival) and _is_imagined(text, number, before, after, word, rival)
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
    if _RULED_OUT.search(before):
        return True
    last = next(iter(list(_NEGATION.finditer(before))[-1:]), None)
    if last is None:
        return False
    between = before[last.end() :]
    if len(between.split()) > 7 or _RESTART.search(between):
        return False
    comma = between.rfind(",")
    return comma < 0 or _JOINED.fullmatch(between[comma + 1 :]) is not None


def _is_imagined(text: TextReading, number: int, before: str, after: str, word: bool, rival: bool) -> bool:
    near = before[-_SPELL:]
    if word:
        if _STATED.search(near):
            return False
        unreal = (_UNREAL.search(near) is not None and _POLITE.match(before) is None) or _WOULD_BE.match(
            after
        ) is not None
        return unreal or (rival and _LISTED_BEFORE.search(near) is not None)
    if _COUNTERFACTUAL.search(before) or (not rival and _WOULD_DO.match(after)):
        return True
    if _WOULD.search(before) is None:
        return False
    given = rival or _GIVEN.search(before + after) is not None
    return given or _on_condition(text, number)


def _on_condition(text: TextReading, number: int) -> bool:
    """Whether a clause stands in a sentence that opens with a condition; `if you add them up` is none."""
    first = next(text.sentence_of(number))
    return first.lead in ("if", "unless") and number > 0 and _OWN_DOING.match(first.text) is None


def _is_past(text: TextReading, number: int, before: str, after: str, word: bool, rival: bool) -> bool:
    near = before[-_SPELL:]
    if _REPLACED.match(after) or _NOT_YET.match(after) or (not word and _HAD.search(near) and _BEFORE.match(after)):
        return True
    if word and (_LONG_AGO.search(near) or (_WAS_UNTIL.search(near) and _THEN.match(after))):
        return True
    if rival:
        then = text.clauses[number].lead in ("then", "and then") and not before.strip()
        if then and word and _WAS_UNTIL.search(text.clauses[number - 1].text):
            return True
        if _PAST.search(near) or _FORMER.match(after) or (word and _SUCCEEDS.match(after)):
            return True
        if word and _DATED.match(after):
            return True
        if text.clauses[number].lead == ":" and _HISTORY.search(text.clauses[number - 1].text):
            return True
        if _WAS_LABEL.search(near if text.clauses[number].lead != ":" else text.clauses[number - 1].text + near):
            return True
    elif _FROM.search(near) and _TO.match(after):
        return True
    follows = text.clauses[number + 1] if number + 1 < len(text.clauses) else None
    if rival:
        if _HAD.search(near) and _HAS.search(text.plain, text.clauses[number].start):
            return True
        if not word and _ONCE_HAD.search(before):
            return True
    until = word and follows is not None and follows.lead == "until" and _WAS_UNTIL.search(before) is not None
    return until and _NEGATION.search(after) is None


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
    turns = clause.lead in ("but", "however")  # away from what stands before
    around = [
        c
        for c in text.sentence_of(number)
        if c is not clause and not (turns and c.start < clause.start) and _ASIDE.search(c.text)
    ]
    if around and (
        any(text.clauses[n].lead == ":" and text.clauses[n - 1] in around for n in range(1, number + 1))
        or clause.depth
        or clause.lead in ("which", ":")
        or _SAYS.search(clause.text)
        or _next_to(clause, around)
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
    return first.guess and guesses_from_the_start(first.text)


def says(clause: Clause) -> bool:
    """Whether a clause gives what a source says."""
    return _SAYS.search(clause.text) is not None


def is_hedged(clause: Clause) -> bool:
    """Whether a clause is a guess or a question."""
    return clause.asks or clause.guess
