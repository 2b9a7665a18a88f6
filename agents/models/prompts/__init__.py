"""System prompts as files, chosen by name, and added to the task's own system message.

How well a model does depends as much on what it is told as on what it learned: a tuned model must beat
its base under `few_shot`, not only under `plain`.
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

from faultgym.core.bank import banked
from faultgym.core.errors import UserError

NONE = "none"
NAMES = (NONE, "plain", "best", "few_shot")
"""`none` adds nothing to the task's own message, `plain` says how a turn ends, `best` also how to recover, `few_shot`
also shows it in real episodes."""

_FOLDER = Path(__file__).parent


@banked("texts", 32)
def prompt_text(name: str) -> str:
    """The prompt of that name, or in the file at that path.

    Raises:
        UserError: There is neither.
    """
    if name == NONE:
        return ""
    if name in NAMES:
        text = (_FOLDER / f"{name}.md").read_text("utf-8").strip()
        return text if name != "few_shot" else f"{prompt_text('best')}\n\n{text}"
    try:
        return Path(name).read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        known = ", ".join(NAMES)
        raise UserError(f"there is no system prompt {name!r}: the names are {known}, or a file's path") from error


def system_text(task: str, name: str, confidence: bool) -> str:
    """The whole system message: the task's, the prompt, and perhaps the question how sure the model is.

    Args:
        task: The task's own system message.
        name: A prompt's name, or the path of a file.
        confidence: Whether the model is asked how sure it is.

    Raises:
        UserError: There is no such prompt.
    """
    parts = [task, prompt_text(name)]
    if confidence:
        parts.append((_FOLDER / "confidence.md").read_text("utf-8").strip())
    return "\n\n".join(part for part in parts if part)


def prompt_description(name: str) -> dict[str, str]:
    """A prompt's name and a hash of its text: what a policy says of the prompt.

    Raises:
        UserError: There is no such prompt.
    """
    text = prompt_text(name)
    return {"name": Path(name).name, "hash": blake2b(text.encode(), digest_size=8).hexdigest()}
