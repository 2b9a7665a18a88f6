"""Environments as classes of tools: what they show, that they are the same episodes, and that nothing leaks."""

import inspect
import json
import sqlite3
from dataclasses import replace

import pytest
from helpers.environments import TASK, begun, environment
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.plan import RolloutRequest
from faultgym.agents.rollouts.play import run_episode
from faultgym.core.errors import PlanError, TaskError, UserError
from faultgym.envs.episode import Episode, run_reference
from faultgym.envs.judging.answering import ACKNOWLEDGED
from faultgym.envs.limits import Limits
from faultgym.envs.messages.hermes import parse_hermes
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import registered, suite_named, task_by_id
from faultgym.tools.types import ToolCall
from faultgym.training.environments.counts import Counts
from faultgym.training.environments.factory import TURN, ToolEpisode, environment_class, environments_of, specs_of
from faultgym.training.environments.reward import Reward
from faultgym.training.environments.rewards import reward_functions
from faultgym.training.environments.task_rows import task_rows

RATE_LIMITED = '{"version": 1, "name": "", "rules": [{"kind": "rate_limited", "trigger": {"first": 2}}]}'


def public(kind) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize("task", [TASK, "orders/cancel_order/train/0:tools", "incidents/minutes_between/train/2:tools"])
def test_a_class_offers_its_tasks_tools_and_reset_and_nothing_else(task):
    found = task_by_id(task)
    kind = environment_class(found.suite, found.tools)
    assert public(kind) == {*found.tools, "reset"}
    assert specs_of(kind) == Episode(found, answers="text").tools


@pytest.mark.parametrize("task", [TASK, "orders/cancel_order/train/0:tools", "incidents/minutes_between/train/2:tools"])
def test_the_expert_acting_through_the_methods_sees_what_it_sees_in_a_rollout(task):
    schedule = schedule_for(task_by_id(task), "rough", 3)
    played = run_episode(policy_named("expert"), task_by_id(task), schedule, answers="text")
    made = begun(task, "rough")
    for step in played.turns:
        answers = [getattr(made, r.call.name)(**r.call.arguments) for r in step.calls]
        assert answers == [r.result.content for r in step.calls]
    ended = made._end([{"role": "assistant", "content": played.turns[-1].turn.text}])
    assert ended.trace.verdict == played.verdict
    assert ended.trace.events == tuple(played.events)
    assert ended.counts.calls == played.calls


HOSTILE = [
    ("sql", {}),
    ("sql", {"query": 5}),
    ("sql", {"query": None}),
    ("sql", {"self": "x", "query": "SELECT 1"}),
    ("sql", {"query": "SELECT 1", "name": "x", "arguments": {}}),
    ("sql", {"query": "x" * 100_000}),
    ("sql", {"query": "\ud800"}),
    ("sql", {"query": {1, 2}}),
    ("http", {"method": "FETCH", "path": "/v1/orders"}),
    ("http", {"method": "GET", "path": "/v1/orders", "query": {"limit": [1]}}),
    ("http", {"method": "GET", "path": "/v1/orders", "nonsense": True}),
    ("http", {"method": "POST", "path": "/v1/token", "body": {"a": 2**70}}),
    ("wait", {"seconds": float("nan")}),
    ("wait", {"seconds": -1}),
    ("search", {"query": "refunds", "page": 10**30}),
]


@pytest.mark.parametrize(("name", "arguments"), HOSTILE, ids=[f"{n}-{i}" for i, (n, _) in enumerate(HOSTILE)])
def test_a_bad_call_is_answered_as_in_a_rollout_and_never_raises(name, arguments):
    made = begun()
    answer = getattr(made, name)(**arguments)
    episode = Episode(task_by_id(TASK), answers="text")
    (expected,) = episode.step(Turn(tool_calls=(ToolCall("c", name, arguments),))).messages
    assert answer == expected.content.replace("\ud800", "\ufffd")
    ended = made._end([{"role": "assistant", "content": "done"}])
    assert ended.counts.bad_calls == int(expected.code in ("missing_argument", "unknown_argument", "invalid_argument",
                                                            "malformed_call"))  # fmt: skip


@settings(max_examples=examples(60), deadline=None)
@given(st.text(max_size=300), st.lists(st.sampled_from(["sql", "nothing", "", "reset", "http"]), max_size=20))
def test_no_text_of_a_model_raises_or_leaves_an_episode_unjudged(text, names):
    text += "".join(f'<tool_call>\n{{"name": "{name}", "arguments": {{"a": 1}}}}\n</tool_call>' for name in names)
    made = begun()
    turn = parse_hermes(text)
    for _ in turn.tool_calls:
        assert isinstance(made._answer(turn), str)
    ended = made._end([{"role": "assistant", "content": "x", TURN: turn}])
    assert ended is not None
    assert ended.trace.verdict is not None
    assert len(ended.trace.steps[0].calls) == len(turn.tool_calls)


def state(made: ToolEpisode):
    episode = made._episode
    return (episode.task, episode.schedule, episode.world.image.fingerprint, episode.world.digest(), episode.opening,
            episode.world.clock.now, episode.session.token, episode.calls, episode.events)  # fmt: skip


