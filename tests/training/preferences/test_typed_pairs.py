"""Pairs of episodes that end with a call of `answer`: wrong answers are calls too, and each was tried."""

import json
from functools import cache

import pytest
from helpers.forked import Wavering, broken, trace_of

from faultgym.agents.registry import policy_named
from faultgym.envs.judging.answering import ANSWER
from faultgym.envs.limits import Limits
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall
from faultgym.training.examples import SFTExample
from faultgym.training.filters.select import select
from faultgym.training.forks.fork import Forks, Turns
from faultgym.training.forks.positives import Sources, branch_points
from faultgym.training.forks.waiting import wait_for
from faultgym.training.preferences.audit import audit
from faultgym.training.preferences.corrections import examples_from
from faultgym.training.preferences.kinds import kind_of
from faultgym.training.preferences.outcomes import outcome_in
from faultgym.training.preferences.pairs import pairs_of

EXPERT = policy_named("expert")
TEMPLATES = (
    "orders/order_total",
    "orders/cancel_order",
    "orders/refund_return",
    "orders/refuse_return",
    "orders/unknown_order",
    "orders/blocked_cancel",
    "incidents/service_status",
    "incidents/scale_outage",
)


@cache
def found():
    """Pairs of the expert's own episodes, a task of each template."""
    traces = [trace_of(EXPERT, f"{name}/train/0", "rough", answers="typed") for name in TEMPLATES]
    return [one.pair for trace in traces for one in pairs_of(trace, per_trace=24)]


def answer(side):
    """What a decision answers: (outcome, fields, message)."""
    given = next(json.loads(c["function"]["arguments"]) for c in side[0]["tool_calls"])
    return given["outcome"], given.get("fields", {}), given.get("message", "")


def of(kind):
    """The pairs of a kind, at least one."""
    pairs = [pair for pair in found() if pair.kind == kind]
    assert pairs
    return pairs


def test_no_right_answer_is_plain_text_and_every_end_is_a_single_message():
    for pair in found():
        assert [len(pair.chosen), len(pair.rejected)] == [1, 1]
        assert pair.chosen[0].get("tool_calls")
        assert pair.kind == "answer_vs_text" or pair.rejected[0].get("tool_calls")


def test_plain_text_is_rejected_in_the_words_of_the_answer():
    for pair in of("answer_vs_text"):
        assert outcome_in(pair.chosen)
        assert "tool_calls" not in pair.rejected[0]
        assert pair.rejected[0]["content"] == answer(pair.chosen)[2]


def test_wrong_values_are_of_the_same_outcome_and_fields_and_wrong_outcomes_have_the_right_values():
    values = outcomes = 0
    for pair in of("answer_vs_fabricate"):
        (due, right, _), (given, wrong, _) = answer(pair.chosen), answer(pair.rejected)
        if due == given:
            values += right.keys() == wrong.keys() and right != wrong
        else:
            outcomes += right == wrong
    assert values > 2
    assert outcomes > 2


def test_done_without_the_change_and_unavailable_too_early_are_rejected_for_the_next_call():
    ended = {outcome_in(pair.rejected) for kind in ("continue_vs_stop", "call_vs_no_call") for pair in of(kind)}
    assert {"done", "unavailable", "answered", "not_found"} <= ended
    assert all(not outcome_in(pair.chosen) for pair in of("continue_vs_stop"))


def test_a_bluff_fills_the_fields_of_the_task_that_has_no_answer():
    bluffs = [pair for pair in of("abstain_vs_bluff") if outcome_in(pair.chosen) == "not_found"]
    assert bluffs
    assert all(answer(pair.rejected)[1] for pair in bluffs)


def test_both_sides_replayed_by_hand_end_as_the_pair_says():
    trace = trace_of(EXPERT, "orders/cancel_order/train/0", "rough", answers="typed")
    pairs = [one.pair for one in pairs_of(trace, per_trace=60) if outcome_in(one.pair.rejected)]
    assert len(pairs) > 2
    with Forks(trace) as forks:
        for pair in pairs:
            call = pair.rejected[0]["tool_calls"][0]["function"]
            turn = Turn("", (ToolCall("answer", ANSWER, json.loads(call["arguments"])),))
            assert not forks.play(pair.fork_step, Turns([turn]), {"name": "x"}, "x").success


def test_the_audit_counts_the_outcomes_of_both_sides_and_survives_being_stored():
    some = [*of("answer_vs_fabricate")[:4], *of("continue_vs_stop")[:4]]
    made = audit(some)
    chosen = [outcome_in(pair.chosen) for pair in some]
    rejected = [outcome_in(pair.rejected) for pair in some]
    assert made.outcomes["done"] == (chosen.count("done"), rejected.count("done"))
    assert type(made).from_record(json.loads(json.dumps(made.to_record()))).outcomes == made.outcomes
    assert f"| done | {chosen.count('done')} | {rejected.count('done')} |" in list(made.lines())


def test_what_was_made_before_answers_could_be_typed_has_no_outcomes():
    made = audit([])
    old = {name: value for name, value in made.to_record().items() if name != "outcomes"}
    assert type(made).from_record(old) == made


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (Turn("The order is open."), "answer_vs_text"),
        (Turn("", (ToolCall("a", ANSWER, {"outcome": "answered", "fields": {"no_field": 1}}),)), None),
        (Turn("", (ToolCall("a", ANSWER, {"outcome": "not_found"}),)), "answer_vs_abstain"),
        (Turn("", (ToolCall("a", ANSWER, {"outcome": "done"}),)), "answer_vs_fabricate"),
    ],
)
def test_an_end_beside_the_right_answer_is_of_the_kind_of_its_mistake(wrong, kind):
    trace = trace_of(EXPERT, "orders/order_status/train/0", answers="typed")
    with Forks(trace) as forks:
        (at,) = wait_for(branch_points(forks, [1], Sources()))
        assert at.ends(at.turn)
        assert kind_of(at, wrong) == (kind or "right_vs_wrong_arguments")


def test_an_episode_that_ended_in_plain_text_is_put_right_with_the_call():
    trace = trace_of(Wavering(1.0), "orders/order_status/train/0", answers="typed")
    assert trace.steps[-1].turn.text == "I give up."
    (example,) = examples_from([trace])
    assert isinstance(example, SFTExample)
    assert example.outcome == "answered"
    assert "I give up." not in json.dumps(example.messages)


def test_a_repeated_call_is_put_right_and_ends_with_an_answer():
    trace = trace_of(
        policy_named("repeater"), "orders/order_status/train/0", broken("gone", 9), Limits(turns=12), answers="typed"
    )
    (example,) = examples_from([trace])
    assert isinstance(example, SFTExample)
    assert (example.outcome, example.contracts) == ("answered", ("REROUTE",))
    assert example.messages[-2]["tool_calls"][0]["function"]["name"] == ANSWER


def test_a_sample_that_ends_the_episode_counts_for_itself():
    trace = trace_of(EXPERT, "orders/order_status/train/0", answers="typed")
    sources = Sources(Wavering(0.0), samples=1, checks=2)
    with Forks(trace) as forks:
        (at,) = wait_for(branch_points(forks, [1], sources))
    assert at.right.source == "wavering"
    assert select(at.right.trace).outcome == "answered"
