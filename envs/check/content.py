"""Rules about what a suite holds: its worlds, phrasings, tasks and declarations."""

from __future__ import annotations

import re

from faultgym.envs.check.report import Subject, require
from faultgym.envs.suite import HELD_OUT
from faultgym.envs.worlds.changes import visible_rows
from faultgym.envs.worlds.names import SPLITS, in_pool
from faultgym.envs.worlds.world import WorldImage, world_image
from faultgym.tools.toolbox import STANDARD

PHRASINGS = 5
"""How many phrasings each template has at least."""
WORLDS_TRIED = 2
"""Worlds of each split that are searched."""
TASKS_TRIED = 6
"""Tasks of each template and split that are drawn."""


def worlds_are_reproducible(subject: Subject) -> None:
    """The same seed builds the same world."""
    for seed in range(WORLDS_TRIED):
        first, second = (WorldImage(subject.suite, subject.split, seed) for _ in range(2))
        require(first.image == second.image, f"world {seed} of {subject.split} differs when built again")


def declared_columns_exist(subject: Subject) -> None:
    """The tables and columns declared readable, writable and visible exist."""
    suite = subject.suite
    image = world_image(suite, subject.split, 0)
    for table, columns in suite.readable.items():
        image.reader.raw.execute(f"SELECT {', '.join(sorted(columns))} FROM {table} LIMIT 0")
    for table in suite.visible:
        visible_rows(image.reader.raw, suite, table)
    unknown = sorted(suite.writable - set(suite.readable))
    require(not unknown, f"writable but not readable: {', '.join(unknown)}")
    hidden = sorted(suite.writable - set(suite.visible))
    require(not hidden, f"writable, but changes to it are never seen by the verdict: {', '.join(hidden)}")


def phrasings_are_many(subject: Subject) -> None:
    """Every template has at least five different phrasings, the last two of them held out."""
    for name, template in subject.suite.templates.items():
        count = len(set(template.phrasings))
        require(count >= PHRASINGS, f"template {name} has {count} phrasings")
        require(count == len(template.phrasings), f"template {name} has a phrasing twice")
    for split in SPLITS:
        for name in subject.suite.names(split):
            held_out = len(subject.suite.templates[name].phrasings) - HELD_OUT
            for index in range(TASKS_TRIED):
                task = subject.suite.task(name, split, index)
                expected = split == "unseen_phrasings"
                require((task.phrasing >= held_out) == expected, f"{task.id} uses phrasing {task.phrasing}")


def phrasings_fit_their_parameters(subject: Subject) -> None:
    """Every phrasing can be filled in with what its template draws, and names it all."""
    for task in subject.tasks:
        template = subject.suite.templates[task.template]
        names = {frozenset(re.findall(r"\{(\w+)", phrasing)) for phrasing in template.phrasings}
        for phrasing in template.phrasings:
            text = phrasing.format(**task.params)
            require(bool(text.strip()) and "{" not in text, f"{task.id}: {phrasing!r} is not filled in")
        require(len(names) == 1, f"template {task.template}: its phrasings name different parameters")


def identifiers_stay_in_their_split(subject: Subject) -> None:
    """Every identifier in a split's worlds and instructions comes from the split's own pool."""
    suite = subject.suite
    require(bool(suite.id_prefixes), "the suite names no identifier prefixes")
    for split in SPLITS:
        texts = []
        for seed in range(WORLDS_TRIED):
            reader = world_image(suite, split, seed).reader.raw
            for table, columns in suite.readable.items():
                rows = reader.execute(f"SELECT {', '.join(sorted(columns))} FROM {table}")
                texts += [value for row in rows for value in row if isinstance(value, str)]
        for name in suite.names(split):
            texts += [suite.task(name, split, index).instruction for index in range(TASKS_TRIED)]
        for text in texts:
            for found in suite.identifiers.found(text):
                number = int(found.rpartition("-")[2])
                require(in_pool(split, number), f"{found} in split {split} belongs to another split")


def tasks_are_what_their_ids_say(subject: Subject) -> None:
    """A task is fixed by its id: asking for it again gives the same."""
    for task in subject.tasks:
        require(subject.suite.task_by_id(task.id) == task, f"{task.id} names another task")
        require(bool(task.instruction and task.system), f"{task.id} has no instruction or no system message")


def tools_are_declared_in_full(subject: Subject) -> None:
    """Every tool offered has a description and a closed schema."""
    tools = {**STANDARD, **subject.suite.endpoint_tools}
    for task in subject.tasks:
        unknown = sorted(set(task.tools) - set(tools))
        require(not unknown, f"{task.id} offers what does not exist: {', '.join(unknown)}")
    for name, tool in tools.items():
        require(bool(tool.spec.description), f"tool {name} has no description")
        schema = tool.spec.parameters
        closed = schema.get("type") == "object" and schema.get("additionalProperties") is False
        require(closed, f"tool {name} takes arguments that it does not declare")
