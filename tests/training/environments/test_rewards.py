"""What an episode is worth: the verdict and the stated costs, each apart; nothing where the harness failed."""

import pytest
from helpers.environments import TASK, begun

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.play import run_episode
from faultgym.core.errors import UserError
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import task_by_id
from faultgym.training.environments.counts import Counts
from faultgym.training.environments.reward import COSTS, Reward
from faultgym.training.environments.rewards import measured, reward_functions

DONE = [{"role": "assistant", "content": "It is done."}]


def paid(made, completion, reward=None):
    return {f.__name__: f(completions=[completion], environments=[made])[0] for f in reward_functions(reward)}


def solved():
    made = begun()
    task = task_by_id(TASK)
    solution = run_episode(policy_named("expert"), task, schedule_for(task, "clean"), answers="text")
    for record in solution.records:
        getattr(made, record.call.name)(**record.call.arguments)
    return made, [{"role": "assistant", "content": solution.turns[-1].turn.text}], solution


def test_a_success_is_paid_and_each_call_costs():
    made, completion, solution = solved()
    assert paid(made, completion) == {
        "verdict": 1.0,
        "calls": -0.01 * solution.calls,
        "bad_calls": 0.0,
        "repeated_calls": 0.0,
    }


def test_bad_and_repeated_calls_are_counted_apart():
    made = begun()
    made.sql(query="SELECT nothing")
    made.sql(query="SELECT nothing")
    made.sql(query="SELECT nothing")
    made.sql(quarry="SELECT 1")
    parts = paid(made, DONE)
    assert parts == {"verdict": 0.0, "calls": -0.04, "bad_calls": -0.05, "repeated_calls": -0.2}


def test_the_defaults_put_every_success_above_every_failure():
    reward = Reward()
    best = max(
        reward.total(Counts(False, calls, bad, again)) for calls in (0, 99) for bad in (0, 99) for again in (0, 99)
    )
    worst = min(
        reward.total(Counts(True, calls, bad, again)) for calls in (0, 99) for bad in (0, 99) for again in (0, 99)
    )
    assert worst > best


def test_a_part_that_is_worth_nothing_is_no_function():
    names = [f.__name__ for f in reward_functions(Reward(calls=0, repeated_calls=0))]
    assert names == ["verdict", "bad_calls"]


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"calls": 0.1}, "reward.calls is a cost"),
        ({"verdict": 0}, "verdict has to be above 0"),
        ({"most": -1}, "reward.most"),
        ({"bad_calls": float("nan")}, "finite number"),
    ],
)
def test_weights_that_cannot_be_are_refused(values, match):
    with pytest.raises(UserError, match=match):
        Reward(**values)


def test_a_batch_is_measured_over_the_episodes_that_were_judged():
    made, completion, _ = solved()
    failed = begun(faults='{"version": 1, "rules": [{"kind": "busy", "trigger": {"nth": [1]}}]}')
    failed.sql(query="SELECT * FROM orders")
    ended = [made._end(completion), failed._end([]), None]
    found = measured(ended)
    assert found["harness_errors"] == 1
    assert found["success"] == 0.5
    assert found["cut"] == 0.5
    assert found["success_when_faulted"] == 0.0
    assert set(COSTS) < set(found)
