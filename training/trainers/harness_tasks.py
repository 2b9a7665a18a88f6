"""Tasks of the lm-evaluation-harness, where it is installed and its data at hand: another sign of forgetting."""

from __future__ import annotations

from importlib import import_module, util
from typing import Any

from faultgym.core.errors import UserError
from faultgym.eval.comparison.noninferior import CLEAN_MARGIN, NonInferiority, noninferior
from faultgym.training.configs.train import TrainConfig
from faultgym.training.trainers.models import start_of

INSTALL = "pip install lm-eval"
METRICS = ("acc", "exact_match", "acc_norm", "f1")
"""What documents are scored by, the first that a task has."""


def check_harness() -> None:
    """Make sure that the lm-evaluation-harness is installed.

    Raises:
        UserError: The harness is missing; the message says how to install it.
    """
    if util.find_spec("lm_eval") is None:
        raise UserError(f"--lm-eval needs the lm-evaluation-harness, which is not installed: {INSTALL}")


def harness_task(
    task: str, base: str, tuned: str, margin: float = CLEAN_MARGIN, **drawn: Any
) -> tuple[str, NonInferiority]:
    """Whether the tuned model does a task of the lm-evaluation-harness as well as its base, document by document.

    Args:
        task: The task's name in the harness.
        base: The base, as of `general_text`.
        tuned: The tuned model.
        margin: Loss of the score that is accepted.
        **drawn: As of `general_text`.

    Returns:
        (metric, answer).

    Raises:
        UserError: The harness is not installed, does not know the task, or cannot get its data.
    """
    check_harness()
    metric, before = _scores(task, base)
    _, after = _scores(task, tuned, metric)
    return metric, noninferior(before, after, margin, **drawn)


def _scores(task: str, model: str, metric: str = "") -> tuple[str, dict[str, float]]:
    start = start_of(TrainConfig(method="sft", model=model, data=("none",), out="none"))
    arguments: dict[str, Any] = {"pretrained": start.path}
    if start.adapter:
        arguments["peft"] = start.adapter
    harness: Any = import_module("lm_eval")
    try:
        found = harness.simple_evaluate(model="hf", model_args=arguments, tasks=[task], log_samples=True)
    except Exception as error:  # what it raises for an unknown task or missing data is of no one type
        lines = str(error).splitlines() or [""]
        said = f"{type(error).__name__}: {lines[0][:300]}"
        raise UserError(
            f"the lm-evaluation-harness cannot run {task!r} on {model} ({said}): see `lm-eval ls tasks` for its tasks;"
            " their data come from the Hugging Face hub, unless its cache holds them already"
        ) from error
    return scores_of(found, task, metric)


def scores_of(results: Any, task: str, metric: str = "") -> tuple[str, dict[str, float]]:
    """The scores of documents in what the harness returns with `log_samples`.

    Of several filters over the same answers the first one counts.

    Args:
        results: What the harness returned.
        task: The task's name, for the message.
        metric: The metric that is wanted; empty for the first of `METRICS` that all documents have.

    Returns:
        (metric, document -> score).

    Raises:
        UserError: There is no such metric.

    Example:
        >>> scores_of({"samples": {"piqa": [{"doc_id": 0, "acc": 1.0}, {"doc_id": 1, "acc": 0.0}]}}, "piqa")
        ('acc', {'piqa/0': 1.0, 'piqa/1': 0.0})
    """
    samples = [(name, sample) for name, its in (results.get("samples") or {}).items() for sample in its]
    wanted = (metric,) if metric else METRICS
    chosen = next((name for name in wanted if samples and all(name in sample for _, sample in samples)), "")
    if not chosen:
        raise UserError(f"task {task!r} of the lm-evaluation-harness has none of the metrics {', '.join(wanted)}")
    scores: dict[str, float] = {}
    for name, sample in samples:
        scores.setdefault(f"{name}/{sample['doc_id']}", float(sample[chosen]))
    return chosen, scores
