"""Between TRL's tool loop and our environments: turns are read and done exactly as in a rollout.

By itself TRL 1.16 (a) takes a call that does not parse, and all others of its message, for a final answer; (b) answers
a call of an unknown tool with a text of its own; (c) does not say which calls belong to one turn; (d) shows tools as
their docstrings say, in the order of the alphabet; (e) asks for a turn after the episode has ended. Here the tokenizer
reads turns with the parsers that model policies have, every call goes to its environment, the schemas are handed over
as they are, and the turn that ends an episode is the last.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from faultgym.agents.models.auto import AUTO, format_told_by
from faultgym.agents.models.formats import FORMATS, Format, Tools
from faultgym.agents.models.salvage import with_calls_left
from faultgym.core.bank import banked
from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.core.text import storable
from faultgym.envs.messages.turn import CONTEXT_OVERFLOW, Turn
from faultgym.tools.types import ToolSpec
from faultgym.training.environments.factory import TURN, ToolEpisode, TypedEpisode, specs_of
from faultgym.training.environments.rewards import measured

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from trl import GRPOTrainer

HERMES: JSON = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "reasoning_content": {"open": "<think>", "close_pattern": r"</think>\s*", "content": "text"},
        "tool_calls": {
            "open": "<tool_call>",
            "close_pattern": r"</tool_call>\s*",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close_pattern": r"<\|im_end\|>\s*", "content": "text"},
    },
}
"""The Hermes form as transformers declares such things: for whoever loads the tokenizer without us."""


@dataclass(frozen=True)
class TurnReader:
    """A tokenizer's `parse_response` that gives the message and, beside it, the `Turn` as a rollout reads it."""

    tokenizer: Any
    format: Format
    ends: frozenset[int]
    """Tokens that end a turn."""

    def __call__(self, response: Any, schema: Any = None, *, prefix: Any = None, tools: Any = None) -> Any:
        """The message of one turn's token ids; anything else is parsed as without us.

        Args:
            response: The token ids of one turn: for these nothing is raised.
            schema: A schema of transformers, which is left to the tokenizer.
            prefix: The token ids before the turn.
            tools: Those that the prompt offers, in OpenAI's form.
        """
        if schema is not None or not isinstance(response, list) or not all(type(t) is int for t in response):
            return type(self.tokenizer).parse_response(self.tokenizer, response, schema, prefix=prefix, tools=tools)
        return message_of(self.turn(response, prefix or [], _specs(tools)))

    def turn(self, ids: Sequence[int], prompt: Sequence[int], tools: Tools = ()) -> Turn:
        """The turn that was sampled after a prompt.

        Args:
            ids: Sampled tokens; without any there was no room for a turn.
            prompt: Tokens of the prompt.
            tools: Those that the prompt offers, by whose schemas values are typed.
        """
        if not ids:
            return Turn(finish_reason=CONTEXT_OVERFLOW)
        ended = ids[-1] in self.ends
        text = self.tokenizer.decode(
            list(ids[:-1] if ended else ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        turn = with_calls_left(self.format.read(storable(text), tools), self.format.name)
        return Turn(
            turn.text,
            turn.tool_calls,
            turn.reasoning,
            finish_reason=turn.finish_reason if ended else "length",
            token_ids=tuple(ids),
            prompt_ids=tuple(prompt),
            salvaged=turn.salvaged,
        )


def _specs(tools: Any) -> list[ToolSpec]:
    """The tools as a format takes them; what is in no form of OpenAI's says nothing of types."""
    functions = [tool.get("function") for tool in tools or () if isinstance(tool, dict)]
    return [
        ToolSpec(f["name"], str(f.get("description", "")), f.get("parameters") or {})
        for f in functions
        if isinstance(f, dict) and isinstance(f.get("name"), str)
    ]


def message_of(turn: Turn) -> JSON:
    """The turn as a chat message that TRL's loop takes; the turn itself stands beside the message.

    Example:
        >>> message = message_of(Turn("Done."))
        >>> message["role"], message["content"], message[TURN] == Turn("Done.")
        ('assistant', 'Done.', True)
    """
    message: JSON = {"role": "assistant", "content": turn.text, TURN: turn}
    if turn.reasoning:
        message["reasoning_content"] = turn.reasoning
    if turn.tool_calls:
        message["tool_calls"] = [
            {"type": "function", "function": {"name": storable(call.name), "arguments": call.arguments or {}}}
            for call in turn.tool_calls
        ]
    return message


def reads_turns(
    tokenizer: PreTrainedTokenizerBase, format: str = "hermes", generation: Any = None
) -> PreTrainedTokenizerBase:
    """A tokenizer that reads what a model says as model policies do.

    Args:
        tokenizer: Changed in place for Hermes's form, which alone is declared where the tokenizer is saved; copied for
            others.
        format: How the model writes tool calls: a key of `FORMATS`, or `auto`.
        generation: The model's generation settings, for further tokens that end a turn.

    Returns:
        The tokenizer itself, or its copy.

    Raises:
        UserError: There is no such format.
    """
    told = format_told_by(str(tokenizer.chat_template)) if format == AUTO else FORMATS.get(format)
    if told is None:
        raise UserError(f"there is no tool-call format {format!r}; the formats are {AUTO}, {', '.join(FORMATS)}")
    more = getattr(generation, "eos_token_id", None)
    ends = [tokenizer.eos_token_id, *([more] if isinstance(more, int) else more or [])]
    if told is not FORMATS["hermes"]:
        tokenizer = copy.copy(tokenizer)
    tokenizer.response_template = HERMES
    tokenizer.parse_response = TurnReader(tokenizer, told, frozenset(e for e in ends if e is not None))
    return tokenizer


class Door(dict[str, Callable[..., str]]):
    """What TRL's loop looks tools up in: every name leads to the environment, unknown ones too."""

    def __init__(self, environment: ToolEpisode, completion: Sequence[JSON]):
        super().__init__()
        self.environment = environment
        self.completion = completion

    def __contains__(self, name: object) -> bool:
        """Always."""
        return True

    def __getitem__(self, name: str) -> Callable[..., str]:
        """The next call of the turn that the completion ends with; its arguments are those that were read."""
        turn = self.completion[-1][TURN]

        def call(**_arguments: Any) -> str:
            return self.environment._answer(turn)

        return call


@banked("code", 8)
def episode_trainer_class() -> type[GRPOTrainer]:
    """The class of TRL's GRPOTrainer with its tool loop between our reader and our environments."""
    from trl import GRPOTrainer

    class EpisodeGRPOTrainer(GRPOTrainer):  # type: ignore[misc]
        """Takes what GRPOTrainer takes; the tokenizer has to be one of `reads_turns`."""

        def __init__(self, *, environment_factory: Mapping[str, Callable[[], ToolEpisode]], **more: Any):
            super().__init__(environment_factory=dict(environment_factory), **more)
            for name, pool in self._environment_pool.items():
                self._env_tools[name] = [spec.openai() for spec in specs_of(type(pool[0]))]

        def _tool_call_loop(
            self, prompts: Any, prompt_ids: Any, completion_ids: Any, completions: Any, *more: Any
        ) -> Any:
            self._sync_tool_dicts = [Door(e, c) for e, c in zip(self.environments, completions, strict=True)]
            return super()._tool_call_loop(prompts, prompt_ids, completion_ids, completions, *more)

        def _get_tool_suffix_ids(self, tool_messages: Any) -> Any:
            """Results as TRL's loop appends them; of an ended episode too long to be, so that its last turn stays last.

            The loop takes back what has no room, and asks for no further turn: none would be the policy's to take.
            """
            found = super()._get_tool_suffix_ids(tool_messages)
            if any(d.environment._stopped for d in self._sync_tool_dicts if d.completion[-1] is tool_messages[-1]):
                return [*found, *[0] * (self.max_completion_length + 1)]
            return found

        def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, *more: Any) -> Any:
            """The rewards; environments that give theirs themselves are told before how the chat went on."""
            typed = [(e, c) for e, c in zip(self.environments, completions, strict=True) if isinstance(e, TypedEpisode)]
            ended = [environment._end(completion, int(self.state.global_step)) for environment, completion in typed]
            for name, value in measured(ended).items() if typed else ():
                self._log_metric(f"episodes/{name}", value)
            return super()._calculate_rewards(inputs, prompts, completions, *more)

        def close_episodes(self) -> None:
            """Free what the pooled environments hold: TRL never closes them."""
            for pool in self._environment_pool.values():
                for environment in pool:
                    environment._close()

    return EpisodeGRPOTrainer
