"""Several processes: the same bytes as one, and a worker that dies loses and doubles nothing."""

import asyncio
import signal
from functools import partial

import pytest
from helpers.run_folders import compacted, ids_on_disk

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.engine import rollout
from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest
from faultgym.agents.rollouts.stop import Stop
from faultgym.agents.rollouts.workers import rollout_in_processes
from faultgym.agents.storage.store import RunDirectory
from faultgym.core.errors import HarnessError, UserError

pytestmark = pytest.mark.slow

CLERK = partial(policy_named, "helpers.players:clerk")


@pytest.fixture(scope="module")
def plan(players) -> RolloutPlan:
    return RolloutPlan.make(RolloutRequest(("bookshelf",), per_template=10, faults=("clean", "rough")))


@pytest.fixture(scope="module")
def whole(players, plan, tmp_path_factory) -> bytes:
    """What one process stores for the plan."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    asyncio.run(rollout(plan, players.clerk, folder))
    return compacted(folder)


def test_processes_store_the_same_bytes_as_one(players, plan, whole, tmp_path):
    progress = rollout_in_processes(plan, CLERK, tmp_path / "run", workers=2)
    assert (progress.done, progress.pending) == (len(plan.episodes), 0)
    assert compacted(tmp_path / "run") == whole
    assert len(RunDirectory.open(tmp_path / "run").segments()) == 2


def test_a_worker_that_is_killed_once_is_replaced(players, plan, whole, tmp_path):
    policy = partial(players.Mortal, plan.episodes[21].task, str(tmp_path / "note"))
    progress = rollout_in_processes(plan, policy, tmp_path / "run", workers=2, in_flight=1)
    assert (tmp_path / "note").exists()
    assert progress.pending == 0
    assert len(ids_on_disk(tmp_path / "run")) == len(plan.episodes)
    assert compacted(tmp_path / "run") == whole


def test_an_episode_that_always_kills_its_worker_is_reported_and_the_others_are_done(players, tmp_path):
    small = RolloutPlan.make(RolloutRequest(("bookshelf",), per_template=4, faults=("clean",)))
    deadly = small.episodes[3].task
    with pytest.raises(HarnessError, match=r"worker w1 died 3 times \(exit code -9\).* 1 of its"):
        rollout_in_processes(small, partial(players.Mortal, deadly), tmp_path / "run", workers=2, in_flight=1)
    done = RunDirectory.open(tmp_path / "run").committed()
    ids = small.ids(players.clerk.describe())
    assert [s.task for s, i in zip(small.episodes, ids, strict=True) if i not in done] == [deadly]


def test_a_stop_reaches_the_workers_and_a_resume_finishes(players, plan, whole, tmp_path):
    stop = Stop()
    progress = rollout_in_processes(
        plan, CLERK, tmp_path / "run", workers=2, stop=stop, on_progress=lambda p: stop.ask()
    )
    assert progress.done == len(ids_on_disk(tmp_path / "run"))
    before = signal.getsignal(signal.SIGINT)
    progress = rollout_in_processes(plan, CLERK, tmp_path / "run", workers=3, resume=True)
    assert progress.pending == 0
    assert signal.getsignal(signal.SIGINT) is before
    assert len(ids_on_disk(tmp_path / "run")) == len(plan.episodes)
    assert compacted(tmp_path / "run") == whole


def test_a_policy_that_cannot_be_sent_is_refused_before_anything_is_written(players, plan, tmp_path):
    with pytest.raises(UserError, match="cannot be sent to workers"):
        rollout_in_processes(plan, lambda: players.clerk, tmp_path / "run", workers=2)
    assert not (tmp_path / "run").exists()


def test_more_workers_than_episodes_are_not_started(players, tmp_path):
    small = RolloutPlan.make(RolloutRequest(("bookshelf",), templates=("price",), per_template=1, faults=("clean",)))
    rollout_in_processes(small, CLERK, tmp_path / "run", workers=8)
    assert len(RunDirectory.open(tmp_path / "run").segments()) == 1
