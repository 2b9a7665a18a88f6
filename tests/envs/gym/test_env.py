"""`ToolEnv` through Gymnasium: registration, options, rewards, forks, determinism."""

import io
import os
import pickle
import subprocess
import sys
import warnings
from contextlib import redirect_stdout

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env

import faultgym
import faultgym.envs
from faultgym.core.errors import PlanError, TaskError
from faultgym.envs.gym.env import RewardParts, ToolEnv
from faultgym.envs.gym.registration import environment_ids, register_environments
from faultgym.envs.messages.turn import Message, Turn
from faultgym.tools.types import ToolCall


def call(name, **arguments) -> Turn:
    return Turn(tool_calls=(ToolCall("call_0", name, arguments),))


def look(env: ToolEnv) -> Turn:
    """The look-up that the task `price` needs."""
    return call("sql", query=f"SELECT price_cents FROM books WHERE id = '{env.task.params['book_id']}'")


def priced(env: ToolEnv) -> Turn:
    """The right answer to the task `price`."""
    return answering("answered", price=int(env.task.goal.expected[0].text) / 100)


def answering(outcome: str, **fields) -> Turn:
    """A call of `answer`."""
    return Turn("", (ToolCall("a", "answer", {"outcome": outcome, "fields": fields}),))


@pytest.fixture
def env(bookshelf):
    return ToolEnv(bookshelf)


def test_importing_the_package_registers_every_environment():
    assert set(environment_ids()) <= set(gym.registry)
    assert {"faultgym/Orders-v0", "faultgym/Incidents-v0", "faultgym/Orders-Outage-v0"} <= set(environment_ids())


def test_registering_twice_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        register_environments()


