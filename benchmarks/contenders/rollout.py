"""One contender of `faultgym bench rollout`, run by path as a process of its own.

    python rollout.py NAME URL EPISODES IN_FLIGHT

NAME is a key of `CONTENDERS`. It plays EPISODES episodes of three turns against the stub at URL, each two
calls of a tool `sql` on an in-memory SQLite database and a final text, then prints one JSON line with its
seconds, its CPU seconds, its growth in memory and the versions it ran. It may import nothing of faultgym
outside `faultgym`: the interpreter that runs the other packages does not have it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import sys
import tempfile
import threading
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

TURNS = 3
QUESTION = "What is the status of the first order?"


def connect() -> sqlite3.Connection:
    """A small database with the table that the stub's statement reads."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.execute("CREATE TABLE orders (id TEXT PRIMARY KEY, status TEXT)")
    connection.executemany("INSERT INTO orders VALUES (?, 'shipped')", [(f"ORD-{n}",) for n in range(100)])
    return connection


def run_sql(connection: sqlite3.Connection, query: str) -> str:
    """The rows as JSON."""
    cursor = connection.execute(query)
    return json.dumps({"columns": [c[0] for c in cursor.description], "rows": cursor.fetchall()})


def faultgym(url: str, episodes: int, in_flight: int) -> int:
    """The real rollout: faults on, validated calls, judged, every trace written to a store on disk.

    Args:
        url: The stub's base URL.
        episodes: How many are played.
        in_flight: How many at the same time.

    Returns:
        How many were played.

    Raises:
        SystemExit: An episode failed.
    """
    from faultgym.agents.models.openai import policy_from
    from faultgym.agents.rollouts.engine import rollout
    from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest

    asked = RolloutRequest(
        templates=("order_status",),
        per_template=20,
        trials=max(1, episodes // 20),
        style="http",
        answers="text",  # as the stub answers every contender
    )
    plan = RolloutPlan.make(asked)
    with tempfile.TemporaryDirectory() as folder:
        progress = asyncio.run(
            rollout(plan, policy_from(f"stub@{url}?tokens=no&logprobs=no"), Path(folder) / "run", in_flight=in_flight)
        )
    if progress.failed:
        raise SystemExit(progress.failure)
    return progress.done


def verifiers(url: str, episodes: int, in_flight: int) -> int:
    """`ToolEnv.generate`: the tool loop in one process; arguments and result as of `faultgym`."""
    vf, datasets = import_module("verifiers"), import_module("datasets")
    connection = connect()

    def sql(query: str) -> str:
        """Run a SELECT.

        Args:
            query: the statement
        """
        return run_sql(connection, query)

    def right(completion: Any, **_: Any) -> float:
        return float("shipped" in str(completion[-1]))

    rows = [{"prompt": [{"role": "user", "content": QUESTION}], "answer": "shipped"} for _ in range(episodes)]
    env = vf.ToolEnv(
        dataset=datasets.Dataset.from_list(rows), tools=[sql], max_turns=8, rubric=vf.Rubric(funcs=[right])
    )
    os.environ["BENCH_KEY"] = "none"
    client = vf.ClientConfig(api_base_url=url, api_key_var="BENCH_KEY", max_connections=in_flight)
    playing = env.generate(
        inputs=env.get_dataset(), client=client, model="stub", max_concurrent=in_flight, sampling_args={}
    )
    outputs = asyncio.run(playing)
    rewards = [o["reward"] for o in outputs["outputs"]]
    if len(rewards) != episodes or min(rewards) != 1:
        raise SystemExit(f"{sum(rewards)} of {len(rewards)} right")
    return len(rewards)


def inspect_ai(url: str, episodes: int, in_flight: int) -> int:
    """`eval` with the basic tool loop; arguments and result as of `faultgym`."""
    parts = {n: import_module(f"inspect_ai{n}") for n in ("", ".dataset", ".model", ".scorer", ".solver", ".tool")}
    solver, tool = parts[".solver"], parts[".tool"].tool
    connection = connect()

    def sql() -> Any:
        async def execute(query: str) -> str:
            """Run a SELECT.

            Args:
                query: the statement
            """
            return run_sql(connection, query)

        return execute

    samples = [parts[".dataset"].Sample(input=QUESTION, target="shipped") for _ in range(episodes)]
    task = parts[""].Task(
        dataset=parts[".dataset"].MemoryDataset(samples),
        solver=[solver.use_tools(tool(sql)()), solver.generate()],
        scorer=parts[".scorer"].includes(),
    )
    with tempfile.TemporaryDirectory() as folder:
        (log,) = parts[""].eval(
            task,
            model=parts[".model"].get_model("openai/stub", base_url=url, api_key="none", responses_api=False),
            max_connections=in_flight,
            max_samples=in_flight,
            display="none",
            log_dir=folder,
            log_level="error",
        )
    if log.status != "success" or log.results is None or log.results.completed_samples != episodes:
        raise SystemExit(f"inspect-ai: {log.status} {log.error}")
    return episodes


CONTENDERS = {
    "faultgym": (faultgym, ("faultgym",)),
    "verifiers": (verifiers, ("verifiers", "openai")),
    "inspect-ai": (inspect_ai, ("inspect-ai", "openai")),
}


def resident() -> int:
    """Resident bytes of this process; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def watch(peak: list[int], over: threading.Event) -> None:
    """Keep the highest memory use, asked for ten times a second.

    Args:
        peak: Its one item is the highest number of bytes so far.
        over: Ends the watch.
    """
    while not over.wait(0.1):
        peak[0] = max(peak[0], resident())


def main() -> None:
    """Warm up with a few episodes, then measure."""
    name, url, episodes, in_flight = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    logging.disable(logging.CRITICAL)
    play, packages = CONTENDERS[name]
    play(url, 20, 20)
    before = resident()
    peak, over = [before], threading.Event()
    threading.Thread(target=watch, args=(peak, over), daemon=True).start()
    begun, cpu = time.perf_counter(), time.process_time()
    done = play(url, episodes, in_flight)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    over.set()
    versions = {package: version(package) for package in packages}
    grown = max(peak[0], resident()) - before
    said = {"episodes": done, "seconds": seconds, "cpu": cpu, "grown": grown, "versions": versions}
    print("\n" + json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
