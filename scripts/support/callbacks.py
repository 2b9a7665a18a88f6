"""What a loop of training calls to say how far it is."""

from __future__ import annotations

from rich.console import Console

from faultgym.cli.support.printing import say
from faultgym.cli.support.progress import build_progress, rollout_progress, training_progress
from faultgym.training.loop.round import LoopCallbacks


def loop_callbacks(console: Console) -> LoopCallbacks:
    """Lines and progress of every stage of a loop, on this console."""
    return LoopCallbacks(
        lambda text: say(console, text), lambda: rollout_progress(console), build_progress, training_progress
    )
