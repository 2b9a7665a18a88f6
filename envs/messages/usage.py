"""What a turn cost at the server that took it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as a server counted them.

    Example:
        >>> Usage(10, 4, 3) + Usage(20, 0, 5, 2)
        Usage(prompt=30, cached=4, completion=8, reasoning=2)
    """

    prompt: int = 0
    """Read, those in the cache included."""
    cached: int = 0
    """Of these, read from a cache."""
    completion: int = 0
    """Sampled, thoughts included."""
    reasoning: int = 0
    """Of these, thoughts."""

    def __add__(self, other: Usage) -> Usage:
        """Both together."""
        return Usage(
            self.prompt + other.prompt,
            self.cached + other.cached,
            self.completion + other.completion,
            self.reasoning + other.reasoning,
        )

    @property
    def total(self) -> int:
        """Read and sampled."""
        return self.prompt + self.completion


def summed(parts: Iterable[Usage | None]) -> Usage | None:
    """All of them together; None where nothing was counted.

    Args:
        parts: One for each turn; None for a turn that no server counted.
    """
    whole: Usage | None = None
    for part in parts:
        if part is not None:
            whole = part if whole is None else whole + part
    return whole
