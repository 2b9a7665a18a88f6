"""The operations desk's documents: runbooks, postmortems, policies, guides, and retired ones among them."""

from __future__ import annotations

import random
import sqlite3
from datetime import timedelta

from faultgym.envs.suites.common import add_document
from faultgym.envs.suites.incidents import words
from faultgym.envs.suites.incidents.facts import RunbookStep
from faultgym.envs.suites.incidents.world import DrawnService, Incident, Teams
from faultgym.envs.worlds.names import Names
from faultgym.envs.worlds.world import EPOCH

RETIRED = 4
"""Services with a retired runbook beside the current one."""
_CHORES = (
    "adds an alert on memory growth", "renews the certificates by a timer", "moves the old files off the volume",
    "raises the size of the connection pool", "lets the pipeline stop a release that fails its probes",
    "runs a second resolver", "reviews every flag before it is switched", "sets a deadline on calls to peers",
)  # fmt: skip
_GUIDES = {
    "Guide: reading the logs": (
        "Every entry has a level and a code. Only the level error counts against a service; a warn with the same"
        " code is a symptom that healed by itself. Count with SQL, or page through the log route."
    ),
    "Guide: restarting without loss": (
        "A restart drains connections first. It does not clear a queue and it does not change the release that"
        " runs. Each restart is written down; two restarts in a row make an outage longer, not shorter."
    ),
    "Guide: writing a postmortem": (
        "Name what was suspected first and what it turned out to be. Say how many customers were affected, and"
        " give every action item one owner and one date."
    ),
    "Guide: choosing a severity": (
        "sev1 means that customers cannot use a service at all, sev2 that it is slow or partly broken, sev3 that"
        " only we notice. Severity never depends on who asks."
    ),
}
_POLICIES = {
    "Rollback policy": (
        "Roll back to the release that was live before the one at fault, never further. A rollback is written"
        " down with both releases. Nobody needs a permit for it, change freeze or not."
    ),
    "On-call handover": (
        "The on-call week begins on Monday at 09:00 UTC. Whoever hands over names every incident that is open."
        " An incident belongs to the on-call engineer of the team whose service it is on."
    ),
    "Postmortem policy": (
        "Every sev1 and most sev2 incidents get a postmortem within ten working days. The cause that is recorded"
        " when an incident is resolved is the root cause of its postmortem, not the first suspicion."
    ),
    "Capacity policy": (
        "A runbook names the replicas for peak load. The desk may scale a service to that number at any time;"
        " more than twenty replicas need the owner's word."
    ),
    "Communication policy": (
        "Customers hear of a sev1 within the first hour, of a sev2 on the same day, of a sev3 not at all. Only"
        " the owner of a service writes to them."
    ),
}


def write_documents(
    db: sqlite3.Connection, names: Names, services: list[DrawnService], incidents: list[Incident], teams: Teams
) -> None:
    """Write all documents of a world."""
    rng = names.rng

    def write(title: str, kind: str, body: str, oldest: int = 60) -> None:
        updated = (EPOCH - timedelta(days=rng.randrange(1, oldest))).date().isoformat()
        add_document(db, names.identifier("DOC"), title, kind, updated, body)

    for service in services:
        write(f"Runbook: {service.name}", "runbook", _runbook(service))
    for service in rng.sample(services, RETIRED):
        write(f"Retired instructions for {service.name}", "archive", _retired(rng, service), 900)
    for incident in incidents:
        if incident.found:
            write(f"Postmortem {incident.id}", "postmortem", _postmortem(rng, incident, teams), 3)
    write("Escalation policy", "policy", _escalation(rng))
    write("Change freeze policy", "policy", _freeze(rng))
    for title, body in _POLICIES.items():
        write(title, "policy", body, 300)
    for title, body in _GUIDES.items():
        write(title, "guide", body, 300)


def _runbook(service: DrawnService) -> str:
    steps = "\n".join(f"On {code}: {_step(step, service)}" for code, step in service.steps.items())
    return (
        f"{service.name} is {service.id}, tier {service.tier}, run by team {service.team}."
        f" At peak load it needs {service.peak} replicas.\n{steps}\n"
        f"After a restart, wait {service.settle} seconds before it gets traffic again."
    )


def _step(step: RunbookStep, service: DrawnService) -> str:
    return {
        "restart": "restart the service once; do not scale it.",
        "scale": f"scale the service to {step.replicas} replicas; a restart does not help.",
        "rollback": "roll the service back to the release that was live before.",
        "ticket": f"write a ticket for team {service.team} and leave the service as it is.",
    }[step.action]


def _retired(rng: random.Random, service: DrawnService) -> str:
    code = rng.choice(list(service.steps))
    settle, peak = service.settle + rng.randrange(5, 60), service.peak + rng.randrange(1, 6)
    return (
        f"Retired: kept for reference only, see the current runbook. {service.name} ({service.id}):"
        f" at peak load it used to need {peak} replicas. On {code}: call the owner.\n"
        f"After a restart, wait {settle} seconds."
    )


def _postmortem(rng: random.Random, incident: Incident, teams: Teams) -> str:
    suspected = rng.choice([c for c in words.CAUSES if c != incident.found])
    person = rng.choice(teams[incident.service.team])
    due = (EPOCH + timedelta(days=rng.randrange(3, 40))).date().isoformat()
    length = f" It lasted {incident.duration} minutes." if incident.duration else " It is mitigated but not closed."
    return (
        f"{incident.id} was a {incident.severity} on {incident.service.name} ({incident.service.id}), opened on"
        f" {incident.opened.date().isoformat()} after errors with the code {incident.code}.{length}\n"
        f"First suspicion, which was wrong: {words.plain(suspected)}.\n"
        f"Root cause: {words.plain(incident.found)} ({incident.found}).\n"
        f"Customers affected: {rng.randrange(300, 9_000)}.\n"
        f"Action item: {person} {rng.choice(_CHORES)} by {due}."
    )


def _escalation(rng: random.Random) -> str:
    answer = sorted(rng.sample(range(5, 60, 5), 3))
    raised = sorted(rng.sample(range(65, 480, 5), 3))
    lines = [
        f"{severity}: first answer within {answer[n]} minutes; escalate after {raised[n]} minutes."
        for n, severity in enumerate(words.SEVERITIES)
    ]
    text = "\n".join(lines)
    return f"All limits count from the moment when the incident was opened.\n{text}\nEscalate to the service's owner."


def _freeze(rng: random.Random) -> str:
    """One window per tier with a last day of its own: one that holds today, one that does not, one either."""
    spans = [(-rng.randrange(1, 6), rng.randrange(1, 7)), (rng.randrange(7, 10), rng.randrange(10, 14))]
    spans.append(rng.choice([(-12, -rng.randrange(4, 7)), (-8, rng.randrange(14, 18)), (16, rng.randrange(18, 22))]))
    rng.shuffle(spans)
    lines = [
        f"Tier {tier}: frozen from {_day(first)} to {_day(last)}, both days included."
        for tier, (first, last) in enumerate(spans, 1)
    ]
    text = "\n".join(lines)
    return (
        "While a tier is frozen, its services get no planned restart. What a runbook asks for during an incident"
        f" is exempt.\n{text}"
    )


def _day(offset: int) -> str:
    return (EPOCH + timedelta(days=offset)).date().isoformat()
