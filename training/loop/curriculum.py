"""What a policy practises next: tasks, intensities and kinds of faults, so that it succeeds about half of the time.

A *cell* is a template under one setting: a preset, or a single kind of fault where the last round met it. Each cell's
success is estimated from the last round's scores, drawn towards its template's and its setting's where there are few.
A cell at one half tells most, so its weight is p (1 - p); of all divisions of the episodes that expect the wanted
success, the one nearest to these weights (in the sense of Kullback and Leibler) is taken: w exp(t p), with the one
t that fits. Nothing is drawn at random: the same scores give the same plan.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.core.hashing import stable_hash
from faultgym.core.json import JSON
from faultgym.envs.judging.form import DEFAULT_ANSWERS, Answers
from faultgym.envs.reference.schedule import Faults
from faultgym.envs.registry import suite_named
from faultgym.envs.task import Style
from faultgym.eval.scoring.score import Score
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.faults.presets import TRAIN_KINDS
from faultgym.tools.faults.types import ScheduledFault

PRIOR = 4.0
"""Episodes that the estimate of a template and of a setting count for in a cell's own."""
FLOOR = 0.25
"""Part of an equal share that a template, and a preset, is looked at with however well or badly it goes."""
LEAST = 0.05
"""Added to p (1 - p): what is solved, or hopeless, is tried again now and then."""
BLOCK = 2_000_000
"""Tasks that a round may draw from: each round has tasks of its own."""
HALF = BLOCK // 2
"""The second half of them is for what is rolled out later in the same round."""


@dataclass(frozen=True, slots=True, order=True)
class PracticeCell:
    """A template under one setting."""

    suite: str
    template: str
    setting: str
    """A preset's name, or the name of a plan with one kind of fault: `server_error@get_order`."""

    @property
    def name(self) -> str:
        """The cell's name, for people and for JSON."""
        return f"{self.suite}/{self.template}/{self.setting}"


@dataclass(frozen=True, slots=True)
class SuccessCounts:
    """The successes of the last round, by cell."""

    counts: Mapping[PracticeCell, tuple[int, int]]
    """Cell -> (episodes, successes)."""
    plans: Mapping[PracticeCell, FaultPlan]
    """The plans of the cells of one kind of fault."""


@dataclass(frozen=True, slots=True)
class PracticeShare:
    """A cell's part of a round."""

    cell: PracticeCell
    expected: float
    """Its estimated success."""
    episodes: int

    def to_record(self) -> JSON:
        """The share as JSON."""
        return {"cell": self.cell.name, "expected": round(self.expected, 4), "episodes": self.episodes}


# ---- what was seen --------------------------------------------------------------------------------


def seen_in(scores: Iterable[Score], traces: Iterable[Trace] = ()) -> SuccessCounts:
    """The cells of scored episodes.

    An episode under a preset counts for the preset's cell and for that of each kind that it met.

    Args:
        scores: The scores; invalid ones are passed over.
        traces: Traces of the same episodes, for the plans of single kinds; without them there are none.
    """
    aimed = _aimed(traces)
    counts: dict[PracticeCell, list[int]] = defaultdict(lambda: [0, 0])
    plans: dict[PracticeCell, FaultPlan] = {}
    for score in scores:
        if not score.valid:
            continue
        cells = {PracticeCell(score.suite, score.template, score.faults)}
        deliveries = () if score.recovery is None else score.recovery.deliveries
        for kind in {d.kind for d in deliveries if d.recoverable}:
            plan = aimed.get((score.suite, score.template, kind))
            if plan is not None:
                cell = PracticeCell(score.suite, score.template, plan.name)
                cells.add(cell)
                plans[cell] = plan
        for cell in cells:
            counts[cell][0] += 1
            counts[cell][1] += bool(score.success)
    return SuccessCounts({cell: (n, k) for cell, (n, k) in sorted(counts.items())}, dict(sorted(plans.items())))


