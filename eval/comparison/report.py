"""A comparison in words and grids, for the terminal and as Markdown: the same ones in both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from shlex import quote

from faultgym.envs.render import neutralised
from faultgym.eval.comparison.columns import KS
from faultgym.eval.comparison.noninferior import NonInferiority
from faultgym.eval.comparison.pairing import named
from faultgym.eval.comparison.result import (
    SLICES,
    Comparison,
    ComparisonCell,
    Forgetting,
    RunComparison,
    RunSummary,
    TaskChange,
)
from faultgym.eval.scoring.registry import METRICS, added_metrics

LISTED = 8
"""Tasks that are listed of those gained, and of those lost, unless more are asked for."""
NAME = 12
"""Characters of a run's name at the head of a column."""
ALWAYS = ("suite", "split", "intensity")
"""Slices of which every row is shown: there are few."""
WHOLE = (*ALWAYS, "template")
"""Slices into which every pair falls: where there is one only, it is all pairs."""
LABELS = {"success": "success", "spl": "SPL", "recovery": "recovery", "brier": "Brier score", "dose_auc": "dose AUC"}
_SHARES = frozenset({"mode", *(f"pass{sign}{k}" for sign in "@^" for k in KS)})
"""Shares that are no metrics of episodes: they are shown in percent too, and their differences in points."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: its first column is text, the others are numbers, the last one a verdict."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Grid | str


def blocks(comparison: Comparison, *, full: bool = False, listed: int = LISTED) -> Iterator[Block]:
    """All that a comparison says, in order.

    Args:
        comparison: The comparison.
        full: Whether every slice and metric is listed, and not only what was shown.
        listed: How many of the tasks that changed are listed, of those gained and of those lost.

    Yields:
        Sentences, and grids.
    """
    if len(comparison.against) > 1:
        yield _overview(comparison)
        yield "Against the base: + better, ! worse, ~ not shown, ? invalid run."
    for against in comparison.against:
        yield from _one(comparison, against, full, listed)
    yield from forgotten(comparison.forgetting)
    yield from _how(comparison)
    yield from _missing(comparison)


def markdown(comparison: Comparison, *, full: bool = True, listed: int = 50) -> str:
    """All that a comparison says, as Markdown.

    Args:
        comparison: The comparison.
        full: Whether every slice and metric is listed, and not only what was shown.
        listed: How many of the tasks that changed are listed, of those gained and of those lost.
    """
    parts = [f"# Compared with {_plain(comparison.base.name)}"]
    for block in blocks(comparison, full=full, listed=listed):
        parts.append(block if isinstance(block, str) else _markdown_grid(block))
    return "\n\n".join(parts) + "\n"


def _markdown_grid(grid: Grid) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rule = ["---", *("---:" for _ in grid.columns[1:-1]), "---"]
    return "\n".join([f"**{grid.title}**", "", line(grid.columns), line(rule), *map(line, grid.rows)])


# ---- all runs at a glance ---------------------------------------------------------------------------


def _overview(comparison: Comparison) -> Grid:
    known = (*LABELS, *(metric.name for metric in added_metrics()))
    metrics = [m for m in known if any(one.cell(m) for one in comparison.against)]
    rows = [(f"{_plain(comparison.base.name)} (base)", *_own(comparison.against[0], metrics), "")]
    for one in comparison.against:
        cells = [one.cell(metric) for metric in metrics]
        values = [_value(c.metric, c.other) + _mark(c) if c is not None else "-" for c in cells]
        rows.append((_plain(one.run.name), *values, _verdict(one.cell("success"))))
    return Grid("All runs", ("run", *map(_label, metrics), "success is"), tuple(rows))


def _own(first: RunComparison, metrics: Sequence[str]) -> list[str]:
    """The base's own figures, on what it shares with the first of the others."""
    cells = [first.cell(metric) for metric in metrics]
    return [_value(c.metric, c.base) if c is not None else "-" for c in cells]


def _mark(cell: ComparisonCell) -> str:
    return {"better": " +", "worse": " !", "not shown": " ~", None: " ?"}[cell.verdict]


# ---- one run against the base -----------------------------------------------------------------------


