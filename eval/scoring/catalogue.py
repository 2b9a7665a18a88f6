"""The built-in metrics, in the order in which they are shown."""

from __future__ import annotations

from faultgym.eval.scoring.record import Metric, Score
from faultgym.eval.scoring.registry import METRICS


def _brier(score: Score) -> float | None:
    if score.confidence is None or score.success is None:
        return None
    return (score.confidence - float(score.success)) ** 2


for _metric in (
    Metric(
        name="success",
        summary="Whether the goal was reached, by the outcome alone.",
        higher_is_better=True,
        of_score=lambda score: None if score.success is None else float(score.success),
        share=True,
    ),
    Metric(
        name="spl",
        summary="Success weighted by path length (Anderson et al. 2018, arXiv 1807.06757).",
        higher_is_better=True,
        of_score=lambda score: score.spl,
    ),
    Metric(
        name="recovery",
        summary="Recovered faults over those with a way past that were needed.",
        higher_is_better=True,
        of_score=lambda score: None if score.recovery is None else score.recovery.rate,
        share=True,
    ),
    Metric(
        name="brier",
        summary="Squared distance of the stated confidence from the outcome, which each episode has by itself.",
        higher_is_better=False,
        of_score=_brier,
    ),
):
    METRICS.add(_metric.name, _metric)
