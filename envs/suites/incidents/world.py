"""The generator of the operations desk's worlds: what runs, what broke, and what was written about it."""

from __future__ import annotations

import random
import sqlite3
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from faultgym.envs.suites.incidents import words
from faultgym.envs.suites.incidents.facts import RunbookStep
from faultgym.envs.worlds.names import Names
from faultgym.envs.worlds.world import EPOCH

SERVICES = 20
OPEN, ACKNOWLEDGED, RESOLVED = 7, 5, 18
EXPLAINED = 9
"""Resolved incidents with a postmortem; the next three have a cause only, the rest neither."""


@dataclass(slots=True)
class DrawnService:
    """A service while its world is being made."""

    id: str
    name: str
    team: str
    tier: int
    owner: str
    replicas: int
    peak: int
    settle: int
    steps: dict[str, RunbookStep]
    deploys: list[tuple[datetime, str]] = field(default_factory=list)
    """(moment, release), oldest first."""
    status: str = "healthy"


@dataclass(slots=True)
class Incident:
    """An incident while its world is being made."""

    id: str
    service: DrawnService
    severity: str
    code: str
    state: str
    opened: datetime
    assignee: str = ""
    cause: str = ""
    """What the record says."""
    duration: int = 0
    found: str = ""
    """The root cause that the postmortem states; empty when there is none."""


Teams = dict[str, list[str]]
"""Team -> its engineers."""


def iso(moment: datetime) -> str:
    """ISO 8601 to the second, UTC."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def build_records(db: sqlite3.Connection, names: Names) -> tuple[list[DrawnService], list[Incident], Teams]:
    """Fill all tables of a new world but the documents'; returns what the documents are written about."""
    teams = _teams(db, names)
    services = _services(names, teams)
    incidents = _incidents(names, services, teams)
    _store_services(db, names, services, teams)
    _store_incidents(db, names, incidents)
    _logs(db, names, services, incidents)
    return services, incidents, teams


def _teams(db: sqlite3.Connection, names: Names) -> Teams:
    teams = {names.word(): [names.person() for _ in range(4)] for _ in range(5)}
    for team, people in teams.items():
        db.executemany("INSERT INTO engineers VALUES (?, ?)", [(p, team) for p in people])
        shifts = names.rng.sample(people, len(words.WEEKS))
        db.executemany(
            "INSERT INTO oncall VALUES (?, ?, ?)",
            [(team, week, person) for week, person in zip(words.WEEKS, shifts, strict=True)],
        )
    return teams


def _services(names: Names, teams: Teams) -> list[DrawnService]:
    rng = names.rng
    waits = rng.sample(range(35, 300, 5), SERVICES)
    tiers = [1 + n % 3 for n in range(SERVICES)]
    rng.shuffle(tiers)
    found = []
    for n in range(SERVICES):
        team = list(teams)[n % len(teams)]
        sizes = rng.sample(range(2, 17), 3)
        found.append(
            DrawnService(
                names.identifier("SVC"),
                f"{names.word()}-{rng.choice(words.ROLES)}",
                team,
                tiers[n],
                rng.choice(teams[team]),
                sizes[0],
                sizes[1],
                waits[n],
                _steps(rng, sizes[2]),
            )
        )
    return found


def _steps(rng: random.Random, scaled: int) -> dict[str, RunbookStep]:
    """Four codes with one step each; a code's step differs from service to service."""
    codes = rng.sample(list(words.CODES), 4)
    return dict(
        zip(
            codes,
            (RunbookStep("restart"), RunbookStep("scale", scaled), RunbookStep("rollback"), RunbookStep("ticket")),
            strict=True,
        )
    )


def _incidents(names: Names, services: list[DrawnService], teams: Teams) -> list[Incident]:
    rng = names.rng
    troubled = rng.sample(services, OPEN + ACKNOWLEDGED)
    for service in services:
        latest = EPOCH - timedelta(minutes=rng.randrange(18 * 60, 40 * 60))
        if service not in troubled:
            latest -= timedelta(days=rng.randrange(2, 12))
        service.deploys = _deploys(rng, latest)
    found = []
    for n, service in enumerate(troubled):
        opened = service.deploys[-1][0] + timedelta(minutes=rng.randrange(15, 900))
        severity = words.SEVERITIES[n % 3]
        code = list(service.steps)[n % 2 if n < 4 else rng.randrange(2)]
        incident = Incident(names.identifier("INC"), service, severity, code, "open", opened)
        if n >= OPEN:
            incident.state, incident.assignee = "acknowledged", rng.choice(teams[service.team])
            incident.found = rng.choice(words.CAUSES)
        service.status = {"sev1": "down", "sev2": "degraded"}.get(severity, rng.choice(words.STATUSES[:2]))
        found.append(incident)
    return found + [_past_incident(names, n, rng.choice(services), teams) for n in range(RESOLVED)]


