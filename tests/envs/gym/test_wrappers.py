"""The wrappers: budgets, raw text, shaped rewards, forks of wrapped environments."""

import json

import gymnasium as gym
import numpy as np
import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.envs.gym.env import ToolEnv
from faultgym.envs.gym.spaces import TurnSpace
from faultgym.envs.gym.wrappers import HermesText, RewardShaping, TextSpace, TimeBudget, TokenBudget, TurnLimit, forked
from faultgym.envs.judging.form import ANSWERS
from faultgym.envs.limits import turn_tokens
from faultgym.envs.messages.hermes import format_hermes
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall


def call(name, **arguments) -> Turn:
    return Turn(tool_calls=(ToolCall("call_0", name, arguments),))


WAIT = call("wait", seconds=10)


@pytest.fixture
def env(bookshelf):
    return ToolEnv(bookshelf)


BUDGETS = [
    (lambda env: TurnLimit(env, 3), "turn_limit"),
    (lambda env: TokenBudget(env, 3 * turn_tokens(WAIT)), "token_budget"),
    (lambda env: TimeBudget(env, 30), "time_budget"),
]
budgets = pytest.mark.parametrize(("wrap", "stop"), BUDGETS, ids=[stop for _, stop in BUDGETS])


@budgets
def test_the_turn_that_uses_a_budget_up_truncates_with_a_verdict(env, wrap, stop):
    env = wrap(env)
    env.reset(seed=0)
    for _ in range(2):
        _, _, terminated, truncated, info = env.step(WAIT)
        assert (terminated, truncated, "success" in info) == (False, False, False)
    _, reward, terminated, truncated, info = env.step(WAIT)
    assert (reward, terminated, truncated, info["success"]) == (0.0, False, True, False)
    assert info["reason"]
    assert env.unwrapped.episode.stop == stop
    assert env.unwrapped.episode.verdict is not None


@budgets
def test_a_step_after_truncation_needs_a_reset(env, wrap, stop):
    env = wrap(env)
    for _ in range(2):
        env.reset(seed=0)
        for _ in range(3):
            env.step(WAIT)
        with pytest.raises(gym.error.ResetNeeded):
            env.step(WAIT)


@budgets
def test_a_final_turn_terminates_also_as_the_last_one(env, wrap, stop):
    env = wrap(env)
    env.reset(seed=0)
    env.step(WAIT)
    env.step(WAIT)
    _, _, terminated, truncated, info = env.step(Turn("x" * 1000))
    assert (terminated, truncated, "success" in info) == (True, False, True)
    assert env.unwrapped.episode.stop == "final"


@budgets
@pytest.mark.parametrize("answers", ANSWERS)
def test_a_goal_reached_without_a_final_turn_is_not_rewarded_at_truncation(bookshelf, wrap, stop, answers):
    env = wrap(ToolEnv(bookshelf, answers=answers))
    env.reset(options={"task": bookshelf.task("lend", style="tools")})
    env.step(call("lend_book", book_id=env.unwrapped.task.params["book_id"]))
    rewards = []
    while not env.unwrapped.episode.stop:
        _, reward, terminated, truncated, info = env.step(WAIT)
        rewards.append(reward)
    verdict = None if answers == "text" else False  # no text says that the work is done, and none denies it
    assert (rewards[-1], terminated, truncated, info["success"]) == (0.0, False, True, verdict)
    assert not any(rewards[:-1])


@budgets
def test_a_fork_of_a_wrapped_environment_counts_for_itself(env, wrap, stop):
    env = wrap(env)
    env.reset(seed=0)
    env.step(WAIT)
    twin = forked(env)
    assert type(twin) is type(env)
    assert not env.step(WAIT)[3]
    assert env.step(WAIT)[3]
    assert not twin.step(WAIT)[3]
    assert twin.step(WAIT)[3]


@budgets
def test_a_restored_snapshot_is_counted_from_where_it_was_taken(env, wrap, stop):
    env = wrap(env)
    env.reset(seed=0)
    snapshot = env.unwrapped.snapshot()
    for _ in range(3):
        env.step(WAIT)
    env.unwrapped.restore(snapshot)
    assert [env.step(WAIT)[3] for _ in range(3)] == [False, False, True]


def test_the_inner_of_two_budgets_truncates_once(env):
    env = TurnLimit(TimeBudget(env, 10), 1)
    env.reset(seed=0)
    assert env.step(WAIT)[2:4] == (False, True)
    assert env.unwrapped.episode.stop == "time_budget"


@pytest.mark.parametrize(
    ("wrapper", "name"), [(TurnLimit, "max_turns"), (TokenBudget, "max_tokens"), (TimeBudget, "seconds")]
)
@pytest.mark.parametrize("amount", [0, -1, float("nan")])
def test_a_budget_of_nothing_is_refused(env, wrapper, name, amount):
    with pytest.raises(ValueError, match=name):
        wrapper(env, **{name: amount})


