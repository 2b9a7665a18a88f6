"""Facts that only the documents state, alone and joined with records."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Generator
from typing import Any

from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import AnswerField
from faultgym.envs.judging.goal import Goal
from faultgym.envs.reference_agent.agent import ReferenceAgent
from faultgym.envs.reference_agent.client import ReferenceAnswer, ReferenceStep
from faultgym.envs.suite import Drawn, Script, Template
from faultgym.envs.suites.common import choose
from faultgym.envs.suites.incidents import facts, words
from faultgym.envs.suites.incidents.drawing import column, distractors, document_text, engineers
from faultgym.envs.suites.incidents.templates.fields import POSTMORTEM

EXPLAINED = "SELECT substr(title, 12) FROM documents WHERE kind = 'postmortem' ORDER BY id"
"""The incidents that have a postmortem."""


def runbook(desk: ReferenceAgent, service: str) -> Generator[ReferenceStep, str, str | None]:
    """The runbook of the service with this name; None when there is none."""
    return (
        yield from desk.document(
            f"runbook {service}", title=f"Runbook: {service}", kind="runbook", why=f"Look for the runbook of {service}."
        )
    )


def postmortem(desk: ReferenceAgent, incident: str) -> Generator[ReferenceStep, str, str | None]:
    """The postmortem of the incident with this id; None when there is none."""
    return (
        yield from desk.document(
            f"postmortem {incident}",
            title=f"Postmortem {incident}",
            kind="postmortem",
            why=f"Look for the postmortem of {incident}.",
        )
    )


def _draw_settle(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    (name,) = choose(db, rng, "SELECT name FROM services ORDER BY id")
    right = facts.settle_seconds(document_text(db, f"Runbook: {name}"))
    texts = column(db, "SELECT body FROM documents WHERE kind IN ('archive', 'runbook') ORDER BY kind, id")
    others = [facts.settle_seconds(text) for text in texts]
    return Drawn(
        {"service": name},
        Goal(expected=(Atom("number", str(right), "seconds"),), distractors=distractors("number", [right], others)),
    )


def _solve_settle(desk: ReferenceAgent) -> Script:
    name = desk.p["service"]
    text = yield from runbook(desk, name)
    if text is None:
        return desk.absent("runbook", name)
    wait = facts.settle_seconds(text)
    return desk.answer(f"After a restart of {name}, wait {wait} seconds before it gets traffic.", wait=wait)


def _draw_cause(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    (incident,) = choose(db, rng, EXPLAINED)
    text = document_text(db, f"Postmortem {incident}")
    cause, customers = facts.root_cause(text), facts.customers_affected(text)
    others = [words.plain(c) for c in words.CAUSES]
    return Drawn(
        {"incident_id": incident},
        Goal(
            expected=(Atom("text", words.plain(cause)), Atom("number", str(customers))),
            distractors=distractors("text", [words.plain(cause)], others),
        ),
    )


def _solve_cause(desk: ReferenceAgent) -> Script:
    text = yield from postmortem(desk, desk.p["incident_id"])
    if text is None:
        return desk.absent("postmortem", desk.p["incident_id"])
    cause, customers = facts.root_cause(text), facts.customers_affected(text)
    return desk.answer(
        f"The root cause of {desk.p['incident_id']} was: {words.plain(cause)}. It affected {customers} customers.",
        cause=cause,
        customers=customers,
    )


def _draw_item(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    (incident,) = choose(db, rng, EXPLAINED)
    person, due = facts.action_item(document_text(db, f"Postmortem {incident}"))
    bodies = column(db, "SELECT body FROM documents WHERE kind = 'postmortem' ORDER BY id")
    others = [facts.action_item(body)[1] for body in bodies]
    return Drawn(
        {"incident_id": incident},
        Goal(
            expected=(Atom("text", person), Atom("date", due)),
            distractors=distractors("date", [due], others) + distractors("text", [person], engineers(db)),
        ),
    )


def _solve_item(desk: ReferenceAgent) -> Script:
    text = yield from postmortem(desk, desk.p["incident_id"])
    if text is None:
        return desk.absent("postmortem", desk.p["incident_id"])
    person, due = facts.action_item(text)
    return desk.answer(
        f"The action item of {desk.p['incident_id']} belongs to {person} and is due on {due}.", owner=person, due=due
    )


def _draw_deadline(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    incident, severity = choose(db, rng, "SELECT id, severity FROM incidents WHERE state != 'resolved' ORDER BY id")
    text = document_text(db, "Escalation policy")
    limits = {s: facts.escalation_minutes(text, s) for s in words.SEVERITIES}
    right = limits[severity]
    return Drawn(
        {"incident_id": incident},
        Goal(
            expected=(Atom("number", str(right), "minutes"),),
            distractors=distractors("number", [right], limits.values()),
        ),
    )


_DEADLINE_SQL = (
    "SELECT i.id, i.severity, d.body FROM incidents i JOIN documents d ON d.title = 'Escalation policy'"
    " WHERE i.id = '{incident_id}'"
)


def _solve_deadline(desk: ReferenceAgent) -> Script:
    row = yield from desk.at_once(_DEADLINE_SQL)
    if row:
        return _due(desk, row, row["body"])
    incident = yield from desk.read("incident", desk.p["incident_id"])
    if incident is None:
        return desk.absent("incident", desk.p["incident_id"])
    text = yield from desk.document(
        "escalation policy",
        title="Escalation policy",
        kind="policy",
        why=f"It is a {incident['severity']}: look up the limit in the escalation policy.",
    )
    if text is None:
        return desk.absent("document", "escalation policy")
    return _due(desk, incident, text)


def _due(desk: ReferenceAgent, incident: dict[str, Any], text: str) -> ReferenceAnswer:
    limit = facts.escalation_minutes(text, str(incident["severity"]))
    return desk.answer(f"{incident['id']} must be escalated {limit} minutes after it was opened.", limit=limit)


TEMPLATES = (
    Template(
        "runbook_wait",
        "find a number in a service's runbook",
        (
            "After a restart of {service}, how many seconds must we wait before it gets traffic?",
            "According to its runbook, how long (in seconds) does {service} need after a restart?",
            "I have just restarted {service}. How many seconds does the runbook tell me to wait?",
            "Find out from the current runbook of {service} the waiting time after a restart, in seconds.",
            "What number of seconds does the runbook for {service} prescribe between a restart and traffic?",
        ),
        _draw_settle,
        _solve_settle,
        answer=(AnswerField("wait", "duration", "How long to wait after a restart", unit="seconds"),),
    ),
    Template(
        "postmortem_cause",
        "find root cause and customers affected in a postmortem",
        (
            "What was the root cause of {incident_id} according to its postmortem, and how many customers were"
            " affected?",
            "From the postmortem of {incident_id}, tell me the root cause and the number of affected customers.",
            "Why did {incident_id} happen, and how many customers felt it? The postmortem has both.",
            "Summarise {incident_id} for me: root cause and count of customers affected, as in its postmortem.",
            "I need the root cause that the postmortem gives for {incident_id}, plus how many customers it touched.",
        ),
        _draw_cause,
        _solve_cause,
        answer=POSTMORTEM,
    ),
    Template(
        "action_item",
        "find owner and due date of a postmortem's action item",
        (
            "Who owns the action item from the postmortem of {incident_id}, and on which date is it due?",
            "Tell me the person and the due date of the action item that {incident_id} led to.",
            "The postmortem of {incident_id} has an action item. Whose is it and when must it be done?",
            "For the follow-up on {incident_id}: name of the owner and the date of its action item.",
            "Look at the postmortem for {incident_id} and give me the action item's owner and deadline.",
        ),
        _draw_item,
        _solve_item,
        answer=(
            AnswerField("owner", "name", "Who owns the action item"),
            AnswerField("due", "date", "When the action item is due"),
        ),
    ),
    Template(
        "escalation_deadline",
        "join an incident's severity with the escalation policy",
        (
            "How many minutes after it was opened must {incident_id} be escalated under our escalation policy?",
            "When does the escalation policy want {incident_id} escalated? Answer in minutes from its opening.",
            "By the escalation policy, what is the escalation limit for {incident_id}, in minutes?",
            "Work out for {incident_id} after how many minutes the policy makes us escalate it.",
            "Our escalation policy sets a limit for {incident_id}: how many minutes is it?",
        ),
        _draw_deadline,
        _solve_deadline,
        answer=(
            AnswerField(
                "limit", "duration", "How long after its opening the incident must be escalated", unit="minutes"
            ),
        ),
    ),
)
