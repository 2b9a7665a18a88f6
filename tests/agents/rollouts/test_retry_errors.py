"""Episodes that the harness broke are run again when asked for, and nothing is lost or there twice."""

import asyncio
import errno
from functools import partial

import pytest
from helpers.run_folders import compacted, ids_on_disk
from helpers.served import no_sleep

from faultgym.agents.rollouts.engine import broken_by_harness, rollout
from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest
from faultgym.agents.rollouts.workers import rollout_in_processes
from faultgym.agents.storage import quarantine as quarantine_module
from faultgym.agents.storage.quarantine import quarantine
from faultgym.agents.storage.store import RunDirectory
from faultgym.cli.main import main
from faultgym.core.errors import HarnessError, UserError

PLAN = ("bookshelf",)


@pytest.fixture(scope="module")
def plan(players) -> RolloutPlan:
    return RolloutPlan.make(RolloutRequest(PLAN, per_template=6, faults=("clean", "rough")))


def play(plan, policy, folder, **more):
    return asyncio.run(rollout(plan, policy, folder, sleep=no_sleep, **more))


@pytest.fixture
def broken(players, plan, tmp_path):
    """A run half of whose episodes ended in harness errors, and how many."""
    progress = play(plan, players.Trouble(), tmp_path / "run")
    assert 0 < progress.failed < len(plan.episodes)
    return tmp_path / "run", progress.failed


@pytest.fixture
def whole(players, plan, tmp_path) -> bytes:
    """What the same policy stores when nothing breaks."""
    play(plan, players.Trouble(times=0), tmp_path / "whole")
    return compacted(tmp_path / "whole")


def kept(folder) -> list[bytes]:
    return [line for path in (folder / "traces" / "quarantine").iterdir() for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_resume_that_retries_errors_ends_as_if_nothing_had_broken(players, plan, broken, whole, workers):
    folder, failed = broken
    if workers == 1:
        progress = play(plan, players.Trouble(times=0), folder, resume=True, retry_errors=True)
    else:
        policy = partial(players.Trouble, times=0)
        progress = rollout_in_processes(plan, policy, folder, workers=2, resume=True, retry_errors=True)
    assert (progress.before, progress.done, progress.failed) == (len(plan.episodes) - failed, failed, 0)
    assert len(ids_on_disk(folder)) == len(plan.episodes)
    assert compacted(folder) == whole
    assert len(kept(folder)) == failed


def test_a_plain_resume_leaves_errors_as_they_are(players, plan, broken):
    folder, _ = broken
    before = compacted(folder)
    assert play(plan, players.Trouble(times=0), folder, resume=True).done == 0
    assert compacted(folder) == before


def test_a_retry_that_is_cut_short_owes_the_rest_to_any_resume(players, plan, broken, whole):
    folder, failed = broken
    run = RunDirectory.open(folder)
    with run.lock():
        assert quarantine(run, broken_by_harness) == failed
    assert len(ids_on_disk(folder)) == len(plan.episodes) - failed
    assert play(plan, players.Trouble(times=0), folder, resume=True).done == failed
    assert compacted(folder) == whole


def test_what_fails_again_is_on_record_again(players, plan, broken):
    folder, failed = broken
    before = compacted(folder)
    progress = play(plan, players.Trouble(), folder, resume=True, retry_errors=True)
    assert progress.failed == failed
    assert compacted(folder) == before


def test_a_disk_that_fails_meanwhile_leaves_every_record_in_its_place(players, plan, broken, whole, monkeypatch):
    folder, _ = broken
    before = compacted(folder)

    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(quarantine_module, "sync_folder", full)
        with pytest.raises(UserError, match="disk full"):
            play(plan, players.Trouble(times=0), folder, resume=True, retry_errors=True)
    assert compacted(folder) == before
    play(plan, players.Trouble(times=0), folder, resume=True, retry_errors=True)
    assert compacted(folder) == whole


def test_setting_aside_needs_the_lock(broken):
    with pytest.raises(HarnessError, match=r"quarantine\(\) needs the run's lock"):
        quarantine(RunDirectory.open(broken[0]), broken_by_harness)


def test_the_verb_says_how_to_retry_and_retries(players, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(players, "troubled", players.Trouble(error=KeyError("price")))
    asked = ["rollout", "--out", str(tmp_path / "run")]
    plan = ["--suite", "bookshelf", "--policy", "helpers.players:troubled", "--per-template", "2"]
    assert main([*asked, *plan]) == 1
    assert f"faultgym rollout --out {tmp_path / 'run'} --resume --retry-errors" in capsys.readouterr().err
    monkeypatch.setattr(players, "troubled", players.Trouble(times=0))
    assert main([*asked, "--resume", "--retry-errors"]) == 0
    judged = [record["verdict"]["success"] for record in RunDirectory.open(tmp_path / "run").records()]
    assert f"4 episodes, 2 of them new, success {sum(judged) / 4:.1%};" in capsys.readouterr().out
    assert main([*asked, "--retry-errors"]) == 2
    assert "--retry-errors goes with --resume" in capsys.readouterr().err
