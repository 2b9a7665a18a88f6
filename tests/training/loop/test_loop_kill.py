"""A loop killed with SIGKILL at ten points ends as one that nobody disturbed."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from helpers import loops
from helpers.levels import rest

from faultgym.agents.storage.store import exclusive

pytestmark = pytest.mark.slow

KILLS = 10
ROUNDS = 2
DEADLINE = 600.0
NAMES = "rollout score collect data sft sft-model sft-rollout preferences pref model eval".split()
STAGES = [(n, name) for n in range(1, ROUNDS + 1) for name in NAMES]
COMPARED = ("decision.json", "plan.json", "README.md")


@pytest.fixture
def start(forked):
    """Starts a process that works on a loop."""
    return lambda folder, asked: forked(loops.go, folder, asked)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return loops.make_model(tmp_path_factory.mktemp("model") / "random")


def on_disk(folder: Path) -> list[tuple[str, int]]:
    """What a watcher sees of the work that is under way: names and sizes."""
    found = []
    for work in folder.glob("rounds/*/.*.work"):
        for place, _, names in os.walk(work):
            for name in names:
                try:
                    found.append((f"{place}/{name}", os.stat(f"{place}/{name}").st_size))
                except OSError:  # it has just been renamed
                    continue
    return sorted(found)


def reached(folder: Path) -> int:
    """The last stage that has begun, counted over all rounds."""
    begun = [
        at
        for at, (number, name) in enumerate(STAGES)
        if any((folder / "rounds" / f"{number:02d}" / form).exists() for form in (name, f".{name}.work"))
    ]
    return max(begun, default=-1)


def kill_at(child, folder: Path, stage: int, changes: int) -> None:
    """Kill the process when it has begun a stage, and so many changes on the disk after that."""
    end, seen = time.monotonic() + DEADLINE, on_disk(folder)
    while changes > 0 or reached(folder) < stage:
        assert time.monotonic() < end
        assert child.is_alive(), log(folder)
        now = on_disk(folder)
        changes -= now != seen and reached(folder) >= stage
        seen = now
        child.join(0.01)
    child.kill()
    child.join()
    assert child.exitcode == -signal.SIGKILL


def outcome(folder: Path) -> dict[str, bytes]:
    """The registry, and what each round decided and said."""
    rounds = [folder / "rounds" / f"{n:02d}" / name for n in range(1, ROUNDS + 1) for name in COMPARED]
    return {str(path.relative_to(folder)): path.read_bytes() for path in (folder / "registry.json", *rounds)}


def finish(child, folder: Path) -> None:
    child.join(DEADLINE)
    assert child.exitcode == 0, log(folder)


def log(folder: Path) -> str:
    """What the processes that worked on it have said."""
    return (folder.parent / f"{folder.name}.log").read_text()


@pytest.mark.parametrize("kills", [2, rest(KILLS)])
def test_a_loop_killed_again_and_again_ends_in_the_same_registry_and_decisions(start, model, tmp_path, kills):
    asked = loops.config(model, rounds=ROUNDS)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start(whole, asked), whole)
    drawn = random.Random(5)
    for stage in sorted(drawn.sample(range(len(STAGES)), kills)):
        kill_at(start(killed, asked), killed, stage, drawn.randint(0, 3))
    finish(start(killed, asked), killed)
    assert outcome(killed) == outcome(whole)
    assert "damaged" not in log(killed)
    assert not list(killed.rglob(".*.work"))
    with exclusive(killed):
        pass
