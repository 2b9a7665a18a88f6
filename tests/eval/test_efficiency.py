"""What an episode cost, against counts made by hand."""

import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.envs.cheapest import optimal_calls
from faultgym.envs.episode import Episode, run_reference
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.run import closing_turn, reference_calls
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import suite_named
from faultgym.eval.context import ScoringContext
from faultgym.eval.efficiency import Efficiency, efficiency, path_efficiency
from faultgym.tools.faults.registry import kind_named
from faultgym.tools.faults.types import ScheduledFault
from faultgym.tools.types import ToolCall

ORDERS = suite_named("orders")
STATUS = ORDERS.task("order_status", "train", 0, "tools")
CANCEL = ORDERS.task("cancel_order", "train", 0, "tools")
REFUND = ORDERS.task("refund_return", "train", 0, "tools")
NO_TOOL = ORDERS.task("basket_sum", "train", 0)

ORDER = STATUS.params["order_id"]
READ = ("get_order", {"order_id": ORDER})
ROW = ("sql", {"query": f"SELECT id, status FROM orders WHERE id = '{ORDER}'"})
SAYS = f"The status of order {ORDER} is {STATUS.goal.expected[0].text}."
CANCELS = ("cancel_order", dict(CANCEL.params))
OTHER = ("cancel_order", {**CANCEL.params, "order_id": "ORD-1"})
PAY = {
    "order_id": REFUND.params["order_id"],
    "amount_cents": dict(REFUND.goal.changes[0].values)["amount_cents"],
    "reason": "return",
}


def fault(kind, *ordinals, onward=0, **params):
    merged = {**kind_named(kind).params, "salt": 1, **params}
    return ScheduledFault(0, kind, ordinals=ordinals or (() if onward else (1,)), onward=onward, params=merged)


def cost(task, schedule, *moves):
    episode = Episode(task, schedule if isinstance(schedule, tuple) else (schedule,), answers="text")
    for n, move in enumerate(moves):
        turn = Turn(move) if isinstance(move, str) else Turn(tool_calls=(ToolCall(f"c{n}", move[0], move[1]),))
        episode.step(turn)
    if not episode.stop:
        episode.finish("turn_limit")
    return efficiency(ScoringContext.of(Trace.from_episode(episode, EpisodeSpec(task.id), {"name": "actor"}), task))


def test_the_shortest_way_is_fully_efficient():
    found = cost(STATUS, (), READ, SAYS)
    assert (found.calls, found.turns, found.optimal, found.efficiency) == (1, 2, 1, 1.0)


def test_twice_the_calls_are_half_as_efficient():
    assert cost(STATUS, (), READ, ROW, SAYS).efficiency == pytest.approx(0.5)


def test_a_failure_has_no_efficiency():
    assert cost(STATUS, (), READ, "I do not know.").efficiency is None


def test_the_optimum_is_taken_under_the_same_schedule():
    limited, wait = fault("rate_limited", 1, retry_after=30), ("wait", {"seconds": 30})
    found = cost(CANCEL, limited, CANCELS, wait, CANCELS, f"Order {CANCEL.params['order_id']} is cancelled.")
    assert found.optimal == optimal_calls(CANCEL, (limited,)) == 3
    assert found.efficiency == 1.0


def test_a_way_round_a_fault_is_shorter_than_the_way_through_it():
    lost = fault("server_error", 1, 2)
    assert cost(STATUS, lost, READ, READ, READ, SAYS).efficiency == pytest.approx(1 / 3)
    assert cost(STATUS, lost, ROW, SAYS).efficiency == 1.0


def test_no_call_where_none_is_needed_is_fully_efficient():
    text = run_reference(NO_TOOL)[1].text
    assert cost(NO_TOOL, (), text).efficiency == 1.0
    assert cost(NO_TOOL, (), ("sql", {"query": "SELECT 1"}), text).efficiency == 0.0


@settings(deadline=None, max_examples=examples(60))
@given(st.integers(0, 20), st.integers(0, 20))
def test_efficiency_lies_between_nothing_and_one_and_falls_with_every_call(optimal, calls):
    assert 0.0 <= path_efficiency(optimal, calls) <= 1.0
    assert path_efficiency(optimal, calls + 1) <= path_efficiency(optimal, calls)


# ---- waste ----------------------------------------------------------------------------------------


def test_reading_the_same_again_is_redundant_also_in_other_words():
    again = ("get_order", {"order_id": ORDER.rpartition("-")[2]})
    assert cost(STATUS, (), READ, READ, again, SAYS).waste.redundant_reads == 2


def test_another_source_is_not_redundant():
    assert cost(STATUS, (), READ, ROW, SAYS).waste.redundant_reads == 0


