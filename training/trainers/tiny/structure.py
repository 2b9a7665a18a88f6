"""The structured initialisation of `tiny`: heads that look back, and heads that copy.

From random weights a model this small learns to copy an identifier only after far more steps than two cores have time
for. So its first layer begins with heads that attend to the token before, and to the one before that, and its second
with induction heads (Olsson et al., 2022, arXiv 2209.11895): what followed this token the last time? Everything else is
random. This is an initialisation: every weight is trained afterwards, and the architecture is a plain Llama with
biases in its attention. Related: mimetic initialisation (Trockman and Kolter, 2023, arXiv 2305.09828).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True, slots=True)
class Structure:
    """How strong the built-in heads are."""

    one_back: int = 2
    """Heads of the first layer that attend to the token before."""
    two_back: int = 2
    """Heads of the first layer that attend to the one before that."""
    induction: int = 2
    """Heads of the second layer that attend to what followed the same token earlier."""
    sharpness: float = 10.0
    """Scale of the position biases: how sharply the first layer looks at one place."""
    match: float = 2.5
    """Scale of the induction heads' match."""
    copy: float = 0.6
    """How strongly an induction head writes what it found."""
    second: float = 0.7
    """Weight of the token two back against the one before."""
    embedding: float = 0.1
    """Standard deviation of the embeddings."""


def structured(model: Any, shape: Structure, seed: int) -> None:
    """Put the heads into a freshly made Llama, in place.

    Args:
        model: A `LlamaForCausalLM` with `attention_bias`, as many key-value heads as heads, and at least two layers.
        shape: How many heads there are of each kind, and how strong they are.
        seed: Of the embeddings and of the directions that the heads read and write.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        torch.nn.init.normal_(model.model.embed_tokens.weight, std=shape.embedding, generator=generator)
        hidden = model.config.hidden_size
        before, content, two_before = (_orthogonal(hidden, generator) for _ in range(3))
        _look_back(model, shape, before, content, two_before)
        _induce(model, shape, before, generator)


def _orthogonal(n: int, generator: Generator) -> Tensor:
    import torch

    q: Tensor = torch.linalg.qr(torch.randn(n, n, generator=generator))[0]
    return q


def _frequencies(model: Any) -> Tensor:
    import torch

    half = model.config.head_dim // 2
    theta = model.config.rope_parameters["rope_theta"]
    found: Tensor = theta ** (-torch.arange(half) / half)
    return found


def _look_back(model: Any, shape: Structure, before: Tensor, content: Tensor, two_before: Tensor) -> None:
    """Biases alone make these heads: a query that, rotated by its position, fits the key one or two places back."""
    import torch

    hidden, size = model.config.hidden_size, model.config.head_dim
    attention, half = model.model.layers[0].self_attn, size // 2
    frequencies = _frequencies(model)
    weight = torch.exp(-torch.arange(half) / (half / 4))  # the fast rotations tell neighbours apart
    for head in range(shape.one_back + shape.two_back):
        rows = slice(head * size, (head + 1) * size)
        distance = 1 if head < shape.one_back else 2
        turned = torch.cat([torch.cos(distance * frequencies), torch.sin(distance * frequencies)])
        attention.q_proj.bias[rows] = shape.sharpness * torch.cat([weight, torch.zeros(half)])
        attention.k_proj.bias[rows] = shape.sharpness * torch.cat([weight, weight]) * turned
        picked = _rows(content, head, size, hidden)
        attention.v_proj.weight[rows] = picked
        target = before if distance == 1 else shape.second * two_before
        attention.o_proj.weight[:, rows] = shape.embedding * (target @ picked.T)


def _induce(model: Any, shape: Structure, before: Tensor, generator: Generator) -> None:
    """Keys hold what the first layer wrote of the token before, queries the token itself; values are copied."""
    import torch

    hidden, size = model.config.hidden_size, model.config.head_dim
    attention, half = model.model.layers[1].self_attn, size // 2
    slow = [n for n, frequency in enumerate(_frequencies(model)) if frequency < 0.004]  # they hardly turn: any distance
    dims = slow + [n + half for n in slow]
    content = None
    for head in range(shape.induction):
        rows = slice(head * size, (head + 1) * size)
        matcher = _orthogonal(hidden, generator)[: len(dims)] * (hidden / len(dims)) ** 0.25
        for weight, block in ((attention.q_proj.weight, matcher), (attention.k_proj.weight, matcher @ before.T)):
            # Never rows of zeros: DoRA divides by their norms.
            filled = 0.02 * torch.randn(size, hidden, generator=generator)
            filled[dims] = shape.match * block
            weight[rows] = filled
        if content is None:
            content = _orthogonal(hidden, generator)
        picked = _rows(content, head, size, hidden)
        attention.v_proj.weight[rows] = picked
        attention.o_proj.weight[:, rows] = shape.copy * picked.T


def _rows(basis: Tensor, head: int, size: int, hidden: int) -> Tensor:
    """`size` rows of the basis for a head, the next ones for the next head; zeros where the basis has no more."""
    import torch

    start = (head * size) % hidden
    found = basis[start : start + min(size, hidden)]
    picked = torch.zeros(size, hidden)
    picked[: len(found)] = found
    return picked
