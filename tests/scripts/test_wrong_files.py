"""Files that are wrong, given to the verbs that read them: one line with the place, exit code 2, no traceback."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from faultgym.cli.main import main

ROLLOUT = ["--suite", "orders", "--template", "cancel_order", "--split", "train", "--per-template", "2"]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "good"
    assert main(["rollout", "--out", str(folder), "--policy", "expert", "--faults", "rough", *ROLLOUT]) == 0
    return folder


def spoiled(good: Path, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of the run whose second trace was changed."""
    shutil.copytree(good, folder)
    (segment,) = (folder / "traces").glob("*.jsonl")
    first, second = segment.read_bytes().splitlines()
    record = orjson.loads(second)
    change(record)
    segment.write_bytes(first + b"\n" + orjson.dumps(record) + b"\n")
    return folder


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    capsys.readouterr()
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert "Traceback" not in text
    assert not any(c in text for c in "\x1b\x07\u202e")
    return code, text


NOWHERE = {
    **dict.fromkeys(("kind", "contract", "channel", "tool", "route"), ""),
    "fault": 0,
    "write": False,
    "tables": [],
    "step": 99,
    "call": 99,
    "at": 0.0,
    "detail": {},
}
WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "schema_version": lambda r: r.update(schema_version=99),
    "steps": lambda r: r.update(steps=5),
    "events.0": lambda r: r["events"].insert(0, NOWHERE),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_trace_is_refused_with_file_and_line(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    run = spoiled(good, tmp_path / "run", WRONG[what])
    for verb in (("replay", "--all"), ("show",), ("export", "--format", "openai", "--out", tmp_path / "out.jsonl")):
        code, text = said(capsys, verb[0], run, *verb[1:])
        assert code == 2, text
        assert ".jsonl:2: trace " in text
        assert what in text
    code, text = said(capsys, "score", run)
    assert code == 0
    assert "left out" in text
    assert ".jsonl:2: trace " in text


GONE: dict[str, Callable[[dict[str, Any]], object]] = {
    "no suite 'gone": lambda r: r["task"].update(suite="gone", id="gone/x/train/0"),
    "no template 'gone'": lambda r: r["task"].update(template="gone", id="orders/gone/train/0"),
    "schedule of faults": lambda r: r["schedule"][0].update(kind="gone_kind"),
}


@pytest.mark.parametrize("what", GONE)
def test_what_no_longer_exists_is_named_with_file_and_line(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    run = spoiled(good, tmp_path / "run", GONE[what])
    code, text = said(capsys, "score", run)
    assert code == 2
    assert ".jsonl:2: " in text
    assert what in text or "no template" in text
    code, text = said(capsys, "replay", run, "--all")
    assert code == 1
    assert "1 proven, 1 not" in text


def test_escape_sequences_in_a_trace_never_reach_the_terminal(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b[2J\x1b]0;owned\x07\u202e[bold]x[/bold]"

    def change(record: dict[str, Any]) -> None:
        record["stop"] = evil
        record["policy"]["name"] = evil
        for message in record["messages"]:
            message["content"] = evil

    run = spoiled(good, tmp_path / "run", change)
    name = orjson.loads((run / "traces" / "segment-main-0.jsonl").read_bytes().splitlines()[1])["episode_id"]
    for verb in (("show", run), ("show", run, name), ("replay", run, "--all"), ("score", run)):
        said(capsys, *verb)


def test_a_file_is_no_run_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(b"\xff\xfe")
    code, text = said(capsys, "score", file)
    assert code == 2
    assert "is a file" in text
