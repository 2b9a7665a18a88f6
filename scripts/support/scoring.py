"""The scores of stored runs: made trace by trace, kept beside the traces."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import orjson
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

SCORES = "scores.jsonl"
"""In the run's folder: one line for each trace."""


def scored(run: RunDirectory, critical: bool, aside: Console) -> list[Score]:
    """The scores of all traces of a run; what cannot be read is named on stderr and left out.

    Traces are read one at a time. Raises TraceError and TaskError for a trace that cannot be scored here.
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
    """What names on stderr that which cannot be read."""
    return lambda error: say(aside, f"left out: {error}")


def write_scores(path: Path, scores: Iterable[Score]) -> None:
    """One line for each score; the file appears whole or not at all."""
    with atomic_file(path) as file:
        for found in scores:
            file.write(orjson.dumps(found.to_record(), option=orjson.OPT_APPEND_NEWLINE))
