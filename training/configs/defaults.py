"""The defaults of a training run, by the model's size, the method and the adapter.

The rates are starting points: those of the smallest models come from trying them on this project's own data, those of
the larger ones from the papers' ranges (DPO, ORPO, KTO, LoRA). A preference method moves a model that can already do
the work, so its rates are an order of magnitude below those of SFT; KTO's are the lowest, as it ruins a model first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Method = Literal["sft", "dpo", "orpo", "kto", "grpo"]
METHODS: tuple[Method, ...] = ("sft", "dpo", "orpo", "kto")
"""Those that learn from data sets; `grpo` learns from playing (see `configs.grpo`)."""
Adapter = Literal["none", "lora", "qlora", "dora", "qdora"]
ADAPTERS: tuple[Adapter, ...] = ("none", "lora", "qlora", "dora", "qdora")

_BOUNDS = (20_000_000, 1_000_000_000, 20_000_000_000)
"""Parameters at which the next class of sizes begins: tiny, small, medium, large."""
_ADAPTER_RATES: dict[Method, tuple[float, ...]] = {
    "sft": (1e-3, 1e-3, 2e-4, 1e-4),
    "dpo": (5e-4, 1e-4, 2e-5, 5e-6),
    "orpo": (5e-4, 1e-4, 2e-5, 8e-6),
    "kto": (1e-4, 5e-5, 1e-5, 5e-6),
    "grpo": (1e-3, 1e-4, 2e-5, 1e-5),
}
_FULL_RATES: dict[Method, tuple[float, ...]] = {
    "sft": (1e-3, 1e-4, 1e-5, 1e-5),
    "dpo": (1e-4, 5e-6, 1e-6, 5e-7),
    "orpo": (1e-4, 2e-5, 8e-6, 5e-6),
    "kto": (2e-5, 2e-6, 5e-7, 5e-7),
    "grpo": (1e-4, 5e-6, 1e-6, 1e-6),
}
_BATCHES = ((8, 1), (2, 8), (2, 8), (1, 16))
"""Rows in a batch, and batches in a step."""
_PAIR_BATCHES = ((8, 1), (2, 8), (2, 8), (2, 8))
"""For methods that see two completions at a time; KTO needs two rows in a batch."""
_EPISODE_BATCHES = ((32, 1), (8, 4), (4, 8), (2, 16))
"""Episodes, for GRPO: four groups of eight in a step."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """The settings that depend on the model."""

    learning_rate: float
    muon_lr: float
    """For the two-dimensional weights of the blocks, where the optimizer is Muon."""
    batch_size: int
    accumulation: int
    epochs: float
    gradient_checkpointing: bool
    """Computing activations twice instead of keeping them: for models that would not fit otherwise."""
    lora_alpha: int = field(default=32)
    lora_r: int = field(default=16)


def defaults_for(parameters: int, method: Method, adapter: Adapter) -> Defaults:
    """The settings for a model of so many parameters.

    Args:
        parameters: Parameters of the base; the bounds of the sizes are 20 million, 1 billion and 20 billion.
        method: What is trained; KTO's rates are the lowest.
        adapter: `none` takes the rates for all weights, which are lower.

    Returns:
        Settings for every field that a `TrainConfig` may leave out.

    Example:
        >>> found = defaults_for(135_000_000, "dpo", "lora")
        >>> found.learning_rate, found.batch_size, found.accumulation, found.epochs
        (0.0001, 2, 8, 1.0)
    """
    size = sum(parameters >= bound for bound in _BOUNDS)
    rates = _FULL_RATES if adapter == "none" else _ADAPTER_RATES
    batch_size, accumulation = {"sft": _BATCHES, "grpo": _EPISODE_BATCHES}.get(method, _PAIR_BATCHES)[size]
    rate = rates[method][size]
    return Defaults(
        learning_rate=rate,
        muon_lr=5 * rate,
        batch_size=batch_size,
        accumulation=accumulation,
        epochs=2.0 if method == "sft" else 1.0,
        gradient_checkpointing=size >= 2,
    )
