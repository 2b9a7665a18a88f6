"""Many scores summed up: what a run, or a slice of it, says about its policy.

Every rate is a mean over tasks of the mean over a task's trials (`Estimate`), and says on how many
episodes and tasks it stands. Episodes that the harness broke are counted and left out of everything.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from faultgym.core.json import JSON
from faultgym.envs.messages.turn import CUT_SHORT
from faultgym.eval.recovery.outcomes import Recovery
from faultgym.eval.scoring.record import Metric, Score
from faultgym.eval.scoring.registry import added_metrics, value_of
from faultgym.eval.statistics import (
    Calibration,
    Estimate,
    area_under,
    calibration,
    clustered,
    clustered_share,
    median_survival,
    pass_at_k,
    pass_hat_k,
    plain,
    ratio,
)

MAX_HARNESS_ERRORS = 0.01
"""Share of harness errors above which a run is marked invalid, unless another one is given."""
INTENSITIES = {"clean": 0, "mild": 1, "rough": 2, "hostile": 3}
"""Presets on one scale; an outage is another kind of thing and stands on none."""
BY = ("policy", "template", "suite", "kind", "contract", "split", "intensity", "answers")
"""What scores can be grouped by."""


@dataclass(frozen=True, slots=True)
class RecoverySummary:
    """What became of all delivered faults."""

    rate: Estimate
    """Recovered over delivered without the unneeded, over faults with a way past."""
    planned: int
    """Entries of the schedules."""
    delivered: int
    """Entries that fired."""
    deliveries: int
    """Faults as agents met them: one entry may close several things."""
    counted: int
    """Those that the rate is taken over: with a way past, and needed."""
    outcomes: dict[str, int]
    median_steps: float | None
    """Calls until resolved, by Kaplan and Meier, unrecovered ones censored; None when most never are."""
    patience: Estimate
    """Share of back-offs whose wait was kept."""
    detected: Estimate
    """Share of silent faults, met where they mattered, that were got past."""
    false_alarms: Estimate
    """Share of the clean twins in which a sound answer was checked with a second source."""

    @property
    def exposure(self) -> float | None:
        """Delivered / planned: how much of what was planned the agents met at all."""
        return ratio(self.delivered, self.planned)


@dataclass(frozen=True, slots=True)
class Robustness:
    """Success under faults against the clean twins: the same task and trial."""

    ratio: float | None
    """P(success | faulted) / P(success | clean twin); None without twins, or when no twin succeeds."""
    error: float | None
    """Standard error by leaving out one task at a time; None below two tasks."""
    pairs: int
    tasks: int


@dataclass(frozen=True, slots=True)
class Restraint:
    """Doing nothing where nothing is right, and saying so where nothing can be said."""

    needless_calls: Estimate
    """Share of tasks without tools in which a tool was called."""
    missed_calls: Estimate
    """Share of tasks with tools in which none was called; those that were cut short are left out."""
    abstention_precision: float | None
    """Share of the abstentions and reports that were right."""
    abstention_recall: float | None
    """Share of the unanswerable tasks in which it abstained."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What some scores say together."""

    episodes: int
    """With a verdict."""
    harness_errors: int
    undecided: int
    """Episodes whose verdict stays open: counted, and left out of all that follows."""
    tasks: int
    success: Estimate
    spl: Estimate
    efficiency: Estimate
    """On successes."""
    calls: Estimate
    turns: Estimate
    tokens: Estimate
    seconds: Estimate
    retry_waste: Estimate
    integrity: Estimate
    """1 - bad writes / writes."""
    recovery: RecoverySummary
    restraint: Restraint
    calibration: Calibration | None
    pass_at: dict[int, Estimate]
    """k -> pass@k over the tasks with at least k trials."""
    pass_hat: dict[int, Estimate]
    """k -> pass^k over the tasks with at least k trials."""
    modes: dict[str, int]
    """Failure mode -> episodes that show it, the most frequent first."""
    cut_short: dict[str, int]
    """Why the last turn was cut short -> episodes."""
    metrics: dict[str, Estimate]
    """Metrics that other packages add, by name."""
    max_errors: float = MAX_HARNESS_ERRORS
    """Share of harness errors above which it is invalid."""

    @property
    def valid(self) -> bool:
        """Whether no more than the allowed share of the episodes are harness errors."""
        return self.harness_errors <= self.max_errors * (self.episodes + self.harness_errors)

    @property
    def main_mode(self) -> str:
        """The most frequent failure mode; empty when there is none."""
        return next(iter(self.modes), "")

    def to_record(self) -> JSON:
        """As JSON."""
        fields: JSON = {name: _fields(getattr(self, name)) for name in self.__slots__}
        return {**fields, "valid": self.valid, "main_mode": self.main_mode}


def _fields(value: object) -> object:
    if isinstance(value, RecoverySummary):
        record = {name: plain(getattr(value, name)) for name in value.__slots__}
        return {**record, "exposure": value.exposure}
    if isinstance(value, Restraint):
        return {name: plain(getattr(value, name)) for name in value.__slots__}
    return plain(value)


