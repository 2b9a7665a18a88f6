"""Only what was proven, reached its goal and wasted little becomes an example, and each is of the right kind."""

from dataclasses import replace

import orjson
import pytest
from helpers import stored

from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.envs.episode import Episode
from faultgym.envs.judging.answering import ACKNOWLEDGED, ANSWER
from faultgym.envs.messages.turn import Turn
from faultgym.envs.registry import task_by_id
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.types import ToolCall
from faultgym.training.examples import EXAMPLE_KINDS, example_of, example_record
from faultgym.training.filters.rejection import REASONS, Reason, Rejected
from faultgym.training.filters.select import read_trace, select

STATUS = "orders/order_status/train/0:http"
ERROR = FaultPlan.from_rules([{"kind": "server_error", "trigger": {"nth": [1]}}])


def reason(trace, **options):
    found = select(trace, **options)
    assert isinstance(found, Rejected), found.kind
    return found.reason


@pytest.mark.parametrize(
    ("task", "faults", "kind", "contracts", "calls", "optimal"),
    [
        (STATUS, "clean", "clean", (), 1, 1),
        (STATUS, ERROR, "recovery", ("RETRY",), 2, 1),
        ("orders/basket_sum/train/0", "clean", "no_tool", (), 0, 0),
        ("orders/unknown_order/train/0", "clean", "abstention", (), 2, 1),
        ("orders/blocked_cancel/train/0", "clean", "report", (), 6, 1),
    ],
)
def test_each_kind_is_recognised(task, faults, kind, contracts, calls, optimal):
    found = stored.example(task, faults)
    assert (found.kind, found.contracts) == (kind, contracts)
    assert (found.calls, found.optimal) == (calls, optimal)


def test_every_kind_comes_up():
    assert {e.kind for e in stored.several()} == set(EXAMPLE_KINDS)


def test_the_example_holds_the_whole_chat_and_the_tools_of_the_first_step():
    trace = stored.played(STATUS, "mild")
    found = select(trace)
    assert list(found.messages) == trace.messages
    assert [t["function"]["name"] for t in found.tools] == [t.name for t in trace.tools]
    assert found.origin.episode_id == trace.episode_id


def test_a_trace_from_a_record_gives_the_same_example():
    trace = stored.played(STATUS, "rough")
    again = read_trace(orjson.loads(orjson.dumps(trace.to_record())))
    assert select(again) == select(trace)


@pytest.mark.parametrize(
    ("task", "kind", "outcome"),
    [
        (STATUS, "clean", "answered"),
        ("orders/cancel_order/train/0", "clean", "done"),
        ("orders/refuse_return/train/0", "clean", "refused"),
        ("orders/basket_sum/train/0", "no_tool", "answered"),
        ("orders/unknown_order/train/0", "abstention", "not_found"),
        ("orders/blocked_cancel/train/0", "report", "unavailable"),
    ],
)
def test_a_typed_example_says_its_outcome_and_ends_with_the_call(task, kind, outcome):
    found = stored.example(task, answers="typed")
    assert (found.kind, found.outcome) == (kind, outcome)
    *_, said, heard = found.messages
    assert (said["role"], said["tool_calls"][0]["function"]["name"]) == ("assistant", ANSWER)
    assert (heard["role"], heard["content"]) == ("tool", ACKNOWLEDGED)
    assert "answer" in [tool["function"]["name"] for tool in found.tools]


def test_a_text_has_no_outcome():
    assert stored.example(STATUS, answers="text").outcome == ""


def test_plain_text_where_an_answer_was_due_is_a_failure():
    assert reason(stored.played(STATUS, policy="null", answers="typed")) == "failed"


def test_an_answer_that_tells_the_person_nothing_is_none():
    task = task_by_id("orders/cancel_order/train/0")
    with_words = stored.played(task.id, answers="typed")
    episode = Episode(task, with_words.schedule, answers="typed")
    for step in with_words.steps[:-1]:
        episode.step(step.turn)
    episode.step(Turn("", (ToolCall("a", ANSWER, {"outcome": "done"}),)))
    assert episode.verdict.success
    spec = EpisodeSpec(task.id, with_words.faults, with_words.seeds.fault, answers="typed")
    assert reason(Trace.from_episode(episode, spec, {"name": "silent"})) == "no_text"


def test_an_answer_that_was_not_taken_ends_nothing():
    trace = stored.played(STATUS, answers="typed")
    assert reason(replace(trace, stop="turn_limit")) == "not_ended"
    assert reason(replace(trace, steps=trace.steps[:-1])) == "not_ended"


def test_an_example_survives_being_stored():
    for found in stored.several():
        assert example_of(orjson.loads(orjson.dumps(example_record(found)))) == found


def test_a_failure_is_none():
    assert reason(stored.played(STATUS, policy="null")) == "failed"


def test_more_calls_than_the_bound_are_waste_and_a_wider_bound_takes_them():
    wasteful = next(
        trace
        for n in range(12)
        for trace in [stored.played(f"orders/order_status/train/{n}", "rough", "impatient")]
        if trace.verdict.success and isinstance(select(trace), Rejected) and reason(trace) == "wasteful"
    )
    assert reason(wasteful, max_call_ratio=1.0) == "wasteful"
    found = select(wasteful, max_call_ratio=100)
    assert not isinstance(found, Rejected) or found.reason != "wasteful"


def test_a_text_that_a_budget_cut_off_is_none():
    trace = stored.played(STATUS)
    assert reason(replace(trace, stop="turn_limit")) == "not_ended"
    assert reason(replace(trace, steps=trace.steps[:-1])) == "not_ended"


def test_calls_where_none_is_needed_are_none():
    task = task_by_id("orders/basket_sum/train/0")
    trace = stored.played(task.id, policy="needless_call")
    assert not task.needs_tools
    assert trace.verdict.success
    assert reason(trace) == "needless_calls"


@pytest.mark.parametrize("record", [None, [], {}, {"episode_id": "a"}, {"episode_id": 1, "schema_version": 1}])
def test_what_is_no_trace_is_unreadable(record):
    assert read_trace(record).reason == "unreadable"


@pytest.mark.parametrize("version", [0, 99, True, "1", None])
def test_another_schema_version_is_named(version):
    record = {**stored.played(STATUS).to_record(), "schema_version": version}
    assert read_trace(record).reason == "other_schema_version"


def test_a_final_turn_without_a_word_is_none():
    task = "orders/cancel_order/train/0"
    trace = stored.played(task)
    silent = replace(trace, steps=(*trace.steps[:-1], replace(trace.steps[-1], turn=Turn())))
    assert reason(silent) in ("not_proven", "no_text")


def test_every_reason_is_explained():
    assert set(REASONS) == set(Reason.__args__)
