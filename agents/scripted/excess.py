"""Too much of the same: repeating what failed, repeating what worked, going round in circles, never stopping."""

from __future__ import annotations

from dataclasses import replace

from faultgym.agents.scripted.marks import looks_wrong
from faultgym.agents.scripted.reference_run import reference_run
from faultgym.agents.scripted.script import Aside, Script, ScriptContext, follow
from faultgym.envs.intents import intent_of
from faultgym.envs.reference_agent.client import ReferenceAnswer, ReferenceStep
from faultgym.envs.reference_agent.reading import read_result
from faultgym.tools.types import ToolCall

REPEATS = 3
"""How often a failed call is made again."""
ROUNDS = 3
"""Rounds of a circle that are the same to the letter."""


def _readable_table(stage: ScriptContext) -> str:
    """A table that the task is about and that SQL shows; empty when there is none."""
    if stage.spec("sql") is None:
        return ""
    used = reference_run(stage.task).tables & set(stage.suite.readable)
    return min(used, default="")


def repeated_broken_call(stage: ScriptContext) -> Script:
    """Ask SQL for a column that does not exist, and send the very same statement again and again."""
    return follow(stage, before=_insist)


def _insist(stage: ScriptContext, move: ReferenceStep) -> Aside:
    table = "" if stage.strayed else _readable_table(stage)
    if table:
        query = f"SELECT summary_of_everything FROM {table} LIMIT 1"
        for n in range(REPEATS + 1):
            yield from stage.call(ToolCall(f"again_{n}", "sql", {"query": query}), "Ask for the summary.")
        stage.strayed = True
    return None


def redundant_call(stage: ScriptContext) -> Script:
    """Make a reading call that has worked a second time."""
    return follow(stage, after=_once_more)


def _once_more(stage: ScriptContext, move: ReferenceStep, text: str) -> Aside:
    if not stage.strayed and _plainly_read(stage, move, text):
        stage.strayed = True
        yield from stage.call(replace(move.call, id="again"), "Let me look at that once more.")
    return None


def _plainly_read(stage: ScriptContext, move: ReferenceStep, text: str) -> bool:
    """Whether the move only read something, and what came back looks as it should."""
    aim = intent_of(stage.suite, move.call)
    return bool(aim.tables) and not aim.write and read_result(text).good and not looks_wrong(text)


def loop(stage: ScriptContext) -> Script:
    """Go back and forth between two reads that both say what they said before."""
    return follow(stage, after=_circle)


def _circle(stage: ScriptContext, move: ReferenceStep, text: str) -> Aside:
    tables = sorted(intent_of(stage.suite, move.call).tables & set(stage.suite.readable))
    if stage.strayed or not tables or stage.spec("sql") is None or not _plainly_read(stage, move, text):
        return None
    probe = ToolCall("probe", "sql", {"query": f"SELECT count(*) AS n FROM {tables[0]}"})
    rounds: list[tuple[str, str]] = []
    while len(rounds) < 4 * ROUNDS:
        counted = yield from stage.call(probe, "How many are there?")
        again = yield from stage.call(replace(move.call, id="again"), "And what did it say?")
        rounds.append((counted, again))
        if any(rounds[-size * ROUNDS :] == rounds[-size:] * ROUNDS for size in (1, 2, 3)):
            stage.strayed = True
            break
    return None


def over_iteration(stage: ScriptContext) -> Script:
    """Do what is needed, then go on looking at one thing after the other before answering."""
    return follow(stage, ending=_go_on)


def _go_on(stage: ScriptContext, answer: ReferenceAnswer) -> Aside:
    table, needed = _readable_table(stage), len(stage.said)
    if table:
        stage.strayed = True
        for n in range(2 * needed + 1):
            query = f"SELECT count(*) AS n FROM {table} LIMIT {n + 1}"
            yield from stage.call(ToolCall(f"more_{n}", "sql", {"query": query}), "There may be more to see.")
    return None
