"""The store when all goes well, when two processes meet, and when the disk is full."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.agents.storage.lines import encode, episode_id_of, parse
from faultgym.agents.storage.store import RunDirectory
from faultgym.core.errors import HarnessError, UserError

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def record(n: int) -> dict[str, Any]:
    return {"episode_id": f"episode-{n:04d}", "n": n, "text": "x" * (n % 7 * 30)}


def new_run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path / "run", {"suite": "orders", "seeds": [1, 2]})


def fill(run: RunDirectory, name: str, numbers: range) -> None:
    with run.writer(name) as writer:
        for n in numbers:
            writer.append(record(n))


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@settings(deadline=None, max_examples=examples(100))
@given(st.text(min_size=1), st.dictionaries(st.text(), JSON_VALUES, max_size=5))
def test_a_line_reads_back_as_the_record_that_was_encoded(episode_id: str, rest: dict[str, Any]) -> None:
    written = {**rest, "episode_id": episode_id}
    line = encode(written)
    assert parse(line) == written
    assert episode_id_of(line) == episode_id
    assert line.count(b"\n") == 1
    assert line.startswith(b'{"episode_id":')


@settings(deadline=None, max_examples=examples(100))
@given(st.text(st.characters(exclude_categories=()), max_size=20))
def test_any_text_in_a_record_can_be_stored(text: str) -> None:
    stored = parse(encode({"episode_id": "e", "text": text, text: 1}))
    assert stored["text"] if text else stored["text"] == ""
    assert len(stored) == 3 or text in {"text", "episode_id"}


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("a\ud800b", "a\ufffdb"),
        ("\ud83d\ude00", "\U0001f600"),
        (float("nan"), None),
        (float("inf"), None),
        (2**64, "18446744073709551616"),
        ({1: "a"}, {"1": "a"}),
        ({"\ud800": 1, "\ud801": 2}, {"\ufffd": 1, "\ufffd\ufffd": 2}),  # noqa: F601, two keys
    ],
)
def test_what_json_cannot_hold_is_stored_as_the_nearest_it_can(value: object, stored: object) -> None:
    assert parse(encode({"episode_id": "e", "value": value}))["value"] == stored


def test_a_record_nested_too_deep_is_cut_and_not_lost() -> None:
    line = encode({"episode_id": "e", "value": nested(800), "after": 1})
    assert parse(line)["after"] == 1
    assert b"[cut: nested deeper than 200 levels]" in line


@pytest.mark.parametrize(
    "bad",
    [{}, {"episode_id": 7}, {"episode_id": ""}, {"episode_id": "\ud800"}, {"episode_id": "e", "v": {1}}],
)
def test_a_record_that_cannot_be_stored_is_refused_and_harms_no_other(tmp_path: Path, bad: dict[str, Any]) -> None:
    run = new_run(tmp_path)
    with run.writer("main") as writer:
        writer.append(record(1))
        with pytest.raises(HarnessError):
            writer.append(bad)
        writer.append(record(2))
    assert list(run.records()) == [record(1), record(2)]


def test_the_store_gives_back_what_was_appended_in_order(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    fill(run, "main", range(600))
    assert list(run.records()) == [record(n) for n in range(600)]
    assert run.committed() == {record(n)["episode_id"] for n in range(600)}


def test_a_record_is_readable_as_soon_as_it_was_appended(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    with run.writer("main") as writer:
        writer.append(record(1))
        assert list(run.records()) == [record(1)]


def test_the_plan_reads_back_as_it_was_given(tmp_path: Path) -> None:
    plan = {"z": 1, "a": [1.5, None, "é"]}
    RunDirectory.create(tmp_path / "run", plan)
    assert RunDirectory.open(tmp_path / "run").plan == plan
    assert list(RunDirectory.open(tmp_path / "run").plan) == ["z", "a"]


def test_a_folder_with_a_run_is_not_used_for_another(tmp_path: Path) -> None:
    new_run(tmp_path)
    with pytest.raises(UserError, match="already holds a run; resume it, or choose another folder"):
        new_run(tmp_path)


def test_a_folder_with_other_files_is_not_used_and_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match=r"holds thesis\.tex; choose another folder"):
        RunDirectory.create(tmp_path, {})
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("x")
    with pytest.raises(UserError, match="is a file"):
        new_run(tmp_path)


def test_what_a_killed_create_left_behind_does_not_block_the_next(tmp_path: Path) -> None:
    (tmp_path / "run" / "traces").mkdir(parents=True)
    (tmp_path / "run" / "lock").write_text("process 1 on gone\n")
    (tmp_path / "run" / ".plan.json.tmp").write_text('{"half')
    assert RunDirectory.open(new_run(tmp_path).path).plan["suite"] == "orders"


def test_two_writers_of_one_name_get_two_segments(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    with run.writer("main") as first, run.writer("main") as second:
        first.append(record(1))
        second.append(record(2))
        second.append(record(1))
    assert [path.name for path in run.segments()] == ["segment-main-0.jsonl", "segment-main-1.jsonl"]
    assert list(run.records()) == [record(1), record(2)]
    assert run.compact(tmp_path / "all.jsonl") == 2


def test_a_reopened_writer_goes_on_with_its_segment(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    fill(run, "main", range(3))
    fill(run, "main", range(3, 5))
    assert len(run.segments()) == 1
    assert list(run.records()) == [record(n) for n in range(5)]


def test_the_first_record_of_an_episode_counts(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    with run.writer("main") as writer:
        writer.append({"episode_id": "e", "take": 1})
        writer.append({"episode_id": "e", "take": 2})
    assert list(run.records()) == [{"episode_id": "e", "take": 1}]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_a_compacted_run_is_the_same_bytes_whatever_the_workers(tmp_path: Path, workers: int) -> None:
    run = new_run(tmp_path)
    for worker in reversed(range(workers)):
        fill(run, f"w{worker}", range(worker, 40, workers))
    assert run.compact(tmp_path / "all.jsonl") == 40
    assert (tmp_path / "all.jsonl").read_bytes() == b"".join(encode(record(n)) for n in range(40))


def test_compacting_leaves_the_target_alone_when_a_record_is_damaged(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    fill(run, "main", range(3))
    run.compact(tmp_path / "all.jsonl")
    before = (tmp_path / "all.jsonl").read_bytes()
    (run.path / "traces" / "segment-other-0.jsonl").write_text("not json\n")
    with pytest.raises(UserError, match=r"segment-other-0\.jsonl:1"):
        run.compact(tmp_path / "all.jsonl")
    assert (tmp_path / "all.jsonl").read_bytes() == before
    assert run.compact(tmp_path / "all.jsonl", on_error=lambda _: None) == 3


def test_a_closed_writer_takes_no_more(tmp_path: Path) -> None:
    writer = new_run(tmp_path).writer("main")
    writer.close()
    writer.close()
    with pytest.raises(HarnessError, match="is closed"):
        writer.append(record(1))


@pytest.mark.parametrize("name", ["", "a/b", "../a", "a b", "é", "a\n", "x" * 101])
def test_a_writer_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(HarnessError, match="not a writer"):
        new_run(tmp_path).writer(name)


def test_repair_cuts_the_truncated_tail_and_keeps_its_bytes(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    fill(run, "main", range(3))
    (segment,) = run.segments()
    whole = segment.read_bytes()
    for tail in (b'{"episode_id":"episode-0003","te', b"\0" * 100_000):
        segment.write_bytes(whole + tail)
        with run.lock():
            (cut,) = run.repair()
            assert run.repair() == []
        assert (cut.segment, cut.offset, cut.length) == (segment, len(whole), len(tail))
        assert cut.kept.read_bytes() == tail
        assert segment.read_bytes() == whole
    assert len(list((run.path / "traces" / "truncated").iterdir())) == 2


def test_repair_needs_the_lock(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    with pytest.raises(HarnessError, match="lock"):
        run.repair()


def test_repair_does_not_cut_under_a_living_writer(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    with run.writer("w0"), run.lock(), pytest.raises(UserError, match="still being written"):
        run.repair()


HOLD_LOCK = """
import sys
from faultgym.agents.storage.store import RunDirectory
with RunDirectory.open(sys.argv[1]).lock():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_kept_off_and_told_who_holds_the_run(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    command = [sys.executable, "-c", HOLD_LOCK, str(run.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(UserError, match=rf"in use by process {holder.pid} on "), run.lock():
            pass
        holder.kill()
        holder.wait()
        with run.lock():
            assert run.repair() == []


def test_the_lock_is_free_again_after_an_error_inside_it(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    with pytest.raises(KeyError), run.lock():
        raise KeyError
    with run.lock():
        assert run.repair() == []


FILL_DISK = """
import json, resource, sys
from faultgym.agents.storage.store import RunDirectory
from faultgym.core.errors import UserError
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
writer = RunDirectory.open(sys.argv[1]).writer("main", batch=int(sys.argv[3]))
done, errors = 0, []
for n in range(10):
    try:
        writer.append({"episode_id": f"e{n}", "text": "x" * 100})
        done += 1
    except UserError as error:
        errors.append(str(error))
try:
    writer.sync()
except UserError as error:
    errors.append(str(error))
writer.close()
print(json.dumps([done, errors]))
"""


@pytest.mark.parametrize("batch", [1, 3, 256])
@pytest.mark.parametrize("limit", [1, 400, 507, 508, 509, 1000])
def test_a_full_disk_keeps_whole_records_and_no_part_of_one(tmp_path: Path, limit: int, batch: int) -> None:
    run = new_run(tmp_path)
    command = [sys.executable, "-c", FILL_DISK, str(run.path), str(limit), str(batch)]
    done, errors = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    line = len(encode({"episode_id": "e0", "text": "x" * 100}))
    (segment,) = run.segments()
    assert done == limit // line
    assert segment.stat().st_size == done * line
    assert run.committed() == {f"e{n}" for n in range(done)}
    assert len(errors) == 11 - done
    assert all("disk full" in error and "earlier records are intact" in error for error in errors)
    with run.writer("main") as writer:
        writer.append(record(1))
    assert len(list(run.records())) == done + 1
