"""How well a model still predicts plain English that has nothing to do with our tasks: a sign of forgetting.

The text ships with the package (see `plain_text`). Each paragraph is scored by itself, in bits per byte, which do not
depend on how a tokenizer cuts the text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from faultgym.core.errors import UserError
from faultgym.eval.comparison.noninferior import TEXT_MARGIN, NonInferiority, noninferior
from faultgym.training.configs.train import TrainConfig
from faultgym.training.trainers.machine import release
from faultgym.training.trainers.models import base_model, check_base, start_of, tokenizer_at, weights_hash, with_adapter
from faultgym.training.trainers.plain_text import paragraphs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH = 8
"""Paragraphs at a time, padded to the longest."""


def general_text(base: str, tuned: str, margin: float = TEXT_MARGIN, **drawn: Any) -> NonInferiority:
    """Whether the tuned model predicts the text as well as its base, up to a margin; needs the extra `train`.

    Args:
        base: An embedded model's name, a folder, a hub id, or the folder of an adapter on its base.
        tuned: The same of the tuned model.
        margin: Bits per byte that the text may cost more.
        **drawn: `alpha`, `resamples` and `seed` as `noninferior` takes them.

    Raises:
        UserError: A model cannot be loaded, or its losses are no numbers.
    """
    before, after = text_losses(base), text_losses(tuned)
    return noninferior(before, after, margin, lower_is_better=True, **drawn)


def text_losses(model: str, texts: dict[str, str] | None = None, tick: Callable[[], object] = int) -> dict[str, float]:
    """The log-loss of each paragraph in bits per byte.

    Args:
        model: An embedded model's name, a folder, a hub id, or the folder of an adapter on its base.
        texts: Name -> paragraph; None for the text that ships with the package.
        tick: Called after each batch.

    Returns:
        Name -> loss.

    Raises:
        UserError: The model cannot be loaded, or cannot read so long a paragraph.
    """
    import torch

    config = TrainConfig(method="sft", model=model, data=("none",), out="none")
    start = start_of(config)
    tokenizer = tokenizer_at(start)
    loaded: Any = base_model(start.path, config, quantised=False)
    if start.adapter:
        check_base(start, weights_hash(start.path))
        loaded = with_adapter(loaded, start.adapter)
    loaded.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    wanted = paragraphs() if texts is None else texts
    longest = getattr(loaded.config, "max_position_embeddings", None) or math.inf
    rows = {name: _tokens(tokenizer, text) for name, text in wanted.items()}
    for name, ids in rows.items():
        if len(ids) > longest:
            raise UserError(f"{model} reads {longest} tokens, and paragraph {name} has {len(ids)}: it is too small")
    losses: dict[str, float] = {}
    for batch in _batches(list(rows)):
        for name, bits in zip(batch, _bits(loaded, [rows[name] for name in batch]), strict=True):
            losses[name] = bits / len(wanted[name].encode())
        tick()
    del loaded
    release()
    return losses


def _tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """The text's tokens behind the one that begins a document: so the first word is predicted too."""
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids if first is None else [first, *ids]


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(names), BATCH):
        yield names[at : at + BATCH]


def _bits(model: Any, rows: Sequence[list[int]]) -> list[float]:
    """The bits that each row takes behind its first token."""
    import torch

    width = max(map(len, rows))
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = torch.tensor(row)
        mask[at, : len(row)] = 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
        nats = (losses * mask[:, 1:]).sum(1)
    return [float(value) / math.log(2) for value in nats]
