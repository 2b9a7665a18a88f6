"""Base models, their tokenizers and their adapters, for training: found, measured, loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from faultgym.agents.models.adapters import adapter_settings
from faultgym.agents.models.files import is_embedded, model_path
from faultgym.core.errors import UserError
from faultgym.core.files import contents_sha256
from faultgym.core.json import JSON
from faultgym.training.configs.estimate import ModelSizes
from faultgym.training.configs.train import TrainConfig
from faultgym.training.rows.rendered import with_template
from faultgym.training.trainers.four_bits import keep_unpacked

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LINEAGE = "training.json"
"""In the folder of every result: what it was made of."""
_WEIGHTS = ("*.safetensors", "*.bin")
DEFAULT_CONTEXT = 8192
"""Tokens where a model's configuration does not say how many it reads."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a run begins."""

    name: str
    """The base model as the user calls it."""
    path: str
    """Its folder, or its hub id."""
    adapter: str
    """The folder of the adapter that is trained further; empty for a new one."""


def start_of(config: TrainConfig) -> Start:
    """The base model and the adapter of a run.

    A model that is the folder of an adapter stands for that adapter on its own base.

    Args:
        config: Gives `model`, `init_adapter` and `adapter`.

    Raises:
        UserError: Model and adapter do not belong together, or there is no such folder.
    """
    name, adapter = config.model, config.init_adapter
    if (Path(name) / "adapter_config.json").is_file():
        if adapter and Path(adapter) != Path(name):
            raise UserError(f"model {name} is an adapter, and init_adapter is {adapter}: give one of the two")
        adapter = name
        name = _base_of(Path(adapter))
    if adapter and config.adapter == "none":
        raise UserError(f"{adapter} is an adapter: with adapter='none' train its base, or its merged/ folder")
    if not is_embedded(name) and not Path(name).is_dir() and (Path(name).exists() or name.startswith((".", "/", "~"))):
        raise UserError(f"there is no model folder {name}: give a folder, an embedded model's name, or a hub id")
    return Start(name, model_path(name), adapter)


def _lineage(folder: Path) -> JSON:
    """The name and the hash of the base that an adapter was trained on here; empty for one from elsewhere."""
    path = folder / LINEAGE
    if not path.is_file():
        return {}
    try:
        found = orjson.loads(path.read_bytes())
        return {"name": str(found["base"]["name"]), "sha256": str(found["base"]["sha256"])}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}): it says which base the adapter is for") from error


def _base_of(adapter: Path) -> str:
    lineage = _lineage(adapter)
    return str(lineage["name"] if lineage else adapter_settings(str(adapter)).get("base_model_name_or_path") or "")


def check_adapter(start: Start, config: TrainConfig, base_hash: str) -> None:
    """Make sure that the adapter to go on with is of the kind that is trained, and of this base.

    Args:
        start: Where the run begins.
        config: Gives the kind.
        base_hash: The `weights_hash` of the base.

    Raises:
        UserError: The adapter is of another kind or another base.
    """
    if not start.adapter:
        return
    found = adapter_settings(start.adapter)
    dora = bool(found.get("use_dora"))
    if (kind := found.get("peft_type")) != "LORA":
        raise UserError(f"{start.adapter} is an adapter of the kind {kind}: only LoRA and DoRA are trained further")
    if dora != ("dora" in config.adapter):
        kind = "dora or qdora" if dora else "lora or qlora"
        raise UserError(f"{start.adapter} is trained with --adapter {kind}, not {config.adapter}")
    check_base(start, base_hash)


def check_base(start: Start, base_hash: str) -> None:
    """Make sure that the adapter is not known to be one of another base.

    Args:
        start: Where the run begins.
        base_hash: The `weights_hash` of the base.

    Raises:
        UserError: The adapter was trained on another base.
    """
    lineage = _lineage(Path(start.adapter))
    if lineage and lineage["sha256"] != base_hash:
        raise UserError(
            f"{start.adapter} is an adapter of {lineage['name']} (weights {lineage['sha256'][:12]}),"
            f" not of {start.name} (weights {base_hash[:12]}): give the model that it was trained on"
        )


def tokenizer_for(start: Start, config: TrainConfig) -> PreTrainedTokenizerBase:
    """The tokenizer, with a template that marks what the assistant writes.

    An adapter's own comes before its base's.

    Args:
        start: Where the run begins.
        config: May name a template.

    Raises:
        UserError: There is no tokenizer, or its template marks nothing and no other is named or known.
    """
    tokenizer = tokenizer_at(start)
    if config.template:
        tokenizer = with_template(tokenizer, config.template)
    elif "{%- generation" not in (marks := str(tokenizer.chat_template)) and "{% generation" not in marks:
        tokenizer.chat_template = _training_template(tokenizer, tokenizer.name_or_path)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def tokenizer_at(start: Start) -> PreTrainedTokenizerBase:
    """The tokenizer as found: the adapter's own before its base's.

    Raises:
        UserError: There is none.
    """
    from transformers import AutoTokenizer

    place = start.path
    if start.adapter and (Path(start.adapter) / "tokenizer_config.json").is_file():
        place = start.adapter
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(place)
    except (OSError, ValueError) as error:
        raise UserError(f"no tokenizer can be loaded from {place} ({_first(error)})") from error
    return tokenizer


