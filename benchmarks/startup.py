"""`faultgym bench startup`: the CPU time that a command or an import costs before it does anything."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.table import Row

STARTS: dict[str, tuple[tuple[str, ...], float | None]] = {
    "python -c pass": (("-c", "pass"), None),
    "faultgym --help": (("-m", "faultgym", "--help"), 0.15),
    "import faultgym.envs": (("-c", "import faultgym.envs"), 0.25),
}
"""What is started -> (the interpreter's arguments, the most CPU seconds that it may take)."""


def startup(rounds: int) -> list[Row]:
    """CPU seconds of each start, user and system: the minimum over the rounds, with the median as a note.

    The minimum is what the start itself costs; what other work on the machine adds is above it.

    Args:
        rounds: Starts of each.
    """
    taken: dict[str, list[float]] = {name: [] for name in STARTS}
    for arguments, _ in STARTS.values():
        cpu_seconds(arguments)  # the first start compiles modules and fills the disk's cache
    for _ in range(rounds):
        for name, (arguments, _) in STARTS.items():
            taken[name].append(cpu_seconds(arguments))
    return [_row(name, taken[name], bound) for name, (_, bound) in STARTS.items()]


def cpu_seconds(arguments: Sequence[str]) -> float:
    """The CPU seconds of one fresh interpreter with these arguments.

    Raises:
        subprocess.CalledProcessError: The interpreter failed.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _row(name: str, taken: Sequence[float], bound: float | None) -> Row:
    note = f"CPU; median of {len(taken)}: {statistics.median(taken):.3f} s"
    if bound is None:
        return Row(name, min(taken), unit="s", note=note)
    return Row.at_most(name, min(taken), bound, "s", note)
