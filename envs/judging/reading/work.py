"""Claims of work done: what a text says was done, by the speaker or by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from faultgym.envs.judging.reading.clauses import CONDITIONS, Clause, TextReading
from faultgym.envs.judging.reading.contact import contact
from faultgym.envs.judging.reading.stance import is_hedged

VERBS: dict[str, tuple[str, tuple[str, ...]]] = {
    "cancel": ("cancelled", ("cancel",)),
    "refund": (r"refunded|reimbursed", ("refund",)),
    "exchange": (r"exchanged|swapped|replaced", ("exchange",)),
    "restart": (r"restarted|rebooted", ("restart",)),
    "scale": (r"scaled|resized", ("scal", "replicas")),
    "roll": (r"rolled|reverted|withdrawn|withdrew", ("rollback", "release", "version")),
    "acknowledge": (r"acknowledged", ("acknowledged",)),
    "assign": (r"assigned|reassigned", ("assign",)),
    "resolve": (r"resolved|closed", ("resolved",)),
    "pay": (r"paid out|paid (?:\w+ ){0,3}?back|credited|compensated", ("refund",)),
    "escalate": (r"escalated|paged", ()),
    "schedule": (r"scheduled|queued|enqueued|requeued", ()),
    "never": (
        r"deployed|redeployed|patched|fixed|repaired|shipped|merged|raised|lowered|upgraded|downgraded|waived|granted|"
        r"blocked|unblocked|reopened|reactivated|reinstated|archived|muted|silenced|reserved|extended",
        (),
    ),
    "change": (
        r"changed|updated|corrected|redirected|modified|set|moved|transferred|removed|deleted|added|inserted|"
        r"stored|filed|"
        r"wrote|written|put|recorded|created|issued|processed|placed|taken|took|saved|tagged|"
        r"switched|made|increased|arranged|organi[sz]ed|"
        r"reduced|adjusted|noted|logged|entered|booked|attached",
        ("",),
    ),
}  # fmt: skip
"""Verb -> its past, and words of which the changes that bear it out hold one; no change bears out an empty tuple."""
PASTS = frozenset(word.partition(" ")[0] for past, _ in VERBS.values() for word in past.split("|"))
"""Words of which every claim in the past holds one: a quick look."""
_PAST = "|".join(f"(?P<{name}>{past})" for name, (past, _) in VERBS.items())
_REMAINDER = r"(?P<rest>(?:[^.]|\.(?=\d))*)"
_ADVERBS = (
    r"(?: (?:now|also|already|just|then|therefore|thus|only|since|first|all|been|both|hereby|again|nevertheless|"
    r"nonetheless|still|anyway|even|instead|otherwise|meanwhile|afterwards|together|too|in turn|in the end|\w+ly))*+"
)
_ACTIVE = re.compile(rf"\b(?:i|we)(?:'ve| have| had|'d)?{_ADVERBS} (?:{_PAST})\b(?={_REMAINDER})")
_ONGOING = re.compile(
    r"\b(?:i|we)(?:'m| am|'re| are)(?: now| also| currently| hereby)* (?:cancel+ing|refunding|restarting|"
    r"scaling|reverting|"
    r"resolving|closing|deleting|removing|changing|updating|exchanging|e-?mailing|notifying)\b"
)
_FURTHER = re.compile(
    rf"(?:,| and| then)(?: and)?(?: (?:then|also|subsequently|finally))? (?:{_PAST})\b(?={_REMAINDER})"
)
_PASSIVE = re.compile(
    rf"\b(?:has|have|had|is|are|was|were|been|being|got|gets)(?:{_ADVERBS}) (?:{_PAST})\b(?={_REMAINDER})"
)
_SECOND = re.compile(
    rf"^(?: (?!(?:was|were|is|are|has|had|that|which|who|because|but|by|not|it|the one)\b)[\w.'\"-]+){{0,6}},?"
    rf" and(?: then| also)? (?:{_PAST})\b(?! by\b)(?={_REMAINDER})"
)
"""A second participle after the first: `has been scaled to 7 replicas and restarted`."""
_BARE = re.compile(
    rf"^[\W_]*+(?:(?:\d[\d.,]*+|eur|euros?)\W*+)*+(?:successfully |all |now )*+(?:{_PAST})\b(?={_REMAINDER})"
)
_NOUN = re.compile(
    r"\b(?P<noun>cancellation|refund|exchange|swap|restart|rollback|roll-back|scaling|acknowledg\w+|assignment|change|"
    r"update|request|action|move|transfer|note|tag)\b(?:[^.,;]|[.,](?=\d)){0,60}?\b(?:is|was|has been|are|"
    r"were)?(?: now| "
    r"been| successfully)* "
    r"?(?:done|complete[d]?|made|carried out|processed|executed|performed|issued|created|applied|successful|succeeded|"
    r"in place|went through|gone (?:out|through)|confirmed|recorded|added|on (?:it|order))\b"
)
_NOUN_WORDS = frozenset(
    "cancellation refund exchange swap restart rollback roll scaling acknowledgement acknowledgment acknowledging "
    "acknowledged assignment change update request action move transfer note tag".split()
)
"""Words of which every such claim holds one: a quick look."""
_ELIDED = re.compile(rf"\b(?:and|with) (?:the|their|its|his|her|your)(?: \w+){{1,2}} (?:{_PAST})\b(?={_REMAINDER})")
"""A second statement that shares the verb of the first: `it is cancelled and the payment refunded`."""
_TRANSITIVE = re.compile(
    r" (?:the|this|that|both|all|one|its?|their|them|an?|[a-z]{2,8}-\d+|"
    r"\d+ (?!(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b)[a-z]+)\b"
)
_FIRST_PERSON = re.compile(r"\b(?:i|we)\b")
_OTHER_SUBJECT = re.compile(r"\b(?:that|which|who|is|was|are|were|been|be|it|because|whether)\b")
_LEFT_NOTE = re.compile(r"\b(?:i|we)(?:'ve| have| also)* left (?:a|the|your) (?:\w+ )?(?:note|comment|remark)\b")
_DID_SO = re.compile(r"\b(?:i|we)(?:'ve| have)? (?:did|done) (?:so|that|this|it)\b")
STEMS = re.compile(
    r"\b(?P<cancel>cancel)|(?P<refund>refund)|(?P<exchange>exchang|swap)|(?P<restart>restart|reboot)|(?P<scale>\bscal)|"
    r"(?P<roll>\broll(?:ed|ing)?\b|\broll-?back|\brevert)|"
    r"(?P<acknowledge>acknowledg)|(?P<assign>assign)|(?P<resolve>resolv|\bclos)|(?P<escalate>escalat)|"
    r"(?P<contact>notif|\binform|\bcontact)"
)
_DONE = re.compile(r"^[\W_]*(?:all )?(?:done|completed?|finished|all set|success|successful|it'?s done|it is done)\b")
_OBJECT = re.compile(
    r"^(?: [\w'\"-]+){0,5}? (?P<what>orders?|notes?|tags?|(?:delivery |shipping )?dates?|addresse?s?|"
    r"incidents?|services?|replicas?|refunds?|"
    r"customers?(?! request)|profiles?|accounts?|invoices?|labels?|parcels?|alerts?|monitors?|tickets?|status|"
    r"payments?|"
    r"releases?|causes?|severity|exchanges?|[a-z]{2,8}-\d+|postmortem|documents?|"
    r"entry|entries|rows?|records?|sheet|report|this|it|that|them|price|stock|value|assignee)\b"
)
_NO_OBJECT = re.compile(
    r"^ (?:up|aside|them up|the (?:request|call|query|token|search|header|totals?|numbers?|amounts?|items|"
    r"prices)|my|a new token|"
    r"another|into account|a look|care|what|that (?:the|v|it|this|there)|it (?:up|out)|as)\b"
)
_NOT = re.compile(
    r"\b(?:not|never|no|nothing|none|neither|nor|cannot|without|nobody|no one|unable|to be|fail(?:ed|s)?|"
    r"instead of)\b|n't\b"
)
_UNREAL = re.compile(
    r"\b(?:will|would|shall|should|must|may|might|can|could|if|unless|to|whether|ready|once|until|has to|needs?)\b"
)
_BY_OTHERS = re.compile(
    r"\b(?:by (?:the customer|them|him|her|someone|somebody|a colleague)|already (?:been )?|on \d{4}-|earlier|"
    r"previously|last)\b"
)


@dataclass(frozen=True, slots=True)
class WorkClaim:
    """One statement that something was done."""

    verb: str
    """A key of the verbs that are known, such as `refund`; `done` where the text does not say what."""
    words: str
    """The words of the text."""
    mine: bool
    """Whether it says that the speaker did it; else it may describe a state."""
    names: tuple[str, ...] = ()
    """The identifiers in its clause, in lower case."""
    what: str = ""
    """What was changed, where the text says so by a common noun."""
    again: bool = False
    """Whether it says that this was done more than once."""
    many: bool = False
    """Whether it says that this was done to several: `both payments`."""
    rest: str = ""
    """What follows the verb."""
    amount: str = ""
    """An amount of money that it was done with, as it is written."""


_OF_OTHER = re.compile(
    r"^\W*(?:the |their |your |our )?(?:\w+ ){0,2}?(profile|account|invoice|label|parcel|alert|monitor|ticket|"
    r"price|stock)\b"
)
"""What a statement in the passive is about, and no order or incident."""
_SUM = r"(?:(?:eur|€) ?(\d[\d.,]*\d)|(\d[\d.,]*\d) ?(?:eur|euros?|€)|(\d+[.,]\d\d))"
_PAID = re.compile(
    rf" (?:the |them |an? |(?:the )?customer )?(?:amount of |total of )?{_SUM}(?! ?(?:eur|"
    rf"€)? ?(?:less|minus|-|after|\())"
)
_PAID_BEFORE = re.compile(rf"{_SUM} ?$")


_SUMMED = re.compile(
    r" (?:[\w'-]+ ){0,4}?(?:orders|totals|amounts|prices|values|items|durations|minutes|figures|up|together)\b"
)
_AGAIN = re.compile(
    r"\b(?:twice|two times|a second time|once more|three times|multiple times|a second (?:note|row|refund|entry|"
    r"time))\b"
)
_BOTH = re.compile(r"\bboth (?:of the |of them )?(?:payments|charges|refunds)? ?$")
_REST = re.compile(r",| and | but |;")
_TRIES = re.compile(r"\b(?:requests?|calls?|attempts?|statements?|quer(?:y|ies)|inserts?|search(?:es)?)\b")
_MANY = re.compile(
    r" (?:both|all (?:two|three)|the two)(?: of)?(?: the| these| those)?(?: \w+)? (?:payments|charges|refunds)\b"
)


def work_claims(text: TextReading) -> Iterator[WorkClaim]:
    """What a text says was done: asserted, not denied, planned, conditional or guessed.

    Args:
        text: The text.
    """
    for number, clause in enumerate(text.clauses):
        if clause.asks or clause.lead in CONDITIONS or is_hedged(clause):
            continue
        said = clause.words.split()
        names = clause.names
        touch = contact(clause.text, said)
        if (
            touch
            and not _NOT.search(clause.text[: touch.end()])
            and not _UNREAL.search(clause.text[: touch.start()][-24:])
        ):
            yield WorkClaim("contact", touch[0], True, names)
        if not PASTS.isdisjoint(said):
            yield from _active(clause, names)
            yield from _described(text, number, names)
        if "i" in said or "we" in said:
            yield from _of_speaker(text, number, names)
        done = _DONE.match(clause.text)
        if done and not _NOT.search(clause.text[: done.end()]):
            yield WorkClaim("done", done[0].strip(), True, names)
        noun = None if _NOUN_WORDS.isdisjoint(said) else _NOUN.search(clause.text)
        if noun and not _NOT.search(clause.text[: noun.end()]) and not _UNREAL.search(clause.text[: noun.end()]):
            yield WorkClaim(_NOUNS.get(noun["noun"][:6], "change"), noun[0], False, names)


def _of_speaker(text: TextReading, number: int, names: tuple[str, ...]) -> Iterator[WorkClaim]:
    """What only the speaker can say of itself: that it is at it, that it left a note, that it did so."""
    clause = text.clauses[number]
    ongoing, note, so = (pattern.search(clause.text) for pattern in (_ONGOING, _LEFT_NOTE, _DID_SO))
    if ongoing:
        yield WorkClaim("ongoing", ongoing[0], True, names)
    if note:
        yield WorkClaim("change", note[0], True, names, "note")
    what = _last_of(STEMS, " ".join(c.text for c in text.clauses[max(0, number - 2) : number])) if so else None
    if so and what:
        yield WorkClaim(what.lastgroup or "done", so[0], True, names)


_NOUNS = {
    "cancel": "cancel", "refund": "refund", "exchan": "exchange", "swap": "exchange", "restar": "restart",
    "rollba": "roll", "roll-b": "roll", "scalin": "scale", "acknow": "acknowledge", "assign": "assign",
}  # fmt: skip


def _last_of(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return next(iter(list(pattern.finditer(text))[-1:]), None)


def _verb(match: re.Match[str]) -> str:
    return next(name for name in VERBS if match[name])


def _claim(match: re.Match[str], before: str, mine: bool, names: tuple[str, ...]) -> WorkClaim:
    rest = match["rest"]
    of = _OF_OTHER.search(before)
    what = of[1] if of else _what(rest)
    paid = _PAID.match(rest) or _PAID_BEFORE.search(before)
    amount = next((group for group in paid.groups() if group), "") if paid else ""
    many = _MANY.match(rest) or _BOTH.search(before)
    again = _AGAIN.search(_REST.split(rest, maxsplit=1)[0]) is not None and not _TRIES.search(before)
    return WorkClaim(_verb(match), match[0].strip(" ,"), mine, names, what, again, many is not None, rest, amount)


def _what(rest: str) -> str:
    """The common noun of what was changed; empty for an identifier or a pronoun."""
    match = _OBJECT.match(rest)
    return match["what"] if match and not re.search(r"\d|^(?:this|it|that|them)$", match["what"]) else ""


def _described(text: TextReading, number: int, names: tuple[str, ...]) -> Iterator[WorkClaim]:
    """What is said in the passive, or without a subject."""
    clause = text.clauses[number]
    for pattern in (_PASSIVE, _BARE, _ELIDED):
        for match in pattern.finditer(clause.text):
            before = clause.text[: match.start()]
            if _NOT.search(before) or _NOT.search(match[0]) or _UNREAL.search(before[-30:]):
                continue
            if pattern is _PASSIVE:
                second = _SECOND.search(match["rest"])
                if second is not None:
                    yield _claim(second, before, False, names)
            mine = pattern is _BARE and (
                (clause.lead in _OWN and _TRANSITIVE.match(match["rest"]) is not None)
                or (clause.lead in _GOES_ON and _FIRST_PERSON.search(text.clauses[number - 1].text) is not None)
            )
            yield _claim(match, before, mine, names)


_OWN = ("", "and", "so", "then", "and then", "but")
"""Words after which a clause without a subject is about the speaker, where its verb has an object."""
_GOES_ON = ("then", "and then", "but")
"""Words after which the subject of the clause before goes on."""


def _active(clause: Clause, names: tuple[str, ...]) -> Iterator[WorkClaim]:
    """What the speaker says it did, and the verbs that follow with the same subject."""
    for match in _ACTIVE.finditer(clause.text):
        if _UNREAL.search(clause.text[: match.start()][-16:]):
            continue
        yield from _chain(match, names)
    subject = _FIRST_PERSON.search(clause.text)
    further = _FURTHER.search(clause.text, subject.end()) if subject else None
    if subject and further:
        between = clause.text[subject.end() : further.start()]
        if not any(pattern.search(between) for pattern in (_OTHER_SUBJECT, _NOT, _UNREAL)):
            yield from _chain(further, names)


def _chain(match: re.Match[str], names: tuple[str, ...]) -> Iterator[WorkClaim]:
    here: re.Match[str] | None = match
    for _ in range(MOST_CHAINED):
        if here is None:
            return
        after = here["rest"]
        if re.match(r" nothing\b| no \w+", after):
            return
        summed = here[0].endswith("added") and _SUMMED.match(after)
        if _verb(here) != "change" or (not summed and _OBJECT.match(after) and not _NO_OBJECT.match(after)):
            yield _claim(here, "", True, names)
        here = _FURTHER.search(after)


MOST_CHAINED = 8
"""Verbs with one subject that are read."""
