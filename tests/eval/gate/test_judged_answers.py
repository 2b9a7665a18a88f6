"""Labelled answers: how verdicts compare with the labels, and what is said of files that hold none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faultgym.cli.main import main
from faultgym.core.errors import UserError
from faultgym.eval.gate.judged_answers import JudgeCount, JudgedAnswer, judged_answers, labelled_answers

CORPORA = {path.stem: path for path in labelled_answers()}
STATUS = {"task": "orders/order_status/train/0", "faults": "clean", "fault_seed": 0, "turns": []}


def row(right: bool, success: bool | None) -> JudgedAnswer:
    return JudgedAnswer("x", 1, "orders/order_status/train/0", "answer", "It is paid.", right, success, "")


@pytest.mark.parametrize("name", sorted(CORPORA))
def test_of_right_answers_two_percent_are_refused_at_most_and_of_wrong_ones_three_pass(name: str) -> None:
    found = JudgeCount.of(judged_answers([CORPORA[name]]))
    assert found.refused <= 0.02 * found.right
    assert found.passed <= 0.03 * found.wrong
    assert found.open <= 0.02 * (found.right + found.wrong)


def test_an_open_verdict_is_neither_refused_nor_passed() -> None:
    found = JudgeCount.of([row(True, None), row(False, None), row(True, False), row(False, True), row(True, True)])
    assert found == JudgeCount(right=3, wrong=2, refused=1, passed=1, open=2)


@pytest.mark.parametrize(
    ("line", "what"),
    [("{", "no JSON"), ("[]", "needs 'task'"), (json.dumps({**STATUS, "answer": "x"}), "needs 'right'")],
)
def test_a_line_that_is_no_labelled_answer_is_named(line: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(UserError, match=f"a.jsonl:1: .*{what}"):
        list(judged_answers([path]))


def test_the_command_prints_the_figures_and_what_was_misjudged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({**STATUS, "answer": "I do not know.", "right": True}) + "\n")
    assert main(["tasks", "--judge", str(path)]) == 0
    out = capsys.readouterr().out
    assert "1 (100.0%)" in out
    assert "refused: own:1 orders/order_status/train/0" in out
