"""`faultgym compare`: say whether one policy is better than another, or that it cannot be said."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from faultgym.agents.storage.store import RunDirectory
from faultgym.cli.support.printing import grid, stdout_console
from faultgym.cli.support.progress import scoring_progress
from faultgym.cli.support.scoring import Errors, MaxErrors, complaining
from faultgym.core.errors import UserError
from faultgym.core.files import atomic_file
from faultgym.core.json import JSON
from faultgym.eval.comparison.compare import Run, Settings, read_run
from faultgym.eval.comparison.compare import compare as compared
from faultgym.eval.comparison.noninferior import CLEAN_MARGIN, TEXT_MARGIN, check_margin
from faultgym.eval.comparison.paired import RESAMPLES
from faultgym.eval.comparison.report import LISTED, Block, Grid, blocks, forgotten, markdown
from faultgym.eval.comparison.result import Forgetting
from faultgym.eval.scoring.metrics import MAX_HARNESS_ERRORS
from faultgym.eval.scoring.runs import planned_episodes, run_folders
from faultgym.training.trainers import quiet
from faultgym.training.trainers.general_text import general_text
from faultgym.training.trainers.harness_tasks import check_harness, harness_task

WIDTH = 100
COLOURS = {"better": "green", "worse": "bold red", "invalid": "bold red"}


Runs = Annotated[list[Path] | None, typer.Argument(help="The base's run, then what is compared with it.")]
Names = Annotated[
    list[str] | None, typer.Option("--name", help="What to call the runs, in their order. (default: the folders)")
]
Modes = Annotated[
    list[str] | None, typer.Option(help="Compare only this failure mode; the option may be repeated. (default: all)")
]
CleanMargin = Annotated[float, typer.Option(help="Loss of success without faults that would be accepted.")]
Alpha = Annotated[float, typer.Option(min=0.0001, max=0.5, help="Chance of a false verdict.")]
Resamples = Annotated[int, typer.Option(min=100, max=1_000_000, help="Bootstrap samples.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the resampling.")]
Full = Annotated[bool, typer.Option("--all", help="Show every slice and metric.")]
Tasks = Annotated[int, typer.Option(min=0, help="Gained and lost tasks to list.")]
JsonPath = Annotated[Path | None, typer.Option("--json", metavar="PATH", help="Also write all figures as JSON.")]
MarkdownPath = Annotated[Path | None, typer.Option("--markdown", metavar="PATH", help="Also write all as Markdown.")]
Worse = Annotated[bool, typer.Option("--fail-if-worse", help="Exit with 1 when anything is worse or a run invalid.")]
FORGETTING: dict[str, Any] = {"rich_help_panel": "What a tuned model has forgotten"}
Models = Annotated[
    tuple[str, str] | None,
    typer.Option(metavar="BASE TUNED", help="Read general text with two models, or adapters.", **FORGETTING),
]
TextMargin = Annotated[float, typer.Option(help="Bits per byte that would be accepted as a loss.", **FORGETTING)]
Harness = Annotated[
    list[str] | None,
    typer.Option(
        "--lm-eval", metavar="TASK", help="An lm-evaluation-harness task; the option may be repeated.", **FORGETTING
    ),
]


def compare(
    runs: Runs = None,
    names: Names = None,
    mode: Modes = None,
    clean_margin: CleanMargin = CLEAN_MARGIN,
    alpha: Alpha = 0.05,
    resamples: Resamples = RESAMPLES,
    seed: Seed = 0,
    full: Full = False,
    tasks: Tasks = LISTED,
    json_path: JsonPath = None,
    markdown_path: MarkdownPath = None,
    fail_if_worse: Worse = False,
    errors: Errors = "exclude",
    max_errors: MaxErrors = MAX_HARNESS_ERRORS,
    models: Models = None,
    text_margin: TextMargin = TEXT_MARGIN,
    lm_eval: Harness = None,
) -> None:
    """Compare policies on the same tasks, seeds and faults: better, worse, or not shown.

    The first run is the base. A folder of runs counts as one run, so that several splits can be compared at once.
    """
    runs = runs or []
    if len(runs) < 2 and not (models and not runs):
        raise UserError("a comparison needs two runs: faultgym compare BASE OTHER ...")
    if fail_if_worse and not runs:
        raise UserError("--fail-if-worse is about runs: name two of them, or leave it out")
    if lm_eval and not models:
        raise UserError("--lm-eval asks two models: name them with --models BASE TUNED")
    check_margin(text_margin)
    called = names or (_names(runs) if runs else [])
    if len(called) != len(runs):
        raise UserError(f"{len(runs)} runs and {len(called)} names: give --name once for each run, in their order")
    modes = tuple(dict.fromkeys(mode)) if mode else None
    settings = Settings(alpha, resamples, seed=seed, clean_margin=clean_margin, modes=modes)
    aside = Console(stderr=True)
    read = [_read(path, name, aside, errors, max_errors) for path, name in zip(runs, called, strict=True)]
    forgetting = _forgetting(*models, settings, text_margin, lm_eval or []) if models else ()
    console = stdout_console()
    if not runs:
        said = list(forgotten(forgetting))
        show(console, said)
        _write(json_path, {"forgetting": [one.to_record() for one in forgetting]})
        if markdown_path is not None:
            _write_text(markdown_path, "\n\n".join(["# Forgetting", *said]) + "\n")
        return
    found = replace(compared(read[0], read[1:], settings), forgetting=forgetting)
    _write(json_path, found.to_json())
    if markdown_path is not None:
        _write_text(markdown_path, markdown(found))
    show(console, blocks(found, full=full, listed=tasks))
    if fail_if_worse and (found.any_worse or found.any_invalid):
        raise typer.Exit(1)


def _forgetting(base: str, tuned: str, settings: Settings, margin: float, tasks: list[str]) -> tuple[Forgetting, ...]:
    """What the tuned model has lost."""
    if tasks:
        check_harness()
    with quiet():
        print(f"reading general text with {base} and {tuned}", file=sys.stderr)
        drawn: dict[str, Any] = {"alpha": settings.alpha, "resamples": settings.resamples, "seed": settings.seed}
        text = general_text(base, tuned, margin, **drawn)
        found = [Forgetting("General text", "bits per byte", text)]
        for name in tasks:
            print(f"lm-evaluation-harness: {name}", file=sys.stderr)
            found.append(Forgetting(name, *harness_task(name, base, tuned, settings.clean_margin, **drawn)))
    return tuple(found)


def _write(path: Path | None, figures: JSON) -> None:
    if path is not None:
        _write_text(path, orjson.dumps(figures, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode())


def _write_text(path: Path, text: str) -> None:
    with atomic_file(path) as file:
        file.write(text.encode())


def _names(runs: list[Path]) -> list[str]:
    """The folders' names, with as many of their parents as it takes to tell them apart."""
    whole = [path.resolve() for path in runs]
    if len(set(whole)) < len(whole):
        raise UserError("a run is named twice: name each once")
    for depth in range(1, max(len(path.parts) for path in whole)):
        names = ["/".join(path.parts[-depth:]) for path in whole]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in whole]


