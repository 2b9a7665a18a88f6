"""What a mention is of: the record that was asked about or another, the value that was asked for or another."""

from __future__ import annotations

import re

from faultgym.envs.judging.reading.clauses import TextReading
from faultgym.envs.judging.reading.names import identifiers
from faultgym.envs.judging.reading.question import COUNTABLE, Question
from faultgym.envs.judging.reading.senses import excludes
from faultgym.envs.judging.reading.sightings import Sighting
from faultgym.envs.judging.reading.told import is_told_so

_SIDE = re.compile(
    r"\b(fees?|prices?|priced|shipping|postage|tax|vat|discount|voucher|rebate|subtotal|sub-total|deposit|deduction|"
    r"handling|piece|each|unit|apiece|surcharge|net|weight|stock|items?)\b"
)
_TAKEN_OFF = re.compile(
    r"\b(?:minus|less|after|deduct(?:ed|ing)?|of|without|excluding|exclusive|including|incl|plus|net of|off|"
    r"subtract(?:ed|ing)?|by|for)(?: \w+){0,2} ?$"
)
_MEASURE = re.compile(
    r"\b(total(?:s|led|ing)?|sum|refund(?:s|ed)?|costs?|worth|revenue|amounts?|value|comes? to|bill|balance|altogether|"
    r"in all|left to pay|remains|result)\b"
)
_AFTER_VALUE = re.compile(
    r"(?: ?(?:eur|euros?|€))? ?(?:each(?! (?:year|month|week|day))|apiece|per (?:piece|unit|item|article|pc)|"
    r"a piece|(?:handling|service|"
    r"shipping)? ?(?:fee|price|discount|voucher|postage|shipping)|handling)\b"
)
_UNADJUSTED = re.compile(
    r" ?(?:eur|euros?|€)? ?(?:before|without|excluding|not counting|prior to|ignoring) (?:the |any )?(?:discount|"
    r"voucher|"
    r"deduction|fee|rebate|shipping|postage|tax|vat)"
)
_OPERATOR = re.compile(r" ?(?:eur|euros?|€)? ?(?:minus|less|plus)\b")
_AMOUNT = re.compile(
    r"[^=]{0,30}\d+[.,]\d\d\b(?![^=]{0,40}(?:=|\b(?:is|are|gives?|makes?|equals?|comes? to|leaves?|so)\b))"
)
_PERIOD = re.compile(r" ?(?:eur|euros?|€)? ?(?:per|a|each|every|/) ?(year|annum|month|week|day|hour|quarter)\b")
_PERIODS = {
    "year": "year",
    "annum": "year",
    "month": "month",
    "week": "week",
    "day": "day",
    "hour": "hour",
    "quarter": "quarter",
}
_OTHER_DATE = re.compile(
    r"\b(?:delivered|placed|ordered|opened|created|shipped|today|as of|now|started|starts|begins?|began|"
    r"beginning|resolved|closed|"
    r"charged|updated|current date|written|dated|published|bought|purchased|first day|began on|from|since|"
    r"requested|returned|"
    r"received|deployed|it is|it's)(?: is| was| on| at| of| being|:|,| date)*\W*$"
)
_KEPT = re.compile(
    r"\b(?:stays?|stayed|kept|keep|keeps|keeping|remains?|remained|untouched|left (?:alone|as|in)|still "
    r"stands|stands|not refunded|first(?! place| rank| position)|"
    r"original|earlier|valid|legitimate|genuine|correct charge|in place)\b"
)
_WORD = re.compile(r"[ -]?(?:\"|')?([a-z]{3,})")
_NO_NOUN = frozenset(
    "and but for with the that are was were has have had not eur euros euro minutes minute days day months month "
    "seconds hours together altogether total overall only now then which who from all each per this these those them "
    "right currently".split()
)


