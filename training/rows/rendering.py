"""Which rows an example becomes: the options of `rows/conversational.py` as one value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.training.examples import SFTExample
from faultgym.training.rows.columns import Arguments, Form, Reasoning
from faultgym.training.rows.conversational import sft_row, turn_rows
from faultgym.training.rows.rendered import rendered_text, renderer
from faultgym.training.rows.tokenizers import tokenizer_from

RowsOf = Callable[[SFTExample], Iterator[JSON]]


@dataclass(frozen=True, slots=True)
class Rendering:
    """How examples become rows."""

    form: Form = "messages"
    """`messages`, `turns` or `text`."""
    reasoning: Reasoning = "field"
    arguments: Arguments = "object"
    tokenizer: str = ""
    """For `text`: a tokenizer's folder, or its name on the hub."""
    template: str = ""
    """For `text`: the chat template's name, which is enough by itself; empty for the tokenizer's own."""

    def rows_of(self) -> RowsOf:
        """The function that turns an example into its rows; for `text` it needs transformers.

        Raises:
            UserError: `text` lacks both template and tokenizer, another form is given one, or they cannot be loaded.
        """
        if self.form == "text":
            return self._texts()
        if self.tokenizer or self.template:
            raise UserError("a tokenizer and a chat template are for rows of text: leave them out, or ask for text")
        return self._turns if self.form == "turns" else self._messages

    def _messages(self, example: SFTExample) -> Iterator[JSON]:
        yield sft_row(example, reasoning=self.reasoning, arguments=self.arguments)

    def _turns(self, example: SFTExample) -> Iterator[JSON]:
        yield from turn_rows(example, reasoning=self.reasoning, arguments=self.arguments)

    def _texts(self) -> RowsOf:
        if not self.tokenizer and not self.template:
            raise UserError("rows of text need --template: a chat template's name, or --tokenizer with its own")
        tokenizer = tokenizer_from(self.tokenizer, self.template) if self.tokenizer else renderer(self.template)

        def texts(example: SFTExample) -> Iterator[JSON]:
            yield rendered_text(sft_row(example, reasoning=self.reasoning, arguments=self.arguments), tokenizer)

        return texts
