"""Which tokens the assistant wrote, and collators that keep the loss off all others.

TRL's DPO, KTO and ORPO score everything after the prompt. Where a completion ends before any tool message there is
nothing to mask; whole trajectories need the columns that `mask_pair` and `mask_label` add, and a collator from here.
Those columns reach a collator only with `remove_unused_columns=False` in the trainer's configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from faultgym.core.bank import banked
from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.training.rows.rendered import tools_of
from faultgym.training.rows.templates import template_names, template_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class MaskedTokens:
    """A chat in tokens, and which of them carry loss."""

    ids: list[int]
    mask: list[int]
    """1 for what the assistant wrote, the end of its turns included; 0 for all else. As long as `ids`."""


def scored(tokenizer: PreTrainedTokenizerBase, messages: Sequence[JSON], tools: Any = None) -> MaskedTokens:
    """The tokens of a chat, as TRL's SFTTrainer sees them with `assistant_only_loss=True`.

    Args:
        tokenizer: Its template marks what the assistant writes.
        messages: The chat.
        tools: The tools that are offered, in OpenAI's form; None for none.

    Raises:
        UserError: The tokenizer's template marks nothing: see `rendered.with_template`.
    """
    out = tokenizer.apply_chat_template(
        list(messages), tools=tools or None, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    found = MaskedTokens(list(out["input_ids"]), list(out["assistant_masks"]))
    if str(tokenizer.chat_template) in _headed_templates():
        _unmask(found, tokenizer(_HEADER, add_special_tokens=False)["input_ids"])
    if any(m["role"] == "assistant" for m in messages) and 1 not in found.mask:
        raise UserError("the tokenizer's chat template marks no assistant turns: give it one with `with_template`")
    return found


_HEADED = ("gptoss", "muse_glimmer")
_HEADER = "<|start|>assistant"
"""TRL 1.16's templates that mark the header too which every prompt ends with, and that header."""


@banked("texts", 1)
def _headed_templates() -> frozenset[str]:
    return frozenset(template_text(name) for name in _HEADED if name in template_names())


def _unmask(found: MaskedTokens, header: list[int]) -> None:
    """Take the loss off a header at the beginning of what a turn learns."""
    for n, one in enumerate(found.mask):
        if one and not (n and found.mask[n - 1]) and found.ids[n : n + len(header)] == header:
            found.mask[n : n + len(header)] = [0] * len(header)


def mask_pair(row: JSON, tokenizer: PreTrainedTokenizerBase) -> JSON:
    """The columns `chosen_mask` and `rejected_mask` of a pair's row, one number per token after the prompt.

    Works as `dataset.map(mask_pair, fn_kwargs={"tokenizer": tokenizer})`, for DPO, and for ORPO before `rendered_pair`.

    Args:
        row: A row of the form `pairs`.
        tokenizer: The trainer must hold the same tokenizer with the same template.

    Raises:
        UserError: The tokenizer's template marks nothing.
    """
    return {name: mask for name, mask in measured_pair(row, tokenizer).items() if name != "length"}


def measured_pair(row: JSON, tokenizer: PreTrainedTokenizerBase) -> JSON:
    """The columns of `mask_pair`, and `length`: the tokens of the longer side, prompt included.

    Args:
        row: A row of the form `pairs`.
        tokenizer: As of `mask_pair`.

    Raises:
        UserError: The tokenizer's template marks nothing.
    """
    tools = tools_of(row)
    chosen = scored(tokenizer, [*row["prompt"], *row["chosen"]], tools)
    rejected = scored(tokenizer, [*row["prompt"], *row["rejected"]], tools)
    prompt = _prompt_ids(tokenizer, row["prompt"], tools)
    length = min(_common(prompt, chosen.ids), _common(prompt, rejected.ids))
    masks = {"chosen_mask": chosen.mask[length:], "rejected_mask": rejected.mask[length:]}
    return {**masks, "length": max(len(chosen.ids), len(rejected.ids))}


def mask_label(row: JSON, tokenizer: PreTrainedTokenizerBase) -> JSON:
    """The column `completion_mask` of a labelled row, for KTO; see `mask_pair`.

    Args:
        row: A row of the form `labels`.
        tokenizer: As of `mask_pair`.

    Raises:
        UserError: The tokenizer's template marks nothing.
    """
    return {"completion_mask": measured_label(row, tokenizer)["completion_mask"]}


def measured_label(row: JSON, tokenizer: PreTrainedTokenizerBase) -> JSON:
    """The column of `mask_label`, and `length`: the tokens of prompt and completion.

    Args:
        row: A row of the form `labels`.
        tokenizer: As of `mask_pair`.

    Raises:
        UserError: The tokenizer's template marks nothing.
    """
    tools = tools_of(row)
    whole = scored(tokenizer, [*row["prompt"], *row["completion"]], tools)
    length = _common(_prompt_ids(tokenizer, row["prompt"], tools), whole.ids)
    return {"completion_mask": whole.mask[length:], "length": len(whole.ids)}


def labelled_tokens(row: JSON, tokenizer: PreTrainedTokenizerBase) -> JSON:
    """A row of the form `messages` or `turns` as SFTTrainer's `input_ids` and `labels`, and its `length`.

    A label is -100 wherever the assistant did not write; in a row of the form `turns`, wherever the completion is not.

    Args:
        row: The row.
        tokenizer: Its template marks what the assistant writes.

    Raises:
        UserError: The tokenizer's template marks nothing.
    """
    messages, tools = row.get("messages"), tools_of(row)
    found = scored(tokenizer, [*row["prompt"], *row["completion"]] if messages is None else messages, tools)
    mask = found.mask
    if messages is None:
        start = _common(_prompt_ids(tokenizer, row["prompt"], tools), found.ids)
        mask = [0] * start + mask[start:]
    labels = [token if learned else -100 for token, learned in zip(found.ids, mask, strict=True)]
    return {"input_ids": found.ids, "labels": labels, "length": len(found.ids)}


def _prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: Sequence[JSON], tools: Any) -> list[int]:
    out = tokenizer.apply_chat_template(
        list(prompt), tools=tools, tokenize=True, return_dict=True, add_generation_prompt=True
    )
    return list(out["input_ids"])


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))
