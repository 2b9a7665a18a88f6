"""A real `faultgym rollout`, killed and interrupted at many points: no trace is lost, none is there twice."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.levels import rest
from helpers.players import HOLD
from helpers.run_folders import compacted, ids_on_disk

from faultgym.agents.storage.store import RunDirectory

pytestmark = pytest.mark.slow

KILLS = 8
DEADLINE = 60.0
PLAN = ["--suite", "bookshelf", "--policy", "helpers.players:slow_clerk", "--per-template", "60", "--faults", "clean"]
PLAN += ["--faults", "rough", "--faults", "hostile"]
EPISODES = 2 * 60 * 3
HELD = ["helpers.players:held_clerk" if word == "helpers.players:slow_clerk" else word for word in PLAN]
"""The same, for a run that cannot end before it is stopped."""


@pytest.fixture(scope="module")
def start(child_environment):
    """Starts a `faultgym rollout`; none outlives the tests, however these end."""
    children: list[subprocess.Popen] = []

    def begin(out: Path, *more: str, plan=PLAN, **environment: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "faultgym", "rollout", "--out", str(out), *plan, *more]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        own_group = {"start_new_session": True}
        children.append(
            subprocess.Popen(command, env={**child_environment, **environment}, text=True, **pipes, **own_group)
        )
        return children[-1]

    yield begin
    for child in children:
        if child.poll() is None:
            child.kill()
            child.communicate()


def resume(folder: Path) -> list[str]:
    """What to add when a run is there already."""
    return ["--resume"] if (folder / "plan.json").exists() else []


def finish(child: subprocess.Popen) -> str:
    out, err = child.communicate(timeout=DEADLINE)
    assert child.returncode == 0, err
    return out + err


def stored_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "traces").glob("segment-*.jsonl"))


def once(condition, child: subprocess.Popen) -> bool:
    """Wait until the condition holds; False when the process ended before."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end
        if child.poll() is not None:
            return False
    return True


def kill_at(child: subprocess.Popen, folder: Path, size: int) -> None:
    """Kill the process as soon as the run holds so many bytes, or has ended by itself."""
    once(lambda: stored_bytes(folder) >= size, child)
    child.kill()
    child.communicate()


@pytest.fixture(scope="module")
def whole(start, tmp_path_factory) -> bytes:
    """What a run stores that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    said = finish(start(folder))
    assert f"{EPISODES} episodes" in said
    return compacted(folder)


@pytest.mark.parametrize(("workers", "kills"), [("2", 3), rest("1", KILLS), rest("2", KILLS)])
def test_a_run_killed_again_and_again_ends_as_one_that_nobody_disturbed(start, whole, tmp_path, workers, kills):
    folder, more = tmp_path / "run", ["--workers", workers]
    for kill in range(kills):
        size = stored_bytes(folder)
        child = start(folder, *more, *resume(folder))
        kill_at(child, folder, size + 1 + 9001 * kill)
        found = ids_on_disk(folder)
        assert len(found) == len(set(found))
    said = finish(start(folder, *more, *resume(folder)))
    found = ids_on_disk(folder)
    assert len(found) == len(set(found)) == EPISODES
    assert "faultgym score" in said
    assert compacted(folder) == whole


def test_a_run_killed_before_its_first_trace_can_be_started_or_resumed(start, whole, tmp_path):
    folder = tmp_path / "run"
    for what in (folder, folder / "plan.json", folder / "traces"):
        child = start(folder, *resume(folder))
        once(what.exists, child)
        child.kill()
        child.communicate()
    finish(start(folder, *resume(folder)))
    assert compacted(folder) == whole


@pytest.mark.parametrize(("number", "workers"), [rest(signal.SIGINT, "1"), (signal.SIGTERM, "1"), (signal.SIGINT, "2")])
def test_an_interrupt_ends_cleanly_and_says_how_to_resume(start, whole, tmp_path, number, workers):
    folder, more = tmp_path / "run", ["--workers", workers]
    child = start(folder, *more, plan=HELD, **{HOLD: "1"})
    assert once(lambda: stored_bytes(folder) > 0, child)
    child.send_signal(number)
    _, err = child.communicate(timeout=DEADLINE)
    assert child.returncode == 130
    assert f"faultgym rollout --out {folder} --resume" in err
    assert "Traceback" not in err
    done = len(ids_on_disk(folder))
    assert 0 < done < EPISODES
    # The folder alone is enough: what was asked for stands in its plan, the policy too.
    said = finish(start(folder, "--resume", *more, plan=[]))
    assert f"{EPISODES} episodes, {EPISODES - done} of them new" in said
    assert compacted(folder) == whole


def test_a_terminal_that_interrupts_all_processes_at_once_gets_one_clean_end(start, tmp_path):
    folder = tmp_path / "run"
    child = start(folder, "--workers", "2", plan=HELD, **{HOLD: "1"})
    assert once(lambda: stored_bytes(folder) > 0, child)
    os.killpg(child.pid, signal.SIGINT)
    _, err = child.communicate(timeout=DEADLINE)
    assert child.returncode == 130
    assert "Traceback" not in err
    assert len(ids_on_disk(folder)) == len(set(ids_on_disk(folder))) > 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_interrupt_ends_at_once(start, tmp_path, workers):
    plan = ["--suite", "bookshelf", "--policy", "helpers.players:silent"]
    child = start(tmp_path / "run", "--workers", workers, plan=plan)
    segments = tmp_path / "run" / "traces"
    assert once(lambda: len(list(segments.glob("segment-*"))) == int(workers), child)
    child.send_signal(signal.SIGINT)
    assert child.stderr is not None
    assert "once more to stop at once" in child.stderr.readline()
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=DEADLINE)
    assert child.returncode == 130
    with RunDirectory.open(tmp_path / "run").lock():
        pass
