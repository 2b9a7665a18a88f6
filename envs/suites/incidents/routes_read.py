"""The reading routes of the operations desk's service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import Field

from faultgym.core.json import JSON
from faultgym.envs.suites.common import money, record
from faultgym.envs.suites.incidents import bodies, schema, words
from faultgym.tools.channels.http.pages import Cursor, page
from faultgym.tools.channels.http.service import Operation, ServiceError, operation
from faultgym.tools.context import WorldView
from faultgym.tools.declare import identifier

if TYPE_CHECKING:
    ServiceId = str
    IncidentId = str
    DeployId = str
else:
    ServiceId = identifier("SVC", "The service")
    IncidentId = identifier("INC", "The incident")
    DeployId = identifier("DEP", "The deploy")

Status = Literal["healthy", "degraded", "down"]
State = Literal["open", "acknowledged", "resolved"]
Severity = Literal["sev1", "sev2", "sev3"]
Level = Literal["info", "warn", "error"]
PAGE, PAGE_V2 = 4, 10
"""Items that one page holds at most, whatever is asked for: short, so that lists have several pages."""
Limit = Annotated[int, Field(ge=1, le=50, description=f"Items per page; at most {PAGE} are given")]
LimitV2 = Annotated[int, Field(ge=1, le=50, description=f"Items per page; at most {PAGE_V2} are given")]
Name = Annotated[str, Field(max_length=60)]
Team = Annotated[Name, Field(description="Name of the team")]
Code = Annotated[str, Field(max_length=40, description="Such as HEAP_EXHAUSTED")]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description="ISO date, UTC")]


def service_row(world: WorldView, service_id: str) -> JSON:
    """The service by column; raises `ServiceError` 404."""
    return record(world, "services", schema.SERVICE, service_id, "service")


def incident_row(world: WorldView, incident_id: str) -> JSON:
    """The incident by column; raises `ServiceError` 404."""
    return record(world, "incidents", schema.INCIDENT, incident_id, "incident")


def _costs(world: WorldView, service_id: str) -> list[bodies.Cost]:
    query = "SELECT item, amount_cents FROM service_costs WHERE service_id = ? ORDER BY item"
    return [{"item": item, "amount_cents": cents} for item, cents in world.db.execute(query, (service_id,))]


def _page(
    world: WorldView,
    table: str,
    columns: tuple[str, ...],
    filters: dict[str, Any],
    cursor: str | None,
    limit: int,
    most: int = PAGE,
) -> Any:
    """A page of the rows that equal all filters, at most `most`; a filter that is None is left out."""
    given = {column: value for column, value in filters.items() if value is not None}
    where = " AND ".join(f"{column} = ?" for column in given) or "1"
    return page(world.db, columns, table, where, list(given.values()), cursor=cursor, limit=min(limit, most))


def _all(world: WorldView, table: str, columns: tuple[str, ...], column: str, key: str) -> Any:
    """All rows of a short list as one page."""
    query = f"SELECT {', '.join(columns)} FROM {table} WHERE {column} = ? ORDER BY id"
    items = [dict(zip(columns, row, strict=True)) for row in world.db.execute(query, (key,))]
    return {"items": items, "total": len(items), "next_cursor": None}


@operation(
    "GET",
    "/v1/services/{service_id}",
    tables=("services",),
    versioned=("services", "service_id"),
    successor="get_service_v2",
)
def get_service(world: WorldView, service_id: ServiceId) -> bodies.FullService:
    """Read one service, with the parts of its cost."""
    return cast(bodies.FullService, {**service_row(world, service_id), "costs": _costs(world, service_id)})


@operation("GET", "/v2/services/{service_id}", tables=("services",), versioned=("services", "service_id"))
def get_service_v2(world: WorldView, service_id: ServiceId) -> bodies.ServiceBodyV2:
    """Read one service; newer version, with amounts as objects."""
    row = service_row(world, service_id)
    cents, currency = row.pop("monthly_cost_cents"), row.pop("currency")
    parts = [{"item": c["item"], "amount": money(c["amount_cents"], currency)} for c in _costs(world, service_id)]
    return cast(bodies.ServiceBodyV2, {**row, "monthly_cost": money(cents, currency), "costs": parts})


@operation("GET", "/v1/services", tables=("services",), listing=True)
def list_services(
    world: WorldView,
    name: Annotated[Name | None, Field(description="Only the service of this name")] = None,
    team: Annotated[Name | None, Field(description="Only services of this team")] = None,
    status: Annotated[Status | None, Field(description="Only services in this state")] = None,
    tier: Annotated[int | None, Field(ge=1, le=3, description="Only services of this tier; 1 matters most")] = None,
    cursor: Cursor | None = None,
    limit: Limit = PAGE,
) -> bodies.Page[bodies.ServiceBody]:
    """List services, narrowed by name, team, status or tier."""
    filters = {"name": name, "team": team, "status": status, "tier": tier}
    found: bodies.Page[bodies.ServiceBody] = _page(world, "services", schema.SERVICE, filters, cursor, limit)
    return found


@operation("GET", "/v1/services/{service_id}/logs", tables=("logs",), listing=True)
def list_logs(
    world: WorldView,
    service_id: ServiceId,
    level: Annotated[Level | None, Field(description="Only lines of this level")] = None,
    code: Code | None = None,
    day: Day | None = None,
    cursor: Cursor | None = None,
    limit: Limit = PAGE,
) -> bodies.Page[bodies.LogBody]:
    """List a service's log entries, oldest first, narrowed by level, code or day."""
    service_row(world, service_id)
    filters = {"service_id": service_id, "level": level, "code": code, "substr(at, 1, 10)": day}
    found: bodies.Page[bodies.LogBody] = _page(world, "logs", schema.LOG, filters, cursor, limit)
    return found


