"""What `tiny` is taught: which tasks, which demonstrations, how many. No torch here.

Two models are made by the same recipe. `tiny` sees the expert recover. `tiny-base` hardly does: in one demonstration
of seventy; of faults it has seen agents that give up or repeat themselves, as a model may that learned from what
was around. `tiny-base` is the base from which the demo shows what recoveries in the data are worth.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from faultgym.agents.models.prompts import system_text
from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.plan import RolloutRequest
from faultgym.agents.rollouts.play import run_episode
from faultgym.agents.traces.chat import chat_messages
from faultgym.core.json import JSON
from faultgym.envs.episode import Episode
from faultgym.envs.judging.form import DEFAULT_ANSWERS, Answers
from faultgym.envs.messages.turn import Message
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import task_by_id
from faultgym.envs.task import Style
from faultgym.training.rows.conversational import chat, tools_text

TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "orders": ("order_status", "missing_fact", "unknown_order", "cancel_order"),
    "incidents": ("service_status", "missing_incident"),
}
"""Suite -> the templates that a model of this size learns in these few minutes: one to three calls, answers that are
copied. Not those that choose among search hits, calculate, or copy names and texts syllable by syllable."""
STYLE: Style = "http"
"""The REST API as one tool: four tools, not twenty-seven."""
PROMPTS = ("plain", "plain", "plain", "best")
"""Three of four demonstrations have the system prompt that a rollout adds by default."""
MAX_TURNS = 16


@dataclass(frozen=True, slots=True)
class Part:
    """Demonstrations of one kind."""

    policy: str
    """A scripted policy."""
    faults: tuple[str, ...]
    """Presets; each task is shown under each of them."""
    per_template: int
    """Tasks of each template."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model of this family is made."""

    name: str
    summary: str
    parts: tuple[Part, ...]
    hidden: int = 128
    layers: int = 4
    vocabulary: int = 2048
    max_length: int = 512
    """Tokens; longer demonstrations (kilobytes of noise in a response) are left out."""
    batch_size: int = 8
    learning_rate: float = 1e-3
    muon_lr: float = 5e-3
    warmup_steps: int = 30
    templates: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: TEMPLATES, hash=False)

    def demonstrations(self, seed: int, answers: Answers = DEFAULT_ANSWERS) -> Iterator[JSON]:
        """The rows of the recipe's data set, in an order that the seed gives.

        Args:
            seed: Fixes tasks, faults, prompts and order.
            answers: How the episodes end.

        Yields:
            Rows with the columns `messages` and `tools`.
        """
        rows = [row for part in self.parts for row in self._of(part, seed, answers)]
        random.Random(seed).shuffle(rows)
        prompts = random.Random(seed + 1)
        for row in rows:
            system, *rest = row["messages"]
            text = system_text(system["content"], prompts.choice(PROMPTS), False)
            yield {**row, "messages": [{**system, "content": text}, *rest]}

    def _of(self, part: Part, seed: int, answers: Answers) -> Iterator[JSON]:
        policy = policy_named(part.policy)
        for suite, names in self.templates.items():
            asked = RolloutRequest(
                suites=(suite,),
                split="train",
                templates=names,
                per_template=part.per_template,
                faults=part.faults,
                seed=seed,
                style=STYLE,
                answers=answers,
            )
            for spec in asked.episodes():
                task = task_by_id(spec.task)
                schedule = schedule_for(task, spec.faults, spec.fault_seed)
                how: dict[str, Any] = {"seed": spec.policy_seed, "max_turns": MAX_TURNS, "answers": answers}
                yield _row(run_episode(policy, task, schedule, **how))


def _row(episode: Episode) -> JSON:
    opening = cast(tuple[Message, ...], episode.opening.messages)
    messages = chat(chat_messages(opening, episode.turns))
    return {"messages": messages, "tools": tools_text([tool.openai() for tool in episode.tools])}


RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "tiny",
            "knows its tasks, and recovers as the expert does",
            (Part("expert", ("clean",), 750), Part("expert", ("mild", "rough"), 230)),
        ),
        Recipe(
            "tiny-base",
            "knows its tasks, and has hardly ever seen anybody recover",
            (
                Part("expert", ("clean",), 900),
                Part("expert", ("mild",), 15),
                Part("quitter", ("mild", "rough"), 35),
                Part("repeater", ("mild",), 20),
            ),
        ),
    )
}
