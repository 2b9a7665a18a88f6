"""What to say of episodes that a server ended, or whose calls it did not read: neither is the model's doing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from faultgym.agents.rollouts.progress import Endings
from faultgym.envs.messages.turn import CONTEXT_OVERFLOW

ALARM = 0.2
"""Share of episodes that are cut short in their first turn above which a run says what to do about it."""
REMEDIES = {
    "length": "raise max_tokens (a thinking model writes its thoughts and its call from it)",
    CONTEXT_OVERFLOW: "the context is too small for the task and its tools: serve the model with a longer one",
    "content_filter": "the server's filter stands in the way: have it relaxed, or ask another server",
}


def ending_notes(endings: Endings) -> Iterator[str]:
    """A sentence for each thing that is to be known of how episodes ended.

    Args:
        endings: What was counted.

    Example:
        >>> found = Endings()
        >>> found.add("length", 1, 0)
        >>> next(ending_notes(found))
        'Cut short, which is no failure mode: 1 by length.'
    """
    if endings.cut:
        yield f"Cut short, which is no failure mode: {_counted(endings.cut)}."
    first = Counter({reason: count for reason, count in endings.cut_at_first.items() if count})
    if first.total() > ALARM * endings.episodes:
        remedies = "; ".join(REMEDIES[reason] for reason, _ in first.most_common())
        cut = f"{first.total()} of {endings.episodes} episodes were cut short in their first turn"
        yield f"{cut} ({_counted(first)}): {remedies}."
    if endings.salvaged:
        where = f"{endings.salvaged} turns ({endings.salvaged_episodes} episodes)"
        yield (
            f"The server left tool calls in the text or the thoughts of {where};"
            " they were read here: start it with the model's own tool parser, or name one with format=."
        )


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(f"{count} by {reason}" for reason, count in reasons.most_common())
