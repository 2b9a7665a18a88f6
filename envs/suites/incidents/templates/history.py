"""Logs and deploys: what happened when."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Generator
from typing import Any

from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.goal import Goal
from faultgym.envs.reference_agent.agent import ReferenceAgent
from faultgym.envs.reference_agent.client import ReferenceAnswer, ReferenceStep, SourceFailed
from faultgym.envs.suite import Drawn, Script, Template
from faultgym.envs.suites.common import choose, rows
from faultgym.envs.suites.incidents.drawing import column, distractors
from faultgym.envs.suites.incidents.templates.fields import ERRORS, RELEASE, SERVICE

_COUNTS = (
    "SELECT service_id, code, substr(at, 1, 10) AS day, count(*) AS n FROM logs WHERE level = 'error'"
    " GROUP BY 1, 2, 3 HAVING n > 2 ORDER BY 1, 2, 3"
)


def count_errors(desk: ReferenceAgent, service: str, code: str, day: str) -> Generator[ReferenceStep, str, int]:
    """How many entries of level error with this code the service logged that day, as an agent finds out.

    Args:
        desk: The reference agent, which makes the calls.
        service: The service's id.
        code: The error code.
        day: The day, as an ISO date.
    """
    found = yield from desk.list(
        "list_logs",
        {"service_id": service, "level": "error", "code": code, "day": day},
        "SELECT id FROM logs WHERE service_id = '{service_id}' AND level = '{level}' AND code = '{code}'"
        " AND substr(at, 1, 10) = '{day}' ORDER BY id",
        why=f"List the {code} errors of {service} on {day}.",
    )
    return len(found)


def draw_count(db: sqlite3.Connection, rng: random.Random) -> tuple[str, str, str, int]:
    """Draw a service, a code and a day with at least three errors.

    Returns:
        The service's id, the code, the day as an ISO date, and the number of errors.
    """
    service, code, day, count = choose(db, rng, _COUNTS)
    return service, code, day, count


def _draw_errors(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    service, code, day, count = draw_count(db, rng)
    (whole,) = column(
        db,
        "SELECT count(*) FROM logs WHERE service_id = ? AND code = ? AND substr(at, 1, 10) = ?",
        service, code, day,
    )  # fmt: skip
    return Drawn(
        {"service_id": service, "code": code, "day": day},
        Goal(
            expected=(Atom("number", str(count)),),
            distractors=distractors("number", [count], [whole, count + 1, count + 3]),
        ),
    )


def _solve_errors(desk: ReferenceAgent) -> Script:
    p = desk.p
    count = yield from count_errors(desk, p["service_id"], p["code"], p["day"])
    text = f"{p['service_id']} logged {count} errors with the code {p['code']} on {p['day']}."
    return desk.answer(text, errors=count)


_BY_SERVICE = (
    "SELECT l.service_id AS service_id, count(*) AS errors FROM logs l JOIN services s ON s.id = l.service_id"
    " WHERE s.team = '{team}' AND l.level = 'error' AND substr(l.at, 1, 10) = '{day}'"
    " GROUP BY l.service_id ORDER BY errors DESC, l.service_id"
)


def _draw_noisiest(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    pairs = rows(
        db,
        "SELECT DISTINCT s.team, substr(l.at, 1, 10) FROM logs l JOIN services s ON s.id = l.service_id"
        " WHERE l.level = 'error' ORDER BY 1, 2",
    )
    rng.shuffle(pairs)
    for team, day in pairs:
        ranked = rows(db, _BY_SERVICE.format(team=team, day=day))
        if len(ranked) > 1 and ranked[0][1] > ranked[1][1]:
            others = column(db, "SELECT id FROM services WHERE team = ? ORDER BY id", team)
            right = ranked[0][0]
            return Drawn(
                {"team": team, "day": day},
                Goal(
                    expected=(Atom("id", right), Atom("number", str(ranked[0][1]))),
                    distractors=distractors("id", [right], others),
                ),
            )
    raise LookupError("no day in this world on which one service of a team had the most errors")


def _solve_noisiest(desk: ReferenceAgent) -> Script:
    team, day = desk.p["team"], desk.p["day"]
    try:
        ranked = yield from desk.sql(
            _BY_SERVICE.format(team=team, day=day), why=f"Count the errors of {day} by service of team {team}."
        )
    except SourceFailed:
        ranked = yield from _count_each(desk, team, day)
    if not ranked:
        return desk.answer(f"There is no error entry for team {team} on {day}.", "not_found")
    service, errors = ranked[0]["service_id"], ranked[0]["errors"]
    return desk.answer(f"{service} logged the most: {errors} errors on {day}.", service=service, errors=errors)


def _count_each(desk: ReferenceAgent, team: str, day: str) -> Generator[ReferenceStep, str, list[dict[str, Any]]]:
    """The same ranking without the database, service by service."""
    services = yield from desk.list("list_services", {"team": team}, why="Use the API: list the team's services.")
    ranked = []
    for service in services:
        found = yield from desk.list(
            "list_logs",
            {"service_id": service["id"], "level": "error", "day": day},
            why=f"Count the errors of {service['id']}.",
        )
        ranked.append({"service_id": service["id"], "errors": len(found)})
    return sorted(ranked, key=lambda r: (-int(r["errors"]), str(r["service_id"])))


def release_history(desk: ReferenceAgent, service: str) -> Generator[ReferenceStep, str, list[dict[str, Any]]]:
    """A service's deploys, oldest first."""
    found = yield from desk.list(
        "list_deploys",
        {"service_id": service},
        "SELECT id, service_id, release, deployed_at, stage FROM deploys WHERE service_id = '{service_id}' ORDER BY id",
        why=f"List the deploys of {service}.",
    )
    return sorted(found, key=lambda d: str(d["deployed_at"]))


