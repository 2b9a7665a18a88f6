"""How much an episode may use before it is ended, and why it was ended: for environments and rollouts alike."""

from __future__ import annotations

from dataclasses import dataclass

from faultgym.envs.defaults import MAX_TURNS
from faultgym.envs.messages.turn import Turn
from faultgym.envs.simulation import Simulation

CHARACTERS_PER_TOKEN = 4
"""The usual rule of thumb for English and JSON, for turns that come without token ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The budgets of one episode; None is no limit."""

    turns: int | None = MAX_TURNS
    """`turn_limit` after so many."""
    calls: int | None = None
    """`call_limit` after so many; the calls of one turn are not torn apart."""
    tokens: int | None = None
    """`token_budget` after so many sampled tokens, estimated where they are not known."""
    virtual_seconds: float | None = None
    """`time_budget` at this virtual time."""
    wall_seconds: float | None = None
    """`wall_limit` after so many real seconds: the one limit that may end the same episode differently."""

    reminders: int = 0
    """How often a turn without calls is answered with the request to call `answer`, where answers are typed; after
    that, such a turn ends the episode."""

    def reached(self, episode: Simulation, tokens: int = 0, wall_seconds: float = 0.0) -> str:
        """The reason to end the episode now, or an empty text.

        Args:
            episode: The episode after its last turn.
            tokens: What its turns have used so far.
            wall_seconds: Real time since it began.
        """
        if self.turns is not None and len(episode.turns) >= self.turns:
            return "turn_limit"
        if self.calls is not None and episode.calls >= self.calls:
            return "call_limit"
        if self.tokens is not None and tokens >= self.tokens:
            return "token_budget"
        if self.virtual_seconds is not None and episode.world.clock.now >= self.virtual_seconds:
            return "time_budget"
        if self.wall_seconds is not None and wall_seconds >= self.wall_seconds:
            return "wall_limit"
        return ""


def turn_tokens(turn: Turn) -> int:
    """What a turn costs: its tokens where a server gave or counted them, else a quarter of its characters, rounded up.

    Characters are those of the text, the reasoning, and the names and arguments of its calls;
    arguments that are no text count as one token each.

    Example:
        >>> from faultgym.envs.messages.turn import Turn
        >>> turn_tokens(Turn("It is shipped.")), turn_tokens(Turn("It is shipped.", token_ids=(7, 8, 9)))
        (4, 3)
    """
    if turn.sampled is not None:
        return turn.sampled
    characters = len(turn.text) + len(turn.reasoning)
    stack: list[object] = [v for call in turn.tool_calls for v in (call.name, call.raw, call.arguments or {})]
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            characters += len(value)
        elif isinstance(value, dict):
            stack.extend(value)
            stack.extend(value.values())
        elif isinstance(value, list | tuple):
            stack.extend(value)
        else:
            characters += CHARACTERS_PER_TOKEN
    return -(-characters // CHARACTERS_PER_TOKEN)
