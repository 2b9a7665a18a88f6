"""What `faultgym tasks --judge` prints: verdicts, failure modes and recoveries beside the labels of corpora."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson
from rich.console import Console
from rich.markup import escape

from faultgym.cli.support.printing import grid, say
from faultgym.envs.render import neutralised
from faultgym.eval.gate.judged_answers import JudgeCount, JudgedAnswer, judged_answers
from faultgym.eval.gate.judged_episodes import JudgedEpisode, judged_episodes, mode_counts, percent
from faultgym.eval.gate.labelled import corpora, holds_episodes


def print_judged(console: Console, paths: Sequence[Path], json: bool) -> None:
    """Replay corpora and print how what is said of them compares with their labels.

    Args:
        console: Where to print.
        paths: Files of labelled answers or episodes; with none, those of a checkout.
        json: Print one object for each line of the corpora instead of tables.

    Raises:
        UserError: A file cannot be read, or holds something else; or none is named, and this is no checkout.
    """
    paths = paths or [*corpora("answers"), *corpora("episodes")]
    whole = [path for path in paths if holds_episodes(path)]
    answers = list(judged_answers([path for path in paths if path not in whole]))
    episodes = judged_episodes(whole)
    if json:
        for row in answers:
            say(console, orjson.dumps(row).decode())
        for episode in episodes:
            say(console, orjson.dumps(episode.to_record()).decode())
        return
    if answers:
        _print_answers(console, answers)
    if episodes:
        _print_episodes(console, episodes)


def _print_answers(console: Console, rows: Sequence[JudgedAnswer]) -> None:
    """For each file and kind of goal, how verdicts compare with the labels; then what was misjudged."""
    columns = ("answers", "goal", "right", "refused", "wrong", "passed", "undecided")
    table = grid("Verdicts on labelled answers", columns, numbers=columns[2:], whole=("answers",))
    for corpus in dict.fromkeys(row.corpus for row in rows):
        of_corpus = [row for row in rows if row.corpus == corpus]
        for goal in (*sorted({row.goal for row in of_corpus}), "all"):
            count = JudgeCount.of(row for row in of_corpus if goal in (row.goal, "all"))
            refused, passed = _of(count.refused, count.right), _of(count.passed, count.wrong)
            table.add_row(
                escape(corpus),
                goal,
                str(count.right),
                refused,
                str(count.wrong),
                passed,
                _of(count.open, len(of_corpus)),
            )
    console.print(table)
    for row in rows:
        if row.misjudged or row.success is None:
            word = "undecided" if row.success is None else "refused" if row.right else "passed"
            text = f"{word}: {row.corpus}:{row.line} {row.task}: {row.answer!r}: {row.reason}"
            say(console, neutralised(text))


def _of(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.1%})" if whole else str(part)


def _print_episodes(console: Console, episodes: Sequence[JudgedEpisode]) -> None:
    """For each mode, how often it was deserved and raised; then every episode that is not read as its label says."""
    columns = ("mode", "deserved", "raised", "both", "precision", "recall")
    table = grid(f"Failure modes of {len(episodes)} labelled episodes", columns, numbers=columns[1:])
    for name, count in mode_counts(episodes).items():
        numbers = (count.deserved, count.raised, count.both)
        table.add_row(name, *map(str, numbers), percent(count.precision), percent(count.recall))
    console.print(table)
    for episode in episodes:
        for what in episode.differences:
            say(console, neutralised(f"{episode.name} {episode.task}: {what}"))