def _draw_live(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    incident, service, opened = choose(
        db, rng, "SELECT id, service_id, opened_at FROM incidents WHERE state = 'resolved' ORDER BY id"
    )
    history = rows(db, "SELECT deployed_at, release FROM deploys WHERE service_id = ? ORDER BY 1", service)
    right = [release for moment, release in history if moment <= opened][-1]
    return Drawn(
        {"incident_id": incident},
        Goal(expected=(Atom("text", right),), distractors=distractors("text", [right], [r for _, r in history])),
    )


_LIVE_SQL = (
    "SELECT i.id, i.service_id, d.release FROM incidents i JOIN deploys d ON d.service_id = i.service_id"
    " AND d.deployed_at <= i.opened_at WHERE i.id = '{incident_id}' ORDER BY d.deployed_at DESC LIMIT 1"
)


def _solve_live(desk: ReferenceAgent) -> Script:
    row = yield from desk.at_once(_LIVE_SQL)
    if row:
        return _ran(desk, row, row["release"])
    incident = yield from desk.read("incident", desk.p["incident_id"])
    if incident is None:
        return desk.absent("incident", desk.p["incident_id"])
    history = yield from release_history(desk, incident["service_id"])
    before = [d["release"] for d in history if d["deployed_at"] <= incident["opened_at"]]
    if not before:
        return desk.answer(
            f"There is no deploy of {incident['service_id']} before {incident['id']} was opened.", "not_found"
        )
    return _ran(desk, incident, before[-1])


def _ran(desk: ReferenceAgent, incident: dict[str, Any], release: str) -> ReferenceAnswer:
    return desk.answer(f"When {incident['id']} was opened, {incident['service_id']} ran {release}.", release=release)


TEMPLATES = (
    Template(
        "error_count",
        "count a service's errors of one code on one day, by route and by SQL",
        (
            "How many entries of level error with code {code} did {service_id} log on {day}?",
            "Count the {code} errors of {service_id} on {day} (UTC; warnings do not count).",
            "On {day}, how often did {service_id} log {code} at level error?",
            "For the report on {service_id}: the number of {code} errors on {day}, without warnings.",
            "Tell me how many {code} entries {service_id} wrote at level error during {day}.",
        ),
        _draw_errors,
        _solve_errors,
        answer=(ERRORS,),
    ),
    Template(
        "noisiest_service",
        "find the service of a team with the most errors on a day",
        (
            "Which service of team {team} logged the most entries of level error on {day}, and how many? Give its id.",
            "On {day}, which of the services of team {team} had the most errors in its logs? I need its id and the"
            " number.",
            "Team {team} wants to know its noisiest service on {day} by error entries: the id and the count, please.",
            "Rank team {team}'s services by errors logged on {day}; tell me the id of the first and its count.",
            "Find the service id of team {team} with the highest number of error entries on {day} and say how many.",
        ),
        _draw_noisiest,
        _solve_noisiest,
        answer=(SERVICE, ERRORS),
    ),
    Template(
        "release_at_incident",
        "find the release that was live when an incident was opened",
        (
            "Which release of its service was live when {incident_id} was opened?",
            "What version was running on the affected service at the moment {incident_id} began?",
            "For the review of {incident_id}: which release had been deployed last before it was opened?",
            "Check the deploy history: which release did the service of {incident_id} run when it was opened?",
            "At the time {incident_id} was opened, what release did its service have in production?",
        ),
        _draw_live,
        _solve_live,
        answer=(RELEASE,),
    ),
)