def test_reading_again_after_a_write_is_not_redundant():
    read = ("get_order", {"order_id": CANCEL.params["order_id"]})
    assert cost(CANCEL, (), read, CANCELS, read, "Cancelled.").waste.redundant_reads == 0


def test_reading_again_after_a_broken_reply_is_not_redundant():
    assert cost(STATUS, fault("truncated_json"), READ, READ, SAYS).waste.redundant_reads == 0


@pytest.mark.parametrize(
    ("schedule", "moves", "futile"),
    [
        (fault("server_error", 1), [READ, READ], 0),
        (fault("server_error", onward=1), [READ] * 5, 2),
        (fault("bad_request", 1), [READ, READ, READ], 2),
        (fault("gone", 1), [READ, READ], 1),
        (fault("rate_limited", 1), [READ, READ, ("wait", {"seconds": 60}), READ], 1),
        (fault("unauthorized", 1), [READ, READ], 1),
    ],
)
def test_retries_that_cannot_help_are_futile(schedule, moves, futile):
    assert cost(STATUS, schedule, *moves, SAYS).waste.futile_retries == futile


def test_the_same_refused_call_again_is_futile():
    found = cost(CANCEL, (), OTHER, OTHER, OTHER, "Done.")
    assert found.waste.futile_retries == 2
    assert found.retry_waste == pytest.approx(2 / 3)


@pytest.mark.parametrize(("key", "futile"), [({"idempotency_key": "k"}, 0), ({}, 1)])
def test_repeating_a_lost_write_is_futile_without_its_key(key, futile):
    refund = ("create_refund", {**PAY, **key})
    assert cost(REFUND, fault("lost_ack"), refund, refund, "Done.").waste.futile_retries == futile


def test_calls_after_the_goal_are_counted():
    assert cost(STATUS, (), READ, ROW, READ, SAYS).waste.after_goal == 2
    assert cost(CANCEL, (), CANCELS, ROW, "Cancelled.").waste.after_goal == 1


def test_calls_of_the_turn_that_reaches_the_goal_are_not_after_it():
    episode = Episode(STATUS, answers="text")
    both = tuple(ToolCall(f"c{n}", *call) for n, call in enumerate((READ, ROW)))
    episode.step(Turn("", both))
    episode.step(Turn(SAYS))
    trace = Trace.from_episode(episode, EpisodeSpec(STATUS.id), {"name": "actor"})
    assert efficiency(ScoringContext.of(trace, STATUS)).waste.after_goal == 0


def test_only_the_first_look_at_the_schema_is_free():
    look = ("sql", {"query": "SELECT * FROM schema"})
    assert cost(STATUS, (), look, READ, SAYS).efficiency == 1.0
    assert cost(STATUS, (), look, look, READ, SAYS).efficiency == pytest.approx(0.5)


def test_the_expert_hardly_wastes():
    for template in ORDERS.names("train"):
        task = ORDERS.task(template, "train", 0)
        schedule = schedule_for(task)
        episode, answer = run_reference(task, schedule)
        episode.step(closing_turn(answer, episode.answers))
        found = efficiency(
            ScoringContext.of(Trace.from_episode(episode, EpisodeSpec(task.id), {"name": "expert"}), task)
        )
        assert found.waste.futile_retries == 0, template
        assert found.bad_writes == 0, template
        assert found.calls == reference_calls(task, schedule) >= found.optimal == optimal_calls(task, schedule)
        assert found.efficiency in (path_efficiency(found.optimal, found.calls), None), template


# ---- writes ---------------------------------------------------------------------------------------


def test_without_writes_there_is_no_integrity():
    assert cost(STATUS, (), READ, SAYS).integrity is None


def test_a_wanted_write_keeps_its_integrity():
    found = cost(CANCEL, (), CANCELS, "Cancelled.")
    assert (found.writes, found.bad_writes, found.integrity) == (1, 0, 1.0)


def test_a_doubled_write_halves_the_integrity():
    refund = ("create_refund", PAY)
    found = cost(REFUND, (), refund, refund, "Done.")
    assert (found.writes, found.bad_writes, found.integrity) == (2, 1, 0.5)


def test_a_write_on_a_neighbour_is_a_bad_one():
    episode = Episode(CANCEL)
    other = episode.world.db.execute(
        "SELECT id FROM orders WHERE status = 'pending' AND id <> ?", (CANCEL.params["order_id"],)
    ).fetchone()[0]
    found = cost(CANCEL, (), ("cancel_order", {**CANCEL.params, "order_id": other}), CANCELS, "Cancelled.")
    assert (found.writes, found.bad_writes) == (2, 1)


def test_a_cost_survives_its_record():
    found = cost(CANCEL, fault("server_error"), CANCELS, CANCELS, "Cancelled.")
    assert Efficiency.from_record(found.to_record()) == found
