"""`faultgym show`: a stored trace in the terminal, or the list of a run's traces.

Texts of models and tools are neutralised before they are printed: nothing in a trace can steer the
terminal.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from faultgym.agents.traces.trace import Trace
from faultgym.cli.replay import stored_traces
from faultgym.core.errors import UserError
from faultgym.envs.render import Shown, neutralised, transcript_of
from faultgym.eval.scoring.score import Score, score

LISTED = 25
"""Traces that a list shows unless more are asked for."""
STYLES = {
    "task": "bold", "system": "dim", "user": "cyan", "thinks": "italic dim", "says": "green", "calls": "yellow",
    "gets": "", "fault": "red", "time": "magenta", "verdict": "bold", "turn": "bold dim",
}  # fmt: skip


def show(
    run: Annotated[Path, typer.Argument(help="A run's folder, or a file of traces, one per line.")],
    episode: Annotated[
        str, typer.Argument(help="The beginning of an episode's id; without it the traces are listed.")
    ] = "",
    faults: Annotated[bool, typer.Option("--faults/--no-faults", help="Name the faults where they struck.")] = True,
    failed: Annotated[bool, typer.Option("--failed", help="List only what did not succeed.")] = False,
    most: Annotated[int, typer.Option(min=1, help="Traces to list.")] = LISTED,
) -> None:
    """Print one trace as a transcript, or list a run's traces."""
    console = Console()
    if not episode:
        _list(console, run, failed, most)
        return
    for trace in stored_traces(run, episode):
        print_trace(console, trace, faults=faults)
        return
    raise UserError(f"{run} has no episode whose id begins with {episode[:100]!r}: `faultgym show {run}` lists them")


def print_trace(console: Console, trace: Trace, *, faults: bool = True, found: Score | None = None) -> None:
    """The transcript of a trace and what its score says, in colour where the terminal has it."""
    system, instruction = [*(m.content for m in trace.opening), "", ""][:2]  # none where it never began
    shown = Shown(trace.task.id, system, instruction, trace.steps, trace.events, trace.verdict, trace.stop)
    style = ""
    for line in transcript_of(shown, faults=faults).split("\n"):
        label = line[:10].strip().split(" ")[0]
        style = STYLES.get(label, style) if line[:1].strip() else style
        console.print(Text(line, style), soft_wrap=True, highlight=False)
    for line in _told(trace, found):
        console.print(Text(neutralised(line)), soft_wrap=True, highlight=False)


def _told(trace: Trace, found: Score | None) -> Iterator[str]:
    """What the scorer says of the trace, a line each."""
    found = found or score(trace)
    if found.harness_error:
        yield f"harness   {found.harness_error}"
        return
    if found.cost is not None:
        yield f"cost      {found.cost.calls} calls; the expert needs {found.cost.optimal}"
    for d in found.recovery.deliveries if found.recovery is not None else ():
        yield f"met       {d.kind} ({d.contract}) at turn {d.step + 1}: {d.outcome}" + (
            f", {d.evidence}" if d.evidence else ""
        )
    for mode in found.modes:
        yield f"mode      {mode.name} at turn {mode.step + 1}: {mode.why}"


def _list(console: Console, run: Path, failed: bool, most: int) -> None:
    table = Table(title=f"Traces in {neutralised(str(run))}", box=SIMPLE_HEAD, show_edge=False)
    for name in ("episode", "task", "faults", "calls", "end"):
        table.add_column(name, overflow="fold")
    listed = left = 0
    for trace in stored_traces(run):
        won = trace.verdict is not None and trace.verdict.success
        if failed and won:
            continue
        if listed == most:
            left += 1
            continue
        listed += 1
        fired = ", ".join(dict.fromkeys(e.kind for e in trace.events)) or "-"
        end = "success" if won else trace.verdict.reason if trace.verdict is not None else trace.stop
        row = (trace.episode_id[:12], trace.task.id, fired, str(trace.calls), end)
        table.add_row(*(Text(neutralised(cell)) for cell in row), style="" if won else "red")
    console.print(table)
    if left:
        console.print(f"{left} more: --most {listed + left} lists them all")
    console.print(
        f"faultgym show {neutralised(str(run))} EPISODE prints one.", markup=False, highlight=False, soft_wrap=True
    )
