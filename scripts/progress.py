"""How far a rollout is, on the terminal: a bar for people, plain lines for logs. Written to stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from faultgym.agents.rollouts.engine import OnProgress, Progress

LINE_SECONDS = 10.0
"""Between two plain lines."""
REDRAW_SECONDS = 0.1


@contextmanager
def shown(console: Console, clock: Callable[[], float] = time.monotonic) -> Iterator[OnProgress]:
    """What a rollout calls after each episode."""
    if console.is_terminal:
        with _bar(console) as bar:
            yield _on_bar(bar, clock)
    else:
        yield _on_lines(console, clock)


def _bar(console: Console) -> Bar:
    return Bar(BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), console=console)


def _on_bar(bar: Bar, clock: Callable[[], float]) -> OnProgress:
    task = bar.add_task("", total=None)
    begun = drawn = clock()

    def on_progress(progress: Progress) -> None:
        nonlocal drawn
        now = clock()
        if now - drawn < REDRAW_SECONDS and progress.pending:
            return
        drawn = now
        bar.update(
            task,
            total=progress.planned,
            completed=progress.before + progress.done,
            description=summary(progress, now - begun),
        )

    return on_progress


def _on_lines(console: Console, clock: Callable[[], float]) -> OnProgress:
    begun = said = clock()

    def on_progress(progress: Progress) -> None:
        nonlocal said
        now = clock()
        if now - said < LINE_SECONDS and progress.pending:
            return
        said = now
        text = f"{progress.before + progress.done}/{progress.planned} episodes, {summary(progress, now - begun)}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    return on_progress


def summary(progress: Progress, seconds: float) -> str:
    """Success rate, speed, time left, and what failed: one line."""
    rate = progress.success_rate
    parts = ["no verdict yet" if rate is None else f"success {rate:.0%}"]
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


def duration(seconds: float) -> str:
    """For people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
