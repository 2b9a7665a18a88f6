"""`tiny` from nothing: demonstrations, a tokenizer made from them, a structured initialisation, supervised training."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faultgym.agents.models.files import keep, trained_folder
from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.envs.judging.form import DEFAULT_ANSWERS, Answers
from faultgym.training.configs.tiny_recipe import Recipe
from faultgym.training.configs.train import TrainConfig
from faultgym.training.rows.columns import features
from faultgym.training.rows.rendered import renderer
from faultgym.training.rows.templates import template_text
from faultgym.training.trainers.run import train
from faultgym.training.trainers.tiny.structure import Structure, structured
from faultgym.training.trainers.tiny.vocabulary import tokenizer_for
from faultgym.training.trainers.watch import OnStep

TEMPLATE = "tiny"
TEXTS = 2500
"""Demonstrations that the tokenizer is made from."""
CONTEXT = 4096
HEADS = 4
HEAD_SIZE = 64
THETA = 1e6


@dataclass(frozen=True, slots=True)
class TinyModel:
    """A model that was trained from nothing."""

    folder: Path
    demonstrations: int
    steps: int
    parameters: int
    seconds: float


def make(
    recipe: Recipe,
    out: Path | None = None,
    *,
    seed: int = 0,
    answers: Answers = DEFAULT_ANSWERS,
    progress: OnStep | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> TinyModel:
    """Train the recipe's model into a folder, which is replaced whole; needs the extra `train`.

    The same seed on the same machine, with the same number of threads, gives the same weights.

    Args:
        recipe: What the model is taught, and its sizes.
        out: A new or empty folder; None for the user's cache, under the recipe's name, in place of what is there.
        seed: Of demonstrations, initial weights and training.
        answers: How the episodes end that it is shown, and so how it ends its own.
        progress: Told of each step; None for nobody.
        say: Told what is being done.

    Returns:
        Where the model is, and what its making took.

    Raises:
        UserError: `out` holds anything, or as of `train`.
    """
    began = time.monotonic()
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is not an empty folder: choose another one for the model, or delete it")
    folder = out or trained_folder(recipe.name, answers)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{recipe.name}-") as place:
        work = Path(place)
        say("the demonstrations: playing the tasks")
        rows = list(recipe.demonstrations(seed, answers))
        say(f"{len(rows):,} demonstrations; the tokenizer")
        tokenizer = _tokenizer(recipe, rows)
        model = _initial(recipe, tokenizer, seed)
        model.save_pretrained(work / "initial")
        tokenizer.save_pretrained(work / "initial")
        parameters = sum(p.numel() for p in model.parameters())
        _write(rows, work / "data")
        say(f"{parameters / 1e6:.1f} million parameters; training")
        result = train(_config(recipe, work, seed), progress)
        keep(work / "model", folder)
    return TinyModel(
        folder=folder,
        demonstrations=len(rows),
        steps=result.steps,
        parameters=parameters,
        seconds=time.monotonic() - began,
    )


def _config(recipe: Recipe, work: Path, seed: int) -> TrainConfig:
    return TrainConfig(
        method="sft",
        model=str(work / "initial"),
        data=(str(work / "data"),),
        out=str(work / "model"),
        adapter="none",
        prompt="none",
        seed=seed,
        epochs=1,
        max_length=recipe.max_length,
        too_long="drop",
        batch_size=recipe.batch_size,
        accumulation=1,
        optimizer="muon",
        learning_rate=recipe.learning_rate,
        muon_lr=recipe.muon_lr,
        weight_decay=0.01,
        warmup_steps=recipe.warmup_steps,
        report_to=(),
        dtype="float32",
    )


def _tokenizer(recipe: Recipe, rows: Sequence[JSON]) -> Any:
    chosen = rows[:: max(1, len(rows) // TEXTS)]
    render = renderer(TEMPLATE).apply_chat_template
    texts = [render(row["messages"], tools=json.loads(row["tools"]), tokenize=False) for row in chosen]
    return tokenizer_for(texts, template_text(TEMPLATE), recipe.vocabulary)


def _initial(recipe: Recipe, tokenizer: Any, seed: int) -> Any:
    """A plain Llama, which transformers, PEFT and vLLM load as any other, with the structured initialisation."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        intermediate_size=2 * recipe.hidden,
        num_hidden_layers=recipe.layers,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=HEAD_SIZE,
        attention_bias=True,
        tie_word_embeddings=True,
        max_position_embeddings=CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": THETA},
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config).float()
        structured(model, Structure(), seed)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    return model


def _write(rows: Sequence[JSON], folder: Path) -> None:
    """The rows as a data set that `train` takes."""
    from datasets import Dataset, Features

    columns = features("messages")
    folder.mkdir()
    wanted = Features({name: columns[name] for name in ("messages", "tools")})
    Dataset.from_list(list(rows), features=wanted).to_parquet(folder / "rows.parquet")
