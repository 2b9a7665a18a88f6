"""Pairs: one prefix, two decisions, outcomes that were tried; every kind beside its mirror image."""

from collections import Counter
from dataclasses import replace
from typing import get_args

import orjson
import pytest
from helpers.forked import (
    Fresh,
    Fumbling,
    Impatient,
    Lost,
    Meeting,
    Roundabout,
    Wavering,
    broken,
    found,
    trace_of,
    traces,
)

from faultgym.agents.registry import policy_named
from faultgym.agents.traces.parts import HarnessFailure
from faultgym.core.errors import TraceError, UserError
from faultgym.envs.judging.form import DEFAULT_ANSWERS
from faultgym.envs.limits import Limits
from faultgym.envs.messages.turn import Turn
from faultgym.eval.context import ScoringContext
from faultgym.eval.critical import critical_step
from faultgym.eval.modes.classifier import modes_at
from faultgym.tools.types import ToolCall
from faultgym.training.examples import PairKind
from faultgym.training.forks.fork import Forks, worth
from faultgym.training.forks.positives import Sources, branch_points, expert_way
from faultgym.training.forks.reasoning_style import restyled
from faultgym.training.forks.waiting import wait_for
from faultgym.training.preferences.audit import shares_prefix
from faultgym.training.preferences.kinds import MIRRORS, mirror
from faultgym.training.preferences.pairs import pairs_from, pairs_of

KINDS = [kind for kind in get_args(PairKind) if kind != "answer_vs_text" or DEFAULT_ANSWERS == "typed"]
ORDER = "orders/order_status/train/0"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_out_of_a_small_run_beside_its_mirror_image(kind):
    counts = Counter(f.pair.kind for f in found())
    assert counts[kind]
    assert counts[mirror(kind)]


def test_every_kind_has_a_mirror_image_and_is_the_mirror_image_of_that():
    alone = {"right_vs_wrong_arguments", "answer_vs_fabricate", "answer_vs_text"}
    assert {*MIRRORS, *MIRRORS.values(), *alone} == set(get_args(PairKind))
    assert all(mirror(mirror(kind)) == kind for kind in get_args(PairKind))


@pytest.mark.parametrize("kind", KINDS)
def test_both_completions_are_one_assistant_message_behind_the_same_prefix(kind):
    for f in found():
        if f.pair.kind == kind:
            assert shares_prefix(f.pair)
            assert [m["role"] for m in (*f.pair.chosen, *f.pair.rejected)] == ["assistant", "assistant"]
            assert f.pair.prompt[-1]["role"] in ("user", "tool")


@pytest.mark.parametrize("kind", KINDS)
def test_the_outcomes_differ_by_the_margin(kind):
    margins = [f.pair.margin for f in found() if f.pair.kind == kind]
    assert margins
    assert all(0 < margin <= 1 for margin in margins)


def test_the_margin_is_what_playing_both_ways_again_gives():
    trace = trace_of(policy_named("repeater"), ORDER, broken("gone", 9))
    own = [f.pair for f in pairs_of(trace) if f.pair.kind == "recover_vs_repeat"]
    assert own
    assert worth(trace) == 0.0
    with Forks(trace) as forks:
        for pair in own:
            best = expert_way(forks, pair.fork_step)
            assert best is not None
            assert (pair.margin, pair.chosen_id) == (round(best.worth, 6), best.trace.episode_id)
            assert (pair.contract, pair.origin.episode_id) == ("REROUTE", trace.episode_id)


def test_a_whole_trajectory_goes_on_to_its_end_with_its_tool_messages():
    trace = trace_of(policy_named("repeater"), ORDER, broken("gone", 9))
    for f in pairs_of(trace, whole=True):
        for side in (f.pair.chosen, f.pair.rejected):
            assert side[0]["role"] == "assistant"
            assert side[-1]["role"] == "assistant" or side[-1]["name"] == "answer"
            assert [m["role"] for m in side].count("tool") == sum(len(m.get("tool_calls", ())) for m in side)


