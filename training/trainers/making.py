"""TRL's trainer for a method, with our data, masks, order and watch."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faultgym.core.bank import banked
from faultgym.core.errors import UserError
from faultgym.training.configs.train import TrainConfig
from faultgym.training.trainers.collators import LabelCollator, PairCollator, orpo_trainer
from faultgym.training.trainers.data import Prepared
from faultgym.training.trainers.models import adapter_config, uses_gpu, weight_dtype
from faultgym.training.trainers.watch import MonitoredTrainer, TrainingMonitor, callback

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LOGS = "logs"
"""Where TensorBoard's files go, in the result's folder."""


def total_steps(config: TrainConfig, rows: int, processes: int = 1) -> int:
    """Steps of the optimizer that a resolved run takes.

    Args:
        config: The run, resolved.
        rows: Rows that are learned from.
        processes: Devices that train together.

    Example:
        >>> config = TrainConfig("sft", "smollm2", ("sets/a",), "a", batch_size=2, accumulation=8, epochs=2)
        >>> total_steps(config, 100), total_steps(config, 100, processes=2)
        (14, 8)
    """
    if config.max_steps is not None:
        return config.max_steps
    batches = math.ceil(rows / ((config.batch_size or 1) * processes))
    return max(1, math.ceil((config.epochs or 1) * max(1, math.ceil(batches / (config.accumulation or 1)))))


def trainer_for(
    config: TrainConfig,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    prepared: Prepared,
    folder: Path,
    watch: TrainingMonitor,
    *,
    save: bool = True,
) -> Any:
    """TRL's trainer for a method, not begun.

    Args:
        config: The run, resolved.
        model: The base; with its adapter where one is trained further.
        tokenizer: With the template that the run learns under.
        prepared: The rows.
        folder: Where checkpoints and logs go.
        watch: Sees each step.
        save: Whether checkpoints and logs are written.

    Raises:
        UserError: TRL refuses these settings.
    """
    given = arguments(config, len(prepared.rows), folder, save)
    common: dict[str, Any] = {"train_dataset": prepared.rows, "processing_class": tokenizer}
    maker = _MAKERS[config.method]
    trainer = watched(config, model, folder, watch, lambda more: maker(config, given, common | more, prepared))
    trainer.lengths = prepared.lengths
    if config.method == "orpo" and not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
        watch.probe = lambda: chosen_likelihood(trainer)
    return trainer


def chosen_likelihood(trainer: Any, rows: int = 16) -> float:
    """Mean log-probability of a chosen token of ORPO's first rows, as the model is now; draws no random numbers.

    Args:
        trainer: ORPO's.
        rows: How many rows are looked at, at most.

    Returns:
        Nats.
    """
    import torch

    model, data = trainer.model, trainer.train_dataset
    size, training, found = trainer.args.per_device_train_batch_size, model.training, []
    model.eval()
    with torch.no_grad():
        for start in range(0, min(rows, len(data)), size):
            batch = [data[n] for n in range(start, min(start + size, rows, len(data)))]
            batch = trainer._prepare_inputs(trainer.data_collator(batch))
            found += trainer.concatenated_forward(model, batch)[0].tolist()
    model.train(training)
    return float(sum(found) / len(found))


def watched(
    config: TrainConfig, model: Any, folder: Path, watch: TrainingMonitor, make: Callable[[dict[str, Any]], Any]
) -> Any:
    """A trainer of the model, its adapter and its callbacks, logging and watched as all are.

    Args:
        config: The run, resolved.
        model: The base; with its adapter where one is trained further.
        folder: Where logs go.
        watch: Sees each step.
        make: Makes the trainer, of the arguments `model`, `callbacks` and `peft_config`.

    Raises:
        UserError: TRL refuses these settings.
    """
    from peft import PeftModel
    from transformers import PrinterCallback

    new_adapter = None if config.adapter == "none" or isinstance(model, PeftModel) else adapter_config(config)
    begun_with = {name: weight.detach().clone() for name, weight in _trained_in_4_bits(model)}
    try:
        with _logging_to(folder / LOGS):
            trainer = make({"model": model, "callbacks": [callback(watch)], "peft_config": new_adapter})
    except (ValueError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "installed" not in str(error):
            raise
        raise UserError(f"no trainer can be made with these settings: {error}") from error
    trainer.remove_callback(PrinterCallback)  # our own progress says it
    trainer.watch = watch
    for name, weight in _trained_in_4_bits(trainer.model):
        # TRL rounds them to bfloat16, whose steps are coarse for small rates; and an adapter that is trained further
        # would no longer be what its reference is.
        weight.data = begun_with.get(name, weight.data).float()
    return trainer


def _trained_in_4_bits(model: Any) -> list[tuple[str, Any]]:
    """The weights that are trained on a base in 4 bits, by name; none on another base."""
    if not getattr(model, "is_loaded_in_4bit", False):
        return []
    return [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]


def on_one_gpu(args: Any) -> Any:
    """The trainer's arguments, for one GPU where no processes were launched: TRL shares no batch out."""
    if "WORLD_SIZE" not in os.environ and args.n_gpu > 1:
        args._n_gpu = 1
    return args


