"""What happens at each step: progress, a loss that is no number, chosen completions that become less likely."""

from __future__ import annotations

import math
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.training.configs.train import Method, TrainConfig
from faultgym.training.trainers import checkpoints

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import TrainerCallback

FALL = 1.0
"""Nats by which a whole chosen completion may become less likely than under the reference, without a warning."""
FALL_PER_TOKEN = 0.05
"""ORPO has no reference: nats by which a chosen token may become less likely from a run's beginning to its end."""
_PROBE = "probe/chosen"
"""In the trainer's log: how likely the chosen completions of some rows are, before the first step and at the end."""


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """How far a training run is."""

    step: int
    total: int
    loss: float
    """Of this step: the sum over its batches, each of which trainers have divided by their number."""
    seconds: float
    """Since training began, or was resumed."""
    left: float
    """Seconds until it ends, at the speed so far."""


OnStep = Callable[[TrainingStep], None]


@dataclass(slots=True)
class TrainingMonitor:
    """The watch beside a trainer while the trainer runs."""

    config: TrainConfig
    progress: OnStep
    clock: Callable[[], float] = time.monotonic
    begun: float = 0.0
    before: float = 0.0
    """Seconds that the parts of the run before its resumption took."""
    first: int = 0
    """The step that a resumed run begins after."""
    probe: Callable[[], float] | None = None
    """How likely a chosen token of some rows is now, in nats: where there is no reference to compare with."""
    losses: list[float] = field(default_factory=list)
    """Of the batches of the step under way."""
    speeds: list[float] = field(default_factory=list)
    """Seconds that each step took."""

    @property
    def seconds(self) -> float:
        """Seconds of training so far, in all parts of the run."""
        return self.before + sum(self.speeds)

    def begin(self, step: int) -> None:
        """Note that training begins after so many steps."""
        self.begun, self.first = self.clock(), step

    def saw(self, loss: float, step: int, zero_rows: Callable[[], str]) -> None:
        """Take the loss of one batch.

        Args:
            loss: The loss.
            step: The step that the batch belongs to.
            zero_rows: Names a layer with rows of zeros, which is looked for where the loss is no number.

        Raises:
            UserError: The loss is no number.
        """
        if math.isfinite(loss):
            self.losses.append(loss)
            return
        why = "lower learning_rate, or look at the data"
        if "dora" in self.config.adapter and (layer := zero_rows()):
            why = f"DoRA divides by the length of each row of a weight matrix, and {layer} has rows of zeros: use lora"
        raise UserError(
            f"the loss is no number at step {step} ({loss}): {why}. Nothing was written to {self.config.out}"
        )

    def check_weights(self, model: Any, step: int) -> None:
        """Check the trained weights: the last step's update has no loss after it.

        Args:
            model: The model.
            step: The last step, for the message.

        Raises:
            UserError: A trained weight is no number.
        """
        for name, weight in model.named_parameters():
            if weight.requires_grad and not bool(weight.isfinite().all()):
                raise UserError(
                    f"{name} is no number after step {step}: lower learning_rate. Nothing was written to"
                    f" {self.config.out}"
                )

    def stepped(self, step: int, total: int) -> None:
        """Note that the optimizer has taken a step, and tell of it.

        Args:
            step: The step's number.
            total: Steps in all.
        """
        seconds = self.clock() - self.begun
        done = max(step - self.first, 1)
        loss = sum(self.losses) if self.losses else math.nan
        self.losses.clear()
        self.speeds.append(seconds - sum(self.speeds))
        self.progress(
            TrainingStep(step=step, total=total, loss=loss, seconds=seconds, left=seconds / done * (total - step))
        )


