"""What the desk's documents state, read from their text."""

from __future__ import annotations

import re
from dataclasses import dataclass


class Unstated(LookupError):
    """The document does not state the fact."""


@dataclass(frozen=True, slots=True)
class RunbookStep:
    """What a runbook says to do on an error code."""

    action: str
    """`restart`, `scale`, `rollback` or `ticket`."""
    replicas: int = 0
    """For `scale`."""


@dataclass(frozen=True, slots=True)
class Freeze:
    """The window of a tier in the change freeze policy; both days belong to it."""

    first: str
    last: str

    def holds(self, day: str) -> bool:
        """Whether changes are frozen on `day` (ISO)."""
        return self.first <= day <= self.last


def _find(pattern: str, text: str, what: str) -> re.Match[str]:
    found = re.search(pattern, text)
    if found is None:
        raise Unstated(what)
    return found


def runbook_step(text: str, code: str) -> RunbookStep:
    """The step that a runbook gives for an error code.

    Raises:
        Unstated: The text has no line for the code.
    """
    line = _find(rf"On {code}: ([^\n]*)", text, f"a step for {code}")[1]
    scale = re.search(r"scale the service to (\d+) replicas", line)
    if scale:
        return RunbookStep("scale", int(scale[1]))
    for words, action in (("restart the service", "restart"), ("roll the service back", "rollback")):
        if words in line:
            return RunbookStep(action)
    return RunbookStep("ticket")


def settle_seconds(text: str) -> int:
    """How many seconds a runbook says to wait after a restart.

    Raises:
        Unstated: The text does not say.
    """
    return int(_find(r"After a restart, wait (\d+) seconds", text, "the wait after a restart")[1])


def peak_replicas(text: str) -> int:
    """How many replicas a runbook asks for at peak load.

    Raises:
        Unstated: The text does not say.
    """
    return int(_find(r"At peak load it needs (\d+) replicas", text, "the replicas at peak load")[1])


def root_cause(text: str) -> str:
    """The code of the root cause in a postmortem, such as `memory_leak`.

    Raises:
        Unstated: The text does not say.
    """
    return _find(r"Root cause: [a-z ]+ \(([a-z_]+)\)", text, "the root cause")[1]


def customers_affected(text: str) -> int:
    """How many customers a postmortem counts.

    Raises:
        Unstated: The text does not say.
    """
    return int(_find(r"Customers affected: (\d+)", text, "the customers affected")[1])


def action_item(text: str) -> tuple[str, str]:
    """The action item of a postmortem.

    Returns:
        The person, and the day when it is due, as an ISO date.

    Raises:
        Unstated: The text has no action item.
    """
    found = _find(r"Action item: ([A-Z][a-z]+ [A-Z][a-z]+) [^\n]*? by (\d{4}-\d\d-\d\d)", text, "the action item")
    return found[1], found[2]


def escalation_minutes(text: str, severity: str) -> int:
    """Minutes after which the policy has an incident of this severity escalated.

    Raises:
        Unstated: The text has no limit for the severity.
    """
    return int(_find(rf"{severity}: [^\n]*escalate after (\d+) minutes", text, f"a limit for {severity}")[1])


def freeze_window(text: str, tier: int) -> Freeze:
    """The change freeze of a tier.

    Raises:
        Unstated: The text has no window for the tier.
    """
    day = r"(\d{4}-\d\d-\d\d)"
    found = _find(rf"Tier {tier}: frozen from {day} to {day}", text, f"a window for tier {tier}")
    return Freeze(found[1], found[2])
