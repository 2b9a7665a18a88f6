"""`faultgym bench`: speed, memory and start-up against stated bounds, as a table."""

from __future__ import annotations

import sys
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

import faultgym
from faultgym.core.errors import UserError


class BenchSuite(StrEnum):
    """What can be measured."""

    CORE = "core"
    STARTUP = "startup"
    DATA = "data"
    PEERS = "peers"
    ROLLOUT = "rollout"
    VLLM = "vllm"


def bench(
    suites: Annotated[
        list[BenchSuite] | None,
        typer.Argument(
            help="What to measure: core (the default), startup, data, peers, rollout, vllm.", show_default=False
        ),
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="PATH", help="Also write the figures to this file.")
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=1, help="Rounds in which the contenders take turns; times are medians over them.")
    ] = 11,
    model: Annotated[
        str, typer.Option(help="For vllm: what it serves; an embedded model, a folder, or a hub id.")
    ] = "tiny-random",
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when a bound is missed.")] = False,
) -> None:
    """Measure speed, memory and start-up against their bounds; needs a checkout of faultgym."""
    add_benchmarks()
    lab = import_module("benchmarks.suites")
    console = Console()
    names = [suite.value for suite in suites or [BenchSuite.CORE]]
    measured = lab.measure(names, lab.BenchOptions(rounds, model), console)
    if json_path is not None:
        document = import_module("benchmarks.table").document(measured)
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
        console.print(f"written to {json_path}", soft_wrap=True)
    if strict and any(row.ok is False for rows in measured.values() for row in rows):
        raise typer.Exit(1)


def add_benchmarks(places: tuple[Path, ...] = ()) -> Path:
    """Make `benchmarks`, which the wheel does not ship, importable from the checkout that holds it.

    Args:
        places: Where a checkout may be; by default where this package lies, then the current folder.

    Returns:
        The checkout's folder, which is now the last on `sys.path`.

    Raises:
        UserError: None of the places is a checkout.
    """
    for place in places or (Path(faultgym.__file__).resolve().parents[2], Path.cwd()):
        if (place / "benchmarks" / "suites.py").is_file() and (place / "src" / "faultgym").is_dir():
            if str(place) not in sys.path:
                sys.path.append(str(place))
            return place
    raise UserError(
        "faultgym bench needs the folder benchmarks/ of a checkout, which the installed package leaves out:"
        " clone the repository and call it there"
    )
