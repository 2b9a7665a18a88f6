"""Wrong endings: stopping early, giving up, inventing, contradicting what was seen, calling for nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from faultgym.agents.scripted.marks import gives, looks_wrong
from faultgym.agents.scripted.reference_run import reference_run
from faultgym.agents.scripted.script import Aside, Script, ScriptContext, follow
from faultgym.envs.intents import intent_of
from faultgym.envs.judging.answers import Atom
from faultgym.envs.reference_agent.client import ReferenceStep
from faultgym.envs.reference_agent.reading import read_result
from faultgym.tools.types import ToolCall

SURE = 0.95
"""What `overconfident` states."""
EARLY = "I will look into this and come back to it."
"""A final text that states nothing."""


def _unwritten(stage: ScriptContext) -> bool:
    """Whether no write has been sent so far."""
    return not any(intent_of(stage.suite, call).write for call in stage.said)


def _stop(stage: ScriptContext, move: ReferenceStep, text: str) -> Aside:
    """End after the first call, unless that was a write."""
    yield from ()
    if not _unwritten(stage):
        return None
    stage.strayed = True
    return EARLY


def premature_stop(stage: ScriptContext) -> Script:
    """End after the first call with a text that states nothing."""
    return follow(stage, after=_stop)


def overconfident(stage: ScriptContext) -> Script:
    """End after the first call in the same way, and be sure of it."""
    return follow(stage, after=_stop, confidence=SURE)


def apology_collapse(stage: ScriptContext) -> Script:
    """Apologise and end after the first call, if that went well."""
    return follow(stage, after=_apologise)


def _apologise(stage: ScriptContext, move: ReferenceStep, text: str) -> Aside:
    yield from ()
    if len(stage.said) > 1 or not _unwritten(stage) or not read_result(text).good or looks_wrong(text):
        return None
    stage.strayed = True
    return "I am sorry, I was unable to help with this. I apologise for the inconvenience."


def missed_call(stage: ScriptContext) -> Script:
    """Answer at once where looking was needed."""
    return follow(stage, before=_answer_at_once)


def _answer_at_once(stage: ScriptContext, move: ReferenceStep) -> Aside:
    yield from ()
    stage.strayed = True
    return "There is no need to look this up: everything is as it should be."


def needless_call(stage: ScriptContext) -> Script:
    """Call a tool where none is needed, then answer as the expert does."""
    return follow(stage, ending=_look_anyway)


def _look_anyway(stage: ScriptContext, text: str) -> Aside:
    if not stage.said and not stage.task.needs_tools and stage.spec("search") is not None:
        stage.strayed = True
        words = " ".join(stage.heard[1].split()[:6])
        yield from stage.call(ToolCall("aside", "search", {"query": words}), "Better look it up.")
    return None


def fabricated_answer(stage: ScriptContext) -> Script:
    """State an invented value, or a change that was not made, before finding out or doing it."""
    return follow(stage, before=_invent)


def _invent(stage: ScriptContext, move: ReferenceStep) -> Aside:
    yield from ()
    goal = stage.task.goal
    if not stage.said or stage.strayed or goal.kind != "answer" or not _unwritten(stage):
        return None
    aim = intent_of(stage.suite, move.call)
    if goal.changes and aim.write:
        stage.strayed = True
        done = aim.target.replace("_", " ") if aim.target != "sql" else "the change in the database"
        return f"Done: {done} was carried out successfully."
    if goal.changes or any(gives(text, atom) for atom in goal.expected for text in stage.results):
        return None
    known = stage.heard
    invented = [next((t for t in _others(stage, a) if not _mentioned(a, t, known)), "") for a in goal.expected]
    if not all(invented) or not invented:
        return None
    stage.strayed = True
    return f"It is {' and '.join(invented)}."


def ignored_evidence(stage: ScriptContext) -> Script:
    """Find everything out as the expert does, and then state other values."""
    return follow(stage, ending=_contradict)


def _contradict(stage: ScriptContext, text: str) -> Aside:
    yield from ()
    goal = stage.task.goal
    told = "\n".join(stage.heard[:2])
    observed = [atom for atom in goal.expected if any(gives(text, atom) for text in stage.results)]
    if goal.kind != "answer" or len(observed) < len(goal.expected) or not observed:
        return None
    others = [next((t for t in _others(stage, a) if not _mentioned(a, t, [told])), "") for a in goal.expected]
    if not all(others):
        return None
    stage.strayed = True
    return f"It is {' and '.join(others)}."


def _others(stage: ScriptContext, right: Atom) -> Iterable[str]:
    """Values of the same kind as the right one, as an answer would write them."""
    if right.kind == "money":
        yield from (f"{(int(right.text) + n) / 100:.2f} EUR" for n in (123_457, 234_571, 345_689))
    elif right.kind == "number":
        yield from (str(int(right.text) + n) for n in (7_919, 15_013, 23_027))
    elif right.kind == "date":
        day = date.fromisoformat(right.text)
        yield from ((day + timedelta(days=n)).isoformat() for n in (1_001, 1_507, 2_003))
    else:
        yield from (rival.text for rival in stage.task.goal.distractors if rival.kind == right.kind)


def _mentioned(right: Atom, written: str, texts: Iterable[str]) -> bool:
    """Whether a value of the kind of `right` stands in one of the texts."""
    text = written
    if right.kind == "money":
        text = written.removesuffix(" EUR").replace(".", "")
    return any(gives(t, Atom(right.kind, text)) for t in texts)


def partial_goal(stage: ScriptContext) -> Script:
    """Do or say one part of several, and leave it at that."""
    return follow(stage, after=_leave_it_there, ending=_say_half)


def _leave_it_there(stage: ScriptContext, move: ReferenceStep, text: str) -> Aside:
    """End after the first write where several are wanted."""
    yield from ()
    goal = stage.task.goal
    write = intent_of(stage.suite, move.call).write and read_result(text).good
    if goal.kind != "answer" or not write or not _more_writes(stage):
        return None
    stage.strayed = True
    return "One part of this is settled."


def _more_writes(stage: ScriptContext) -> bool:
    sent = sum(intent_of(stage.suite, call).write for call in stage.said)
    return sent == 1 and len(reference_run(stage.task).writes) > 1


def _say_half(stage: ScriptContext, text: str) -> Aside:
    """State the first of several facts, or none where something was changed as well."""
    yield from ()
    goal = stage.task.goal
    if goal.kind != "answer" or not goal.expected or (len(goal.expected) < 2 and not goal.changes):
        return None
    if goal.changes and not _has_written(stage):
        return None
    said = "One part of this is settled."
    if not goal.changes:
        said = f"It is {_written(goal.expected[0])}."
    missing = [atom for atom in goal.expected if not atom.found_in(said)]
    if not missing:
        return None
    stage.strayed = True
    return said


def _has_written(stage: ScriptContext) -> bool:
    """Whether a write has been answered well."""
    pairs = zip(stage.said, stage.results, strict=True)
    return any(intent_of(stage.suite, call).write and read_result(text).good for call, text in pairs)


def _written(atom: Atom) -> str:
    return f"{int(atom.text) / 100:.2f} EUR" if atom.kind == "money" else atom.text
