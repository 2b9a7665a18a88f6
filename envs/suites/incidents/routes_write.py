"""The writing routes of the operations desk's service.

Each write leaves a row of its own (an event, a note, a restart, ...), so that doing it twice shows.
"""

from __future__ import annotations

from typing import Annotated, Literal, cast

from pydantic import Field

from faultgym.envs.suites.common import Note
from faultgym.envs.suites.incidents import bodies, schema
from faultgym.envs.suites.incidents.routes_read import IncidentId, ServiceId, incident_row, service_row
from faultgym.tools.channels.http.service import Operation, ServiceError, operation
from faultgym.tools.context import WorldView

Cause = Annotated[
    Literal[
        "memory_leak",
        "expired_certificate",
        "full_disk",
        "exhausted_pool",
        "faulty_release",
        "dns_failure",
        "wrong_flag",
        "slow_upstream",
    ],
    Field(description="What the trouble was"),
]
Person = Annotated[str, Field(max_length=80, description="An engineer's full name")]
Release = Annotated[str, Field(max_length=20, description="Such as v1.14.2")]
Replicas = Annotated[int, Field(ge=1, le=20, description="How many instances are to run")]
Text = Annotated[str, Field(min_length=1, max_length=500, description="The text of the note")]


def _refused(detail: str) -> ServiceError:
    return ServiceError(409, "Conflict", detail)


def _incident_change(
    world: WorldView, incident_id: str, kind: str, note: str | None, detail: str, **values: str | int
) -> bodies.IncidentBody:
    """Set these columns of an incident, write the event down and answer with the incident."""
    db = world.writable()
    given = ", ".join(f"{column} = ?" for column in values)
    db.execute(f"UPDATE incidents SET {given}, version = version + 1 WHERE id = ?", (*values.values(), incident_id))
    db.execute(
        "INSERT INTO incident_events (incident_id, action, detail, at, note) VALUES (?, ?, ?, ?, ?)",
        (incident_id, kind, detail, world.now_iso, note or ""),
    )
    world.effect(kind, "incidents", incident_id, **values)
    return cast(bodies.IncidentBody, incident_row(world, incident_id))


@operation(
    "POST",
    "/v1/incidents/{incident_id}/acknowledge",
    tables=("incidents", "incident_events"),
    versioned=("incidents", "incident_id"),
)
def acknowledge_incident(world: WorldView, incident_id: IncidentId, note: Note | None = None) -> bodies.IncidentBody:
    """Acknowledge an incident. Each call is written down and pages the owner again."""
    if incident_row(world, incident_id)["state"] == "resolved":
        raise _refused(f"incident {incident_id} is resolved already")
    return _incident_change(world, incident_id, "acknowledged", note, "", state="acknowledged")


@operation(
    "POST",
    "/v1/incidents/{incident_id}/assign",
    tables=("incidents", "incident_events"),
    versioned=("incidents", "incident_id"),
)
def assign_incident(
    world: WorldView, incident_id: IncidentId, assignee: Person, note: Note | None = None
) -> bodies.IncidentBody:
    """Assign an incident to an engineer. Each call is written down and pages that engineer."""
    if incident_row(world, incident_id)["state"] == "resolved":
        raise _refused(f"incident {incident_id} is resolved already")
    if world.db.execute("SELECT 1 FROM engineers WHERE name = ?", (assignee,)).fetchone() is None:
        raise ServiceError(422, "Unprocessable Content", f"there is no engineer {assignee}: give a full name")
    return _incident_change(world, incident_id, "assigned", note, assignee, assignee=assignee)


@operation(
    "POST",
    "/v1/incidents/{incident_id}/resolve",
    tables=("incidents", "incident_events"),
    versioned=("incidents", "incident_id"),
)
def resolve_incident(
    world: WorldView, incident_id: IncidentId, cause: Cause, note: Note | None = None
) -> bodies.IncidentBody:
    """Resolve an incident with its root cause. It must have been acknowledged; a repeat is a correction."""
    if incident_row(world, incident_id)["state"] == "open":
        raise _refused(f"incident {incident_id} must be acknowledged before it is resolved")
    query = "SELECT (unixepoch(?) - unixepoch(opened_at)) / 60 FROM incidents WHERE id = ?"
    minutes = world.db.execute(query, (world.now_iso, incident_id)).fetchone()[0]
    return _incident_change(
        world, incident_id, "resolved", note, cause, state="resolved", cause=cause, duration_minutes=minutes
    )


