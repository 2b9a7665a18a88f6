"""The engine: the same traces at any concurrency, limits, retries of what deserves one, a clean stop and a resume."""

import asyncio
import random
from pathlib import Path

import pytest
from helpers.run_folders import compacted
from helpers.served import no_sleep, traces

from faultgym.agents.rollouts.engine import ATTEMPTS, Engine, rollout
from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest, plan_difference
from faultgym.agents.rollouts.stop import Stop
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.core.errors import PlanError, TaskError, TraceError, UserError
from faultgym.envs.limits import Limits
from faultgym.envs.messages.turn import Turn
from faultgym.envs.registry import task_by_id
from faultgym.tools.types import ToolCall


def make_plan(per_template=6, limits=None, **asked) -> RolloutPlan:
    asked = {"suites": ("bookshelf",), "faults": ("clean", "rough"), **asked}
    return RolloutPlan.make(RolloutRequest(per_template=per_template, **asked), limits)


def run(plan, policy, folder: Path, **more):
    return asyncio.run(rollout(plan, policy, folder, **more))


# ---- the plan ---------------------------------------------------------------------------------------


def test_a_plan_names_each_task_preset_and_trial_once(players):
    plan = make_plan(3, trials=2)
    assert len(plan.episodes) == 2 * 3 * 2 * 2
    assert len(set(plan.ids({"name": "x"}))) == len(plan.episodes)
    assert {e.trial for e in plan.episodes} == {0, 1}


def test_seeds_depend_on_what_they_are_for_and_not_on_the_rest_of_the_plan(players):
    small, large = make_plan(2, faults=("rough",)), make_plan(5, trials=3)
    seeds = {(e.task, e.faults, e.trial): (e.fault_seed, e.policy_seed) for e in large.episodes}
    assert all(seeds[e.task, e.faults, e.trial] == (e.fault_seed, e.policy_seed) for e in small.episodes)
    assert len({s for pair in seeds.values() for s in pair}) == 2 * len(seeds)
    assert make_plan(2, seed=1).episodes[0].fault_seed != make_plan(2).episodes[0].fault_seed


def test_the_style_can_be_chosen_for_all_tasks(players):
    for style in ("http", "tools"):
        plan = make_plan(4, style=style)
        assert {task_by_id(spec.task).style for spec in plan.episodes} == {style}


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"suites": ("shop",)}, TaskError, "shop"),
        ({"split": "tset"}, TaskError, "tset"),
        ({"templates": ("prise",)}, TaskError, "price"),
        ({"faults": ("tough",)}, PlanError, "rough"),
        ({"trials": 0}, UserError, "at least one"),
        ({"split": "unseen_compositions"}, TaskError, "no tasks"),
    ],
)
def test_a_plan_that_cannot_be_had_is_refused_with_what_there_is(players, asked, error, words):
    with pytest.raises(error, match=words):
        make_plan(**asked)


def test_a_plan_with_an_episode_twice_is_refused(players):
    spec = EpisodeSpec("bookshelf/price/test/0")
    with pytest.raises(UserError, match="twice"):
        RolloutPlan((spec, spec)).ids({"name": "x"})


# ---- order and concurrency --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["clerk", "slow_clerk"])
def test_any_concurrency_gives_the_same_bytes(players, tmp_path, kind):
    plan, policy = make_plan(trials=2), getattr(players, kind)
    for in_flight in (1, 7, 64):
        run(plan, policy, tmp_path / str(in_flight), in_flight=in_flight)
    assert compacted(tmp_path / "1") == compacted(tmp_path / "7") == compacted(tmp_path / "64")


def test_awaiting_or_not_makes_no_difference_to_what_happens(players, tmp_path):
    class Later:
        def __init__(self, opening):
            self.clerk = players.Clerk(opening)

        async def act(self, observation, tools):
            await asyncio.sleep(0)
            return self.clerk.act(observation, tools)

    plan = make_plan()
    run(plan, players.clerk, tmp_path / "sync")
    run(plan, players.Player(Later), tmp_path / "async")
    assert compacted(tmp_path / "sync") == compacted(tmp_path / "async")