def test_repeating_is_chosen_where_it_is_right_and_rejected_where_it_is_not():
    flaky = trace_of(policy_named("expert"), ORDER, broken("server_error"))
    gone = trace_of(policy_named("expert"), ORDER, broken("gone", 9))
    right = [f.pair for f in pairs_of(flaky) if f.pair.kind == "retry_vs_abandon"]
    wrong = [f.pair for f in pairs_of(gone) if f.pair.kind == "recover_vs_repeat"]
    assert right
    assert wrong
    for pair, side in ((right[0], right[0].chosen), (wrong[0], wrong[0].rejected)):
        before = next(m for m in reversed(pair.prompt) if m.get("tool_calls"))
        assert side[0]["tool_calls"][0]["function"] == before["tool_calls"][0]["function"]
        assert side[0]["reasoning_content"] == "The same call again."


def test_the_pair_at_the_first_critical_step_rejects_what_the_policy_did_there():
    seen = 0
    for trace in traces(("fabricated_answer",), ("clean",)):
        if trace.verdict.success:
            continue
        critical = critical_step(trace).step
        at = [f.pair for f in pairs_of(trace, per_trace=0) if f.critical]
        if at:
            seen += 1
            assert at[0].fork_step == critical
            assert at[0].rejected[0]["content"] == trace.steps[critical].turn.text
            assert at[0].margin > 0.5
    assert seen >= 10


def test_no_more_pairs_come_of_a_trace_than_asked_for():
    trace = trace_of(policy_named("expert"), "orders/refund_return/train/0", "rough")
    assert len(pairs_of(trace, per_trace=3)) == 3
    assert len(pairs_of(trace, per_trace=0)) == 0


def test_pairs_depend_on_the_trace_alone():
    trace = trace_of(policy_named("repeater"), "incidents/roll_back/train/1", "rough")
    assert pairs_of(trace) == pairs_of(trace)


def test_a_trace_that_our_own_side_broke_gives_no_pairs():
    trace = trace_of(policy_named("expert"), ORDER)
    assert pairs_of(replace(trace, verdict=None, harness_error=HarnessFailure("X", "y"))) == []


def test_a_tampered_trace_is_refused():
    trace = trace_of(policy_named("expert"), "orders/cancel_order/train/0")
    step = trace.steps[0]
    lie = replace(step.calls[0], result=replace(step.calls[0].result, content="HTTP 200 OK\n\n{}"))
    with pytest.raises(TraceError, match="is not proven: step 0"):
        pairs_of(replace(trace, steps=(replace(step, calls=(lie,)), *trace.steps[1:])))


def test_the_policys_own_success_is_chosen_before_the_experts():
    trace = trace_of(Wavering(), ORDER)
    pairs = [f.pair for f in pairs_of(trace)]
    assert {p.source for p in pairs} == {"wavering"}


def test_the_policys_own_sample_is_chosen_where_its_trace_failed():
    trace = next(t for seed in range(50) if not (t := trace_of(Wavering(0.5), ORDER, seed=seed)).verdict.success)
    pairs = [f.pair for f in pairs_of(trace, Sources(Wavering(0.5), samples=6))]
    assert {p.source for p in pairs} == {"wavering"}
    assert [p.source for p in (f.pair for f in pairs_of(trace))].count("expert")


def test_all_samples_of_all_forks_of_all_traces_wait_together():
    failed = [trace_of(policy_named("repeater"), ORDER, broken("gone", 9), limits=Limits(turns=n)) for n in (3, 4)]
    with Forks(failed[0]) as one, Forks(failed[1]) as other:
        seats = 5 * (len(one) + len(other))
    policy = Meeting(seats=seats)
    assert {f.pair.source for f in pairs_from(failed, Sources(policy, samples=5))} == {"wavering"}
    with pytest.raises(TimeoutError):  # with less room they would wait for one another for ever
        list(pairs_from(failed, Sources(Impatient(seats=seats), samples=5, in_flight=seats - 1)))