@operation("GET", "/v1/services/{service_id}/deploys", tables=("deploys",), listing=True)
def list_deploys(
    world: WorldView, service_id: ServiceId, cursor: Cursor | None = None, limit: Limit = PAGE
) -> bodies.Page[bodies.DeployBody]:
    """List a service's deploys in the order of their ids."""
    service_row(world, service_id)
    filters = {"service_id": service_id}
    found: bodies.Page[bodies.DeployBody] = _page(world, "deploys", schema.DEPLOY, filters, cursor, limit)
    return found


@operation("GET", "/v1/deploys/{deploy_id}", tables=("deploys",))
def get_deploy(world: WorldView, deploy_id: DeployId) -> bodies.DeployBody:
    """Read one deploy."""
    return cast(bodies.DeployBody, record(world, "deploys", schema.DEPLOY, deploy_id, "deploy"))


@operation(
    "GET",
    "/v1/incidents/{incident_id}",
    tables=("incidents",),
    versioned=("incidents", "incident_id"),
    successor="get_incident_v2",
)
def get_incident(world: WorldView, incident_id: IncidentId) -> bodies.IncidentBody:
    """Read one incident."""
    return cast(bodies.IncidentBody, incident_row(world, incident_id))


@operation("GET", "/v2/incidents/{incident_id}", tables=("incidents",), versioned=("incidents", "incident_id"))
def get_incident_v2(world: WorldView, incident_id: IncidentId) -> bodies.IncidentBody:
    """Read one incident; newer version."""
    return cast(bodies.IncidentBody, incident_row(world, incident_id))