class MonitoredTrainer:
    """A mixin of each of TRL's trainers, whose batches come in an order that follows from the seed and the epoch."""

    watch: TrainingMonitor
    lengths: Sequence[int]

    def _get_train_sampler(self, train_dataset: Any = None) -> Order:
        config, args = self.watch.config, self.args  # type: ignore[attr-defined]
        block = args.per_device_train_batch_size
        if config.method != "kto":
            block *= args.gradient_accumulation_steps * args.world_size
        return Order(
            lengths=self.lengths,
            block=block,
            seed=args.seed,
            epoch=lambda: int((self.state.epoch or 0) + 1e-6),  # type: ignore[attr-defined]
            method=config.method,
        )

    def training_step(self, *args: Any, **more: Any) -> Tensor:
        """TRL's step.

        Raises:
            UserError: The loss is no number.
        """
        loss: Tensor = super().training_step(*args, **more)  # type: ignore[misc]
        self.watch.saw(float(loss), self.state.global_step + 1, lambda: layer_of_zeros(self.model))  # type: ignore[attr-defined]
        return loss

    def create_optimizer(self, model: Any = None) -> Any:
        """Muon where the settings ask for Muon, else the trainer's own."""
        config = self.watch.config
        if config.optimizer == "muon" and self.optimizer is None:  # type: ignore[has-type]
            make = import_module("faultgym.training.trainers.optimizers").muon_adamw
            self.optimizer = make(
                self.model,  # type: ignore[attr-defined]
                config.learning_rate,
                config.muon_lr,
                weight_decay=config.weight_decay,
            )
        return super().create_optimizer(*(() if model is None else (model,)))  # type: ignore[misc]

    def create_model_card(self, *args: Any, **more: Any) -> None:
        """Nothing: the model's card is ours."""


@dataclass(frozen=True, slots=True)
class Order:
    """The order of the rows in each epoch: shuffled, and those of a step about equally long.

    The order depends on nothing but the seed and the epoch, so that a resumed run goes on with the very rows that it
    would have read. KTO's rows stay together as they are in blocks, because its KL term pairs the rows of a batch.

    Example:
        >>> list(Order(lengths=(5, 9, 7, 8), block=2, seed=0, epoch=lambda: 0, method="sft"))
        [1, 3, 2, 0]
    """

    lengths: Sequence[int]
    block: int
    """Rows of one step; for KTO of one batch."""
    seed: int
    epoch: Callable[[], int]
    method: Method

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        draw = random.Random(f"{self.seed}/{self.epoch()}")
        rows = list(range(len(self.lengths)))
        if self.method != "kto":
            draw.shuffle(rows)
            many = 32 * self.block
            parts = [rows[n : n + many] for n in range(0, len(rows), many)]
            rows = [row for part in parts for row in sorted(part, key=lambda n: -self.lengths[n])]
        whole = len(rows) // self.block * self.block
        blocks = [rows[n : n + self.block] for n in range(0, whole, self.block)]
        draw.shuffle(blocks)
        if blocks:  # the longest first: what does not fit into memory fails at once
            longest = max(range(len(blocks)), key=lambda n: max(self.lengths[row] for row in blocks[n]))
            blocks[0], blocks[longest] = blocks[longest], blocks[0]
        return iter([*(row for block in blocks for row in block), *rows[whole:]])


def layer_of_zeros(model: Any) -> str:
    """The name of a layer with an adapter whose weights have a row of zeros; empty where there is none."""
    for name, module in model.named_modules():
        weight = getattr(getattr(module, "base_layer", None), "weight", None)
        if weight is None or not hasattr(module, "lora_A"):
            continue
        state = getattr(weight, "quant_state", None)
        if state is not None:
            from bitsandbytes.functional import dequantize_4bit

            weight = dequantize_4bit(weight.data, state)
        if weight.ndim == 2 and bool((weight == 0).all(dim=1).any()):
            return str(name)
    return ""