def group(row, size=3) -> list[ToolEpisode]:
    kind = environments_of([row])[row["environment"]]
    members = [kind() for _ in range(size)]
    for member in members:
        member.reset(**row)
    return members


def test_the_members_of_a_group_begin_in_the_same_state():
    rows = task_rows(RolloutRequest(("orders", "incidents"), "train", per_template=2, faults=("mild", "rough")))
    for row in rows[::5]:
        first, *others = map(state, group(row))
        assert others == [first, first]


def test_two_groups_differ_in_their_task_or_in_their_faults():
    tasks = [state(group(row, 1)[0]) for row in task_rows(RolloutRequest(("orders",), "train", per_template=2))]
    assert all(a != b for n, a in enumerate(tasks) for b in tasks[:n])
    seeds = task_rows(
        RolloutRequest(("orders",), "train", ("cancel_order",), per_template=1, faults=("rough",), trials=6)
    )
    schedules = {state(group(row, 1)[0])[1] for row in seeds}
    assert len(schedules) >= 5


def test_what_one_member_does_no_other_sees():
    one, other = begun(faults=RATE_LIMITED), begun(faults=RATE_LIMITED)
    before = state(other)
    solution = run_episode(policy_named("expert"), task_by_id(TASK), schedule_for(task_by_id(TASK), "clean"))
    for record in solution.records * 3:
        getattr(one, record.call.name)(**record.call.arguments)
    assert state(one) != before
    assert state(other) == before


def test_a_pooled_instance_carries_nothing_from_one_episode_to_the_next():
    used = begun(faults=RATE_LIMITED)
    solution = run_episode(policy_named("expert"), task_by_id(TASK), schedule_for(task_by_id(TASK), "clean"))
    for record in solution.records * 3:
        getattr(used, record.call.name)(**record.call.arguments)
        used.wait(seconds=60)
    used.wait(seconds=5000)
    world = used._episode.world
    assert world.effects
    assert world.clock.now > 5000
    used._end([{"role": "assistant", "content": "done"}])
    other = "orders/order_status/train/1:http"
    used.reset(task=other, faults="rough", fault_seed=9)
    fresh = begun(other, "rough", 9)
    assert state(used) == state(fresh)
    assert {n: v for n, v in vars(used).items() if n not in ("_budget", "_episode", "_limits")} == {
        n: v for n, v in vars(fresh).items() if n not in ("_budget", "_episode", "_limits")
    }
    assert used._episode.world.effects == []


def test_reset_and_close_free_the_databases_of_the_episodes_before():
    made = begun()
    solution = run_episode(policy_named("expert"), task_by_id(TASK), schedule_for(task_by_id(TASK), "clean"))

    def write():
        for record in solution.records:
            getattr(made, record.call.name)(**record.call.arguments)
        return made._episode.world.guarded_writable().raw

    for end in (lambda: made.reset(task=TASK), made._close):
        own = write()
        end()
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            own.execute("SELECT 1")
    made._close()


def test_what_fires_is_planned_by_the_row_alone():
    made = begun(faults=RATE_LIMITED)
    first = made.http(method="GET", path="/v1/orders/ORD-1")
    assert first.startswith("HTTP 429")
    assert [e.kind for e in made._episode.events] == ["rate_limited"]


def test_a_turn_of_several_calls_is_one_step_and_its_answers_come_in_order():
    asked = [("sql", '{"query": "SELECT 1 AS a"}'), ("gone", "{}"), ("sql", '{"query": '), ("wait", '{"seconds": 3}')]
    turn = parse_hermes("".join(f'<tool_call>{{"name": "{n}", "arguments": {a}}}</tool_call>' for n, a in asked))
    made = begun()
    answers = [made._answer(turn) for _ in turn.tool_calls]
    assert answers == [r.result.content for r in made._episode.turns[0].calls]
    codes = [r.result.code for r in made._episode.records]
    assert codes == ["ok", "unknown_tool", "malformed_call", "ok"]
    assert json.loads(answers[0])["rows"] == [{"a": 1}]


def test_the_final_text_is_judged_by_the_goal():
    task = task_by_id("orders/order_status/train/1:http")
    solution = run_episode(policy_named("expert"), task, schedule_for(task, "clean"), answers="text")
    for text, success in ((solution.turns[-1].turn.text, True), ("I do not know.", False)):
        made = begun(task.id)
        for record in solution.records:
            getattr(made, record.call.name)(**record.call.arguments)
        ended = made._end([{"role": "assistant", "content": text}])
        assert ended.counts.success is success
        assert ended is made._end([{"role": "assistant", "content": "something else"}])


def test_an_episode_that_the_trainer_cut_off_ends_as_a_chat_without_room():
    made = begun()
    made.sql(query="SELECT 1")
    called = {"type": "function", "function": {"name": "sql", "arguments": {}}}
    ended = made._end([{"role": "assistant", "content": "", "tool_calls": [called]}])
    assert ended.cut
    assert not ended.counts.success
    assert ended.trace.steps[-1].turn.finish_reason == "context_overflow"