def test_a_policy_that_cannot_go_on_from_a_prefix_is_refused():
    trace = trace_of(policy_named("repeater"), ORDER)
    with pytest.raises(UserError, match="needs resume"):
        pairs_of(trace, Sources(Fresh(), samples=1))


def test_a_models_own_success_is_chosen_although_the_expert_needs_fewer_calls_unless_told_otherwise():
    failed = trace_of(policy_named("repeater"), ORDER, broken("gone", 9))
    roundabout = Roundabout()
    for prefer, source in (("own", "wavering"), ("best", "expert"), ("expert", "expert")):
        sources = Sources(roundabout, samples=1, prefer=prefer)
        assert {f.pair.source for f in pairs_of(failed, sources, at="critical")} == {source}


def test_what_came_right_in_spite_of_a_broken_call_is_not_chosen():
    """The call has an argument that no tool knows; it is refused, and the episode succeeds all the same."""
    trace = trace_of(Fumbling(), ORDER)
    assert trace.verdict.success
    assert modes_at(ScoringContext.of(trace), 0)
    for f in pairs_of(trace):
        if f.pair.fork_step == 0:
            assert f.pair.source == "expert"
    own = [f.pair for f in pairs_of(trace, Sources(kind="own"))]
    assert not any(pair.fork_step == 0 for pair in own)


def test_own_takes_nothing_from_scripts():
    trace = next(t for seed in range(50) if not (t := trace_of(Wavering(0.5), ORDER, seed=seed)).verdict.success)
    found = [f.pair for f in pairs_of(trace, Sources(Wavering(0.5), samples=6, kind="own"))]
    assert found
    assert {p.source for p in found} == {"wavering"}
    assert {p.rejected[0]["content"] for p in found} == {"I give up."}
    assert pairs_of(trace, Sources(Wavering(1.0), samples=2, kind="own")) == []


def test_scripted_takes_nothing_from_the_policy():
    trace = trace_of(Wavering(), ORDER)
    assert {f.pair.source for f in pairs_of(trace, Sources(Wavering(), samples=2, kind="scripted"))} == {"expert"}


def test_a_decision_is_rejected_only_if_no_sample_of_it_did_as_well():
    """The first call of those who get lost later is the right one."""
    trace = trace_of(Wavering(), ORDER, broken("gone", 1))
    for f in pairs_of(trace, Sources(Lost(), samples=8, kind="own")):
        assert f.pair.rejected != f.pair.chosen
        assert f.pair.fork_step > 0


def test_every_pair_names_its_traces_critical_step():
    failed = trace_of(policy_named("repeater"), ORDER, broken("gone", 9))
    assert critical_step(failed).step is not None
    assert {f.pair.critical_step for f in pairs_of(failed)} == {critical_step(failed).step}
    assert {f.pair.critical_step for f in pairs_of(trace_of(policy_named("expert"), ORDER))} == {None}


def test_pairs_at_the_critical_step_stand_nowhere_else():
    some = traces(("fabricated_answer", "expert"), ("clean",))[::4]
    assert {trace.verdict.success for trace in some} == {True, False}
    for trace in some:
        found = pairs_of(trace, at="critical")
        assert {f.pair.fork_step for f in found} <= {critical_step(trace).step}
        assert bool(found) != trace.verdict.success


def test_the_slip_of_a_policy_that_repeats_itself_is_its_first_repetition():
    trace = trace_of(policy_named("repeater"), ORDER, broken("gone", 9), limits=Limits(turns=12))
    at = {where: {f.pair.fork_step for f in pairs_of(trace, at=where)} for where in ("first_error", "critical")}
    assert at["first_error"] == {1}
    assert at["critical"] == {critical_step(trace).step} != {1}


