"""TRL's collators with our masks: loss on the assistant's tokens of whole trajectories, and on nothing else.

Each wraps the collator that TRL's trainer would make itself; nothing is imported before one is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from faultgym.core.bank import banked
from faultgym.core.errors import UserError
from faultgym.training.rows.rendered import rendered_pair
from faultgym.training.trainers.masks import mask_pair

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase
    from trl import DPOConfig, KTOConfig
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

Rows = list[dict[str, Any]]
Batch = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PairCollator:
    """For DPOTrainer: `completion_mask` is 1 only where the rows' `chosen_mask` or `rejected_mask` is."""

    inner: Callable[[Rows], Batch]
    max_length: int | None
    keep_end: bool
    """Which end of a row that is too long stays."""

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, config: DPOConfig) -> PairCollator:
        """The collator that DPOTrainer would make from the same configuration, with masks.

        Args:
            tokenizer: Gives the token that pads.
            config: Gives the length and the end at which rows are cut.
        """
        from trl.trainer.dpo_trainer import DataCollatorForPreference

        mode = config.truncation_mode
        inner = DataCollatorForPreference(_pad(tokenizer), config.max_length, mode, config.pad_to_multiple_of)
        return cls(inner, config.max_length, mode == "keep_end")

    def __call__(self, examples: Rows) -> Batch:
        """A batch as TRL's, chosen rows first.

        Args:
            examples: Rows with `prompt_ids`, and of each side the ids and the mask.

        Raises:
            UserError: A mask is missing or of another length than its completion.
        """
        output = self.inner(examples)
        rows = [
            [0] * len(example["prompt_ids"]) + _mask(example, f"{side}_mask", len(example[f"{side}_ids"]))
            for side in ("chosen", "rejected")
            for example in examples
        ]
        if self.max_length is not None:
            rows = [row[-self.max_length :] if self.keep_end else row[: self.max_length] for row in rows]
        return {**output, "completion_mask": _padded(rows, output["completion_mask"])}


@dataclass(frozen=True, slots=True)
class LabelCollator:
    """For KTOTrainer: `completion_mask` of the rows, and of the batch's completions under other prompts."""

    inner: Callable[[Rows], Batch]
    max_length: int | None

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, config: KTOConfig) -> LabelCollator:
        """The collator that KTOTrainer would make from the same configuration, with masks.

        Args:
            tokenizer: Gives the token that pads.
            config: Gives the length at which rows are cut.
        """
        from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

        inner = DataCollatorForUnpairedPreference(_pad(tokenizer), config.max_length, config.pad_to_multiple_of)
        return cls(inner, config.max_length)

    def __call__(self, examples: Rows) -> Batch:
        """A batch as TRL's.

        The KL term's completions are those of the same batch, turned by one; their masks come from there too.

        Args:
            examples: Rows with `prompt_ids`, `completion_ids` and `completion_mask`.

        Raises:
            UserError: A mask is missing or of another length, or a KL completion is not of its own batch.
        """
        output = dict(self.inner(examples))
        masks = [_mask(example, "completion_mask", len(example["completion_ids"])) for example in examples]
        output["completion_mask"] = self._placed(examples, masks, output["completion_mask"])
        if "KL_completion_ids" in examples[0]:
            known = {tuple(example["completion_ids"]): mask for example, mask in zip(examples, masks, strict=True)}
            turned = [known.get(tuple(example["KL_completion_ids"])) for example in examples]
            if None in turned:
                raise UserError(
                    "a KL completion is not of its own batch: KTO needs train_sampling_strategy='sequential', and as "
                    "many rows in each batch as per_device_train_batch_size says"
                )
            output["KL_completion_mask"] = self._placed(examples, turned, output["KL_completion_mask"])
        return output

    def _placed(self, examples: Rows, masks: Sequence[Any], like: Tensor) -> Tensor:
        pairs = zip(examples, masks, strict=True)
        return _padded([([0] * len(example["prompt_ids"]) + mask)[: self.max_length] for example, mask in pairs], like)


@dataclass(frozen=True, slots=True)
class RatioCollator:
    """For ORPO: labels are -100 where the rows' `chosen_mask` or `rejected_mask` is 0."""

    inner: Callable[[Rows], Batch]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> RatioCollator:
        """The collator that ORPOTrainer would make, with masks.

        Args:
            tokenizer: Gives the token that pads.
        """
        from trl.experimental.utils import DPODataCollatorWithPadding

        return cls(DPODataCollatorWithPadding(_pad(tokenizer)))

    def __call__(self, examples: Rows) -> Batch:
        """A batch as TRL's.

        Args:
            examples: Rows with labels and masks of both sides.

        Raises:
            UserError: A mask is missing or shorter than its completion.
        """
        return self.inner([_relabelled(example) for example in examples])