def _one(comparison: Comparison, one: RunComparison, full: bool, listed: int) -> Iterator[Block]:
    base, other = _plain(comparison.base.name), _plain(one.run.name)
    pairing = one.pairing
    size = f"{_count(len(pairing.pairs), 'pair')} of episodes, {_count(pairing.tasks, 'task')}"
    yield f"## {other} against {base} (base): {size}"
    yield from _warnings(comparison.base, one)
    titles = ("base", shortened(other))
    yield _grid("Over all pairs", titles, [(_label(c.metric), c) for c in one.cells if c.by == "all"])
    yield _headline(one, base, other)
    if (met := one.exposure).planned:
        yield f"Faults met, of {met.planned} planned: {met.base} by {base}, {met.other} by {other}."
    if one.clean is not None:
        yield _clean(one.clean)
    hidden = 0
    for by in (*SLICES, "mode"):
        cells = [c for c in one.cells if c.by == by]
        if by in WHOLE and len({c.name for c in cells}) < 2:
            continue
        kept = [c for c in cells if full or _worth(c)]
        hidden += len(cells) - len(kept)
        if kept:
            yield _grid("Failure modes (share of episodes)" if by == "mode" else f"By {by}", titles, _rows(kept))
    if hidden:
        yield f"{hidden} more rows by slice and mode, of which none is worse: --all shows them."
    yield from _tasks("Gained", one.gained, other, listed)
    yield from _tasks("Lost", one.lost, other, listed)


def _rows(cells: Sequence[ComparisonCell]) -> list[tuple[str, ComparisonCell]]:
    return [(c.name if c.by == "mode" else f"{c.name}: {_label(c.metric)}", c) for c in cells]


def _worth(cell: ComparisonCell) -> bool:
    """Whether a row is shown without being asked for: what is worse always is."""
    if cell.verdict == "worse":
        return True
    if not _is_share(cell.metric):
        return False
    return cell.by in ALWAYS or cell.verdict == "better"


def _warnings(base: RunSummary, one: RunComparison) -> Iterator[str]:
    for run in (base, one.run):
        lost = f"{run.harness_errors} of its {run.episodes} episodes are harness errors"
        lost += f", and {_count(run.damaged, 'trace')} cannot be read" if run.damaged else ""
        if not run.valid:
            most = f"{100 * run.max_errors:.3g}%"
            yield f"INVALID: {_plain(run.name)}: {lost}, more than {most}; there is no verdict. Roll them out again."
        elif run.damaged:
            yield f"Damaged: {_plain(run.name)}: {lost}; they are left out."
        if run.cut_short:
            counts = ", ".join(f"{count} by {reason}" for reason, count in run.cut_short.items())
            yield f"Cut short, which is no failure mode: of {_plain(run.name)} {counts}."
        if run.failures:
            yield f"Harness errors of {_plain(run.name)} that are counted as failures (--errors fail): {run.failures}."
        if (there := run.episodes + run.damaged) < run.planned:
            yield (
                f"UNFINISHED: {_plain(run.name)} holds {there:,} of {run.planned:,} episodes, and those that end first"
                f" are no fair part of them. To go on: faultgym rollout --out {quote(_plain(run.folder))} --resume"
            )
    pairing = one.pairing
    if pairing.unscored:
        broken = [pair.base if not pair.base.score.valid else pair.other for pair in pairing.unscored]
        why = "a harness error or an open verdict"
        yield f"Left out, for {why}: {_count(len(broken), 'pair')}: {_plain(named(broken))}."
    for name, alone in ((base.name, pairing.only_base), (one.run.name, pairing.only_other)):
        if alone:
            yield f"Only in {_plain(name)}, so left out: {_count(len(alone), 'episode')}: {_plain(named(alone))}."


def _grid(title: str, names: tuple[str, str], rows: Sequence[tuple[str, ComparisonCell]]) -> Grid:
    columns = ("", "tasks", *names, "difference [95%]", "p", "detects", "verdict")
    return Grid(title, columns, tuple((_plain(label), *_cells(cell)) for label, cell in rows))


def _cells(cell: ComparisonCell) -> tuple[str, ...]:
    return (
        str(cell.tasks),
        _value(cell.metric, cell.base),
        _value(cell.metric, cell.other),
        f"{_step(cell.metric, cell.difference)} [{_bound(cell.metric, cell.low)}, {_bound(cell.metric, cell.high)}]",
        _p(cell.adjusted),
        "nothing" if cell.detectable is None or cell.detectable > 1 else _step(cell.metric, cell.detectable)[1:],
        _verdict(cell),
    )


def _headline(one: RunComparison, base: str, other: str) -> str:
    s = one.solved
    return (
        f"Tasks solved, in more than half of their episodes: {s.both} by both, {s.only_other} only by {other},"
        f" {s.only_base} only by {base}, {s.neither} by neither; McNemar's exact p {_is(s.p)}."
    )