def test_the_limit_of_turns_ends_an_episode_as_in_a_rollout():
    made = begun(limits=Limits(turns=2))
    assert "rows" in made.sql(query="SELECT 1")
    assert "rows" in made.sql(query="SELECT 2")
    assert made.sql(query="SELECT 3") == "error: the episode is over"
    ended = made._end([])
    assert (ended.trace.stop, ended.cut, len(ended.trace.steps)) == ("turn_limit", True, 2)


@pytest.mark.parametrize(
    ("row", "error", "match"),
    [
        ({"task": "orders/nothing/train/0"}, TaskError, "nothing"),
        ({"task": TASK.replace("http", "tools")}, TaskError, "offers other tools"),
        ({"task": "incidents/minutes_between/train/2:http"}, TaskError, "offers other tools"),
        ({"task": TASK, "faults": "loud"}, PlanError, "loud"),
        ({"task": TASK, "faults": '{"rules": '}, PlanError, "not valid JSON"),
    ],
)
def test_a_row_that_cannot_be_is_refused(row, error, match):
    with pytest.raises(error, match=match):
        environment().reset(**row)


def test_an_end_without_a_beginning_is_refused():
    with pytest.raises(UserError, match="before reset"):
        environment()._end([])


def test_a_tool_cannot_have_a_name_that_trainers_give_a_meaning():
    with pytest.raises(TaskError, match="no tool 'get_reward'"):
        environment_class("orders", ("get_reward",))


@pytest.mark.parametrize("split", ["dev", "test", "unseen_faults"])
def test_rows_of_splits_that_are_kept_for_measuring_are_refused(split):
    with pytest.raises(UserError, match="kept for measuring"):
        task_rows(RolloutRequest(("orders",), split))


def test_the_signature_takes_arguments_by_name():
    kinds = inspect.signature(environment().http).parameters
    assert list(kinds) == ["method", "path", "query", "headers", "body"]
    assert [n for n, p in kinds.items() if p.default is p.empty] == ["method", "path"]


def typed(template: str) -> tuple[ToolEpisode, dict]:
    """An episode with typed answers, and its row."""
    (row,) = task_rows(RolloutRequest(("orders",), "train", (template,), per_template=1, answers="typed"))
    made = environments_of([row])[row["environment"]]()
    made.reset(**row)
    return made, row


def test_with_typed_answers_the_environment_gives_the_reward_itself():
    made, _ = typed("cancel_order")
    episode = made._episode
    solved, answer = run_reference(episode.task, episode.schedule)
    for record in solved.records:
        getattr(made, record.call.name)(**record.call.arguments)
    assert made.answer(outcome=answer.outcome, message=answer.text) == ACKNOWLEDGED
    assert made.get_reward() == Reward().total(Counts.of(made._ended.trace)) > 0.9


def test_the_reward_that_is_given_is_made_of_the_parts_that_were_asked_for():
    _, row = typed("cancel_order")
    made = environments_of([row])[row["environment"]](reward=Reward(verdict=2.0, calls=-0.1))
    made.reset(**row)
    made.http(method="GET", path="/v1/orders")
    assert made.answer(outcome="done") == ACKNOWLEDGED
    assert made.get_reward() == pytest.approx(-0.1)


def test_reward_functions_leave_the_reward_to_environments_that_give_it():
    made, _ = typed("cancel_order")
    made.answer(outcome="done")
    for function in reward_functions():
        assert function(completions=[[]], environments=[made]) == [None]
    assert made.get_reward() == 0.0


def test_trainers_can_tell_all_classes_apart_by_their_names():
    asked = [
        RolloutRequest(("orders", "incidents"), "train", per_template=1, style=style, answers=answers)
        for style in ("http", "tools")
        for answers in ("typed", "text")
    ]
    kinds = environments_of([row for one in asked for row in task_rows(one)])
    assert len({kind.__name__ for kind in kinds.values()}) == len(set(kinds.values())) == len(kinds) > 7
    assert all(kind.__name__.isidentifier() for kind in kinds.values())


def test_what_kept_an_episode_from_beginning_is_said_although_no_trace_can_be_made_of_it():
    nowhere = (
        '{"version": 1, "name": "", "rules": [{"kind": "rate_limited", "route": "nowhere", "trigger": {"nth": 1}}]}'
    )
    with registered(replace(suite_named("orders"), name="moved")):
        task = task_by_id("moved/cancel_order/train/0")
        made = environment_class("moved", task.tools)()
        made.reset(task=task.id, faults=nowhere)
    with pytest.raises(PlanError, match="nowhere"):
        made._end([])


def test_a_typed_episode_without_an_answer_is_worth_nothing():
    made, _ = typed("cancel_order")
    assert made.get_reward() == 0.0
    assert not made._ended.trace.verdict.success


def test_a_row_is_for_the_class_that_ends_as_it_says():
    made, row = typed("cancel_order")
    with pytest.raises(TaskError, match="is to be answered by text"):
        made.reset(**{**row, "answers": "text"})


def test_the_prompt_of_a_typed_row_names_the_tool_to_end_with():
    _, row = typed("cancel_order")
    assert "call the tool answer once" in row["prompt"][0]["content"]
