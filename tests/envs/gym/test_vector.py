"""Vector environments, in one process and in several."""

import gymnasium as gym
import pytest
from gymnasium.vector import AutoresetMode

import faultgym  # noqa: F401 - registers the environments
from faultgym.envs.messages.turn import Turn

MODES = {
    "sync": {"autoreset_mode": AutoresetMode.DISABLED},
    "async": {"autoreset_mode": AutoresetMode.DISABLED, "shared_memory": False},
}
"""Episodes are reset by whoever runs them; there are no arrays to share between processes."""


@pytest.fixture(params=sorted(MODES))
def mode(request):
    return request.param


def make(mode, **more):
    return gym.make_vec(
        "faultgym:faultgym/Orders-v0", num_envs=2, vectorization_mode=mode, vector_kwargs={**MODES[mode], **more}
    )


def answers(envs) -> list:
    """Everything that two turns and a final one give back."""
    envs.action_space.seed(3)
    seen = [envs.reset(seed=11)]
    for _ in range(4):
        turns = tuple(turn if turn.tool_calls else Turn(text="no") for turn in envs.action_space.sample())
        if not any(turn.final for turn in turns):
            seen.append(envs.step(turns))
    seen.append(envs.step((Turn("a"), Turn("b"))))
    return seen


def test_observations_come_as_tuples_inside_the_space(mode):
    envs = make(mode)
    observations, infos = envs.reset(seed=0)
    assert isinstance(observations, tuple)
    assert observations in envs.observation_space
    assert all(task.startswith("orders/") for task in infos["task"])
    observations, rewards, terminations, truncations, infos = envs.step((Turn("x"), Turn("y")))
    assert observations in envs.observation_space
    assert rewards.tolist() == [0.0, 0.0]
    assert terminations.all()
    assert not truncations.any()
    assert not infos["success"].any()
    envs.close()


def test_episodes_are_those_of_single_environments(mode):
    envs = make(mode)
    observations, _ = envs.reset(seed=4)
    singles = [gym.make("faultgym/Orders-v0") for _ in range(2)]
    assert observations == tuple(env.reset(seed=4 + n)[0] for n, env in enumerate(singles))
    turns = tuple(Turn(tool_calls=env.action_space.sample().tool_calls) for env in singles)
    turns = tuple(turn if turn.tool_calls else Turn("x") for turn in turns)
    observations, rewards, terminations, _, _ = envs.step(turns)
    for n, (env, turn) in enumerate(zip(singles, turns, strict=True)):
        observation, reward, terminated, _, _ = env.step(turn)
        assert (observations[n], rewards[n], terminations[n]) == (observation, reward, terminated)
    envs.close()


def test_processes_change_nothing():
    sync, apart = make("sync"), make("async")
    assert repr(answers(sync)) == repr(answers(apart))
    sync.close()
    apart.close()


def test_single_episodes_can_be_reset_while_others_go_on(mode):
    import numpy as np

    envs = make(mode)
    envs.reset(seed=0)
    wait = gym.make("faultgym/Orders-v0").unwrapped.action_space.from_jsonable(
        [{"text": "", "tool_calls": [{"id": "a", "name": "wait", "arguments": {"seconds": 1}, "raw": ""}],
          "reasoning": "", "confidence": None, "finish_reason": "stop", "token_ids": None, "logprobs": None}]
    )[0]  # fmt: skip
    _, _, terminations, _, infos = envs.step((Turn("x"), wait))
    assert terminations.tolist() == [True, False]
    envs.reset(options={"reset_mask": np.array([True, False])})
    _, _, terminations, _, infos = envs.step((wait, wait))
    assert not terminations.any()
    assert infos["turn"].tolist() == [1, 2]
    envs.close()


def test_wrappers_go_into_vector_environments():
    from faultgym.envs.gym.wrappers import HermesText

    envs = gym.make_vec("faultgym/Orders-v0", num_envs=2, vectorization_mode="sync", wrappers=(HermesText,))
    envs.reset(seed=0)
    envs.action_space.seed(0)
    envs.step(("done", "<tool_call>{</tool_call>"))
    assert all(isinstance(text, str) for text in envs.action_space.sample())
    envs.close()
