"""An episode whose final text can be read in more than one way: counted, and left out of everything else."""

from __future__ import annotations

import asyncio

import pytest

from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.envs.episode import Episode
from faultgym.envs.messages.turn import Turn
from faultgym.envs.registry import task_by_id
from faultgym.eval.critical import critical_step
from faultgym.eval.scoring.metrics import summarize
from faultgym.eval.scoring.record import Score
from faultgym.eval.scoring.score import score
from faultgym.tools.types import ToolCall
from faultgym.training.environments.counts import Counts
from faultgym.training.filters.rejection import Rejected
from faultgym.training.filters.select import select
from faultgym.training.preferences.pairs import find_pairs

TASK = task_by_id("orders/order_status/train/0:tools")


@pytest.fixture(scope="module")
def trace() -> Trace:
    episode = Episode(TASK, answers="text")
    episode.step(Turn(tool_calls=(ToolCall("c", "get_order", {"order_id": TASK.params["order_id"]}),)))
    status = TASK.goal.expected[0].text
    episode.step(Turn(f"It is {status}. I couldn't verify it with the second source."))
    return Trace.from_episode(episode, EpisodeSpec(TASK.id), {"name": "x"})


def test_the_verdict_stays_open_through_the_record(trace: Trace) -> None:
    assert trace.verdict is not None
    assert trace.verdict.success is None
    assert Trace.from_line(trace.to_line()) == trace


def test_it_is_counted_and_not_scored(trace: Trace) -> None:
    found = score(trace)
    assert (found.success, found.valid, "takes itself back" in found.undecided) == (None, False, True)
    assert Score.from_record(found.to_record()) == found
    summary = summarize([found])
    assert (summary.episodes, summary.undecided, summary.harness_errors) == (0, 1, 0)
    assert summary.success.value is None


def test_nothing_is_learnt_from_it(trace: Trace) -> None:
    found = select(trace)
    assert isinstance(found, Rejected)
    assert found.reason == "undecided"
    assert asyncio.run(find_pairs(trace)) == []
    assert Counts.of(trace).success is None
    assert critical_step(trace).step is None
