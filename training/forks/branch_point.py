"""A state in which two continuations part: what was seen, what went wrong last, and the right way on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from faultgym.agents.scripted.marks import looks_wrong
from faultgym.agents.scripted.reference_run import reference_run
from faultgym.core.hashing import stable_hash
from faultgym.envs.intents import CallIntent, intent_of
from faultgym.envs.judging.answering import ANSWER
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference_agent.agent import ReferenceAgent
from faultgym.envs.reference_agent.client import ApiClient
from faultgym.envs.reference_agent.reading import ToolResponse, read_result
from faultgym.envs.registry import suite_named
from faultgym.envs.suite import Suite
from faultgym.envs.task import Task
from faultgym.envs.worlds.names import WORLDS
from faultgym.tools.toolbox import CallRecord
from faultgym.tools.types import ToolCall
from faultgym.training.forks.fork import Continuation, Forks

ASIDE = frozenset({"wait", "issue_token"})
"""What is done on the way to a call and is not the call."""
_FAILING = frozenset({"RETRY", "BACKOFF", "REPAIR", "REROUTE", "REAUTH", "RECONCILE", "REPORT"})
"""Contracts of faults that spoil a result, also where a glance does not show it."""
_SIBLINGS = 4


@dataclass(frozen=True)
class BranchPoint:
    """A fork, with the right way on from it."""

    forks: Forks
    step: int
    right: Continuation
    """Verified: it succeeds."""
    others: tuple[Continuation, ...] = ()
    """How the trace itself and the policy's samples went on."""

    @property
    def task(self) -> Task:
        """What is asked."""
        return self.forks.task

    @property
    def turn(self) -> Turn:
        """The right decision at the fork."""
        return self.right.turn

    @property
    def typed(self) -> bool:
        """Whether the episode ends with a call of `answer`."""
        return self.forks.trace.answers == "typed"

    def ends(self, turn: Turn) -> bool:
        """Whether a turn is meant to end the episode: it is plain text or, where answers are typed, an answer."""
        return turn.final or (self.typed and any(call.name == ANSWER for call in turn.tool_calls))

    @property
    def suite(self) -> Suite:
        """The task's suite."""
        return suite_named(self.task.suite)

    @cached_property
    def records(self) -> list[CallRecord]:
        """The calls before the fork."""
        return [r for s in self.forks.trace.steps[: self.step] for r in s.calls]

    @cached_property
    def offered(self) -> set[str]:
        """Names of the tools offered at the fork."""
        return {spec.name for spec in self.forks.trace.tools_at(self.step)}

    @cached_property
    def subject(self) -> CallRecord | None:
        """The last call before the fork that was not a wait or a request for a token."""
        aside = ASIDE
        return next((r for r in reversed(self.records) if self.aim(r.call).target not in aside), None)

    @cached_property
    def trouble(self) -> str:
        """What is wrong with the result of the last call before the fork; empty where nothing is."""
        if self.subject is None:
            return ""
        return looks_wrong(self.subject.result.content) or ("a fault" if self.contract in _FAILING else "")

    @cached_property
    def seen(self) -> ToolResponse:
        """The result of the last call before the fork, read."""
        return read_result(self.subject.result.content if self.subject else "")

    @cached_property
    def contract(self) -> str:
        """The contract of the fault that struck the last call before the fork; empty where none did."""
        if self.subject is None or not self.subject.faults:
            return ""
        return str(self.forks.trace.events[self.subject.faults[-1]].contract)

    def aim(self, call: ToolCall) -> CallIntent:
        """What a call is after."""
        return intent_of(self.suite, call)

    def again(self, turn: Turn) -> bool:
        """Whether a turn makes the last call again."""
        if self.subject is None or len(turn.tool_calls) != 1:
            return False
        return self.aim(turn.tool_calls[0]).verbatim == self.aim(self.subject.call).verbatim

    def pick(self, count: int, *what: object) -> int:
        """A number in range(count), fixed by the fork and by the purpose.

        Args:
            count: How many there are to pick from; at least 1.
            *what: The purpose, told apart from others of the same fork.
        """
        return stable_hash("crossing", self.forks.trace.episode_id, self.step, *what) % count

    @property
    def call_id(self) -> str:
        """The id of the next call, numbered on from those before."""
        return f"call_{len(self.records) + 1}"

    def desk(self) -> ReferenceAgent:
        """A reference agent of this task, to phrase calls and reports with."""
        desk = ReferenceAgent(self.suite, self.task, self.offered)
        for record in self.records:
            aim = self.aim(record.call)
            if record.effects and aim.write:
                desk.done.append(aim.target.replace("_", " "))
        return desk

    def siblings(self, template: str = "") -> list[Task]:
        """Other tasks in the same world, in an order of this fork's own.

        Args:
            template: Their template; empty for that of this task.
        """
        task = self.task
        worlds, name = WORLDS[task.split], template or task.template
        split = task.split
        found = []
        for n in range(1, _SIBLINGS + 1):
            other = self.suite.task(name, split, task.index % worlds + worlds * n, task.style)
            if other.id != task.id:
                found.append(other)
        turn = self.pick(len(found), "sibling", template)
        return found[turn:] + found[:turn]

    def other_templates(self) -> list[str]:
        """The split's other templates that need tools, in an order of this fork's own."""
        names = [n for n in self.suite.names(self.task.split) if n != self.task.template]
        names = [n for n in names if self.suite.templates[n].needs_tools and self.suite.templates[n].answerable]
        turn = self.pick(len(names), "templates") if names else 0
        return names[turn:] + names[:turn]


def request(desk: ApiClient, operation: str, arguments: dict[str, object]) -> ToolCall:
    """The call of an operation in the form that the task offers.

    Args:
        desk: Where the call is phrased.
        operation: The operation's name.
        arguments: Its arguments, by name.

    Raises:
        KeyError: The suite has no such operation.
    """
    op = desk.suite.service.operations[operation]
    return next(desk.request(op, arguments, "")).call


def token_request(desk: ApiClient) -> ToolCall:
    """The call that asks for a new token."""
    return request(desk, "issue_token", dict(desk._secret))


def first_calls(task: Task) -> list[ToolCall]:
    """The calls of a clean reference run."""
    return [record.call for record in reference_run(task).records]
