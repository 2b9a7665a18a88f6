"""How the verdict on final texts compares with labels: corpora of answers, replayed and judged.

A corpus is a file of JSON lines, each an answer: `task`, `faults` and `fault_seed` say which episode, `turns` what was
done in it (`text` and `calls`, each a name with its arguments), `answer` is its final text, and `right` the verdict
that it deserves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from faultgym.core.errors import TaskError, UserError
from faultgym.core.hashing import stable_hash
from faultgym.core.json import JSON
from faultgym.envs.episode import Episode
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import task_by_id
from faultgym.tools.types import ToolCall


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """One labelled answer and the verdict on it."""

    corpus: str
    """The stem of the file's name."""
    line: int
    """From 1."""
    task: str
    goal: str
    """The kind of the task's goal."""
    answer: str
    right: bool
    """The label."""
    success: bool | None
    """The verdict; None where it stays open."""
    reason: str

    @property
    def misjudged(self) -> bool:
        """Whether the verdict is decided and is not the label."""
        return self.success is not None and self.success != self.right


@dataclass(frozen=True, slots=True)
class JudgeCount:
    """The confusion matrix of some answers."""

    right: int
    """Answers whose label is right."""
    wrong: int
    refused: int
    """False negatives: right answers with the verdict false."""
    passed: int
    """False positives: wrong answers with the verdict true."""
    open: int
    """Answers without a verdict, right or wrong."""

    @classmethod
    def of(cls, rows: Iterable[JudgedAnswer]) -> JudgeCount:
        """Count judged answers."""
        rows = list(rows)
        missed = [row for row in rows if row.misjudged]
        return cls(
            right=sum(row.right for row in rows),
            wrong=sum(not row.right for row in rows),
            refused=sum(row.right for row in missed),
            passed=sum(not row.right for row in missed),
            open=sum(row.success is None for row in rows),
        )


def labelled_answers() -> list[Path]:
    """The files of labelled answers that a checkout has, sorted.

    Raises:
        UserError: This is no checkout: an installed package has none.
    """
    folder = Path(__file__).resolve().parents[2] / "tests" / "data" / "judge"
    found = sorted(folder.glob("answers_*.jsonl"))
    if not found:
        raise UserError("there are no labelled answers here: name their files, or run this in a checkout")
    return found


def judged_answers(paths: Sequence[Path]) -> Iterator[JudgedAnswer]:
    """Replay the episodes of corpora and judge each answer.

    Args:
        paths: Files of JSON lines.

    Yields:
        The answers in the order of the files.

    Raises:
        UserError: A file cannot be read, or a line is not a labelled answer.
    """
    begun: dict[int, Episode] = {}
    for path in paths:
        for number, line in enumerate(_lines(path), 1):
            row = _row(line, f"{path}:{number}")
            key = stable_hash(row["task"], row["faults"], row["fault_seed"], orjson.dumps(row["turns"]).decode())
            try:
                episode = begun[key] if key in begun else begun.setdefault(key, _played(row))
            except TaskError as error:
                raise UserError(f"{path}:{number}: {error}") from None
            ended = episode.fork()
            ended.step(Turn(row["answer"]))
            verdict = ended.verdict or ended.finish("final")
            yield JudgedAnswer(
                path.stem,
                number,
                row["task"],
                ended.task.goal.kind,
                row["answer"],
                row["right"],
                verdict.success,
                verdict.reason,
            )
            ended.close()


def _lines(path: Path) -> list[bytes]:
    try:
        return [line for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


_FIELDS: dict[str, type] = {
    "task": str, "faults": str, "fault_seed": int, "turns": list, "answer": str, "right": bool,
}  # fmt: skip


def _row(line: bytes, where: str) -> JSON:
    try:
        row: Any = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UserError(f"{where}: no JSON: {error}") from None
    for name, kind in _FIELDS.items():
        if not isinstance(row, dict) or not isinstance(row.get(name), kind):
            raise UserError(f"{where}: a labelled answer needs {name!r}, a {kind.__name__}")
    found: JSON = row
    return found


def _played(row: JSON) -> Episode:
    """The episode up to its final text."""
    task = task_by_id(row["task"])
    episode = Episode(task, schedule_for(task, row["faults"], row["fault_seed"]))
    for number, turn in enumerate(row["turns"]):
        calls = tuple(ToolCall(f"c{number}_{n}", name, sent) for n, (name, sent) in enumerate(turn.get("calls", ())))
        episode.step(Turn(turn.get("text", ""), calls))
    return episode
