"""How much an episode may use before it is ended, and why it was ended."""

from __future__ import annotations

from dataclasses import dataclass

from faultgym.envs.episode import Episode
from faultgym.envs.messages.turn import Turn

MAX_TURNS = 60
"""Turns of an episode unless something else is asked for."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The budgets of one episode; None is no limit. The stop reasons are those of the environment's wrappers."""

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

    def reached(self, episode: Episode, tokens: int = 0, wall_seconds: float = 0.0) -> str:
        """The reason to end the episode now, or an empty text."""
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
    """Tokens of a turn, counted as the environment's `TokenBudget` counts them."""
    from faultgym.envs.gym.wrappers import tokens

    return tokens(turn)
