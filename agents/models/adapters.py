"""What a vLLM server makes of adapters, read in their settings before one is started.

vLLM 0.31 takes `r`, `lora_alpha`, `use_rslora`, `modules_to_save`, `bias` and `use_dora` out of an adapter's
settings and nothing else (`vllm/lora/peft_helper.py`): what else PEFT wrote there is passed over, and the adapter is
served as another one than was trained.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from faultgym.core.errors import UserError
from faultgym.core.json import JSON

LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as the largest rank."""
_MERGE = "merge it into its model (`model.merge_and_unload()` in PEFT, or --merge at training), and serve that"
_UNSERVED = {
    "use_dora": "is a DoRA adapter",
    "modules_to_save": "holds whole layers beside LoRA's (modules_to_save={})",
    "trainable_token_indices": "holds rows of the embeddings beside LoRA's (trainable_token_indices)",
    "target_parameters": "is on bare parameters (target_parameters={})",
    "lora_bias": "has biases of its own (lora_bias)",
    "alora_invocation_tokens": "is an activated LoRA, which acts on a part of the text alone",
}
"""Settings of PEFT's that vLLM refuses or passes over -> what an adapter with them is."""


def adapter_rank(adapters: Sequence[str]) -> int:
    """The largest rank that vLLM has to be told for these adapters.

    Args:
        adapters: Folders of LoRA adapters.

    Raises:
        UserError: There is no readable adapter, or vLLM does not serve one of its kind or rank as it was trained.
    """
    rank = 0
    for adapter in adapters:
        settings = adapter_settings(adapter)
        if problem := _unserved(settings):
            raise UserError(f"adapter {adapter} {problem}, which vLLM does not serve: {_MERGE}")
        rank = max(rank, *(found for found, _ in _ranks(settings)))
    largest = next((r for r in LORA_RANKS if r >= rank), None)
    if largest is None:
        raise UserError(f"vLLM serves adapters up to rank {LORA_RANKS[-1]}, not {rank}")
    return largest


def adapter_settings(adapter: str) -> JSON:
    """What PEFT wrote beside an adapter's weights.

    Args:
        adapter: The adapter's folder.

    Raises:
        UserError: There is no readable adapter_config.json.
    """
    try:
        found = json.loads((Path(adapter) / "adapter_config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"adapter {adapter}: no readable adapter_config.json there ({error})") from error
    if not isinstance(found, dict):
        raise UserError(f"adapter {adapter}: its adapter_config.json holds no settings")
    return found


def _unserved(settings: JSON) -> str:
    """Why vLLM would not serve an adapter as it was trained; empty where it does."""
    kind = settings.get("peft_type", "LORA")
    if kind != "LORA":
        return f"is of the kind {kind}"
    if not isinstance(settings.get("r", 8), int):
        return f"has the rank {settings['r']!r}"
    found = next((text for name, text in _UNSERVED.items() if settings.get(name)), "")
    if found:
        return found.format(next(settings[name] for name in _UNSERVED if settings.get(name)))
    if settings.get("bias", "none") != "none":
        return f"trained biases too (bias={settings['bias']})"
    if len({round(scale, 9) for _, scale in _ranks(settings)}) > 1:
        return "gives its layers different weights (rank_pattern or alpha_pattern)"
    return ""


def _ranks(settings: JSON) -> Iterator[tuple[int, float]]:
    """(the rank, by how much it is scaled) of each group of layers; vLLM scales all as it does the first."""
    first = settings.get("r", 8), settings.get("lora_alpha", 8)  # PEFT's defaults
    ranks, alphas = settings.get("rank_pattern") or {}, settings.get("alpha_pattern") or {}
    own = [(ranks.get(name, first[0]), alphas.get(name, first[1])) for name in sorted({*ranks, *alphas})]
    for rank, alpha in (first, *own):
        yield rank, alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