def _clean(found: NonInferiority) -> str:
    said = "not inferior" if found.holds else "NON-INFERIORITY NOT SHOWN"
    return (
        f"Without faults: {said} by a margin of {found.margin * 100:g} points: success {found.base:.1%} before,"
        f" {found.tuned:.1%} after; at {1 - found.alpha:.0%} confidence"
        f" {_loss(found.worst)} on {_count(found.units, 'task')}."
    )


def _loss(worst: float) -> str:
    return f"at least {-worst * 100:.1f} are gained" if worst < 0 else f"at most {worst * 100:.1f} points are lost"


def forgotten(found: Sequence[Forgetting]) -> Iterator[str]:
    """What the models lost besides, a sentence each."""
    for one in found:
        said = "not inferior" if one.found.holds else "NON-INFERIORITY NOT SHOWN"
        worst = one.found.worst
        loss = f"at least {-worst:.4f} is gained" if worst < 0 else f"at most {worst:.4f} is lost"
        yield (
            f"{_plain(one.what)}: {said} by a margin of {one.found.margin:g} ({_plain(one.unit)}): {one.found.base:.4f}"
            f" before, {one.found.tuned:.4f} after; at {1 - one.found.alpha:.0%} confidence {loss} on"
            f" {one.found.units} pieces."
        )


def _tasks(what: str, changes: Sequence[TaskChange], other: str, listed: int) -> Iterator[Block]:
    if not changes:
        yield f"{what}: no task."
        return
    rows = []
    for change in changes[:listed]:
        episodes = [
            f"{_plain(faults)} {one[:8]}/{two[:8]}"
            for faults, one, two, step in change.episodes
            if (step > 0) == (change.other > change.base)
        ]
        more = f" and {len(episodes) - 2} more" if len(episodes) > 2 else ""
        rows.append((_plain(change.task), f"{change.base:.0%}", f"{change.other:.0%}", "; ".join(episodes[:2]) + more))
    title = f"{what}: {_count(len(changes), 'task')}"
    title += f", the {listed} largest changes" if len(changes) > listed else ""
    yield Grid(title, ("task", "base", shortened(other), "episodes: faults, ids in both runs"), tuple(rows))


# ---- what has to be known to read it ------------------------------------------------------------------


def _how(comparison: Comparison) -> Iterator[str]:
    alpha = comparison.settings.alpha
    yield (
        f"A verdict needs both: an interval without 0 (paired bootstrap over tasks) and p < {alpha:g} (sign flips of"
        " tasks, adjusted by Holm over the rows of one metric in one table). `detects`: the smallest true difference"
        " that these tasks would show four times in five. `not shown` is not `the same`. Shares differ by points."
    )


def _missing(comparison: Comparison) -> Iterator[str]:
    if not comparison.missing:
        return
    prompts = " and ".join(one.prompt for one in comparison.missing)
    yield f"MISSING: the base under the prompt {prompts}. A tuned model counts only beside it. To make it:"
    for one in comparison.missing:
        for command in one.commands:
            yield f"    {_plain(command)}"


# ---- figures ------------------------------------------------------------------------------------------


def shortened(name: str) -> str:
    """A run's name as a column can hold it: its end, which is what tells runs apart."""
    return name if len(name) <= NAME else f"…{name[-NAME + 1 :]}"


def _is_share(metric: str) -> bool:
    """Whether values are shown in percent, and differences in points."""
    found = METRICS.get(metric)
    return metric in _SHARES or (found is not None and found.share)


def _label(metric: str) -> str:
    return LABELS.get(metric, metric)


def _value(metric: str, value: float) -> str:
    return f"{value:.1%}" if _is_share(metric) else f"{value:.3f}"


def _step(metric: str, value: float) -> str:
    text = f"{value * 100:+.1f}" if _is_share(metric) else f"{value:+.3f}"
    return text.replace("-0.000", "+0.000") if not _is_share(metric) else text.replace("-0.0", "+0.0")


def _bound(metric: str, value: float) -> str:
    return _step(metric, value).removeprefix("+")


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _is(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _verdict(cell: ComparisonCell | None) -> str:
    return "-" if cell is None else cell.verdict or "invalid"


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _plain(text: str) -> str:
    """Names come from traces and folders: nothing that a terminal would obey is let through."""
    return neutralised(text)
