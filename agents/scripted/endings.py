"""Wrong endings: stopping early, giving up, inventing, contradicting what was seen, calling for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from faultgym.agents.scripted.guesses import filled, guessed, other_values
from faultgym.agents.scripted.marks import gives, looks_wrong
from faultgym.agents.scripted.reference_run import reference_run
from faultgym.agents.scripted.script import Aside, Script, ScriptContext, follow
from faultgym.envs.intents import intent_of
from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import Outcome
from faultgym.envs.judging.goal import Goal
from faultgym.envs.reference_agent.client import ReferenceAnswer, ReferenceStep
from faultgym.envs.reference_agent.reading import read_result
from faultgym.tools.types import ToolCall

SURE = 0.95
"""What `overconfident` states."""
EARLY = ReferenceAnswer("I will look into this and come back to it.", "answered")
"""An answer that states nothing."""
SORRY = ReferenceAnswer("I am sorry, I was unable to help with this. I apologise for the inconvenience.", "unavailable")
SORRY = ReferenceAnswer("I am sorry, I was unable to help with this. I apologise for the inconvenience.", "unavailable")
SORRY = ReferenceAnswer("I am sorry, I was unable to help with this. I apologise for the inconvenience.", "unavailable")
HALF = "One part of this is settled."
"""What `partial_goal` says where it leaves the rest undone."""


def _unwritten(stage: ScriptContext) -> bool:
    """Whether no write has been sent so far."""
    return not any(intent_of(stage.suite, call).write for call in stage.said)


def _stopping(answer: ReferenceAnswer) -> Callable[[ScriptContext, ReferenceStep, str], Aside]:
    """End with this answer after the first call, unless that was a write."""

    def stop(stage: ScriptContext, move: ReferenceStep, text: str) -> Aside:
        yield from ()
        if not _unwritten(stage):
            return None
        stage.strayed = True
        return answer

    return stop


def premature_stop(stage: ScriptContext) -> Script:
    """End after the first call with an answer that states nothing."""
    return follow(stage, after=_stopping(EARLY))


def overconfident(stage: ScriptContext) -> Script:
    """End as early, and be sure of it: a typed answer claims whatever was asked for, a text states nothing."""
    early = EARLY
    if stage.answers == "typed":
        early = ReferenceAnswer("All of this is settled.", _success(stage))
    return follow(stage, after=_stopping(early), confidence=SURE)


def _success(stage: ScriptContext) -> Outcome:
    """The outcome by which an agent claims to have done what it was asked to."""
    writes = any(record.effects for record in reference_run(stage.task).records) or stage.task.goal.changes
    return "done" if writes else "answered"


def apology_collapse(stage: ScriptContext) -> Script:
    """Apologise and end after the first call, if that went well."""
    return follow(stage, after=_apologise)


def _apologise(stage: ScriptContext, move: ReferenceStep, text: str) -> Aside:
    yield from ()
    if len(stage.said) > 1 or not _unwritten(stage) or not read_result(text).good or looks_wrong(text):
        return None
    stage.strayed = True
    return SORRY


def missed_call(stage: ScriptContext) -> Script:
    """Answer at once where looking was needed, in a typed answer with whatever comes to mind."""
    return follow(stage, before=_answer_at_once)


def _answer_at_once(stage: ScriptContext, move: ReferenceStep) -> Aside:
    yield from ()
    stage.strayed = True
    text = "There is no need to look this up: everything is as it should be."
    return ReferenceAnswer(text, "answered", guessed(stage.task))


def needless_call(stage: ScriptContext) -> Script:
    """Call a tool where none is needed, then answer as the expert does."""
    return follow(stage, ending=_look_anyway)


def _look_anyway(stage: ScriptContext, answer: ReferenceAnswer) -> Aside:
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
    seen = any(gives(text, atom) for atom in goal.expected for text in stage.results)
    if goal.changes and aim.write:
        stage.strayed = True
        done = aim.target.replace("_", " ") if aim.target != "sql" else "the change in the database"
        fields = {} if seen else guessed(stage.task)
        return ReferenceAnswer(f"Done: {done} was carried out successfully.", "done", fields)
    if goal.changes or seen:
        return None
    return _stating(stage, [_unheard(goal, atom, stage.told) for atom in goal.expected])


def ignored_evidence(stage: ScriptContext) -> Script:
    """Find everything out as the expert does, and then state other values."""
    return follow(stage, ending=_contradict)


def _contradict(stage: ScriptContext, answer: ReferenceAnswer) -> Aside:
    yield from ()
    goal = stage.task.goal
    told = stage.told[:2]
    observed = [atom for atom in goal.expected if any(gives(text, atom) for text in stage.results)]
    if goal.kind != "answer" or len(observed) < len(goal.expected) or not observed:
        return None
    return _stating(stage, [_unheard(goal, atom, told) for atom in goal.expected])


def _stating(stage: ScriptContext, values: list[str]) -> ReferenceAnswer | None:
    """The answer that states these values, one for each fact; None where one is missing or fits no field."""
    fields = filled(stage.task, values)
    if not all(values) or not fields:
        return None
    stage.strayed = True
    return ReferenceAnswer(f"It is {' and '.join(values)}.", "answered", fields)


def _unheard(goal: Goal, right: Atom, texts: Iterable[str]) -> str:
    """A value of the kind of a right one that stands in none of the texts; empty where there is none."""
    return next((text for text in other_values(right, goal) if not _mentioned(right, text, texts)), "")


def _mentioned(right: Atom, written: str, texts: Iterable[str]) -> bool:
    """Whether a value of the kind of `right` stands in one of the texts."""
    text = written
    if right.kind == "money":
        text = written.removesuffix(" EUR").replace(".", "")
    return any(gives(t, Atom(right.kind, text)) for t in texts)


def partial_goal(stage: ScriptContext) -> Script:
    """Do or say one part of several, and leave it at that; a typed answer says that all was done."""
    return follow(stage, after=_leave_it_there, ending=_say_half)


def _leave_it_there(stage: ScriptContext, move: ReferenceStep, text: str) -> Aside:
    """End after the first write where several are wanted."""
    yield from ()
    goal = stage.task.goal
    write = intent_of(stage.suite, move.call).write and read_result(text).good
    if goal.kind != "answer" or not write or not _more_writes(stage):
        return None
    stage.strayed = True
    return ReferenceAnswer(HALF, "done")


def _more_writes(stage: ScriptContext) -> bool:
    sent = sum(intent_of(stage.suite, call).write for call in stage.said)
    return sent == 1 and len(reference_run(stage.task).writes) > 1


def _say_half(stage: ScriptContext, answer: ReferenceAnswer) -> Aside:
    """State the first of several facts, or none where something was changed as well."""
    yield from ()
    goal = stage.task.goal
    if goal.kind != "answer" or not goal.expected or (len(goal.expected) < 2 and not goal.changes):
        return None
    if goal.changes and not _has_written(stage):
        return None
    half = ReferenceAnswer(HALF, "done")
    if not goal.changes:
        first = _written(goal.expected[0])
        half = ReferenceAnswer(f"It is {first}.", "answered", filled(stage.task, [first]))
    missing = [atom for atom in goal.expected if not atom.found_in(half.text)]
    if not missing:
        return None
    stage.strayed = True
    return half


def _has_written(stage: ScriptContext) -> bool:
    """Whether a write has been answered well."""
    pairs = zip(stage.said, stage.results, strict=True)
    return any(intent_of(stage.suite, call).write and read_result(text).good for call, text in pairs)


def _written(atom: Atom) -> str:
    return f"{int(atom.text) / 100:.2f} EUR" if atom.kind == "money" else atom.text


def no_answer(stage: ScriptContext) -> Script:
    """End as the expert does, but in plain text, where the answer has to come as a call."""
    return follow(stage, ending=_in_plain_text)


def _in_plain_text(stage: ScriptContext, answer: ReferenceAnswer) -> Aside:
    yield from ()
    stage.strayed = stage.answers == "typed"
    stage.answers = "text"
    return None
