"""Texts that are made to keep the judge busy: the time that a verdict takes has a bound."""

from __future__ import annotations

import time

import pytest

from faultgym.envs.episode import Episode
from faultgym.envs.judging.goal import MAX_ANSWER, judge
from faultgym.envs.judging.reading.question import question
from faultgym.envs.registry import task_by_id

TASKS = [
    task_by_id(name)
    for name in (
        "orders/order_total/train/0",
        "orders/missing_fact/train/0",
        "orders/cancel_order/train/0",
        "incidents/postmortem_cause/train/0",
        "incidents/acknowledge_assign/train/0",
    )
]
PIECES = (
    "0 ", "1.50 eur, ", "1.", ".", ",", "-", "'", '"', "(", "\u2014", "\n", "/", "_", "*", "not ", "been ", "has been ",
    "i refunded ", "i have now also ", "or ", "from ", "before ", "if a, ", " so ", "two hundred ", "ord-12345 ",
    "memory-", "expired ", "will be ", "there is no ", "could not be ", "a@b.c ", "2026-03-02 or ", "probably ",
)  # fmt: skip
BOUND = 0.05
"""Seconds of one processor that a verdict on any text of 20,000 characters may take."""


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("length", [MAX_ANSWER, 20_000])
def test_no_repetition_keeps_the_judge_busy(piece: str, length: int) -> None:
    text = (piece * length)[:length]
    for task in TASKS:
        world = Episode(task).world
        asked = question(world, task.instruction, task.params)
        taken = []
        for end in ("", " ", "."):  # each another text, so that nothing comes from a cache
            begun = time.process_time()
            judge(task.goal, world, text[: length - len(end)] + end, looked_up=True, blocked=True, asked=asked)
            taken.append(time.process_time() - begun)
        assert min(taken) < BOUND
