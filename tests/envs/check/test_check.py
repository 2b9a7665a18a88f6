"""The conformance kit: every registered environment passes, and broken suites do not."""

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

import faultgym
from faultgym.envs.check import CONDUCT, RULES, check_env, check_suite
from faultgym.envs.gym.registration import SUITES, environment_ids
from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.goal import Goal
from faultgym.envs.registry import SUITES as REGISTRY
from faultgym.envs.registry import suite_named
from faultgym.envs.suite import Drawn, Suite
from faultgym.envs.suites.common import service
from faultgym.tools.channels.http.service import operation
from faultgym.tools.context import WorldView

COUNTER = itertools.count()


@pytest.mark.slow
@pytest.mark.parametrize("name", SUITES)
def test_the_built_in_suites_hold_every_rule(name):
    report = check_suite(suite_named(name))
    assert report.ok, str(report)


UNDER_FAULTS = {"same_seed_same_episode", "forks_are_independent", "snapshots_restore_exactly"}
"""The rules whose outcome can depend on the faults; the others hold for the suite as a whole."""


@pytest.mark.slow
@pytest.mark.parametrize("name", environment_ids())
def test_every_registered_environment_behaves_under_its_faults(name):
    report = check_env(gym.make(name), [rule for rule in CONDUCT if rule.name in UNDER_FAULTS])
    assert report.ok, str(report)


def test_a_suite_of_a_third_party_holds_every_rule(bookshelf):
    report = check_suite(bookshelf)
    assert report.ok, str(report)
    assert len(report.findings) == len(RULES) == 23


def test_a_built_in_suite_that_nobody_has_asked_for_survives_the_check_of_another_of_its_name(bookshelf):
    built_in = suite_named("incidents")
    REGISTRY.unregister("incidents")  # as it is before somebody asks for it
    check_suite(replace(bookshelf, name="incidents"), RULES[:1])
    assert suite_named("incidents") is built_in


def test_an_environment_is_checked_without_its_wrappers(bookshelf):
    report = check_env(faultgym.envs.TurnLimit(faultgym.envs.ToolEnv(bookshelf, style="http"), 1))
    assert report.ok, str(report)


def test_other_environments_are_refused():
    with pytest.raises(TypeError, match="ToolEnv"):
        check_env(gym.make("CartPole-v1"))


def with_operations(suite: Suite, *more: Any) -> Suite:
    """The suite with further operations."""
    return replace(
        suite, service=service("broken", [op for op in operations(suite) if op.name != more[0].name] + [*more])
    )


def operations(suite: Suite) -> list[Any]:
    shared = ("get_document", "list_routes", "issue_token")
    return [op for op in suite.service.operations.values() if op.name not in shared]


def writing_read(suite: Suite) -> Suite:
    @operation("GET", "/v1/count")
    def count_visits(world: WorldView) -> dict[str, int]:
        """Count the visits."""
        world.writable().execute("UPDATE books SET price_cents = price_cents + 1")
        return {"visits": 1}

    return with_operations(suite, count_visits)


def moody_read(suite: Suite) -> Suite:
    @operation("GET", "/v1/mood")
    def get_mood(world: WorldView) -> dict[str, int]:
        """Say how it goes."""
        return {"mood": next(COUNTER)}

    return with_operations(suite, get_mood)


def raising_route(suite: Suite) -> Suite:
    @operation("GET", "/v1/shelf")
    def get_shelf(world: WorldView, name: str = "") -> dict[str, int]:
        """Find a shelf."""
        return {"shelf": len(name) // len(name.strip("\x00"))}

    return with_operations(suite, get_shelf)


def telling_route(suite: Suite) -> Suite:
    @operation("GET", "/v1/health")
    def get_health(world: WorldView) -> dict[str, str]:
        """Say what is wrong."""
        return {"last": "lost_ack"}

    return with_operations(suite, get_health)


def silent_write(suite: Suite) -> Suite:
    @operation("POST", "/v1/reprice")
    def reprice(world: WorldView) -> dict[str, int]:
        """Raise all prices."""
        world.writable().execute("UPDATE books SET price_cents = price_cents + 1")
        return {"changed": 30}

    return with_operations(suite, reprice)


def shared_memory_between_forks(suite: Suite) -> Suite:
    seen: dict[str, int] = {}

    @operation("GET", "/v1/visits")
    def get_visits(world: WorldView) -> dict[str, int]:
        """Count the visits of this world's clock."""
        key = str(world.clock.now)
        seen[key] = seen.get(key, 0) + 1
        return {"visits": seen[key]}

    return with_operations(suite, get_visits)


def few_phrasings(suite: Suite) -> Suite:
    templates = dict(suite.templates)
    templates["price"] = replace(templates["price"], phrasings=templates["price"].phrasings[:4])
    return replace(suite, templates=templates)


def foreign_identifiers(suite: Suite) -> Suite:
    def build(db, names):
        suite.build(db, names)
        db.execute("INSERT INTO books VALUES ('BOK-10007', 'a', 'in', 1, 1), ('BOK-10000', 'b', 'in', 1, 1)")

    return replace(suite, build=build)


def unstable_world(suite: Suite) -> Suite:
    def build(db, names):
        suite.build(db, names)
        db.execute("UPDATE books SET price_cents = price_cents + ?", (next(COUNTER),))

    return replace(suite, build=build)


def empty_goal(suite: Suite) -> Suite:
    templates = dict(suite.templates)
    templates["price"] = replace(
        templates["price"], draw=lambda db, rng: Drawn({"book_id": "BOK-1"}, Goal(expected=(Atom("text", "no"),)))
    )
    return replace(suite, templates=templates)


def misnamed_column(suite: Suite) -> Suite:
    return replace(suite, visible={"books": ("id", ("titel",))})


BROKEN = {
    writing_read: "reads_change_nothing",
    moody_read: "same_seed_same_episode",
    raising_route: "hostile_turns_are_answered",
    telling_route: "faults_bear_no_label",
    silent_write: "changes_are_logged",
    shared_memory_between_forks: "forks_are_independent",
    few_phrasings: "phrasings_are_many",
    foreign_identifiers: "identifiers_stay_in_their_split",
    unstable_world: "worlds_are_reproducible",
    empty_goal: "hostile_turns_are_answered",
    misnamed_column: "declared_columns_exist",
}


@pytest.mark.parametrize("breaking", BROKEN, ids=lambda f: f.__name__)
def test_a_broken_suite_fails_the_rule_it_breaks(bookshelf, breaking):
    rules = [rule for rule in RULES if rule.name == BROKEN[breaking]]
    broken = replace(breaking(bookshelf), name=f"broken_{breaking.__name__}")
    report = check_suite(broken, rules)
    assert report.violated == [BROKEN[breaking]], str(report)
    assert rules[0].sentence in str(report)
    assert check_suite(replace(bookshelf, name="whole"), rules).ok


def run_module(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        [sys.executable, "-m", "faultgym.envs.check", *arguments], capture_output=True, text=True, env=env
    )


def test_the_module_checks_a_suite_by_name_and_prints_the_rules():
    done = run_module("helpers.bookshelf:SUITE")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"ok    {rule.sentence}" in done.stdout for rule in RULES)
    assert "23 rules, all hold" in done.stdout


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_module:SUITE", "no_such_module"),
        ("helpers.bookshelf:NOTHING", "NOTHING"),
        ("helpers.bookshelf:COLUMNS", "not a Suite"),
        (":SUITE", "cannot be imported"),
        ("bookshelv", "there is no suite"),
    ],
)
def test_a_suite_that_cannot_be_found_is_named(name, words):
    done = run_module(name)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
