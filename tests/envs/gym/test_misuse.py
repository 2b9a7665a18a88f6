"""What an environment says to input that is wrong, and what it takes that it did not take before."""

import json
import pickle
from dataclasses import replace

import gymnasium as gym
import pytest

import faultgym
from faultgym.core.errors import PlanError, TaskError
from faultgym.envs import ToolEnv, Turn, suite_named
from faultgym.envs.registry import SUITES, register_suite
from faultgym.tools.types import ToolCall

PLAN = {"version": 1, "rules": [{"kind": "timeout", "trigger": {"nth": [1]}}]}


@pytest.fixture
def unknown(bookshelf):
    """A suite that nobody has registered."""
    suite = replace(bookshelf, name="private", role="You work at the desk of a private library.")
    assert "private" not in SUITES
    return suite


def test_an_environment_takes_a_suite_that_is_not_registered(unknown):
    env = ToolEnv(unknown, faults="rough")
    env.reset(seed=3)
    env.step(Turn(tool_calls=(ToolCall("c", "http", {"method": "GET", "path": "/v1/books"}),)))
    assert env.step(Turn("I do not know."))[2]
    env.reset(options={"task": env.task.id})
    assert env.task.suite == "private"
    assert "private library" in env.task.system
    assert env.fork().episode.suite is unknown


def test_a_suite_registered_again_gives_its_own_tasks(bookshelf):
    first = register_suite(replace(bookshelf, name="again"))
    before = suite_named("again").task("price", "train", 0)
    try:
        register_suite(replace(first, role="You are somebody else."))
        after = suite_named("again").task("price", "train", 0)
    finally:
        SUITES.unregister("again")
    assert after.system.startswith("You are somebody else.")
    assert before.system != after.system


@pytest.mark.parametrize("index", [-1, 10**15, 10**5000], ids=["below", "above", "far above"])
def test_a_task_whose_id_could_not_be_read_again_is_not_drawn(bookshelf, index):
    with pytest.raises(TaskError, match="the index of a task"):
        bookshelf.task("price", "train", index)
    longest = bookshelf.task("price", "train", 10**15 - 1)
    assert bookshelf.task_by_id(longest.id) == longest


def test_a_suite_that_could_not_work_is_not_registered(bookshelf):
    for broken, why in (
        (replace(bookshelf, name="a/b"), "task ids"),
        (replace(bookshelf, templates={}), "no templates"),
        (replace(bookshelf, id_prefixes=("B K",)), "no prefix"),
    ):
        with pytest.raises(TaskError, match=why):
            register_suite(broken)
    assert suite_named("bookshelf") is bookshelf


def test_an_unknown_suite_is_answered_with_the_nearest():
    with pytest.raises(TaskError, match="did you mean orders"):
        suite_named("order")


class Counting(ToolEnv):
    """A user's own environment."""

    seen = 0


def test_a_fork_is_of_the_same_class_and_keeps_what_the_class_adds():
    env = Counting("orders")
    env.reset(seed=0)
    env.seen = 7
    twin = env.fork()
    assert type(twin) is Counting
    assert twin.seen == 7
    assert twin.episode is not env.episode
    assert twin.np_random.bit_generator.state == env.np_random.bit_generator.state
    assert twin.np_random is not env.np_random


def test_an_unknown_option_of_reset_is_named_with_the_nearest():
    env = ToolEnv("orders")
    with pytest.raises(ValueError, match=r"no option 'fault_sed'; did you mean fault_seed\?"):
        env.reset(options={"fault_sed": 3})


@pytest.mark.parametrize(("action", "hint"), [("hello", "HermesText"), (None, "a Turn"), (3, "a Turn")])
def test_a_step_with_something_else_than_a_turn_says_what_to_send(action, hint):
    env = ToolEnv("orders")
    env.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction, match=hint):
        env.step(action)
    assert not env.episode.turns


def test_faults_may_be_the_path_of_a_plan(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(PLAN))
    for given in (path, str(path)):
        env = ToolEnv("orders", faults=given)
        env.reset(seed=0, options={"task": "orders/order_status/train/0"})
        assert [fault.kind for fault in env.episode.schedule] == ["timeout"]
    with pytest.raises(PlanError, match="did you mean rough"):
        ToolEnv("orders", faults="ruogh")


def test_an_environment_of_a_registered_suite_can_be_pickled():
    env = gym.make("faultgym:faultgym/Orders-v0").unwrapped
    env.reset(seed=5)
    twin = pickle.loads(pickle.dumps(env))
    turn = Turn(tool_calls=(ToolCall("c", "sql", {"query": "SELECT count(*) FROM orders"}),))
    assert repr(twin.step(turn)) == repr(env.step(turn))
    assert twin.suite is env.suite


def test_shared_memory_is_refused_with_what_to_pass_instead():
    assert faultgym
    with pytest.raises(gym.error.Error, match='"shared_memory": False'):
        gym.make_vec("faultgym:faultgym/Orders-v0", num_envs=1, vectorization_mode="async")


def test_the_turn_limit_is_that_of_rollouts():
    from faultgym.envs.defaults import MAX_TURNS
    from faultgym.envs.limits import Limits

    assert gym.make("faultgym:faultgym/Orders-v0").get_wrapper_attr("max_turns") == MAX_TURNS == Limits().turns == 60