@operation("POST", "/v1/incidents/{incident_id}/notes", tables=("incident_notes",), status=201)
def add_note(
    world: WorldView, incident_id: IncidentId, text: Text, note: Note | None = None
) -> bodies.IncidentNoteBody:
    """Add a note to an incident."""
    incident_row(world, incident_id)
    row = world.writable().execute(
        "INSERT INTO incident_notes (incident_id, body, created_at) VALUES (?, ?, ?)"
        f" RETURNING {', '.join(schema.NOTE)}",
        (incident_id, text, world.now_iso),
    )
    body = dict(zip(schema.NOTE, row.fetchone(), strict=True))
    world.effect("add_note", "incident_notes", str(body["id"]), incident_id=incident_id, body=text)
    return cast(bodies.IncidentNoteBody, body)


def _touch(world: WorldView, service_id: str, **values: str | int) -> None:
    """Set these columns of a service and raise its version."""
    given = "".join(f"{column} = ?, " for column in values)
    world.writable().execute(
        f"UPDATE services SET {given}version = version + 1 WHERE id = ?", (*values.values(), service_id)
    )


@operation(
    "POST",
    "/v1/services/{service_id}/restart",
    tables=("restarts", "services"),
    versioned=("services", "service_id"),
)
def restart_service(world: WorldView, service_id: ServiceId, note: Note | None = None) -> bodies.ServiceBody:
    """Restart a service, once per call. Its status changes only when the probes have seen it."""
    service_row(world, service_id)
    world.writable().execute(
        "INSERT INTO restarts (service_id, at, note) VALUES (?, ?, ?)", (service_id, world.now_iso, note or "")
    )
    _touch(world, service_id)
    world.effect("restart_service", "restarts", service_id)
    return cast(bodies.ServiceBody, service_row(world, service_id))


@operation(
    "POST",
    "/v1/services/{service_id}/scale",
    tables=("scalings", "services"),
    versioned=("services", "service_id"),
)
def scale_service(
    world: WorldView, service_id: ServiceId, replicas: Replicas, note: Note | None = None
) -> bodies.ServiceBody:
    """Run a service with this many replicas. Each call is written down."""
    service_row(world, service_id)
    world.writable().execute(
        "INSERT INTO scalings (service_id, replicas, at, note) VALUES (?, ?, ?, ?)",
        (service_id, replicas, world.now_iso, note or ""),
    )
    _touch(world, service_id, replicas=replicas)
    world.effect("scale_service", "services", service_id, replicas=replicas)
    return cast(bodies.ServiceBody, service_row(world, service_id))


@operation(
    "POST",
    "/v1/services/{service_id}/rollback",
    tables=("rollbacks", "deploys", "services"),
    versioned=("services", "service_id"),
)
def rollback_service(
    world: WorldView, service_id: ServiceId, release: Release, note: Note | None = None
) -> bodies.ServiceBody:
    """Roll a service back to an earlier release of its own."""
    current = service_row(world, service_id)["current_version"]
    if release == current:
        raise _refused(f"service {service_id} runs {release} already")
    db = world.writable()
    known = db.execute("SELECT 1 FROM deploys WHERE service_id = ? AND release = ?", (service_id, release))
    if known.fetchone() is None:
        raise ServiceError(422, "Unprocessable Content", f"service {service_id} never ran release {release}")
    db.execute("UPDATE deploys SET stage = 'rolled_back' WHERE service_id = ? AND stage = 'live'", (service_id,))
    db.execute("UPDATE deploys SET stage = 'live' WHERE service_id = ? AND release = ?", (service_id, release))
    db.execute(
        "INSERT INTO rollbacks (service_id, from_release, to_release, at, note) VALUES (?, ?, ?, ?, ?)",
        (service_id, current, release, world.now_iso, note or ""),
    )
    _touch(world, service_id, current_version=release)
    world.effect("rollback_service", "services", service_id, release=release)
    return cast(bodies.ServiceBody, service_row(world, service_id))


WRITE: list[Operation] = [
    acknowledge_incident, assign_incident, resolve_incident, add_note, restart_service, scale_service,
    rollback_service,
]  # fmt: skip
