"""Counter-based randomness: a hash of what a choice is for, so that no order of calls can change it."""

from __future__ import annotations

from hashlib import blake2b


def stable_hash(*parts: object) -> int:
    """A 64-bit number that depends on `parts` alone: same on every machine, in every process.

    Args:
        parts: What the choice is for. Only the text of each counts: 1 and "1" are the same part.

    Example:
        >>> stable_hash("world", 3) == stable_hash("world", "3")
        True
    """
    text = "\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


def hash_to_unit(*parts: object) -> float:
    """A number in [0, 1) that depends on `parts` alone.

    Args:
        parts: What the choice is for, as `stable_hash` takes it.
    """
    return (stable_hash(*parts) >> 11) / (1 << 53)
