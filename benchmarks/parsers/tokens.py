"""A tokenizer that has every mark of vLLM's parsers as one token and all else as bytes: their own come from a hub."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

_MARK = re.compile(r"""["'](</?[|｜]?[\w｜▁:|]+[|｜]?>|\[/?[A-Z_]+\]|<[|｜][^"'\s]{2,40}[｜|]>)["']""")  # noqa: RUF001
_MORE = "[ARGS] [THINK] [/THINK] [CALL_ID] [TOOL_CALLS] <|python_tag|> <|im_start|> <|im_end|> <think> </think>"
_LATER = {"[ARGS]", "[THINK]", "[/THINK]", "[CALL_ID]"}
"""What Mistral's tokenizers have from v11 on."""


@lru_cache(1)
def marks() -> frozenset[str]:
    """What vLLM's sources of parsers quote that looks like a mark."""
    import vllm

    folder = Path(vllm.__file__).parent
    found = set(_MORE.split(" "))
    for part in ("tool_parsers", "parser", "reasoning"):
        for path in (folder / part).glob("*.py"):
            found.update(_MARK.findall(path.read_text("utf-8")))
    return frozenset(found)


@lru_cache(4)
def tokenizer(early: bool = False) -> Any:
    """The tokenizer.

    Args:
        early: Whether it is one of Mistral's before v11.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={c: n for n, c in enumerate(alphabet)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    kept = sorted(marks() - (_LATER if early else set()))
    made.add_special_tokens([AddedToken(mark, special=False, normalized=False) for mark in kept])
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|im_end|>")


class HarmonyTokens:
    """gpt-oss' tokenizer as far as its parser asks it: openai-harmony has the vocabulary."""

    def __init__(self) -> None:
        from openai_harmony import HarmonyEncodingName, load_harmony_encoding

        self._encoding = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)

    def encode(self, text: str, **_: Any) -> list[int]:
        """The text's tokens, marks as one each."""
        ids: list[int] = self._encoding.encode(text, allowed_special="all")
        return ids

    def decode(self, ids: Any, **_: Any) -> str:
        """The text of tokens, marks included."""
        text: str = self._encoding.decode(list(ids))
        return text

    def get_vocab(self) -> dict[str, int]:
        """The tokens that are marks."""
        return {mark: self.encode(mark)[0] for mark in ("<|channel|>", "<|message|>", "<|call|>", "<|end|>")}


@lru_cache(1)
def harmony_tokens() -> HarmonyTokens:
    """The one."""
    return HarmonyTokens()