def is_of_another(seen: Sighting, number: int, text: TextReading, asked: Question, expected: frozenset[str]) -> bool:
    """Whether a mention is of another record than the one that the question names.

    Args:
        seen: The mention.
        number: Its clause.
        text: The text.
        asked: The question.
        expected: Identifiers, in lower case, that are themselves the answer.
    """
    own_kind = seen.atom.kind == "id" and seen.atom.text.lower().partition("-")[0] in asked.prefixes
    if asked.prefixes and not own_kind and _nearest_is_other(seen, number, text, asked, expected):
        return True
    clause = text.clauses[number]
    if asked.dates and seen.atom.kind != "date":
        dates = {m.value for m in text.facts.mentions if m.kind == "date" and clause.start <= m.start < clause.end}
        near = _ON_DATE.search(clause.text)
        if (
            dates
            and near
            and not dates & asked.dates
            and not any(d in c.text for d in asked.dates for c in text.sentence_of(number))
        ):
            return True
    if "day" in asked.senses and _is_of_other_days(seen, number, text, asked.senses["day"]):
        return True
    if asked.excluded and _is_of_excluded(clause.text, asked.excluded):
        return True
    plain = text.clauses[number - 1].words + clause.words if number and clause.lead in (":", "until") else clause.words
    if excludes(plain.split(), asked.senses, hour=seen.atom.is_time):
        return True
    if seen.atom.kind in ("money", "number") and _ANOTHER_TIME.search(plain) and not _ANOTHER_TIME.search(asked.plain):
        return True
    if asked.of_the_past and _NOW.search(plain) and not _FOR_THEN.search(plain):
        return True
    for name in asked.names:
        if f" {name} " in plain:
            continue
        if any(f" {other} " in plain for other in asked.others[name] if f" {other} " not in asked.plain):
            return True
    return False


def _is_of_other_days(seen: Sighting, number: int, text: TextReading, days: set[str]) -> bool:
    """Whether a value is said to hold on the other days, by what stands nearest before it, or else behind it."""
    first = text.clauses[text.firsts[text.clauses[number].sentence]]
    before = text.plain[max(first.start, seen.start - 32) : seen.start]
    other = max((m.start() for m in _OTHER_DAYS.finditer(before)), default=-1)
    own = max(before.rfind(day) for day in days)
    if max(other, own) < 0:
        behind = text.behind(seen.end, number)
        found = _OTHER_DAYS.search(behind)
        return found is not None and not any(day in behind[: found.start()] for day in days)
    return other > own


_OTHER_DAYS = re.compile(
    r"\b(?:during|in|for) the (?:rest of the )?week\b|\b(?:on )?(?:all |the )?other days\b|\bmon\W+(?:to )?fri\b|"
    r"\brest of the week\b|\bworking days\b"
)


def _is_of_excluded(clause: str, excluded: str) -> bool:
    """Whether a clause speaks of what the question leaves out, and does not itself leave it out."""
    if _LEFT_OUT.search(clause):
        return False
    return (
        re.search(
            rf"\b(?:the|all|only|those|of|include|includes|including|with)(?: \w+)? {excluded} (?:ones|orders|"
            rf"were|are|is)\b",
            clause,
        )
        is not None
    )


_ANOTHER_TIME = re.compile(r" (?:tomorrow|yesterday|(?:next|last) (?:week|month|year|quarter)) ")
_ON_DATE = re.compile(r"\b(?:for|on|of|from) (?:\d{4}-\d\d-\d\d|\w+ \d{1,2},? \d{4}|\d{1,2} \w+ \d{4})")
_NOW = re.compile(r" (?:today|now|currently|nowadays|at present|ha[sv]e? since|later|afterwards) ")
_FOR_THEN = re.compile(r" (?:then|when|began|started|begin|start|was|were|ran) ")
_LEFT_OUT = re.compile(
    r"\b(?:without|exclud\w+|except|not|non|leav\w+|left out|minus|ignor\w+|omit\w+|skip\w+|other than|aside|"
    r"apart|less|never|"
    r"didn't|n't|disregard\w+|dropp\w+|filter\w+)\b|n't\b"
)


def _nearest_is_other(
    seen: Sighting, number: int, text: TextReading, asked: Question, expected: frozenset[str]
) -> bool:
    """Whether the identifier that stands nearest, before the mention rather than after it, is another's."""
    clause = text.clauses[number]
    nearest = ""
    for each in text.sentence_of(number):
        if each.start > clause.start:
            break
        if each.depth > clause.depth and each.depth:
            continue
        for match in identifiers(each.text) if each.names else ():
            if each.start + match.start() < seen.start and _counts(match[0], asked, expected):
                nearest = match[0]
    if not nearest:
        behind = text.plain[seen.end : clause.end]
        nearest = next((m[0] for m in identifiers(behind) if _counts(m[0], asked, expected)), "")
    if nearest in asked.own and asked.focus and nearest not in asked.focus:
        around = {name for each in text.sentence_of(number) for name in each.names}
        return nearest.partition("-")[0] in {key.partition("-")[0] for key in asked.focus} and not around & asked.focus
    return bool(nearest) and nearest not in asked.own


