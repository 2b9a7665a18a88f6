"""A stored trace as a transcript in the terminal.

Texts of models and tools are neutralised before they are printed: nothing in a trace can steer the
terminal.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from faultgym.agents.traces.trace import Trace
from faultgym.envs.render import Shown, neutralised, transcript_of
from faultgym.eval.scoring.score import Score, score

STYLES = {
    "task": "bold", "system": "dim", "user": "cyan", "thinks": "italic dim", "says": "green", "calls": "yellow",
    "gets": "", "outcome": "bold green", "field": "green", "message": "green", "fault": "red", "time": "magenta",
    "verdict": "bold", "turn": "bold dim",
}  # fmt: skip


def print_trace(console: Console, trace: Trace, *, faults: bool = True, found: Score | None = None) -> None:
    """The transcript of a trace and what its score says, in colour where the terminal has it.

    Args:
        console: Where the transcript is printed.
        trace: The trace.
        faults: Whether the faults that fired are shown.
        found: The trace's score; scored anew where there is none.
    """
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
        calls = "1 call" if found.cost.calls == 1 else f"{found.cost.calls} calls"
        yield f"cost      {calls}; {found.cost.optimal} would do"
    for d in found.recovery.deliveries if found.recovery is not None else ():
        yield f"met       {d.kind} ({d.contract}) at turn {d.step + 1}: {d.outcome}" + (
            f", {d.evidence}" if d.evidence else ""
        )
    for mode in found.modes:
        yield f"mode      {mode.name} at turn {mode.step + 1}: {mode.why}"
