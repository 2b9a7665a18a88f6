"""Text that can be stored: half surrogate pairs, which neither UTF-8 nor an API takes, and how they are replaced."""

from __future__ import annotations

import re

_SURROGATES = re.compile("[\ud800-\udfff]")


def has_surrogates(text: str) -> bool:
    """Whether the text holds half a surrogate pair (or a pair written as two halves)."""
    return not text.isascii() and _SURROGATES.search(text) is not None


def storable(text: str) -> str:
    """The text with every half of a surrogate pair replaced by U+FFFD; the same object where there is none."""
    return _SURROGATES.sub("\ufffd", text) if has_surrogates(text) else text


def joined(text: str) -> str:
    r"""The text with halves that do form a pair joined, and all others replaced by U+FFFD.

    Example:
        >>> joined("\ud83d\ude00") == "\U0001f600"
        True
    """
    if not has_surrogates(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