def _counts(key: str, asked: Question, expected: frozenset[str]) -> bool:
    return key not in expected and key.partition("-")[0] in asked.prefixes


def is_other_amount(seen: Sighting, number: int, text: TextReading, asked: Question) -> bool:
    """Whether an amount is said to be something else than what is asked for: a price, a fee, a part.

    Args:
        seen: The mention.
        number: Its clause.
        text: The text.
        asked: The question.
    """
    period = _PERIOD.match(text.plain, seen.end)
    if period is not None:
        length = _PERIODS[period[1]]
        if length not in asked.plain and not is_told_so(seen.atom, length, asked):
            return True
    if _AFTER_VALUE.match(text.plain, seen.end):
        noun = _AFTER_VALUE.match(text.plain, seen.end)
        return noun is not None and not any(
            f" {w} " in asked.plain for w in re.findall(r"[a-z]{3,}", noun[0]) if w not in ("eur", "euros", "per")
        )
    if _UNADJUSTED.match(text.plain, seen.end):
        return True
    before = segment(seen, number, text)
    if any(f" {m[1]} " in asked.plain for m in _MEASURE.finditer(before)):
        return False
    own = _AFTER_VALUE.match(before)  # `4.50 EUR handling fee`: of the amount before
    before = before[own.end() :] if own else before
    side = next(iter(list(_SIDE.finditer(before))[-1:]), None)
    if side is None or "," in before[side.end() :] or f" {side[1]} " in asked.plain or f" {side[1]}s " in asked.plain:
        return False
    return _TAKEN_OFF.search(before[: side.start()]) is None


def is_term(seen: Sighting, text: TextReading) -> bool:
    """Whether an amount is what another is taken off from or added to, with no result behind: `137 EUR minus a fee "
    "of 3`."""
    operator = _OPERATOR.match(text.plain, seen.end)
    if operator is None:
        return False
    clause = text.clauses[text.clause_at(seen.start)]
    return _AMOUNT.match(text.plain, operator.end(), clause.end) is not None


def segment(seen: Sighting, number: int, text: TextReading) -> str:
    """The words before a mention, back to the value before it, the clause's beginning, or the label before that."""
    clause = text.clauses[number]
    start = clause.start
    if clause.lead == ":" and number:
        start = text.clauses[number - 1].start
    for mention in text.facts.mentions:
        if start < mention.end <= seen.start and mention.kind != "spelled":
            start = mention.end
    return text.plain[start : seen.start]


def measure(seen: Sighting, number: int, text: TextReading) -> str:
    """The noun that an amount is given as the value of, such as `total`; empty when there is none."""
    last = ""
    for match in _MEASURE.finditer(segment(seen, number, text)):
        last = match[1]
    return last


def is_a_reply(seen: Sighting, text: TextReading) -> bool:
    """Whether `returned` is said of an answer and not of goods."""
    if seen.atom.text != "returned":
        return False
    before, after = text.plain[max(0, seen.start - 24) : seen.start], text.plain[seen.end : seen.end + 12]
    return _REPLIED.search(before) is not None or _REPLY.match(after) is not None


_REPLIED = re.compile(
    r"\b(?:apis?|query|tools?|look ?up|system|requests?|search|database|response|calls?|sql|v1|v2|endpoint|"
    r"which) (?:has |have |had )?$"
)
_REPLY = re.compile(r"[\s:\"']*(?:no|that|not|only|zero|nothing|error|empty|http|\d{3}|none)\b")


