"""`tiny-random`: a model for tests of the machinery, made in seconds from the expert's turns."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.plan import RolloutRequest
from faultgym.agents.rollouts.play import run_episode
from faultgym.envs.messages.hermes import format_hermes
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import task_by_id

TEMPLATE = Path(__file__).parent / "templates" / "hermes_lines.jinja"
VOCABULARY = 1024
WHOLE_CALLS = 192
MARKS = ["<|endoftext|>", "<|im_end|>", "<|im_start|>", "<|im_start|>assistant\n"]
TAGS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
"""Not special: what is special, servers leave out of the text, and their parsers would not see it."""


def make_tiny_random(folder: Path, write: Callable[[Turn], str] = format_hermes, template: str | None = None) -> None:
    """A Llama of 2.6 million parameters that knows which token follows which, and nothing else.

    Its embeddings are orthogonal, its attention is random and faint, and its output layer holds the logarithms of how
    often one token follows another in the expert's turns, of which the commonest calls are one token each. So
    the model calls tools at random, sometimes well, sometimes not even in form: all that a test of the machinery
    needs, without training.

    Args:
        folder: Where the model is saved.
        write: The form in which it writes turns, calls between `<tool_call>` and `</tool_call>`.
        template: The chat template of that form; the Hermes one if not given.

    Raises:
        ModuleNotFoundError: torch or transformers is not installed.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    texts = list(_expert_texts(write))
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
    tokenizer.chat_template = template or TEMPLATE.read_text()
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


def _expert_texts(write: Callable[[Turn], str]) -> Iterator[tuple[str, str]]:
    """(what was read, what was written) at each turn of some of the expert's episodes."""
    expert = policy_named("expert")
    for spec in RolloutRequest(suites=("orders", "incidents"), split="train", per_template=1).episodes():
        task = task_by_id(spec.task)
        schedule = schedule_for(task, spec.faults, spec.fault_seed)
        episode = run_episode(expert, task, schedule, answers="text")  # another default makes no other model
        read = "\n".join(message.content for message in episode.opening.messages)
        read += "".join(f"\n{tool.name}: {tool.description}" for tool in episode.tools)
        for step in episode.turns:
            yield read, write(replace(step.turn, reasoning=""))
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
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=MARKS[1], pad_token=MARKS[0], model_max_length=32768)