def _past_incident(names: Names, n: int, service: DrawnService, teams: Teams) -> Incident:
    rng = names.rng
    first, last = service.deploys[1][0], service.deploys[-1][0]
    opened = first + timedelta(minutes=rng.randrange(60, int((last - first).total_seconds()) // 60 - 300))
    cause = rng.choice(words.CAUSES)
    return Incident(
        names.identifier("INC"),
        service,
        words.SEVERITIES[n % 3],
        rng.choice(list(service.steps)),
        "resolved",
        opened,
        rng.choice(teams[service.team]),
        cause if n < EXPLAINED + 3 else "",
        rng.randrange(17, 290),
        cause if n < EXPLAINED else "",
    )


def _deploys(rng: random.Random, latest: datetime) -> list[tuple[datetime, str]]:
    moments = [latest]
    for _ in range(rng.randrange(3, 6)):
        moments.append(moments[-1] - timedelta(minutes=rng.randrange(4 * 1440, 14 * 1440)))
    major, minor, patch = rng.randrange(1, 6), rng.randrange(20), rng.randrange(6)
    found = []
    for moment in reversed(moments):
        if rng.random() < 0.4:
            minor, patch = minor + 1, 0
        else:
            patch += rng.randrange(1, 3)
        found.append((moment, f"v{major}.{minor}.{patch}"))
    return found


def _store_services(db: sqlite3.Connection, names: Names, services: list[DrawnService], teams: Teams) -> None:
    rng = names.rng
    tags = [names.word() for _ in range(8)]
    for s in services:
        costs = {item: rng.randrange(9_000, 180_000) for item in ("compute", "network", "storage")}
        row = (s.id, s.name, s.team, s.tier, s.status, s.replicas, s.deploys[-1][1], s.owner, sum(costs.values()))
        db.execute("INSERT INTO services VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'EUR', 1)", row)
        db.executemany("INSERT INTO service_costs VALUES (?, ?, ?)", [(s.id, *cost) for cost in costs.items()])
        chosen = rng.sample(tags, rng.randrange(1, 4))
        db.executemany("INSERT INTO service_tags VALUES (?, ?)", [(s.id, tag) for tag in chosen])
        for n, (moment, release) in enumerate(s.deploys, 1):
            stage = "live" if n == len(s.deploys) else "superseded"
            db.execute(
                "INSERT INTO deploys VALUES (?, ?, ?, ?, ?, ?)",
                (names.identifier("DEP"), s.id, release, iso(moment), rng.choice(teams[s.team]), stage),
            )


def _store_incidents(db: sqlite3.Connection, names: Names, incidents: list[Incident]) -> None:
    rng = names.rng
    for i in incidents:
        row = (
            i.id, i.service.id, i.severity, i.code, i.state, iso(i.opened), i.assignee, i.cause, i.duration,
        )  # fmt: skip
        db.execute("INSERT INTO incidents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)", row)
        phase = "cleared" if i.state == "resolved" else "firing"
        alert = (names.identifier("ALT"), i.service.id, i.code, iso(i.opened - timedelta(minutes=3)), phase)
        db.execute("INSERT INTO alerts VALUES (?, ?, ?, ?, ?)", alert)
        for event in _history(rng, i):
            db.execute("INSERT INTO incident_events (incident_id, action, detail, at) VALUES (?, ?, ?, ?)", event)
        if i.state != "resolved" and rng.random() < 0.5:
            body = f"First seen by the {words.plain(i.service.name.split('-')[1])} probe."
            db.execute(
                "INSERT INTO incident_notes (incident_id, body, created_at) VALUES (?, ?, ?)",
                (i.id, body, iso(i.opened)),
            )


def _history(rng: random.Random, incident: Incident) -> list[tuple[str, str, str, str]]:
    """(incident, action, detail, moment) of what was done to it so far."""
    if incident.state == "open":
        return []
    moment = iso(incident.opened + timedelta(minutes=rng.randrange(2, 9)))
    events = [
        (incident.id, "acknowledged", "", moment),
        (incident.id, "assigned", incident.assignee, moment),
    ]
    if incident.state == "resolved":
        end = iso(incident.opened + timedelta(minutes=incident.duration))
        events.append((incident.id, "resolved", incident.cause, end))
    return events


def _logs(db: sqlite3.Connection, names: Names, services: list[DrawnService], incidents: list[Incident]) -> None:
    rng = names.rng
    rows: list[tuple[str, str, str, str]] = []
    for service in services:
        for day in rng.sample(words.DAYS, 2):
            rows += _burst(rng, service.id, day, rng.choice(list(service.steps)))
        for _ in range(3):
            code = rng.choice(list(words.QUIET))
            rows.append((_moment(rng, rng.choice(words.DAYS)), service.id, "info", code))
    for incident in incidents[: OPEN + ACKNOWLEDGED]:
        rows += [
            (iso(incident.opened - timedelta(minutes=m)), incident.service.id, "error", incident.code) for m in (1, 2)
        ]
    rows.sort()
    ids = sorted(names.identifier("LOG", 6) for _ in rows)
    messages = words.CODES | words.QUIET
    db.executemany(
        "INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?)",
        [
            (id_, service, at, level, code, messages[code])
            for id_, (at, service, level, code) in zip(ids, rows, strict=True)
        ],
    )


def _burst(rng: random.Random, service: str, day: str, code: str) -> list[tuple[str, str, str, str]]:
    """Errors of one code on one day, and warnings of the same code, which do not count as errors."""
    levels = ["error"] * rng.randrange(3, 7) + ["warn"] * rng.randrange(3)
    return [(_moment(rng, day), service, level, code) for level in levels]


def _moment(rng: random.Random, day: str) -> str:
    """A moment of that day; of today only before the episode begins."""
    minutes = rng.randrange(8 * 60 + 30 if day == words.TODAY else 24 * 60)
    return f"{day}T{minutes // 60:02d}:{minutes % 60:02d}:{rng.randrange(60):02d}Z"
