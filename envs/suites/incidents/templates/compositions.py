"""Several known tasks in one: kept for the split of unseen compositions."""

from __future__ import annotations

import random
import sqlite3

from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.goal import Goal
from faultgym.envs.reference_agent.agent import ReferenceAgent
from faultgym.envs.suite import Drawn, Script, Template
from faultgym.envs.suites.common import choose
from faultgym.envs.suites.incidents import facts
from faultgym.envs.suites.incidents.drawing import distractors, engineers
from faultgym.envs.suites.incidents.templates.fields import ASSIGNEE, ERRORS, RELEASE
from faultgym.envs.suites.incidents.templates.history import count_errors, draw_count
from faultgym.envs.suites.incidents.templates.repairs import (
    CASE_SQL,
    act,
    action_for,
    event,
    find_oncall,
    find_step,
    oncall_of,
    step_changes,
)
from faultgym.envs.suites.incidents.templates.rollbacks import bad_release, roll_back, rollback_changes, suspect
from faultgym.envs.worlds.changes import insert, update


def _draw_handle(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    incident, service, code = choose(
        db, rng, "SELECT id, service_id, code FROM incidents WHERE state = 'open' ORDER BY id"
    )
    person = oncall_of(db, service)
    changes = (
        update("incidents", incident, state="acknowledged", assignee=person),
        event(incident, "acknowledged"),
        event(incident, "assigned", person),
        *step_changes(db, service, action_for(db, service, code)),
    )
    goal = Goal(changes, (Atom("text", person),), distractors("text", [person], engineers(db)))
    return Drawn({"incident_id": incident}, goal)


def _solve_handle(desk: ReferenceAgent) -> Script:
    key = desk.p["incident_id"]
    incident = yield from desk.at_once(CASE_SQL)
    if incident:
        person, step = incident["person"], facts.runbook_step(incident["body"], incident["code"])
    else:
        incident = yield from desk.read("incident", key)
        if incident is None:
            return desk.absent("incident", key)
        service = incident["service_id"]
        why = f"{service} is affected: its team and its runbook matter."
        record = yield from desk.read("service", service, why=why)
        person = yield from find_oncall(desk, service, record)
        step = yield from find_step(desk, incident, record)
    yield from desk.write("acknowledge_incident", incident_id=key, why=f"Acknowledge {key} first.")
    yield from desk.write("assign_incident", incident_id=key, assignee=person, why=f"{person} is on call: assign it.")
    why = f"Last, the runbook's step for {incident['code']}: {step.action}."
    done = yield from act(desk, incident["service_id"], step, why)
    return desk.answer(f"{key} is acknowledged and with {person}; I {done}.", assignee=person)


def _draw_revert(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    incident, service = choose(db, rng, "SELECT id, service_id FROM incidents WHERE state = 'open' ORDER BY id")
    changes = (
        *rollback_changes(db, service),
        update("incidents", incident, state="resolved", cause="faulty_release"),
        event(incident, "acknowledged"),
        event(incident, "resolved", "faulty_release"),
    )
    return Drawn({"incident_id": incident}, Goal(changes, (Atom("text", bad_release(db, service)[3]),)))


def _solve_revert(desk: ReferenceAgent) -> Script:
    key = desk.p["incident_id"]
    incident = yield from suspect(desk)
    if incident is None:
        return desk.absent("incident", key)
    yield from desk.write("acknowledge_incident", incident_id=key, why=f"Acknowledge {key} before anything else.")
    release = yield from roll_back(desk, incident)
    yield from desk.write(
        "resolve_incident", incident_id=key, cause="faulty_release", why="The bad release is gone: resolve it."
    )
    return desk.answer(f"{incident['service_id']} is back on {release}, and {key} is resolved.", release=release)


def _draw_tally(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    service, code, day, count = draw_count(db, rng)
    (incident,) = choose(db, rng, "SELECT id FROM incidents WHERE state != 'resolved' ORDER BY id")
    changes = (insert("incident_notes", incident_id=incident, body=f"{code} errors on {day}: {count}"),)
    params = {"service_id": service, "code": code, "day": day, "incident_id": incident}
    return Drawn(params, Goal(changes, (Atom("number", str(count)),)))


def _solve_tally(desk: ReferenceAgent) -> Script:
    p = desk.p
    count = yield from count_errors(desk, p["service_id"], p["code"], p["day"])
    text = f"{p['code']} errors on {p['day']}: {count}"
    yield from desk.write(
        "add_note", incident_id=p["incident_id"], text=text, why=f"There are {count}: write that down."
    )
    said = f"{p['service_id']} logged {count} {p['code']} errors on {p['day']}; that is noted on {p['incident_id']}."
    return desk.answer(said, errors=count)


TEMPLATES = (
    Template(
        "handle_by_the_book",
        "acknowledge, assign to who is on call, then do the runbook's step",
        (
            "Handle {incident_id}: acknowledge it, assign it to the on-call engineer of the team that runs its"
            " service, then"
            " carry out the runbook's step for its code. Tell me who has it now.",
            "{incident_id} is new. Acknowledge it, assign it to its team's on-call engineer, and do what the service's"
            " runbook says for the code. Who is it assigned to?",
            "Acknowledge {incident_id}, pass it to the on-call person of the owning team, follow the runbook for"
            " its error code,"
            " and name that person.",
            "All three for {incident_id}, please: acknowledgement, assignment to the on-call engineer of its"
            " team, the runbook"
            " step for its code. Report the assignee.",
            "Take {incident_id} from open to handled: acknowledge, assign to the team's engineer on call, act by"
            " the runbook."
            " Which engineer is it?",
        ),
        _draw_handle,
        _solve_handle,
        answer=(ASSIGNEE,),
        composition=True,
    ),
    Template(
        "revert_and_resolve",
        "acknowledge, roll back the last deploy, resolve as a faulty release",
        (
            "Acknowledge {incident_id}, roll its service back to the release before the last deploy, and resolve"
            " the incident"
            " with the cause faulty_release. Which release runs now?",
            "The latest deploy caused {incident_id}. Acknowledge the incident, go back by one release, resolve it as"
            " faulty_release and tell me the release.",
            "For {incident_id}: first acknowledge, next return its service to the release before its newest"
            " deploy, finally"
            " resolve with cause faulty_release. Name the release.",
            "Settle {incident_id}: acknowledgement, rollback of its service by one release, resolution with"
            " faulty_release as"
            " cause. What release did you end on?",
            "Please acknowledge {incident_id}, revert the last deploy of the service behind it, and resolve it under"
            " faulty_release; state the release that is live.",
        ),
        _draw_revert,
        _solve_revert,
        answer=(RELEASE,),
        composition=True,
    ),
    Template(
        "count_and_note",
        "count errors, then note the number on an incident",
        (
            "Count the entries of level error with code {code} that {service_id} logged on {day}, and add the note"
            ' "{code} errors on {day}: N" to {incident_id}, with the number for N. Tell me the number.',
            "How many {code} errors (level error) did {service_id} log on {day}? Also put the answer on"
            " {incident_id} as the"
            ' note "{code} errors on {day}: N", N being the number.',
            'Note on {incident_id}, word for word, "{code} errors on {day}: N", where N is how many entries of'
            " level error with"
            " that code {service_id} logged that day, and tell me N.",
            "Find the number N of level error entries with {code} from {service_id} on {day}, write the note"
            ' "{code} errors on {day}: N" on {incident_id} and report N.',
            'Add to {incident_id} the note "{code} errors on {day}: N"; replace N by the count of'
            " {service_id}'s {code} entries"
            " at level error on {day}, and give me the count.",
        ),
        _draw_tally,
        _solve_tally,
        answer=(ERRORS,),
        composition=True,
    ),
)
