"""Going back by one release."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Generator
from typing import Any

from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.goal import Goal
from faultgym.envs.reference_agent.agent import ReferenceAgent
from faultgym.envs.reference_agent.client import AllSourcesDown, ReferenceStep
from faultgym.envs.suite import Drawn, Script, Template
from faultgym.envs.suites.common import choose, rows
from faultgym.envs.suites.incidents.templates.fields import RELEASE
from faultgym.envs.suites.incidents.templates.history import release_history
from faultgym.envs.worlds.changes import Change, insert, update


def bad_release(db: sqlite3.Connection, service: str) -> tuple[str, str, str, str]:
    """The two latest deploys of a service.

    Returns:
        The id and the release of the deploy that is live, then those of the deploy before it.
    """
    history = rows(
        db, "SELECT id, release FROM deploys WHERE service_id = ? ORDER BY deployed_at DESC LIMIT 2", service
    )
    return (*history[0], *history[1])


def rollback_changes(db: sqlite3.Connection, service: str) -> tuple[Change, ...]:
    """What a rollback by one release leaves behind."""
    live, bad, earlier, good = bad_release(db, service)
    return (
        update("services", service, current_version=good),
        update("deploys", live, stage="rolled_back"),
        update("deploys", earlier, stage="live"),
        insert("rollbacks", service_id=service, from_release=bad, to_release=good),
    )


def suspect(desk: ReferenceAgent) -> Generator[ReferenceStep, str, dict[str, Any] | None]:
    """The incident that the task names, with the `release` to go back to where one statement gives both.

    Args:
        desk: The reference agent, which makes the calls.

    Returns:
        The record; None when there is no such incident.
    """
    row = yield from desk.at_once(
        "SELECT i.service_id, d.release FROM incidents i JOIN deploys d ON d.service_id = i.service_id"
        " AND d.deployed_at <= i.opened_at WHERE i.id = '{incident_id}' ORDER BY d.deployed_at DESC LIMIT 1 OFFSET 1"
    )
    return row or (yield from desk.read("incident", desk.p["incident_id"]))


def roll_back(desk: ReferenceAgent, incident: dict[str, Any]) -> Generator[ReferenceStep, str, str]:
    """Roll the incident's service back to what was live before its last deploy.

    Args:
        desk: The reference agent, which makes the calls.
        incident: The incident, as `suspect` gives it.

    Returns:
        The release that is live again.

    Raises:
        AllSourcesDown: The deploy history is not complete.
    """
    release, why = incident.get("release"), "That release was live before: roll back."
    if release is None:
        history = yield from release_history(desk, incident["service_id"])
        before = [d for d in history if d["deployed_at"] <= incident["opened_at"]]
        if len(before) < 2:
            raise AllSourcesDown("the deploy history is not complete")
        release = str(before[-2]["release"])
        why = f"{before[-1]['release']} came right before the incident, {release} was live until then: roll back."
    yield from desk.write("rollback_service", service_id=incident["service_id"], release=release, why=why)
    return release


def _draw_rollback(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    incident, service = choose(db, rng, "SELECT id, service_id FROM incidents WHERE state != 'resolved' ORDER BY id")
    good = bad_release(db, service)[3]
    note = rng.choice(("rolled back, watching it", "back on the old release", "release withdrawn by the desk"))
    changes = (*rollback_changes(db, service), insert("incident_notes", incident_id=incident, body=note))
    return Drawn({"incident_id": incident, "text": note}, Goal(changes, (Atom("text", good),)))


def _solve_rollback(desk: ReferenceAgent) -> Script:
    key = desk.p["incident_id"]
    incident = yield from suspect(desk)
    if incident is None:
        return desk.absent("incident", key)
    release = yield from roll_back(desk, incident)
    yield from desk.write("add_note", incident_id=key, text=desk.p["text"], why="That is done: now the note.")
    text = f"{incident['service_id']} is back on {release}, and the note is on {key}."
    return desk.answer(text, release=release)


TEMPLATES = (
    Template(
        "roll_back",
        "roll a service back to the release before the last deploy, then note it",
        (
            "{incident_id} began right after a deploy of its service. Roll the service back to the release that"
            " was live"
            ' before that deploy, then add the note "{text}" to the incident. Which release is it on now?',
            "The last deploy before {incident_id} is at fault. Return the service to the release before it, put"
            " the note"
            ' "{text}" on the incident and tell me the release.',
            "Undo the deploy that came just before {incident_id} by a rollback to its predecessor, add the note"
            ' "{text}" to the incident, and say which release is running then.',
            "Withdraw the release that was deployed last before {incident_id}: go back by one release, leave the note"
            ' "{text}" on the incident, and name the release.',
            "Please revert the service of {incident_id} to the release it ran before its latest deploy, and"
            ' write "{text}"'
            " as a note on the incident. Tell me the release you went back to.",
        ),
        _draw_rollback,
        _solve_rollback,
        answer=(RELEASE,),
    ),
)
