"""The tables of the operations desk, and what of them SQL shows, SQL may change, and customers see."""

from __future__ import annotations

from faultgym.envs.suites.common import DOCUMENT_COLUMNS, DOCUMENTS_TABLE

SCHEMA = (
    """
CREATE TABLE engineers (name TEXT PRIMARY KEY, team TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE oncall (team TEXT NOT NULL, week TEXT NOT NULL, person TEXT NOT NULL REFERENCES engineers(name),
    PRIMARY KEY (team, week)) WITHOUT ROWID;
CREATE TABLE services (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, team TEXT NOT NULL,
    tier INTEGER NOT NULL, status TEXT NOT NULL, replicas INTEGER NOT NULL, current_version TEXT NOT NULL,
    owner TEXT NOT NULL REFERENCES engineers(name), monthly_cost_cents INTEGER NOT NULL,
    currency TEXT NOT NULL DEFAULT 'EUR', version INTEGER NOT NULL DEFAULT 1);
CREATE TABLE service_costs (service_id TEXT NOT NULL REFERENCES services(id), item TEXT NOT NULL,
    amount_cents INTEGER NOT NULL, PRIMARY KEY (service_id, item)) WITHOUT ROWID;
CREATE TABLE service_tags (service_id TEXT NOT NULL REFERENCES services(id), tag TEXT NOT NULL);
CREATE TABLE deploys (id TEXT PRIMARY KEY, service_id TEXT NOT NULL REFERENCES services(id),
    release TEXT NOT NULL, deployed_at TEXT NOT NULL, author TEXT NOT NULL REFERENCES engineers(name),
    stage TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE incidents (id TEXT PRIMARY KEY, service_id TEXT NOT NULL REFERENCES services(id),
    severity TEXT NOT NULL, code TEXT NOT NULL, state TEXT NOT NULL, opened_at TEXT NOT NULL,
    assignee TEXT NOT NULL DEFAULT '', cause TEXT NOT NULL DEFAULT '',
    duration_minutes INTEGER NOT NULL DEFAULT 0, version INTEGER NOT NULL DEFAULT 1) WITHOUT ROWID;
CREATE TABLE incident_events (id INTEGER PRIMARY KEY, incident_id TEXT NOT NULL REFERENCES incidents(id),
    action TEXT NOT NULL, detail TEXT NOT NULL, at TEXT NOT NULL, note TEXT NOT NULL DEFAULT '');
CREATE TABLE incident_notes (id INTEGER PRIMARY KEY, incident_id TEXT NOT NULL REFERENCES incidents(id),
    body TEXT NOT NULL, created_at TEXT NOT NULL DEFAULT '');
CREATE TABLE alerts (id TEXT PRIMARY KEY, service_id TEXT NOT NULL REFERENCES services(id),
    code TEXT NOT NULL, fired_at TEXT NOT NULL, phase TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE logs (id TEXT PRIMARY KEY, service_id TEXT NOT NULL REFERENCES services(id), at TEXT NOT NULL,
    level TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE restarts (id INTEGER PRIMARY KEY, service_id TEXT NOT NULL REFERENCES services(id),
    at TEXT NOT NULL, note TEXT NOT NULL DEFAULT '');
CREATE TABLE rollbacks (id INTEGER PRIMARY KEY, service_id TEXT NOT NULL REFERENCES services(id),
    from_release TEXT NOT NULL, to_release TEXT NOT NULL, at TEXT NOT NULL, note TEXT NOT NULL DEFAULT '');
CREATE TABLE scalings (id INTEGER PRIMARY KEY, service_id TEXT NOT NULL REFERENCES services(id),
    replicas INTEGER NOT NULL, at TEXT NOT NULL, note TEXT NOT NULL DEFAULT '');
"""
    + DOCUMENTS_TABLE
)

SERVICE = (
    "id", "name", "team", "tier", "status", "replicas", "current_version", "owner", "monthly_cost_cents",
    "currency", "version",
)  # fmt: skip
INCIDENT = (
    "id", "service_id", "severity", "code", "state", "opened_at", "assignee", "cause", "duration_minutes",
    "version",
)  # fmt: skip
DEPLOY = ("id", "service_id", "release", "deployed_at", "author", "stage")
LOG = ("id", "service_id", "at", "level", "code", "message")
ALERT = ("id", "service_id", "code", "fired_at", "phase")
ONCALL = ("team", "week", "person")
COST = ("service_id", "item", "amount_cents")
EVENT = ("id", "incident_id", "action", "detail", "at", "note")
NOTE = ("id", "incident_id", "body", "created_at")
RESTART = ("id", "service_id", "at", "note")
ROLLBACK = ("id", "service_id", "from_release", "to_release", "at", "note")
SCALING = ("id", "service_id", "replicas", "at", "note")

READABLE = {
    "services": frozenset(SERVICE),
    "service_costs": frozenset(COST),
    "service_tags": frozenset({"service_id", "tag"}),
    "deploys": frozenset(DEPLOY),
    "incidents": frozenset(INCIDENT),
    "incident_events": frozenset(EVENT),
    "incident_notes": frozenset(NOTE),
    "alerts": frozenset(ALERT),
    "logs": frozenset(LOG),
    "restarts": frozenset(RESTART),
    "rollbacks": frozenset(ROLLBACK),
    "scalings": frozenset(SCALING),
    "engineers": frozenset({"name", "team"}),
    "oncall": frozenset(ONCALL),
    "documents": frozenset(DOCUMENT_COLUMNS),
}
WRITABLE = frozenset({"incident_notes", "service_tags"})
_TAG_KEY = "service_id || '/' || tag || '/' || row_number() OVER (PARTITION BY service_id, tag)"
"""By what it says and not by its row, so that DELETE and INSERT equal UPDATE, and a second copy shows."""
VISIBLE = {
    "services": ("id", ("status", "replicas", "current_version")),
    "service_tags": (_TAG_KEY, ("service_id", "tag")),
    "deploys": ("id", ("stage",)),
    "incidents": ("id", ("state", "assignee", "cause")),
    "incident_events": ("id", ("incident_id", "action", "detail")),
    "incident_notes": ("id", ("incident_id", "body")),
    "restarts": ("id", ("service_id",)),
    "rollbacks": ("id", ("service_id", "from_release", "to_release")),
    "scalings": ("id", ("service_id", "replicas")),
}
