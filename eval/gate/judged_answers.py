"""How the verdict on final texts compares with labels: corpora of answers, replayed and judged.

A line of a corpus is an episode up to its final text (`task`, `faults`, `fault_seed`, `turns`), that text (`answer`),
and the verdict that it deserves (`right`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from faultgym.core.hashing import stable_hash
from faultgym.envs.episode import Episode
from faultgym.envs.messages.turn import Turn
from faultgym.eval.gate.labelled import corpora, labelled, played


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
    return corpora("answers")


_NEEDED = {"answer": str, "right": bool}


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
        for number, (where, row) in enumerate(labelled(path, _NEEDED), 1):
            key = stable_hash(row["task"], row["faults"], row["fault_seed"], orjson.dumps(row["turns"]).decode())
            episode = begun[key] if key in begun else begun.setdefault(key, played(row, where))
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
