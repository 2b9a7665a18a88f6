"""What the expert would do: a reference run in a world of its own, kept.

Flawed policies use it to know where a deviation can be made, and scorers to know which tables and
records a task is about. The expert itself never looks at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from faultgym.core.bank import banked
from faultgym.envs.episode import Episode, run_reference
from faultgym.envs.intents import intent_of
from faultgym.envs.judging.goal import compare
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference_agent.client import ReferenceAnswer
from faultgym.envs.registry import suite_named
from faultgym.envs.suite import Suite
from faultgym.envs.task import Task
from faultgym.envs.worlds.changes import changes
from faultgym.envs.worlds.world import world_image
from faultgym.tools.faults.layer import FaultSchedule
from faultgym.tools.toolbox import CallRecord
from faultgym.tools.types import ToolCall

NEIGHBOURS = 6
"""Records beside the task's own that are considered."""
_NAMES = frozenset({"name", "email", "title"})
"""Columns by which people name a record."""


@dataclass(frozen=True, slots=True)
class ReferenceRun:
    """What a reference solution did in one episode."""

    records: tuple[CallRecord, ...]
    answer: ReferenceAnswer = field(hash=False)
    """How it ended."""
    tables: frozenset[str]
    """The tables that its calls were about."""
    records_in: frozenset[str]
    """The tables of the records that its calls and the instruction name."""
    named: frozenset[str]
    """Identifiers in its calls."""
    seen: frozenset[str]
    """Identifiers in its calls, in the instruction, and in what came back."""

    @property
    def text(self) -> str:
        """The final text, or the message of a typed answer."""
        return self.answer.text

    @property
    def writes(self) -> tuple[int, ...]:
        """Indices of the calls that changed something."""
        return tuple(n for n, record in enumerate(self.records) if record.effects)


@banked("tasks", 8192)
def reference_run(task: Task, schedule: FaultSchedule = ()) -> ReferenceRun:
    """The reference run of a task under a schedule; kept, so that a second call costs nothing.

    Args:
        task: The task.
        schedule: The faults that the reference solution meets.
    """
    episode, answer = run_reference(task, schedule)
    records = tuple(episode.records)
    episode.close()
    suite = suite_named(task.suite)
    rule = suite.identifiers
    tables: set[str] = set()
    named: set[str] = set()
    seen = set(rule.found(task.instruction))
    for record in records:
        tables |= tables_of(suite, record)
        named |= whole_identifiers(suite, record.call)
        seen.update(rule.found(record.result.content))
    return ReferenceRun(
        records, answer, frozenset(tables), _tables_named(task, named), frozenset(named), frozenset(seen | named)
    )


def _tables_named(task: Task, named: Iterable[str]) -> frozenset[str]:
    """The tables with records of the kinds that are named, and those with a record whose name the instruction holds.

    Args:
        task: Gives the world and the instruction.
        named: Identifiers.
    """
    suite = suite_named(task.suite)
    image = world_image(suite, task.split, task.world_seed)
    read, asked = image.reader.raw.execute, task.instruction
    prefixes = {key.partition("-")[0] for key in (*named, *suite.identifiers.found(asked))}
    found = set()
    for table, columns in image.domain.readable.items():
        first = read(f"SELECT id FROM {table} LIMIT 1").fetchone() if "id" in columns else None
        by_name = (f"SELECT 1 FROM {table} WHERE instr(?, {column}) LIMIT 1" for column in _NAMES & columns)
        of_kind = first is not None and str(first[0]).partition("-")[0] in prefixes
        if of_kind or any(read(query, (asked,)).fetchone() for query in by_name):
            found.add(table)
    return frozenset(found)


def tables_of(suite: Suite, record: CallRecord) -> frozenset[str]:
    """The tables that a call was about: those that it touched, and those that its arguments name.

    Args:
        suite: The suite of the call.
        record: The call, as it went.
    """
    return frozenset(record.tables) | intent_of(suite, record.call).tables


def whole_identifiers(suite: Suite, call: ToolCall) -> set[str]:
    """Identifiers with their prefix in a call's arguments.

    Args:
        suite: Gives the form of identifiers.
        call: The call; of one that cannot be parsed, the text counts.
    """
    return set(suite.identifiers.found(call.raw if call.arguments is None else repr(call.arguments)))


def neighbours(task: Task, key: str) -> tuple[str, list[str]]:
    """Find records beside the one called `key` that the reference run knows nothing of.

    Args:
        task: Gives the world, and the records that do not count.
        key: A record's identifier.

    Returns:
        The table, and at most `NEIGHBOURS` identifiers, those after the record first; ("", []) where no table has it.
    """
    image = world_image(suite_named(task.suite), task.split, task.world_seed)
    seen = reference_run(task).seen
    for table, columns in sorted(image.domain.readable.items()):
        if "id" not in columns:
            continue
        ids = [str(i) for (i,) in image.reader.raw.execute(f"SELECT id FROM {table} ORDER BY id")]
        if key in ids:
            at = ids.index(key)
            others = [i for i in ids[at + 1 :] + ids[:at] if i not in seen]
            return table, others[:NEIGHBOURS]
    return "", []


@dataclass(frozen=True, slots=True)
class SideEffect:
    """What an extra call did."""

    record: CallRecord
    """The call, as it went."""
    spoilt: bool
    """Whether more of the goal is missing than before it."""
    extra: bool
    """Whether there is a change that the goal does not want at all."""
    duplicate: bool
    """Whether there is a wanted change too many."""


Alternatives = Callable[[ToolCall], Iterable[ToolCall]]
Wrong = Callable[[SideEffect], bool]


def find_harmful_call(task: Task, alternatives: Alternatives, wrong: Wrong) -> tuple[str, ToolCall] | None:
    """Find an extra call after one of the expert's writes that does what `wrong` looks for.

    Tried in a world of its own, in a clean run.

    Args:
        task: The task.
        alternatives: The extra calls to try after a write of the expert.
        wrong: Whether what an extra call did is what is looked for.

    Returns:
        The first found: the write in the form of `CallIntent.normalized`, and the call; None where there is none.
    """
    reference = reference_run(task)
    episode = Episode(task)
    try:
        for n, record in enumerate(reference.records):
            episode.step(Turn("", (record.call,)))
            if n not in reference.writes:
                continue
            for call in alternatives(record.call):
                trial = episode.fork()
                missing = compare(task.goal, changes(trial.world))[0]
                trial.step(Turn("", (call,)))
                left, extra, duplicate = compare(task.goal, changes(trial.world))
                harm = SideEffect(trial.records[-1], len(left) > len(missing), bool(extra), bool(duplicate))
                trial.close()
                if harm.record.effects and harm.record.result.ok and wrong(harm):
                    return intent_of(episode.suite, record.call).normalized, call
    finally:
        episode.close()
    return None


def unwanted(harm: SideEffect) -> bool:
    """Whether the call made a change that the goal does not want, and spoilt or doubled nothing."""
    return harm.extra and not harm.duplicate and not harm.spoilt


def doubled(harm: SideEffect) -> bool:
    """Whether the call made a change a second time, and nothing else."""
    return harm.duplicate and not harm.extra and not harm.spoilt
