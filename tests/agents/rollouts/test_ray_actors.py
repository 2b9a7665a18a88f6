"""A Ray cluster of several nodes on this machine: the same bytes as one process, also when a node is lost."""

import asyncio
import pickle
import signal
import subprocess
import sys
from functools import partial

import pytest
from helpers.run_folders import compacted, ids_on_disk

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts import ray_actors
from faultgym.agents.rollouts.engine import rollout
from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest
from faultgym.agents.rollouts.pool import EpisodeShare
from faultgym.agents.rollouts.ray_actors import Player, connected, rollout_on_ray
from faultgym.agents.rollouts.stop import Stop
from faultgym.agents.storage.lines import parse
from faultgym.agents.storage.store import RunDirectory
from faultgym.core.errors import HarnessError, UserError

pytestmark = pytest.mark.slow

CLERK = partial(policy_named, "helpers.players:clerk")
NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}
HELD = 10
"""From this index on tasks wait at the gate of `players.Held`."""


@pytest.fixture(scope="module")
def plan(players) -> RolloutPlan:
    return RolloutPlan.make(RolloutRequest(("bookshelf",), per_template=40, faults=("clean", "rough", "hostile")))


@pytest.fixture(scope="module")
def whole(players, plan, tmp_path_factory) -> bytes:
    """What one process stores for the plan."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    asyncio.run(rollout(plan, players.clerk, folder))
    return compacted(folder)


@pytest.fixture(scope="module")
def cluster(child_environment):
    """A head that plays too; its processes, which inherit the path, find what the tests share."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", child_environment["PYTHONPATH"])
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # 15 by default: beside other tests the actors would starve
        made = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
        patch.setenv("RAY_ADDRESS", made.address)
        try:
            yield made
        finally:
            made.shutdown()


def test_a_node_lost_in_the_middle_loses_and_doubles_nothing(cluster, players, plan, whole, tmp_path):
    gate, doomed = tmp_path / "gate", cluster.add_node(**NODE)
    early = sum(int(spec.task.rpartition("/")[2]) < HELD for spec in plan.episodes)
    nodes = []

    def on_progress(progress):
        if progress.done == early:  # all the others are under way, or wait for those
            nodes.append(len(cluster.list_all_nodes()))
            cluster.remove_node(doomed, allow_graceful=False)
            gate.touch()

    with connected() as count:
        assert count == 2
        policy = partial(players.Held, str(gate), HELD)
        progress = rollout_on_ray(plan, policy, tmp_path / "run", in_flight=16, on_progress=on_progress)
    assert nodes == [2]
    assert (progress.done, progress.pending) == (len(plan.episodes), 0)
    assert len(ids_on_disk(tmp_path / "run")) == len(plan.episodes)
    assert len(RunDirectory.open(tmp_path / "run").segments()) == 2
    assert compacted(tmp_path / "run") == whole


def test_a_stop_reaches_the_actors_and_a_resume_finishes(cluster, plan, whole, tmp_path):
    stop = Stop()
    progress = rollout_on_ray(
        plan, CLERK, tmp_path / "run", workers=2, in_flight=4, stop=stop, on_progress=lambda p: stop.ask()
    )
    assert 0 < progress.done == len(ids_on_disk(tmp_path / "run")) < len(plan.episodes)
    progress = rollout_on_ray(plan, CLERK, tmp_path / "run", workers=3, resume=True)
    assert progress.pending == 0
    assert len(ids_on_disk(tmp_path / "run")) == len(plan.episodes)
    assert compacted(tmp_path / "run") == whole


def test_an_actor_that_dies_again_and_again_is_given_up_and_a_resume_finishes(cluster, players, tmp_path):
    small = RolloutPlan.make(RolloutRequest(("bookshelf",), per_template=4, faults=("clean",)))
    policy = partial(players.Mortal, small.episodes[3].task)
    with pytest.raises(HarnessError, match=r"worker w0 died 3 times \(.*died unexpectedly.*\) without an episode done"):
        rollout_on_ray(small, policy, tmp_path / "run", workers=1, in_flight=1)
    pending = len(small.episodes) - len(RunDirectory.open(tmp_path / "run").committed())
    progress = rollout_on_ray(small, CLERK, tmp_path / "run", workers=1, resume=True)
    assert (progress.done, progress.pending) == (pending, 0)
    assert pending > 0
    assert len(ids_on_disk(tmp_path / "run")) == len(small.episodes)


def test_the_verb_keeps_the_signals_that_ray_would_take_for_itself(cluster, tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "faultgym", "rollout", "--engine", "ray", "--out", str(folder)]
    asked = ["--suite", "bookshelf", "--policy", "helpers.players:silent", "--per-template", "2", "--faults", "clean"]
    child = subprocess.Popen([*command, *asked], text=True, stderr=subprocess.PIPE)
    try:
        while not list(folder.glob("traces/segment-*")):
            assert child.poll() is None
        child.send_signal(signal.SIGTERM)
        assert child.stderr is not None
        assert "once more to stop at once" in child.stderr.readline()
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 130
    with RunDirectory.open(folder).lock():
        pass


def share(make_policy, plan, in_flight=4) -> EpisodeShare:
    return EpisodeShare("nowhere", "w0", plan.episodes, plan.limits, pickle.dumps(make_policy), in_flight)


def test_an_actor_that_nobody_listens_to_begins_no_further_episodes(plan, whole, monkeypatch):
    monkeypatch.setattr(ray_actors, "MOST_WAITING", 1)
    monkeypatch.setattr(ray_actors, "DELIVERY_BYTES", 1)

    async def play():
        player, lines, most = Player(share(CLERK, plan)), [], 0
        while True:
            delivery = await player.take()
            lines += [line for line, _ in delivery.done]
            for _ in range(50):
                await asyncio.sleep(0)
            most = max(most, len(player._done))
            if delivery.over:
                return lines, most

    lines, most = asyncio.run(play())
    assert b"".join(sorted(lines, key=lambda line: parse(line)["episode_id"])) == whole
    assert most <= 2 * 4


def unusable():
    raise UserError("there is no such model")


def test_what_an_actor_cannot_use_ends_the_run_with_its_words(plan):
    delivery = asyncio.run(Player(share(unusable, plan)).take())
    assert (delivery.done, delivery.refused, delivery.over) == ((), "there is no such model", True)


def test_without_a_cluster_the_address_is_named(plan, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError, match=r"the Ray cluster at RAY_ADDRESS=127\.0\.0\.1:1 is not to be had"):
        rollout_on_ray(plan, CLERK, tmp_path / "run")
    assert not (tmp_path / "run").exists()