def orpo_trainer(
    *,
    args: ORPOConfig,
    train_dataset: Any,
    processing_class: Any,
    watched: Callable[[Any], Any] = lambda trainer: trainer,
    **more: Any,
) -> ORPOTrainer:
    """TRL's ORPOTrainer with its likelihood term on the labels alone; rows of the form `pairs` or `rendered`.

    TRL 1.16 takes the negative log-likelihood of the whole chosen row ("computed over the full prompt and response"):
    system text, user text and tool output would be learned. Here the term is the mean over the tokens that the odds
    ratio looks at.

    Args:
        args: The trainer's configuration; `remove_unused_columns` is set to false where there are masks.
        train_dataset: Rows of the form `pairs` are rendered first, with their masks; `rendered` rows are masked where
            `masks.mask_pair` has added its columns.
        processing_class: The tokenizer.
        watched: May extend the trainer's class.
        **more: Passed to TRL's trainer.

    Raises:
        UserError: Prompts leave no room for a completion: their loss would not be a number.
    """
    if not isinstance(train_dataset[0]["prompt"], str):
        train_dataset = _rendered(train_dataset, processing_class)
    if "chosen_mask" in train_dataset.column_names:
        args.remove_unused_columns = False
        more.setdefault("data_collator", RatioCollator.of(processing_class))
    trainer: ORPOTrainer = watched(_orpo_class())(
        args=args, train_dataset=train_dataset, processing_class=processing_class, **more
    )
    empty = sum(not _learns(row) for row in trainer.train_dataset.select_columns(["chosen_labels", "rejected_labels"]))
    if empty:
        raise UserError(f"{empty} prompts fill max_length={trainer.max_length}: raise it, or drop these rows")
    return trainer


def _rendered(dataset: Any, tokenizer: PreTrainedTokenizerBase) -> Any:
    from datasets import Features, List, Value

    names = {side: Value("string") for side in ("prompt", "chosen", "rejected")}
    masks = {f"{side}_mask": List(Value("int8")) for side in ("chosen", "rejected")}

    def columns(row: dict[str, Any]) -> dict[str, Any]:
        found = rendered_pair(row, tokenizer)
        return {name: found[name] for name in names} | mask_pair(row, tokenizer)

    return dataset.map(columns, remove_columns=dataset.column_names, features=Features(names | masks))


@banked("code", 8)
def _orpo_class() -> Any:
    from trl.experimental.orpo import ORPOTrainer

    class AssistantORPOTrainer(ORPOTrainer):  # type: ignore[misc]
        def concatenated_forward(self, model: Any, batch: Batch) -> tuple[Any, ...]:
            chosen, rejected, chosen_logits, rejected_logits, _, *rest = super().concatenated_forward(model, batch)
            counts = (batch["chosen_labels"][:, 1:] != -100).sum(-1)
            nll = -(chosen * counts).sum() / counts.sum()
            return (chosen, rejected, chosen_logits, rejected_logits, nll, *rest)

    return AssistantORPOTrainer


def _learns(row: dict[str, Any]) -> bool:
    return all(any(label != -100 for label in row[f"{side}_labels"]) for side in ("chosen", "rejected"))


def _pad(tokenizer: PreTrainedTokenizerBase) -> int:
    return int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)


def _mask(example: dict[str, Any], name: str, length: int) -> list[int]:
    mask = example.get(name)
    if mask is None:
        raise UserError(f"rows without {name!r}: add it (masks.py) and set remove_unused_columns=False")
    if len(mask) != length:
        raise UserError(
            f"{name} has {len(mask)} numbers for {length} tokens: the trainer's tokenizer or template is not the one "
            "that the mask was made with"
        )
    return list(mask)


def _relabelled(example: dict[str, Any]) -> dict[str, Any]:
    changed = dict(example)
    for side in ("chosen", "rejected"):
        labels = list(example[f"{side}_labels"])
        start = next((n for n, label in enumerate(labels) if label != -100), len(labels))
        mask = example.get(f"{side}_mask")
        if mask is None or len(mask) < len(labels) - start:
            raise UserError(f"{side}_mask is missing or shorter than its completion: see masks.mask_pair")
        kept = zip(labels[start:], mask, strict=False)
        changed[f"{side}_labels"] = labels[:start] + [label if scores else -100 for label, scores in kept]
    return changed


def _padded(rows: Sequence[list[int]], like: Tensor) -> Tensor:
    mask = like.new_zeros(like.shape)
    for number, row in enumerate(rows):
        mask[number, : len(row)] = mask.new_tensor(row)
    return mask
