"""The operations desk: its world agrees with itself, its writes keep their rules, its tasks can be done."""

from __future__ import annotations

import string

import orjson
import pytest

from faultgym.core.json import JSON
from faultgym.envs.episode import run_reference
from faultgym.envs.reference.run import closing_turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import suite_named
from faultgym.envs.suite import HELD_OUT
from faultgym.envs.suites.incidents import SUITE, facts, words
from faultgym.envs.suites.incidents.routes_read import PAGE
from faultgym.envs.worlds.changes import changes, delete, insert, update
from faultgym.envs.worlds.names import SPLITS
from faultgym.envs.worlds.world import World, WorldImage, world_image
from faultgym.tools.exchange import HttpRequest, HttpResponse


def image(split: str = "train", seed: int = 0) -> WorldImage:
    return world_image(suite_named("incidents"), split, seed)


def rows(world: World | WorldImage, query: str, *values: object) -> list[tuple]:
    db = world.db if isinstance(world, World) else world.reader.raw
    return db.execute(query, values).fetchall()


def send(world: World, method: str, path: str, body: JSON | None = None, **headers: str) -> HttpResponse:
    sent = {"authorization": f"Bearer {world.image.token}", **{k.replace("_", "-"): v for k, v in headers.items()}}
    payload = b"" if body is None else orjson.dumps(body)
    return SUITE.service.handle(world, HttpRequest(method, path, query={}, headers=sent, body=payload))


def first(world: World | WorldImage, query: str, *values: object) -> str:
    return str(rows(world, query, *values)[0][0])


# ---- the world ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", SPLITS)
def test_what_a_service_runs_is_its_only_live_deploy_and_the_latest(split: str) -> None:
    for service, release in rows(image(split), "SELECT id, current_version FROM services"):
        deploys = rows(
            image(split), "SELECT release, stage FROM deploys WHERE service_id = ? ORDER BY deployed_at", service
        )
        assert [r for r, stage in deploys if stage == "live"] == [release] == [deploys[-1][0]]
        assert len({r for r, _ in deploys}) == len(deploys)


@pytest.mark.parametrize("split", SPLITS)
def test_costs_add_up_in_sql_and_in_both_versions_of_the_route(split: str) -> None:
    world = World(image(split))
    for service, cents in rows(world, "SELECT id, monthly_cost_cents FROM services"):
        assert rows(world, "SELECT sum(amount_cents) FROM service_costs WHERE service_id = ?", service) == [(cents,)]
        v1 = orjson.loads(send(world, "GET", f"/v1/services/{service}").body)
        v2 = orjson.loads(send(world, "GET", f"/v2/services/{service}").body)
        assert v1["monthly_cost_cents"] == sum(c["amount_cents"] for c in v1["costs"]) == cents
        assert v2["monthly_cost"] == {"amount": f"{cents // 100}.{cents % 100:02d}", "currency": "EUR"}
        assert {k: v for k, v in v1.items() if k in v2 and k != "costs"} == {
            k: v for k, v in v2.items() if k not in ("monthly_cost", "costs")
        }


@pytest.mark.parametrize("split", SPLITS)
def test_postmortems_agree_with_the_records(split: str) -> None:
    found = rows(image(split), "SELECT title, body FROM documents WHERE kind = 'postmortem'")
    assert len(found) > 10
    for title, body in found:
        ((state, cause, minutes),) = rows(
            image(split), "SELECT state, cause, duration_minutes FROM incidents WHERE id = ?", title.split()[1]
        )
        if state == "resolved":
            assert facts.root_cause(body) == cause
            assert f"lasted {minutes} minutes" in body
        else:
            assert (cause, minutes) == ("", 0)
        assert first(image(split), "SELECT team FROM engineers WHERE name = ?", facts.action_item(body)[0])


@pytest.mark.parametrize("split", SPLITS)
def test_every_unresolved_incident_has_a_runbook_step_that_can_be_done(split: str) -> None:
    query = (
        "SELECT i.code, d.body FROM incidents i JOIN services s ON s.id = i.service_id"
        " JOIN documents d ON d.title = 'Runbook: ' || s.name WHERE i.state != 'resolved'"
    )
    found = rows(image(split), query)
    assert len(found) == len(rows(image(split), "SELECT id FROM incidents WHERE state != 'resolved'"))
    assert {facts.runbook_step(body, code).action for code, body in found} == {"restart", "scale"}


@pytest.mark.parametrize("split", SPLITS)
def test_some_tier_is_frozen_today_and_some_is_not(split: str) -> None:
    text = first(image(split), "SELECT body FROM documents WHERE title = 'Change freeze policy'")
    windows = [facts.freeze_window(text, tier) for tier in (1, 2, 3)]
    assert {window.holds(words.TODAY) for window in windows} == {True, False}
    assert len({window.last for window in windows}) == 3


def test_nothing_in_a_world_lies_in_the_future() -> None:
    for table, column in (
        ("logs", "at"),
        ("incidents", "opened_at"),
        ("deploys", "deployed_at"),
        ("alerts", "fired_at"),
    ):
        assert first(image(), f"SELECT max({column}) FROM {table}") < f"{words.TODAY}T09:00:00Z"


