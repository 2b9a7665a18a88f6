"""Claims to have been in touch with somebody or to have sent something: no change of a world bears them out."""

from __future__ import annotations

import re
from collections.abc import Collection

_PEOPLE = (
    r"(?:(?:the |their |your |our |all )(?:[\w-]+ )?)?(?:customers?|clients?|buyers?|users?|recipients?|teams?|"
    r"owners?|colleagues?|"
    r"managers?|"
    r"engineers?|assignees?|stakeholders?|neighbours?|them|him|her|everyone|everybody|finance|accounting|"
    r"accountants?|support|"
    r"carriers?|couriers?|warehouse|suppliers?|banks?|(?:payment )?providers?|on-?call(?: \w+)?|shop|store|"
    r"[\w.+-]+@[\w.-]+)"
)
_ADVERBS = r"(?: (?:now|also|already|just|successfully|then|since|all|been|both|additionally|promptly|personally))*+"
_TOLD = (
    r"(?:told|wrote to|written to|called|phoned|rang|asked|e-?mailed|notified|informed|contacted|messaged|alerted|"
    r"updated|paged)"
)
_MAIL = r"(?:e-?mail|message|mail|letter|confirmation|notification|reply|text|sms)"
_GOODS = r"(?:replacement|voucher|gift|invoice|label|parcel|box|credit note|return slip|receipt)"
_CONTACT = re.compile(
    rf"\b(?:i|we)(?:'ve| have| had)?{_ADVERBS} (?:(?:{_TOLD}|let) {_PEOPLE}|"
    rf"(?:sent|send|mailed|forwarded|issued|ordered)(?: {_PEOPLE})? (?:an?|the|this|it)?(?: \w+)? ?(?:{_MAIL}|"
    rf"{_GOODS})\b)"
    rf"|(?:^\W*|\band )(?:also |then )?(?:{_TOLD} (?!them\b){_PEOPLE}|let {_PEOPLE} know)\b"
    rf"|\b(?:{_PEOPLE}|they|he|she)(?: (?:has|have|was|were|is|are))(?:{_ADVERBS}) (?:notified|informed|"
    rf"e-?mailed|contacted|told|alerted|messaged|called|paged)\b"
    rf"|\b(?:confirmed|agreed|replied|answered)(?: \w+){{0,2}} by (?:phone|e-?mail|chat|telephone|mail)\b"
    rf"|\bthe customer (?:got|received|has received|was given|was sent|has been sent) (?:a|an|the) (?:new |\w+ )?"
    rf"(?:{_MAIL}|{_GOODS})\b"
    rf"|\b(?:an?|the) (?:\w+ )?(?:{_MAIL}|{_GOODS})(?: \w+){{0,6}} (?:was|has been|is|were)(?:{_ADVERBS}) (?:sent|"
    rf"shipped|dispatched|mailed|posted|issued|ordered|on (?:its|the) way)\b"
    rf"|\b(?:i|we)(?:'ve| have)?{_ADVERBS} (?:opened|raised|filed|created|lodged) (?:a|an|the) (?:\w+ )?(?:ticket|"
    rf"case|complaint|bug)\b"
)
WORDS = frozenset(
    "told wrote written called phoned rang let asked mailed emailed notified informed contacted messaged alerted "
    "updated "
    "paged sent send forwarded confirmed agreed replied answered got received given way opened raised filed created "
    "lodged "
    "shipped dispatched posted issued ordered".split()
)
"""Words of which every such claim holds one: a quick look."""


def contact(clause: str, said: Collection[str]) -> re.Match[str] | None:
    """The words of a clause by which somebody is said to have been told or sent something, denied or not.

    Args:
        clause: The clause.
        said: Its words.
    """
    return None if WORDS.isdisjoint(said) else _CONTACT.search(clause)
