"""Corpora of labelled episodes: files of JSON lines, each an episode that can be played again, with its labels.

`task`, `faults` and `fault_seed` say which episode it is, `turns` what the agent did in it: `text`, `calls` (each a
name with its arguments) and `confidence`, as far as there were any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from faultgym.core.errors import TaskError, UserError
from faultgym.core.json import JSON
from faultgym.envs.episode import Episode
from faultgym.envs.judging.form import ANSWERS
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import task_by_id
from faultgym.tools.types import ToolCall

PLAYED: Mapping[str, type] = {"task": str, "faults": str, "fault_seed": int, "turns": list}
"""What every line needs: which episode it is, and the turns that the agent took there."""


def corpora(of: str) -> list[Path]:
    """The corpora that a checkout has, sorted.

    Args:
        of: What they hold, by the first word of their names: `answers` or `episodes`.

    Raises:
        UserError: This is no checkout: an installed package has none.
    """
    folder = Path(__file__).resolve().parents[2] / "tests" / "data" / "judge"
    found = sorted(folder.glob(f"{of}_*.jsonl"))
    if not found:
        raise UserError(f"there are no labelled {of} here: name their files, or run this in a checkout")
    return found


def holds_episodes(path: Path) -> bool:
    """Whether the lines of a corpus are whole episodes with their failure modes, as its first line shows.

    Args:
        path: The file.

    Raises:
        UserError: The file cannot be read, or its first line is neither.
    """
    first = next(labelled(path, {}), None)
    return first is not None and "modes" in first[1]


def labelled(path: Path, needed: Mapping[str, type]) -> Iterator[tuple[str, JSON]]:
    """Read the lines of a corpus.

    Args:
        path: The file.
        needed: The names that each line needs besides `PLAYED`, and their types.

    Yields:
        Where the line stands, for messages, and the line.

    Raises:
        UserError: The file cannot be read, or a line lacks something.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield f"{path}:{number}", _checked(line, {**PLAYED, **needed}, f"{path}:{number}")


def _checked(line: bytes, needed: Mapping[str, type], where: str) -> JSON:
    try:
        row: Any = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UserError(f"{where}: no JSON: {error}") from None
    for name, kind in needed.items():
        if not isinstance(row, dict) or not isinstance(row.get(name), kind):
            raise UserError(f"{where}: a labelled episode needs {name!r}, a {kind.__name__}")
    found: JSON = row
    return found


def played(row: JSON, where: str) -> Episode:
    """Play the turns of a line again; arguments that are a text are taken as the agent wrote them, unparsed.

    Lines hold episodes that end with a text, but for those whose `answers` are `typed`.

    Args:
        row: The line.
        where: Where it stands, for messages.

    Raises:
        UserError: There is no such task, or no such kind of answers.
    """
    try:
        task = task_by_id(row["task"])
    except TaskError as error:
        raise UserError(f"{where}: {error}") from None
    answers = row.get("answers", "text")
    if answers not in ANSWERS:
        raise UserError(f"{where}: answers is {' or '.join(ANSWERS)}, not {answers!r}")
    episode = Episode(task, schedule_for(task, row["faults"], row["fault_seed"]), answers=answers)
    for step, turn in enumerate(row["turns"]):
        calls = tuple(_call(f"c{step}_{n}", *call) for n, call in enumerate(turn.get("calls", ())))
        episode.step(Turn(turn.get("text", ""), calls, confidence=turn.get("confidence")))
    return episode


def _call(name: str, tool: str, sent: Any) -> ToolCall:
    return ToolCall(name, tool, raw=sent) if isinstance(sent, str) else ToolCall(name, tool, sent)
