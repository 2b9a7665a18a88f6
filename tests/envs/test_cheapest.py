"""The fewest calls: found among a task's ways, under its faults, and proven on the world without any."""

import pytest
from helpers.levels import rest
from helpers.shorter import EVERYTHING, STATEMENT, solution

from faultgym.envs.cheapest import cheapest_way, optimal_calls
from faultgym.envs.episode import Episode
from faultgym.envs.intents import intents, lookups
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.run import Reference, closing_turn, feasible, reference_calls
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.reference_agent.choices import Choices
from faultgym.envs.reference_agent.client import ReferenceAnswer
from faultgym.envs.registry import suite_named, suites
from faultgym.tools.faults.plan import FaultPlan

SEVERAL = {"double_charge", "move_tag", "restart_unless_frozen", "count_and_note", "blocked_cancel", "refuse_return"}
"""Templates that meet every case: a write that needs a reading, SQL that writes, a fact besides a write, a report, a
refusal."""
TEMPLATES = [
    (suite.name, name) if name in SEVERAL else rest(suite.name, name)
    for suite in suites().values()
    for name in suite.templates
]
OTHERS = 8
"""Further tasks among which there must be one in which a guess fails."""


def task(suite, template, index=0):
    own = suite_named(suite)
    split = "unseen_compositions" if own.templates[template].composition else "train"
    return own.task(template, split, index, "tools")


def optimal(task, *rules):
    plan = FaultPlan.from_rules(rules) if rules else "clean"
    return optimal_calls(task, schedule_for(task, plan))


@pytest.mark.parametrize(("suite", "template"), TEMPLATES)
def test_no_solution_is_shorter_on_the_clean_world(suite, template):
    asked = task(suite, template)
    least = optimal(asked)
    assert (least == 0) is not asked.needs_tools
    if not least:
        return
    assert len(solution(asked, least)) <= least  # the search is not blind
    if solution(asked, least - 1) is not None:  # a guess that came true; in another world of the kind it does not
        others = [other for n in range(1, OTHERS) if optimal(other := task(suite, template, n)) == least]
        assert any(solution(other, least - 1) is None for other in others)


@pytest.mark.parametrize(("suite", "template"), TEMPLATES)
def test_the_reference_never_needs_fewer_calls_than_are_enough(suite, template):
    for index in range(3):
        asked = task(suite, template, index)
        for faults in ("clean", "rough", "hostile", "outage"):
            schedule = schedule_for(asked, faults, index)
            assert optimal_calls(asked, schedule) <= reference_calls(asked, schedule)


@pytest.mark.parametrize(("suite", "template"), TEMPLATES)
def test_the_cheapest_way_passes_the_whole_verdict(suite, template):
    for faults in ("clean", "rough", "hostile", "outage"):
        asked = task(suite, template)
        schedule = schedule_for(asked, faults, 1)
        choices = cheapest_way(asked, schedule)
        episode = Episode(asked, schedule, answers="typed")
        reference, text = Reference(asked, set(), episode.suite, choices), None
        while not isinstance(move := reference.next(text, {spec.name for spec in episode.tools}), ReferenceAnswer):
            text = episode.step(Turn(tool_calls=(move.call,))).messages[0].content
        episode.step(closing_turn(move, "typed"))
        assert episode.verdict.success, (faults, episode.verdict.reason)
        looks = lookups(intents(episode.suite, episode.records), episode.records)
        assert optimal_calls(asked, schedule) == len(episode.records) - (looks if choices is not None else 0)


@pytest.mark.parametrize(
    ("suite", "template", "calls"),
    [
        ("orders", "order_status", ("everything",)),
        ("orders", "move_tag", (STATEMENT,)),
        ("orders", "exchange_product", (EVERYTHING, "create_exchange")),
        ("incidents", "acknowledge_assign", (EVERYTHING, "assign_incident", "acknowledge_incident")),
    ],
)
def test_the_search_finds_what_there_is_to_do(suite, template, calls):
    assert sorted(solution(task(suite, template), len(calls))) == sorted(calls)


@pytest.mark.parametrize(
    ("template", "rules", "calls"),
    [
        ("order_status", [{"kind": "outage", "channel": "http", "trigger": {"from": 1}}], 1),
        ("order_status", [{"kind": "busy", "channel": "sql", "trigger": {"from": 1}}], 1),
        ("cancel_order", [{"kind": "rate_limited", "route": "cancel_order", "trigger": {"nth": 1}}], 3),
        ("cancel_order", [{"kind": "unauthorized", "route": "cancel_order", "trigger": {"nth": 1}}], 3),
        ("cancel_order", [{"kind": "outage", "channel": "http", "trigger": {"from": 1}}], 1),
        ("customer_email", [{"kind": "busy", "channel": "sql", "trigger": {"first": 9}}], 2),
        ("customer_email", [{"kind": "server_error", "route": "get_customer", "trigger": {"from": 1}}], 1),
    ],
)
def test_the_cheapest_way_that_the_faults_leave_is_taken(template, rules, calls):
    assert optimal(task("orders", template), *rules) == calls


def test_a_look_at_the_schema_that_meets_the_fault_is_no_cost():
    asked = task("orders", "city_count")
    renamed = {"kind": "argument_renamed", "tool": "sql", "trigger": {"nth": 1}}
    schedule = schedule_for(asked, FaultPlan.from_rules([renamed]))
    assert (optimal_calls(asked, schedule), reference_calls(asked, schedule)) == (1, 2)


def test_where_nothing_can_be_done_an_honest_report_is_the_shortest_way():
    asked = task("orders", "exchange_product")
    schedule = schedule_for(asked, "outage")
    assert not feasible(asked, schedule)
    assert optimal_calls(asked, schedule) == 1


def test_all_choices_come_up_once_each():
    """Two choices of three and, after the first option, two more of two."""
    found, waiting = [], [()]
    while waiting:
        choices = Choices(waiting.pop(0))
        first = choices.take(3)
        found.append((first, choices.take(2)) if first == 0 else (first,))
        waiting.extend(choices.others())
    assert sorted(found) == [(0, 0), (0, 1), (1,), (2,)]