def test_importing_the_package_loads_no_engine():
    code = (
        "import sys, faultgym; print([m for m in ('tantivy', 'pydantic', 'faultgym.envs.gym.env') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_every_public_name_of_the_package_can_be_imported():
    assert all(getattr(faultgym.envs, name) is not None for name in faultgym.envs.__all__)
    assert sorted(faultgym.envs.__all__) == faultgym.envs.__all__
    with pytest.raises(AttributeError, match="no_such_name"):
        faultgym.envs.no_such_name  # noqa: B018


@pytest.mark.parametrize("name", environment_ids())
def test_every_registered_environment_passes_gymnasiums_checker(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(name).unwrapped)


def test_making_by_module_takes_faults_and_limits_turns():
    env = gym.make("faultgym:faultgym/Orders-v0", faults="rough")
    assert env.unwrapped.faults == "rough"
    assert [w.name for w in env.spec.additional_wrappers] == ["TurnLimit"]
    observation, info = env.reset(seed=0)
    assert [m.role for m in observation.messages] == ["system", "user"]
    assert info["task"].startswith("orders/")


def test_a_spec_survives_json_and_makes_the_same_environment():
    spec = gym.make("faultgym/Incidents-Mild-v0").spec
    again = gym.envs.registration.EnvSpec.from_json(spec.to_json()).make()
    assert again.unwrapped.faults == "mild"
    assert again.spec == spec
    assert repr(again.reset(seed=1)) == repr(spec.make().reset(seed=1))


def test_the_registry_can_be_printed():
    out = io.StringIO()
    with redirect_stdout(out):
        gym.pprint_registry()
    assert "faultgym/Orders-Hostile-v0" in out.getvalue()


def test_wrong_settings_are_refused_with_what_there_is(bookshelf):
    with pytest.raises(TaskError, match="orders"):
        ToolEnv("ordres")
    with pytest.raises(PlanError, match="rough"):
        ToolEnv(bookshelf, faults="ruogh")
    with pytest.raises(TaskError, match="train"):
        ToolEnv(bookshelf, split="trian")
    with pytest.raises(ValueError, match="ansi"):
        ToolEnv(bookshelf, render_mode="human")


def test_reset_takes_a_task_or_its_id(env, bookshelf):
    task = bookshelf.task("lend", index=3)
    by_id, _ = env.reset(options={"task": task.id})
    assert env.task == task
    assert by_id == env.reset(options={"task": task})[0]
    assert by_id.messages[1] == Message("user", task.instruction)


def test_a_task_of_another_suite_is_refused(env):
    with pytest.raises(TaskError, match="not of bookshelf"):
        env.reset(options={"task": "orders/order_status/train/0"})


def test_seeds_choose_tasks_and_no_seed_goes_on(env):
    first = env.reset(seed=5)[1]["task"], env.reset()[1]["task"]
    again = env.reset(seed=5)[1]["task"], env.reset()[1]["task"]
    assert first == again
    assert first[0] != first[1]


def test_the_reward_comes_once_for_the_verified_end(env, bookshelf):
    env.reset(options={"task": bookshelf.task("price")})
    step = env.step(call("wait", seconds=1))
    assert step[1:4] == (0.0, False, False)
    assert step[4] == {"task": env.task.id, "turn": 1, "calls": 1}
    env.step(look(env))
    _, reward, terminated, truncated, info = env.step(priced(env))
    assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
    env.reset()
    assert env.step(answering("answered", price=42))[1] == 0.0


def test_reward_parts_count_calls_and_bad_calls(bookshelf):
    env = ToolEnv(bookshelf, reward=RewardParts(success=10, call=-1, bad_call=-5))
    env.reset(options={"task": bookshelf.task("price")})
    assert env.step(call("wait", seconds=1))[1] == -1
    assert env.step(call("wait"))[1] == -6
    assert env.step(look(env))[1] == -1
    assert env.step(priced(env))[1] == 10


def test_stepping_outside_an_episode_needs_a_reset(env):
    with pytest.raises(gym.error.ResetNeeded):
        env.step(Turn("x"))
    with pytest.raises(gym.error.ResetNeeded):
        env.fork()
    env.reset()
    env.step(Turn("x"))
    with pytest.raises(gym.error.ResetNeeded):
        env.step(Turn("x"))


def test_a_fork_and_its_original_go_their_own_ways(env, bookshelf):
    env.reset(options={"task": bookshelf.task("lend", style="tools")})
    lend = call("lend_book", book_id=env.task.params["book_id"])
    twin = env.fork()
    before = env.episode.world.digest()
    twin.step(lend)
    assert env.episode.world.digest() == before != twin.episode.world.digest()
    assert twin.step(answering("done"))[4]["success"]
    assert not env.step(answering("done"))[4]["success"]


def test_a_fork_draws_the_same_next_tasks(env):
    env.reset(seed=3)
    twin = env.fork()
    assert [env.reset()[1] for _ in range(3)] == [twin.reset()[1] for _ in range(3)]


def test_a_snapshot_can_be_restored_again_and_again(env, bookshelf):
    env.reset(options={"task": bookshelf.task("lend", style="tools")})
    snapshot = env.snapshot()
    for again in (snapshot, snapshot, pickle.loads(pickle.dumps(snapshot))):
        env.restore(again)
        env.step(call("lend_book", book_id=env.task.params["book_id"]))
        assert env.step(answering("done"))[4]["success"]


TRAIL = """
import sys, faultgym, gymnasium
env = gymnasium.make("faultgym/Orders-Hostile-v0")
env.action_space.seed(7)
for seed in range(4):
    print(env.reset(seed=seed))
    for _ in range(15):
        turn = env.action_space.sample()
        if turn.final:
            continue
        print(env.step(turn), env.unwrapped.episode.world.digest())
"""


def test_another_process_with_another_hash_seed_sees_the_same_bytes():
    trails = {
        subprocess.run(
            [sys.executable, "-c", TRAIL], capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(trails) == 1


def test_a_call_of_answer_ends_the_episode_by_default():
    env = ToolEnv("orders")
    env.reset(options={"task": "orders/cancel_order/train/0"})
    observation, reward, terminated, truncated, info = env.step(answering("done"))
    assert (reward, terminated, truncated, info["success"]) == (0.0, True, False, False)
    assert observation in env.observation_space


def test_with_texts_a_turn_without_calls_is_the_answer(bookshelf):
    env = ToolEnv(bookshelf, answers="text")
    env.reset(options={"task": bookshelf.task("price", style="tools")})
    env.step(call("get_book", book_id=env.task.params["book_id"]))
    text = f"It costs {env.task.goal.expected[0].text} cents."
    assert env.step(Turn(text))[1:4] == (1.0, True, False)


def test_a_reminder_is_an_observation_like_any_other():
    env = ToolEnv("orders", answers="typed", reminders=1)
    env.reset(options={"task": "orders/cancel_order/train/0"})
    observation, _, terminated, _, _ = env.step(Turn("Done."))
    assert observation in env.observation_space
    assert not terminated
    assert env.step(Turn("Done."))[2]


def test_another_kind_of_answers_is_refused():
    with pytest.raises(ValueError, match="'typed' or 'text', not 'maybe'"):
        ToolEnv("orders", answers="maybe")