def is_in_wrong_unit(seen: Sighting, text: TextReading, asked: Question) -> bool:
    """Whether a bare number is written in a unit that was not asked for: `7 EUR` for percent, minutes for people.

    Args:
        seen: The mention.
        text: The text.
        asked: The question.
    """
    counted = _BUSINESS.match(text.plain, seen.end)
    if counted is not None and counted[1] != "calendar" and f" {counted[1]} " not in asked.plain:
        return bool(asked.instruction)
    counted_now = noun_behind(seen, text)
    if asked.counted and counted_now in COUNTABLE and COUNTABLE[counted_now] != asked.counted:
        return True
    if _EACH.match(text.plain, seen.end):
        return True
    unit = _TIMES.match(text.plain, seen.end)
    if unit is not None and not seen.atom.unit and asked.plain.strip() and f" {unit[1]}" not in asked.plain:
        return True
    beside = text.plain[max(0, seen.start - 4) : seen.start] + ";" + text.plain[seen.end : seen.end + 5]
    return _CURRENCY.search(beside) is not None


_EACH = re.compile(r"[ -]?(?:\w+ )?(?:for each|for every|apiece)\b")
_BUSINESS = re.compile(r"[ -](working|business|calendar)\b")
_TIMES = re.compile(r"[ -](second|minute|hour|day|week|month|year)s?\b")
_CURRENCY = re.compile(r"€|\beur\b|\beuros?\b|\$|\busd\b|£")


def is_other_person(number: int, text: TextReading, asked: Question) -> bool:
    """Whether a clause gives somebody a part that was not asked for: the owner, where the engineer on call was."""
    found = _PART.search(text.clauses[number].text)
    return found is not None and f" {found[0]} " not in asked.plain


_PART = re.compile(
    r"\b(?:owns|owner|owned|leads?|lead|manages?|manager|reported|reports|reporter|wrote|author|opened|"
    r"covers?|deputy|backup|"
    r"reports to|last week|next week|follows|off duty|on leave|on holiday|vacation)\b"
)


def is_first_day(seen: Sighting, number: int, text: TextReading, asked: Question) -> bool:
    """Whether a date is said to be that on which something begins, where its end is asked for."""
    return _BEGINS.search(segment(seen, number, text)) is not None and _END.search(asked.plain) is not None


_BEGINS = re.compile(r"\b(?:starts?|started|begins?|began|beginning|first day)(?: is| on| at| of| being|:)*\W*$")
_END = re.compile(r" (?:last|end|ends|until|due) ")


def is_in_another_part(seen: Sighting, number: int, text: TextReading, asked: Question) -> bool:
    """Whether a person is given a part that was not asked for, or a cause is only one beside another.

    Args:
        seen: The mention, of words.
        number: Its clause.
        text: The text.
        asked: The question.
    """
    clause = text.clauses[number]
    by = _BY.search(text.plain, max(clause.start, seen.start - 24), seen.start)
    if by is not None and f" {by[1]} " not in asked.plain:
        return True
    did = _DID.match(text.plain, seen.end, clause.end)
    if did is not None and f" {did[1]} " not in asked.plain and seen.atom.text[:1].isupper():
        return True
    return _BESIDE.match(text.plain, seen.end, clause.end) is not None


_BY = re.compile(r"\b(reported|written|opened|filed|created|closed|deployed|discovered) by $")
_DID = re.compile(r" (?:only |just |had )?(reported|wrote|opened|filed|created|raised|discovered|noticed) ")
_BESIDE = re.compile(
    r" (?:(?:only|just|merely) (?:assists|helps|advises|reviews|watches)|as (?:an?|the) (?:contributing|secondary|"
    r"side|minor)\b)"
)


def is_other_date(seen: Sighting, number: int, text: TextReading, asked: Question) -> bool:
    """Whether a date is said to be that of another event, such as a delivery."""
    found = _OTHER_DATE.search(segment(seen, number, text))
    return found is not None and not any(f" {w} " in asked.plain for w in found[0].split()[:1])


def is_other_count(seen: Sighting, right: Sighting | None, text: TextReading) -> bool:
    """Whether a number counts something else than the right one does: `4 warnings` beside `3 errors`."""
    own, wanted = noun_behind(seen, text), noun_behind(right, text) if right is not None else ""
    return bool(own) and own != wanted


def noun_behind(seen: Sighting, text: TextReading) -> str:
    """The word behind a number, in the singular; empty where it is none that says what is counted."""
    match = _WORD.match(text.plain, seen.end)
    if match is None or match[1] in _NO_NOUN:
        return ""
    return match[1].removesuffix("s")


def is_kept(number: int, text: TextReading) -> bool:
    """Whether a clause says that something was left as it was."""
    return _KEPT.search(text.behind(text.clauses[number].start, number)) is not None
