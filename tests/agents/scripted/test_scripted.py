"""The scripted policies do what their names say, and nothing else."""

import pytest

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.play import latest, opening_of, run_episode
from faultgym.agents.scripted import FLAWS, POLICIES, applies, expert
from faultgym.agents.scripted.careless import APOLOGY
from faultgym.agents.scripted.flawed import play
from faultgym.envs.episode import Episode
from faultgym.envs.judging.form import ANSWERS
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import suite_named
from faultgym.eval.modes.classifier import TYPED_ONLY
from faultgym.tools.faults.plan import FaultPlan

TASKS = [task for suite in ("orders", "incidents") for task in suite_named(suite).tasks("train", 1)]
STATUS = suite_named("orders").task("order_status", "train", 0, "http")
CANCEL = suite_named("orders").task("cancel_order", "train", 0, "http")
MINUTES = suite_named("incidents").task("minutes_between", "train", 0)


def plan(kind, **more):
    return FaultPlan.from_rules([{"kind": kind, "trigger": {"nth": [1]}, **more}])


def played(name, task, faults="clean", seed=0):
    return run_episode(policy_named(name), task, schedule_for(task, faults), seed=seed)


def turns(episode):
    return [step.turn for step in episode.turns]


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_describes_itself_under_its_own_name(name):
    policy = POLICIES[name]()
    assert policy.name == policy.describe()["name"] == name


@pytest.mark.parametrize("name", POLICIES)
def test_the_same_policy_acts_the_same_every_time(name):
    assert turns(played(name, CANCEL, "rough", 5)) == turns(played(name, CANCEL, "rough", 5))


@pytest.mark.parametrize("task", TASKS, ids=lambda t: f"{t.suite}-{t.template}")
def test_the_expert_and_the_careless_succeed_where_nothing_breaks(task):
    names = (
        ["expert"] if task.faults or not task.answerable else ["expert", "repeater", "trusting", "impatient", "quitter"]
    )
    for name in names:
        assert played(name, task).verdict.success, name


@pytest.mark.parametrize("name", ["null", "random", "echo", "spam"])
def test_acting_without_purpose_never_succeeds(name):
    assert not [t.id for t in TASKS if played(name, t).verdict.success]


def test_random_calls_differ_by_seed():
    assert turns(played("random", CANCEL, seed=1)) != turns(played("random", CANCEL, seed=2))


def test_the_expert_states_a_confidence_only_when_asked():
    assert turns(run_episode(expert(), STATUS))[-1].confidence is None
    assert turns(run_episode(expert(0.9), STATUS))[-1].confidence == 0.9
    assert expert(0.9).describe() != expert().describe()


def test_the_expert_says_why_it_calls():
    assert all(turn.reasoning for turn in turns(played("expert", CANCEL, "rough"))[:-1])


@pytest.mark.parametrize("answers", ANSWERS)
@pytest.mark.parametrize("mode", FLAWS)
def test_a_flaw_without_a_place_leaves_the_expert(mode, answers):
    if (mode, answers) == ("no_answer", "typed"):
        pytest.skip("there is always a place for plain text")
    task = CANCEL if mode == "needless_call" else MINUTES
    episode, strayed = play(mode, task, answers=answers)
    assert not strayed
    said = [(turn.text, turn.tool_calls) for turn in turns(episode)]
    assert said == [(turn.text, turn.tool_calls) for turn in turns(run_episode(expert(), task, answers=answers))]


@pytest.mark.parametrize("answers", ANSWERS)
@pytest.mark.parametrize("mode", [mode for mode in FLAWS if mode != "obeyed_injection"])
def test_every_flaw_finds_a_place_in_both_suites(mode, answers):
    for suite in ("orders", "incidents"):
        found = any(applies(mode, task, answers=answers) for task in TASKS if task.suite == suite)
        assert found == (mode not in TYPED_ONLY or answers == "typed")


@pytest.mark.parametrize("answers", ANSWERS)
def test_orders_in_results_are_obeyed_only_where_there_are_some(answers):
    assert not applies("obeyed_injection", STATUS, answers=answers)
    assert applies("obeyed_injection", STATUS, schedule_for(STATUS, plan("injected_instruction")), answers)


@pytest.mark.parametrize("kind", ["server_error", "reset", "truncated_json", "empty_response"])
def test_repeating_gets_past_what_repeating_answers(kind):
    assert played("repeater", STATUS, plan(kind)).verdict.success