def test_anchors_are_forks_of_what_went_right():
    right = trace_of(policy_named("expert"), ORDER)
    wrong = trace_of(policy_named("repeater"), ORDER, broken("gone", 9))
    assert pairs_of(right, at="anchored") == pairs_of(right) != []
    assert pairs_of(wrong, at="anchored") == pairs_of(wrong, at="first_error") != []


def test_the_search_for_the_critical_step_is_done_once_a_trace(monkeypatch):
    searched = []
    monkeypatch.setattr(
        "faultgym.training.forks.fork.critical_step", lambda *a: searched.append(a) or critical_step(*a)
    )
    pairs_of(trace_of(policy_named("fabricated_answer"), ORDER))
    assert len(searched) == 1


def test_pairs_of_many_traces_are_those_of_each():
    some = traces(("fabricated_answer", "repeater"), ("rough",))[::20]
    sources = Sources(Wavering(0.5), samples=2, checks=2)
    assert list(pairs_from(some, sources)) == [f for trace in some for f in pairs_of(trace, sources)]


def test_a_decision_that_further_samples_do_not_confirm_is_not_chosen():
    trace = trace_of(policy_named("repeater"), ORDER, broken("gone", 9))
    with Forks(trace) as forks:
        luck = next(n for n in range(1, 60) if forks.sample(1, Wavering(0.9), n - 1).success)
        unsure = Sources(Wavering(0.9), samples=luck, checks=0)
        checked = Sources(Wavering(0.9), samples=luck, checks=5)
        assert wait_for(branch_points(forks, [1], unsure))[0].right.source == "wavering"
        assert wait_for(branch_points(forks, [1], checked))[0].right.source == "expert"


def test_a_model_and_a_script_side_by_side_think_in_the_common_voice_about_what_they_call():
    trace = trace_of(Wavering(), ORDER, broken("gone", 9))
    thoughts = {}
    for f in pairs_of(trace):
        for side in (f.pair.chosen[0], f.pair.rejected[0]):
            acts = any(call["function"]["name"] != "answer" for call in side.get("tool_calls", ()))
            assert acts == bool(side.get("reasoning_content"))
            if acts:
                call = orjson.dumps([f.pair.fork_step, [c["function"] for c in side["tool_calls"]]])
                thoughts.setdefault(call, set()).add(side["reasoning_content"])
    assert len(thoughts) > 1
    assert all(len(same) == 1 for same in thoughts.values())


def test_beside_a_model_that_never_thinks_a_script_does_not_either():
    trace = trace_of(Wavering(), ORDER, broken("gone", 9))
    silent = [replace(step, turn=replace(step.turn, reasoning="")) for step in trace.steps]
    found = list(pairs_of(replace(trace, steps=tuple(silent))))
    assert found
    for f in found:
        assert not any(m.get("reasoning_content") for m in (*f.pair.prompt, *f.pair.chosen, *f.pair.rejected))


def test_an_early_retry_that_happened_to_succeed_is_not_chosen():
    for trace in traces(("impatient",), ("rough",)):
        for f in pairs_of(trace):
            if f.pair.contract == "BACKOFF" and "retry-after" in f.pair.prompt[-1]["content"]:
                before = next(m for m in reversed(f.pair.prompt) if m.get("tool_calls"))["tool_calls"]
                after = f.pair.chosen[0].get("tool_calls", [{"function": None}])
                assert after[0]["function"] != before[0]["function"]


def test_a_thought_depends_on_the_call_and_not_on_who_makes_it():
    with Forks(trace_of(policy_named("expert"), ORDER)) as forks:
        state = forks.state(0)
        call = ToolCall("call_1", "wait", {"seconds": 5})
        one = restyled(Turn("", (call,), "I was told to."), state.suite, state.turns)
        other = restyled(Turn("", (call,), "I have no idea."), state.suite, state.turns)
    assert one == other
    assert orjson.dumps(one.reasoning)
