"""The operations desk: services, deploys, incidents, logs, runbooks."""

from __future__ import annotations

import sqlite3

from faultgym.envs.suite import Entity, EntitySource, FieldHints, Suite
from faultgym.envs.suites import common
from faultgym.envs.suites.incidents import schema, words
from faultgym.envs.suites.incidents.documents import write_documents
from faultgym.envs.suites.incidents.former import FORMER
from faultgym.envs.suites.incidents.routes_read import READ
from faultgym.envs.suites.incidents.routes_write import WRITE
from faultgym.envs.suites.incidents.templates import TEMPLATES
from faultgym.envs.suites.incidents.world import build_records
from faultgym.envs.worlds.names import Names

__all__ = ["SUITE"]


def build(db: sqlite3.Connection, names: Names) -> None:
    """Fill the tables of a new world."""
    write_documents(db, names, *build_records(db, names))


def _select(table: str, columns: tuple[str, ...], key: str = "id") -> EntitySource:
    return EntitySource(sql=f"SELECT {', '.join(columns)} FROM {table} WHERE {key} = '{{id}}'")


ENTITIES = (
    Entity(
        "service",
        "service_id",
        (EntitySource("get_service"), EntitySource("get_service_v2"), _select("services", schema.SERVICE)),
    ),
    Entity(
        "incident",
        "incident_id",
        (EntitySource("get_incident"), EntitySource("get_incident_v2"), _select("incidents", schema.INCIDENT)),
    ),
    Entity("deploy", "deploy_id", (EntitySource("get_deploy"), _select("deploys", schema.DEPLOY))),
    Entity(
        "oncall",
        "team",
        (
            EntitySource("get_oncall"),
            EntitySource(sql=f"SELECT team, week, person FROM oncall WHERE team = '{{id}}' AND week = '{words.WEEK}'"),
        ),
    ),
    Entity("document", "document_id", (EntitySource("get_document"), _select("documents", common.DOCUMENT_COLUMNS))),
)

SUITE = Suite(
    name="incidents",
    title="Operations desk",
    version=1,
    role="You are on the operations desk of a company that runs many services.",
    rules=(
        f"Today is Monday, {words.TODAY}; all times are UTC.",
        "Do what you are asked and nothing else; never do a change twice.",
        "An incident can be resolved only after it was acknowledged.",
        "If something does not exist, or cannot be done now, say so; never guess a value.",
    ),
    schema=schema.SCHEMA,
    build=build,
    documents=common.read_documents,
    service=common.service("Operations desk", [*READ, *WRITE]),
    readable=schema.READABLE,
    writable=schema.WRITABLE,
    visible=schema.VISIBLE,
    templates=TEMPLATES,
    former=FORMER,
    entities={entity.name: entity for entity in ENTITIES},
    hints=FieldHints(
        choices={
            "status": words.STATUSES,
            "state": words.STATES,
            "severity": words.SEVERITIES,
            "stage": words.STAGES,
            "level": words.LEVELS,
            "cause": words.CAUSES,
        },
        money=frozenset({"monthly_cost_cents", "amount_cents", "total_cents"}),
        references=frozenset({"service_id", "incident_id"}),
        fixed=frozenset({"monthly_cost_cents", "level"}),  # a cost is the sum of parts that would change with it
        before={
            **dict.fromkeys(words.STATUSES, "healthy"),
            "healthy": "degraded",
            "sev1": "sev2",
            "sev2": "sev3",
            "sev3": "sev2",
            "live": "",
            "superseded": "live",
            "rolled_back": "live",
            **dict.fromkeys(words.CAUSES, ""),
        },
        filled={
            "assignee": ("state", frozenset({"acknowledged", "resolved"}), ""),
            "cause": ("state", frozenset({"resolved"}), ""),
            "duration_minutes": ("state", frozenset({"resolved"}), 0),
        },
        writes={"INC": "resolve {id} as a false alarm", "SVC": "scale {id} down to one replica"},
    ),
    id_prefixes=("SVC", "INC", "DEP", "ALT", "LOG", "DOC"),
)
