"""What faultgym raises. What a model causes or must handle is never raised: it is a `ToolResult`.

FaultgymError
|-- UserError            bad input from a person: a plan, a trace, a task id, a config; exit code 2
|   |-- PlanError        a fault plan that does not hold
|   |-- TaskError        an unknown suite, template, split or task id
|   `-- TraceError       a trace or store that cannot be read
`-- HarnessError         our own fault or the infrastructure's: recorded, retried, never scored
    `-- ServerRefusal    a model server that understood a chat and will not serve it
"""

from __future__ import annotations


class FaultgymError(Exception):
    """The root of all that faultgym raises on purpose."""


class UserError(FaultgymError):
    """Input from a person that cannot be used. The message says what, where, and what to do."""


class PlanError(UserError):
    """A fault plan that names an unknown kind, has an impossible trigger, or is not valid JSON."""


class TaskError(UserError):
    """A suite, template, split or task that does not exist."""


class TraceError(UserError):
    """A trace or a store of traces that cannot be read or does not match its schema."""


class HarnessError(FaultgymError):
    """A failure of the harness or its machine while an episode ran; the episode says nothing about its policy."""


class ServerRefusal(HarnessError):
    """A model server understood a chat and will not serve it; another chat may fare better."""
