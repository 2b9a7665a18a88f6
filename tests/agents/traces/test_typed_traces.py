"""Episodes with typed answers as traces: stored, read, proven and scored as those with texts are."""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.play import latest, run_episode
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.replay import replay
from faultgym.agents.traces.schema import SCHEMA_VERSION
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import NO_LIMITS, Trace
from faultgym.cli.main import main
from faultgym.core.errors import TraceError
from faultgym.envs.episode import Episode, run_reference
from faultgym.envs.judging.answering import ACKNOWLEDGED, ANSWER, REMINDER
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.run import closing_turn
from faultgym.envs.registry import task_by_id
from faultgym.eval.modes.classifier import failure_modes
from faultgym.eval.scoring.score import score

VERSION_2 = (Path(__file__).parents[2] / "data" / "version_2" / "traces.jsonl").read_bytes().splitlines(keepends=True)
CANCEL = task_by_id("orders/cancel_order/train/0")
EXPERT = policy_named("expert")
SPEC = EpisodeSpec(CANCEL.id, answers="typed")


@pytest.fixture
def typed() -> Trace:
    """The expert's."""
    episode = run_episode(EXPERT, CANCEL, answers="typed")
    return Trace.from_episode(episode, SPEC, EXPERT.describe())


@pytest.fixture
def reminded() -> Trace:
    """One that took a reminder to answer by a call."""
    episode, answer = run_reference(CANCEL, answers="typed")
    episode.reminders = 1
    episode.step(Turn(answer.text))
    assert latest(episode).messages[0].content == REMINDER
    episode.step(closing_turn(answer, "typed"))
    return Trace.from_episode(episode, SPEC, EXPERT.describe(), replace(NO_LIMITS, reminders=1))


@pytest.mark.parametrize("made", ["typed", "reminded"])
def test_a_trace_is_read_as_it_was_stored_and_is_proven(made, request):
    trace = request.getfixturevalue(made)
    assert trace.verdict.success
    assert Trace.from_line(trace.to_line()) == trace
    assert replay(trace).difference is None


def test_the_chat_ends_with_the_acknowledgement_of_the_answer(typed):
    call, result = typed.messages[-2:]
    assert [call["tool_calls"][0]["function"]["name"], result["content"]] == [ANSWER, ACKNOWLEDGED]
    assert ANSWER in {spec.name for spec in typed.tools}


def test_a_reminder_stands_in_the_chat(reminded):
    assert [m["content"] for m in reminded.messages if m["role"] == "user"][1:] == [REMINDER]


def test_another_text_in_the_place_of_a_reminder_is_no_trace(reminded):
    record = reminded.to_record()
    at = max(n for n, message in enumerate(record["messages"]) if message["role"] == "user")
    record["messages"][at]["content"] = "Go on."
    with pytest.raises(TraceError, match="a reminder follows"):
        Trace.from_record(record)


def test_an_answer_that_was_changed_is_found(typed):
    record = orjson.loads(typed.to_line().replace(b'\\"outcome\\":\\"done\\"', b'\\"outcome\\":\\"refused\\"'))
    assert replay(Trace.from_record(record)).difference is not None


def test_the_answer_costs_no_call(typed):
    text = Trace.from_episode(run_episode(EXPERT, CANCEL), EpisodeSpec(CANCEL.id), EXPERT.describe())
    assert typed.calls == text.calls
    assert score(typed).cost.efficiency == score(text).cost.efficiency == 1 / 2  # it looks before it cancels


def test_typed_and_text_are_two_episodes(typed):
    text = Trace.from_episode(run_episode(EXPERT, CANCEL, answers="text"), EpisodeSpec(CANCEL.id), EXPERT.describe())
    assert typed.episode_id != text.episode_id


def test_plain_text_instead_of_the_answer_is_a_mode_of_its_own():
    episode = Episode(CANCEL, answers="typed")
    episode.step(Turn("It is cancelled."))
    assert [mode.name for mode in failure_modes(Trace.from_episode(episode, SPEC, {"name": "talks"}))] == ["no_answer"]


@pytest.mark.parametrize("line", VERSION_2)
def test_a_trace_of_version_2_is_read_and_proven(line):
    trace = Trace.from_line(line)
    assert (trace.answers, trace.schema_version, replay(trace).difference) == ("text", SCHEMA_VERSION, None)


def test_a_run_is_typed_to_its_end_and_when_it_is_resumed(tmp_path, capsys):
    out = str(tmp_path / "run")
    asked = ["rollout", "--out", out, "--template", "cancel_order", "--per-template", "1", "--faults", "clean"]
    assert main([*asked, "--answers", "typed", "--reminders", "1"]) == 0
    assert main(["rollout", "--out", out, "--resume"]) == 0
    assert main(["replay", out, "--all"]) == 0
    assert "1 proven, 0 not" in capsys.readouterr().out
    (record,) = RunDirectory.open(out).records()
    assert (record["answers"], record["limits"]["reminders"], record["verdict"]["success"]) == ("typed", 1, True)
