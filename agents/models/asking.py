"""What is asked of a model server beside the chat, and what to do when it does not know a word of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import orjson

from faultgym.agents.models.replicas import RequestRefused
from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.tools.types import ToolSpec


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """What is asked of the server beside the text."""

    tokens: bool = True
    """Token ids of prompt and completion (vLLM's `return_token_ids`; other servers may refuse the word)."""
    logprobs: bool = True
    """The sampled tokens' log probabilities."""
    tool_choice: Literal["auto", "none", "required"] | None = None
    """Sent beside the tools where it is given; a server that takes tools out of the prompt with `none` shows the model
    no tools then."""
    body: str = ""
    """A JSON object of further fields for each request, such as `{"chat_template_kwargs": {...}}`."""

    def data(self) -> JSON:
        """The fields of a request.

        Raises:
            UserError: `body` is no JSON object.
        """
        try:
            more = orjson.loads(self.body or "{}")
        except ValueError as error:
            raise UserError(f"policy option body is not JSON: {error}") from None
        if not isinstance(more, dict):
            raise UserError("policy option body is a JSON object")
        asked: JSON = {"return_token_ids": True} if self.tokens else {}
        if self.logprobs:
            asked["logprobs"] = True
        return {**asked, **more}

    def choice(self) -> JSON:
        """The field of a request that offers tools, where it is asked for."""
        return {} if self.tool_choice is None else {"tool_choice": self.tool_choice}


def unparsed(format: str) -> JSON:
    """The fields of a request for a server that shall leave tool calls in the text.

    The words that mark them are special tokens in some vocabularies.

    Args:
        format: As in `PromptOptions`.
    """
    if format == "server":
        return {}
    return {"skip_special_tokens": False}


def guide(guided: str, tools: tuple[ToolSpec, ...]) -> JSON:
    """The fields of a request that bind what is sampled to the tools' schemas.

    Args:
        guided: As in `PromptOptions`.
        tools: Those that are offered.
    """
    if guided == "required":
        return {"tool_choice": "required"}
    if guided == "none":
        return {}
    structures = [
        {
            "begin": f'<tool_call>\n{{"name": "{tool.name}", "arguments": ',
            "schema": tool.parameters,
            "end": "}\n</tool_call>",
        }
        for tool in tools
    ]
    return {"response_format": {"type": "structural_tag", "structures": structures, "triggers": ["<tool_call>"]}}


def hint(error: RequestRefused) -> str:
    """What to do about words that only some servers know: in brackets, after a space; or nothing.

    Args:
        error: What the server refused.
    """
    if "max_completion_tokens" in error.text:
        return (
            " (a hosted reasoning model takes few fields: try the policy options"
            " max_completion_tokens=4096&temperature=-&seeded=no&tokens=no&logprobs=no)"
        )
    words = (word for word in _HINTS if word in error.text)
    return next((f" (try the policy option {_HINTS[word]})" for word in words), "")


_HINTS = {
    "return_token_ids": "tokens=no",
    "logprobs": "logprobs=no",
    "tool choice requires": "tool_choice=none, or start the server with a tool parser",
    "tool_choice": "tool_choice=-, or another value",
    "'max_tokens'": "max_tokens=-",
    "max_tokens is too large": "max_tokens=-, or a smaller number",
    "'temperature'": "temperature=-",
    "'seed'": "seeded=no",
}
"""Words in a refusal -> what to do about them."""
