"""The action and the observation space."""

import copy
import json
import pickle
from collections import Counter
from dataclasses import replace

import gymnasium as gym
import pytest

from faultgym.envs.gym.env import ToolEnv
from faultgym.envs.gym.spaces import ObservationSpace, TurnSpace
from faultgym.envs.messages.turn import Message, Observation, Turn
from faultgym.tools.toolbox import BadArguments, MalformedCall, parse_arguments
from faultgym.tools.types import ToolCall

CALL = ToolCall("call_0", "sql", {"query": "SELECT 1"})


@pytest.fixture
def turns(bookshelf):
    return TurnSpace(bookshelf, seed=1)


@pytest.fixture(params=["turns", "observations"])
def space(request, bookshelf):
    return TurnSpace(bookshelf, seed=1) if request.param == "turns" else ObservationSpace(seed=1)


def test_every_sample_is_contained(space):
    assert all(space.sample() in space for _ in range(300))


def test_the_same_seed_gives_the_same_samples(space):
    first = [space.sample() for _ in range(20)]
    space.seed(1)
    assert first == [space.sample() for _ in range(20)]


def test_a_pickled_or_copied_space_goes_on_as_the_original(space):
    twins = [pickle.loads(pickle.dumps(space)), copy.deepcopy(space)]
    expected = [space.sample() for _ in range(5)]
    assert all(twin == space for twin in twins)
    assert all([twin.sample() for _ in range(5)] == expected for twin in twins)


def test_samples_survive_a_trip_through_json(space):
    samples = [space.sample() for _ in range(50)]
    text = json.dumps(space.to_jsonable(samples))
    assert space.from_jsonable(json.loads(text)) == samples


def test_token_ids_and_logprobs_survive_a_trip_through_json(turns):
    turn = Turn("x", (CALL,), confidence=0.5, token_ids=(1, 2), logprobs=(-0.5, -1.0))
    assert turns.from_jsonable(json.loads(json.dumps(turns.to_jsonable([turn])))) == [turn]


def test_spaces_of_the_same_suite_are_equal_and_others_are_not(bookshelf):
    other = replace(bookshelf, name="smaller", templates={}, service=type(bookshelf.service)("x", []))
    assert TurnSpace(bookshelf) == TurnSpace(bookshelf)
    assert TurnSpace(bookshelf) != TurnSpace(other)
    assert TurnSpace(bookshelf) != ObservationSpace() == ObservationSpace()


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "text",
        replace(Turn(), text=1),
        replace(Turn(), tool_calls=[CALL]),
        replace(Turn(), tool_calls=("sql",)),
        replace(Turn(), tool_calls=(replace(CALL, arguments=[1]),)),
        replace(Turn(), tool_calls=(replace(CALL, id=1),)),
        replace(Turn(), confidence=1.5),
        replace(Turn(), confidence=True),
        replace(Turn(), token_ids=[1]),
        replace(Turn(), logprobs=(1,)),
        replace(Turn(), finish_reason=None),
    ],
)
def test_what_is_no_turn_is_not_contained(turns, wrong):
    assert wrong not in turns


@pytest.mark.parametrize("wrong", [None, (), Observation([]), Observation((Message("user", 1),)), Observation(("x",))])
def test_what_is_no_observation_is_not_contained(wrong):
    assert wrong not in ObservationSpace()


def test_masks_are_refused(space):
    with pytest.raises(ValueError, match="no masks"):
        space.sample(mask=1)


def kind_of(turn: Turn, tools) -> str:
    if turn.final:
        return "final"
    try:
        for call in turn.tool_calls:
            if call.name not in tools:
                return "unknown tool"
            tools[call.name].declaration.check(parse_arguments(call))
    except (MalformedCall, BadArguments):
        return "wrong arguments"
    return "fits"


def test_most_samples_fit_the_tools_and_some_do_not(bookshelf, turns):
    from faultgym.tools.toolbox import STANDARD

    tools = {**STANDARD, **bookshelf.endpoint_tools}
    found = Counter(kind_of(turns.sample(), tools) for _ in range(1000))
    assert 700 < found["fits"] < 900
    assert min(found["final"], found["unknown tool"], found["wrong arguments"]) > 10


def test_samples_reach_tables_documents_and_routes(bookshelf):
    env = ToolEnv(bookshelf)
    env.action_space.seed(0)
    env.reset(seed=0)
    codes = Counter()
    for _ in range(300):
        observation, _, terminated, _, _ = env.step(env.action_space.sample())
        codes.update((result.name, result.code) for result in observation.messages)
        if terminated:
            env.reset()
    assert {("sql", "ok"), ("http", "ok"), ("search", "ok"), ("list_books", "ok"), ("get_book", "http_404")} <= set(
        codes
    )


def test_vector_environments_batch_the_spaces_to_tuples(space):
    batched = gym.vector.utils.batch_space(space, 3)
    assert isinstance(batched, gym.spaces.Tuple)
    samples = batched.sample()
    assert len(samples) == 3
    assert samples in batched
    assert list(gym.vector.utils.iterate(batched, samples)) == list(samples)
    assert gym.vector.utils.concatenate(space, samples, None) == samples
