"""Numbers and days written out in words: `two thousand six hundred and eighty`, `the twenty-eighth of June 2026`."""

from __future__ import annotations

import re
from collections.abc import Iterator

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    " seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_WORTH = {word: n for n, word in enumerate(_ONES)} | {word: 20 + 10 * n for n, word in enumerate(_TENS)}
_SCALE = {"hundred": 100, "thousand": 1000}
_STEMS = (
    "one", "two", "ten", "six", "three", "four", "five", "seven", "eight", "nine", "zero", "eleven", "twe", "thir",
    "for", "fif",
)  # fmt: skip
"""Letters of which every number in words holds some: a quick look that spares most texts the pattern."""
_WORD = re.compile(rf"\b(?:{'|'.join((*_WORTH, *_SCALE))})\b")
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth"
    " fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
).split()
DAYS = {word: n for n, word in enumerate(_ORDINALS, 1)} | {
    f"{ten}{sign}{word}": base + n
    for ten, base, most in (("twenty", 20, 9), ("thirty", 30, 1))
    for n, word in enumerate(_ORDINALS[:most], 1)
    for sign in "- "
} | {"thirtieth": 30}  # fmt: skip
"""Days of a month in words."""
DAY_WORDS = "|".join(sorted(DAYS, key=len, reverse=True))


def spelled_numbers(plain: str) -> Iterator[tuple[int, int, int]]:
    """The whole numbers that a folded text writes in words.

    Args:
        plain: The text.

    Yields:
        The number, where it begins, and where it ends.

    Example:
        >>> list(spelled_numbers("one thousand three hundred thirty-nine, or two"))
        [(1339, 0, 38), (2, 43, 46)]
    """
    if not any(stem in plain for stem in _STEMS):
        return
    run: list[str] = []
    start = end = 0
    for match in _WORD.finditer(plain):
        word = match[0]
        if run and _follows(run, word, plain[end : match.start()]):
            run.append(word)
        else:
            if run:
                yield _value(run), start, end
            run, start = ([word], match.start()) if word in _WORTH else ([], 0)
        end = match.end()
    if run:
        yield _value(run), start, end


def _follows(run: list[str], word: str, between: str) -> bool:
    """Whether a word goes on with the number that has begun."""
    last = run[-1]
    if between == " and " or between == ", ":
        return last in _SCALE and word in _WORTH
    if between not in (" ", "-"):
        return False
    if word in _SCALE:
        return last not in _SCALE or (last == "hundred" and word == "thousand")
    return last in _SCALE or (last in _TENS and 1 <= _WORTH[word] <= 9)


def _value(run: list[str]) -> int:
    total = part = 0
    for word in run:
        if word == "hundred":
            part *= 100
        elif word == "thousand":
            total, part = total + part * 1000, 0
        else:
            part += _WORTH[word]
    return total + part