def _training_template(tokenizer: PreTrainedTokenizerBase, place: str) -> str:
    """TRL's training version of a template that it knows."""
    from trl.chat_template_utils import get_training_chat_template

    try:
        found = get_training_chat_template(tokenizer)
    except ValueError:
        found = None
    if not found:
        raise UserError(
            f"the chat template of {place} does not mark what the assistant writes: name one for training with"
            " --template, such as chatml, qwen3 or llama3"
        )
    return str(found)


def weights_hash(path: str) -> str:
    """SHA-256 over a model's weight files, by name and content.

    Args:
        path: A folder, or a hub id, whose weights are fetched into its cache.

    Raises:
        UserError: There are no weights.
    """
    folder = Path(path) if Path(path).is_dir() else _fetched(path)
    files = _weight_files(folder)
    if not files:
        raise UserError(f"{path} holds no weights ({' or '.join(_WEIGHTS)})")
    return contents_sha256(files, end="\n")


def _weight_files(folder: Path) -> list[Path]:
    return sorted(one for pattern in _WEIGHTS for one in folder.glob(pattern))


def _fetched(hub_id: str) -> Path:
    """A hub model's folder in the cache, with all of its weights: nothing else has asked for them yet."""
    from huggingface_hub import snapshot_download

    try:
        for pattern in _WEIGHTS:  # safetensors where there are any
            folder = Path(snapshot_download(hub_id, allow_patterns=["*.json", pattern], ignore_patterns=["*/*"]))
            if _weight_files(folder):
                break
    except (OSError, ValueError) as error:
        raise UserError(f"the weights of {hub_id} cannot be had from the hub or its cache ({_first(error)})") from error
    return folder


def facts_of(path: str) -> ModelSizes:
    """The sizes of a model, from its configuration alone.

    Args:
        path: A folder, or a hub id.

    Raises:
        UserError: There is no model.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(path)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"no model can be loaded from {path} ({_first(error)})") from error
    text = config.get_text_config()
    head = model.get_output_embeddings()
    linear = [
        module.weight.shape for module in model.modules() if isinstance(module, torch.nn.Linear) and module is not head
    ]
    heads = text.num_attention_heads
    return ModelSizes(
        parameters=sum(p.numel() for p in model.parameters()),
        linear=tuple((int(shape[0]), int(shape[1])) for shape in linear),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=getattr(text, "intermediate_size", None) or 4 * text.hidden_size,
        key_value=(getattr(text, "num_key_value_heads", None) or heads)
        * (getattr(text, "head_dim", None) or text.hidden_size // heads),
        vocabulary=text.vocab_size,
        context=getattr(text, "max_position_embeddings", None) or DEFAULT_CONTEXT,
    )


def weight_dtype(config: TrainConfig) -> str:
    """The name of the weights' type; see `TrainConfig.dtype`."""
    if config.dtype != "auto":
        return config.dtype
    return "bfloat16" if uses_gpu(config) and config.adapter != "none" else "float32"


def uses_gpu(config: TrainConfig) -> bool:
    """Whether this run is for a GPU.

    Raises:
        UserError: A GPU is asked for, and there is none.
    """
    import torch

    if config.device == "cuda":
        check_gpu()
    return torch.cuda.is_available() and config.device != "cpu"


def check_gpu() -> None:
    """Make sure that PyTorch sees a GPU.

    Raises:
        UserError: There is none.
    """
    import torch

    if not torch.cuda.is_available():
        raise UserError("PyTorch sees no GPU: leave --gpu or device=cuda out, or see `faultgym doctor`")


def base_model(path: str, config: TrainConfig, *, quantised: bool) -> Any:
    """The base with its weights.

    Args:
        path: A folder, or a hub id.
        config: Gives the type of the weights and the device.
        quantised: Whether the weights are loaded in 4 bits (nf4, double quantisation).

    Raises:
        UserError: The model cannot be loaded.
    """
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    dtype = getattr(torch, weight_dtype(config))
    options: dict[str, Any] = {"dtype": dtype}
    if quantised:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
        if not uses_gpu(config):
            options["device_map"] = {"": "cpu"}
    with _loading(path):
        model = AutoModelForCausalLM.from_pretrained(path, **options)
    return keep_unpacked(model) if quantised else model


@contextmanager
def _loading(path: str) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise UserError(f"no model can be loaded from {path} ({_first(error)})") from error


def with_adapter(model: Any, adapter: str) -> Any:
    """The model with an adapter that is trained further.

    Args:
        model: The base.
        adapter: The adapter's folder.

    Raises:
        UserError: The adapter does not fit.
    """
    from peft import PeftModel
    from safetensors import SafetensorError

    try:
        return PeftModel.from_pretrained(model, adapter, is_trainable=True)
    except (RuntimeError, ValueError, KeyError, OSError, SafetensorError) as error:
        raise UserError(
            f"the adapter {adapter} does not fit this model ({_first(error)}): give the model that it was trained on"
        ) from error


def adapter_config(config: TrainConfig) -> Any:
    """PEFT's configuration of a new adapter."""
    from peft import LoraConfig

    return LoraConfig(
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        use_dora="dora" in config.adapter,
        target_modules=list(config.target_modules) if config.target_modules else "all-linear",
        task_type="CAUSAL_LM",
    )


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
