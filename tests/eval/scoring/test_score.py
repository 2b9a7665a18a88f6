"""A score: success is outcome only, what is undefined is None, and a harness error says nothing."""

from dataclasses import replace

import orjson
import pytest

from faultgym.agents.traces.parts import HarnessFailure
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.core.errors import TaskError, TraceError
from faultgym.envs.episode import Episode, run_reference
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.run import closing_turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import suite_named
from faultgym.eval.scoring.score import Score, score
from faultgym.tools.types import ToolCall

ORDERS = suite_named("orders")
STATUS = ORDERS.task("order_status", "train", 0, "tools")
ORDER = STATUS.params["order_id"]
READ = Turn(tool_calls=(ToolCall("a", "get_order", {"order_id": ORDER}),))
SAYS = f"The status of order {ORDER} is {STATUS.goal.expected[0].text}."


def expert(task, faults="clean", seed=0, leave_out=None):
    """The expert's trace, with one of its turns left out where that is asked for."""
    episode, answer = run_reference(task, schedule_for(task, faults, seed))
    if leave_out is not None:
        turns = [step.turn for step in episode.turns]
        episode = Episode(task, schedule_for(task, faults, seed))
        for n, turn in enumerate(turns):
            if n != leave_out:
                episode.step(turn)
    episode.step(closing_turn(answer, episode.answers))
    return Trace.from_episode(episode, EpisodeSpec(task.id, faults, seed), {"name": "expert"})


def trace_of(*turns, task=STATUS, **more):
    episode = Episode(task, answers="text")
    for turn in turns:
        episode.step(turn)
    if not episode.stop:
        episode.finish("turn_limit")
    return Trace.from_episode(episode, EpisodeSpec(task.id), {"name": "actor"}, **more)


@pytest.mark.parametrize("faults", ["clean", "rough", "hostile", "outage"])
@pytest.mark.parametrize("suite", ["orders", "incidents"])
def test_a_score_survives_its_record(suite, faults):
    for template in suite_named(suite).names("train"):
        found = score(expert(suite_named(suite).task(template, "train", 0), faults))
        assert Score.from_record(orjson.loads(orjson.dumps(found.to_record()))) == found


def test_the_same_trace_gives_the_same_score_also_from_its_record():
    trace = expert(STATUS, "rough", 1)
    again = Trace.from_record(orjson.loads(orjson.dumps(trace.to_record())))
    assert score(again) == score(trace)


def test_the_experts_score_is_perfect():
    found = score(expert(STATUS))
    assert (found.success, found.spl, found.modes, found.recovery) == (True, 1.0, (), None)
    assert dict(found.reward) == {"success": 1.0, "calls": 1.0, "bad_calls": 0.0}


def test_what_is_undefined_is_none_and_not_zero():
    found = score(trace_of(READ, Turn("I do not know.")))
    assert found.success is False
    assert found.spl == 0.0
    assert found.cost.efficiency is None
    assert found.cost.tokens is None
    assert found.cost.integrity is None
    assert found.recovery is None
    assert found.confidence is None
    assert found.critical is None


def test_a_harness_error_says_nothing():
    broken = trace_of(READ, failure=HarnessFailure("OSError", "the server is gone"))
    found = score(broken)
    assert not found.valid
    assert (found.success, found.spl, found.cost, found.reward) == (None, None, None, ())
    assert Score.from_record(found.to_record()) == found


def test_the_stated_confidence_is_that_of_the_final_turn():
    assert score(trace_of(replace(READ, confidence=0.2), Turn(SAYS, confidence=0.9))).confidence == 0.9


def test_an_abstention_is_told_from_an_answer():
    assert score(trace_of(READ, Turn(f"There is no order {ORDER}."))).abstained
    assert not score(trace_of(READ, Turn(SAYS))).abstained


@pytest.mark.parametrize(
    ("outcome", "message", "abstains"),
    [
        ("not_found", "", True),
        ("unavailable", "The shop is closed.", True),
        ("answered", "There is no such order.", False),
    ],
)
def test_a_typed_answer_abstains_by_its_outcome_whatever_its_message_says(outcome, message, abstains):
    episode = Episode(STATUS, answers="typed")
    episode.step(Turn("", (ToolCall("a", "answer", {"outcome": outcome, "message": message}),)))
    found = score(Trace.from_episode(episode, EpisodeSpec(STATUS.id, answers="typed"), {"name": "test"}))
    assert (found.abstained, found.answers) == (abstains, "typed")
    assert Score.from_record(found.to_record()) == found


def test_a_second_source_for_a_sound_answer_is_noticed():
    row = Turn(tool_calls=(ToolCall("b", "sql", {"query": f"SELECT status FROM orders WHERE id = '{ORDER}'"}),))
    assert score(trace_of(READ, row, Turn(SAYS))).cross_checked is True
    assert score(trace_of(READ, Turn(SAYS))).cross_checked is False
    assert score(trace_of(Turn(SAYS))).cross_checked is None


def test_bad_calls_are_counted_apart():
    wrong = Turn(tool_calls=(ToolCall("a", "get_ordr", {}), ToolCall("b", "get_order", {})))
    assert dict(score(trace_of(wrong, READ, Turn(SAYS))).reward)["bad_calls"] == 2.0


@pytest.mark.parametrize("suite", ["orders", "incidents"])
def test_leaving_out_a_step_never_raises_success(suite):
    for template in suite_named(suite).names("train"):
        task = suite_named(suite).task(template, "train", 0)
        whole = expert(task)
        for n in range(len(whole.steps) - 1):
            less = score(expert(task, leave_out=n))
            assert less.success <= score(whole).success
            assert less.spl <= 1.0


def test_a_trace_of_another_version_of_its_suite_is_refused():
    trace = expert(STATUS)
    old = replace(trace, fingerprints=replace(trace.fingerprints, suite=999))
    with pytest.raises(TraceError, match="version 999 of the suite orders"):
        score(old)


def test_a_task_that_does_not_exist_is_refused():
    trace = expert(STATUS)
    with pytest.raises(TaskError):
        score(replace(trace, task=replace(trace.task, id="orders/no_such_template/train/0")))
