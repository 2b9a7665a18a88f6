"""How much memory a training run will take, by arithmetic over the model's sizes. No torch here.

    weights      the base in its type, or 0.52 bytes for each 4-bit weight (nf4, double quantisation)
    trained      for each trained weight 4 bytes, its gradient 4, and the optimizer's: AdamW 8, Muon 4 for matrices
    reference    DPO and KTO on all weights hold the base a second time
    activations  what the backward pass keeps of the largest batch, and the logits of its tokens

The activations are the uncertain part: kernels, fragmentation and the allocator's reserve come on top.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from faultgym.training.configs.train import TrainConfig

MIB = 1 << 20
_BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0}
_NF4 = 0.52
"""Bytes of a weight in 4 bits, its doubly quantised scales included."""
RESERVE = {"cpu": 600 * MIB, "cuda": 700 * MIB}
"""Python with its libraries; CUDA's context."""


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """The sizes of a model, from its configuration.

    Example:
        >>> sizes = ModelSizes(
        ...     parameters=48, linear=((4, 4), (8, 4)), layers=1, hidden=4,
        ...     intermediate=8, key_value=4, vocabulary=64, context=128,
        ... )
        >>> sizes.adapter_parameters(rank=2, dora=False)
        40
    """

    parameters: int
    linear: tuple[tuple[int, int], ...]
    """The shape of every linear layer but the output: what adapters and 4 bits are for."""
    layers: int
    hidden: int
    intermediate: int
    key_value: int
    """Width of the keys of a token, and of its values."""
    vocabulary: int
    context: int
    """Tokens that it can read."""

    def adapter_parameters(self, rank: int, dora: bool) -> int:
        """The number of weights of an adapter on every linear layer.

        Args:
            rank: LoRA's r.
            dora: Whether a magnitude for each output is trained too.
        """
        return sum(rank * (a + b) + (a if dora else 0) for a, b in self.linear)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of a training run, by what they are for."""

    weights: int
    trained: int
    reference: int
    activations: int
    reserve: int

    @property
    def total(self) -> int:
        """The sum of all parts."""
        return self.weights + self.trained + self.reference + self.activations + self.reserve

    def line(self) -> str:
        """The parts for people, in MiB; parts that take nothing are left out.

        Example:
            >>> Memory(weights=300 * MIB, trained=100 * MIB, reference=0, activations=0, reserve=600 * MIB).line()
            '1,000 MiB (weights 300, trained 100, reserve 600)'
        """
        parts = [(name, getattr(self, name)) for name in self.__slots__ if getattr(self, name)]
        return f"{self.total / MIB:,.0f} MiB ({', '.join(f'{name} {value / MIB:,.0f}' for name, value in parts)})"


def memory(facts: ModelSizes, config: TrainConfig, dtype: str, longest: int, device: str) -> Memory:
    """What a resolved run takes, by arithmetic.

    Args:
        facts: The sizes of the base.
        config: The run, resolved.
        dtype: Of the weights: `float32`, `bfloat16` or `float16`.
        longest: Tokens of the longest row; of a pair, of its longer side.
        device: `cpu` or `cuda`, for the reserve.

    Returns:
        Bytes, by what they are for; the activations are the uncertain part.
    """
    size = _BYTES[dtype]
    quantised = config.adapter.startswith("q")
    in_bits = sum(a * b for a, b in facts.linear) if quantised else 0
    weights: float = in_bits * _NF4 + (facts.parameters - in_bits) * size
    trained = facts.parameters
    if config.adapter != "none":
        trained = facts.adapter_parameters(config.lora_r or 0, "dora" in config.adapter)
    states = 4 if config.optimizer == "muon" else 8
    own = 0 if config.adapter == "none" else 4
    pairs = config.method in ("dpo", "orpo")
    tokens = longest * (config.batch_size or 1) * (2 if pairs else 1)
    reference = weights if config.adapter == "none" and config.method in ("dpo", "kto") else 0
    return Memory(
        weights=int(weights),
        trained=int(trained * (4 + states + own)),
        reference=int(reference),
        activations=int(_activations(facts, config, size, tokens)),
        reserve=RESERVE[device],
    )


def _activations(facts: ModelSizes, config: TrainConfig, size: float, tokens: int) -> float:
    """Bytes kept for the backward pass: of each layer its inputs, queries, keys, values and the gated middle."""
    layer: float = 10 * facts.hidden + 4 * facts.key_value + 5 * facts.intermediate
    if config.adapter != "none":
        layer *= 1.4  # what runs through the adapters beside the weights
    layers = facts.layers
    kept = (facts.hidden * layers + layer) if config.gradient_checkpointing else layer * layers
    logits = facts.vocabulary * 4 * (4 if config.method == "orpo" else 2)
    return tokens * (kept * size + logits)


def free_memory() -> int:
    """Bytes of main memory that a new process can have, within the limit of its control group; 0 when that is not
    known.
    """
    free = _available()
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        try:
            left = int(Path(limit).read_text()) - int(Path(used).read_text())
        except (OSError, ValueError):
            continue
        free = min(free, left) if free else left
    return max(free, 0)


def _available() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0