def test_no_more_episodes_are_in_flight_than_allowed_and_no_fewer(players, tmp_path):
    running, most = 0, 0

    class Counted:
        def __init__(self, opening):
            nonlocal running, most
            running += 1
            most = max(most, running)

        async def act(self, observation, tools):
            nonlocal running
            for _ in range(10):
                await asyncio.sleep(0)
            running -= 1
            return Turn("done")

    run(make_plan(20), players.Player(Counted), tmp_path / "run", in_flight=5)
    assert most == 5


# ---- limits -----------------------------------------------------------------------------------------


class Waits:
    """Never ends by itself; each turn takes two virtual seconds and five tokens."""

    def __init__(self, opening):
        self.opening = opening

    def act(self, observation, tools):
        calls = tuple(ToolCall(str(n), "wait", {"seconds": 1}) for n in range(2))
        return Turn("", calls, token_ids=(1, 2, 3, 4, 5))


@pytest.mark.parametrize(
    ("limits", "stop", "turns"),
    [
        (Limits(turns=3), "turn_limit", 3),
        (Limits(calls=5), "call_limit", 3),
        (Limits(tokens=11), "token_budget", 3),
        (Limits(virtual_seconds=6), "time_budget", 3),
        (Limits(turns=None, tokens=20), "token_budget", 4),
    ],
)
def test_a_limit_ends_the_episode_after_the_turn_that_reaches_it_and_it_is_judged(
    players, tmp_path, limits, stop, turns
):
    run(make_plan(1, limits), players.Player(Waits), tmp_path / "run")
    for trace in traces(tmp_path / "run"):
        assert (trace.stop, len(trace.steps)) == (stop, turns)
        assert trace.verdict is not None
        assert trace.tokens == 5 * turns


def test_the_wall_limit_ends_a_policy_that_never_answers(players, tmp_path):
    class Dead:
        def __init__(self, opening):
            pass

        async def act(self, observation, tools):
            await asyncio.Event().wait()

    run(make_plan(1, Limits(wall_seconds=0.01)), players.Player(Dead), tmp_path / "run")
    assert {(t.stop, len(t.steps)) for t in traces(tmp_path / "run")} == {("wall_limit", 0)}


def test_a_timeout_of_the_policys_own_is_not_taken_for_the_wall_limit(players, tmp_path):
    class Late:
        def __init__(self, opening):
            pass

        async def act(self, observation, tools):
            raise TimeoutError("no answer")

    run(make_plan(1, Limits(wall_seconds=60)), players.Player(Late), tmp_path / "run")
    assert {t.harness_error.type for t in traces(tmp_path / "run")} == {"TimeoutError"}


# ---- failures ---------------------------------------------------------------------------------------


def test_a_harness_error_is_tried_again_with_growing_pauses_and_leaves_no_mark(players, tmp_path):
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    plan = make_plan(4, faults=("clean",))
    progress = run(plan, players.Trouble(times=ATTEMPTS - 1), tmp_path / "run", sleep=sleep)
    assert progress.failed == 0
    assert sorted(pauses) == [1.0] * 4 + [4.0] * 4
    calm = players.Trouble(when=lambda task: False)
    run(plan, calm, tmp_path / "calm")
    ended = {t.task.id: t.verdict for t in traces(tmp_path / "calm")}
    assert {t.task.id: t.verdict for t in traces(tmp_path / "run")} == ended


def test_after_the_last_attempt_the_failure_is_on_record_and_the_batch_goes_on(players, tmp_path):
    plan = make_plan(4, faults=("clean",))
    progress = run(plan, players.Trouble(), tmp_path / "run", sleep=no_sleep)
    assert (progress.done, progress.failed) == (8, 4)
    for trace in traces(tmp_path / "run"):
        if trace.task.index % 2:
            assert trace.verdict is None
            assert (trace.stop, trace.harness_error.attempts) == ("harness_error", ATTEMPTS)
            assert trace.harness_error.message == "the server is gone"
            assert len(trace.steps) == 1
        else:
            assert trace.verdict is not None


