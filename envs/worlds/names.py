"""Names, words and numbers for a world, from pools that no two splits share.

A word belongs to the split that its hash says; so does an identifier, by its number. That an entity
was never seen in training is then true by construction, over all worlds.
"""

from __future__ import annotations

import random
from zlib import crc32

SPLITS = (
    "train", "dev", "test", "unseen_phrasings", "unseen_faults", "unseen_compositions", "unseen_suite",
)  # fmt: skip
WORLDS = {"train": 64, **dict.fromkeys(SPLITS[1:], 16)}
"""How many worlds each split has. Tasks beyond that number share worlds, with other parameters."""
POOLS = {"train": (0, 7), **{split: (n, n) for n, split in enumerate(SPLITS) if n}}
"""The residues modulo 8 that belong to each split."""

_ONSETS = "b c d f g h j k l m n p r s t v w z br dr gl kr pl st tr".split()
_VOWELS = "a e i o u".split()
_CODAS = ["", "", "n", "r", "l", "s", "k", "x", "m"]


def in_pool(split: str, number: int) -> bool:
    """Whether a word or an identifier belongs to a split.

    Args:
        split: One of `SPLITS`.
        number: The word's hash, or the identifier's number.
    """
    return number % 8 in POOLS[split]


class Names:
    """A source of distinct names for one world.

    Args:
        split: The split that the names belong to.
        rng: Where the choices come from; each name moves it on.

    Example:
        >>> names = Names("train", random.Random(0))
        >>> number = names.identifier("ORD")
        >>> number[:4], in_pool("train", int(number[4:]))
        ('ORD-', True)
    """

    def __init__(self, split: str, rng: random.Random):
        self.split = split
        self.rng = rng
        self._used: set[str] = set()

    def word(self) -> str:
        """A pronounceable lower-case word, never the same twice in a world."""
        rng = self.rng
        while True:
            syllables = rng.choice((2, 2, 3))
            text = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(syllables))
            if text not in self._used and in_pool(self.split, crc32(text.encode())):
                self._used.add(text)
                return text

    def person(self) -> str:
        """A first and a last name."""
        return f"{self.word().capitalize()} {self.word().capitalize()}"

    def email(self) -> str:
        """An address under a reserved domain (RFC 2606)."""
        return f"{self.word()}@{self.word()}.example"

    def identifier(self, prefix: str, digits: int = 5) -> str:
        """An identifier such as `ORD-10422`; never the same number twice in a world.

        Args:
            prefix: What stands before the hyphen.
            digits: Digits of the number, the first of which is never 0.
        """
        while True:
            number = self.rng.randrange(10 ** (digits - 1), 10**digits)
            if str(number) not in self._used and in_pool(self.split, number):
                self._used.add(str(number))
                return f"{prefix}-{number}"
