"""What the policies that hold a model in this process share: chats as tokens, and never the same text tokenised twice.

    hf:MODEL[?option=value&...]      transformers, see `transformers.py`
    vllm:MODEL[?option=value&...]    vLLM's engine, see `vllm.py`

MODEL is `tiny-random`, `smollm2`, a folder, or a hub id. Options are those of `Sampling`, `PromptOptions` and
`LoadOptions`.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

from faultgym.agents.models.auto import format_of
from faultgym.agents.models.files import is_embedded, model_path, model_version
from faultgym.agents.models.formats import FORMATS, Format, Tools
from faultgym.agents.models.history import THOUGHTS, asked, assistant_message, extra_of
from faultgym.agents.models.openai import continued
from faultgym.agents.models.prompts import system_text
from faultgym.agents.models.reply import numbered, with_confidence
from faultgym.agents.models.salvage import with_calls_left
from faultgym.agents.models.sampling import SERVER, Count, PromptOptions, Sampling, filled, known_options, options
from faultgym.agents.policy import Opening, heard_and_said
from faultgym.core.errors import UserError
from faultgym.core.hashing import stable_hash
from faultgym.core.json import JSON
from faultgym.core.text import storable
from faultgym.envs.episode import StepRecord
from faultgym.envs.messages.turn import CONTEXT_OVERFLOW, Observation, Turn
from faultgym.tools.types import ToolCall, ToolSpec

HASHED_BYTES = 1 << 20
"""So much of the beginning and of the end of each of a model's files goes into its fingerprint."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How the model is loaded."""

    adapter: str = ""
    """The folder of a LoRA adapter."""
    dtype: str = "auto"
    """The type of the weights, as torch calls it."""
    max_model_len: Count = 0
    """Tokens of a prompt and its completion; 0 for as many as the model can take."""
    eager: bool = False
    """Whether vLLM leaves the model uncompiled: it starts sooner, needs no C++ compiler, and is slower."""
    batch: Count = 0
    """Turns that transformers samples at a time, padded to the longest: 0 for one on a CPU and 16 on a GPU. With more
    than one, a turn's logits differ in their last bits with what shares the batch. vLLM decides by itself."""


@dataclass(frozen=True, slots=True)
class SampledTokens:
    """What a model wrote."""

    ids: tuple[int, ...]
    """With the token that ended it, if one did."""
    logprobs: tuple[float, ...]
    """Natural logarithms, before temperature and cuts."""
    ended: bool
    """Whether the model ended by itself; else it was cut."""


class LoadedModel(Protocol):
    """A model with its tokenizer."""

    length: int
    """Tokens of a prompt and its completion."""

    @property
    def dead(self) -> bool:
        """Whether the model can never answer again; then another one is loaded."""

    def render(self, messages: list[JSON], tools: list[JSON], prompt: bool) -> str:
        """The chat as the model's template writes it.

        Args:
            messages: The chat in OpenAI's form; the arguments of calls are objects.
            tools: Those that are offered, in OpenAI's form.
            prompt: Whether the text goes up to where the next turn begins.
        """

    def encode(self, text: str) -> list[int]:
        """The tokens of a rendered text, none added."""

    def decode(self, ids: tuple[int, ...]) -> str:
        """The text of tokens, special ones included."""

    async def sample(self, ids: list[int], sampling: Sampling, most: int, seed: int) -> SampledTokens:
        """Sample a turn.

        Args:
            ids: The prompt's tokens.
            sampling: Temperature and cuts.
            most: How many tokens the turn may have.
            seed: The turn's; not used where `sampling` is not seeded.

        Raises:
            HarnessError: The engine is broken.
        """


