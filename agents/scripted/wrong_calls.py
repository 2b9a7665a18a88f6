"""Single wrong calls: the expert, with one call that is not as it should be before it goes on.

Each slip changes the expert's next call in one respect, sees what comes back, and then does the right
thing, so that nothing else goes wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

from faultgym.agents.scripted.reference_run import NEIGHBOURS, neighbours, reference_run
from faultgym.agents.scripted.script import Aside, Script, ScriptContext, follow
from faultgym.envs.identifiers import EMAIL
from faultgym.envs.intents import intent_of
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference_agent.client import ReferenceStep
from faultgym.tools.types import ToolCall

Change = Callable[[ScriptContext, ReferenceStep], ToolCall | None]


def _once(change: Change, why: str) -> Callable[[ScriptContext], Script]:
    """The expert with one changed call before the first of its moves that allows the change."""

    def before(stage: ScriptContext, move: ReferenceStep) -> Aside:
        call = None if stage.strayed else change(stage, move)
        if call is not None:
            stage.strayed = True
            yield from stage.call(call, why)
        return None

    return lambda stage: follow(stage, before=before)


def _other_name(stage: ScriptContext, move: ReferenceStep) -> ToolCall:
    return replace(move.call, name=f"{move.call.name}_lookup")


def _without_required(stage: ScriptContext, move: ReferenceStep) -> ToolCall | None:
    spec = stage.spec(move.call.name)
    required = spec.parameters.get("required", ()) if spec is not None else ()
    rest = dict(move.call.arguments or {})
    for name in reversed(required):
        if rest.pop(name, None) is not None:
            return replace(move.call, arguments=rest)
    return None


def _with_another(stage: ScriptContext, move: ReferenceStep) -> ToolCall:
    return replace(move.call, arguments={**(move.call.arguments or {}), "verbose": True})


def _of_wrong_type(stage: ScriptContext, move: ReferenceStep) -> ToolCall | None:
    arguments = move.call.arguments or {}
    spec = stage.spec(move.call.name)
    known = spec.parameters.get("properties", {}) if spec is not None else {}
    name = next((n for n in arguments if n in known), None)
    return None if name is None else replace(move.call, arguments={**arguments, name: [arguments[name]]})


def _cut_short(stage: ScriptContext, move: ReferenceStep) -> ToolCall | None:
    """The arguments as JSON text without its end."""
    text = json.dumps(move.call.arguments or {})
    return ToolCall(move.call.id, move.call.name, None, text[:-2]) if len(text) > 2 else None


def _made_up(stage: ScriptContext, move: ReferenceStep) -> ToolCall | None:
    """The call, if it only reads, for an identifier or address that nothing has mentioned."""
    if intent_of(stage.suite, move.call).write or move.call.name == "wait":
        return None
    text = repr(move.call.arguments)
    address = EMAIL.search(text)
    found = stage.suite.identifiers.first(text) or (address[0] if address else None)
    if found is None:
        return None
    known = "\n".join(stage.heard)
    if "@" in found:
        other = "nobody.known@elsewhere.example"
    else:
        prefix, _, digits = found.rpartition("-")
        number = int(digits[::-1]) + 104_729
        while str(number) in known:
            number += 7_919
        other = f"{prefix}-{number}"
    return replace(move.call, arguments=replaced(move.call.arguments or {}, found, other))


def replaced(value: Any, old: str, new: str) -> Any:
    """The value with a text replaced in all its texts.

    Args:
        value: JSON values.
        old: The text that is replaced; names of fields stay.
        new: What stands in its place.

    Example:
        >>> replaced({"id": "ORD-1", "tags": ["ORD-1"]}, "ORD-1", "ORD-2")
        {'id': 'ORD-2', 'tags': ['ORD-2']}
    """
    if isinstance(value, dict):
        return {name: replaced(item, old, new) for name, item in value.items()}
    if isinstance(value, list):
        return [replaced(item, old, new) for item in value]
    return value.replace(old, new) if isinstance(value, str) else value


def _elsewhere(stage: ScriptContext, move: ReferenceStep) -> ToolCall | None:
    """A call on tables that have nothing to do with the task; only as the very first one."""
    if stage.said:
        return None
    run = reference_run(stage.task)
    if not run.tables:
        return None
    used = run.tables | run.records_in
    if "documents" not in used and stage.spec("search") is not None:
        return ToolCall("aside", "search", {"query": "opening hours and holidays"})
    spare = sorted(set(stage.suite.readable) - used - {"documents"})
    if spare and stage.spec("sql") is not None:
        return ToolCall("aside", "sql", {"query": f"SELECT count(*) AS n FROM {spare[-1]}"})
    return None


unknown_tool = _once(_other_name, "There should be a tool for this.")
missing_argument = _once(_without_required, "Ask for it.")
unknown_argument = _once(_with_another, "Ask for it, with all details.")
invalid_argument = _once(_of_wrong_type, "Ask for it.")
malformed_call = _once(_cut_short, "Ask for it.")
hallucinated_argument = _once(_made_up, "It should be under this number.")
wrong_tool = _once(_elsewhere, "Perhaps this says something about it.")


def wrong_entity(stage: ScriptContext) -> Script:
    """List the neighbours of the record that is asked for, and read one of them first."""
    return follow(stage, before=_neighbour_first)


def _neighbour_first(stage: ScriptContext, move: ReferenceStep) -> Aside:
    found = stage.suite.identifiers.first(repr(move.call.arguments))
    if stage.strayed or found is None or intent_of(stage.suite, move.call).write:
        return None
    others = yield from list_neighbours(stage, found)
    if others:
        stage.strayed = True
        yield from stage.call(
            replace(move.call, arguments=replaced(move.call.arguments or {}, found, others[0])), "Read this one."
        )
    return None


def list_neighbours(stage: ScriptContext, key: str) -> Generator[Turn, str, list[str]]:
    """Ask SQL for the records beside `key`.

    Args:
        stage: What the script has at hand.
        key: A record's identifier.

    Yields:
        The turn that asks, if there is anything to ask for.

    Returns:
        Those of the records listed that the task has nothing to do with.
    """
    table, others = neighbours(stage.task, key)
    if not others or stage.spec("sql") is None or table not in reference_run(stage.task).tables:
        return []
    if any(call.id == "neighbours" for call in stage.said):
        return []  # asked before, in vain
    query = f"SELECT id FROM {table} WHERE id <> '{key}' ORDER BY id < '{key}', id LIMIT {2 * NEIGHBOURS}"
    text = yield from stage.call(ToolCall("neighbours", "sql", {"query": query}), "See which ones there are.")
    listed = stage.suite.identifiers.found(text)
    return [other for other in others if other in listed]
