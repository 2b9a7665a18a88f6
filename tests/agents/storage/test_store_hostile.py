"""Files that the store did not write, or that something damaged since."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.agents.storage.lines import MAX_LINE
from faultgym.agents.storage.store import RunDirectory
from faultgym.core.errors import FaultgymError, TraceError

BEFORE, AFTER = {"episode_id": "before"}, {"episode_id": "after"}

DAMAGED = {
    "binary": (b"\x89PNG\x0d\x1a\xff\xfe\x00", "not valid JSON"),
    "not UTF-8": (b'{"episode_id":"caf\xe9"}', "not valid JSON|utf-8"),
    "nested": (b'{"episode_id":"e","v":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "depth limit|recursion"),
    "an array": (b"[1,2]", "a JSON object is expected, not list"),
    "a number": (b"7", "a JSON object is expected, not int"),
    "no id": (b'{"episode":"e"}', "no episode_id"),
    "an id that is a number": (b'{"episode_id":7}', "no episode_id"),
    "an empty id": (b'{"episode_id":""}', "no episode_id"),
    "zero-filled blocks": (b'{"episode_id":"e","v":"' + b"\0" * 512 + b'"}', "not valid JSON"),
    "two records in one": (b'{"episode_id":"e","v":{"episode_id":"f"}', "not valid JSON"),
    "NaN": (b'{"episode_id":"e","v":NaN}', "not valid JSON"),
}


def new_run(tmp_path: Path) -> tuple[RunDirectory, Path]:
    run = RunDirectory.create(tmp_path / "run", {})
    return run, run.path / "traces" / "segment-main-0.jsonl"


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_line_is_named_with_file_line_and_reason(tmp_path: Path, name: str) -> None:
    line, reason = DAMAGED[name]
    run, segment = new_run(tmp_path)
    segment.write_bytes(b'{"episode_id":"before"}\n' + line + b'\n{"episode_id":"after"}\n')
    records = run.records()
    assert next(records) == BEFORE
    with pytest.raises(TraceError, match=reason) as caught:
        next(records)
    assert str(caught.value).startswith(f"{segment}:2: ")
    assert "delete that line and resume the run" in str(caught.value)


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_line_costs_that_line_only_when_errors_are_collected(tmp_path: Path, name: str) -> None:
    run, segment = new_run(tmp_path)
    segment.write_bytes(b'{"episode_id":"before"}\n' + DAMAGED[name][0] + b'\n{"episode_id":"after"}\n')
    errors: list[TraceError] = []
    assert list(run.records(errors.append)) == [BEFORE, AFTER]
    assert len(errors) == 1


@pytest.mark.parametrize("name", sorted(set(DAMAGED) - {"nested", "NaN", "two records in one"}))
def test_a_line_that_is_visibly_damaged_is_owed_again(tmp_path: Path, name: str) -> None:
    run, segment = new_run(tmp_path)
    segment.write_bytes(b'{"episode_id":"before"}\n' + DAMAGED[name][0] + b'\n{"episode_id":"after"}\n')
    with pytest.raises(TraceError, match=re.escape(f"{segment}:2: ")):
        run.committed()
    errors: list[TraceError] = []
    assert run.committed(errors.append) == {"before", "after"}
    assert len(errors) == 1


def test_a_line_beyond_the_limit_is_refused_and_the_next_one_read(tmp_path: Path) -> None:
    run, segment = new_run(tmp_path)
    with segment.open("wb") as file:
        file.truncate(MAX_LINE + 5)
        file.seek(0, os.SEEK_END)
        file.write(b'\n{"episode_id":"after"}\n')
    with pytest.raises(TraceError, match=r"jsonl:1: longer than 100,000,000 bytes"):
        run.committed()
    assert list(run.records(lambda _: None)) == [AFTER]
    assert run.compact(tmp_path / "all.jsonl", lambda _: None) == 1
    assert (tmp_path / "all.jsonl").read_bytes() == b'{"episode_id":"after"}\n'


def test_a_folder_in_place_of_a_segment_is_refused(tmp_path: Path) -> None:
    run, segment = new_run(tmp_path)
    segment.mkdir()
    for read in (run.committed, lambda: list(run.records()), lambda: run.writer("main")):
        with pytest.raises(TraceError, match=r"segment-main-0\.jsonl:1: cannot be read .*; move it"):
            read()
    assert list(run.records(lambda _: None)) == []


def test_a_named_pipe_in_place_of_a_segment_does_not_hang(tmp_path: Path) -> None:
    run, segment = new_run(tmp_path)
    os.mkfifo(segment)
    for read in (run.committed, lambda: run.writer("main")):
        with pytest.raises(TraceError, match="not a regular file"):
            read()


def test_a_segment_that_is_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    run, segment = new_run(tmp_path)
    segment.symlink_to(tmp_path / "gone")
    with pytest.raises(TraceError, match="No such file"):
        list(run.records())


def test_blank_lines_and_windows_line_ends_are_no_damage(tmp_path: Path) -> None:
    run, segment = new_run(tmp_path)
    segment.write_bytes(b'\n{ "n": 1, "episode_id": "before" }\r\n\r\n{"episode_id":"after"}\r\n')
    assert run.committed() == {"before", "after"}
    assert [found["episode_id"] for found in run.records()] == ["before", "after"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"plan\.json:1: not valid JSON"),
        (b'{\n  "a": 1,\n  oops\n}', r"plan\.json:3: not valid JSON .*repair that line"),
        (b"\xff\xfe\x00", r"plan\.json:1: not valid JSON"),
        (b"[]", "a JSON object is expected, not list"),
        (b"[" * 5000, "depth limit|recursion|not valid JSON"),
    ],
)
def test_a_damaged_plan_is_named_with_its_line(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "plan.json").write_bytes(content)
    with pytest.raises(TraceError, match=reason):
        RunDirectory.open(tmp_path)


def test_a_folder_without_a_plan_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"no run in .*plan\.json does not exist; name a run folder"):
        RunDirectory.open(tmp_path / "nowhere")


def test_a_folder_in_place_of_the_plan_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.json").mkdir()
    with pytest.raises(TraceError, match="Is a directory"):
        RunDirectory.open(tmp_path)


def test_an_oversized_plan_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "plan.json").open("wb") as file:
        file.truncate(100_000_001)
    with pytest.raises(TraceError, match="not a plan"):
        RunDirectory.open(tmp_path)


FRAGMENTS = st.sampled_from([b'{"episode_id":"', b'"', b"}", b"\n", b"\\", b"a"])


@settings(deadline=None, max_examples=examples(150))
@given(st.binary(max_size=200) | st.lists(FRAGMENTS).map(b"".join))
def test_no_bytes_make_reading_fail_in_any_other_way(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    run, segment = new_run(tmp_path_factory.mktemp("any"))
    segment.write_bytes(content)
    try:
        found = {record["episode_id"] for record in run.records()}
    except FaultgymError:
        found = {record["episode_id"] for record in run.records(lambda _: None)}
    assert found <= run.committed(lambda _: None)
    with run.writer("main") as writer:
        writer.append(AFTER)
    assert "after" in {record["episode_id"] for record in run.records(lambda _: None)}