@dataclass(frozen=True)
class LocalPolicy:
    """A model in this process, which is loaded when first asked.

    Args:
        kind: The policy's prefix: `hf` or `vllm`.
        model: An embedded model's name, a folder, or a hub id.
        load: Loads the model.
        sampling: How tokens are chosen.
        prompting: What the model is told, and how its text is read.
        loading: How the model is loaded.

    Raises:
        UserError: No model is named, `guided` is asked for, or there is no adapter in the folder named.
    """

    kind: str
    model: str
    load: Callable[[str, LoadOptions], LoadedModel]
    sampling: Sampling = field(default_factory=Sampling)
    prompting: PromptOptions = field(default_factory=PromptOptions)
    loading: LoadOptions = field(default_factory=LoadOptions)
    _loaded: dict[asyncio.AbstractEventLoop, LoadedModel] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.model:
            raise UserError(f"policy {self.kind}: names no model: it is written {self.kind}:MODEL?option=value")
        if self.prompting.guided != "none":
            raise UserError(
                f"policy {self.kind}: takes no guided={self.prompting.guided}; openai: does, with a vLLM server"
            )
        if self.sampling.temperature is None:
            raise UserError(f"policy {self.kind}: needs a temperature: there is no server that has one of its own")
        if self.loading.adapter and not (Path(self.loading.adapter) / "adapter_config.json").is_file():
            raise UserError(f"policy option adapter: there is no adapter in {self.loading.adapter}")

    @property
    def name(self) -> str:
        """The kind and the model; a folder by its own name, so that a trace says the same wherever it was made."""
        model = Path(self.model).resolve().name if Path(self.model).is_dir() else self.model
        return f"{self.kind}:{model}"

    def describe(self) -> JSON:
        """All that shapes the policy's turns.

        Raises:
            UserError: There is no such system prompt, or the model is one that has to be trained first.
        """
        return {
            "name": self.name,
            "kind": self.kind,
            "model": identity(self.model),
            "adapter": identity(self.loading.adapter) if self.loading.adapter else None,
            "dtype": self.loading.dtype,
            "max_model_len": self.loading.max_model_len,
            **({"batch": self.loading.batch} if self.loading.batch > 1 else {}),
            "sampling": {**self.sampling.data(), "seeded": self.sampling.seeded},
            **self.prompting.data(),
            "format": self.format.name,
        }

    @property
    def format(self) -> Format:
        """How the model writes tool calls."""
        name = self.prompting.format
        return FORMATS["hermes"] if name == SERVER else format_of(name, self.model, self.loading.adapter)

    def start(self, opening: Opening) -> LocalActor:
        """An actor for a new episode."""
        return LocalActor(self, opening)

    def resume(self, opening: Opening, steps: Sequence[StepRecord]) -> LocalActor:
        """An actor that has these steps behind it, by any policy; the last one's results it still has to hear.

        The chat so far is tokenised as the template writes it; from the next turn on tokens are kept as sampled.

        Args:
            opening: What the episode began with.
            steps: The turns so far, from the first.
        """
        actor = LocalActor(self, opening)
        for heard, step in heard_and_said(opening, steps):
            actor.recall(heard, step.turn)
        return actor

    def prepare(self) -> None:
        """Load the model, without which no episode of a run would ever do.

        Raises:
            UserError: The model cannot be loaded.
            ModuleNotFoundError: What loads it is not installed.
        """
        try:
            self.loaded()
        except (UserError, ModuleNotFoundError):  # of a missing module the caller says which extra brings it
            raise
        except Exception as error:
            raise UserError(f"{self.name} cannot be loaded: {type(error).__name__}: {error}") from error

    def loaded(self) -> LoadedModel:
        """The model as the running event loop uses it; the first call loads it, and everything waits.

        Models of loops that have ended are forgotten.

        Raises:
            RuntimeError: No event loop is running.
        """
        loop = asyncio.get_running_loop()
        for ended in [one for one in self._loaded if one.is_closed()]:
            del self._loaded[ended]
        if loop not in self._loaded or self._loaded[loop].dead:
            self._loaded[loop] = self.load(self.model, self.loading)
        return self._loaded[loop]


