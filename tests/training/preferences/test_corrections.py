"""Examples out of episodes that went wrong: the way up to the first error, and the right way on."""

import pytest
from helpers.forked import Wavering, broken, trace_of, traces

from faultgym.agents.registry import policy_named
from faultgym.envs.limits import Limits
from faultgym.training.examples import SFTExample
from faultgym.training.filters.select import Rejected, select
from faultgym.training.forks.first_error import first_error
from faultgym.training.forks.fork import Forks
from faultgym.training.forks.positives import Sources
from faultgym.training.preferences.corrections import examples_from

ORDER = "orders/order_status/train/0"
GONE = broken("gone", 9)


def only(traces, *sources):
    """The one thing that comes of one trace."""
    (found,) = examples_from(traces, *sources)
    return found


def test_an_example_stays_as_it_is():
    trace = trace_of(policy_named("expert"), ORDER, "rough")
    assert only([trace]) == select(trace)


def test_a_failure_is_put_right_from_its_slip_on():
    trace = trace_of(policy_named("repeater"), ORDER, GONE, limits=Limits(turns=12))
    found = only([trace])
    assert isinstance(found, SFTExample)
    prefix = [m for m in trace.messages if m["role"] != "system"][:3]
    assert [m for m in found.messages if m["role"] != "system"][:3] == prefix
    assert "REROUTE" in found.contracts


def test_the_policys_own_success_goes_on_before_the_experts():
    trace = trace_of(policy_named("repeater"), ORDER, GONE)
    found = only([trace], Sources(Wavering(0.5), samples=8))
    assert found.origin.policy == "wavering"
    assert only([trace], Sources(Wavering(1.0), samples=3)).origin.policy == "expert"


@pytest.mark.parametrize("policy", ["fabricated_answer", "redundant_call", "repeater"])
def test_the_slip_is_the_last_step_that_leaves_an_example(policy):
    for trace in traces((policy,), ("rough",))[::9]:
        with Forks(trace) as forks:
            slip = first_error(forks)
            if slip is None:
                assert isinstance(select(trace), SFTExample)
                continue
            last = len(forks) - 1 if forks.critical is None else forks.critical
            good = [n for n in range(last + 1) if slip.at(forks, n, 1.5) is not None]
            assert slip.step == good[-1]


def test_what_a_forged_failure_claims_is_not_put_right():
    from dataclasses import replace

    trace = trace_of(policy_named("repeater"), ORDER, GONE)
    step = trace.steps[0]
    lie = replace(step.calls[0], result=replace(step.calls[0].result, content="HTTP 200 OK\n\n{}"))
    found = only([replace(trace, steps=(replace(step, calls=(lie,)), *trace.steps[1:]))])
    assert isinstance(found, Rejected)
    assert found.reason == "not_proven"