def arguments(config: TrainConfig, rows: int, folder: Path, save: bool = True) -> dict[str, Any]:
    """The arguments that every trainer's configuration has.

    Args:
        config: The run, resolved.
        rows: Rows that are learned from, for the number of steps.
        folder: Where checkpoints go.
        save: Whether checkpoints and logs are written.
    """
    steps = total_steps(config, rows, int(os.environ.get("WORLD_SIZE", "1")))
    gpu = uses_gpu(config)
    half = weight_dtype(config) if config.dtype != "auto" else "bfloat16"
    return {
        "output_dir": str(folder / "checkpoints"),
        "per_device_train_batch_size": config.batch_size,
        "gradient_accumulation_steps": config.accumulation,
        "num_train_epochs": config.epochs or 1.0,
        "max_steps": config.max_steps or -1,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.scheduler,
        "warmup_steps": config.warmup_steps if config.warmup_steps < 1 else int(config.warmup_steps),
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "seed": config.seed,
        "data_seed": config.seed,
        "use_cpu": config.device == "cpu" or not gpu,
        "bf16": gpu and half == "bfloat16",
        "fp16": gpu and half == "float16",
        "gradient_checkpointing": config.gradient_checkpointing,
        "logging_steps": config.log_steps or max(1, steps // 100),
        "logging_nan_inf_filter": False,
        "save_strategy": "steps" if save else "no",
        "save_steps": config.save_steps or max(1, math.ceil(steps / 4)),
        "report_to": list(config.report_to) if save else [],
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_pin_memory": gpu,
    }


def _sft(config: TrainConfig, arguments: dict[str, Any], common: dict[str, Any], prepared: Prepared) -> Any:
    from trl import SFTConfig, SFTTrainer

    return _watched(SFTTrainer)(args=on_one_gpu(SFTConfig(**arguments, max_length=None)), **common)


def _dpo(config: TrainConfig, arguments: dict[str, Any], common: dict[str, Any], prepared: Prepared) -> Any:
    from trl import DPOConfig, DPOTrainer

    losses: dict[str, Any] = {"loss_type": ["sigmoid"]}
    if config.nll_weight:
        losses = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, config.nll_weight]}
    args = on_one_gpu(DPOConfig(**arguments, beta=config.beta, max_length=None, **losses))
    collator = PairCollator.of(common["processing_class"], args)
    return _watched(DPOTrainer)(args=args, data_collator=collator, **common)


def _kto(config: TrainConfig, arguments: dict[str, Any], common: dict[str, Any], prepared: Prepared) -> Any:
    from trl import KTOConfig, KTOTrainer

    args = on_one_gpu(KTOConfig(**arguments, beta=config.beta, max_length=None))
    collator = LabelCollator.of(common["processing_class"], args)
    return _watched(KTOTrainer)(args=args, data_collator=collator, **common)


def _orpo(config: TrainConfig, arguments: dict[str, Any], common: dict[str, Any], prepared: Prepared) -> Any:
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    from trl.experimental.orpo import ORPOConfig

    longest = max(prepared.lengths) + 8  # for the ends that it may add
    args = on_one_gpu(ORPOConfig(**arguments, beta=config.beta, max_length=longest))
    return orpo_trainer(args=args, watched=_watched, **common)


_MAKERS = {"sft": _sft, "dpo": _dpo, "orpo": _orpo, "kto": _kto}


@banked("code", 8)
def _watched(trainer: type) -> Any:
    return type(f"Watched{trainer.__name__}", (MonitoredTrainer, trainer), {})


@contextmanager
def _logging_to(folder: Path) -> Iterator[None]:
    """TensorBoard's callback reads its folder from the environment when it is made."""
    name = "TENSORBOARD_LOGGING_DIR"
    before = os.environ.get(name)
    os.environ[name] = str(folder) if before is None else before
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
