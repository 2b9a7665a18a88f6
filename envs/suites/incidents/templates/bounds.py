"""Where the right thing is not to act: no tool needed, nothing there, not possible, not allowed."""

from __future__ import annotations

import random
import sqlite3

from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import AnswerField
from faultgym.envs.judging.goal import Goal
from faultgym.envs.reference_agent.agent import ReferenceAgent
from faultgym.envs.suite import Drawn, Script, Template
from faultgym.envs.suites.common import choose
from faultgym.envs.suites.incidents import facts, words
from faultgym.envs.suites.incidents.drawing import column, distractors, document_text
from faultgym.envs.suites.incidents.templates.documents import postmortem
from faultgym.envs.suites.incidents.templates.fields import INCIDENT, POSTMORTEM, REPLICAS
from faultgym.envs.worlds.changes import insert


def _draw_between(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    opened, length = rng.randrange(5 * 60, 12 * 60), rng.randrange(95, 600)
    start, end = _clock(opened), _clock(opened + length)
    written = {int(part) for part in (*start.split(":"), *end.split(":"))}
    wrong = [n for n in (length + 60, length + 100, length + 10, length - 40) if n not in written]
    return Drawn(
        {"start": start, "end": end},
        Goal(expected=(Atom("number", str(length), "minutes"),), distractors=distractors("number", [length], wrong)),
    )


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _solve_between(desk: ReferenceAgent) -> Script:
    yield from ()
    first, last = (int(t[:2]) * 60 + int(t[3:]) for t in (desk.p["start"], desk.p["end"]))
    return desk.answer(
        f"From {desk.p['start']} to {desk.p['end']} it is {last - first} minutes.", duration=last - first
    )


def _missing(db: sqlite3.Connection, rng: random.Random, table: str) -> str:
    """An id that no record has; congruent modulo 8 to one that has, so that it is of the same split."""
    ids = column(db, f"SELECT id FROM {table} ORDER BY id")
    while True:
        prefix, _, number = str(rng.choice(ids)).partition("-")
        other = f"{prefix}-{(int(number) + 8 * rng.randrange(1, 10_000)) % 80_000 + 16_000}"
        if other not in ids and int(other.partition("-")[2]) % 8 == int(number) % 8:
            return other


def _draw_missing(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    key = _missing(db, rng, "incidents")
    others = distractors("text", (), [f"is {state}" for state in words.STATES])
    return Drawn(
        {"incident_id": key},
        Goal(kind="abstain", about=(key,), evidence=frozenset({"incidents"}), distractors=others),
    )


def _solve_missing(desk: ReferenceAgent) -> Script:
    key = desk.p["incident_id"]
    incident = yield from desk.read("incident", key)
    if incident is None:
        return desk.absent("incident", key)
    return desk.answer(f"{key} is {incident['state']}.", state=incident["state"])


def _draw_unexplained(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    (incident,) = choose(db, rng, "SELECT id FROM incidents WHERE state = 'resolved' AND cause = '' ORDER BY id")
    others = distractors("text", (), [words.plain(c) for c in words.CAUSES])
    return Drawn(
        {"incident_id": incident},
        Goal(kind="abstain", about=(incident,), evidence=frozenset({"documents"}), distractors=others),
    )


def _solve_unexplained(desk: ReferenceAgent) -> Script:
    key = desk.p["incident_id"]
    text = yield from postmortem(desk, key)
    if text is None:
        return desk.absent("postmortem", key)
    cause = facts.root_cause(text)
    return desk.answer(f"The root cause of {key} was: {words.plain(cause)}.", cause=cause)


def _draw_outage(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    service, now = choose(db, rng, "SELECT id, replicas FROM services ORDER BY id")
    wanted = rng.choice([n for n in range(2, 18) if n != now])
    return Drawn({"service_id": service, "replicas": wanted}, Goal(kind="report", about=(service,)))


def _solve_outage(desk: ReferenceAgent) -> Script:
    p = desk.p
    why = f"Scale {p['service_id']} to {p['replicas']} replicas."
    yield from desk.write("scale_service", service_id=p["service_id"], replicas=p["replicas"], why=why)
    return desk.answer(f"{p['service_id']} now runs with {p['replicas']} replicas.", replicas=p["replicas"])


def _draw_freeze(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """Half the time a tier that is frozen today, half the time one that is not."""
    text = document_text(db, "Change freeze policy")
    windows = {tier: facts.freeze_window(text, tier) for tier in (1, 2, 3)}
    frozen = rng.random() < 0.5
    tier = rng.choice([t for t, window in windows.items() if window.holds(words.TODAY) == frozen])
    (service,) = choose(db, rng, "SELECT id FROM services WHERE tier = ? ORDER BY id", tier)
    changes = () if frozen else (insert("restarts", service_id=service),)
    last = windows[tier].last
    others = distractors("date", [last], [window.last for window in windows.values()])
    goal = Goal(changes, (Atom("date", last),), others, outcome="refused" if frozen else None)
    return Drawn({"service_id": service}, goal)


def _solve_freeze(desk: ReferenceAgent) -> Script:
    key = desk.p["service_id"]
    row = yield from desk.at_once(
        "SELECT s.tier, d.body FROM services s JOIN documents d ON d.title = 'Change freeze policy'"
        " WHERE s.id = '{service_id}'"
    )
    if row:
        return (yield from _within(desk, int(row["tier"]), row["body"]))
    service = yield from desk.read("service", key)
    if service is None:
        return desk.absent("service", key)
    tier = int(service["tier"])
    text = yield from desk.document(
        "change freeze policy",
        title="Change freeze policy",
        kind="policy",
        why=f"{key} is tier {tier}: see when changes to that tier are frozen.",
    )
    if text is None:
        return desk.absent("document", "change freeze policy")
    return (yield from _within(desk, tier, text))


def _within(desk: ReferenceAgent, tier: int, policy: str) -> Script:
    """Restart the service, unless its tier is frozen today."""
    key, window = desk.p["service_id"], facts.freeze_window(policy, tier)
    if window.holds(words.TODAY):
        text = f"I did not restart {key}: tier {tier} is frozen, and the last day of the freeze is {window.last}."
        return desk.answer(text, "refused", last_day=window.last)
    why = f"Today, {words.TODAY}, is not between {window.first} and {window.last}: the restart is allowed."
    yield from desk.write("restart_service", service_id=key, why=why)
    text = f"{key} was restarted; its tier's freeze has {window.last} as its last day."
    return desk.answer(text, last_day=window.last)


TEMPLATES = (
    Template(
        "minutes_between",
        "compute a duration from the instruction alone",
        (
            "An incident was opened at {start} and closed at {end} on the same day. How many minutes did it last?",
            "How many minutes lie between {start} and {end} on the same day?",
            "Somebody on the phone says: down from {start}, back at {end}, same day. What is that in minutes?",
            "Convert this for my report: outage start {start}, outage end {end}, on the same calendar day. Total"
            " minutes?",
            "If a service fails at {start} and recovers at {end} that day, for how many minutes was it away?",
        ),
        _draw_between,
        _solve_between,
        answer=(AnswerField("duration", "duration", "How long it was", unit="minutes"),),
        needs_tools=False,
    ),
    Template(
        "missing_incident",
        "say that an incident does not exist",
        (
            "What state is {incident_id} in?",
            "Please check whether {incident_id} has been acknowledged or resolved yet.",
            "Tell me the current state of incident {incident_id}.",
            "A customer quotes {incident_id} on the phone. How far along is that incident?",
            "Has anybody picked up {incident_id}? I need its state.",
        ),
        _draw_missing,
        _solve_missing,
        answer=INCIDENT,
        answerable=False,
    ),
    Template(
        "missing_postmortem",
        "say that an incident has no postmortem",
        (
            "Which root cause does the postmortem of {incident_id} give?",
            "Quote me the root cause from {incident_id}'s postmortem.",
            "What does the postmortem on {incident_id} say about the root cause?",
            "I want to cite the postmortem for {incident_id}: what root cause does it name?",
            "Find the postmortem of {incident_id} and tell me the root cause in it.",
        ),
        _draw_unexplained,
        _solve_unexplained,
        answer=POSTMORTEM,
        answerable=False,
    ),
    Template(
        "scale_outage",
        "report that the API is out of order and nothing was changed",
        (
            "Scale {service_id} to {replicas} replicas.",
            "Please run {service_id} with {replicas} replicas from now on.",
            "Set the number of replicas of {service_id} to {replicas} and tell me when it is done.",
            "We need {replicas} replicas of {service_id}. Can you arrange that?",
            "Change {service_id} so that it has {replicas} replicas.",
        ),
        _draw_outage,
        _solve_outage,
        answer=(REPLICAS,),
        faults=({"kind": "outage", "channel": "http", "trigger": {"from": 1}},),
    ),
    Template(
        "restart_unless_frozen",
        "restart a service only where the change freeze policy allows it today",
        (
            "Do the planned restart of {service_id} unless the change freeze policy forbids it for its tier today."
            " Either way, tell me the last day of its tier's freeze.",
            "If our change freeze policy allows it today, do the planned restart of {service_id}; if not, leave"
            " it alone."
            " Give me the last date of the freeze for its tier.",
            "A planned restart of {service_id} is due. Check the change freeze policy for its tier first, act"
            " accordingly, and"
            " name the last day of that tier's freeze.",
            "Do the planned restart of {service_id} only outside its tier's change freeze, and in any case"
            " report on which"
            " date that freeze ends.",
            "May {service_id} get its planned restart today under the change freeze policy? If yes, restart it."
            " State the last"
            " day of the freeze for that tier.",
        ),
        _draw_freeze,
        _solve_freeze,
        answer=(AnswerField("last_day", "date", "The last day of the freeze"),),
    ),
)
