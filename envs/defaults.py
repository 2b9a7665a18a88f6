"""Numbers that hold where nobody says otherwise. Imports nothing: `import faultgym` reads them."""

MAX_TURNS = 60
"""Turns of an episode, in rollouts and behind `gymnasium.make` alike."""