@pytest.mark.parametrize(("wrapper", "name"), [(TurnLimit, "max_turns"), (TokenBudget, "max_tokens")])
def test_a_budget_of_less_than_one_whole_turn_or_token_is_refused(env, wrapper, name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        wrapper(env, **{name: 0.5})


def test_wrappers_refuse_other_environments():
    with pytest.raises(TypeError, match="ToolEnv"):
        TurnLimit(gym.make("CartPole-v1"))


def test_token_ids_count_where_there_are_any():
    assert turn_tokens(Turn("x" * 100, token_ids=(1, 2, 3))) == 3
    assert turn_tokens(Turn("x" * 9)) == 3
    assert turn_tokens(Turn("", (ToolCall("a", "sql", {"query": "abcd", "n": 5}),), "think")) == 6
    assert turn_tokens(Turn("", (ToolCall("a", "sql", None, "x" * 5),))) == 2


def test_wrappers_are_recorded_in_the_spec():
    env = gym.make("faultgym/Orders-v0")
    env = HermesText(RewardShaping(TimeBudget(TokenBudget(env, 100), 5.0), call=-0.1))
    again = gym.envs.registration.EnvSpec.from_json(env.spec.to_json()).make()
    assert again.spec == env.spec
    assert [type(env), type(env.env)] == [type(again), type(again.env)]
    assert again.env.parts == {"call": -0.1}


def test_text_actions_do_what_their_turns_do(env, bookshelf):
    task = bookshelf.task("price", style="tools")
    book = task.params["book_id"]
    text = f'<think>look</think><tool_call>{{"name": "get_book", "arguments": {{"book_id": "{book}"}}}}</tool_call>'
    raw = HermesText(ToolEnv(bookshelf))
    raw.reset(options={"task": task})
    env.reset(options={"task": task})
    assert raw.step(text) == env.step(call("get_book", book_id=book))
    assert raw.unwrapped.episode.turns[0].turn.reasoning == "look"
    arguments = {"outcome": "answered", "fields": {"price": f"{int(task.goal.expected[0].text) / 100:.2f} EUR"}}
    answer = f'<tool_call>{{"name": "answer", "arguments": {json.dumps(arguments)}}}</tool_call>'
    assert raw.step(answer)[1:3] == (1.0, True)


@pytest.mark.parametrize(
    "inside", ["", "{", "[]", '{"name": "sql", "arguments": {"query": "SEL', '{"arguments": {}}', '{"name": 1}', "null"]
)
def test_text_that_is_no_call_is_answered_as_malformed(env, inside):
    env = HermesText(env)
    env.reset(seed=0)
    observation, _, terminated, _, _ = env.step(f"<tool_call>{inside}</tool_call>")
    assert not terminated
    assert [result.code for result in observation.messages] == ["malformed_call"]


@given(st.text(max_size=60).map(lambda text: f"<tool_call>{text}"))
@settings(deadline=None, max_examples=examples(60))
def test_no_text_raises(text):
    env = HermesText(gym.make("faultgym/Orders-v0"))
    env.reset(options={"task": "orders/order_status/train/0"})
    env.step(text)


def test_sampled_texts_are_contained_and_seeded(env):
    space = HermesText(env).action_space
    assert isinstance(space, TextSpace)
    space.seed(4)
    samples = [space.sample() for _ in range(50)]
    assert all(sample in space for sample in samples)
    space.seed(4)
    assert samples == [space.sample() for _ in range(50)]
    assert 1 not in space


@pytest.mark.parametrize("seed", [int, np.random.default_rng])
def test_a_space_of_texts_draws_what_a_space_of_turns_draws_with_the_same_seed(bookshelf, seed):
    texts, turns = TextSpace(TurnSpace(bookshelf, seed=5), seed(4)), TurnSpace(bookshelf, seed(4))
    assert [texts.sample() for _ in range(20)] == [format_hermes(turns.sample()) for _ in range(20)]


def test_a_space_of_texts_without_a_seed_takes_the_generator_of_its_turns(bookshelf):
    texts, turns = TextSpace(TurnSpace(bookshelf, seed=5)), TurnSpace(bookshelf, seed=5)
    assert [texts.sample() for _ in range(20)] == [format_hermes(turns.sample()) for _ in range(20)]


def test_shaping_adds_each_part_and_says_so(env, bookshelf):
    env = RewardShaping(env, turn=-1, call=-2, bad_call=-10, failed_call=-20, second=-0.5, token=-0.25)
    env.reset(options={"task": bookshelf.task("price", style="tools")})
    wrong = call("wait")
    absent = call("get_book", book_id="BOK-1")
    for turn, parts in (
        (WAIT, {"turn": -1, "call": -2, "second": -5.0, "token": -0.25 * turn_tokens(WAIT)}),
        (wrong, {"turn": -1, "call": -2, "bad_call": -10, "token": -0.25 * turn_tokens(wrong)}),
        (absent, {"turn": -1, "call": -2, "failed_call": -20, "token": -0.25 * turn_tokens(absent)}),
    ):
        _, reward, _, _, info = env.step(turn)
        assert {name: worth for name, worth in info["reward_parts"].items() if worth} == parts
        assert reward == sum(parts.values())


def test_shaping_without_parts_changes_nothing(env, bookshelf):
    shaped = RewardShaping(ToolEnv(bookshelf))
    for each in (env, shaped):
        each.reset(seed=0)
    plain, same = env.step(WAIT), shaped.step(WAIT)
    assert same[:4] == plain[:4]
    assert same[4] == {**plain[4], "reward_parts": {"inner": 0.0}}
