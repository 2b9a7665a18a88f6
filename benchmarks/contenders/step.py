"""One contender of `faultgym bench peers`, run by path as a process of its own.

    python step.py NAME IMAGE STATEMENT

NAME is a key of `CONTENDERS`, IMAGE a file with a serialized SQLite database, STATEMENT the SELECT that
every contender answers. The process prints one JSON line when it is ready, with the answer it got and
the versions it runs; then, for every line on stdin with a number of steps, one line with the
nanoseconds per step. It may import nothing of faultgym outside `faultgym_step`: the interpreter that
runs the other packages does not have it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from types import ModuleType, SimpleNamespace
from typing import Any

EPISODE = 200
"""Steps after which the environment is reset, outside the timed part, so that no history grows long."""


@dataclass(frozen=True, slots=True)
class Contender:
    """An environment that answers the statement, step by step."""

    step: Callable[[], str]
    """One step; returns what the model would see."""
    reset: Callable[[], object] = lambda: None
    """Starts a fresh episode."""
    packages: tuple[str, ...] = ()
    """Distributions whose versions belong beside the figure."""


def connect(image: bytes) -> sqlite3.Connection:
    """An in-memory connection on a copy of the image."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.deserialize(image)
    return connection


def run_sql(connection: sqlite3.Connection, query: str) -> str:
    """What the peers' SQL tools do: run the query, put columns and rows into JSON."""
    cursor = connection.execute(query)
    columns = [column[0] for column in cursor.description]
    return json.dumps({"columns": columns, "rows": cursor.fetchall()})


def bare_step(image: bytes, statement: str) -> Contender:
    """The floor: the driver's call and its rows, nothing around it."""
    connection = connect(image)

    def step() -> Any:
        return connection.execute(statement).fetchall()

    return Contender(step)


def gem_step(image: bytes, statement: str) -> Contender:
    """gem-llm: `ToolEnvWrapper` around an environment, with a SQL tool written as its own tools are.

    Its environments take text, and a tool finds its call in the text; the form is the one that its
    `MCPTool` reads, since that is the one with a tool's name and arguments.
    """
    # gem registers one environment per reasoning-gym dataset when it is imported. None of them runs
    # here, and the real package brings a solver that has to be compiled: an empty registry will do.
    registry = ModuleType("reasoning_gym")
    registry.factory = SimpleNamespace(DATASETS={})  # type: ignore[attr-defined]
    sys.modules.setdefault("reasoning_gym", registry)
    from gem.core import Env  # type: ignore[import-not-found, unused-ignore]
    from gem.tools.base_tool import BaseTool  # type: ignore[import-not-found, unused-ignore]
    from gem.tools.tool_env_wrapper import ToolEnvWrapper  # type: ignore[import-not-found, unused-ignore]

    connection = connect(image)
    call = re.compile(
        r"<tool_call>\s*<tool_name>sql</tool_name>\s*<arguments>(.*?)</arguments>\s*</tool_call>", re.DOTALL
    )

    class SqlTool(BaseTool):  # type: ignore[misc, unused-ignore]
        tool_type = "sql"

        def instruction_string(self) -> str:
            return "Query the database with <tool_call><tool_name>sql</tool_name> ... </tool_call>"

        def execute_action(self, action: str) -> tuple[bool, bool, str, str]:
            found = call.search(action)
            if found is None:
                return False, True, "", ""
            return True, False, run_sql(connection, json.loads(found[1])["query"]), found[0]

    class Desk(Env):  # type: ignore[misc, unused-ignore]
        def reset(self, seed: int | None = None) -> tuple[str, dict[str, Any]]:
            return "Where is the order?", {}

        def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
            return "", 0.0, True, False, {}

    env = ToolEnvWrapper(Desk(), tools=[SqlTool()], max_tool_uses=None)
    arguments = json.dumps({"query": statement})
    action = f"<tool_call><tool_name>sql</tool_name><arguments>{arguments}</arguments></tool_call>"

    def step() -> str:
        return str(env.step(action)[0])

    return Contender(step, env.reset, ("gem-llm",))


