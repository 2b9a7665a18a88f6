"""How far a verb is: a bar on a terminal, a plain line now and then elsewhere. Written to stderr."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from faultgym.cli.support.printing import say

if TYPE_CHECKING:  # types alone: a verb that scores shall not wait for the trainers' modules
    from faultgym.agents.rollouts.progress import OnProgress
    from faultgym.agents.rollouts.progress import Progress as RolloutProgress
    from faultgym.training.builds.inputs import OnProgress as OnBuild
    from faultgym.training.trainers.watch import OnStep, TrainingStep

LINE_SECONDS = 10.0
"""Between two plain lines."""
REDRAW_SECONDS = 0.1
"""Between two drawings of a bar."""
Clock = Callable[[], float]
Tick = Callable[[], None]
"""Called after each thing that is done."""


class Reading(NamedTuple):
    """How far something has come."""

    done: int
    total: int | None
    text: str
    """Beside the bar."""
    line: str
    """The plain line that stands for bar and text."""


Meter = Callable[[Callable[[], Reading], bool], None]
"""Takes what makes a reading, called only when one is shown, and whether it is the last one."""


@contextmanager
def meter(
    console: Console, clock: Clock = time.monotonic, *, transient: bool = True, first: str = ""
) -> Iterator[Meter]:
    """What shows readings on this console.

    Args:
        console: Where they are shown; as a bar if it is a terminal.
        clock: Seconds, from any beginning.
        transient: Whether the bar goes away at the end.
        first: Beside the bar until there is a reading.

    Yields:
        The meter.
    """
    drawn = clock()

    def due(seconds: float, last: bool) -> bool:
        nonlocal drawn
        if clock() - drawn < seconds and not last:
            return False
        drawn = clock()
        return True

    if not console.is_terminal:
        yield lambda read, last: say(console, read().line) if due(LINE_SECONDS, last) else None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=transient) as bar:
        task = bar.add_task(first, total=None)

        def draw(read: Callable[[], Reading], last: bool) -> None:
            if due(REDRAW_SECONDS, last):
                reading = read()
                bar.update(task, completed=reading.done, total=reading.total, description=escape(reading.text))

        yield draw


@contextmanager
def rollout_progress(console: Console, clock: Clock = time.monotonic) -> Iterator[OnProgress]:
    """What a rollout calls after each episode.

    Args:
        console: Where progress is shown.
        clock: Seconds, from any beginning.
    """
    begun = clock()
    with meter(console, clock, transient=False) as show:

        def on_progress(progress: RolloutProgress) -> None:
            def read() -> Reading:
                done, text = progress.before + progress.done, summary(progress, clock() - begun)
                return Reading(done, progress.planned, text, f"{done}/{progress.planned} episodes, {text}")

            show(read, not progress.pending)

        yield on_progress


@contextmanager
def build_progress() -> Iterator[OnBuild]:
    """What a build calls with its stage, how much of that is done, and out of how much; shown on stderr."""
    with meter(Console(stderr=True)) as show:
        yield lambda what, done, total: show(lambda: Reading(done, total, what, f"{what}: {done}/{total}"), False)


@contextmanager
def training_progress(clock: Clock = time.monotonic) -> Iterator[OnStep]:
    """What a trainer calls after each step; shown on stderr.

    Args:
        clock: Seconds, from any beginning.
    """
    with meter(Console(stderr=True), clock, first="loading") as show:

        def on_step(step: TrainingStep) -> None:
            def read() -> Reading:
                text = _words(step)
                return Reading(step.step, step.total, text, f"step {step.step}/{step.total}, {text}")

            show(read, step.step == step.total)

        yield on_step


@contextmanager
def scoring_progress(console: Console, total: int | None, what: str = "scoring") -> Iterator[Tick]:
    """What is called after each trace that was scored.

    Args:
        console: Where progress is shown.
        total: How many traces there are; None where nobody knows.
        what: Stands beside the bar.
    """
    count = 0
    with meter(console) as show:

        def tick() -> None:
            nonlocal count
            count += 1
            show(lambda: Reading(count, total, what, f"{what}: {count}/{total or '?'}"), False)

        yield tick


def summary(progress: RolloutProgress, seconds: float) -> str:
    """Success rate, speed, time left, and what failed: one line.

    Args:
        progress: How far the run has come.
        seconds: Since this start.
    """
    rate = progress.success_rate
    left = f" of the {progress.judged} judged" if progress.judged < progress.done else ""
    parts = ["no verdict yet" if rate is None else f"success {rate:.0%}{left}"]
    if seconds > 0 and progress.done:
        speed = progress.done / seconds
        parts.append(f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.2g}/s")
        if progress.tokens:
            parts.append(f"{progress.tokens / seconds:,.0f} tokens/s")
        if progress.pending:
            parts.append(f"{duration(progress.pending / speed)} left")
    if progress.failed:
        parts.append(f"{progress.failed} harness errors")
    return ", ".join(parts)


def _words(step: TrainingStep) -> str:
    loss = "" if math.isnan(step.loss) else f"loss {step.loss:.4f}, "
    return f"{loss}{duration(step.left)} left"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, for people.

    Example:
        >>> duration(75), duration(600)
        ('75 s', '10 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
