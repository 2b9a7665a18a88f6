"""Words that exclude one another: who asks for Saturday is not answered by what holds on Sunday."""

from __future__ import annotations

from collections.abc import Collection, Mapping

_FAMILIES: Mapping[str, Mapping[str, str]] = {
    "day": {day: day for day in "monday tuesday wednesday thursday friday saturday sunday weekday weekend".split()},
    "hour": {
        **dict.fromkeys("opens opening opened".split(), "open"),
        **dict.fromkeys("close closes closing closed shut shuts".split(), "close"),
    },
    "period": {
        "daily": "day", "weekly": "week", "monthly": "month", "month": "month", "quarterly": "quarter",
        "yearly": "year", "annual": "year", "annually": "year",
    },
    "rank": {
        **dict.fromkeys("most highest noisiest top".split(), "top"),
        **dict.fromkeys("second third runner".split(), "lower"),
        **dict.fromkeys("least fewest lowest".split(), "bottom"),
    },
    "tax": {"net": "net"},
    "measure": dict.fromkeys("average averages averaged median".split(), "average"),
}  # fmt: skip
"""Family -> word -> its sense."""
_SENSE = {
    form: (family, sense)
    for family, words in _FAMILIES.items()
    for word, sense in words.items()
    for form in (word, f"{word}s")
}
"""Word, also with an s -> its family and its sense."""
_UNASKED = frozenset({"measure", "tax"})
"""Families of which a word is another thing also where the question has none: an average is no sum."""


def senses(words: Collection[str]) -> dict[str, set[str]]:
    """The senses of some words.

    Args:
        words: Words of a text, in lower case.

    Returns:
        Family -> senses; families without a word are left out.

    Example:
        >>> senses("the shop opens on saturdays".split())
        {'hour': {'open'}, 'day': {'saturday'}}
    """
    found: dict[str, set[str]] = {}
    for word in words if not _SENSE.keys().isdisjoint(words) else ():
        if word in _SENSE:
            family, sense = _SENSE[word]
            found.setdefault(family, set()).add(sense)
    return found


def excludes(said: Collection[str], asked: Mapping[str, set[str]], *, hour: bool) -> bool:
    """Whether words speak of something else than what is asked for: of another day, another period, an average.

    Args:
        said: The words.
        asked: The senses of the question.
        hour: Whether they give a time of day, which is that of opening or of closing.
    """
    for family, found in senses(said).items():
        if family == "hour" and not hour:
            continue
        wanted = asked.get(family, set())
        if not found & wanted and (wanted or family in _UNASKED):
            return True
    return False
