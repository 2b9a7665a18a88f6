"""The folder of a result: weights, tokenizer, chat template, lineage, model card; and merged weights on request."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from faultgym import __version__
from faultgym.agents.models.files import MERGED
from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.training.builds.card import table
from faultgym.training.configs.train import TrainConfig
from faultgym.training.trainers.card_grpo import played
from faultgym.training.trainers.models import LINEAGE, Start, base_model, weights_hash, with_adapter

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CARD = "README.md"
_LIBRARIES = ("torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate", "datasets")
_TITLES = {"sft": "supervised fine-tuning", "dpo": "DPO", "orpo": "ORPO", "kto": "KTO", "grpo": "GRPO"}
_PAPERS = {
    "dpo": "Rafailov et al. 2023, arXiv 2305.18290",
    "orpo": "Hong et al. 2024, arXiv 2403.07691",
    "kto": "Ethayarajh et al. 2024, arXiv 2402.01306",
    "grpo": "Shao et al. 2024, arXiv 2402.03300",
    "lora": "Hu et al. 2021, arXiv 2106.09685",
    "qlora": "Dettmers et al. 2023, arXiv 2305.14314",
    "dora": "Liu et al. 2024, arXiv 2402.09353",
    "qdora": "DoRA (arXiv 2402.09353) on a base in 4 bits (arXiv 2305.14314)",
}


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training run came to."""

    out: Path
    """A PEFT adapter, or without one a whole model; with its tokenizer."""
    metrics: dict[str, float] = field(hash=False)
    """The last quarter's means of what was logged; `chosen_change` in preference training (see `watch.summary`)."""
    seconds: float
    """Of training; of all its parts where it was resumed."""
    peak_mib: int
    """Of this process's memory, or of the GPU's, while it trained; of the last part where it was resumed."""
    steps: int
    warnings: tuple[str, ...]

    def to_record(self) -> JSON:
        """The result as JSON, without the folder."""
        record = {name: getattr(self, name) for name in self.__slots__ if name != "out"}
        return {**record, "warnings": list(self.warnings)}

    @classmethod
    def from_record(cls, out: Path, record: JSON) -> TrainResult:
        """The result that `to_record` made a record of.

        Args:
            out: The folder of the result.
            record: What `to_record` gave.
        """
        return cls(out, **{**record, "warnings": tuple(record["warnings"])})


def lineage(
    config: TrainConfig, start: Start, base_hash: str, parameters: int, data: Sequence[JSON], device: str
) -> JSON:
    """What a result is made of: enough to make it again, and to refuse it on another base.

    Args:
        config: The run, resolved.
        start: Where the run begins.
        base_hash: The `weights_hash` of the base.
        parameters: Parameters of the base.
        data: What was learned from, as JSON.
        device: The device's name, for people.
    """
    return {
        "schema": 1,
        "method": config.method,
        "adapter": config.adapter,
        "base": {"name": start.name, "path": start.path, "sha256": base_hash, "parameters": parameters},
        "init_adapter": {"folder": start.adapter, "sha256": weights_hash(start.adapter)} if start.adapter else None,
        "data": list(data),
        "seed": config.seed,
        "config": config.to_record(),
        "versions": {"faultgym": __version__, "python": platform.python_version(), **_versions()},
        "device": device,
    }


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in _LIBRARIES}


