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
