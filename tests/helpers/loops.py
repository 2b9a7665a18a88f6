"""A loop that is small enough to be run many times: a lending library, a random model, one step of training.

The processes that are killed are forked from one that has imported `loaded`.
"""

import sys
from pathlib import Path

from faultgym.training.loop.config import LoopConfig
from faultgym.training.loop.round import LoopCallbacks
from faultgym.training.loop.run import run_loop
from helpers import (
    bookshelf,  # noqa: F401  its suite is registered
    vocabularies,
)

ONE_STEP = {"max_steps": 1, "learning_rate": 1e-2, "report_to": "none", "device": "cpu"}


def make_model(folder: Path) -> Path:
    """A random Llama with a tokenizer of its own."""
    texts = ["Lend BOK-123456. What does it cost? The price is 1,234 cents.", "# Tools\n<tool_call>{}</tool_call>"]
    tokenizer = vocabularies.trained_on(texts)
    vocabularies.tiny_model(tokenizer, folder)
    tokenizer.save_pretrained(folder)
    return folder


def settings(model: Path, **more) -> dict:
    """What a small loop is asked for."""
    return {
        "model": str(model),
        "suites": ["bookshelf"],
        "style": "http",
        "faults": ["clean", "mild"],
        "dev_faults": ["mild"],
        "episodes": 4,
        "pair_episodes": 2,
        "dev_tasks": 1,
        "samples": 1,
        "turns": 6,
        "sampling": "max_tokens=4&batch=1",
        "dev_sampling": "max_tokens=4&batch=1&temperature=0",
        "unaudited": True,
        "sft": ONE_STEP,
        "pref": ONE_STEP,
        **more,
    }


def config(model: Path, **more) -> LoopConfig:
    """The same as a configuration."""
    return LoopConfig.of(settings(model, **more))


def go(folder: Path, asked: LoopConfig) -> None:
    """Begin the loop, or go on with it; for a process of its own."""
    import torch

    torch.set_num_threads(1)
    said = (folder.parent / f"{folder.name}.log").open("a")
    watching = LoopCallbacks(say=lambda text: print(text, file=said, flush=True))
    sys.stderr = said
    run_loop(folder, asked, resume=(folder / "loop.json").exists(), watching=watching)