def summarize(
    scores: Iterable[Score], ks: Sequence[int] = (1, 2, 4, 8), *, max_errors: float = MAX_HARNESS_ERRORS
) -> Summary:
    """Sum up scores of any number of tasks and trials.

    Args:
        scores: The scores; those of harness errors and of open verdicts are counted and left out of the rest.
        ks: The numbers of trials for pass@k and pass^k.
        max_errors: Share of harness errors above which the summary is invalid.

    Example:
        >>> ids = ("a", "orders/order_status/train/0", "orders", "order_status", "train")
        >>> won = Score(*ids, "expert", "clean", 0, True, True, "final", success=True)
        >>> found = summarize([won, replace(won, trial=1, success=False)])
        >>> found.success.value, found.pass_at[2].value, found.pass_hat[2].value
        (0.5, 1.0, 0.0)
    """
    everything = list(scores)
    valid = [s for s in everything if s.valid]
    return Summary(
        episodes=len(valid),
        harness_errors=sum(bool(s.harness_error) for s in everything),
        undecided=sum(bool(s.undecided) for s in everything),
        tasks=len({s.task for s in valid}),
        success=clustered_share((s.task, s.success) for s in valid),
        spl=clustered((s.task, s.spl) for s in valid),
        efficiency=_costs(valid, lambda s: s.cost.efficiency if s.cost else None),
        calls=_costs(valid, lambda s: s.cost.calls if s.cost else None),
        turns=_costs(valid, lambda s: s.cost.turns if s.cost else None),
        tokens=_costs(valid, lambda s: s.cost.tokens if s.cost else None),
        seconds=_costs(valid, lambda s: s.cost.seconds if s.cost else None),
        retry_waste=_costs(valid, lambda s: s.cost.retry_waste if s.cost else None),
        integrity=_costs(valid, lambda s: s.cost.integrity if s.cost else None),
        recovery=recovery_summary(valid),
        restraint=restraint(valid),
        calibration=stated_calibration(valid),
        pass_at={k: _passes(valid, k, pass_at_k) for k in ks},
        pass_hat={k: _passes(valid, k, pass_hat_k) for k in ks},
        modes=_modes(valid),
        cut_short=cut_short(valid),
        metrics={metric.name: _added(metric, valid) for metric in added_metrics()},
        max_errors=max_errors,
    )


def _added(metric: Metric, scores: Sequence[Score]) -> Estimate:
    estimate = clustered_share if metric.share else clustered
    return estimate((s.task, value_of(metric, s)) for s in scores)


def _costs(scores: Sequence[Score], value: Callable[[Score], float | None]) -> Estimate:
    return clustered((s.task, value(s)) for s in scores)


def _passes(scores: Sequence[Score], k: int, estimator: Callable[[int, int, int], float | None]) -> Estimate:
    """The mean over tasks; a task is what was asked under the same faults."""
    trials: dict[tuple[str, str, str, str], list[bool]] = {}
    for s in scores:
        trials.setdefault((s.task, s.faults, s.plan, s.policy), []).append(bool(s.success))
    return clustered_share((key[0], estimator(len(won), sum(won), k)) for key, won in trials.items())


def cut_short(scores: Iterable[Score]) -> dict[str, int]:
    """Why the last turn was cut short -> episodes, by name."""
    return dict(sorted(Counter(s.stop for s in scores if s.stop in CUT_SHORT).items()))


def _modes(scores: Sequence[Score]) -> dict[str, int]:
    counts = Counter(name for s in scores for name in s.mode_names)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def recovery_summary(scores: Sequence[Score]) -> RecoverySummary:
    """What became of the faults that these episodes met; clean twins among them give the false alarms."""
    met = [(s, s.recovery) for s in scores if s.recovery is not None]
    deliveries = [(s.task, d) for s, found in met for d in found.deliveries]
    counted = [d for _, d in deliveries if d.counts]
    silent = {(s.task, s.trial) for s, found in met if any(d.silent for d in found.deliveries)}
    return RecoverySummary(
        rate=clustered_share((s.task, found.rate) for s, found in met),
        planned=sum(len(s.planned) for s in scores),
        delivered=sum(found.delivered for _, found in met),
        deliveries=len(deliveries),
        counted=len(counted),
        outcomes=dict(sorted(Counter(d.outcome for _, d in deliveries).items())),
        median_steps=median_survival([d.steps for d in counted], [d.recovered for d in counted]),
        patience=clustered_share((task, d.patient) for task, d in deliveries),
        detected=clustered_share((task, d.recovered) for task, d in deliveries if d.silent and d.counts),
        false_alarms=clustered_share(
            (s.task, s.cross_checked) for s in scores if s.faults == "clean" and (s.task, s.trial) in silent
        ),
    )


def restraint(scores: Sequence[Score]) -> Restraint:
    """Calls where none was needed, none where one was, and abstentions."""
    called = [(s, s.cost.calls > 0) for s in scores if s.cost is not None]
    abstained = [s for s in scores if s.abstained]
    hopeless = [s for s in scores if not s.answerable]
    return Restraint(
        clustered_share((s.task, any_call) for s, any_call in called if not s.needs_tools),
        clustered_share((s.task, not any_call) for s, any_call in called if s.needs_tools and s.stop not in CUT_SHORT),
        ratio(sum(bool(s.reported) or not s.answerable for s in abstained), len(abstained)),
        ratio(sum(bool(s.abstained) for s in hopeless), len(hopeless)),
    )


