"""`faultgym tasks --check`: the conformance kit, then the gate."""

import sys
from pathlib import Path

import pytest

from faultgym.cli.main import main

OF_OURS = "from helpers.onerule import SUITE\n"
WITHOUT_PHRASINGS = """
from dataclasses import replace
from helpers.onerule import SUITE
loan = SUITE.templates["loan"]
SUITE = replace(SUITE, name="terse", templates={"loan": replace(loan, phrasings=loan.phrasings[:3])})
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        (OF_OURS, 0, ("onerule: the 23 rules of the conformance kit hold", "The gate")),
        (WITHOUT_PHRASINGS, 1, ("FAIL  Every template has at least five different phrasings", "not clean")),
    ],
    ids=["whole", "broken"],
)
def test_a_suite_of_this_folder_is_checked_by_its_rules_and_then_by_the_gate(
    source: str,
    code: int,
    said: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = f"checked_{code}"
    (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(["tasks", "--check", "--suite", f"{module}:SUITE", "--per-template", "1"]) == code
    out = capsys.readouterr().out
    assert all(words in out for words in said)
    assert ("The gate" in out) == (code == 0)


@pytest.mark.parametrize(
    ("task", "right"),
    [
        ("orders/order_total/train/0", "right: answered, total 109.80 EUR"),
        ("incidents/runbook_wait/train/0", "right: answered, wait 205 seconds"),
        ("incidents/open_incidents/train/0", "right: answered, incidents INC-19095, INC-88376, INC-89824"),
        ("orders/blocked_cancel/train/0", "right: unavailable"),
        ("orders/cancel_order/train/0", "right: done\nchange: update orders ORD-71920 {"),
    ],
)
def test_a_task_is_shown_with_what_is_right_as_people_write_it(
    task: str, right: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tasks", task]) == 0
    assert f"\n{right}" in capsys.readouterr().out
