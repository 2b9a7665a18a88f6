"""`faultgym bench rollout`: the rollout engine against a model server that costs nothing but latency.

The server is a stub in a process of its own (`contenders/stub_openai.py`): it answers after 50 ms, however many
ask. The ideal is then episodes in flight / (turns x latency); what is missing to it is the engine's own
CPU, and, since the stub is Python too, the stub's. Beside it the same three turns in `verifiers` and
`inspect-ai`, from a virtual environment of their own. Each contender is a fresh process, one at a time.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.installed import python_with
from benchmarks.table import Row, number
from faultgym.core.errors import HarnessError

FOLDER = Path(__file__).parent / "contenders"
LATENCY = 0.05
"""Seconds after which the stub answers."""
TURNS = 3
IN_FLIGHT = {100: 1000, 1000: 6000, 4000: 12_000}
"""Episodes in flight -> episodes played."""
SIDE_BY_SIDE = 1000
"""Episodes in flight, and played, when others run beside."""
PEERS = ("verifiers==0.3.1", "inspect-ai==0.3.285", "openai==3.54.0")
"""verifiers from 0.4 on starts a program per episode; 0.3.1 is the last whose tool loop runs in the process."""
COMPARED = "faultgym / the faster peer, episodes/s"
BOUND = 3.0
"""Episodes/s of faultgym >= this many times the better peer's."""
PATIENCE = 900
"""Seconds for one contender."""


@dataclass(frozen=True, slots=True)
class Lap:
    """What one contender needed."""

    episodes: int
    seconds: float
    cpu: float
    """Seconds of its own process."""
    grown: int
    """Bytes of memory at the highest point, above what it used after a warm-up of 20 episodes."""
    stub: float
    """CPU seconds of the stub."""
    versions: Mapping[str, str]

    @property
    def rate(self) -> float:
        """Episodes per second."""
        return self.episodes / self.seconds

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds per turn."""
        return self.cpu / (self.episodes * TURNS) * 1000


@contextmanager
def stub() -> Iterator[subprocess.Popen[str]]:
    """The model server in a process of its own, which says its port in its first line and is killed at the end."""
    command = [sys.executable, str(FOLDER / "stub_openai.py"), str(LATENCY)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def lap(name: str, python: str, episodes: int, in_flight: int) -> Lap:
    """Let one contender play.

    Args:
        name: A key of `contenders/rollout.py`'s `CONTENDERS`.
        python: The interpreter that has the contender.
        episodes: How many are played.
        in_flight: How many at the same time.

    Raises:
        HarnessError: The contender failed, with its last words, or was not done after `PATIENCE` seconds.
    """
    with stub() as server:
        assert server.stdin is not None
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        command = [python, str(FOLDER / "rollout.py"), name, url, str(episodes), str(in_flight)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise HarnessError(f"the contender {name} was not done after {PATIENCE} seconds") from error
        if done.returncode:
            last = (done.stderr + done.stdout).strip().splitlines()[-5:]
            raise HarnessError(f"the contender {name} stopped: " + "\n".join(last))
        said = json.loads(done.stdout.strip().splitlines()[-1])
        server.stdin.write("\n")
        server.stdin.flush()
        return Lap(**said, stub=float(server.stdout.readline()))


def engine_rows() -> list[Row]:
    """The engine at 100, 1,000 and 4,000 episodes in flight beside the ideal."""
    rows = []
    for in_flight, episodes in IN_FLIGHT.items():
        ours = lap("faultgym", sys.executable, episodes, in_flight)
        ideal = in_flight / (TURNS * LATENCY)
        note = (
            f"{number(ours.rate)} / {number(ideal)} episodes/s; the stub used {ours.stub / ours.seconds:.0%} of a core"
        )
        rows.append(Row(f"{in_flight:,} in flight: episodes/s / ideal", ours.rate / ideal, note=note))
        rows.append(
            Row("  CPU per turn", ours.cpu_ms, unit="ms", note=f"{1000 / ours.cpu_ms:,.0f} turns/s of one core")
        )
    per = ours.grown / in_flight / 1024
    rows.append(Row("memory per live episode", per, unit="KiB", note=f"at {in_flight:,} in flight"))
    return rows


def not_compared(reason: str) -> Row:
    """The row of a comparison that did not come about: its bound is missed, and the reason stands beside it."""
    return Row.at_least(COMPARED, math.nan, BOUND, note=reason)


def side_by_side() -> list[Row]:
    """faultgym beside the peers at 1,000 in flight.

    Raises:
        UserError: The peers could not be installed.
        HarnessError: A contender failed.
    """
    theirs = str(python_with("rollout-peers", PEERS))
    laps = {
        name: lap(name, python, SIDE_BY_SIDE, SIDE_BY_SIDE)
        for name, python in (("verifiers", theirs), ("inspect-ai", theirs), ("faultgym", sys.executable))
    }
    rows = [
        Row(
            f"{name} {one.versions[name]}, {SIDE_BY_SIDE:,} in flight",
            one.rate,
            unit="episodes/s",
            note=f"{one.cpu_ms:.2f} ms CPU per turn",
        )
        for name, one in laps.items()
    ]
    ours = laps.pop("faultgym")
    best = max(laps.values(), key=lambda one: one.rate)
    leanest = min(one.cpu_ms for one in laps.values())
    rows.append(Row.at_least(COMPARED, ours.rate / best.rate, BOUND))
    rows.append(Row("the leaner peer / faultgym, CPU per turn", leanest / ours.cpu_ms))
    return rows
