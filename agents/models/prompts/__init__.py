"""System prompts as files, chosen by name, and added to the task's own system message.

How well a model does depends as much on what it is told as on what it learned: a tuned model must beat
its base under `few_shot`, not only under `plain`. Where an episode ends with a call of `answer`, which the task's
message says, the prompts say so too; their names, and the hashes by which policies are known, are the same.
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

from faultgym.core.bank import banked
from faultgym.core.errors import UserError
from faultgym.envs.judging.answering import CALL_ANSWER
from faultgym.envs.judging.form import Answers

NONE = "none"
NAMES = (NONE, "plain", "best", "few_shot")
"""`none` adds nothing to the task's own message, `plain` says how a turn ends, `best` also how to recover, `few_shot`
also shows it in real episodes."""

_FOLDER = Path(__file__).parent
TYPED_ENDINGS = {
    "A message without a tool call is your final answer.": (
        "A message without a tool call is no answer: end with the tool `answer`, called once and alone."
    ),
    "say plainly what you could not do and why.": (
        "answer with the outcome `unavailable`, and say plainly what you could not do and why."
    ),
    "the record does not exist: say so.": "the record does not exist: the outcome is `not_found`.",
    "Before a final answer check": "Before you answer check",
    "then give the exact ids, amounts and dates in one or two sentences.": (
        "then give the exact values in the answer's fields, and in its message one or two sentences."
    ),
    "End your final answer with a line": "End the message of your answer with a line",
}
"""What the prompts say of the end, and what they say in its place where it is a call."""


@banked("texts", 32)
def prompt_text(name: str, answers: Answers = "text") -> str:
    """The prompt of that name, or in the file at that path.

    Args:
        name: A prompt's name, or the path of a file, whose text is taken as it is.
        answers: How the episode ends.

    Raises:
        UserError: There is neither.
    """
    if name == NONE:
        return ""
    if name in NAMES:
        typed = answers == "typed"
        text = _read("few_shot_typed" if typed and name == "few_shot" else name, typed)
        return text if name != "few_shot" else f"{prompt_text('best', answers)}\n\n{text}"
    try:
        return Path(name).read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        known = ", ".join(NAMES)
        raise UserError(f"there is no system prompt {name!r}: the names are {known}, or a file's path") from error


def _read(name: str, typed: bool) -> str:
    text = (_FOLDER / f"{name}.md").read_text("utf-8").strip()
    for told, instead in TYPED_ENDINGS.items() if typed else ():
        text = text.replace(told, instead)
    return text


def system_text(task: str, name: str, confidence: bool) -> str:
    """The whole system message: the task's, the prompt, and perhaps the question how sure the model is.

    Args:
        task: The task's own system message.
        name: A prompt's name, or the path of a file.
        confidence: Whether the model is asked how sure it is.

    Raises:
        UserError: There is no such prompt.
    """
    typed = CALL_ANSWER in task
    parts = [task, prompt_text(name, "typed" if typed else "text")]
    if confidence:
        parts.append(_read("confidence", typed))
    return "\n\n".join(part for part in parts if part)


def prompt_description(name: str) -> dict[str, str]:
    """A prompt's name and a hash of its text: what a policy says of the prompt.

    Raises:
        UserError: There is no such prompt.
    """
    text = prompt_text(name)
    return {"name": Path(name).name, "hash": blake2b(text.encode(), digest_size=8).hexdigest()}
