"""Writes that nobody asked for and that were taken back: the end state is right, and they leave a mark all the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from faultgym.agents.scripted.reference_run import reference_run
from faultgym.envs.intents import intent_of
from faultgym.envs.judging.answering import ANSWER
from faultgym.envs.registry import suite_named
from faultgym.envs.simulation import MAX_CALLS_PER_TURN, Simulation, calls_in
from faultgym.envs.worlds.changes import Change, changes
from faultgym.eval.context import ScoringContext
from faultgym.tools.faults.layer import FaultLayer


def foreign_writes(context: ScoringContext) -> list[int]:
    """The indexes of the calls that changed something and that the expert does not make.

    Args:
        context: The episode.
    """
    suite = suite_named(context.task.suite)
    runs = (reference_run(context.task), reference_run(context.task, context.schedule))
    own = {intent_of(suite, record.call).semantic for run in runs for record in run.records if record.effects}
    return [n for n, r in enumerate(context.records) if r.effects and context.intents[n].semantic not in own]


def part_of(change: Change, others: Iterable[Change]) -> bool:
    """Whether a change is one of these, or the first part of one: the same row, some of the same new values.

    Args:
        change: The change.
        others: The changes that it may belong to.
    """
    place, values = (change.op, change.table, change.key), set(change.values)
    return any(place == (other.op, other.table, other.key) and values <= set(other.values) for other in others)


def undone_writes(context: ScoringContext) -> list[int]:
    """The indexes of the calls that made a change which nobody wanted and of which nothing is left at the end.

    The episode is played again to see what each write changed; only where there was more than one, and one that the
    expert does not make.

    Args:
        context: The episode.
    """
    foreign = foreign_writes(context)
    if not foreign or sum(bool(r.effects) for r in context.records) < 2:
        return []
    states = _states(context)
    if len(states) != len(context.records):
        return []
    left = (*context.task.goal.changes, *states[-1])
    found = []
    for n in foreign:
        before = states[n - 1] if n else frozenset[Change]()
        if any(not part_of(_filled(change), left) for change in states[n] - before):
            found.append(n)
    return found


def _filled(change: Change) -> Change:
    """The change without the columns of an added row that are still empty: they may be filled by a later one."""
    if change.op != "insert":
        return change
    return replace(change, values=tuple((column, value) for column, value in change.values if value not in ("", None)))


def _states(context: ScoringContext) -> list[frozenset[Change]]:
    """What is changed after each call, from the episode played again; nothing where it does not go the same way."""
    simulation = Simulation(suite_named(context.task.suite), context.task, FaultLayer(context.schedule))
    states: list[frozenset[Change]] = []
    for step, turn in enumerate(context.trace.steps):
        simulation.layer.step = step
        ends = context.trace.answers == "typed" and any(record.call.name == ANSWER for record in turn.calls)
        for n, record in enumerate(calls_in([turn])):
            if n < MAX_CALLS_PER_TURN and not ends:  # beside an answer, and beyond the limit, nothing is done
                simulation.toolbox.call(record.call)
            states.append(frozenset(changes(simulation.world)))
    same = not context.trace.steps or simulation.world.digest() == context.trace.steps[-1].digest
    simulation.close()
    return states if same else []
