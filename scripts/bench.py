"""`faultgym bench`: speed and memory against stated bounds, as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from faultgym.cli.bench_table import Row, document, show
from faultgym.core.errors import HarnessError, UserError


class Suite(StrEnum):
    """What can be measured."""

    CORE = "core"
    DATA = "data"
    PEERS = "peers"
    ROLLOUT = "rollout"
    VLLM = "vllm"


def core_rows(rounds: int) -> list[Row]:
    """The gym against bare sqlite3, bare route functions and bare writes, and its memory."""
    from faultgym.cli.bench_core import core

    return core(rounds)


def data_rows(rounds: int) -> list[Row]:
    """Traces to examples and pairs, and the memory of a build; needs the extra `data`."""
    from faultgym.cli.bench_data import data

    return data(rounds)


def peer_rows(rounds: int) -> list[Row]:
    """The gym's step beside other packages' steps; needs PyPI the first time."""
    from faultgym.cli import bench_peers

    return bench_peers.rows(bench_peers.peers(bench_peers.default_cache(), rounds))


def rollout_rows(rounds: int) -> list[Row]:
    """The rollout engine against a stub model server, beside the ideal and other packages; one round."""
    from faultgym.cli import bench_peers, bench_rollout

    rows = bench_rollout.engine_rows()
    try:
        return rows + bench_rollout.side_by_side(bench_peers.default_cache())
    except (HarnessError, UserError) as error:  # what was measured until then shall not be lost
        return [*rows, bench_rollout.not_compared(str(error))]


def real_rows(rounds: int, model: str = "tiny-random") -> list[Row]:
    """A rollout against a real vLLM beside a flat batch of its requests; two laps."""
    from faultgym.cli.bench_vllm import vllm_rows

    return vllm_rows(model)


SUITES: dict[Suite, tuple[str, Callable[[int], Sequence[Row]]]] = {
    Suite.CORE: ("Speed and memory", core_rows),
    Suite.DATA: ("Data sets", data_rows),
    Suite.PEERS: ("The same SELECT, one step, side by side", peer_rows),
    Suite.ROLLOUT: ("Rollouts against a model server with 50 ms latency", rollout_rows),
    Suite.VLLM: ("Rollouts against a real vLLM", real_rows),
}


def bench(
    suites: Annotated[
        list[Suite] | None,
        typer.Argument(help="What to measure: core (the default), data, peers, rollout, vllm.", show_default=False),
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="PATH", help="Also write the figures to this file.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of A B C A B C ...; figures are medians over them.")] = 11,
    model: Annotated[
        str, typer.Option(help="For vllm: what it serves; an embedded model, a folder, or a hub id.")
    ] = "tiny-random",
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when a bound is missed.")] = False,
) -> None:
    """Measure speed and memory against their bounds, as ratios taken in one run."""
    console = Console()
    measured: dict[str, Sequence[Row]] = {}
    for suite in suites or [Suite.CORE]:
        title, measure = SUITES[suite]
        if suite is Suite.VLLM:
            measure = partial(real_rows, model=model)
        with console.status(f"measuring {suite.value} ..."):
            measured[suite.value] = measure(rounds)
        show(title, measured[suite.value], console)
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_bytes(orjson.dumps(document(measured), option=orjson.OPT_INDENT_2) + b"\n")
        console.print(f"written to {json_path}")
    if strict and any(row.ok is False for rows in measured.values() for row in rows):
        raise typer.Exit(1)
