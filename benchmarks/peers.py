"""`faultgym bench peers`: one step on the same SELECT, here and in other packages, in one run.

The other packages live in a virtual environment of their own under the user's cache folder, so that
nothing of them touches the caller's. Each contender is a process that holds its environment ready
(`contenders/step.py`); this one asks them for laps in turn, so that only one works at a time.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import gymnasium

from benchmarks.installed import python_with
from benchmarks.table import Row, medians, number
from faultgym.core.errors import HarnessError
from faultgym.envs.gym.env import ToolEnv

CONTENDER = Path(__file__).parent / "contenders" / "step.py"

PEERS = ("openenv-core==0.3.0", "gem-llm==0.1.0")
"""Installed without their dependencies. openenv-core would bring gradio and pandas for its web page,
gem-llm matplotlib and nltk for its tasks: 700 MB where 140 MB do. gem-llm also says `<=3.12`, by which
pip leaves out 3.12.1 and everything after it; the part that runs here is plain Python."""

NEEDED = ("fastmcp==4.1.2", "fastapi>=0.104", "pydantic>=2", "numpy>=1.26")
"""What those two import on the way to one step: openenv-core its MCP server and client (pinned: most of
its step is spent there) and fastapi, gem-llm numpy."""

GEM_BOUND = 2.0
"""faultgym's step <= this many of gem-llm's, which validates, records and injects nothing."""

OPENENV_BOUND = 100.0
"""openenv-core's step >= this many of faultgym's."""


@dataclass(frozen=True, slots=True)
class PeerResult:
    """One contender's figure."""

    name: str
    """A key of `TITLES`."""
    seconds: float
    """Per step: the median over the rounds."""
    ratio: float
    """To the bare sqlite3 call of the same run."""
    versions: Mapping[str, str] = field(default_factory=dict, hash=False)


TITLES = {
    "bare": "bare sqlite3 call",
    "faultgym": "faultgym ToolEnv.step",
    "gem": "gem-llm ToolEnvWrapper.step",
    "openenv-session": "openenv-core step_async, session held open",
    "openenv": "openenv-core MCPEnvironment.step",
}

STEPS = {"bare": 10_000, "faultgym": 2000, "gem": 2000, "openenv-session": 20, "openenv": 10}
"""Steps in one lap, which takes each of them some tens of milliseconds."""


def peers(repeat: int) -> list[PeerResult]:
    """Time every contender on the same statement over the same world's database, in turn.

    Args:
        repeat: Rounds; each figure is a median over them.

    Raises:
        UserError: The packages could not be installed, most often for want of a network.
        HarnessError: A contender failed, or gave another answer than the database.
    """
    image = orders_world()
    statement, expected = keyed_select(image)
    other = peer_python()
    pythons = {name: other if name not in ("bare", "faultgym") else Path(sys.executable) for name in TITLES}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faultgym-bench-")))
        path = folder / "world.sqlite"
        path.write_bytes(image)
        running = {
            name: stack.enter_context(ContenderProcess(python, name, path, statement))
            for name, python in pythons.items()
        }
        for process in running.values():
            if expected not in process.answer:
                raise HarnessError(f"the contender {process.name} did not find {expected}: {process.answer}")
        seconds = medians({name: process.lap for name, process in running.items()}, repeat)
    return [
        PeerResult(name, seconds[name], seconds[name] / seconds["bare"], process.versions)
        for name, process in running.items()
    ]


def rows(results: Sequence[PeerResult]) -> list[Row]:
    """The figures as a table: every contender, then the two bounds."""
    by_name = {result.name: result for result in results}
    shown = []
    for result in results:
        versions = ", ".join(f"{package} {version}" for package, version in result.versions.items())
        note = f"{number(result.ratio)} x the bare call" + (f"; {versions}" if versions else "")
        shown.append(Row(TITLES[result.name], result.seconds * 1e6, unit="us", note=note))
    ours, gem, openenv = (by_name[name].seconds for name in ("faultgym", "gem", "openenv"))
    shown.append(Row.at_most("faultgym / gem-llm", ours / gem, GEM_BOUND))
    shown.append(Row.at_least("openenv-core / faultgym", openenv / ours, OPENENV_BOUND))
    return shown


class ContenderProcess:
    """A contender in a process of its own, asked for one lap at a time.

    Args:
        python: The interpreter.
        name: A key of `TITLES`.
        image: The file with the database; the log stands beside it.
        statement: What every contender answers.

    Raises:
        HarnessError: The contender stopped before it was ready.
    """

    def __init__(self, python: Path, name: str, image: Path, statement: str) -> None:
        self.name = name
        self._log = image.with_name(f"{name}.log")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [python, CONTENDER, name, image, statement],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            ready = json.loads(self._line())
        except BaseException:
            self.close()
            raise
        self.answer: str = ready["answer"]
        self.versions: dict[str, str] = ready["versions"]

    def lap(self) -> float:
        """Seconds per step over one lap of `STEPS[name]` steps.

        Raises:
            HarnessError: The contender stopped; the message holds its last words.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(f"{STEPS[self.name]}\n")
        self._process.stdin.flush()
        return float(self._line()) / 1e9

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return line
        self._process.wait()
        last = self._log.read_text().strip().splitlines()[-5:]
        raise HarnessError(f"the contender {self.name} stopped: " + "\n".join(last))

    def close(self) -> None:
        """End the process, which leaves when its stdin closes, and is killed after ten seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> ContenderProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def peer_python() -> Path:
    """The interpreter that has the peers; its virtual environment is built where missing, in about half a minute.

    Raises:
        UserError: The environment could not be built.
    """
    return python_with("peers", PEERS, ("--no-deps", "--ignore-requires-python", *PEERS), NEEDED)


def orders_world() -> bytes:
    """The database that `faultgym/Orders-v0` works on after `reset(seed=0)`, serialized."""
    env = gymnasium.make("faultgym:faultgym/Orders-v0").unwrapped
    assert isinstance(env, ToolEnv)
    env.reset(seed=0)
    assert env.episode is not None
    return env.episode.world.serialize()


def keyed_select(image: bytes) -> tuple[str, str]:
    """Make a SELECT of one order by its primary key, from the middle of the table.

    Args:
        image: A serialized database of the suite `orders`.

    Returns:
        The statement, and the key that it must return.
    """
    connection = sqlite3.connect(":memory:")
    connection.deserialize(image)
    key = connection.execute("SELECT name FROM pragma_table_info('orders') WHERE pk = 1").fetchone()[0]
    middle = connection.execute(
        f"SELECT {key} FROM orders ORDER BY {key} LIMIT 1 OFFSET (SELECT count(*) / 2 FROM orders)"
    ).fetchone()[0]
    connection.close()
    literal = str(middle) if isinstance(middle, int) else f"'{middle}'"
    return f"SELECT {key}, status FROM orders WHERE {key} = {literal}", str(middle)
