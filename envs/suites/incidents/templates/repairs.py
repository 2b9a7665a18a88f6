"""Writes on incidents and services, most of them in several steps."""

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
from faultgym.envs.suites.common import choose
from faultgym.envs.suites.incidents import facts, words
from faultgym.envs.suites.incidents.drawing import column, distractors, document_text, engineers
from faultgym.envs.suites.incidents.templates.documents import postmortem, runbook
from faultgym.envs.suites.incidents.templates.fields import ASSIGNEE, CAUSE, REPLICAS, SERVICE
from faultgym.envs.suites.incidents.templates.rollbacks import TEMPLATES as ROLLBACKS
from faultgym.envs.worlds.changes import Change, insert, update


def event(incident: str, action: str, detail: str = "") -> Change:
    """The event that a write on an incident leaves.

    Args:
        incident: The incident's id.
        action: What was done, such as `acknowledged` or `assigned`.
        detail: With what, such as the person assigned.
    """
    return insert("incident_events", incident_id=incident, action=action, detail=detail)


def known(record: dict[str, Any] | None, what: str) -> dict[str, Any]:
    """The record, which has to be there.

    Args:
        record: A record that another record names, or None where no source gives it.
        what: The record in words, for the message.

    Raises:
        AllSourcesDown: The record is None.
    """
    if record is None:
        raise AllSourcesDown(f"{what} cannot be read")
    return record


def oncall_of(db: sqlite3.Connection, service: str) -> str:
    """Name the person on call this week for the team of a service."""
    query = "SELECT person FROM oncall WHERE week = ? AND team = (SELECT team FROM services WHERE id = ?)"
    return str(column(db, query, words.WEEK, service)[0])


def find_oncall(
    desk: ReferenceAgent, service: str, record: dict[str, Any] | None = None
) -> Generator[ReferenceStep, str, str]:
    """Find the person on call for a service by the calls of an agent.

    Args:
        desk: The reference agent, which makes the calls.
        service: The service's id.
        record: The service, where it has been read before.

    Raises:
        AllSourcesDown: The service or the shift cannot be read.
    """
    if record is None:
        record = yield from desk.read("service", service, why=f"{service} is affected: which team runs it?")
    team = known(record, service)["team"]
    shift = yield from desk.read("oncall", team, why=f"Team {team} runs it: who is on call there?")
    return str(known(shift, f"the on-call engineer of {team}")["person"])


