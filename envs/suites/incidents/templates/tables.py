"""Writes through the SQL tool."""

from __future__ import annotations

import random
import sqlite3

from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import AnswerField
from faultgym.envs.judging.goal import Goal
from faultgym.envs.reference_agent.agent import ReferenceAgent
from faultgym.envs.reference_agent.client import ReferenceAnswer
from faultgym.envs.suite import Drawn, Script, Template
from faultgym.envs.suites.common import choose
from faultgym.envs.suites.incidents.drawing import column, distractors
from faultgym.envs.suites.incidents.templates.fields import SEVERITY
from faultgym.envs.worlds.changes import delete, insert

_NOTES = (
    "customer informed by phone", "waiting for the supplier", "same pattern as last week", "dashboard attached",
    "needs a second look on Monday", "seen by two probes",
)  # fmt: skip


def _draw_note(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    incident, severity = choose(db, rng, "SELECT id, severity FROM incidents WHERE state != 'resolved' ORDER BY id")
    text = rng.choice(_NOTES)
    changes = (insert("incident_notes", incident_id=incident, body=text),)
    goal = Goal(changes, (Atom("text", severity),), distractors("text", [severity], ("sev1", "sev2", "sev3")))
    return Drawn({"incident_id": incident, "text": text}, goal)


def _solve_note(desk: ReferenceAgent) -> Script:
    key, text = desk.p["incident_id"], desk.p["text"]
    insert_note = f"INSERT INTO incident_notes (incident_id, body) VALUES ('{key}', '{text}')"
    if desk.brief():
        rows = yield from desk.sql_returning(
            f"{insert_note} RETURNING (SELECT severity FROM incidents WHERE id = incident_id) AS severity"
        )
        if rows:
            return _noted(desk, rows[0]["severity"])
    found = yield from desk.sql(
        f"SELECT id, severity FROM incidents WHERE id = '{key}'", why=f"Look at {key} before writing to it."
    )
    if not found:
        return desk.absent("incident", key)
    yield from desk.sql_write(insert_note, why="It exists: add the note.")
    return _noted(desk, found[0]["severity"])


def _noted(desk: ReferenceAgent, severity: str) -> ReferenceAnswer:
    return desk.answer(
        f"The note is on {desk.p['incident_id']}, which is a {severity} incident.", "done", severity=severity
    )


def _draw_move(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    source, tag = choose(db, rng, "SELECT service_id, tag FROM service_tags ORDER BY 1, 2")
    free = "SELECT id FROM services WHERE id NOT IN (SELECT service_id FROM service_tags WHERE tag = ?) ORDER BY id"
    (target,) = choose(db, rng, free, tag)
    changes = (delete("service_tags", f"{source}/{tag}/1"), insert("service_tags", service_id=target, tag=tag))
    tags = column(db, "SELECT tag FROM service_tags WHERE service_id = ? ORDER BY 1", target)
    atom = Atom("number", str(len(tags) + 1))
    goal = Goal(changes, (atom,), distractors("number", [len(tags) + 1], [len(tags), len(tags) + 2]))
    return Drawn({"tag": tag, "source": source, "target": target}, goal)


def _solve_move(desk: ReferenceAgent) -> Script:
    tag, source, target = desk.p["tag"], desk.p["source"], desk.p["target"]
    if desk.brief():
        rows = yield from desk.sql_returning(
            f"UPDATE service_tags SET service_id = '{target}' WHERE service_id = '{source}' AND tag = '{tag}'"
            f" RETURNING (SELECT count(*) FROM service_tags WHERE service_id = '{target}') AS tags"
        )
        if rows:
            return _moved(desk, int(rows[0]["tags"]))
    found = yield from desk.sql(
        f"SELECT service_id, tag FROM service_tags WHERE service_id IN ('{source}', '{target}')"
        " ORDER BY service_id, tag",
        why=f"See which tags {source} and {target} have.",
    )
    if (source, tag) not in [(row["service_id"], row["tag"]) for row in found]:
        return desk.answer(f"There is no tag {tag} on {source}: nothing was changed.", "not_found")
    yield from desk.sql_write(
        f"DELETE FROM service_tags WHERE service_id = '{source}' AND tag = '{tag}'",
        why=f"{source} has the tag: take it away there.",
    )
    yield from desk.sql_write(
        f"INSERT INTO service_tags (service_id, tag) VALUES ('{target}', '{tag}')",
        why=f"It is gone from {source}: now put it on {target}, so that it is not lost.",
    )
    return _moved(desk, 1 + sum(1 for row in found if row["service_id"] == target))


def _moved(desk: ReferenceAgent, count: int) -> ReferenceAnswer:
    tag, source, target = desk.p["tag"], desk.p["source"], desk.p["target"]
    text = f"The tag {tag} moved from {source} to {target}, which has {count} tag{'s' * (count != 1)} now."
    return desk.answer(text, "done", tags=count)


TEMPLATES = (
    Template(
        "sql_note",
        "insert a note by SQL",
        (
            'Insert the note "{text}" for {incident_id} into the table incident_notes, and tell me the'
            " incident's severity.",
            'With SQL, add a row to incident_notes: incident {incident_id}, body "{text}". What severity is the'
            " incident?",
            'Write "{text}" as the body of a new row in incident_notes for {incident_id}; then tell me how'
            " severe it is.",
            'I cannot get into the API: put the note "{text}" on {incident_id} straight into incident_notes and name'
            " the severity.",
            'Add one note for {incident_id} to the database table incident_notes, body "{text}", and report its'
            " severity.",
        ),
        _draw_note,
        _solve_note,
        answer=(SEVERITY,),
        sql_writes=True,
    ),
    Template(
        "move_tag",
        "move a tag from one service to another by SQL, in two steps",
        (
            "Move the tag {tag} from {source} to {target} in the table service_tags. How many tags has {target} then?",
            "In service_tags, take the tag {tag} away from {source} and give it to {target}; tell me how many tags"
            " {target} ends up with.",
            "The tag {tag} belongs on {target} and no longer on {source}. Correct service_tags with SQL and count"
            " {target}'s tags.",
            "Please transfer {tag} from {source} over to {target} in service_tags, and say how many tags {target} has"
            " afterwards.",
            "Relabel with SQL: {source} loses the tag {tag}, {target} gets it. What is the new number of tags on"
            " {target}?",
        ),
        _draw_move,
        _solve_move,
        answer=(AnswerField("tags", "integer", "How many tags the service has then"),),
        sql_writes=True,
    ),
)
