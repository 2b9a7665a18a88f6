"""Single records, and lists of them."""

from __future__ import annotations

import random
import sqlite3

from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import AnswerField
from faultgym.envs.judging.goal import Goal
from faultgym.envs.reference_agent.agent import ReferenceAgent
from faultgym.envs.suite import Drawn, Script, Template
from faultgym.envs.suites.common import choose, euros, rows
from faultgym.envs.suites.incidents import words
from faultgym.envs.suites.incidents.drawing import column, distractors, engineers
from faultgym.envs.suites.incidents.templates.fields import INCIDENT, RELEASE


def _draw_status(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    status = rng.choice(column(db, "SELECT DISTINCT status FROM services ORDER BY status"))
    (service,) = choose(db, rng, "SELECT id FROM services WHERE status = ? ORDER BY id", status)
    expected = (Atom("text", status),)
    return Drawn(
        {"service_id": service}, Goal(expected=expected, distractors=distractors("text", [status], words.STATUSES))
    )


def _solve_status(desk: ReferenceAgent) -> Script:
    service = yield from desk.read("service", desk.p["service_id"])
    if service is None:
        return desk.absent("service", desk.p["service_id"])
    status = service["status"]
    return desk.answer(f"The status of {service['id']} is {status}.", status=status)


def _draw_release(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    service, name, release = choose(db, rng, "SELECT id, name, current_version FROM services ORDER BY id")
    others = column(db, "SELECT release FROM deploys WHERE service_id = ? ORDER BY id", service)
    expected = (Atom("text", release),)
    return Drawn({"service": name}, Goal(expected=expected, distractors=distractors("text", [release], others)))


def _solve_release(desk: ReferenceAgent) -> Script:
    name = desk.p["service"]
    found = yield from desk.list(
        "list_services",
        {"name": name},
        "SELECT id, name, current_version FROM services WHERE name = '{name}'",
        why=f"Find the service that is called {name}.",
    )
    if not found:
        return desk.absent("service", name)
    release = found[0]["current_version"]
    return desk.answer(f"{name} ({found[0]['id']}) runs release {release}.", release=release)


def _draw_facts(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    incident, severity, assignee = choose(
        db, rng, "SELECT id, severity, assignee FROM incidents WHERE assignee != '' ORDER BY id"
    )
    return Drawn(
        {"incident_id": incident},
        Goal(
            expected=(Atom("text", severity), Atom("text", assignee)),
            distractors=distractors("text", [severity], words.SEVERITIES)
            + distractors("text", [assignee], engineers(db)),
        ),
    )


def _solve_facts(desk: ReferenceAgent) -> Script:
    incident = yield from desk.read("incident", desk.p["incident_id"])
    if incident is None:
        return desk.absent("incident", desk.p["incident_id"])
    severity, assignee = incident["severity"], incident["assignee"]
    text = f"{incident['id']} is a {severity} and is assigned to {assignee}."
    return desk.answer(text, severity=severity, assignee=assignee)


def _draw_cost(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    service, cents = choose(db, rng, "SELECT id, monthly_cost_cents FROM services ORDER BY id")
    others = column(db, "SELECT monthly_cost_cents FROM services ORDER BY id")
    return Drawn(
        {"service_id": service},
        Goal(expected=(Atom("money", str(cents)),), distractors=distractors("money", [cents], others)),
    )


def _solve_cost(desk: ReferenceAgent) -> Script:
    service = yield from desk.read("service", desk.p["service_id"])
    if service is None:
        return desk.absent("service", desk.p["service_id"])
    cents = int(service["monthly_cost_cents"])
    return desk.answer(f"{desk.p['service_id']} costs {euros(cents)} per month.", cost=cents / 100)


def _draw_unresolved(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    (severity,) = choose(db, rng, "SELECT DISTINCT severity FROM incidents WHERE state = 'open' ORDER BY 1")
    right = column(db, "SELECT id FROM incidents WHERE state = 'open' AND severity = ? ORDER BY id", severity)
    others = column(db, "SELECT id FROM incidents ORDER BY state, id")
    return Drawn(
        {"severity": severity},
        Goal(expected=tuple(Atom("id", i) for i in right), distractors=distractors("id", right, others)),
    )


def _solve_unresolved(desk: ReferenceAgent) -> Script:
    severity = desk.p["severity"]
    found = yield from desk.list(
        "list_incidents",
        {"state": "open", "severity": severity},
        "SELECT id, state, severity FROM incidents WHERE state = '{state}' AND severity = '{severity}' ORDER BY id",
        why=f"List the {severity} incidents that are still open.",
    )
    if not found:
        return desk.answer(f"There is no open incident of severity {severity}.", "not_found")
    ids = [str(i["id"]) for i in found]
    return desk.answer(f"Open and not acknowledged at {severity}: {', '.join(ids)}.", incidents=ids)


def _draw_minutes(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    query = (
        "SELECT severity, sum(duration_minutes) FROM incidents WHERE state = 'resolved' GROUP BY severity"
        " ORDER BY severity"
    )
    severity, minutes = choose(db, rng, query)
    others = [row[1] for row in rows(db, query)]
    return Drawn(
        {"severity": severity},
        Goal(
            expected=(Atom("number", str(minutes), "minutes"),),
            distractors=distractors("number", [minutes], [*others, sum(others)]),
        ),
    )


def _solve_minutes(desk: ReferenceAgent) -> Script:
    severity = desk.p["severity"]
    found = yield from desk.list(
        "list_incidents",
        {"state": "resolved", "severity": severity},
        "SELECT id, duration_minutes FROM incidents WHERE state = '{state}' AND severity = '{severity}' ORDER BY id",
        why=f"List the resolved {severity} incidents to add up how long they lasted.",
    )
    total = sum(int(i["duration_minutes"]) for i in found)
    return desk.answer(f"The resolved {severity} incidents lasted {total} minutes altogether.", duration=total)


TEMPLATES = (
    Template(
        "service_status",
        "read one service's status",
        (
            "What is the current status of service {service_id}?",
            "Is {service_id} healthy, degraded or down right now?",
            "Please check {service_id} and tell me which status the registry has for it.",
            "A customer asks about {service_id}. How is it doing at the moment?",
            "I need the present health of {service_id}, nothing else.",
            "Look {service_id} up for me: what state is the service in?",
        ),
        _draw_status,
        _solve_status,
        answer=(AnswerField("status", "enum", "The status of the service", values=words.STATUSES),),
    ),
    Template(
        "current_release",
        "find a service by name and read its release",
        (
            "Which release is {service} running at the moment?",
            "Tell me the version of {service} that is live now.",
            "What release of the service {service} do our customers get today?",
            "I am writing release notes: which version does {service} run in production?",
            "Give me the release currently deployed for {service}.",
        ),
        _draw_release,
        _solve_release,
        answer=(RELEASE,),
    ),
    Template(
        "incident_facts",
        "read an incident's severity and assignee",
        (
            "How severe is {incident_id}, and who is it assigned to?",
            "Tell me the severity and the assignee of {incident_id}.",
            "Who is working on {incident_id}, and at what severity was it filed?",
            "For my shift report: the severity of {incident_id} and the person it is assigned to, please.",
            "I need two facts about {incident_id}: its severity level and the engineer it is with.",
        ),
        _draw_facts,
        _solve_facts,
        answer=INCIDENT,
    ),
    Template(
        "service_cost",
        "read a service's monthly cost, which its parts must add up to",
        (
            "What does {service_id} cost us per month?",
            "Please tell me the monthly cost of {service_id} in euros.",
            "How much money do we spend on {service_id} each month?",
            "Finance wants the total monthly cost of {service_id}. What is it?",
            "State what running {service_id} costs in a month.",
        ),
        _draw_cost,
        _solve_cost,
        answer=(AnswerField("cost", "money", "What the service costs per month", unit="EUR"),),
    ),
    Template(
        "open_incidents",
        "list the open incidents of one severity",
        (
            "Which {severity} incidents are open and not yet acknowledged? Give their ids.",
            "List the ids of all incidents in state open with severity {severity}.",
            "I am taking over the shift: which incidents of severity {severity} has nobody acknowledged so far?",
            "Name every {severity} incident that is still open (acknowledged ones do not count).",
            "Give me the ids of the {severity} incidents that are waiting for an acknowledgement.",
        ),
        _draw_unresolved,
        _solve_unresolved,
        answer=(AnswerField("incidents", "id", "The incidents", unit="INC", many=True),),
    ),
    Template(
        "resolved_minutes",
        "add up the durations of all resolved incidents of one severity",
        (
            "How many minutes did all resolved {severity} incidents last altogether?",
            "Add up the durations of the resolved incidents of severity {severity}, in minutes.",
            "What is the total duration in minutes of every resolved {severity} incident?",
            "For the quarterly figures: the sum of minutes over all {severity} incidents that are resolved.",
            "Sum the lengths of our resolved {severity} incidents and tell me the minutes.",
        ),
        _draw_minutes,
        _solve_minutes,
        answer=(AnswerField("duration", "duration", "How long they lasted altogether", unit="minutes"),),
    ),
)