def test_a_world_stays_small_in_every_split() -> None:
    assert all(60_000 < len(image(split, seed).image) < 120_000 for split in SPLITS for seed in (0, 1))


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert WorldImage(suite_named("incidents"), "dev", 3).image == WorldImage(SUITE, "dev", 3).image


def test_two_splits_share_no_identifier_and_no_name() -> None:
    seen: set[str] = set()
    for split in SPLITS:
        world = image(split)
        names = {
            str(row[0])
            for table, column in (("services", "id"), ("services", "name"), ("incidents", "id"), ("engineers", "name"))
            for row in rows(world, f"SELECT {column} FROM {table}")
        }
        assert not names & seen
        seen |= names


def test_sql_shows_no_table_of_the_service_itself() -> None:
    tables = {row[0] for row in rows(image(), "SELECT table_name FROM schema")}
    assert tables == set(SUITE.readable)
    assert not [t for t in tables if t.startswith("_")]


# ---- the writes --------------------------------------------------------------------------------------


def pick(world: World, state: str) -> str:
    return first(world, "SELECT id FROM incidents WHERE state = ? ORDER BY id", state)


def test_acknowledging_leaves_an_event_each_time() -> None:
    world = World(image())
    incident = pick(world, "open")
    event = insert("incident_events", incident_id=incident, action="acknowledged", detail="")
    assert send(world, "POST", f"/v1/incidents/{incident}/acknowledge", {}).status == 200
    assert set(changes(world)) == {update("incidents", incident, state="acknowledged"), event}
    send(world, "POST", f"/v1/incidents/{incident}/acknowledge", {})
    assert changes(world).count(event) == 2


@pytest.mark.parametrize("action", ["acknowledge", "assign"])
def test_a_resolved_incident_is_neither_acknowledged_nor_assigned(action: str) -> None:
    world = World(image())
    person = first(world, "SELECT name FROM engineers ORDER BY name")
    body = {"assignee": person} if action == "assign" else {}
    response = send(world, "POST", f"/v1/incidents/{pick(world, 'resolved')}/{action}", body)
    assert (response.status, changes(world)) == (409, ())


def test_only_an_engineer_gets_an_incident() -> None:
    world = World(image())
    incident = pick(world, "open")
    assert send(world, "POST", f"/v1/incidents/{incident}/assign", {"assignee": "Nobody Here"}).status == 422
    person = first(world, "SELECT name FROM engineers ORDER BY name")
    assert send(world, "POST", f"/v1/incidents/{incident}/assign", {"assignee": person}).status == 200
    assert update("incidents", incident, assignee=person) in changes(world)


def test_an_open_incident_must_be_acknowledged_before_it_is_resolved() -> None:
    world = World(image())
    incident = pick(world, "open")
    assert send(world, "POST", f"/v1/incidents/{incident}/resolve", {"cause": "full_disk"}).status == 409
    send(world, "POST", f"/v1/incidents/{incident}/acknowledge", {})
    body = orjson.loads(send(world, "POST", f"/v1/incidents/{incident}/resolve", {"cause": "full_disk"}).body)
    assert (body["state"], body["cause"]) == ("resolved", "full_disk")
    assert body["duration_minutes"] > 0


def test_an_unknown_cause_is_refused_with_the_known_ones() -> None:
    world = World(image())
    response = send(world, "POST", f"/v1/incidents/{pick(world, 'acknowledged')}/resolve", {"cause": "gremlins"})
    assert response.status == 422
    assert all(cause in response.body.decode() for cause in words.CAUSES)


def test_each_restart_counts_unless_it_bears_the_same_idempotency_key() -> None:
    world = World(image())
    service = first(world, "SELECT id FROM services ORDER BY id")
    for key in ("one", "one", "two"):
        assert send(world, "POST", f"/v1/services/{service}/restart", {}, idempotency_key=key).status == 200
    assert changes(world) == (insert("restarts", service_id=service),) * 2
    listed = orjson.loads(send(world, "GET", f"/v1/services/{service}/restarts").body)
    assert listed["total"] == 2


def test_each_scaling_is_written_down() -> None:
    world = World(image())
    ((service, now),) = rows(world, "SELECT id, replicas FROM services ORDER BY id LIMIT 1")
    for _ in range(2):
        send(world, "POST", f"/v1/services/{service}/scale", {"replicas": now + 1})
    scaling = insert("scalings", service_id=service, replicas=now + 1)
    assert sorted(changes(world), key=repr) == sorted(
        (scaling, scaling, update("services", service, replicas=now + 1)), key=repr
    )
    assert send(world, "POST", f"/v1/services/{service}/scale", {"replicas": 99}).status == 422


