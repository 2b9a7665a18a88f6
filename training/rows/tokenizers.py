"""Tokenizers by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faultgym.core.errors import UserError
from faultgym.training.rows.rendered import with_template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def tokenizer_from(name: str, template: str = "") -> PreTrainedTokenizerBase:
    """The tokenizer in a folder or of a name on the hub, with a training template where one is named.

    Args:
        name: The folder, or the name on the hub.
        template: The training template's name; empty for the tokenizer's own.

    Raises:
        UserError: There is no such tokenizer or template, or the tokenizer has no chat template at all.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise UserError(f"no tokenizer can be loaded from {name!r} ({str(error).splitlines()[0]})") from error
    if template:
        return with_template(tokenizer, template)
    if not tokenizer.chat_template:
        raise UserError(f"the tokenizer {name!r} has no chat template of its own: name one with --template")
    return tokenizer
