"""What `faultgym bench` measures with and how it reports: rows, the machine, and timing side by side.

Absolute times say more about the machine than about the code, so nearly every bound is a ratio of two
times taken in turn in the same run: A B C A B C ..., the median over the rounds.
"""

from __future__ import annotations

import gc
import os
import platform
import sqlite3
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the bench table: a figure, and what it should be."""

    name: str
    measured: float
    """In `unit`."""
    bound: str = ""
    """`<= 6` or `>= 0.5`, in `unit`; empty where no bound is set."""
    unit: str = "x"
    """`x` for a ratio, else `us`, `MiB`, `steps/s`, ..."""
    ok: bool | None = None
    """Whether the bound holds; None where there is none."""
    note: str = ""
    """What the figure was taken from, such as the two times behind a ratio."""

    @classmethod
    def at_most(cls, name: str, measured: float, bound: float, unit: str = "x", note: str = "") -> Row:
        """A row that passes while `measured` <= `bound`.

        Args:
            name: What was measured.
            measured: The figure, in `unit`.
            bound: The highest figure that passes.
            unit: `x` for a ratio.
            note: What the figure was taken from.
        """
        return cls(name, measured, f"<= {bound:g}", unit, measured <= bound, note)

    @classmethod
    def at_least(cls, name: str, measured: float, bound: float, unit: str = "x", note: str = "") -> Row:
        """A row that passes while `measured` >= `bound`; the arguments are those of `at_most`."""
        return cls(name, measured, f">= {bound:g}", unit, measured >= bound, note)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a bench ran; a figure without it means little."""

    cpu: str
    cores: int
    """Cores this process may use."""
    python: str
    sqlite: str
    system: str

    def __str__(self) -> str:
        cores = f"{self.cores} core" + "s" * (self.cores != 1)
        return f"{self.cpu}, {cores}, {self.system}, Python {self.python}, SQLite {self.sqlite}"


def machine() -> Machine:
    """The machine this process runs on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(
        cpu=_cpu_model(),
        cores=cores,
        python=f"{platform.python_version()} ({platform.python_implementation()})",
        sqlite=sqlite3.sqlite_version,
        system=f"{platform.system()} {platform.machine()}",
    )


def _cpu_model() -> str:
    """Linux names the model in /proc only; elsewhere `platform` knows it, or at least the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "") or platform.processor() or platform.machine() or "unknown CPU"


def timed(fn: Callable[[], object], batch: int) -> float:
    """Seconds per call over `batch` calls in a row, with the garbage collector off while they run.

    Args:
        fn: What is called.
        batch: How many calls.
    """
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        start = time.perf_counter()
        for _ in range(batch):
            fn()
        return (time.perf_counter() - start) / batch
    finally:
        if was_on:
            gc.enable()


def medians(laps: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Run every lap once per round, in turn, and take each one's median over the rounds.

    Taking turns spreads the machine's slow moments over all laps, and one round ahead of the counted ones fills caches.

    Args:
        laps: Name -> a lap, which returns its own time.
        rounds: How many are counted.

    Example:
        >>> times = iter([9.0, 1.0, 3.0, 2.0])
        >>> medians({"a": lambda: next(times)}, 3)
        {'a': 2.0}
    """
    for lap in laps.values():
        lap()
    taken: dict[str, list[float]] = {name: [] for name in laps}
    for _ in range(rounds):
        for name, lap in laps.items():
            taken[name].append(lap())
    return {name: statistics.median(times) for name, times in taken.items()}


def interleaved(fns: Mapping[str, Callable[[], object]], rounds: int = 11, batch: int = 1000) -> dict[str, float]:
    """Seconds per call of each function, side by side: the median over the rounds.

    Args:
        fns: Name -> what is called.
        rounds: How many are counted.
        batch: Calls of each function in a round.
    """
    return medians({name: partial(timed, fn, batch) for name, fn in fns.items()}, rounds)


def show(title: str, rows: Sequence[Row], console: Console) -> None:
    """Print the rows as a table, with the machine beneath.

    Args:
        title: The table's.
        rows: What was measured.
        console: Where the table is printed.
    """
    table = Table(title=title, caption=str(machine()), title_justify="left", caption_justify="left")
    table.add_column("what", overflow="fold")
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("bound", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("note", overflow="fold")
    verdicts = {True: "[green]pass[/green]", False: "[red]MISS[/red]", None: ""}
    for row in rows:
        bound = f"{row.bound} {row.unit}" if row.bound else ""
        table.add_row(row.name, f"{number(row.measured)} {row.unit}", bound, verdicts[row.ok], row.note)
    console.print(table)


def number(value: float) -> str:
    """Three significant digits or all the whole ones: 0.412, 2.78, 61.4, 5,849.

    Example:
        >>> number(0.4123), number(5849.2)
        ('0.412', '5,849')
    """
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}"


def document(suites: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """The tables as JSON values: `{"machine": {...}, "suites": {"core": [{"name": ...}, ...]}}`."""
    return {
        "machine": asdict(machine()),
        "suites": {suite: [asdict(row) for row in rows] for suite, rows in suites.items()},
    }
