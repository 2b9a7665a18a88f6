"""The verbs that tell a person what happened: tasks, demo and show."""

from __future__ import annotations

from pathlib import Path

import pytest

from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.cli.main import main
from faultgym.envs.episode import Episode
from faultgym.envs.messages.turn import Turn
from faultgym.envs.registry import task_by_id


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "demo"
    assert main(["demo", "--out", str(out), "--per-template", "1"]) == 0
    return out


def test_the_demo_scores_every_agent_and_shows_two_episodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path / "d"), "--per-template", "1"]) == 0
    said = capsys.readouterr().out
    for text in ("expert", "repeated_broken_call", "A recovered episode", "botched", "faultgym show"):
        assert text in said


def test_runs_that_only_have_the_names_of_a_demos_are_not_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "expert").mkdir()
    (tmp_path / "expert" / "plan.json").write_text("mine")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "runs that are not a demo's (expert)" in capsys.readouterr().err
    assert (tmp_path / "expert" / "plan.json").read_text() == "mine"


def test_the_demo_replaces_only_what_a_demo_wrote(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = demo / "notes.txt"
    kept.write_text("mine")
    assert main(["demo", "--out", str(demo)]) == 2
    assert kept.read_text() == "mine"
    assert "notes.txt" in capsys.readouterr().err
    kept.unlink()


def test_show_lists_failures_and_prints_one(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(demo / "repeater"), "--failed", "--most", "3"]) == 0
    assert "more: --most" in capsys.readouterr().out
    record = next(RunDirectory.open(demo / "repeater").records())
    assert main(["show", str(demo / "repeater"), record["episode_id"]]) == 0
    assert "turn 1" in capsys.readouterr().out


def test_show_names_what_it_does_not_find(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(demo / "expert"), "nothing"]) == 2
    assert "nothing" in capsys.readouterr().err


def test_show_prints_a_typed_ending_readably(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "run")
    one = ("--template", "order_status", "--per-template", "1", "--faults", "clean")
    assert main(["rollout", *one, "--answers", "typed", "--out", out]) == 0
    record = next(RunDirectory.open(tmp_path / "run").records())
    capsys.readouterr()
    assert main(["show", out, record["episode_id"]]) == 0
    said = capsys.readouterr().out
    assert "\noutcome   answered\nfield     status: " in said
    assert "\nmessage   " in said
    assert "answer(" not in said
    assert "cost      1 call; 1 would do\n" in said


def test_escape_sequences_of_a_model_never_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = task_by_id("orders/order_status/dev/0")
    episode = Episode(task)
    episode.step(Turn("\x1b]0;owned\x07\x1b[2J[red]and markup[/red]", reasoning="\x1b[31m"))
    trace = Trace.from_episode(episode, EpisodeSpec(task.id), {"name": "hostile\x1b[31m"})
    run = RunDirectory.create(tmp_path / "run", {})
    with run.lock(), run.writer("w") as writer:
        writer.append(trace.to_record())
    assert main(["show", str(tmp_path / "run"), trace.episode_id]) == 0
    assert main(["show", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "\x1b]0;" not in said
    assert "\x07" not in said
    assert "[red]and markup[/red]" in said


@pytest.mark.parametrize("arguments", [[], ["--faults"], ["--json"], ["orders/cancel_order/dev/0"]])
def test_tasks_tells_what_there_is(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", *arguments]) == 0
    assert len(capsys.readouterr().out) > 200


@pytest.mark.parametrize(
    "arguments",
    [["--suite", "nothing"], ["--split", "nothing"], ["orders/nothing/dev/0"], ["orders/order_status/dev/-1"], ["x"]],
)
def test_tasks_refuses_what_there_is_not(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: ")
