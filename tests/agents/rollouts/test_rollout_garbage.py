"""Policies whose code is wrong: every episode ends as a harness error on record, and the batch goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from faultgym.agents.rollouts.engine import rollout
from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.trace import Trace
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall


class Shy(Exception):
    """An error that cannot even be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


ROUND: dict[str, Any] = {}
ROUND["again"] = ROUND
GIVEN = {
    "no text": Turn(None),  # type: ignore[arg-type]
    "no reason to finish": Turn(finish_reason=None),  # type: ignore[arg-type]
    "a number as id": Turn("", (ToolCall(5, "sql", {"query": "SELECT 1"}),)),  # type: ignore[arg-type]
    "certain beyond measure": Turn("x", confidence=2.0),
    "arguments in a circle": Turn("", (ToolCall("c", "sql", ROUND),)),
    "an argument without a text": Turn("", (ToolCall("c", "sql", {"query": Unshowable()}),)),
    "an error without a text": Shy(),
    "an error over several lines": ValueError("one\ntwo\x1b[2J\ud800"),
    "a cancellation of its own": asyncio.CancelledError(),
}


def play(players: Any, folder: Path, given: Turn | BaseException) -> list[Trace]:
    class Wrong:
        turns = 0

        def __init__(self, opening: Any) -> None:
            pass

        def act(self, observation: Any, tools: Any) -> Turn:
            self.turns += 1
            if isinstance(given, BaseException):
                raise given
            return given if self.turns == 1 else Turn("done")

    plan = RolloutPlan.make(RolloutRequest(("bookshelf",), per_template=2, faults=("clean",)))
    progress = asyncio.run(rollout(plan, players.Player(Wrong), folder))
    assert progress.failed == progress.done == progress.planned
    return [Trace.from_record(record) for record in RunDirectory.open(folder).records()]


@pytest.mark.parametrize("what", GIVEN)
def test_a_policy_whose_code_is_wrong_leaves_traces_that_say_so(players: Any, tmp_path: Path, what: str) -> None:
    for trace in play(players, tmp_path / "run", GIVEN[what]):
        assert trace.stop == "harness_error"
        assert trace.harness_error is not None
        assert trace.verdict is None
