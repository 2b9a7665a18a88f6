"""Files that are wrong, given to the verbs that read them: one line with the place, exit code 2, no traceback."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
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


@pytest.mark.parametrize(
    "text",
    [
        '{"version": 1, "rules": [{"kind": "slow", "trigger": {"nth": 1}, "params": {"seconds": NaN}}]}',
        '{"version": 1, "rules": [{"kind": "slow", "trigger": {"nth": 1}, "params": {"seconds": -Infinity}}]}',
        '{"version": 1, "rules": [{"kind": "slow", "trigger": {"nth": 1}, "params": {"seconds": 1e999}}]}',
        '{"version": 1, "rules": [{"kind": "slow", "trigger": {"nth": 1}, "params": {"seconds": 1e300}}]}',
        '{"version": 1, "rules": [{"kind": "\\u001b[2Jslow", "trigger": {"nth": 1}}]}',
    ],
)
def test_a_plan_with_impossible_numbers_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(text)
    code, said_ = said(capsys, "rollout", "--out", tmp_path / "run", "--faults", plan, *ROLLOUT)
    assert code == 2, said_
    assert "plan.json" in said_
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "option",
    [
        ("--seed", "99999999999999999999999"),
        ("--per-template", "99999999999999999999"),
        ("--max-seconds", "inf"),
        ("--max-wall-seconds", "nan"),
    ],
)
def test_numbers_beyond_all_bounds_are_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, str]
) -> None:
    code, text = said(capsys, "rollout", "--out", tmp_path / "run", "--suite", "orders", *option)
    assert code == 2, text
    assert not (tmp_path / "run").exists()


def test_a_port_that_cannot_be_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "serve", "--port", "99999")[0] == 2


def test_a_result_never_takes_the_place_of_what_is_no_file(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for target in (pipe, tmp_path):
        code, text = said(capsys, "score", good, "--json", target)
        assert code == 2
        assert "no ordinary file" in text
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    code, text = said(capsys, "score", good, "--json", tmp_path / "none" / "x.json")
    assert code == 2
    assert "there is no folder" in text


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no /dev/full")
def test_output_that_cannot_be_written_is_said_in_one_line(good: Path) -> None:
    for verb in (["show", str(good)], ["tasks"], ["--help"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([sys.executable, "-m", "faultgym", *verb], stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == 2
        assert done.stderr.decode().splitlines() == ["error: the output cannot be written: No space left on device"]