def test_a_bug_in_a_policy_is_recorded_at_once_and_not_tried_again(players, tmp_path):
    policy = players.Trouble(error=KeyError("price"))
    progress = run(make_plan(4, faults=("clean",)), policy, tmp_path / "run")
    assert progress.failed == 4
    assert set(policy.attempts.values()) == {1}
    failed = [t for t in traces(tmp_path / "run") if t.harness_error]
    assert {t.harness_error.type for t in failed} == {"KeyError"}
    assert all(t.harness_error.where[-1].endswith("in act") for t in failed)


@pytest.mark.parametrize("given", [None, "text", 3])
def test_a_policy_that_gives_no_turn_is_named(players, tmp_path, given):
    class Wrong:
        def __init__(self, opening):
            pass

        def act(self, observation, tools):
            return given

    run(make_plan(1), players.Player(Wrong), tmp_path / "run")
    assert all("Wrong.act" in t.harness_error.message for t in traces(tmp_path / "run"))


def test_an_episode_that_cannot_begin_is_on_record(players, tmp_path):
    plan = RolloutPlan((EpisodeSpec("bookshelf/gone/test/0"), EpisodeSpec("bookshelf/price/test/0")))
    progress = run(plan, players.clerk, tmp_path / "run")
    assert (progress.done, progress.failed) == (2, 1)
    (failed,) = [t for t in traces(tmp_path / "run") if t.harness_error]
    assert failed.task.id == "bookshelf/gone/test/0"
    assert failed.harness_error.type == "TaskError"


@pytest.mark.parametrize("task", ["bookshelf/price/test", "nowhere/price/test/0"])
def test_what_keeps_an_episode_from_beginning_is_raised_where_it_can_have_no_trace(players, task):
    with pytest.raises(TaskError):
        asyncio.run(Engine(players.clerk).play(EpisodeSpec(task), {"name": "clerk"}))


def test_an_error_at_the_beginning_is_not_lost_to_one_in_its_trace(players):
    with pytest.raises(TaskError, match="gone"):
        asyncio.run(Engine(players.clerk).play(EpisodeSpec("bookshelf/gone/test/0"), {"not JSON": {1}}))


def test_a_trace_too_large_to_be_stored_keeps_its_place(players, tmp_path, monkeypatch):
    monkeypatch.setattr("faultgym.agents.storage.lines.MAX_LINE", 6500)

    class Long:
        def __init__(self, opening):
            pass

        def act(self, observation, tools):
            return Turn("x" * 10_000)

    progress = run(make_plan(1), players.Player(Long), tmp_path / "run")
    assert progress.failed == progress.planned
    assert all("bytes" in t.harness_error.message for t in traces(tmp_path / "run"))


