"""Typed answers: how an episode ends with one, what is refused, and what the verdict makes of it."""

import pickle
from dataclasses import replace

import pytest

from faultgym.core.errors import TaskError
from faultgym.envs.episode import Episode, run_reference
from faultgym.envs.judging.answering import ANSWER, ANSWERED
from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import AnswerField
from faultgym.envs.judging.goal import Goal
from faultgym.envs.judging.typed import NO_ANSWER, wanted_fields, wanted_outcome
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import suite_named, task_by_id
from faultgym.envs.suites.orders.schema import STATUSES
from faultgym.tools.types import ToolCall

FORM = (AnswerField("status", "enum", "The status of the order", values=STATUSES),)
STATUS = replace(task_by_id("orders/order_status/train/0"), answer=FORM)
UNKNOWN = replace(task_by_id("orders/unknown_order/train/0"), answer=FORM)
CANCEL = task_by_id("orders/cancel_order/train/0")
BLOCKED = task_by_id("orders/blocked_cancel/train/0")
RIGHT = STATUS.goal.expected[0].text
WRONG = next(status for status in STATUSES if status != RIGHT)


def answer(outcome, message="", **fields) -> ToolCall:
    return ToolCall("a", ANSWER, {"outcome": outcome, "fields": fields, "message": message} if fields else {
        "outcome": outcome, "message": message
    })  # fmt: skip


def ended(task, *calls, solve=False) -> Episode:
    """An episode with typed answers that ends with these calls in one turn, after the reference solution or nothing."""
    schedule = schedule_for(task)
    if solve:
        episode, _ = run_reference(task, schedule, answers="typed")
    else:
        episode = Episode(task, schedule, answers="typed")
    episode.step(Turn("", calls))
    return episode


def read(episode) -> None:
    """Read the order that is asked about."""
    query = f"SELECT status FROM orders WHERE id = '{episode.task.params['order_id']}'"
    episode.step(Turn("", (ToolCall("r", "sql", {"query": query}),)))


def verdict(task, outcome, *, solve=False, message="", **fields) -> tuple[bool, str]:
    found = ended(task, answer(outcome, message, **fields), solve=solve).verdict
    return found.success, found.reason


def test_the_right_outcome_and_value_reach_the_goal():
    assert verdict(STATUS, "answered", solve=True, status=RIGHT) == (True, "the goal was reached")


def test_a_wrong_value_fails_and_is_named():
    episode = ended(STATUS, answer("answered", status=WRONG))
    assert (episode.verdict.success, episode.verdict.distractors) == (False, (f"status {WRONG}",))


def test_a_value_that_is_missing_fails():
    assert verdict(STATUS, "answered", solve=True) == (False, f"the answer lacks status {RIGHT}")


@pytest.mark.parametrize("outcome", ["done", "refused", "not_found", "unavailable"])
def test_another_outcome_fails_whatever_the_value(outcome):
    assert not verdict(STATUS, outcome, solve=True, status=RIGHT)[0]


def test_the_message_cannot_mend_a_wrong_value():
    assert not verdict(STATUS, "answered", solve=True, message=f"It is {RIGHT}.", status=WRONG)[0]


def test_done_counts_only_with_the_change_in_place():
    assert verdict(CANCEL, "done", solve=True)[0]
    assert verdict(CANCEL, "done") == (False, "1 of 1 wanted changes were not made")


def test_not_found_counts_only_after_looking():
    assert verdict(UNKNOWN, "not_found", solve=True) == (True, "it said that there is none, after looking")
    assert verdict(UNKNOWN, "not_found") == (False, "it said that there is none, without looking")


def test_a_guess_beside_not_found_is_a_hedge():
    assert "all the same" in verdict(UNKNOWN, "not_found", solve=True, status="paid")[1]


def test_unavailable_counts_only_where_no_way_was_left():
    assert verdict(BLOCKED, "unavailable", solve=True)[0]
    assert verdict(CANCEL, "unavailable") == (False, "it said unavailable, but there was a way to do it")
    assert verdict(CANCEL, "unavailable", solve=True)[0] is False


def test_plain_text_ends_the_episode_without_an_answer():
    episode = Episode(STATUS, answers="typed")
    episode.step(Turn(f"The status is {RIGHT}."))
    assert (episode.stop, episode.verdict.success, episode.verdict.reason) == ("final", False, NO_ANSWER)


