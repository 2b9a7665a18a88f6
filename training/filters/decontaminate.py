"""What test splits hold, and whether a trace touches any of it.

Splits are disjoint by construction: worlds have seeds of their own, entities come from pools of their own, two
phrasings of each template and a quarter of the kinds of faults are held out. Here it is checked on the finished
trace, text and all, because a trace may have been edited, and because a model may say what it knows.

Words are compared by n-grams (13 by default, as GPT-3's authors did, Brown et al. 2020, appendix C). An n-gram counts
only when it holds a word of its own: one that stands in a slot of the template and in no training task's. What
templates have in common is no evidence. Where no tool is needed, the instruction is the whole task: there the same
values under any phrasing are the same question.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any

from faultgym.agents.traces.trace import Trace
from faultgym.core.bank import banked
from faultgym.core.errors import TaskError
from faultgym.core.json import JSON
from faultgym.envs.registry import suite_named, task_by_id
from faultgym.envs.suite import HELD_OUT, Suite
from faultgym.envs.task import Task
from faultgym.envs.worlds.names import SPLITS, WORLDS, in_pool
from faultgym.envs.worlds.world import world_image
from faultgym.tools.faults.presets import HELD_OUT_KINDS
from faultgym.training.filters.rejection import Rejected

TRAINING_SPLITS = frozenset({"train"})
"""All others are kept for tests; `dev` is among them, so that there is something to choose settings on."""
TEST_SPLITS = tuple(split for split in SPLITS if split not in TRAINING_SPLITS)
NGRAM = 13
TASKS = 32
"""Test tasks of each template and split whose instructions are compared."""
SHARED = 4
"""So many times more training tasks are drawn, for the words that all splits use."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What the test splits of one suite hold: plain data, made once and sent to every worker."""

    suite: str
    version: int
    n: int
    prefixes: tuple[str, ...]
    worlds: frozenset[str]
    """Fingerprints of the test worlds."""
    names: frozenset[str]
    """Identifiers and addresses of their records."""
    ngrams: frozenset[str]
    """Of instructions of test tasks, without what is the template's own."""
    instructions: frozenset[str]
    """Whole instructions: of those shorter than an n-gram, and of tasks that need no tool."""
    questions: frozenset[str]
    """Tasks that need no tool: the template with its values."""


@banked("worlds", 8)
def held_out(suite: str, n: int = NGRAM, tasks: int = TASKS) -> HeldOut:
    """What the test splits of a suite hold; builds all their worlds, which takes seconds.

    Args:
        suite: The suite's name.
        n: Words of an n-gram.
        tasks: Test tasks of each template and split that are drawn for their words; of worlds and entities all are
            taken.

    Raises:
        TaskError: There is no such suite.
    """
    own = suite_named(suite)
    worlds, names = _worlds(own)
    ngrams, instructions, questions = _instructions(own, n, tasks)
    return HeldOut(
        suite=suite,
        version=own.version,
        n=n,
        prefixes=own.id_prefixes,
        worlds=worlds,
        names=names,
        ngrams=ngrams,
        instructions=instructions,
        questions=questions,
    )


def _worlds(suite: Suite) -> tuple[frozenset[str], frozenset[str]]:
    """(fingerprints of the test worlds, identifiers and addresses in their tables)."""
    pattern = _names(suite.id_prefixes)
    prints: set[str] = set()
    names: set[str] = set()
    for split in TEST_SPLITS:
        for seed in range(WORLDS[split]):
            image = world_image(suite, split, seed)
            prints.add(image.fingerprint)
            for table, columns in suite.readable.items():
                rows = image.reader.raw.execute(f"SELECT {', '.join(sorted(columns))} FROM {table}")
                text = "\n".join(value for row in rows for value in row if isinstance(value, str))
                names.update(found[0] for found in pattern.finditer(text))
    return frozenset(prints), frozenset(names)


def _instructions(suite: Suite, n: int, tasks: int) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """(n-grams, whole instructions, questions) of the test tasks."""
    ngrams: set[str] = set()
    whole: set[str] = set()
    questions: set[str] = set()
    known = _training_words(suite, tasks * SHARED)
    for template in suite.templates.values():
        for task in _test_tasks(suite, template.name, tasks):
            said = list(_marked(template.phrasings[task.phrasing], task.params))
            words = [word for word, _ in said]
            own = [slot and word not in known for word, slot in said]
            if not template.needs_tools:
                whole.add(" ".join(words))
                questions.add(question(task))
            elif len(words) < n and any(own):
                whole.add(" ".join(words))
            else:
                starts = range(len(words) - n + 1)
                ngrams.update(" ".join(words[i : i + n]) for i in starts if any(own[i : i + n]))
    return frozenset(ngrams), frozenset(whole), frozenset(questions)


def _test_tasks(suite: Suite, template: str, tasks: int) -> Iterator[Task]:
    for split in TEST_SPLITS:
        if template in suite.names(split):
            yield from (suite.task(template, split, index) for index in range(tasks))


