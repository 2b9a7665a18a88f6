"""`faultgym bench core`: the gym beside bare sqlite3, bare route functions and bare writes, and its memory.

Everything runs on one world of the orders suite. Steps are `ToolEnv.step` of the unwrapped environment,
validation, fault layer, records and observation included.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from benchmarks.table import Row, interleaved, medians, timed
from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.play import run_episode
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.core.bank import forget
from faultgym.envs.episode import Episode
from faultgym.envs.gym.env import ToolEnv
from faultgym.envs.judging.goal import judge
from faultgym.envs.judging.reading.question import Question, question
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import suite_named, task_by_id
from faultgym.envs.task import Task
from faultgym.envs.worlds.world import World
from faultgym.tools.types import ToolCall

SUITE = "orders"
LIVE = 10_000
"""Episodes alive at once for the memory bound."""
ANSWERS = Path(__file__).parents[1] / "tests" / "data" / "judge" / "answers_known.jsonl"
"""Labelled answers, which are judged."""
BATCH = 256
"""Records between two syncs, as the store does it."""


def core(rounds: int) -> list[Row]:
    """All rows, each a ratio within one run.

    Args:
        rounds: Each time is a median over so many.
    """
    return [
        *step_rows(rounds),
        *judge_rows(rounds),
        *reset_rows(rounds),
        *fork_rows(rounds),
        *live_rows(),
        *store_rows(rounds),
    ]


def _select(env: ToolEnv) -> str:
    assert env.episode is not None
    row = env.episode.world.db.execute("SELECT id FROM orders LIMIT 1 OFFSET 50").fetchone()
    return f"SELECT id, customer_id, status, total_cents FROM orders WHERE id = '{row[0]}'"


def _task(n: int = 0, template: str = "order_status") -> Task:
    return suite_named(SUITE).task(template, "train", n, "http")


def _turn(tool: str, **arguments: Any) -> Turn:
    return Turn("", (ToolCall("call_1", tool, arguments),))


def step_rows(rounds: int) -> list[Row]:
    """A step beside what the step stands for: a bare SQL call, and a route's function."""
    env = ToolEnv(SUITE)
    env.reset(options={"task": _task()})
    assert env.episode is not None
    world = env.episode.world
    statement = _select(env)
    key = statement.rpartition("'")[0].rpartition("'")[2]
    db = world.image.reader.raw
    route = env.suite.service.operations["get_order"].function
    sql, get = _turn("sql", query=statement), _turn("http", method="GET", path=f"/v1/orders/{key}")

    def lap(fn: Callable[[], object], batch: int = 2000) -> float:
        env.reset(options={"task": _task()})
        return timed(fn, batch)

    took = medians(
        {
            "bare select": partial(timed, lambda: db.execute(statement).fetchall(), 5000),
            "select": partial(lap, lambda: env.step(sql)),
            "bare route": partial(timed, lambda: route(world, order_id=key), 5000),
            "get": partial(lap, lambda: env.step(get)),
        },
        rounds,
    )
    return [
        _ratio("step on a keyed SELECT / bare sqlite3 call", took, "select", "bare select", 6),
        _ratio("step on a GET / the route's function", took, "get", "bare route", 6),
    ]


def judge_rows(rounds: int) -> list[Row]:
    """The verdict on a labelled answer in text, each read for the first time: the median over answers and rounds."""
    begun: dict[str, tuple[Task, World, Question]] = {}
    answers = [orjson.loads(line) for line in ANSWERS.read_bytes().splitlines()]
    for answer in answers:
        task = task_by_id(answer["task"])
        world = Episode(task).world
        begun.setdefault(task.id, (task, world, question(world, task.instruction, task.params)))
    took = []
    for number in range(rounds + 1):
        for answer in answers:
            task, world, asked = begun[answer["task"]]
            forget("texts")
            start = time.perf_counter()
            judge(task.goal, world, answer["answer"], looked_up=True, blocked=True, asked=asked)
            if number:  # the first round fills the caches that belong to the tasks
                took.append(time.perf_counter() - start)
    note = f"{len(answers)} answers; the slowest {max(took) * 1e6:.0f} us"
    return [Row.at_most("judging a text answer", statistics.median(took) * 1e6, 200, "us", note=note)]


def _ratio(name: str, took: dict[str, float], ours: str, theirs: str, bound: float) -> Row:
    note = f"{took[ours] * 1e6:.1f} us / {took[theirs] * 1e6:.1f} us"
    return Row.at_most(name, took[ours] / took[theirs], bound, note=note)


def reset_rows(rounds: int) -> list[Row]:
    """A reset on a world that is known beside deserialising its database."""
    env = ToolEnv(SUITE)
    options = {"task": _task()}
    env.reset(options=options)
    assert env.episode is not None
    image = env.episode.world.image.image
    took = interleaved({"reset": lambda: env.reset(options=options), "open": lambda: _opened(image)}, rounds)
    return [_ratio("reset on a known world / deserialize", took, "reset", "open", 0.5)]


