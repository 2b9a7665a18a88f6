"""Which token comes next, given its logits: a function of them, the turn's seed and the token's position alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faultgym.agents.models.sampling import Sampling

Floats = NDArray[np.float64]


def gumbel_noise(seed: int, position: int, size: int) -> Floats:
    """Standard Gumbel noise for each token of a vocabulary, from a counter-based generator.

    A token's noise depends on `seed`, `position` and its own id: neither on what was drawn before nor on how likely the
    others are. (Maddison et al. 2014, arXiv 1411.0030: the largest sum of logit and noise is a sample.)

    Args:
        seed: Of the turn, in [0, 2**64).
        position: Of the token within the turn, from 0.
        size: How many tokens there are.

    Returns:
        Shape (size,), in nats.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, position]))
    uniform = np.maximum(generator.random(size), 2.0**-54)  # of [0, 1): its 0 has no logarithm
    noise: Floats = -np.log(-np.log(uniform))
    return noise


def next_token(logits: Floats, sampling: Sampling, seed: int, position: int) -> tuple[int, float]:
    """The token that comes next, and the natural logarithm of its probability before temperature and cuts.

    Args:
        logits: Shape (vocabulary,). Of equal ones the token with the smaller id comes first.
        sampling: Temperature and cuts; the likeliest token is never cut.
        seed: See `gumbel_noise`.
        position: See `gumbel_noise`.

    Example:
        >>> next_token(np.array([0.0, 3.0]), Sampling(), 0, 0)[0]
        1
    """
    logprobs = _log_softmax(logits)
    if not sampling.temperature:
        token = int(logits.argmax())
        return token, float(logprobs[token])
    scores = _log_softmax(logits / sampling.temperature)
    noisy = np.where(_kept(scores, sampling), scores + gumbel_noise(seed, position, len(scores)), -np.inf)
    token = int(noisy.argmax())
    return token, float(logprobs[token])


def _kept(scores: Floats, sampling: Sampling) -> NDArray[np.bool_]:
    """Which tokens the cuts leave; shape of `scores`, which are log-probabilities."""
    order = np.argsort(-scores, kind="stable")
    chances = np.exp(scores[order])
    keep = np.ones(len(order), dtype=bool)
    if sampling.top_k:
        keep[sampling.top_k :] = False
    if sampling.min_p:
        keep &= chances >= sampling.min_p * chances[0]
    if sampling.top_p is not None and sampling.top_p < 1:
        keep &= chances.cumsum() - chances < sampling.top_p
    keep[0] = True
    kept = np.empty_like(keep)
    kept[order] = keep
    return kept


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max()
    result: Floats = shifted - np.log(np.exp(shifted).sum())
    return result