def question(task: Task) -> str:
    """A task's template and values, however the task is phrased."""
    return " ".join([task.template, *(f"{name}={task.params[name]}" for name in sorted(task.params))])


def _training_words(suite: Suite, tasks: int) -> set[str]:
    """Words in slots of training tasks: days, statuses, reasons, and whatever else splits share."""
    found: set[str] = set()
    for name in suite.names("train"):
        for index in range(tasks):
            task = suite.task(name, "train", index)
            found.update(word for value in task.params.values() for word in words_of(str(value)))
    return found


def _marked(phrasing: str, params: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """The words of an instruction, each with whether it fills a slot."""
    for literal, field, spec, conversion in Formatter().parse(phrasing):
        yield from ((word, False) for word in words_of(literal))
        if field is not None:
            slot = f"{{{field}{'!' + conversion if conversion else ''}{':' + spec if spec else ''}}}"
            yield from ((word, True) for word in words_of(slot.format(**params)))


def words_of(text: str) -> list[str]:
    """The words of a text, in one case, without punctuation.

    Example:
        >>> words_of("Cancel ORD-12, please!")
        ['cancel', 'ord', '12', 'please']
    """
    return _WORD.findall(text.casefold())


def refused(trace: Trace) -> Rejected | None:
    """The rejection of a trace of a split that is kept for tests; None for a trace of a training split.

    The split is read from the task's id, which decides what is played; a trace that states another is refused too.
    """
    parts = trace.task.id.partition(":")[0].split("/")
    split = parts[2] if len(parts) == 4 else ""
    if split in TRAINING_SPLITS and trace.task.split == split:
        return None
    return Rejected("other_split", trace.episode_id, split if split not in TRAINING_SPLITS else trace.task.split)


def contamination(trace: Trace, held: HeldOut) -> Rejected | None:
    """The first thing in a trace that belongs to a test split; None where nothing does.

    Args:
        trace: The trace, of a task that exists.
        held: What the test splits of the trace's suite hold.

    Raises:
        TaskError: There is no such suite, template or task.
    """
    template = suite_named(trace.task.suite).templates.get(trace.task.template)
    if template is None:  # a trace may outlive a template
        raise TaskError(f"suite {trace.task.suite!r} has no template {trace.task.template!r}")
    if trace.task.phrasing >= len(template.phrasings) - HELD_OUT:
        return Rejected("held_out_phrasing", trace.episode_id, f"phrasing {trace.task.phrasing}")
    kinds = sorted({event.kind for event in trace.events} & HELD_OUT_KINDS)
    if kinds:
        return Rejected("held_out_fault", trace.episode_id, ", ".join(kinds))
    if trace.fingerprints.world in held.worlds:
        return Rejected("test_world", trace.episode_id, trace.fingerprints.world)
    if not template.needs_tools and (asked := question(task_by_id(trace.task.id))) in held.questions:
        return Rejected("test_text", trace.episode_id, asked)
    messages = trace.messages
    if name := foreign_entity(messages, held):
        return Rejected("test_entity", trace.episode_id, name)
    if words := overlap(messages, held):
        return Rejected("test_text", trace.episode_id, words)
    return None


def foreign_entity(messages: Iterable[JSON], held: HeldOut) -> str:
    """An identifier or address of a test world that the messages name; empty where they name none.

    A number outside the training pool is not enough: services count up ids of their own, and faults make some up.

    Args:
        messages: Messages in OpenAI's form.
        held: What the test splits of the suite hold.
    """
    pattern = _names(held.prefixes)
    for text in texts(messages):
        for found in pattern.finditer(text):
            number = found["number"]
            outside = number is None or not any(in_pool(split, int(number)) for split in TRAINING_SPLITS)
            if outside and found[0] in held.names:
                return found[0]
    return ""


@banked("code", 8)
def _names(prefixes: tuple[str, ...]) -> re.Pattern[str]:
    kinds = "|".join(map(re.escape, prefixes))
    return re.compile(rf"\b(?:{kinds})-(?P<number>\d{{1,18}})\b|[\w.+-]+@[\w.-]+\.example")


def overlap(messages: Iterable[JSON], held: HeldOut) -> str:
    """Words of a test instruction that the messages repeat; empty where they repeat none.

    Args:
        messages: Messages in OpenAI's form; whole instructions are looked for in the user's alone.
        held: What the test splits of the suite hold.
    """
    for message in messages:
        for text in texts([message]):
            words = words_of(text)
            if message["role"] == "user" and " ".join(words) in held.instructions:
                return " ".join(words)
            for start in range(len(words) - held.n + 1):
                run = " ".join(words[start : start + held.n])
                if run in held.ngrams:
                    return run
    return ""


def texts(messages: Iterable[JSON]) -> Iterator[str]:
    """All texts in messages: what was said, thought, called and seen."""
    for message in messages:
        yield message["content"]
        if thought := message.get("reasoning_content"):
            yield thought
        for call in message.get("tool_calls", ()):
            yield call["function"]["arguments"]