def test_a_rollback_takes_an_earlier_release_and_no_other() -> None:
    world = World(image())
    service = first(world, "SELECT id FROM services ORDER BY id")
    history = rows(world, "SELECT id, release FROM deploys WHERE service_id = ? ORDER BY deployed_at", service)
    (earlier, good), (live, bad) = history[-2:]
    path = f"/v1/services/{service}/rollback"
    assert send(world, "POST", path, {"release": bad}).status == 409
    assert send(world, "POST", path, {"release": "v0.0.0"}).status == 422
    assert send(world, "POST", path, {"release": good}).status == 200
    assert set(changes(world)) == {
        update("services", service, current_version=good),
        update("deploys", live, stage="rolled_back"),
        update("deploys", earlier, stage="live"),
        insert("rollbacks", service_id=service, from_release=bad, to_release=good),
    }
    assert send(world, "POST", path, {"release": good}).status == 409


def test_every_write_raises_the_version_that_if_match_is_held_against() -> None:
    world = World(image())
    service = first(world, "SELECT id FROM services ORDER BY id")
    etag = send(world, "GET", f"/v1/services/{service}").headers["etag"]
    assert send(world, "POST", f"/v1/services/{service}/restart", {}, if_match=etag).status == 200
    assert send(world, "POST", f"/v1/services/{service}/restart", {}, if_match=etag).status == 412
    assert changes(world) == (insert("restarts", service_id=service),)


def test_a_note_is_added_each_time() -> None:
    world = World(image())
    incident = pick(world, "resolved")
    for _ in range(2):
        assert send(world, "POST", f"/v1/incidents/{incident}/notes", {"text": "hm"}).status == 201
    assert changes(world) == (insert("incident_notes", incident_id=incident, body="hm"),) * 2


def test_a_tag_moves_alike_by_update_and_by_delete_and_insert() -> None:
    ((source, tag),) = rows(image(), "SELECT service_id, tag FROM service_tags ORDER BY 1, 2 LIMIT 1")
    target = first(
        image(), "SELECT id FROM services WHERE id NOT IN (SELECT service_id FROM service_tags WHERE tag = ?)", tag
    )
    ways = (
        [f"UPDATE service_tags SET service_id = '{target}' WHERE service_id = '{source}' AND tag = '{tag}'"],
        [
            f"INSERT INTO service_tags (service_id, tag) VALUES ('{target}', '{tag}')",
            f"DELETE FROM service_tags WHERE service_id = '{source}' AND tag = '{tag}'",
        ],
    )
    for statements in ways:
        world = World(image())
        for statement in statements:
            assert world.guarded_writable().run(statement, write_allowed=True).changes == 1
        world.effect("sql", "service_tags", tag)
        assert set(changes(world)) == {
            delete("service_tags", f"{source}/{tag}/1"),
            insert("service_tags", service_id=target, tag=tag),
        }


# ---- the tasks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SUITE.templates)
def test_every_phrasing_names_every_parameter_and_no_two_are_alike(name: str) -> None:
    template = SUITE.templates[name]
    split = "unseen_compositions" if template.composition else "train"
    params = set(SUITE.task(name, split).params)
    assert len(set(template.phrasings)) == len(template.phrasings) >= 3 + HELD_OUT
    for phrasing in template.phrasings:
        assert {field for _, field, _, _ in string.Formatter().parse(phrasing) if field} == params


@pytest.mark.parametrize("split", SPLITS)
def test_the_reference_reaches_the_goal_of_every_template_when_nothing_fails(split: str) -> None:
    for task in SUITE.tasks(split, 2):
        episode, answer = run_reference(task, schedule_for(task))
        episode.step(closing_turn(answer, episode.answers))
        assert episode.verdict is not None
        assert episode.verdict.success, (task.id, answer, episode.verdict.reason)


@pytest.mark.parametrize("split", SPLITS)
def test_no_goal_asks_for_what_it_forbids(split: str) -> None:
    for task in SUITE.tasks(split, 4):
        assert not set(task.goal.expected) & set(task.goal.distractors)
        assert task.goal.expected or task.goal.about


def test_a_missing_incident_is_missing_and_of_its_split() -> None:
    for split in SPLITS[:-1]:
        if split == "unseen_compositions":
            continue
        task = SUITE.task("missing_incident", split)
        (key,) = task.goal.about
        known = {row[0] for row in rows(image(split), "SELECT id FROM incidents")}
        assert key not in known
        residues = {int(other.partition("-")[2]) % 8 for other in known}
        assert int(key.partition("-")[2]) % 8 in residues


def test_lists_come_in_short_pages_that_add_up_to_the_total() -> None:
    world = World(image())
    whole = len(rows(world, "SELECT id FROM incidents WHERE state = 'resolved'"))
    seen: list[str] = []
    query = {"state": "resolved", "limit": "50"}
    while True:
        request = HttpRequest(
            "GET", "/v1/incidents", query=query, headers={"authorization": f"Bearer {world.image.token}"}
        )
        body = orjson.loads(SUITE.service.handle(world, request).body)
        assert len(body["items"]) <= PAGE
        assert body["total"] == whole
        seen += [item["id"] for item in body["items"]]
        if body["next_cursor"] is None:
            break
        query = {**query, "cursor": body["next_cursor"]}
    assert len(seen) == len(set(seen)) == whole > PAGE
