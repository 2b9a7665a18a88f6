"""The bodies that the operations desk's service answers with."""

from __future__ import annotations

from typing import Generic, TypeVar

from typing_extensions import TypedDict

from faultgym.envs.suites.common import Money


class ServiceBase(TypedDict):
    """What both versions say of a service."""

    id: str
    name: str
    team: str
    tier: int
    status: str
    replicas: int
    current_version: str
    owner: str
    version: int


class ServiceBody(ServiceBase):
    """A service, as lists and writes show it."""

    monthly_cost_cents: int
    currency: str


class Cost(TypedDict):
    """One part of a service's monthly cost."""

    item: str
    amount_cents: int


class FullService(ServiceBody):
    """A service with the parts of its cost, which add up to it."""

    costs: list[Cost]


class CostV2(TypedDict):
    """One part of a service's monthly cost, in the second version."""

    item: str
    amount: Money


class ServiceBodyV2(ServiceBase):
    """A service, in the second version."""

    monthly_cost: Money
    costs: list[CostV2]


class IncidentBody(TypedDict):
    """An incident; `assignee` and `cause` are empty and `duration_minutes` is 0 until they are known."""

    id: str
    service_id: str
    severity: str
    code: str
    state: str
    opened_at: str
    assignee: str
    cause: str
    duration_minutes: int
    version: int


class DeployBody(TypedDict):
    """A deploy."""

    id: str
    service_id: str
    release: str
    deployed_at: str
    author: str
    stage: str


class LogBody(TypedDict):
    """A log entry."""

    id: str
    service_id: str
    at: str
    level: str
    code: str
    message: str


class AlertBody(TypedDict):
    """An alert."""

    id: str
    service_id: str
    code: str
    fired_at: str
    phase: str


class OncallBody(TypedDict):
    """Who is on call for a team in the week that begins on `week`."""

    team: str
    week: str
    person: str


class EventBody(TypedDict):
    """Something that was done to an incident."""

    id: int
    incident_id: str
    action: str
    detail: str
    at: str
    note: str


class IncidentNoteBody(TypedDict):
    """A note on an incident."""

    id: int
    incident_id: str
    body: str
    created_at: str


class RestartBody(TypedDict):
    """A restart of a service."""

    id: int
    service_id: str
    at: str
    note: str


class RollbackBody(TypedDict):
    """A rollback of a service."""

    id: int
    service_id: str
    from_release: str
    to_release: str
    at: str
    note: str


class ScalingBody(TypedDict):
    """A change of a service's number of replicas."""

    id: int
    service_id: str
    replicas: int
    at: str
    note: str


Item = TypeVar("Item")


class Page(TypedDict, Generic[Item]):
    """A page of a list; `next_cursor` is null on the last one."""

    items: list[Item]
    total: int
    next_cursor: str | None