def _draw_acknowledge(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    incident, service = choose(db, rng, "SELECT id, service_id FROM incidents WHERE state = 'open' ORDER BY id")
    person = oncall_of(db, service)
    changes = (
        update("incidents", incident, state="acknowledged", assignee=person),
        event(incident, "acknowledged"),
        event(incident, "assigned", person),
    )
    return Drawn(
        {"incident_id": incident},
        Goal(changes, (Atom("text", person),), distractors("text", [person], engineers(db))),
    )


CASE_SQL = (
    "SELECT i.service_id, i.code, o.person, d.body FROM incidents i JOIN services s ON s.id = i.service_id"
    f" JOIN oncall o ON o.team = s.team AND o.week = '{words.WEEK}'"
    " JOIN documents d ON d.title = 'Runbook: ' || s.name WHERE i.id = '{incident_id}'"
)
"""One statement for all that decides what to do about an incident."""


def _solve_acknowledge(desk: ReferenceAgent) -> Script:
    key = desk.p["incident_id"]
    row = yield from desk.at_once(CASE_SQL)
    if row:
        return (yield from _hand_over(desk, row["person"]))
    incident = yield from desk.read("incident", key)
    if incident is None:
        return desk.absent("incident", key)
    return (yield from _hand_over(desk, (yield from find_oncall(desk, incident["service_id"]))))


def _hand_over(desk: ReferenceAgent, person: str) -> Script:
    key = desk.p["incident_id"]
    yield from desk.write("acknowledge_incident", incident_id=key, why=f"Acknowledge {key} first.")
    yield from desk.write("assign_incident", incident_id=key, assignee=person, why=f"{person} is on call: assign it.")
    return desk.answer(f"{key} is acknowledged and assigned to {person}, who is on call.", assignee=person)


def action_for(db: sqlite3.Connection, service: str, code: str) -> facts.RunbookStep:
    """What the runbook of a service says to do on a code."""
    (name,) = column(db, "SELECT name FROM services WHERE id = ?", service)
    return facts.runbook_step(document_text(db, f"Runbook: {name}"), code)


def step_changes(db: sqlite3.Connection, service: str, step: facts.RunbookStep) -> tuple[Change, ...]:
    """What a restart or a scaling leaves behind."""
    if step.action == "restart":
        return (insert("restarts", service_id=service),)
    changes = (insert("scalings", service_id=service, replicas=step.replicas),)
    if column(db, "SELECT replicas FROM services WHERE id = ?", service) == [step.replicas]:
        return changes
    return (*changes, update("services", service, replicas=step.replicas))


def act(desk: ReferenceAgent, service: str, step: facts.RunbookStep, why: str) -> Generator[ReferenceStep, str, str]:
    """Do what a runbook says: restart, or scale.

    Args:
        desk: The reference agent, which makes the call.
        service: The service's id.
        step: The runbook's step.
        why: The reason that the agent gives.

    Returns:
        What was done, in words.
    """
    if step.action == "scale":
        yield from desk.write("scale_service", service_id=service, replicas=step.replicas, why=why)
        return f"scaled {service} to {step.replicas} replicas"
    yield from desk.write("restart_service", service_id=service, why=why)
    return f"restarted {service}"


def find_step(
    desk: ReferenceAgent, incident: dict[str, Any], record: dict[str, Any] | None = None
) -> Generator[ReferenceStep, str, facts.RunbookStep]:
    """Find what the runbook of an incident's service says to do on its code.

    Args:
        desk: The reference agent, which makes the calls.
        incident: The incident's record.
        record: The service, where it has been read before.

    Raises:
        AllSourcesDown: The service or its runbook cannot be read.
        Unstated: The runbook has no step for the code.
    """
    service = incident["service_id"]
    if record is None:
        record = yield from desk.read("service", service, why=f"{incident['code']} on {service}: what is it called?")
    name = known(record, service)["name"]
    text = yield from runbook(desk, name)
    if text is None:
        raise AllSourcesDown(f"the runbook of {name} cannot be found")
    return facts.runbook_step(text, str(incident["code"]))


def _draw_runbook(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    incident, service, code = choose(
        db, rng, "SELECT id, service_id, code FROM incidents WHERE state != 'resolved' ORDER BY id"
    )
    step = action_for(db, service, code)
    others = column(db, "SELECT id FROM services ORDER BY id")
    return Drawn(
        {"incident_id": incident},
        Goal(step_changes(db, service, step), (Atom("id", service),), distractors("id", [service], others)),
    )


def _solve_runbook(desk: ReferenceAgent) -> Script:
    key = desk.p["incident_id"]
    incident = yield from desk.at_once(CASE_SQL)
    if incident:
        step = facts.runbook_step(incident["body"], incident["code"])
    else:
        incident = yield from desk.read("incident", key)
        if incident is None:
            return desk.absent("incident", key)
        step = yield from find_step(desk, incident)
    done = yield from act(
        desk, incident["service_id"], step, f"The runbook says for {incident['code']}: {step.action}. Do that, once."
    )
    text = f"I {done}, as the runbook says for {incident['code']}."
    return desk.answer(text, service=incident["service_id"])


def _draw_peak(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    service, name = choose(db, rng, "SELECT id, name FROM services ORDER BY id")
    peak = facts.peak_replicas(document_text(db, f"Runbook: {name}"))
    changes = (
        insert("scalings", service_id=service, replicas=peak),
        update("services", service, replicas=peak),
    )
    return Drawn({"service_id": service}, Goal(changes, (Atom("number", str(peak)),)))


def _solve_peak(desk: ReferenceAgent) -> Script:
    key = desk.p["service_id"]
    row = yield from desk.at_once(
        "SELECT d.body FROM services s JOIN documents d ON d.title = 'Runbook: ' || s.name WHERE s.id = '{service_id}'"
    )
    text = row["body"] if row else None
    if text is None:
        service = yield from desk.read("service", key)
        if service is None:
            return desk.absent("service", key)
        text = yield from runbook(desk, service["name"])
        if text is None:
            return desk.absent("runbook", service["name"])
    peak = facts.peak_replicas(text)
    why = f"The runbook wants {peak} replicas at peak load."
    yield from desk.write("scale_service", service_id=key, replicas=peak, why=why)
    return desk.answer(f"{key} now runs with {peak} replicas.", replicas=peak)


def _draw_resolve(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    (incident,) = choose(db, rng, "SELECT id FROM incidents WHERE state = 'acknowledged' ORDER BY id")
    cause = facts.root_cause(document_text(db, f"Postmortem {incident}"))
    changes = (
        update("incidents", incident, state="resolved", cause=cause),
        event(incident, "resolved", cause),
    )
    plain = [words.plain(c) for c in words.CAUSES]
    right = words.plain(cause)
    return Drawn({"incident_id": incident}, Goal(changes, (Atom("text", right),), distractors("text", [right], plain)))


def _solve_resolve(desk: ReferenceAgent) -> Script:
    key = desk.p["incident_id"]
    text = yield from postmortem(desk, key)
    if text is None:
        return desk.absent("postmortem", key)
    cause = facts.root_cause(text)
    yield from desk.write("resolve_incident", incident_id=key, cause=cause, why=f"The postmortem says {cause}.")
    return desk.answer(f"{key} is resolved; the recorded cause is {words.plain(cause)}.", cause=cause)


TEMPLATES = (
    Template(
        "acknowledge_assign",
        "acknowledge an incident and assign it to who is on call for its service's team",
        (
            "Acknowledge {incident_id} and assign it to whoever is on call this week for the affected service's team."
            " Tell me who that is.",
            "Please take care of {incident_id}: acknowledge it, then assign it to its team's on-call engineer,"
            " and name"
            " that person.",
            "{incident_id} has just come in. Acknowledge it, hand it to the on-call engineer of the team that"
            " runs the"
            " service, and tell me their name.",
            "Get {incident_id} going: acknowledgement first, then assignment to the right team's engineer on"
            " call. Who is"
            " it?",
            "Route {incident_id} to the person on call for the owning team after acknowledging it, and report"
            " the name.",
        ),
        _draw_acknowledge,
        _solve_acknowledge,
        answer=(ASSIGNEE,),
    ),
    Template(
        "runbook_action",
        "do what the runbook of an incident's service says for its code",
        (
            "Do for {incident_id} what the runbook of its service says for the incident's code, once, and tell"
            " me the id"
            " of the service.",
            "Look at {incident_id}, find its service's runbook, carry out the step for that error code and name the"
            " service's id.",
            "Please carry out the runbook step that fits {incident_id}. Which service (id) did you act on?",
            "Treat {incident_id} by the book: the step its runbook has for the code, nothing more. Give me the"
            " service id.",
            "The runbook knows what to do about {incident_id}. Do it and tell me the id of the service you acted on.",
        ),
        _draw_runbook,
        _solve_runbook,
        answer=(SERVICE,),
    ),
    *ROLLBACKS,
    Template(
        "scale_to_peak",
        "scale a service to the replicas that its runbook states for peak load",
        (
            "Scale {service_id} to the number of replicas that its runbook asks for at peak load, and tell me"
            " the number.",
            "A campaign starts soon: bring {service_id} to the replicas its runbook names for peak load. How"
            " many is that?",
            "Prepare {service_id} for peak load as its runbook says, and report how many replicas it runs with.",
            "Set {service_id} to its peak size. The runbook has the number of replicas; tell me what it was.",
            "We expect peak load on {service_id}. Adjust its replicas to the runbook's figure and state that figure.",
        ),
        _draw_peak,
        _solve_peak,
        answer=(REPLICAS,),
    ),
    Template(
        "resolve_with_cause",
        "resolve an incident with the root cause of its postmortem",
        (
            "Resolve {incident_id} with the root cause that its postmortem gives, and tell me that cause.",
            "{incident_id} is over. Close it with the root cause from the postmortem and name the cause.",
            "Please set {incident_id} to resolved; take the cause from its postmortem and tell me which it is.",
            "The postmortem for {incident_id} is written: record its root cause by resolving the incident, then"
            " state it.",
            "Finish {incident_id}: resolve it under the root cause found in the postmortem, and report the cause.",
        ),
        _draw_resolve,
        _solve_resolve,
        answer=(CAUSE,),
    ),
)
