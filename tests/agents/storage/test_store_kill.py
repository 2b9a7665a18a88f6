"""Kill -9 in the middle of a run, at many points: nothing is lost, nothing counts twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.levels import rest

from faultgym.agents.storage.lines import encode
from faultgym.agents.storage.store import RunDirectory

pytestmark = pytest.mark.slow

EPISODES = 900
KILLS = 14
PLANNED = [f"episode-{n:04d}" for n in range(EPISODES)]

WRITE_OWED = """
import sys
from faultgym.agents.storage.store import RunDirectory
run = RunDirectory.open(sys.argv[1])
owed = sys.stdin.readline().split()
with run.writer(sys.argv[2], batch=int(sys.argv[3])) as writer:
    for episode_id in owed:
        n = int(episode_id[-4:])
        writer.append({"episode_id": episode_id, "n": n, "text": "x" * (n * 37 % 501)})
sys.stdin.read()
"""


def start(run: RunDirectory, name: str, batch: int, pending: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITE_OWED, str(run.path), name, str(batch)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert child.stdin is not None
    child.stdin.write(" ".join(pending).encode() + b"\n")
    child.stdin.flush()
    return child


def stored_bytes(run: RunDirectory) -> int:
    return sum(path.stat().st_size for path in run.segments())


def ids_on_disk(run: RunDirectory) -> list[str]:
    """All ids of whole lines, doubles included, segment by segment."""
    lines = [line for path in run.segments() for line in path.read_bytes().split(b"\n")[:-1]]
    return [line[15 : line.index(b'"', 15)].decode() for line in lines]


def finish(child: subprocess.Popen[bytes]) -> None:
    child.communicate()
    assert child.returncode == 0


def kill_at(child: subprocess.Popen[bytes], run: RunDirectory, size: int) -> None:
    """Kill the child as soon as the run has so many bytes; it waits for us where it is done before."""
    while stored_bytes(run) < size:
        assert child.poll() is None
    child.kill()
    child.communicate()


def pending(run: RunDirectory) -> list[str]:
    committed = run.committed()
    return [name for name in PLANNED if name not in committed]


@pytest.mark.parametrize("batch", [rest(1), 7])
def test_a_run_killed_again_and_again_ends_with_each_episode_once(tmp_path: Path, batch: int) -> None:
    run = RunDirectory.create(tmp_path / "run", {"episodes": EPISODES})
    for kill in range(KILLS):
        with run.lock():
            run.repair()
            # A slice of what is owed, so that every kill, however late, meets an unfinished run.
            child = start(run, "main", batch, pending(run)[: EPISODES // KILLS])
            kill_at(child, run, stored_bytes(run) + 1 + 499 * kill)
        if kill % 3 == 0:
            (segment,) = run.segments()
            with segment.open("rb+") as file:
                file.truncate(stored_bytes(run) - 3 - kill)
        on_disk = ids_on_disk(run)
        assert on_disk == PLANNED[: len(on_disk)]
        assert run.committed() == set(on_disk)
        assert len(on_disk) < EPISODES
    with run.lock():
        run.repair()
        finish(start(run, "main", batch, pending(run)))
    assert ids_on_disk(run) == PLANNED
    assert [record["episode_id"] for record in run.records()] == PLANNED


def test_workers_killed_together_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", {"episodes": EPISODES})
    for size in (1, 9_000, 30_000):
        with run.lock():
            run.repair()
            todo = pending(run)[:200]
            workers = [start(run, f"w{k}", 5, todo[k::2]) for k in range(2)]
            kill_at(workers[0], run, stored_bytes(run) + size)
            workers[1].kill()
            workers[1].communicate()
    with run.lock():
        run.repair()
        todo = pending(run)
        for worker in [start(run, f"w{k}", 5, todo[k::3]) for k in range(3)]:
            finish(worker)
    assert sorted(ids_on_disk(run)) == PLANNED
    assert run.compact(tmp_path / "all.jsonl") == EPISODES


def test_a_segment_cut_at_any_byte_of_its_last_line_loses_that_line_only(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", {})
    lines = [encode({"episode_id": f"e{n}", "text": 'é\n\\"' * n}) for n in range(4)]
    segment = run.path / "traces" / "segment-main-0.jsonl"
    kept = b"".join(lines[:-1])
    for cut in range(len(lines[-1])):
        segment.write_bytes(kept + lines[-1][:cut])
        assert run.committed() == {"e0", "e1", "e2"}
        assert len(list(run.records())) == 3
        with run.writer("main") as writer:
            writer.append({"episode_id": "next"})
        assert segment.read_bytes() == kept + b'{"episode_id":"next"}\n'


@pytest.mark.parametrize("length", [1, 65_535, 65_536, 65_537, 200_000])
def test_a_torn_tail_of_any_length_is_cut(tmp_path: Path, length: int) -> None:
    run = RunDirectory.create(tmp_path / "run", {})
    segment = run.path / "traces" / "segment-main-0.jsonl"
    for whole in (b"", b'{"episode_id":"a"}\n'):
        segment.write_bytes(whole + b"x" * length)
        with run.lock():
            (cut,) = run.repair()
        assert cut.kept.read_bytes() == b"x" * length
        assert segment.read_bytes() == whole
