"""`faultgym compare`: say whether one policy is better than another, or that it cannot be said."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from faultgym.agents.store import RunDirectory, atomic_file
from faultgym.cli.score import complaining, progress_of
from faultgym.eval.compare import Comparison, Run, Settings, read_run
from faultgym.eval.compare import compare as compared
from faultgym.eval.compare_report import LISTED, Block, Grid, blocks, markdown
from faultgym.eval.noninferior import CLEAN_MARGIN
from faultgym.eval.paired import RESAMPLES
from faultgym.eval.runs import run_folders
from faultgym.tools.errors import UserError

WIDTH = 100
COLOURS = {"better": "green", "worse": "bold red", "invalid": "bold red"}


def compare(
    runs: Annotated[list[Path], typer.Argument(help="The base's run, then what is compared with it.")],
    names: Annotated[
        list[str] | None, typer.Option("--name", help="What to call the runs, in their order. (default: the folders)")
    ] = None,
    mode: Annotated[
        list[str] | None, typer.Option(help="Compare only this failure mode; may be repeated. (default: all)")
    ] = None,
    clean_margin: Annotated[
        float, typer.Option(help="Loss of success without faults that would be accepted.")
    ] = CLEAN_MARGIN,
    alpha: Annotated[float, typer.Option(min=0.0001, max=0.5, help="Chance of a false verdict.")] = 0.05,
    resamples: Annotated[int, typer.Option(min=100, max=1_000_000, help="Bootstrap samples.")] = RESAMPLES,
    seed: Annotated[int, typer.Option(min=0, help="Of the resampling.")] = 0,
    full: Annotated[bool, typer.Option("--all", help="Show every slice and metric.")] = False,
    tasks: Annotated[int, typer.Option(min=0, help="Gained and lost tasks to list.")] = LISTED,
    json_path: Annotated[Path | None, typer.Option("--json", metavar="PATH", help="Also write all as JSON.")] = None,
    markdown_path: Annotated[
        Path | None, typer.Option("--markdown", metavar="PATH", help="Also write all tables as Markdown.")
    ] = None,
    fail_if_worse: Annotated[bool, typer.Option("--fail-if-worse", help="Exit with 1 when anything is worse.")] = False,
) -> None:
    """Compare policies on the same tasks, seeds and faults: better, worse, or not shown.

    The first run is the base. A folder of runs counts as one run, so that several splits can be compared at once.
    """
    if len(runs) < 2:
        raise UserError("a comparison needs two runs: faultgym compare BASE OTHER ...")
    called = names or _names(runs)
    if len(called) != len(runs):
        raise UserError(f"{len(runs)} runs and {len(called)} names: give --name once for each run, in their order")
    settings = Settings(
        alpha=alpha,
        resamples=resamples,
        seed=seed,
        clean_margin=clean_margin,
        modes=tuple(mode) if mode else None,
    )
    aside = Console(stderr=True)
    read = [_read(path, name, aside) for path, name in zip(runs, called, strict=True)]
    found = compared(read[0], read[1:], settings)
    write(found, json_path, markdown_path)
    show(Console(), blocks(found, full=full, listed=tasks))
    if fail_if_worse and found.any_worse:
        raise typer.Exit(1)


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


def _read(path: Path, name: str, aside: Console) -> Run:
    plans = [RunDirectory.open(folder).plan for folder in run_folders(path)]
    total = sum(plan.get("episodes") or 0 for plan in plans)
    with progress_of(aside, total, f"scoring {name}") as tick:
        return read_run(path, name, complaining(aside), tick)


def write(found: Comparison, json_path: Path | None, markdown_path: Path | None) -> None:
    """The files that were asked for."""
    if json_path is not None:
        with atomic_file(json_path) as file:
            file.write(orjson.dumps(found.to_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    if markdown_path is not None:
        with atomic_file(markdown_path) as file:
            file.write(markdown(found).encode())


def show(console: Console, said: Iterable[Block]) -> None:
    """Print the blocks; nothing in them can steer the terminal."""
    for block in said:
        if isinstance(block, Grid):
            console.print(_table(block), width=min(WIDTH, console.width))
        else:
            heading = block.startswith("## ")
            text = Text(f"\n{block[3:]}" if heading else block, "bold" if heading else "")
            command = block.startswith("    ")  # to be pasted: never broken into lines
            console.print(text, soft_wrap=command, width=None if command else min(WIDTH, console.width))


def _table(grid: Grid) -> Table:
    table = Table(title=f"\n{grid.title}", title_justify="left", box=SIMPLE_HEAD, show_edge=False)
    table.padding = (0, 1, 0, 0)
    for at, name in enumerate(grid.columns):
        text = at in (0, len(grid.columns) - 1)
        table.add_column(Text(name), justify="left" if text else "right", overflow="fold", no_wrap=not text)
    for row in grid.rows:
        table.add_row(*(Text(cell, COLOURS.get(cell, "")) for cell in row))
    return table