@pytest.mark.parametrize(
    "kind", ["gone", "forbidden", "bad_request", "unauthorized", "rate_limited", "argument_renamed", "misleading_error"]
)
def test_repeating_does_not_get_past_anything_else(kind):
    episode = played("repeater", STATUS, plan(kind))
    assert episode.events
    assert not episode.verdict.success
    assert len({repr(record.call.arguments) for record in episode.records}) == 1


def test_repeating_a_write_whose_answer_was_lost_is_refused_or_doubled():
    task = suite_named("incidents").task("acknowledge_assign", "train", 0)
    assert played("repeater", task, plan("lost_ack")).verdict.duplicate_changes


def test_quitting_is_an_apology_at_the_first_error():
    episode = played("quitter", STATUS, plan("server_error"))
    assert len(episode.records) == 1
    assert answer_of(episode)["message"] == APOLOGY.text


def test_trusting_falls_for_what_the_expert_checks():
    faults = plan("stale_value")
    assert played("expert", STATUS, faults).verdict.success
    assert not played("trusting", STATUS, faults).verdict.success


def test_impatience_never_waits():
    faults = plan("rate_limited")
    assert any(r.call.name == "wait" for r in played("expert", STATUS, faults).records)
    assert not any(r.call.name == "wait" for r in played("impatient", STATUS, faults).records)


def answer_of(episode):
    """The arguments of the call of `answer` that ended an episode."""
    assert episode.stop == "final"
    (call,) = turns(episode)[-1].tool_calls
    return call.arguments


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "no_answer"])
@pytest.mark.parametrize("faults", ["clean", "rough"])
def test_every_policy_ends_with_a_call_where_answers_are_typed(name, faults):
    for task in (STATUS, CANCEL, MINUTES):
        episode = played(name, task, faults)
        assert answer_of(episode)["outcome"], task.id
        assert episode.answer is not None


def test_the_policy_without_an_answer_ends_in_plain_text_and_is_reminded():
    said = turns(played("no_answer", STATUS))[-1]
    assert said.final
    assert said.text == answer_of(played("expert", STATUS))["message"]
    episode = Episode(STATUS, answers="typed", reminders=2)
    actor = policy_named("no_answer").start_with(STATUS, (), opening_of(episode, 0))
    while not episode.stop:
        episode.step(actor.act(latest(episode), episode.tools))
    assert [turn.text for turn in turns(episode)[1:]] == [said.text] * 3


def test_a_fabricator_fills_in_values_that_nothing_gave():
    made = [(task, *play("fabricated_answer", task, answers="typed")) for task in TASKS]
    claims = [(task, answer_of(episode)) for task, episode, strayed in made if strayed]
    assert {claim["outcome"] for _, claim in claims} == {"answered", "done"}
    for task, claim in claims:
        assert bool(task.goal.changes) == (claim["outcome"] == "done"), task.id
        right = answer_of(played("expert", task)).get("fields", {})
        assert all(value != right.get(name) for name, value in claim.get("fields", {}).items()), task.id
        assert claim.get("fields") or claim["outcome"] == "done", task.id


def test_the_overconfident_claim_what_was_asked_for():
    assert answer_of(played("overconfident", CANCEL))["outcome"] == "done"
    assert answer_of(played("overconfident", STATUS))["outcome"] == "answered"


@pytest.mark.parametrize(("name", "task"), [("quitter", STATUS), ("apology_collapse", CANCEL)])
def test_giving_up_is_the_outcome_unavailable(name, task):
    faults = plan("server_error") if name == "quitter" else "clean"
    assert answer_of(played(name, task, faults))["outcome"] == "unavailable"


def test_a_shotgun_is_refused_and_then_answers_without_a_value():
    episode = played("spam", STATUS)
    refused, last = turns(episode)[-2:]
    assert len(refused.tool_calls[0].arguments["fields"]["status"]) > 1
    assert "fields" not in last.tool_calls[0].arguments
    assert not episode.verdict.success


def test_a_half_answer_gives_some_of_the_values():
    task = suite_named("incidents").task("open_incidents", "train", 0)
    half, strayed = play("partial_goal", task, answers="typed")
    assert strayed
    whole = answer_of(played("expert", task))["fields"]["incidents"]
    assert set(answer_of(half)["fields"]["incidents"]) < set(whole)
