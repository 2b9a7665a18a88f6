"""A suite: one domain, with its schema, generator, service, documents and task templates."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from faultgym.core.bank import banked
from faultgym.core.errors import TaskError
from faultgym.core.hashing import stable_hash
from faultgym.envs.identifiers import Identifiers, identifiers_with
from faultgym.envs.judging.answering import closing_rule
from faultgym.envs.judging.form import AnswerField
from faultgym.envs.judging.goal import Goal
from faultgym.envs.reference_agent.agent import ReferenceAgent
from faultgym.envs.reference_agent.client import Script as Script
from faultgym.envs.reference_agent.entities import Entity as Entity
from faultgym.envs.reference_agent.entities import EntitySource as EntitySource
from faultgym.envs.task import Style, Task
from faultgym.envs.worlds.domain import Domain
from faultgym.envs.worlds.names import SPLITS, WORLDS
from faultgym.envs.worlds.world import CLIENT_ID, WorldImage, world_image
from faultgym.tools.channels.http.service import Service
from faultgym.tools.context import FieldHints as FieldHints
from faultgym.tools.toolbox import STANDARD, Tool, endpoint_tools

HELD_OUT = 2
"""The last phrasings of every template are kept for the split `unseen_phrasings`."""
INDEX_DIGITS = 15
"""Digits that the index of a task has at most."""
_INDEX = re.compile(rf"[0-9]{{1,{INDEX_DIGITS}}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a template drew from a world for one task."""

    params: Mapping[str, Any]
    """Named in the instruction: the phrasing's fields, and all that the reference solution knows."""
    goal: Goal
    answer: tuple[AnswerField, ...] | None = None
    """The fields of a typed answer, where they depend on what was drawn; None for the template's."""


@dataclass(frozen=True, slots=True)
class Template:
    """A family of tasks."""

    name: str
    summary: str
    """One line for people."""
    phrasings: tuple[str, ...]
    """Format strings over the drawn parameters; the last two are held out."""
    draw: Callable[[sqlite3.Connection, random.Random], Drawn]
    """Chooses the parameters from the world and says what the goal is; reads only."""
    solve: Callable[[ReferenceAgent], Script]
    """The reference solution: sees what a model sees, and recovers by the contracts."""
    tools: tuple[str, ...] = ("search", "sql", "http", "wait")
    """Standard tools offered; `http` stands for the typed tools in that style."""
    answerable: bool = True
    needs_tools: bool = True
    sql_writes: bool = False
    composition: bool = False
    """Whether it combines other templates and is kept for the split `unseen_compositions`."""
    faults: tuple[Mapping[str, Any], ...] = ()
    """Fault rules that are part of the task."""
    answer: tuple[AnswerField, ...] = ()
    """The fields of a typed answer, in the order of the goal's facts; none where only the outcome counts."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Suite(Domain):
    """One domain with its service, its tasks and their solutions.

    Example:
        >>> from faultgym.envs import suite_named
        >>> orders = suite_named("orders")
        >>> orders.task("order_status", "train", 0).id
        'orders/order_status/train/0'
    """

    title: str
    """One line for people."""
    role: str
    """First sentence of the system message: who the agent is."""
    rules: tuple[str, ...]
    """The desk's working rules, part of the system message."""
    service: Service
    """The API, and with it the typed tools."""
    templates: Mapping[str, Template]
    """The families of tasks by name."""
    entities: Mapping[str, Entity]
    """Kinds of records by name, and how reference solutions read them."""
    id_prefixes: tuple[str, ...] = ()
    """Prefixes of the suite's identifiers, such as `ORD`."""
    former: Mapping[str, Mapping[int, tuple[str, ...]]] = field(default_factory=dict)
    """Template -> the index of a phrasing -> how it read in earlier releases, for what was recorded then."""

    @cached_property
    def identifiers(self) -> Identifiers:
        """What the identifiers of the suite's records look like."""
        return identifiers_with(self.id_prefixes)

    @cached_property
    def endpoint_tools(self) -> dict[str, Tool]:
        """The typed tools by name."""
        return endpoint_tools(self.service)

    def task(self, template: str, split: str = "train", index: int = 0, style: Style | None = None) -> Task:
        """The task that template, split and index define.

        Args:
            template: The name of one of `templates`.
            split: A split in which the template has tasks.
            index: Which of its tasks, from 0 on; at most 15 digits.
            style: By default the one that the index gives.

        Raises:
            TaskError: The template has no tasks in the split, or the index is below 0 or has more digits.
        """
        return _task(self, template, split, index, style)

    def task_id(self, template: str, split: str, index: int, style: Style | None = None) -> str:
        """The id of a task, without drawing it.

        Args:
            template: The name of the template; not checked.
            split: The split; not checked.
            index: From 0.
            style: Part of the id only where it is not the style that the index gives.
        """
        other = style is not None and style != _own_style(self, template, split, index)
        return f"{self.name}/{template}/{split}/{index}" + (f":{style}" if other else "")

    def task_by_id(self, text: str) -> Task:
        """The task of this suite with that id.

        Args:
            text: Such as `orders/order_status/train/0`.

        Raises:
            TaskError: The text is no task id, is of another suite, or names no template or split.
        """
        name, template, split, index, style = parse_task_id(text)
        if name != self.name:
            raise TaskError(f"task {text} is of suite {name}, not of {self.name}")
        return self.task(template, split, index, style)

    def as_worded(self, task: Task, instruction: str) -> Task:
        """A task of this suite as an earlier release worded it.

        Args:
            task: The task.
            instruction: What was asked.

        Returns:
            The task with that instruction, where it is one of the phrasing's former wordings; else the task as it is.
        """
        former = self.former.get(task.template, {}).get(task.phrasing, ())
        if any(wording.format(**task.params) == instruction for wording in former):
            return replace(task, instruction=instruction)
        return task

    def names(self, split: str) -> list[str]:
        """The templates that have tasks in the split.

        Raises:
            TaskError: No split has that name.
        """
        if split not in SPLITS:
            raise TaskError(f"there is no split {split!r}; the splits are {', '.join(SPLITS)}")
        composed = split == "unseen_compositions"
        return [n for n, t in self.templates.items() if t.composition == composed]

    def tasks(self, split: str, per_template: int) -> list[Task]:
        """The first tasks of each template of the split, template by template in turn.

        Args:
            split: The split.
            per_template: How many of each template.

        Returns:
            The tasks of index 0 of all templates, then those of index 1, and so on.

        Raises:
            TaskError: No split has that name.
        """
        return [self.task(name, split, n) for n in range(per_template) for name in self.names(split)]

    def tools(self, task: Task) -> dict[str, Tool]:
        """The tools that the task offers, by name."""
        return _tools(self, task.tools)

    def tools_named(self, names: tuple[str, ...]) -> dict[str, Tool]:
        """The tools of these names, in this order.

        Raises:
            TaskError: The suite has no tool of one of the names.
        """
        for name in names:
            if name not in STANDARD and name not in self.endpoint_tools:
                raise TaskError(f"suite {self.name!r} has no tool {name!r}")
        return _tools(self, names)


