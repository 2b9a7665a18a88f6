"""The scores of stored runs: made trace by trace, kept beside the traces."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import orjson
import typer
from rich.console import Console

from faultgym.agents.storage.lines import OnError
from faultgym.agents.storage.store import RunDirectory
from faultgym.cli.support.printing import say
from faultgym.cli.support.progress import scoring_progress
from faultgym.core.errors import UserError
from faultgym.core.files import atomic_file
from faultgym.eval.critical import critical_step
from faultgym.eval.scoring.runs import located_traces
from faultgym.eval.scoring.score import Score
from faultgym.eval.scoring.score import score as score_trace

Errors = Annotated[
    Literal["exclude", "fail"],
    typer.Option(
        help="What becomes of episodes that ended in harness errors: left out of all figures, or counted as failures."
    ),
]
MaxErrors = Annotated[
    float,
    typer.Option(
        "--max-errors",
        min=0,
        max=1,
        help="Share of episodes that may be harness errors; with more, a run is called invalid.",
    ),
]
SCORES = "scores.jsonl"
"""In the run's folder: one line for each trace."""


def scored(run: RunDirectory, critical: bool, aside: Console) -> list[Score]:
    """The scores of all traces of a run; what cannot be read is named on stderr and left out.

    Traces are read one at a time.

    Args:
        run: The run's folder.
        critical: Whether each failed trace is also searched for its critical step.
        aside: Where progress and what cannot be read are told.

    Raises:
        TraceError: A trace cannot be scored here; the message names its place.
        TaskError: The task of a trace does not exist here.
    """
    scores = []
    with scoring_progress(aside, run.plan.get("episodes")) as tick:
        for place, trace in located_traces(run, complaining(aside), tick):
            try:
                found = score_trace(trace)
            except UserError as error:
                raise type(error)(f"{place}: {error}") from None
            if critical and found.success is False:
                found = found.with_critical(critical_step(trace).step)
            scores.append(found)
    return scores


def complaining(aside: Console) -> OnError:
    """What tells on this console of that which cannot be read."""
    return lambda error: say(aside, f"left out: {error}")


def write_scores(path: Path, scores: Iterable[Score]) -> None:
    """Write one line for each score; the file appears whole or not at all.

    Args:
        path: The file.
        scores: What `scored` gave.
    """
    with atomic_file(path) as file:
        for found in scores:
            file.write(orjson.dumps(found.to_record(), option=orjson.OPT_APPEND_NEWLINE))
