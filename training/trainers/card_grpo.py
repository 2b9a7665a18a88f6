"""What the model card of a GRPO run says of the tasks that were played and of what they were worth."""

from __future__ import annotations

from faultgym.core.json import JSON
from faultgym.training.builds.card import table

MEANING = {
    "verdict": "when the environment's verdict is success: goal state reached, answer right, nothing else touched",
    "calls": "for each call",
    "bad_calls": "for each call of an unknown tool, that is malformed, or whose arguments do not fit",
    "repeated_calls": "for each call repeated after an error that repeating does not answer",
}


def played(record: JSON) -> list[str]:
    """The card's sections on tasks and reward; none for a run that learned from data sets.

    Args:
        record: The result's lineage, as `training.json` has it.
    """
    config: JSON = record["config"]
    if record["method"] != "grpo":
        return []
    reward: JSON = config["reward"]
    templates = ", ".join(config["templates"]) or "all templates"
    faults = ", ".join(f"`{one}`" for one in config["faults"])
    typed = config.get("answers") == "typed"
    ends = "a call of the tool `answer`" if typed else "a text"
    return [
        "## What it played, and for what",
        f"Tasks of the split train of {', '.join(config['suites'])} ({templates}), under {faults}. The"
        f" {config['group']} episodes of a group share task, world, seed and fault schedule; an episode has at most"
        f" {config['turns']} turns and {config['max_completion']:,} tokens after its prompt, and its answer is {ends}."
        " Every one is stored under `traces/`: `faultgym replay` proves it, `faultgym score` scores it.",
        table(
            ["part of the reward", "worth", "given"],
            [[name, f"{reward[name]:g}", text] for name, text in MEANING.items()],
        ),
        f"Each cost is counted up to {reward['most']}. An episode that the harness broke has no reward: it is left out"
        " of its group's mean and deviation, and its advantage is 0.",
    ]
