"""`faultgym show`: a stored trace in the terminal, or the list of a run's traces."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from faultgym.agents.traces.trace import Trace
from faultgym.cli.support.calling import command
from faultgym.cli.support.printing import grid, say, stdout_console
from faultgym.cli.support.stored import one_trace, stored_traces
from faultgym.cli.support.transcripts import print_trace
from faultgym.envs.messages.turn import CUT_SHORT
from faultgym.envs.render import neutralised

LISTED = 25
"""Traces that a list shows unless more are asked for."""


def show(
    run: Annotated[Path, typer.Argument(help="A run's folder, or a file of traces, one per line.")],
    episode: Annotated[
        str, typer.Argument(help="The beginning of an episode's id; without it the traces are listed.")
    ] = "",
    faults: Annotated[bool, typer.Option("--faults/--no-faults", help="Name the faults where they struck.")] = True,
    failed: Annotated[bool, typer.Option("--failed", help="List only the traces that did not succeed.")] = False,
    most: Annotated[int, typer.Option(min=1, help="Traces to list.")] = LISTED,
) -> None:
    """Print one trace as a transcript, or list a run's traces."""
    console = stdout_console()
    if episode:
        print_trace(console, one_trace(run, episode), faults=faults)
    else:
        _list(console, run, failed, most)


def _list(console: Console, run: Path, failed: bool, most: int) -> None:
    table = grid(f"Traces in {neutralised(str(run))}", ("episode", "task", "faults", "calls", "end"), whole=("task",))
    listed = left = 0
    for trace in stored_traces(run):
        won = trace.verdict is not None and trace.verdict.success is True
        if failed and won:
            continue
        if listed == most:
            left += 1
            continue
        listed += 1
        table.add_row(*(Text(neutralised(cell)) for cell in _cells(trace, won)), style="" if won else "red")
    console.print(table)
    if left:
        say(console, f"{left} more: --most {listed + left} lists them all")
    say(console, f"{neutralised(command('show', run))} EPISODE prints one.")


def _cells(trace: Trace, won: bool) -> tuple[str, ...]:
    fired = ", ".join(dict.fromkeys(event.kind for event in trace.events)) or "-"
    end = "success" if won else trace.verdict.reason if trace.verdict is not None else trace.stop
    end = f"cut short ({trace.stop}): {end}" if trace.stop in CUT_SHORT else end
    return trace.episode_id[:12], trace.task.id, fired, str(trace.calls), end
