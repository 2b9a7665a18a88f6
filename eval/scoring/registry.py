"""The metrics by name: built in, registered in code, or found by entry point."""

from __future__ import annotations

from faultgym.core.registry import Registry
from faultgym.eval.conformance import blaming
from faultgym.eval.scoring.kit import check_metric
from faultgym.eval.scoring.record import Metric, Number, Score

BUILTIN = ("success", "spl", "recovery", "brier")
"""The names of the built-in metrics, in their order."""
METRICS: Registry[Metric] = Registry(
    "metric", "faultgym.metrics", builtin=("faultgym.eval.scoring.catalogue",), check=check_metric
)
"""Metric -> what it measures: the built-in ones, then what others add. Comparisons are made by each of them."""


def added_metrics() -> list[Metric]:
    """Those that are not built in, for tables that show the built-in ones anyway."""
    return [metric for name, metric in METRICS.items() if name not in BUILTIN]


def value_of(metric: Metric, score: Score) -> Number | None:
    """The metric of a scored episode; None where it is undefined.

    Args:
        metric: Any metric.
        score: The score of the episode.

    Raises:
        UserError: The metric is one that another package adds, and raised something.
    """
    with blaming(METRICS, metric.name, metric.of_score, score.episode_id):
        return metric.value(score)
