"""The models of a loop as policies: a base and the adapter on it, or a whole model, under one engine.

What training writes holds more than a policy needs, and some of it differs from run to run: how long it took, when,
in which order a set of names was written. A policy's description hashes its files, and seeds follow from it. So each
candidate is published once more with its weights and settings alone, in one fixed form.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from faultgym.agents.models.files import MERGED, is_embedded
from faultgym.agents.models.server import Serving, free_port, served
from faultgym.core.errors import UserError
from faultgym.core.files import contents_sha256
from faultgym.training.loop.config import LoopConfig
from faultgym.training.trainers.models import LINEAGE, check_gpu

ADAPTER = "adapter_config.json"
_WEIGHTS = ("*.safetensors", "*.bin")
_SETTINGS = ("*.json", "*.jinja", "*.txt", "*.model")
_VARYING = frozenset({LINEAGE, "stage.json", "trainer_state.json", "sealed.json", "training_args.bin"})


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model that a policy can be made of."""

    model: str
    """What `hf:`, `vllm:` and `serve-model` take: a name, or the folder of a whole model."""
    adapter: str = ""
    """The folder of an adapter on it."""

    @classmethod
    def of(cls, base: str, folder: Path | None) -> ModelRef:
        """The base itself, or what a stage published: an adapter on the base, or a whole model.

        Args:
            base: The model that the loop began with.
            folder: What was published; None for the base.
        """
        if folder is None:
            return cls(base)
        return cls(base, str(folder)) if (folder / ADAPTER).is_file() else cls(str(folder))


def with_port(config: LoopConfig) -> LoopConfig:
    """The same settings with a port that is free now, where the engine needs one and none is named.

    A loop keeps its port: policies are named by it.
    """
    return replace(config, port=free_port()) if config.engine == "server" and not config.port else config


def policy_name(model: ModelRef, config: LoopConfig, sampling: str) -> str:
    """The policy, as `policy_named` takes it; for the engine `server` while `serving` runs.

    Args:
        model: What acts.
        config: Gives the engine and the port.
        sampling: Options of the policy, as after `hf:MODEL?`.
    """
    if config.engine == "server":
        name = Path(model.adapter).name if model.adapter else Serving(model.model).name
        return f"openai:{name}@http://127.0.0.1:{config.port}/v1?{sampling}"
    adapter = f"adapter={quote(model.adapter)}&" if model.adapter else ""
    return f"{config.engine}:{model.model}?{adapter}{sampling}"


@contextmanager
def serving(model: ModelRef, config: LoopConfig, say: Callable[[str], None]) -> Iterator[None]:
    """A server for the model while a stage asks it; nothing for the engines in this process.

    Args:
        model: What is served.
        config: Gives the engine and the port.
        say: Told how the server comes up.
    """
    if config.engine != "server":
        yield
        return
    adapters = (model.adapter,) if model.adapter else ()
    with served(Serving(model.model, adapters, port=config.port), say=say):
        yield


def publish_model(trained: Path, work: Path, prefix: str) -> tuple[Path, str]:
    """Make a folder with what a policy loads of a training result.

    Its name tells versions apart: servers and traces call the model by it. Weights are linked, not copied, where the
    file system can do that.

    Args:
        trained: The folder that training wrote.
        work: Where the new folder is made.
        prefix: What its name begins with; a part of the hash follows.

    Returns:
        (folder, SHA-256 of its weights).

    Raises:
        UserError: The training result holds no weights.
    """
    source = what_serves(trained)
    place = work / "unnamed"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    weights = sorted(path for pattern in _WEIGHTS for path in source.glob(pattern) if path.name not in _VARYING)
    if not weights:
        raise UserError(f"{source} holds no weights: delete the folder of this stage to train it again")
    for path in weights:
        _link(path, place / path.name)
    found = published_hash(place)
    for path in sorted(path for pattern in _SETTINGS for path in source.glob(pattern) if path.name not in _VARYING):
        (place / path.name).write_bytes(_fixed(path))
    named = work / f"{prefix}-{found[:8]}"
    shutil.rmtree(named, ignore_errors=True)
    place.rename(named)
    return named, found


def published_hash(place: Path) -> str:
    """SHA-256 over the weights in a published folder, by name and content."""
    return contents_sha256(sorted(path for pattern in _WEIGHTS for path in place.glob(pattern)))


def what_serves(trained: Path) -> Path:
    """The merged weights of a training result where they exist, else the result itself.

    vLLM serves no DoRA adapter, and on a CPU no adapter fast.
    """
    merged = trained / MERGED
    return merged if merged.is_dir() else trained


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _fixed(path: Path) -> bytes:
    """The file's content; PEFT writes the names of its layers in the order of a set."""
    content = path.read_bytes()
    if path.name != ADAPTER:
        return content
    settings: dict[str, Any] = orjson.loads(content)
    fixed = {name: sorted(value) if _names(value) else value for name, value in settings.items()}
    return orjson.dumps(fixed, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def _names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def check_model(config: LoopConfig) -> None:
    """Refuse a model that the engine cannot serve unchanged.

    Args:
        config: Gives the model, the adapter and the engine.

    Raises:
        UserError: The model is an adapter, does not exist, or could mean two things; a DoRA adapter would be served
            without being merged; or a GPU is asked for and there is none.
    """
    folder = Path(config.model)
    if (folder / ADAPTER).is_file():
        raise UserError(
            f"model {config.model} is an adapter: begin a loop with a whole model, such as the folder that"
            " `faultgym train --merge` writes beneath it"
        )
    if folder.is_file() or (not folder.exists() and config.model.startswith((".", "/", "~"))):
        raise UserError(f"there is no model folder {config.model}: give a folder, an embedded model's name or a hub id")
    if config.adapter in ("dora", "qdora") and config.engine != "hf":
        stages = {"sft": config.sft, **({} if config.preference == "none" else {"pref": config.pref})}
        for name, settings in stages.items():
            if settings.get("merge") not in (True, "true", "yes"):
                raise UserError(f"engine {config.engine} serves no DoRA adapter: set {name}.merge=true")
    if "cuda" in (config.sft.get("device"), config.pref.get("device")):
        check_gpu()
    if folder.is_dir() and is_embedded(config.model):
        raise UserError(f"{config.model} is an embedded model and a folder here: write ./{config.model} for the folder")