def callback(watch: TrainingMonitor) -> TrainerCallback:
    """The callback that tells the watch of a trainer's steps, and seals its checkpoints."""
    from accelerate import PartialState
    from transformers import TrainerCallback

    class MonitorCallback(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            watch.begin(state.global_step)
            if watch.probe and not any(_PROBE in entry for entry in state.log_history):
                state.log_history.append({_PROBE: watch.probe(), "step": state.global_step})

        def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if watch.probe:
                state.log_history.append({_PROBE: watch.probe(), "step": state.global_step})

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if state.is_world_process_zero:
                watch.stepped(state.global_step, state.max_steps)

        def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            PartialState().wait_for_everyone()  # each process writes the state of its random numbers
            if state.is_world_process_zero:
                folder = Path(args.output_dir)
                checkpoint = folder / f"checkpoint-{state.global_step}"
                # TRL's frozen copy of an adapter that is trained further: beside it, transformers would not load the
                # trained one at a resumption. The copy is made again from where the run began.
                shutil.rmtree(checkpoint / "ref", ignore_errors=True)
                checkpoints.seal(checkpoint, watch.seconds)
                checkpoints.keep(folder, watch.config.keep_checkpoints)

    return MonitorCallback()


def summary(history: Sequence[JSON], config: TrainConfig) -> dict[str, float]:
    """The last quarter's mean of what a trainer logged, of all harness errors, and `chosen_change` for preferences.

    TRL logs None for what it could not tell of a step, such as the reward where every episode was broken.

    `chosen_change` is how much more likely the chosen completions have become, in nats: of a whole completion against
    the reference (DPO, KTO), or of a token of the first rows since before the first step (ORPO).

    Args:
        history: The entries of the trainer's log.
        config: Gives `beta`, which rewards are divided by.

    Returns:
        Metric -> mean, rounded to six places.
    """
    logged = {name: [float(e[name]) for e in history if e.get(name) is not None and "loss" in e] for name in _KEPT}
    found = {name: _mean(values[-_quarter(values) :]) for name, values in logged.items() if values}
    if broken := logged[HARNESS_ERRORS]:
        found[HARNESS_ERRORS] = _mean(broken)
    if probed := [float(entry[_PROBE]) for entry in history if _PROBE in entry]:
        found["chosen_change"] = probed[-1] - probed[0]
    elif "rewards/chosen" in found:
        found["chosen_change"] = found["rewards/chosen"] / config.beta
    return {name: round(value, 6) for name, value in found.items()}


HARNESS_ERRORS = "episodes/harness_errors"
_KEPT = (
    "loss",
    "mean_token_accuracy",
    "logps/chosen",
    "logps/rejected",
    "rewards/chosen",
    "rewards/rejected",
    "rewards/accuracies",
    "rewards/margins",
    "kl",
    "nll_loss",
    "reward",
    "reward_std",
    "frac_reward_zero_std",
    "episodes/success",
    "episodes/success_when_faulted",
    "episodes/cut",
    "episodes/calls",
    "episodes/bad_calls",
    "episodes/repeated_calls",
    "episodes/harness_errors",
    "completions/mean_length",
    "entropy",
)


def _quarter(values: Sequence[float]) -> int:
    return max(1, len(values) // 4)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def displaced(metrics: dict[str, float], config: TrainConfig) -> str:
    """A warning when chosen completions have become less likely; empty when they have not.

    A preference loss only asks that the rejected ones fall more (likelihood displacement, arXiv 2410.08847).

    Args:
        metrics: What `summary` gave.
        config: Gives the method, for the limit and the advice.
    """
    change = metrics.get("chosen_change", 0.0)
    limit, unit = (FALL_PER_TOKEN, "a token") if config.method == "orpo" else (FALL, "a completion")
    if not change < -limit:
        return ""
    cure = {
        "dpo": f"raise nll_weight (now {config.nll_weight:g}; --set nll_weight={max(1.0, 2 * config.nll_weight):g})",
        "orpo": "lower beta, which weighs the odds ratio against the likelihood of what is chosen",
        "kto": "lower learning_rate, or use dpo, which has nll_weight",
    }[config.method]
    return (
        f"the chosen completions became less likely ({change:+.2f} nats {unit}): the model moves away from what it is"
        f" shown as right. To counter it, {cure}"
    )