class LocalActor:
    """One episode's chat, as messages and as the very tokens that the model has read and written.

    Args:
        policy: The actor's.
        opening: The opening, whose messages the first observation repeats: its seed counts.
    """

    __slots__ = ("_chain", "_messages", "_open", "_policy", "_seed", "_turns", "_written")

    def __init__(self, policy: LocalPolicy, opening: Opening):
        self._policy = policy
        self._seed = opening.seed
        self._messages: list[JSON] = []
        self._chain: array[int] | None = None
        """The last prompt's tokens and what was sampled after it."""
        self._open = ""
        """The last prompt's text."""
        self._written = ("", False)
        """The last completion's text, and whether its last token ended the turn."""
        self._turns = 0

    async def act(self, observation: Observation, tools: tuple[ToolSpec, ...]) -> Turn:
        """The model's next turn; one with the finish reason `CONTEXT_OVERFLOW` where the chat no longer fits.

        Raises:
            HarnessError: The engine is broken.
        """
        policy = self._policy
        model = policy.loaded()
        said = len(self._messages)
        self._messages.extend(self._heard(observation))
        prompt = self._prompt(model, [tool.openai() for tool in tools], said)
        room = model.length - len(prompt)
        if room < 1:
            return Turn(finish_reason=CONTEXT_OVERFLOW)
        seed = stable_hash("turn", self._seed, self._turns) >> 33
        most = policy.sampling.most
        sampled = await model.sample(prompt, policy.sampling, room if most is None else min(most, room), seed)
        return self._taken(model, prompt, sampled, tools)

    def recall(self, observation: Observation, turn: Turn) -> None:
        """Hear what came before and take a turn as one's own.

        Args:
            observation: What was heard before the turn.
            turn: A turn of the episode so far.
        """
        self._messages.extend(self._heard(observation))
        self._messages.append(_remembered(turn))
        self._turns += 1

    def _heard(self, observation: Observation) -> Iterator[JSON]:
        prompting = self._policy.prompting
        for message in observation.messages:
            data = message.openai()
            if data["role"] == "system" and not self._turns:
                data["content"] = system_text(data["content"], prompting.prompt, prompting.confidence)
            yield {name: storable(value) for name, value in data.items()}

    def _prompt(self, model: LoadedModel, tools: list[JSON], said: int) -> list[int]:
        """The next prompt: what was read and written so far, and only the rest tokenised.

        Where the template writes the chat so far in another way than before (it leaves out old thoughts,
        or the tools have changed), all of it is tokenised anew; `Turn.prompt_kept` shows it.
        """
        text = model.render(self._messages, tools, True)
        new = (
            None if self._chain is None else self._since(text, model.render(self._messages[:said], tools, False), model)
        )
        self._open = text
        if self._chain is None or new is None:
            return model.encode(text)
        return [*self._chain, *model.encode(new)]

    def _since(self, text: str, before: str, model: LoadedModel) -> str | None:
        """What the text adds to the tokens so far; None when it does not begin with them."""
        written, ended = self._written
        if not text.startswith(before) or not before.startswith(self._open + written):
            return None
        if ended and self._chain is not None:
            end = model.decode((self._chain[-1],))
            if not before.startswith(end, len(self._open) + len(written)):
                return None
            written += end
        return text[len(self._open) + len(written) :]

    def _taken(self, model: LoadedModel, prompt: list[int], sampled: SampledTokens, tools: Tools) -> Turn:
        """The turn, after it has become part of the chat."""
        text = storable(model.decode(sampled.ids[:-1] if sampled.ended else sampled.ids))
        format = self._policy.format
        turn = with_calls_left(format.read(text, tools), format.name)
        calls = numbered(turn.tool_calls, self._turns, format.own_ids)
        message: JSON = {"role": "assistant", "content": text}
        if calls and (turn.salvaged or not format.repeats_text):
            message = {"role": "assistant", "content": turn.text or None, "tool_calls": [asked(call) for call in calls]}
            message |= {THOUGHTS[0]: turn.reasoning} if turn.reasoning else {}
        new, kept, chain = continued(self._chain, prompt, sampled.ids)
        finish = turn.finish_reason if sampled.ended else "length"
        turn = replace(turn, tool_calls=calls, finish_reason=finish, token_ids=sampled.ids, logprobs=sampled.logprobs)
        turn = replace(turn, prompt_ids=new, prompt_kept=kept)
        turn = with_confidence(turn) if self._policy.prompting.confidence else turn
        turn = replace(turn, extra=extra_of(turn, message))
        self._messages.append(_remembered(turn))
        self._chain, self._written = chain, (text, sampled.ended)
        self._turns += 1
        return turn


def _remembered(turn: Turn) -> JSON:
    """The message of a turn as templates want it: a text in any case, and arguments that are objects."""
    message = assistant_message(turn)
    message["content"] = message["content"] or ""
    if "tool_calls" in message:
        message["tool_calls"] = [_asked(call) for call in turn.tool_calls]
    return message


def _asked(call: ToolCall) -> JSON:
    """The call as templates want it: arguments as an object, or as they were written where they are none."""
    written = call.arguments if call.arguments is not None or not call.raw else storable(call.raw)
    return {"type": "function", "id": call.id, "function": {"name": call.name, "arguments": written or {}}}


def identity(model: str) -> JSON:
    """A model's name, and where its files are here a hash of them (of large ones, of beginning and end).

    Args:
        model: An embedded model's name, a folder, or a hub id.

    Raises:
        UserError: The model is one that has to be trained first.
    """
    if is_embedded(model):
        return {"name": model, "version": model_version(model)}
    folder = Path(model_path(model))
    if not folder.is_dir():
        return {"name": model}
    digest = blake2b(digest_size=8)
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            digest.update(file.read(HASHED_BYTES))
            if size > HASHED_BYTES:
                file.seek(max(HASHED_BYTES, size - HASHED_BYTES))
                digest.update(file.read())
    return {"name": Path(model).name, "hash": digest.hexdigest()}


def local_policy(kind: str, text: str, load: Callable[[str, LoadOptions], LoadedModel]) -> LocalPolicy:
    """The policy for what stands after `hf:` or `vllm:`.

    Args:
        kind: The prefix.
        text: `MODEL?option=value&...`.
        load: Loads the model.

    Raises:
        UserError: No model is named, or an option is unknown or cannot have its value.
    """
    model, _, query = text.partition("?")
    given = options(query)
    known_options(given, Sampling, PromptOptions, LoadOptions)
    return LocalPolicy(
        kind, model, load, filled(Sampling, given), filled(PromptOptions, given), filled(LoadOptions, given)
    )
