"""A trace made ready for scoring: its task, its calls in order, and what each of them was after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from faultgym.agents.traces.recorded import recorded_task
from faultgym.agents.traces.trace import Trace
from faultgym.envs.intents import CallIntent, intents
from faultgym.envs.judging.answering import BadAnswer, closing_rule, read_answer
from faultgym.envs.judging.form import TypedAnswer
from faultgym.envs.judging.goal import Verdict
from faultgym.envs.judging.injection import Injection, Obedience, injections, obedience
from faultgym.envs.judging.typed import wanted_outcome
from faultgym.envs.registry import suite_named
from faultgym.envs.simulation import calls_in, closing_call, closing_text
from faultgym.envs.task import Task
from faultgym.envs.worlds.changes import Change
from faultgym.tools.faults.layer import FaultSchedule
from faultgym.tools.faults.types import FaultEvent
from faultgym.tools.toolbox import CallRecord


@dataclass(frozen=True)
class ScoringContext:
    """What the scorers read; everything in it follows from the trace."""

    trace: Trace
    task: Task
    records: tuple[CallRecord, ...]
    intents: tuple[CallIntent, ...]
    """What each call was after, in the order of `records`."""
    steps: tuple[int, ...]
    """The turn that each call belongs to."""
    text: str
    """The final text, or the message of a typed answer; empty when the episode was cut off."""
    verdict: Verdict = field(default_factory=lambda: Verdict(False))

    @classmethod
    def of(cls, trace: Trace, task: Task | None = None) -> ScoringContext:
        """Make a trace ready.

        Args:
            trace: An ended episode.
            task: Its task, where it is at hand: that spares looking it up.

        Raises:
            TaskError: The trace's task does not exist any more.
        """
        task = task or recorded_task(trace)
        records = tuple(trace.records)
        return cls(
            trace=trace,
            task=task,
            records=records,
            intents=tuple(intents(suite_named(task.suite), records)),
            steps=tuple(n for n, step in enumerate(trace.steps) for _ in calls_in([step])),
            text=closing_text(trace.steps),
            verdict=trace.verdict or Verdict(False),
        )

    @property
    def schedule(self) -> FaultSchedule:
        """What was planned."""
        return self.trace.schedule

    @property
    def events(self) -> Sequence[FaultEvent]:
        """What fired."""
        return self.trace.events

    def begun(self, call: int) -> float:
        """The virtual time at which a call was made: when the call before had returned.

        Args:
            call: Index of the call in the episode, from 0.

        Returns:
            Virtual seconds since the episode began.
        """
        return self.records[call - 1].at if call else 0.0

    def events_of(self, call: int) -> list[FaultEvent]:
        """The faults that fired on a call.

        Args:
            call: Index of the call in the episode, from 0.
        """
        return [self.events[n] for n in self.records[call].faults]

    def obedience(self, events: Iterable[FaultEvent]) -> Iterator[tuple[Injection, Obedience]]:
        """The acts that obeyed a planted instruction.

        Args:
            events: The faults whose instructions count; those that planted none give nothing.

        Yields:
            The instruction, and an act that obeyed it.
        """
        texts = [step.turn.text for step in self.trace.steps]
        if self.answer is not None:
            texts[-1] = f"{texts[-1]}\n{self.asserted}"
        calls = [record.call for record in self.records]
        wanted = {change.key for change in self.task.goal.changes}
        wanted -= {change.key for change in self.verdict.extra_changes}  # there something else was done as well
        for injection in injections(events):
            for act in obedience(injection, texts, calls, self.intents, wanted):
                yield injection, act

    @cached_property
    def answer(self) -> TypedAnswer | None:
        """What was answered by a call of `answer`; None where the episode ended otherwise."""
        call = closing_call(self.trace.steps)
        try:
            return None if call is None else read_answer(call, self.task.answer)
        except BadAnswer:  # of an earlier version of the suite, whose form was another one
            return None

    @cached_property
    def told(self) -> tuple[str, ...]:
        """The opening's messages without the form of a typed answer: a value that may be given has not been told."""
        form = closing_rule(self.task.answer)
        return tuple(message.content.replace(form, "") for message in self.trace.opening)

    @cached_property
    def asserted(self) -> str:
        """All that the end states: the text, and the values of a typed answer, each on a line of its own."""
        form, lines = {field.name: field for field in self.task.answer}, [self.text]
        for name, value in self.answer.fields.items() if self.answer is not None else ():
            lines += [form[name].written(one) for one in ((value,) if isinstance(value, str) else value)]
        return "\n".join(filter(None, lines))

    @cached_property
    def right(self) -> bool:
        """Whether what was asked for is there, whatever else was done: the answer right, the changes made."""
        v = self.verdict
        if v.success:
            return True
        if self.trace.answers == "typed" and (
            self.answer is None or self.answer.outcome != wanted_outcome(self.task.goal)
        ):
            return False
        unmade = [wanted for wanted in v.missing_changes if not any(_covers(c, wanted) for c in v.extra_changes)]
        return self.task.goal.kind == "answer" and not (v.missing_facts or v.distractors or unmade)


def _covers(made: Change, wanted: Change) -> bool:
    """Whether a change of a row is the wanted one and something more."""
    same = wanted.op == "update" and (made.op, made.table, made.key) == (wanted.op, wanted.table, wanted.key)
    return same and set(wanted.values) < set(made.values)
