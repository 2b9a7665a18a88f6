"""What `faultgym bench` can measure, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console

from benchmarks import core, data, peers, rollout, startup, vllm
from benchmarks.table import Row, show
from faultgym.core.errors import HarnessError, UserError


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What all suites are given; each takes what it needs."""

    rounds: int
    """Rounds in which the contenders take turns; times are medians over them."""
    model: str = "tiny-random"
    """For `vllm`: an embedded model, a folder, or a hub id."""


def peer_rows(options: BenchOptions) -> Sequence[Row]:
    """The gym's step beside other packages' steps; needs PyPI the first time."""
    return peers.rows(peers.peers(options.rounds))


def rollout_rows(options: BenchOptions) -> Sequence[Row]:
    """The rollout engine against a stub model server, beside the ideal and other packages; one round."""
    rows = rollout.engine_rows()
    try:
        return rows + rollout.side_by_side()
    except (HarnessError, UserError) as error:  # what was measured until then shall not be lost
        return [*rows, rollout.not_compared(str(error))]


SUITES: Mapping[str, tuple[str, Callable[[BenchOptions], Sequence[Row]]]] = {
    "core": ("Speed and memory", lambda options: core.core(options.rounds)),
    "startup": ("Start-up", lambda options: startup.startup(options.rounds)),
    "data": ("Data sets", lambda options: data.data(options.rounds)),
    "peers": ("The same SELECT, one step, side by side", peer_rows),
    "rollout": ("Rollouts against a model server with 50 ms latency", rollout_rows),
    "vllm": ("Rollouts against a real vLLM", lambda options: vllm.vllm_rows(options.model)),
}
"""Name -> (the table's title, what takes the measurements)."""


def measure(names: Sequence[str], options: BenchOptions, console: Console) -> dict[str, Sequence[Row]]:
    """Take the measurements of the named suites, one after another, and print each table.

    Args:
        names: Keys of `SUITES`.
        options: What each suite takes what it needs from.
        console: Where the tables are printed.

    Returns:
        Name -> rows.
    """
    measured: dict[str, Sequence[Row]] = {}
    for name in names:
        title, rows = SUITES[name]
        with console.status(f"measuring {name} ..."):
            measured[name] = rows(options)
        show(title, measured[name], console)
    return measured