def test_a_description_that_is_not_json_is_refused_before_anything_is_run(players, tmp_path):
    with pytest.raises(UserError, match="not JSON"):
        run(make_plan(1), players.Player(more={"rng": random.Random()}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ---- stop and resume --------------------------------------------------------------------------------


def stop_after(stop: Stop, count: int):
    def on_progress(progress):
        if progress.done >= count:
            stop.ask()

    return on_progress


@pytest.mark.parametrize("kind", ["clerk", "slow_clerk"])
def test_a_stopped_run_resumes_to_the_same_bytes(players, tmp_path, kind):
    plan, policy = make_plan(), getattr(players, kind)
    run(plan, policy, tmp_path / "whole")
    stops = 0
    while True:
        stop = Stop()
        before = RunDirectory.open(tmp_path / "cut").committed() if stops else set()
        progress = run(
            plan, policy, tmp_path / "cut", in_flight=3, resume=stops > 0, stop=stop, on_progress=stop_after(stop, 5)
        )
        assert progress.before == len(before)
        if not progress.pending:
            break
        stops += 1
    assert stops >= 3
    assert compacted(tmp_path / "cut") == compacted(tmp_path / "whole")


def test_a_stop_leaves_no_half_episode(players, tmp_path):
    stop = Stop()
    progress = run(make_plan(), players.slow_clerk, tmp_path / "run", stop=stop, on_progress=stop_after(stop, 1))
    assert 1 <= progress.done < progress.planned
    assert all(t.verdict is not None for t in traces(tmp_path / "run"))


def test_a_stop_ends_a_pause_between_attempts(players, tmp_path):
    stop = Stop()

    async def forever(seconds):
        stop.ask()
        await asyncio.Event().wait()

    progress = run(make_plan(), players.Trouble(), tmp_path / "run", stop=stop, sleep=forever)
    assert progress.failed == 0


def test_a_finished_run_owes_nothing(players, tmp_path):
    plan = make_plan(1)
    run(plan, players.clerk, tmp_path / "run")
    progress = run(plan, players.clerk, tmp_path / "run", resume=True)
    assert (progress.done, progress.pending) == (0, 0)


def test_an_existing_run_is_not_touched_without_resume(players, tmp_path):
    plan = make_plan(1)
    run(plan, players.clerk, tmp_path / "run")
    before = compacted(tmp_path / "run")
    with pytest.raises(UserError, match="already holds a run; resume it"):
        run(plan, players.clerk, tmp_path / "run")
    assert compacted(tmp_path / "run") == before


def test_there_is_nothing_to_resume_in_a_folder_without_a_run(players, tmp_path):
    with pytest.raises(TraceError, match="no run in"):
        run(make_plan(1), players.clerk, tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"per_template": 1}, "asked.per_template was 2, and is now 1"),
        ({"seed": 3}, "asked.seed was 0, and is now 3"),
        ({"limits": Limits(turns=5)}, "limits.turns was 60, and is now 5"),
    ],
)
def test_a_resume_with_another_plan_names_what_differs(players, tmp_path, more, words):
    run(make_plan(2), players.clerk, tmp_path / "run")
    with pytest.raises(UserError, match=words):
        run(make_plan(**{"per_template": 2, **more}), players.clerk, tmp_path / "run", resume=True)


def test_a_resume_with_another_policy_names_what_differs(players, tmp_path):
    run(make_plan(1), players.clerk, tmp_path / "run")
    with pytest.raises(UserError, match=r'policy\.name was "clerk", and is now "other"'):
        run(make_plan(1), players.Player(name="other"), tmp_path / "run", resume=True)


def test_plans_that_are_the_same_have_no_difference(players):
    assert plan_difference(make_plan().data({"name": "x"}), make_plan().data({"name": "x"})) == ""


def test_two_processes_cannot_run_into_one_folder(players, tmp_path):
    run(make_plan(1), players.clerk, tmp_path / "run")
    with RunDirectory.open(tmp_path / "run").lock(), pytest.raises(UserError, match="in use by"):
        run(make_plan(1), players.clerk, tmp_path / "run", resume=True)


def test_a_disk_that_fails_ends_the_batch_with_its_reason(players, tmp_path):
    def full(record):
        raise UserError("disk full")

    engine = Engine(players.slow_clerk)
    with pytest.raises(UserError, match="disk full"):
        asyncio.run(engine.play_all(make_plan().episodes, full, on_done=lambda outcome: None))


def test_progress_counts_what_was_run(players, tmp_path):
    seen = []
    plan = make_plan()
    progress = run(plan, players.clerk, tmp_path / "run", on_progress=lambda p: seen.append((p.done, p.pending)))
    assert seen == [(n, len(plan.episodes) - n) for n in range(1, len(plan.episodes) + 1)]
    found = traces(tmp_path / "run")
    assert progress.succeeded == sum(t.verdict.success for t in found)
    assert progress.calls == sum(t.calls for t in found)
    assert progress.success_rate == progress.succeeded / len(found)