def write_weights(trainer: Any, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write what `from_pretrained` loads: the adapter or the model, the tokenizer and its template.

    Args:
        trainer: The trainer, on every process.
        tokenizer: With the template that was learned under.
        folder: Where the files go.
    """
    trainer.save_model(str(folder))
    if trainer.args.should_save:
        tokenizer.save_pretrained(str(folder))
        shutil.rmtree(folder / "ref", ignore_errors=True)  # TRL's frozen copy of an adapter that was trained further
        (folder / "training_args.bin").unlink(missing_ok=True)


def merge(config: TrainConfig, start: Start, tokenizer: PreTrainedTokenizerBase, adapter: Path, folder: Path) -> None:
    """Write the base in its full type with an adapter in its weights: for servers that take no adapter of this kind.

    Args:
        config: Gives the type of the weights.
        start: Gives the base.
        tokenizer: Written beside the weights.
        adapter: The adapter's folder.
        folder: Where the files go.
    """
    model = with_adapter(base_model(start.path, config, quantised=False), str(adapter))
    model.merge_and_unload().save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))


def describe(folder: Path, out: Path, made_of: JSON, result: TrainResult) -> None:
    """Write the lineage and the card.

    Args:
        folder: Where the result lies now.
        out: Where the result will lie, for its name.
        made_of: What `lineage` gave.
        result: What the run came to.
    """
    record = {**made_of, "result": {**result.to_record(), "sha256": weights_hash(str(folder))}}
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    (folder / LINEAGE).write_bytes(orjson.dumps(record, option=options))
    (folder / CARD).write_text(card(out.resolve().name, record, (folder / MERGED).is_dir()), encoding="utf-8")


def finished_result(out: Path) -> TrainResult:
    """The result in a folder that a run finished.

    Raises:
        UserError: The folder's `training.json` cannot be read.
    """
    record = dict(record_of(out)["result"])
    record.pop("sha256")
    return TrainResult.from_record(out, record)


def record_of(out: Path) -> JSON:
    """The lineage in the folder of a result.

    Raises:
        UserError: The folder's `training.json` cannot be read.
    """
    path = out / LINEAGE
    try:
        record: JSON = orjson.loads(path.read_bytes())
        for part in ("base", "config", "result"):
            record[part].items()
        return record
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} cannot be read ({error})") from error


def card(name: str, record: JSON, merged: bool) -> str:
    """The model card, its header for the hub included.

    Args:
        name: The result's name.
        record: The lineage with the result.
        merged: Whether merged weights lie beneath.
    """
    method, adapter, base = record["method"], record["adapter"], record["base"]
    whole = adapter == "none"
    header: JSON = {
        "base_model": base["name"],
        "library_name": "transformers" if whole else "peft",
        "pipeline_tag": "text-generation",
        "tags": ["faultgym", "tool-use", method, *([] if whole else [adapter])],
    }
    lines = [f"{key}: {orjson.dumps(value).decode()}" for key, value in header.items()]
    how = "all weights" if whole else f"a {_word(adapter)} adapter"
    result = record["result"]
    metrics = [[key, f"{value:.4g}"] for key, value in result["metrics"].items()]
    papers = [_PAPERS[key] for key in (method, adapter) if key in _PAPERS]
    parts = [
        "\n".join(["---", *lines, "---"]),
        f"# {name}",
        f"`{base['name']}` after {_TITLES[method]} of {how} on tool use under injected faults, with faultgym. The loss"
        " fell on the assistant's tokens only.",
        "## How to use it",
        _use(name, record, merged),
        "## What it was made of",
        table(
            ["what", "", "SHA-256"],
            [
                ["base", base["name"], f"`{base['sha256']}`"],
                *([["adapter", a["folder"], f"`{a['sha256']}`"]] if (a := record["init_adapter"]) else []),
                *([d["folder"], f"{d['rows']} {d['form']}", f"`{d['sha256']}`"] for d in record["data"]),
            ],
        ),
        *played(record),
        "## Training",
        f"{result['steps']} steps in {result['seconds']:.0f} s on {record['device']}, {result['peak_mib']:,} MiB at"
        f" most, seed {record['seed']}.",
        *([f"Sources: {'; '.join(papers)}."] if papers else []),
        table(["metric (mean of the last quarter)", "value"], metrics),
        *(f"Warning: {warning}" for warning in result["warnings"]),
        table(["setting", "value"], [[key, _setting(value)] for key, value in record["config"].items()]),
        "Made with " + ", ".join(f"{key} {value}" for key, value in record["versions"].items()) + ".",
    ]
    return "\n\n".join(parts) + "\n"


def _setting(value: Any) -> str:
    """A setting as a person would write it: a bare float would be shown as a share."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _word(adapter: str) -> str:
    return {"lora": "LoRA", "qlora": "QLoRA", "dora": "DoRA", "qdora": "QDoRA"}[adapter]


def _use(name: str, record: JSON, merged: bool) -> str:
    base, adapter = record["base"]["name"], record["adapter"]
    if adapter == "none":
        return f"```\nfaultgym serve-model {name}\n```"
    served = f"```\nfaultgym serve-model {base} --adapter {name}\n```"
    if "dora" in adapter:
        whole = f"{name}/merged" if merged else "the folder that `--merge` writes"
        served = f"vLLM serves no DoRA adapters: serve {whole}." + (
            f"\n\n```\nfaultgym serve-model {name}/merged\n```" if merged else ""
        )
    if adapter.startswith("q"):
        served += (
            "\n\nIt was trained on the base in 4 bits (nf4). Served or merged on the base in its full type it reads"
            " slightly other weights than it was trained on, which is how QLoRA is commonly used."
        )
    return served
