"""Words by which what a clause says is only a guess."""

from __future__ import annotations

import re

_WORDS = frozenset(
    "probably perhaps maybe possibly possibility possibilities presumably supposedly conceivably likely guess guessing "
    "guessed assume assuming assumption estimate estimated estimating estimation approximately approx roughly ballpark "
    "unsure uncertain unclear placeholder apparently candidate candidates tentative tentatively unconfirmed "
    "unverified typical typically usually normally generally commonly ordinarily customarily likelihood hunch opinion "
    "allegedly hopefully reportedly hearsay rumour rumor supposed".split()
)
"""Each makes a guess by itself."""
_PHRASES = re.compile(
    r"\b(?:possible (?:\w+ )?(?:totals?|values?|answers?|status(?:es)?|"
    r"options?|causes?|amounts?|results?|matches|ids?|dates?|numbers?)|"
    r"i(?:'d| would)? (?:think|believe|suppose|suspect|reckon|say|imagine|bet|go (?:with|for))|"
    r"what i would\b|my own (?:suggestion|idea|choice|estimate|figure)|rule of thumb|"
    r"(?:common|usual|standard|default) (?:value|figure|period|number|amount|time|answer)|"
    r"not (?:sure|certain|confident|convinced)|in my view|(?:someone|somebody)(?: \w+){0,4}? (?:said|says|told|"
    r"mentioned)|"
    r"either(?! way| case)|depending on|depends on|or so|"
    r"(?:may|might|could) or (?:may|might|could) not|if i (?:had|have) to|as far as i (?:can tell|know))\b"
)
_IN_PHRASES = frozenset(
    "possible think believe suppose suspect reckon say imagine bet sure certain confident either depending depends so "
    "may might could if far go convinced view someone somebody common usual standard default what own thumb".split()
)
"""Words of which every phrase holds one: a quick look."""


def is_guess(text: str, said: list[str]) -> bool:
    """Whether a clause is a guess by its own words.

    Args:
        text: The clause.
        said: Its words.
    """
    if not _WORDS.isdisjoint(said):
        return True
    return not _IN_PHRASES.isdisjoint(said) and _PHRASES.search(text) is not None


def guesses_from_the_start(text: str) -> bool:
    """Whether a clause opens as a guess, which makes its whole sentence one."""
    return _FROM_THE_START.match(text) is not None


_FROM_THE_START = re.compile(
    r"\W*(?:perhaps|maybe|probably|possibly|presumably|my (?:best )?guess|i (?:guess|think|suppose))\b"
)
