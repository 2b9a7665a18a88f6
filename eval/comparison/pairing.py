"""Which episodes of two runs belong together, and what keeps runs from being compared at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from faultgym.agents.rollouts.plan import plan_difference
from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.core.values import shallow
from faultgym.envs.judging.form import Answers
from faultgym.eval.scoring.record import faults_name
from faultgym.eval.scoring.runs import Run, ScoredEpisode

ENDS: dict[Answers, str] = {"typed": "a typed answer", "text": "a text"}
NAMED = 3
"""Unpaired episodes that a message names."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The same task, faults, seed and trial, done by two policies."""

    base: ScoredEpisode
    other: ScoredEpisode

    @property
    def task(self) -> str:
        """The task's id."""
        return self.base.score.task

    @property
    def scored(self) -> bool:
        """Whether both have a score: what our side broke says nothing."""
        return self.base.score.valid and self.other.score.valid


@dataclass(frozen=True, slots=True)
class Pairing:
    """Two runs, episode by episode, in the order of tasks, faults, seeds and trials."""

    pairs: tuple[Pair, ...]
    """With a score on both sides."""
    unscored: tuple[Pair, ...]
    """With a harness error on one side at least: left out."""
    only_base: tuple[ScoredEpisode, ...]
    only_other: tuple[ScoredEpisode, ...]

    @property
    def tasks(self) -> int:
        """Tasks of the scored pairs."""
        return len({pair.task for pair in self.pairs})

    def to_record(self) -> JSON:
        """As JSON: counts, and the ids of what stands alone."""
        return {
            "pairs": len(self.pairs),
            "tasks": self.tasks,
            "unscored": [[pair.base.id, pair.other.id] for pair in self.unscored],
            "only_base": [one.id for one in self.only_base],
            "only_other": [one.id for one in self.only_other],
        }


def paired(base: Run, other: Run) -> Pairing:
    """Pair two runs, episode by episode.

    Args:
        base: The run that the other is held against.
        other: The other run.

    Raises:
        UserError: No episode pairs, or two that should be the same episode are not: they have other faults, another
            world, other limits, another version of the suite, or end in another way.
    """
    left, right = ({one.key: one for one in run.episodes} for run in (base, other))
    both = sorted(left.keys() & right.keys())
    if not both:
        raise UserError(f"{other.name} has no episode in common with {base.name}: {_why_none(base, other)}")
    pairs = [Pair(left[key], right[key]) for key in both]
    for pair in pairs:
        if problem := _unlike(pair):
            where = f"episode {pair.base.id} of {base.name} and {pair.other.id} of {other.name}"
            raise UserError(f"{base.name} and {other.name} cannot be compared: {where} {problem}")
    return Pairing(
        tuple(pair for pair in pairs if pair.scored),
        tuple(pair for pair in pairs if not pair.scored),
        tuple(left[key] for key in sorted(left.keys() - right.keys())),
        tuple(right[key] for key in sorted(right.keys() - left.keys())),
    )


def _unlike(pair: Pair) -> str:
    """Why two episodes of one key are not the same episode, as the end of a sentence; empty when they are."""
    one, two = pair.base, pair.other
    if one.suite_version != two.suite_version:
        versions = f"{one.suite_version} and {two.suite_version}"
        return f"are of versions {versions} of the suite {one.score.suite}: roll both out with the same release"
    if one.score.answers != two.score.answers:
        return (
            f"end in different ways (by {ENDS[one.score.answers]} and by {ENDS[two.score.answers]}), and what success"
            " takes is not the same: roll one of them out again with the other's --answers"
        )
    if one.limits != two.limits:
        found = plan_difference(shallow(one.limits), shallow(two.limits), "limits.")
        return f"were run under different limits ({found}): roll one of them out again under the other's limits"
    if not pair.scored or not (one.world and two.world):
        return ""  # what never began has no world and no schedule
    if one.asked != two.asked:
        return f"were asked in other words ({one.asked!r} and {two.asked!r}): roll both out with the same release"
    if one.world != two.world:
        return "are of the same task in different worlds: one of the runs was made by other code; roll it out again"
    if one.schedule != two.schedule:
        return (
            f"met different schedules of faults under the same seed ({one.schedule} and {two.schedule}; task"
            f" {pair.task}, faults {one.score.faults}): one of the runs was made by other code; roll it out again"
        )
    return ""


def _why_none(base: Run, other: Run) -> str:
    """The first thing in which all their keys differ."""
    sides = [base.episodes, other.episodes]
    names = ("suites", "splits", "tasks", "faults", "trials", "seeds")
    parts: list[list[set[object]]] = [
        [{one.score.suite for one in side} for side in sides],
        [{one.score.split for one in side} for side in sides],
        [{one.key[0] for one in side} for side in sides],
        [{one.key[1] for one in side} for side in sides],
        [{one.key[3] for one in side} for side in sides],
    ]
    for name, (left, right) in zip(names, parts, strict=False):
        if not left & right:
            return f"their {name} differ ({_some(left)} there, {_some(right)} here); use the same --{_option(name)}"
    return "the same tasks met faults of other seeds; roll both out with the same --seed and the same --faults"


def _some(values: set[object]) -> str:
    shown = sorted(faults_name(orjson.loads(text)) if text.startswith("{") else text for text in map(str, values))
    return ", ".join(shown[:NAMED]) + (f" and {len(shown) - NAMED} more" if len(shown) > NAMED else "")


def _option(name: str) -> str:
    return {"suites": "suite", "splits": "split", "tasks": "template and --per-template"}.get(name, name)


def named(episodes: Sequence[ScoredEpisode]) -> str:
    """Some episodes for people: the first few, and how many more."""
    shown = [f"{one.score.task} under {one.score.faults} ({one.id[:12]})" for one in episodes[:NAMED]]
    more = f" and {len(episodes) - NAMED} more" if len(episodes) > NAMED else ""
    return ", ".join(shown) + more
