"""Can one tell chosen from rejected without reading the prompt? By length alone, or by the words alone.

Two views of the same question: `pairwise`, from the difference of a pair's completions, as DPO sees it, and
`single`, from one completion, as KTO does. The classifiers are trained on some groups and judged on others: on new
templates, of which no name, number or phrase is known, and, harder to withstand, on new tasks of known templates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from faultgym.core.json import JSON
from faultgym.training.examples import PreferencePair

FOLDS = 5
RESAMPLES = 200
"""Bootstrap resamples of whole groups."""
_COUNT = 200_000
"""Words of the vocabulary at most: memory stays bounded."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Auc:
    """How well a classifier tells chosen from rejected on pairs that it was not trained on."""

    value: float | None
    """Area under the ROC curve; None where there are too few pairs or groups."""
    low: float | None = None
    high: float | None = None
    """95% interval, by a bootstrap over whole groups."""

    def to_record(self) -> JSON:
        """The numbers as JSON, rounded to four places."""
        return {n: None if (v := getattr(self, n)) is None else round(v, 4) for n in self.__slots__}


def completion_text(messages: Sequence[JSON]) -> str:
    """All that a completion says and calls, tool messages left out.

    Args:
        messages: The completion, in OpenAI's form with arguments as JSON text.

    Returns:
        What was thought, said and called, a line each.

    Example:
        >>> completion_text([{"role": "assistant", "content": "Done."}, {"role": "tool", "content": "ok"}])
        'Done.'
    """
    parts = []
    for message in messages:
        if message["role"] == "assistant":
            parts += [message.get("reasoning_content", ""), message["content"]]
            for call in message.get("tool_calls", ()):
                parts += [call["function"]["name"], call["function"]["arguments"]]
    return "\n".join(part for part in parts if part)


def group_of(pair: PreferencePair) -> str:
    """The template of a pair, with its suite."""
    return f"{pair.origin.suite}/{pair.origin.template}"


def lengths(text: str) -> list[float]:
    """What a classifier of lengths sees: characters, words and their logarithms, and steps of characters."""
    chars, words = len(text), len(text.split())
    steps = [float(chars >= limit) for limit in (20, 35, 50, 70, 90, 120, 160, 220, 300)]
    return [chars / 100, words / 20, math.log1p(chars), math.log1p(words), *steps]


def by_length(chosen: Sequence[str], rejected: Sequence[str], groups: Sequence[str], *, single: bool) -> Auc:
    """How well lengths alone tell chosen from rejected; needs scikit-learn.

    Args:
        chosen: The texts of chosen completions.
        rejected: The texts of the rejected ones, in the same order.
        groups: The group of each pair; a group is never split between training and judging.
        single: Whether a completion is judged by itself, as KTO sees it, and not the difference of two, as DPO does.
    """
    one, other = np.array([lengths(t) for t in chosen]), np.array([lengths(t) for t in rejected])
    return _held_out(one, other, groups, single)


def by_words(chosen: Sequence[str], rejected: Sequence[str], groups: Sequence[str], *, single: bool) -> Auc:
    """How well a bag of words tells chosen from rejected; needs scikit-learn.

    Args:
        chosen: The texts of chosen completions.
        rejected: As of `by_length`.
        groups: As of `by_length`.
        single: As of `by_length`.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(token_pattern=r"\w+", min_df=2, max_features=_COUNT)
    if not chosen:
        return Auc(None)
    try:
        both = vectorizer.fit_transform([*chosen, *rejected]).astype(np.float64)
    except ValueError:  # no word stands twice
        return Auc(None)
    return _held_out(both[: len(chosen)], both[len(chosen) :], groups, single)


def _held_out(chosen: Any, rejected: Any, groups: Sequence[str], single: bool) -> Auc:
    """AUC of a logistic regression on the folds that it has not seen."""
    names, members = np.unique(np.array(groups), return_inverse=True)
    if len(names) < 2:
        return Auc(None)
    ahead, behind = np.zeros(len(groups)), np.zeros(len(groups))
    fold = _folds(members, len(names))
    for number in range(int(fold.max()) + 1):
        test = fold == number
        weights = _fitted(chosen[~test], rejected[~test], single)
        ahead[test] = chosen[test] @ weights
        behind[test] = rejected[test] @ weights
    if not single:
        ahead, behind = ahead - behind, behind - ahead
    return _interval(ahead, behind, members, len(names))


def _folds(members: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """The fold of each pair: groups by size, each to the smallest fold so far."""
    sizes = np.bincount(members, minlength=count)
    total = np.zeros(min(FOLDS, count))
    fold = np.zeros(count, dtype=np.int64)
    for group in np.argsort(-sizes, kind="stable"):
        fold[group] = int(np.argmin(total))
        total[fold[group]] += sizes[group]
    found: npt.NDArray[np.int64] = fold[members]
    return found


def _fitted(chosen: Any, rejected: Any, single: bool) -> Floats:
    """Weights of the features: positive speaks for chosen."""
    from scipy.sparse import issparse, vstack
    from sklearn.linear_model import LogisticRegression

    stack = vstack if issparse(chosen) else np.vstack
    x = stack([chosen, rejected] if single else [chosen - rejected, rejected - chosen])
    y = np.repeat([1, 0], chosen.shape[0])
    model = LogisticRegression(C=1.0, max_iter=200, tol=1e-3, fit_intercept=single)
    model.fit(x, y)
    weights: Floats = model.coef_[0]
    return weights


def area(ahead: Floats, behind: Floats) -> float:
    """The share of (chosen, rejected) pairs of scores in which chosen is ahead; ties count half.

    Args:
        ahead: Scores of what was chosen.
        behind: Scores of what was rejected; at least one.

    Example:
        >>> area(np.array([3.0, 2.0]), np.array([1.0, 2.0]))
        0.875
    """
    order = np.sort(behind)
    below = np.searchsorted(order, ahead, side="left")
    level = np.searchsorted(order, ahead, side="right") - below
    return float((below + 0.5 * level).mean() / len(behind))


def _interval(ahead: Floats, behind: Floats, members: npt.NDArray[np.int64], count: int) -> Auc:
    rng = np.random.default_rng(0)
    places = [np.flatnonzero(members == group) for group in range(count)]
    values = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([places[g] for g in rng.integers(0, count, count)])
        values.append(area(ahead[drawn], behind[drawn]))
    low, high = np.quantile(values, [0.025, 0.975])
    return Auc(area(ahead, behind), float(low), float(high))
