"""The worked examples of the prompt `few_shot`: real episodes of the expert, in worlds that no split draws.

`python -m faultgym.agents.models.prompts.examples` writes them anew, with texts at the end into `few_shot.md`, with
typed answers into `few_shot_typed.md`; a test says when that is due.
"""

from __future__ import annotations

from pathlib import Path

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.play import run_episode
from faultgym.agents.traces.chat import call_text
from faultgym.envs.episode import Episode
from faultgym.envs.judging.form import Answers
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import suite_named
from faultgym.envs.task import Style

FAR = 90_000
"""The examples' task numbers begin here, where no run comes: what is shown is never what is asked."""
SHOWN: tuple[tuple[str, str, Style, str], ...] = (
    ("orders", "cancel_order", "http", "hostile"),
    ("incidents", "service_cost", "tools", "rough"),
    ("orders", "unknown_order", "tools", "clean"),
)
"""(suite, template, style, faults): a write, a read, and a record that does not exist."""
LEAST = {"clean": 0, "rough": 1, "hostile": 4}
"""Faults that an example meets."""
FILES: dict[Answers, str] = {"text": "few_shot.md", "typed": "few_shot_typed.md"}
"""How episodes end -> the file of their examples."""
LONGEST_RESULT = 600
"""Characters of a result that are shown."""


def example(suite: str, template: str, style: Style, faults: str, answers: Answers) -> Episode:
    """The expert's first episode from `FAR` on that succeeds and meets as many faults as a lesson needs.

    Args:
        suite: The suite's name.
        template: The template's name.
        style: How the REST API is offered.
        faults: A key of `LEAST`, which gives how many faults are met.
        answers: How the episode ends.

    Raises:
        LookupError: None of 200 tasks gives such an episode.
    """
    for index in range(FAR, FAR + 200):
        task = suite_named(suite).task(template, "train", index, style)
        episode = run_episode(policy_named("expert"), task, schedule_for(task, faults, index), answers=answers)
        met = len({event.fault for event in episode.events})
        if episode.verdict and episode.verdict.success and met >= LEAST[faults]:
            return episode
    raise LookupError(f"no such episode of {template} under {faults}")


def shown(episode: Episode) -> str:
    """An episode as text, in neither a chat template's form nor any model's."""
    lines = [f"Request: {episode.task.instruction}"]
    for step in episode.turns:
        if step.turn.reasoning:
            lines.append(f"Thought: {step.turn.reasoning}")
        for record in step.calls:
            content = record.result.content
            cut = content if len(content) <= LONGEST_RESULT else f"{content[:LONGEST_RESULT]} [...]"
            lines += [f"Call: {record.call.name} {call_text(record.call)}", f"Result: {cut}"]
        if not step.calls:
            lines.append(f"Answer: {step.turn.text}")
    return "\n".join(lines)


def few_shot(answers: Answers) -> str:
    """The text of the file for episodes that end so."""
    intro = "Three finished cases, from other worlds: the ids and values in them mean nothing here."
    cases = [f"Case {n}\n{shown(example(*which, answers))}" for n, which in enumerate(SHOWN, 1)]
    return "\n\n".join([intro, *cases]) + "\n"


if __name__ == "__main__":
    for answers, name in FILES.items():
        (Path(__file__).parent / name).write_text(few_shot(answers), "utf-8")
