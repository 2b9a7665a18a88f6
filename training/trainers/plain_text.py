"""The general text that ships with the package: sixty paragraphs of plain English on everyday subjects.

They were written for this purpose, so that no model has been trained on them before.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

from faultgym.core.bank import banked

TEXT = Path(__file__).with_name("general_text.md")


def paragraphs() -> dict[str, str]:
    """Name -> paragraph of the text: `p01`, `p02`, ...

    Example:
        >>> len(paragraphs()), min(paragraphs())
        (60, 'p01')
    """
    found = TEXT.read_text("utf-8").strip().split("\n\n")
    return {f"p{number:02}": " ".join(text.split()) for number, text in enumerate(found, 1)}


@banked("texts", 1)
def blind_bits() -> float:
    """Bits per byte for a model that knows only how frequent each byte is in this text (its entropy of order zero).

    A model that needs as many knows no English that could be forgotten.

    Example:
        >>> round(blind_bits(), 2)
        4.22
    """
    counts = Counter(b"".join(text.encode() for text in paragraphs().values()))
    total = counts.total()
    return -sum(n / total * math.log2(n / total) for n in counts.values())