def test_a_reminder_asks_once_for_the_call():
    episode = Episode(STATUS, answers="typed", reminders=1)
    (message,) = episode.step(Turn("It is shipped.")).messages
    assert (message.role, ANSWER in message.content, episode.stop) == ("user", True, "")
    episode.step(Turn("It is shipped."))
    assert episode.stop == "final"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({}, "missing_argument"),
        ({"outcome": "great"}, "invalid_argument"),
        ({"outcome": ["done"]}, "invalid_argument"),
        ({"outcome": "done", "message": 5}, "invalid_argument"),
        ({"outcome": "done", "extra": 1}, "unknown_argument"),
        ({"outcome": "answered", "fields": {"state": "paid"}}, "unknown_argument"),
        ({"outcome": "answered", "fields": {"status": "paid or packed"}}, "invalid_argument"),
        ({"outcome": "answered", "fields": {"status": ["paid"]}}, "invalid_argument"),
        ({"outcome": "answered", "fields": "paid"}, "invalid_argument"),
        (None, "malformed_call"),
    ],
)
def test_a_call_that_does_not_fit_is_an_error_and_the_episode_goes_on(arguments, code):
    episode = Episode(STATUS, answers="typed")
    (result,) = episode.step(Turn("", (ToolCall("a", ANSWER, arguments, "{" if arguments is None else ""),))).messages
    assert (result.code, result.content.startswith("error: "), episode.stop) == (code, True, "")
    read(episode)
    episode.step(Turn("", (answer("answered", status=RIGHT),)))
    assert episode.verdict.success


def test_other_calls_of_the_turn_are_not_done():
    write = ToolCall("w", "http", {"method": "POST", "path": f"/v1/orders/{CANCEL.params['order_id']}/cancel"})
    episode = ended(CANCEL, write, answer("done"), answer("answered"))
    codes = [record.result.code for record in episode.turns[-1].calls]
    assert (codes, episode.world.effects) == (["not_with_answer", ANSWERED, "not_with_answer"], [])


def test_the_answer_is_no_call():
    episode = ended(CANCEL, answer("done"), solve=True)
    assert [record.call.name for record in episode.records].count(ANSWER) == 0
    assert episode.calls == len(episode.records)


def test_the_tool_is_offered_only_where_answers_are_typed():
    assert ANSWER in {spec.name for spec in Episode(STATUS, answers="typed").tools}
    assert ANSWER not in {spec.name for spec in Episode(STATUS, answers="text").tools}
    assert Episode(STATUS, answers="text").step(Turn("", (answer("done"),))).messages[0].code == "unknown_tool"


@pytest.mark.parametrize(
    "arguments", [{1: 2}, {"outcome": "answered", "fields": {1: 2}}, {"outcome": "answered", None: 1}]
)
def test_names_that_are_no_text_are_refused(arguments):
    episode = Episode(STATUS, answers="typed")
    (result,) = episode.step(Turn("", (ToolCall("a", ANSWER, arguments),))).messages
    assert result.code == "unknown_argument"
    assert not episode.stop


def test_forks_and_pickles_keep_the_answer():
    episode = ended(STATUS, answer("answered", status=RIGHT))
    twin, read = episode.fork(), pickle.loads(pickle.dumps(episode))
    assert twin.answer == read.answer == episode.answer
    assert (twin.answers, read.verdict) == ("typed", episode.verdict)


def test_a_suites_own_tool_of_that_name_is_refused(monkeypatch):
    orders = suite_named("orders")
    tool = orders.endpoint_tools["get_order"]
    monkeypatch.setitem(orders.endpoint_tools, ANSWER, tool)
    with pytest.raises(TaskError, match="of its own"):
        Episode(replace(STATUS, tools=(*STATUS.tools, ANSWER)), answers="typed")


def test_facts_fill_the_fields_in_order_and_by_name():
    form = (
        AnswerField("amount", "money", "What is paid back", unit="EUR"),
        AnswerField("last_day", "date", "The last day"),
        AnswerField("services", "id", "The services", unit="SVC", many=True),
    )
    refund = Goal(expected=(Atom("money", "4150"),))
    refusal = Goal(expected=(Atom("date", "2026-03-02", field="last_day"),), outcome="refused")
    listed = Goal(expected=(Atom("id", "SVC-2", field="services"), Atom("id", "SVC-1", field="services")))
    assert wanted_fields(refund, form) == {"amount": "4150"}
    assert wanted_fields(refusal, form) == {"last_day": "2026-03-02"}
    assert wanted_fields(listed, form) == {"services": ("SVC-1", "SVC-2")}
    assert wanted_outcome(refusal) == "refused"


def test_facts_without_a_field_are_an_error_of_the_template():
    with pytest.raises(TaskError, match="no field"):
        wanted_fields(Goal(expected=(Atom("money", "4150"),)), ())
