"""Why a trace is not learned from: the reasons, what each means, and one rejection with its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "unreadable",
    "other_schema_version",
    "unknown_task",
    "other_suite_version",
    "harness_error",
    "undecided",
    "not_checked",
    "refused",
    "other_policy",
    "other_split",
    "not_ended",
    "failed",
    "not_proven",
    "other_schedule",
    "no_text",
    "guessed",
    "needless_calls",
    "wasteful",
    "bad_habit",
    "unsettled_fault",
    "held_out_fault",
    "held_out_phrasing",
    "test_world",
    "test_entity",
    "test_text",
]
REASONS: Mapping[Reason, str] = {
    "unreadable": "it is no trace, or its parts do not fit together",
    "other_schema_version": "it was written by a release with another schema of traces",
    "unknown_task": "its task does not exist here",
    "other_suite_version": "its suite has changed since: its task is another one now",
    "harness_error": "our own side failed, so it says nothing about its policy",
    "undecided": "it cannot be told what its final text asserts, so its verdict stays open",
    "not_checked": "our own side failed while it was checked",
    "refused": "the model server would not serve its chat",
    "other_policy": "it is of another policy than asked for",
    "other_split": "its task is of a split that is kept for tests",
    "not_ended": "a budget cut it off before an answer",
    "failed": "its verdict is no success",
    "not_proven": "a replay came out otherwise: an observation, an effect, the verdict or the schedule",
    "other_schedule": "its faults are not those that its preset and seed give",
    "no_text": "it ends without a word",
    "guessed": "it is right, and nothing that it saw could have told it",
    "needless_calls": "it called tools where none was needed",
    "wasteful": "it made more calls than the stated bound allows",
    "bad_habit": "it succeeded in spite of a failure mode, or with a change that was not asked for",
    "unsettled_fault": "it succeeded without having got past a fault that it met",
    "held_out_fault": "it shows a kind of fault that is kept for tests",
    "held_out_phrasing": "its instruction is in words that are kept for tests",
    "test_world": "its world is one of the test splits",
    "test_entity": "it names a record of a test world",
    "test_text": "it repeats the words of a test instruction",
}
"""Reason -> what it means, in the order in which they are looked for."""


def mostly(rejected: Mapping[str, int], traces: int) -> str:
    """Why most of some traces were not taken, as a sentence; empty where none was rejected.

    Args:
        rejected: How many traces, by reason; names of further filters among them.
        traces: How many there were.

    Example:
        >>> mostly({"failed": 3, "other_split": 1}, 9)
        '3 of 9 traces were not taken: its verdict is no success.'
    """
    if not rejected:
        return ""
    name = max(rejected, key=lambda reason: rejected[reason])
    why = next((meaning for reason, meaning in REASONS.items() if reason == name), f"the filter {name} is against it")
    advice = " Roll out with --split train." if name == "other_split" else ""
    return f"{rejected[name]} of {traces} traces were not taken: {why}.{advice}"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A trace that is not an example, and the first reason why."""

    reason: Reason | str
    """One of `REASONS`, or the name of a data filter that was added."""
    episode_id: str
    detail: str = ""
    """What exactly was found."""