def _aimed(traces: Iterable[Trace]) -> dict[tuple[str, str, str], FaultPlan]:
    """(suite, template, kind) -> the plan that strikes where that kind struck most often."""
    found: dict[tuple[str, str, str], Counter[tuple[str, str, tuple[int, ...]]]] = defaultdict(Counter)
    for trace in traces:
        struck = {event.fault for event in trace.events}
        for fault in trace.schedule:
            if fault.id in struck and fault.kind in TRAIN_KINDS and _plain(fault):
                key = (trace.task.suite, trace.task.template, fault.kind)
                found[key][(fault.tool, fault.route, fault.ordinals)] += 1
    return {key: _plan(key[2], min(c, key=lambda place: (-c[place], place))) for key, c in sorted(found.items())}


def _plain(fault: ScheduledFault) -> bool:
    """Whether one rule of a plan, aimed by tool, route and number of the call, says all of it."""
    return bool(fault.ordinals) and not (fault.match or fault.onward or fault.seconds or fault.after_write)


def _plan(kind: str, place: tuple[str, str, tuple[int, ...]]) -> FaultPlan:
    tool, route, ordinals = place
    rule: dict[str, Any] = {"kind": kind, "trigger": {"nth": list(ordinals)}}
    rule |= {name: value for name, value in (("tool", tool), ("route", route)) if value}
    return FaultPlan.from_rules([rule], f"{kind}@{route or tool or 'any'}")


# ---- who gets how much ----------------------------------------------------------------------------


def shares(
    cells: Sequence[PracticeCell], seen: SuccessCounts, episodes: int, target: float = 0.5
) -> list[PracticeShare]:
    """How many episodes each cell gets, so that `target` of all of them are expected to succeed.

    Where no division expects that, because everything goes too well or too badly, the nearest is taken.

    Args:
        cells: The cells of the presets; the cells of single kinds that were seen come to them.
        seen: The successes of the last round; with none every cell gets as much.
        episodes: How many there are in all.
        target: The share that should succeed, in [0, 1].

    Returns:
        The cells that get any, with their expected success.

    Example:
        >>> cells = [PracticeCell("orders", "order_status", preset) for preset in ("clean", "rough")]
        >>> seen = SuccessCounts({cells[0]: (20, 19), cells[1]: (20, 4)}, {})
        >>> [(share.cell.setting, share.episodes) for share in shares(cells, seen, 100)]
        [('clean', 40), ('rough', 60)]
    """
    cells = sorted({*cells, *(cell for cell in seen.plans if any(_alike(cell, other) for other in cells))})
    if not seen.counts:
        return _counted(cells, [1 / len(cells)] * len(cells), [target] * len(cells), episodes)
    expected = [p for _, p in sorted(estimates(cells, seen).items())]
    weights = _even([LEAST + p * (1 - p) for p in expected], cells, seen)
    tilted = _tilted(weights, expected, target)
    return _counted(cells, _floored(tilted, cells), expected, episodes)


def _alike(cell: PracticeCell, other: PracticeCell) -> bool:
    return (cell.suite, cell.template) == (other.suite, other.template)


def estimates(cells: Sequence[PracticeCell], seen: SuccessCounts) -> dict[PracticeCell, float]:
    """Each cell's success, drawn towards what its template and its setting do in general.

    Args:
        cells: The cells, seen or not.
        seen: The successes of the last round.

    Returns:
        Cell -> estimated success, in (0, 1).
    """
    whole = _rate([seen.counts.get(cell, (0, 0)) for cell in seen.counts], 0.5)

    def drawn(keep: Sequence[PracticeCell]) -> float:
        return _rate([seen.counts[cell] for cell in keep], whole)

    found = {}
    for cell in cells:
        template = drawn([c for c in seen.counts if _alike(c, cell)])
        setting = drawn([c for c in seen.counts if c.setting == cell.setting])
        odds = _logit(template) + _logit(setting) - _logit(whole)
        n, k = seen.counts.get(cell, (0, 0))
        found[cell] = (k + PRIOR / (1 + math.exp(-odds))) / (n + PRIOR)
    return found


def _rate(counts: Sequence[tuple[int, int]], prior: float) -> float:
    """Never 0 nor 1."""
    n, k = sum(c[0] for c in counts), sum(c[1] for c in counts)
    return (k + prior) / (n + 1)


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


