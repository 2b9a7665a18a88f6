"""Chats as text: with the tokenizer's template, for trainers that take no tools and for people who want to look."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.training.rows.templates import template_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_FIRST = {"deepseek": "<\uff5cbegin\u2581of\u2581sentence\uff5c>", "llama3": "<|begin_of_text|>"}
_PROBE: list[JSON] = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]


def with_template(tokenizer: PreTrainedTokenizerBase, name: str) -> PreTrainedTokenizerBase:
    """The same tokenizer with the training template of a name.

    Args:
        tokenizer: Changed in place.
        name: The template's name; see `templates.template_names`.

    Raises:
        UserError: There is no such template, it needs a token that the tokenizer lacks, or its end of turn is not the
            tokenizer's `eos_token`: trainers would put a second end after it, and a server would not stop there.
    """
    text = template_text(name)
    try:
        said: str = tokenizer.apply_chat_template(_PROBE, tokenize=False, chat_template=text)
    except Exception as error:  # templates raise whatever they like
        raise UserError(
            f"template {name!r} cannot write with this tokenizer ({error}): where a token is undefined, set it in"
            " tokenizer_config.json, or choose another template"
        ) from error
    end = said.rstrip("\n")
    if not tokenizer.eos_token or not end.endswith(tokenizer.eos_token):
        raise UserError(
            f"turns of template {name!r} end in {end[-20:]!r}, but the tokenizer's eos_token is "
            f"{tokenizer.eos_token!r}: set tokenizer.eos_token, or choose another template"
        )
    tokenizer.chat_template = text
    return tokenizer


def renderer(name: str) -> PreTrainedTokenizerBase:
    """A tokenizer without a vocabulary, which can do nothing but render with a training template; needs transformers.

    For plain text before a model is chosen. The text begins with the model's own first token where the template writes
    one: those of `deepseek` and `llama3` are known here, of TRL's others left out.

    Args:
        name: The template's name.

    Raises:
        UserError: There is no such template.
    """
    from transformers import PreTrainedTokenizerBase

    return PreTrainedTokenizerBase(chat_template=template_text(name), bos_token=_FIRST.get(name, ""))


def tools_of(row: JSON) -> list[JSON] | None:
    """The tools of a row, whether its column holds JSON text or a list; None where there are none.

    Args:
        row: A row of any form.

    Example:
        >>> tools_of({"tools": '[{"type": "function"}]'}), tools_of({"tools": "[]"})
        ([{'type': 'function'}], None)
    """
    tools = row.get("tools")
    return (json.loads(tools) if isinstance(tools, str) else tools) or None


def rendered_text(row: JSON, tokenizer: PreTrainedTokenizerBase) -> JSON:
    """A row of the form `messages` as a row of the form `text`.

    Args:
        row: The row.
        tokenizer: Renders with its chat template; may be a `renderer`.
    """
    text = tokenizer.apply_chat_template(row["messages"], tools=tools_of(row), tokenize=False)
    return {"text": text, **{key: value for key, value in row.items() if key not in {"messages", "tools"}}}


def rendered_pair(row: JSON, tokenizer: PreTrainedTokenizerBase) -> JSON:
    """A row of the form `pairs` as a row of the form `rendered`, with the tools in the text of its prompt: for ORPO.

    ORPOTrainer does not take conversational rows: their tools are not read, and columns that keep messages exact make
    the trainer fail. Text ends with the end of turn, without the newline that some templates put after it, or ORPO
    would add another.

    Args:
        row: The row.
        tokenizer: Renders with its chat template.

    Returns:
        The row with `prompt`, `chosen` and `rejected` as text; its other columns unchanged, but for `tools`.
    """
    tools = tools_of(row)
    chosen, rejected = (_completed(tokenizer, row["prompt"], row[side], tools) for side in ("chosen", "rejected"))
    prompt = _text(tokenizer, row["prompt"], tools, add_generation_prompt=True)
    prompt = common_start(common_start(prompt, chosen), rejected)
    texts = {"prompt": prompt, "chosen": chosen[len(prompt) :], "rejected": rejected[len(prompt) :]}
    return {**texts, **{key: value for key, value in row.items() if key not in {"tools", *texts}}}


def _completed(
    tokenizer: PreTrainedTokenizerBase, prompt: Sequence[JSON], completion: Sequence[JSON], tools: Any
) -> str:
    return _text(tokenizer, [*prompt, *completion], tools).rstrip("\n")


def _text(tokenizer: PreTrainedTokenizerBase, messages: Sequence[JSON], tools: Any, **options: Any) -> str:
    text: str = tokenizer.apply_chat_template(list(messages), tools=tools, tokenize=False, **options)
    return text


def common_start(one: str, other: str) -> str:
    """What both texts begin with: some templates end a prompt in a way that no continuation has.

    Args:
        one: A text.
        other: Another one.

    Example:
        >>> common_start("a prompt<think>", "a prompt, and on")
        'a prompt'
    """
    return "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