@banked("code", 256)
def _tools(suite: Suite, names: tuple[str, ...]) -> dict[str, Tool]:
    return {n: STANDARD[n] if n in STANDARD else suite.endpoint_tools[n] for n in names}


@banked("tasks", 65_536)
def _task(suite: Suite, name: str, split: str, index: int, style: Style | None) -> Task:
    if name not in suite.names(split):
        raise TaskError(
            f"suite {suite.name!r} has no template {name!r} in split {split!r}; it has {', '.join(suite.names(split))}"
        )
    if index < 0:
        raise TaskError(f"the index of a task counts from 0, not {index}")
    if index >= 10**INDEX_DIGITS:
        raise TaskError(f"the index of a task has at most {INDEX_DIGITS} digits: no id with a longer one can be read")
    template = suite.templates[name]
    image = world_image(suite, split, index % WORLDS[split])
    rng = random.Random(stable_hash("task", suite.name, name, split, index))
    drawn = template.draw(image.reader.raw, rng)
    phrasing = _phrasing(template, split, rng)
    chosen = style or _own_style(suite, name, split, index)
    form = template.answer if drawn.answer is None else drawn.answer
    return Task(
        id=suite.task_id(name, split, index, style),
        suite=suite.name,
        template=name,
        split=split,
        index=index,
        world_seed=image.seed,
        style=chosen,
        tools=_offered(suite, template, chosen),
        system=system_message(suite, image, chosen),
        typed_system=system_message(suite, image, chosen, closing_rule(form)),
        instruction=template.phrasings[phrasing].format(**drawn.params),
        phrasing=phrasing,
        params=drawn.params,
        goal=drawn.goal,
        answerable=template.answerable,
        needs_tools=template.needs_tools,
        sql_writes=template.sql_writes,
        faults=template.faults,
        answer=form,
    )


def _own_style(suite: Suite, template: str, split: str, index: int) -> Style:
    """The style that a task has when none is asked for."""
    return "http" if stable_hash("style", suite.name, template, split, index) % 2 == 0 else "tools"


def _phrasing(template: Template, split: str, rng: random.Random) -> int:
    count = len(template.phrasings)
    if split == "unseen_phrasings":
        return rng.randrange(count - HELD_OUT, count)
    return rng.randrange(count - HELD_OUT)


def _offered(suite: Suite, template: Template, style: Style) -> tuple[str, ...]:
    if style == "http" or "http" not in template.tools:
        return template.tools
    rest = tuple(n for n in template.tools if n != "http")
    return (*rest, *suite.endpoint_tools)


def system_message(suite: Suite, image: WorldImage, style: Style, closing: str = "") -> str:
    """The system message: role, working rules, and how to get an API token.

    Args:
        suite: The suite.
        image: The world, for the client secret.
        style: Whether the token comes from a request or from a typed tool.
        closing: How the task is ended; by default, in one or two sentences of text.
    """
    how = f"Use the tools. {closing}" if closing else "Use the tools; answer in one or two sentences when you are done."
    token = "POST /v1/token" if style == "http" else "issue_token"
    rules = "\n".join(f"- {rule}" for rule in suite.rules)
    return (
        f"{suite.role} {how}\n{rules}\n"
        f"- A new API token comes from {token} with client_id {CLIENT_ID} and client_secret {image.secret}."
    )


def parse_task_id(text: str) -> tuple[str, str, str, int, Style | None]:
    """The parts of a task id. Whether there is such a task is not looked at.

    Args:
        text: The id.

    Returns:
        Suite, template, split, index and style; the style is None where the id gives none.

    Raises:
        TaskError: The text does not have the form of a task id.

    Example:
        >>> parse_task_id("orders/order_status/train/0:http")
        ('orders', 'order_status', 'train', 0, 'http')
    """
    body, _, style = text.partition(":")
    parts = body.split("/")
    if len(parts) != 4 or not _INDEX.fullmatch(parts[3]) or style not in ("", "http", "tools"):
        raise TaskError(f"{text[:200]!r} is not a task id: it looks like orders/order_status/train/0")
    wanted: Style | None = "http" if style == "http" else "tools" if style == "tools" else None
    return parts[0], parts[1], parts[2], int(parts[3]), wanted
