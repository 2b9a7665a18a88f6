"""Forks of stored traces: the same prefix to the byte, and continuations that are judged by what they do."""

from dataclasses import replace

import orjson
import pytest
from helpers.forked import Wavering, broken, trace_of

from faultgym.agents.registry import policy_named
from faultgym.agents.traces.replay import replay
from faultgym.agents.traces.trace import Trace
from faultgym.core.errors import TraceError
from faultgym.envs.judging.form import ANSWERS
from faultgym.envs.limits import Limits
from faultgym.envs.messages.turn import Turn
from faultgym.training.forks.continuation import ReferenceContinuation
from faultgym.training.forks.fork import Forks, Strayed, Turns, resumed, same_decision, worth
from faultgym.training.forks.positives import expert_way
from faultgym.training.forks.waiting import wait_for

ORDER = "orders/order_status/train/0"
CANCEL = "orders/cancel_order/train/0"


@pytest.mark.parametrize("faults", ["clean", "rough", "hostile"])
def test_a_fork_shares_its_prefix_byte_for_byte(faults):
    trace = trace_of(policy_named("repeater"), CANCEL, faults)
    with Forks(trace) as forks:
        for step in range(len(forks)):
            made = forks.play(step, Turns([Turn("I stop here.")]), {"name": "stop"}, "stop")
            prompt = forks.prompt(step)
            assert orjson.dumps(made.trace.messages[: len(prompt)]) == orjson.dumps(prompt)
            assert made.messages[0]["content"] == "I stop here."


def test_what_is_done_in_a_fork_changes_neither_the_state_nor_other_forks():
    trace = trace_of(policy_named("expert"), CANCEL)
    with Forks(trace) as forks:
        before = forks.state(1).world.digest()
        last = forks.play(1, Turns([s.turn for s in trace.steps[1:]]), {"name": "x"}, "x")
        assert last.success
        assert forks.state(1).world.digest() == before
        assert not forks.play(1, Turns([Turn("Done.")]), {"name": "x"}, "x").success


@pytest.mark.parametrize("answers", ANSWERS)
def test_the_continuation_of_a_fork_is_a_trace_that_replays(answers):
    trace = trace_of(policy_named("repeater"), ORDER, "rough", answers=answers)
    with Forks(trace) as forks:
        made = expert_way(forks, 1)
    assert made is not None
    stored = Trace.from_record(orjson.loads(orjson.dumps(made.trace.to_record())))
    assert replay(stored).proven
    assert stored.answers == answers
    assert stored.episode_id != trace.episode_id


def test_the_same_fork_gives_the_same_episode_id_and_another_another():
    trace = trace_of(policy_named("expert"), CANCEL)
    ids = []
    for step in (0, 0, 1):
        with Forks(trace) as forks:
            ids.append(forks.play(step, Turns([Turn("No.")]), {"name": "no"}, "no").trace.episode_id)
    assert ids[0] == ids[1] != ids[2]


def test_a_trace_with_a_changed_observation_cannot_be_forked_behind_it():
    trace = trace_of(policy_named("expert"), CANCEL)
    step = trace.steps[0]
    record = step.calls[0]
    lie = replace(record, result=replace(record.result, content="HTTP 200 OK\n\n{}"))
    forged = replace(trace, steps=(replace(step, calls=(lie,)), *trace.steps[1:]))
    with Forks(forged) as forks:
        forks.state(0)
        with pytest.raises(TraceError, match="step 0 comes out otherwise"):
            forks.state(1)


def test_a_fork_beyond_the_last_turn_is_refused():
    with Forks(trace_of(policy_named("expert"), ORDER)) as forks, pytest.raises(IndexError, match="no fork at"):
        forks.state(len(forks))


def test_a_continuation_keeps_to_the_limits_of_the_trace():
    trace = trace_of(policy_named("repeater"), ORDER, broken("server_error", 9), limits=Limits(turns=3))
    with Forks(trace) as forks:
        again = trace.steps[0].turn
        made = forks.play(1, Turns([again] * 50), {"name": "again"}, "again")
    assert made.trace.stop == "turn_limit"
    assert len(made.trace.steps) == 3


@pytest.mark.parametrize("faults", ["clean", "rough", "hostile"])
def test_the_expert_who_has_read_an_experts_prefix_takes_the_experts_next_turn(faults):
    trace = trace_of(policy_named("expert"), "incidents/acknowledge_assign/train/0", faults)
    with Forks(trace) as forks:
        for step in range(len(forks)):
            actor = ReferenceContinuation(forks.task, trace.steps[:step])
            made = forks.play(step, actor, {"name": "expert"}, "expert")
            assert same_decision(made.turn, trace.steps[step].turn)
            assert made.success


def test_the_expert_does_not_ask_again_for_what_somebody_else_has_read():
    trace = trace_of(policy_named("fabricated_answer"), "orders/customer_email/train/0")
    with Forks(trace) as forks:
        made = expert_way(forks, len(forks) - 1)
    assert made is not None
    assert made.success
    asked = [(r.call.name, repr(r.call.arguments)) for r in made.trace.records]
    assert len(set(asked)) == len(asked)


def test_a_scripted_policy_goes_on_from_its_own_prefix_and_strays_from_another():
    trace = trace_of(policy_named("repeater"), ORDER, broken("gone", 9))
    with Forks(trace) as forks:
        made = forks.sample(2, policy_named("repeater"), 0)
        assert made.trace.steps == trace.steps
        with pytest.raises(Strayed):
            forks.sample(2, policy_named("expert"), 0)


def test_a_resumable_policy_goes_on_from_anybodys_prefix():
    trace = trace_of(policy_named("repeater"), ORDER, broken("gone", 9))
    with Forks(trace) as forks:
        made = forks.sample(2, Wavering(), 0)
        assert made.success
        assert made.source == "wavering"


def test_samples_of_one_fork_differ_by_their_seeds_and_each_comes_again():
    trace = trace_of(policy_named("expert"), CANCEL)
    with Forks(trace) as forks:
        samples = [forks.sample(0, Wavering(0.5), n) for n in range(8)]
        again = [forks.sample(0, Wavering(0.5), n) for n in range(8)]
    assert {s.success for s in samples} == {True, False}
    assert [s.trace for s in samples] == [s.trace for s in again]
    assert len({s.trace.episode_id for s in samples}) == 8


def test_an_actor_that_strays_is_not_brought_to_the_fork():
    trace = trace_of(policy_named("repeater"), ORDER, broken("gone", 9))
    with Forks(trace) as forks, pytest.raises(Strayed, match="null takes another turn 0"):
        wait_for(resumed(policy_named("null"), forks, 1, 0, {}))


def test_a_failure_is_worth_nothing_and_a_wasteful_success_less_than_a_straight_one():
    straight = trace_of(policy_named("expert"), ORDER)
    wasteful = trace_of(policy_named("redundant_call"), ORDER)
    failed = trace_of(policy_named("null"), ORDER)
    assert worth(failed) == 0.0 < 0.5 < worth(wasteful) < worth(straight) == 1.0