@operation("GET", "/v1/incidents", tables=("incidents",), listing=True, successor="list_incidents_v2")
def list_incidents(
    world: WorldView,
    state: Annotated[State | None, Field(description="Only incidents in this state")] = None,
    severity: Annotated[Severity | None, Field(description="Only incidents of this severity")] = None,
    service_id: ServiceId | None = None,
    cursor: Cursor | None = None,
    limit: Limit = PAGE,
) -> bodies.Page[bodies.IncidentBody]:
    """List incidents, narrowed by state, severity or service."""
    filters = {"state": state, "severity": severity, "service_id": service_id}
    found: bodies.Page[bodies.IncidentBody] = _page(world, "incidents", schema.INCIDENT, filters, cursor, limit)
    return found


@operation("GET", "/v2/incidents", tables=("incidents",), listing=True)
def list_incidents_v2(
    world: WorldView,
    state: Annotated[State | None, Field(description="Only incidents in this state")] = None,
    severity: Annotated[Severity | None, Field(description="Only incidents of this severity")] = None,
    service_id: ServiceId | None = None,
    cursor: Cursor | None = None,
    limit: LimitV2 = PAGE_V2,
) -> bodies.Page[bodies.IncidentBody]:
    """List incidents; newer version, with longer pages."""
    filters = {"state": state, "severity": severity, "service_id": service_id}
    found: bodies.Page[bodies.IncidentBody] = _page(
        world, "incidents", schema.INCIDENT, filters, cursor, limit, PAGE_V2
    )
    return found


@operation("GET", "/v1/alerts", tables=("alerts",), listing=True)
def list_alerts(
    world: WorldView,
    service_id: ServiceId | None = None,
    phase: Annotated[Literal["firing", "cleared"] | None, Field(description="Only alerts in this phase")] = None,
    cursor: Cursor | None = None,
    limit: Limit = PAGE,
) -> bodies.Page[bodies.AlertBody]:
    """List alerts, narrowed by service or phase."""
    filters = {"service_id": service_id, "phase": phase}
    found: bodies.Page[bodies.AlertBody] = _page(world, "alerts", schema.ALERT, filters, cursor, limit)
    return found


@operation("GET", "/v1/oncall/{team}", tables=("oncall",))
def get_oncall(world: WorldView, team: Team) -> bodies.OncallBody:
    """Read who is on call for a team this week."""
    query = "SELECT team, week, person FROM oncall WHERE team = ? AND week = ?"
    row = world.db.execute(query, (team, words.WEEK)).fetchone()
    if row is None:
        raise ServiceError(404, "Not Found", f"team {team} does not exist")
    return {"team": row[0], "week": row[1], "person": row[2]}


@operation("GET", "/v1/incidents/{incident_id}/events", tables=("incident_events",))
def list_events(world: WorldView, incident_id: IncidentId) -> bodies.Page[bodies.EventBody]:
    """List what was done to an incident, oldest first."""
    incident_row(world, incident_id)
    found: bodies.Page[bodies.EventBody] = _all(world, "incident_events", schema.EVENT, "incident_id", incident_id)
    return found


@operation("GET", "/v1/incidents/{incident_id}/notes", tables=("incident_notes",))
def list_notes(world: WorldView, incident_id: IncidentId) -> bodies.Page[bodies.IncidentNoteBody]:
    """List the notes on an incident, oldest first."""
    incident_row(world, incident_id)
    found: bodies.Page[bodies.IncidentNoteBody] = _all(world, "incident_notes", schema.NOTE, "incident_id", incident_id)
    return found


@operation("GET", "/v1/services/{service_id}/restarts", tables=("restarts",))
def list_restarts(world: WorldView, service_id: ServiceId) -> bodies.Page[bodies.RestartBody]:
    """List a service's restarts, oldest first."""
    service_row(world, service_id)
    found: bodies.Page[bodies.RestartBody] = _all(world, "restarts", schema.RESTART, "service_id", service_id)
    return found


READ: list[Operation] = [
    get_service, get_service_v2, list_services, list_logs, list_deploys, get_deploy, get_incident,
    get_incident_v2, list_incidents, list_incidents_v2, list_alerts, get_oncall, list_events, list_notes,
    list_restarts,
]  # fmt: skip