def openenv_environment(image: bytes, statement: str) -> tuple[Any, Callable[[], Any]]:
    """openenv-core: an `MCPEnvironment` over a FastMCP server with a SQL tool.

    Returns:
        The environment, and what makes the action for it.
    """
    from fastmcp import FastMCP  # type: ignore[import-not-found, unused-ignore]
    from openenv.core.env_server.mcp_environment import (  # type: ignore[import-not-found, unused-ignore]
        MCPEnvironment,
    )
    from openenv.core.env_server.mcp_types import (  # type: ignore[import-not-found, unused-ignore]
        CallToolAction,
    )
    from openenv.core.env_server.types import (  # type: ignore[import-not-found, unused-ignore]
        Observation,
        State,
    )

    connection = connect(image)
    server = FastMCP("orders")

    # Unannotated closures would lose FastMCP its schema; it reads `query: str` and `-> str` from here.
    @server.tool  # type: ignore[untyped-decorator, unused-ignore]
    def sql(query: str) -> str:
        """Run one SELECT."""
        return run_sql(connection, query)

    class Desk(MCPEnvironment):  # type: ignore[misc, unused-ignore]
        def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Any:
            return Observation(done=False, reward=0.0)

        def _step_impl(self, action: Any, timeout_s: float | None = None, **kwargs: Any) -> Any:
            return Observation(done=True, reward=0.0)

        @property
        def state(self) -> Any:
            return State(episode_id="bench", step_count=0)

    def action() -> Any:
        return CallToolAction(tool_name="sql", arguments={"query": statement})

    return Desk(server), action


def openenv_step(image: bytes, statement: str) -> Contender:
    """openenv-core's synchronous `step`: each call opens the in-process MCP session anew."""
    env, action = openenv_environment(image, statement)

    def step() -> str:
        return str(env.step(action()).result.data)

    return Contender(step, env.reset, ("openenv-core", "fastmcp"))


def openenv_session_step(image: bytes, statement: str) -> Contender:
    """openenv-core's `step_async` with the session held open, as its WebSocket server holds it."""
    env, action = openenv_environment(image, statement)
    loop = asyncio.new_event_loop()
    # The reference has to live as long as the process: a collected context manager closes the session.
    session = env.mcp_session()
    loop.run_until_complete(session.__aenter__())

    def step(_session: object = session) -> str:
        return str(loop.run_until_complete(env.step_async(action())).result.data)

    return Contender(step, env.reset, ("openenv-core", "fastmcp"))


def faultgym_step(image: bytes, statement: str) -> Contender:
    """faultgym: `ToolEnv.step` with its validation, fault layer, budget and record, nothing switched off.

    Its world comes from its seed, so the image is not used: the caller passes that world's own image to
    the others.
    """
    import gymnasium

    from faultgym.envs.messages.turn import Turn
    from faultgym.tools.types import ToolCall

    env = gymnasium.make("faultgym:faultgym/Orders-v0").unwrapped
    turn = Turn(text="", tool_calls=(ToolCall("c0", "sql", {"query": statement}),))

    def step() -> Any:
        return env.step(turn)[0]

    return Contender(step, lambda: env.reset(seed=0), ("faultgym",))


CONTENDERS: dict[str, Callable[[bytes, str], Contender]] = {
    "bare": bare_step,
    "faultgym": faultgym_step,
    "gem": gem_step,
    "openenv": openenv_step,
    "openenv-session": openenv_session_step,
}


def lap(contender: Contender, steps: int) -> float:
    """Nanoseconds per step, resets not counted, the garbage collector off meanwhile.

    Args:
        contender: What is measured.
        steps: How many steps count; a tenth as many come before, to fill caches.
    """
    gc.collect()
    gc.disable()
    spent, left, step = 0, steps, contender.step
    # The other contenders have just had the caches to themselves.
    contender.reset()
    for _ in range(steps // 10):
        step()
    while left > 0:
        batch = min(left, EPISODE)
        contender.reset()
        start = time.perf_counter_ns()
        for _ in range(batch):
            step()
        spent += time.perf_counter_ns() - start
        left -= batch
    gc.enable()
    return spent / steps


def main(argv: Sequence[str]) -> None:
    """Serve laps until stdin ends.

    Args:
        argv: A contender's name, the image's path, and the statement.
    """
    name, image_path, statement = argv
    # Whatever a package prints must not mix with the answers.
    out, sys.stdout = sys.stdout, sys.stderr
    with open(image_path, "rb") as file:
        image = file.read()
    contender = CONTENDERS[name](image, statement)
    contender.reset()
    answer = contender.step()
    versions = {package: version(package) for package in contender.packages}
    print(json.dumps({"answer": str(answer), "versions": versions}), file=out, flush=True)
    for line in sys.stdin:
        print(lap(contender, int(line)), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