def _opened(image: bytes) -> None:
    db = sqlite3.connect(":memory:")
    db.deserialize(image)
    db.close()


def fork_rows(rounds: int) -> list[Row]:
    """A fork of an episode that has written beside copying its database."""
    episode = run_episode(policy_named("expert"), _task(0, "cancel_order"))
    db = episode.world.writable()

    def copied() -> None:
        _opened(db.serialize())

    def forked() -> None:
        episode.fork()

    def forked_and_opened() -> None:
        episode.fork().world.writable()

    took = interleaved({"fork": forked, "used": forked_and_opened, "copy": copied}, rounds, 500)
    return [
        _ratio("fork of an episode that wrote / serialize + deserialize", took, "fork", "copy", 1),
        Row(
            "  the same, and the fork writes",
            took["used"] / took["copy"],
            note=f"{took['used'] * 1e6:.1f} us / {took['copy'] * 1e6:.1f} us",
        ),
    ]


def live_rows() -> list[Row]:
    """Memory and speed with many episodes alive, measured in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(_live)
    return [
        Row.at_most(
            f"{LIVE:,} live episodes in one process",
            found["mib"],
            1024,
            "MiB",
            note=f"in mid-episode, {found['written']:,} of them have written; {found['per']:.0f} KiB each",
        ),
        Row.at_least(
            f"steps/s with {LIVE:,} live / with one",
            found["one"] / found["many"],
            0.7,
            note=f"{1 / found['many']:,.0f} / {1 / found['one']:,.0f} steps/s",
        ),
    ]


def _live() -> dict[str, float]:
    """10,000 episodes over all templates and 64 worlds, each two turns into the expert's solution."""
    suite = suite_named(SUITE)
    names = suite.names("train")
    env = ToolEnv(SUITE)
    env.reset(options={"task": _task()})
    sql = _turn("sql", query=_select(env))
    before = _rss()
    episodes = []
    for n in range(LIVE):
        task = suite.task(names[n % len(names)], "train", n // len(names) % 64, "http")
        episode = run_episode(policy_named("expert"), task, schedule_for(task), max_turns=2 + n % 3)
        episode.stop, episode.verdict = "", None
        episodes.append(episode)
    used = _rss() - before
    assert env.episode is not None
    single = env.episode

    def each() -> None:
        for episode in episodes:
            episode.step(sql)

    def one() -> None:
        single.turns.clear()
        for _ in range(LIVE):
            single.step(sql)

    took = interleaved({"many": each, "one": one}, 5, 1)
    return {
        "mib": used / 2**20,
        "per": used / LIVE / 1024,
        "written": sum(e.world.written for e in episodes),
        "many": took["many"] / LIVE,
        "one": took["one"] / LIVE,
    }


def _rss() -> int:
    """Resident bytes of this process."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * os.sysconf("SC_PAGE_SIZE")


def store_rows(rounds: int) -> list[Row]:
    """The store beside writing the same bytes and syncing at the same batch; then with the encoding."""
    traces = []
    names = suite_named(SUITE).names("train")
    for n in range(BATCH):
        task = _task(n, names[n % len(names)])
        spec = EpisodeSpec(task.id, "rough", fault_seed=n)
        episode = run_episode(policy_named("expert"), task, schedule_for(task, "rough", n))
        traces.append(Trace.from_episode(episode, spec, policy_named("expert").describe()))
    lines = [trace.to_line() for trace in traces]
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        run = RunDirectory.create(Path(folder) / "run", {})
        with run.writer("bench", 2 * BATCH) as writer, (Path(folder) / "raw").open("wb", buffering=0) as raw:

            def raw_write() -> None:
                for line in lines:
                    raw.write(line)
                os.fdatasync(raw.fileno())

            def store() -> None:
                for line in lines:
                    writer.append_line(line)
                writer.sync()

            def encode_and_store() -> None:
                for trace in traces:
                    writer.append(trace.to_line())
                writer.sync()

            took = interleaved({"raw": raw_write, "store": store, "encoded": encode_and_store}, rounds, 4)
    size = sum(map(len, lines)) / len(lines) / 1024
    note = f"{BATCH} lines of {size:.1f} KiB a batch; {BATCH / took['store']:,.0f} traces/s"
    return [
        Row.at_least(
            "the store / raw write + fdatasync of the same bytes", took["raw"] / took["store"], 0.5, note=note
        ),
        Row(
            "  the same, and the trace is written as JSON too",
            took["raw"] / took["encoded"],
            note=f"{BATCH / took['encoded']:,.0f} traces/s",
        ),
    ]
