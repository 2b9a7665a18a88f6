"""What is asked of a model server beside the chat, and what to do when it does not know a word of it."""

from __future__ import annotations

from dataclasses import dataclass

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


def unparsed(format: str) -> JSON:
    """The fields of a request for a server that shall leave tool calls in the text: one without a parser refuses tools
    otherwise, and the words that mark calls are special tokens in some vocabularies.

    Args:
        format: As in `PromptOptions`.
    """
    if format == "server":
        return {}
    return {"tool_choice": "none", "skip_special_tokens": False}


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
    known = {"return_token_ids": "tokens=no", "logprobs": "logprobs=no", "top_logprobs": "logprobs=no"}
    return next((f" (try the policy option {option})" for word, option in known.items() if word in error.text), "")