def _read(path: Path, name: str, aside: Console, errors: Errors, max_errors: float) -> Run:
    total = planned_episodes(RunDirectory.open(folder) for folder in run_folders(path))
    with scoring_progress(aside, total, f"scoring {name}") as tick:
        found = replace(read_run(path, name, complaining(aside), tick), max_errors=max_errors)
    return found.with_failures() if errors == "fail" else found


def show(console: Console, said: Iterable[Block]) -> None:
    """Print the blocks; nothing in them can steer the terminal."""
    after_table = False
    for block in said:
        if isinstance(block, Grid):
            console.print(_table(block), width=min(WIDTH, console.width) if console.is_terminal else None)
            after_table = True
        else:
            heading = block.startswith("## ")
            text = Text(f"\n{block[3:]}" if heading else block, "bold" if heading else "")
            if after_table and not heading:
                console.print()
            after_table = False
            command = block.startswith("    ")  # to be pasted: never broken into lines
            console.print(text, soft_wrap=command, width=None if command else min(WIDTH, console.width))


def _table(block: Grid) -> Table:
    table = grid(f"\n{block.title}", block.columns, numbers=block.columns[1:-1])
    for row in block.rows:
        table.add_row(*(Text(cell, COLOURS.get(cell, "")) for cell in row))
    return table