def stated_calibration(scores: Sequence[Score]) -> Calibration | None:
    """Calibration over the episodes in which a confidence was stated."""
    stated = [(s.confidence, bool(s.success)) for s in scores if s.confidence is not None]
    return calibration([c for c, _ in stated], [won for _, won in stated])


# ---- slices ---------------------------------------------------------------------------------------


def grouped(scores: Iterable[Score], by: str) -> dict[str, list[Score]]:
    """The scores by one of `BY`, in the order of the names; intensities by rising intensity.

    By `kind` or `contract`, an episode stands in each group of which a fault was planned for it, and its
    recovery is that from those faults alone; an episode without faults stands in no group.

    Args:
        scores: The scores.
        by: One of `BY`.

    Raises:
        ValueError: `by` is another text.
    """
    if by not in BY:
        raise ValueError(f"scores can be grouped by {', '.join(BY)}, not by {by!r}")
    groups: dict[str, list[Score]] = {}
    for s in scores:
        if by in ("kind", "contract"):
            for name, part in _by_fault(s, by):
                groups.setdefault(name, []).append(part)
        else:
            name = s.faults if by == "intensity" else str(getattr(s, by))
            groups.setdefault(name, []).append(s)
    order = INTENSITIES if by == "intensity" else {}
    return {name: groups[name] for name in sorted(groups, key=lambda n: (order.get(n, len(order)), n))}


def _by_fault(s: Score, by: str) -> Iterable[tuple[str, Score]]:
    """The episode as each kind, or contract, of fault that was planned for it sees it."""
    at = ("kind", "contract").index(by)
    for name in sorted({pair[at] for pair in s.planned}):
        planned = tuple(pair for pair in s.planned if pair[at] == name)
        yield name, replace(s, planned=planned, recovery=_only(s.recovery, by, name))


def _only(found: Recovery | None, by: str, name: str) -> Recovery | None:
    """The recovery from the faults of one kind or contract; None when none of them was met."""
    kept = tuple(d for d in found.deliveries if getattr(d, by) == name) if found is not None else ()
    entries = len({d.fault for d in kept})
    return Recovery(kept, entries, entries) if kept else None


# ---- faulted against clean --------------------------------------------------------------------------


def robustness(scores: Iterable[Score]) -> Robustness:
    """Success of the faulted episodes over that of their clean twins, paired by policy, task and trial.

    Args:
        scores: Faulted and clean episodes; those without a twin, and harness errors, are left out.
    """
    valid = [s for s in scores if s.valid]
    clean = {(s.policy, s.task, s.trial): bool(s.success) for s in valid if s.faults == "clean"}
    tasks: dict[str, list[tuple[bool, bool]]] = {}
    for s in valid:
        twin = clean.get((s.policy, s.task, s.trial))
        if s.faults != "clean" and twin is not None:
            tasks.setdefault(s.task, []).append((bool(s.success), twin))
    means = [(_mean([f for f, _ in pairs]), _mean([c for _, c in pairs])) for pairs in tasks.values()]
    return Robustness(_quotient(means), _jackknife(means), sum(map(len, tasks.values())), len(tasks))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _quotient(means: Sequence[tuple[float, float]]) -> float | None:
    return ratio(math.fsum(f for f, _ in means), math.fsum(c for _, c in means))


def _jackknife(means: Sequence[tuple[float, float]]) -> float | None:
    """Standard error of the quotient (Efron 1979), None where leaving a task out leaves it undefined."""
    n = len(means)
    without = [_quotient([*means[:i], *means[i + 1 :]]) for i in range(n)] if n > 1 else []
    found = [value for value in without if value is not None]
    if len(found) < 2 or len(found) < n:
        return None
    centre = _mean(found)
    return math.sqrt((n - 1) / n * math.fsum((value - centre) ** 2 for value in found))


@dataclass(frozen=True, slots=True)
class DoseResponse:
    """Success against the dose of faults."""

    points: tuple[tuple[float, Estimate], ...]
    """(dose, success), by rising dose."""
    auc: float | None
    """Area under it over the width of the doses: 1 is unshaken; None with one dose only."""


def intensity(s: Score) -> float | None:
    """A preset's place on the scale; None for an outage and for plans."""
    return INTENSITIES.get(s.faults)


def dose_response(scores: Iterable[Score]) -> DoseResponse:
    """Success at each intensity; episodes that have none, under an outage or a plan, are left out."""
    groups: dict[float, list[Score]] = {}
    for s in scores:
        at = intensity(s) if s.valid else None
        if at is not None:
            groups.setdefault(at, []).append(s)
    points = tuple((at, clustered_share((s.task, s.success) for s in groups[at])) for at in sorted(groups))
    return DoseResponse(points, area_under([(at, found.value) for at, found in points if found.value is not None]))
