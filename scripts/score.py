"""`faultgym score`: score stored traces again, offline, and print what they say together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from faultgym.agents.rollouts.progress import Endings
from faultgym.agents.storage.store import RunDirectory
from faultgym.cli.support.endings import ending_notes
from faultgym.cli.support.printing import grid, say, stdout_console
from faultgym.cli.support.rollout_report import usage_notes
from faultgym.cli.support.scoring import SCORES, Errors, MaxErrors, scored, write_scores
from faultgym.core.files import atomic_file
from faultgym.core.json import JSON
from faultgym.envs.messages.usage import summed
from faultgym.eval.scoring.metrics import BY, MAX_HARNESS_ERRORS, Summary, dose_response, grouped, robustness, summarize
from faultgym.eval.scoring.registry import added_metrics
from faultgym.eval.scoring.runs import run_folders
from faultgym.eval.scoring.score import Score
from faultgym.eval.statistics import Estimate, percent, plain

By = StrEnum("By", {name: name for name in BY})  # type: ignore[misc]
DEFAULT_BY = By("intensity")


def score(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs, or folders that hold some; summed up together.")],
    by: Annotated[By, typer.Option(help="What the table's rows are.")] = DEFAULT_BY,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="PATH", help="Also write the figures to this file.")
    ] = None,
    critical: Annotated[
        bool, typer.Option("--critical", help="Find the first critical step of each failure, by forking.")
    ] = False,
    errors: Errors = "exclude",
    max_errors: MaxErrors = MAX_HARNESS_ERRORS,
) -> None:
    """Score stored traces again, offline. Writes scores.jsonl into each run's folder and prints a table."""
    console, aside = stdout_console(), Console(stderr=True)
    scores: list[Score] = []
    for path in [folder for run in runs for folder in run_folders(run)]:
        found = scored(RunDirectory.open(path), critical, aside)
        write_scores(path / SCORES, found)
        scores.extend(found)
        say(console, f"{len(found)} scores: {path / SCORES}")
    broken = sum(bool(one.harness_error) for one in scores)
    if errors == "fail":
        scores = [one.as_failure() for one in scores]
    if json_path is not None:
        figures = document(scores, str(by), max_errors)
        with atomic_file(json_path) as file:
            file.write(orjson.dumps(figures, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    show(console, scores, str(by), max_errors)
    if broken:
        left_out = f"left out of all figures; up to {100 * max_errors:.3g}% may be (--errors exclude, --max-errors)"
        what = "counted as failures (--errors fail)" if errors == "fail" else left_out
        say(console, f"Harness errors: {broken} of {len(scores)} episodes, {what}.")


# ---- what is said ---------------------------------------------------------------------------------


def document(scores: Sequence[Score], by: str, max_errors: float = MAX_HARNESS_ERRORS) -> JSON:
    """All figures as JSON."""
    against, dose = robustness(scores), dose_response(scores)
    return {
        "by": by,
        "total": summarize(scores, max_errors=max_errors).to_record(),
        "groups": {
            name: summarize(part, max_errors=max_errors).to_record() for name, part in grouped(scores, by).items()
        },
        "robustness": {name: getattr(against, name) for name in against.__slots__},
        "dose_response": {"points": plain(dose.points), "auc": dose.auc},
    }


def show(console: Console, scores: Sequence[Score], by: str, max_errors: float = MAX_HARNESS_ERRORS) -> None:
    """Print the table, and beneath it what does not fit into one. In brackets: 95% Wilson intervals, by task."""
    figures = ("episodes", "success", "SPL", "recovery (n)")
    added = tuple(metric.name for metric in added_metrics())
    table = grid(f"Scores by {by}", (by, *figures, "main failure mode", *added), numbers=(*figures, *added))
    rows = {name: summarize(part, max_errors=max_errors) for name, part in grouped(scores, by).items()}
    if len(rows) != 1:
        rows["all"] = summarize(scores, max_errors=max_errors)
    flagged = any(s.harness_errors for s in rows.values())
    if flagged:
        table.add_column("", overflow="fold")
    for name, s in rows.items():
        if name == "all" and len(rows) > 1:
            table.add_section()
        table.add_row(escape(_clean(name)), *_cells(s), *([_flag(s)] if flagged else []))
    console.print(table)
    for line in _notes(scores, by, max_errors):
        say(console, line)


def _cells(s: Summary) -> list[str]:
    """The cells of one row, after the first."""
    recovered = f"{percent(s.recovery.rate)} ({s.recovery.counted})" if s.recovery.counted else "-"
    ends = {**s.modes, **{f"cut short: {reason}": count for reason, count in s.cut_short.items()}}
    main = max(ends, key=lambda name: ends[name], default="")
    mode = f"{main} ({ends[main] / s.episodes:.0%})" if main else "-"
    added = [percent(s.metrics[m.name]) if m.share else _number(s.metrics[m.name]) for m in added_metrics()]
    return [str(s.episodes), percent(s.success), _number(s.spl), recovered, escape(mode), *added]


def _flag(s: Summary) -> str:
    if not s.harness_errors:
        return ""
    count = f"{s.harness_errors} harness errors"
    return count if s.valid else f"[red]INVALID: {count}[/red]"


def _notes(scores: Sequence[Score], by: str, max_errors: float) -> Iterator[str]:
    whole, against = summarize(scores, max_errors=max_errors), robustness(scores)
    if whole.success.low is not None:
        yield "In brackets: 95% intervals (Wilson), tasks as the units."
    r = whole.recovery
    if r.deliveries:
        outcomes = ", ".join(f"{count} {name}" for name, count in r.outcomes.items())
        yield f"Faults delivered: {r.delivered} of {r.planned} planned; as met: {outcomes}."
    if r.median_steps is not None:
        yield f"Median calls to recover: {r.median_steps:g}."
    if against.ratio is not None:
        yield f"Success under faults over clean twins: {against.ratio:.2f} ({against.pairs} pairs)."
    found = [s.critical for s in scores if s.critical is not None]
    if found:
        yield f"First critical step found in {len(found)} failures; median: turn {sorted(found)[len(found) // 2]}."
    if whole.undecided:
        yield f"Undecided, and left out: {whole.undecided} episodes whose final text can be read in more than one way."
    yield from ending_notes(endings_of(scores))
    yield from usage_notes(summed(one.usage for one in scores), None)
    if by != "answers" and len({s.answers for s in scores}) > 1:
        yield "Typed answers and texts are summed up together, and what success takes differs: --by answers parts them."
    if not whole.valid:
        yield f"INVALID: {whole.harness_errors} of {whole.episodes + whole.harness_errors} episodes are harness errors."


def endings_of(scores: Iterable[Score]) -> Endings:
    """How the episodes of some scores ended."""
    found = Endings()
    for one in scores:
        found.add(one.stop, one.turns, one.salvaged)
    return found


def _number(value: Estimate) -> str:
    return "-" if value.value is None else f"{value.value:.2f}"


def _clean(text: str) -> str:
    """Names come from traces: nothing that a terminal would obey is let through."""
    return "".join(c if c.isprintable() else "?" for c in text)[:80]