def _even(weights: Sequence[float], cells: Sequence[PracticeCell], seen: SuccessCounts) -> list[float]:
    """Presets and single kinds each have half, however many of the one or the other there are."""
    single = [cell in seen.plans for cell in cells]
    totals = [sum(w for w, s in zip(weights, single, strict=True) if s is kind) for kind in (False, True)]
    return [w / totals[s] for w, s in zip(weights, single, strict=True)]


def _tilted(weights: Sequence[float], expected: Sequence[float], target: float) -> list[float]:
    """The division nearest to `weights` whose expectation is the target, as far as there is one."""

    def division(t: float) -> list[float]:
        powers = [t * p for p in expected]
        most = max(powers)
        raw = [w * math.exp(power - most) for w, power in zip(weights, powers, strict=True)]
        total = sum(raw)
        return [r / total for r in raw]

    low, high = -50.0, 50.0
    for _ in range(80):
        middle = (low + high) / 2
        mean = sum(s * p for s, p in zip(division(middle), expected, strict=True))
        low, high = (middle, high) if mean < target else (low, middle)
    return division((low + high) / 2)


def _floored(division: Sequence[float], cells: Sequence[PracticeCell]) -> list[float]:
    """No template and no preset falls out of sight."""
    raised = list(division)
    for key in ("template", "setting"):
        groups: dict[str, list[int]] = defaultdict(list)
        for n, cell in enumerate(cells):
            groups[f"{cell.suite}/{cell.template}" if key == "template" else cell.setting].append(n)
        named = {name: members for name, members in sorted(groups.items()) if "@" not in name}
        for members in named.values():
            lacks = FLOOR / len(named) - sum(raised[n] for n in members)
            for n in members:
                raised[n] += max(0.0, lacks) / len(members)
    total = sum(raised)
    return [r / total for r in raised]


def _counted(
    cells: Sequence[PracticeCell], division: Sequence[float], expected: Sequence[float], total: int
) -> list[PracticeShare]:
    """Whole episodes, by largest remainders; what rounds to none is left out."""
    exact = [part * total for part in division]
    whole = [math.floor(e + 1e-9) for e in exact]
    order = sorted(range(len(cells)), key=lambda n: (whole[n] - exact[n], stable_hash("share", cells[n].name)))
    for n in order[: total - sum(whole)]:
        whole[n] += 1
    found = [PracticeShare(cell, p, n) for cell, p, n in zip(cells, expected, whole, strict=True)]
    return [share for share in found if share.episodes]


# ---- from shares to episodes ----------------------------------------------------------------------


def preset_cells(
    suites: Sequence[str], templates: Sequence[str], presets: Sequence[str], split: str
) -> list[PracticeCell]:
    """The cells of all presets.

    Args:
        suites: Names of suites.
        templates: Names of templates; empty for all.
        presets: Names of presets.
        split: The split whose templates are taken.

    Raises:
        TaskError: There is no such suite.
    """
    return [
        PracticeCell(suite, name, preset)
        for suite in suites
        for name in suite_named(suite).names(split)
        if not templates or name in templates
        for preset in presets
    ]


def episodes_of(
    parts: Sequence[PracticeShare],
    plans: Mapping[PracticeCell, FaultPlan],
    split: str,
    seed: int,
    number: int,
    style: Style | None,
    answers: Answers = DEFAULT_ANSWERS,
    first: int = 0,
) -> list[EpisodeSpec]:
    """The episodes of a round, on tasks that no other round has; the same tasks under every setting.

    Args:
        parts: How many episodes each cell gets.
        plans: The plans of the cells of single kinds; all other cells go by their preset.
        split: The split of the tasks.
        seed: The loop's seed.
        number: The round, from 1.
        style: How the REST API is offered; None for what each task has.
        answers: How the episodes end.
        first: The first of the round's tasks that is taken.
    """
    found = []
    for share in parts:
        cell = share.cell
        faults: Faults = plans.get(cell, cell.setting)
        for n in range(share.episodes):
            task = suite_named(cell.suite).task_id(cell.template, split, (number - 1) * BLOCK + first + n, style)
            seeds = [stable_hash(what, seed, number, task, cell.setting) >> 11 for what in ("fault", "policy")]
            found.append(EpisodeSpec(task, faults, seeds[0], seeds[1], answers=answers))
    return found
