"""`openai:`, the policy that asks any OpenAI-compatible chat-completions server.

    openai:MODEL@URL[,URL...][?option=value&...]
    openai:Qwen/Qwen3-8B@http://gpu1:8000/v1,http://gpu2:8000/v1?prompt=best&temperature=0.7

Several URLs are replicas of one server. An episode stays with the one it began at, whose prefix cache
holds its chat, until that one breaks. The API key, if one is needed, is taken from OPENAI_API_KEY.
"""

from __future__ import annotations

import asyncio
import os
import socket
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

import orjson

from faultgym.agents.models.asking import RequestOptions, guide, hint, unparsed
from faultgym.agents.models.auto import format_of
from faultgym.agents.models.formats import FORMATS, Format
from faultgym.agents.models.history import assistant_message, called, extra_of
from faultgym.agents.models.http_client import Address
from faultgym.agents.models.prompts import system_text
from faultgym.agents.models.replicas import Replica, ReplicaPool, RequestRefused, RetryPolicy
from faultgym.agents.models.reply import ChatResponse, read_reply, with_confidence
from faultgym.agents.models.sampling import SERVER, PromptOptions, Sampling, filled, known_options, options
from faultgym.agents.policy import Opening, heard_and_said
from faultgym.agents.rollouts.stop import Sleep
from faultgym.core.errors import HarnessError, ServerRefusal, UserError
from faultgym.core.hashing import stable_hash
from faultgym.core.json import JSON
from faultgym.core.text import storable
from faultgym.envs.episode import StepRecord
from faultgym.envs.messages.turn import CONTENT_FILTER, CONTEXT_OVERFLOW, Message, Observation, Turn
from faultgym.tools.types import ToolResult, ToolSpec

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]


_NOT_THE_CHAT = frozenset({401, 402, 403, 404, 405})
"""Statuses of refusals that would meet any other chat too: no key, no such model."""


@dataclass(frozen=True)
class OpenAIPolicy:
    """A model behind one or several OpenAI-compatible servers. Safe to use from any number of event loops.

    Raises:
        UserError: The model or the servers are missing, a URL or the API key cannot be, two options contradict each
            other, or there is no such system prompt.
    """

    model: str
    urls: tuple[str, ...]
    sampling: Sampling = field(default_factory=Sampling)
    prompting: PromptOptions = field(default_factory=PromptOptions)
    request: RequestOptions = field(default_factory=RequestOptions)
    patience: RetryPolicy = field(default_factory=RetryPolicy)
    sleep: Sleep = asyncio.sleep
    make_pool: Callable[..., ReplicaPool] = ReplicaPool
    """Where somebody wants to see what is asked: a class of his own."""
    api_key: str = field(default="", repr=False)
    _pools: dict[asyncio.AbstractEventLoop, ReplicaPool] = field(default_factory=dict, repr=False, compare=False)
    _tails: dict[tuple[tuple[ToolSpec, ...], bool], bytes] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.model or not self.urls:
            raise UserError("an openai policy needs a model's name and a server's URL")
        if not self.api_key.isascii() or not self.api_key.isprintable():
            raise UserError("the API key holds characters that no HTTP header takes")
        if self.prompting.guided == "tags" and self.format not in (None, FORMATS["hermes"]):
            raise UserError(
                f"policy option guided=tags binds calls in <tool_call> tags, which format={self.prompting.format} does"
                " not write: leave one of the two out"
            )
        for url in self.urls:
            Address.of(url)
        self.describe()

    @property
    def name(self) -> str:
        """The model without the servers, which say nothing of how the model acts."""
        return f"openai:{self.model}"

    def describe(self) -> JSON:
        """All that shapes the policy's turns; where the servers are, and how patiently they are asked, does not."""
        return {
            "name": self.name,
            "kind": "openai",
            "model": self.model,
            "sampling": {**self.sampling.data(), "seeded": self.sampling.seeded},
            **self.prompting.data(),
            **({} if self.format is None or self.prompting.format in FORMATS else {"format": self.format.name}),
            "request": {**self.request.data(), **self.request.choice()},
        }

    def start(self, opening: Opening) -> ChatActor:
        """An actor for a new episode."""
        return ChatActor(self, opening)

    def resume(self, opening: Opening, steps: Sequence[StepRecord]) -> ChatActor:
        """An actor that has these steps behind it, by any policy; the last one's results it still has to hear.

        Args:
            opening: What the episode began with.
            steps: The turns so far, from the first.
        """
        actor = ChatActor(self, opening)
        for heard, step in heard_and_said(opening, steps):
            actor.recall(heard, step.turn)
        return actor

    async def pool(self) -> ReplicaPool:
        """The servers, as the running event loop uses them."""
        loop = asyncio.get_running_loop()
        found = self._pools.get(loop)
        if found is None:
            for ended in [known for known in self._pools if known.is_closed()]:
                del self._pools[ended]
            _allow_files()
            found = self.make_pool(self.urls, "/chat/completions", self.api_key, self.patience, self.sleep)
            self._pools[loop] = found
            await found.guard()
        return found

    def tail(self, tools: tuple[ToolSpec, ...], *, all_room: bool = False) -> bytes:
        """What stands after the messages in each request that offers these tools, the seed left out.

        Args:
            tools: The tools.
            all_room: Whether the completion may take what the prompt leaves of the context, instead of `max_tokens`.
        """
        found = self._tails.get((tools, all_room))
        if found is None:
            rest = {"model": self.model, **self.sampling.data(), **self.request.data()}
            if all_room:
                rest.pop("max_tokens", None)
                rest.pop("max_completion_tokens", None)
            if tools:
                rest["tools"] = [tool.openai() for tool in tools]
                rest.update(unparsed(self.prompting.format))
                rest.update(self.request.choice())
                rest.update(guide(self.prompting.guided, tools))
            found = self._tails[tools, all_room] = b"]," + orjson.dumps(rest)[1:-1]
        return found

    def unreachable(self) -> list[str]:
        """The servers that take no connection now. They may still be starting: an episode waits for them."""
        gone = []
        for url in self.urls:
            address = Address.of(url)
            try:
                socket.create_connection((address.host, address.port), 3).close()
            except OSError:
                gone.append(url)
        return gone

    @property
    def format(self) -> Format | None:
        """How the model writes tool calls; None when the server parses them."""
        name = self.prompting.format
        return None if name == SERVER else format_of(name, self.model)


class ChatActor:
    """One episode's chat with the model. What was said is kept as the bytes in which it is sent again."""

    __slots__ = ("_chain", "_chat", "_policy", "_pool", "_prefix", "_replica", "_seed", "_turns")

    def __init__(self, policy: OpenAIPolicy, opening: Opening):
        self._policy = policy
        self._seed = opening.seed
        self._chat = bytearray(b'{"messages":[')
        self._chain: array[int] | None = None
        """Token ids of the last prompt and what was sampled after it."""
        self._pool: ReplicaPool | None = None
        self._replica: Replica | None = None
        self._prefix = 0
        self._turns = 0

    async def act(self, observation: Observation, tools: tuple[ToolSpec, ...]) -> Turn:
        """The model's next turn; an empty one where the chat no longer fits, or a filter does not let it through.

        Its finish reason says which: `CONTEXT_OVERFLOW` or `CONTENT_FILTER`.

        Raises:
            ServerRefusal: The server will not serve this chat.
            HarnessError: No server could be made to give a turn.
        """
        if self._pool is None:
            self._pool = await self._policy.pool()
        self._hear(observation)
        if self._replica is None:
            self._replica = self._pool.home(self._prefix)
        limits = (False, True) if self._policy.sampling.most is not None else (False,)
        for all_room in limits:  # a server may count `max_tokens` against a prompt that would fit with less
            try:
                return self._taken(await self._said(tools, all_room))
            except RequestRefused as error:
                if error.ending == CONTENT_FILTER:
                    return Turn(finish_reason=CONTENT_FILTER)
                if not error.ending:
                    kind = HarnessError if error.status in _NOT_THE_CHAT else ServerRefusal
                    raise kind(
                        f"the model server at {self._replica.url} refused a request: {error}{hint(error)}"
                    ) from error
        return Turn(finish_reason=CONTEXT_OVERFLOW)

    async def _said(self, tools: tuple[ToolSpec, ...], all_room: bool) -> ChatResponse:
        assert self._pool is not None
        assert self._replica is not None
        seed = b',"seed":%d' % (stable_hash("turn", self._seed, self._turns) >> 33) if self._seeded else b""
        body = b"".join((self._chat, self._policy.tail(tools, all_room=all_room), seed, b"}"))
        format, number = self._policy.format, self._turns
        said, self._replica = await self._pool.ask(
            self._replica, body, lambda reply: read_reply(reply, format, number, tools), self._seed, number
        )
        return said

    def recall(self, observation: Observation, turn: Turn) -> None:
        """Hear what came before, and take a turn as one's own."""
        self._hear(observation)
        self._add(assistant_message(turn))
        self._turns += 1

    @property
    def _seeded(self) -> bool:
        return self._policy.sampling.seeded

    def _hear(self, observation: Observation) -> None:
        """Add the new messages to the chat."""
        first = len(self._chat)
        for message in observation.messages:
            data = message.openai()
            data["content"] = storable(data["content"])
            if isinstance(message, ToolResult):
                data["name"] = called(message.name)
                data["tool_call_id"] = storable(message.call_id)
            elif not self._turns and message.role == "system":
                data["content"] = self._system(message)
            self._add(data)
        if not self._turns:
            digest = blake2b(memoryview(self._chat)[first:], digest_size=8).digest()
            self._prefix = int.from_bytes(digest, "big")

    def _system(self, message: Message) -> str:
        prompting = self._policy.prompting
        return storable(system_text(message.content, prompting.prompt, prompting.confidence))

    def _add(self, message: JSON) -> None:
        if self._chat[-1:] != b"[":
            self._chat += b","
        self._chat += orjson.dumps(message)

    def _taken(self, said: ChatResponse) -> Turn:
        """The turn, after it has become part of the chat."""
        turn = with_confidence(said.turn) if self._policy.prompting.confidence else said.turn
        turn = replace(turn, extra=extra_of(turn, said.message))
        self._add(assistant_message(turn))
        self._turns += 1
        if said.prompt_ids is not None:
            new, kept, self._chain = continued(self._chain, said.prompt_ids, turn.token_ids or ())
            turn = replace(turn, prompt_ids=new, prompt_kept=kept)
        return turn


def continued(
    chain: array[int] | None, prompt: list[int], sampled: tuple[int, ...]
) -> tuple[tuple[int, ...], int, array[int]]:
    """(the prompt's tokens that are new, how many of the chain's it begins with, the chain from here on).

    All of the chain is kept where the server's template gives back exactly what was sampled. Where it
    does not, the number says from which token on the two differ.

    Args:
        chain: Token ids of the last prompt and what was sampled after it; None before the first.
        prompt: Token ids of this prompt.
        sampled: Token ids of what was sampled after this prompt.

    Example:
        >>> continued(array("i", [1, 2, 3]), [1, 2, 3, 4], (5,))
        ((4,), 3, array('i', [1, 2, 3, 4, 5]))
    """
    now = array("i", prompt)
    kept = 0
    if chain is not None:
        kept = len(chain)
        if now[:kept] != chain:
            kept = next((n for n, (a, b) in enumerate(zip(now, chain, strict=False)) if a != b), min(len(now), kept))
    new = tuple(prompt[kept:])
    now.extend(sampled)
    return new, kept, now


def policy_from(text: str, environment: Mapping[str, str] = os.environ) -> OpenAIPolicy:
    """The policy for what stands after `openai:`.

    Args:
        text: `MODEL@URL[,URL...][?option=value&...]`.
        environment: Where OPENAI_API_KEY is looked up.

    Raises:
        UserError: The text names no model or no server, or an option is unknown or cannot have its value.

    Example:
        >>> policy_from("m@http://localhost:8000/v1?temperature=0.7").sampling.temperature
        0.7
    """
    spec, _, query = text.partition("?")
    model, at, urls = spec.partition("@http")
    if not at or not model:
        raise UserError(
            f"policy openai:{text} names no {'server' if model else 'model'}: it is written "
            "openai:MODEL@URL, such as openai:Qwen/Qwen3-8B@http://localhost:8000/v1?temperature=0.7&prompt=best"
        )
    given = options(query)
    known_options(given, Sampling, PromptOptions, RequestOptions, RetryPolicy)
    return OpenAIPolicy(
        model,
        tuple(url for url in f"http{urls}".split(",") if url),
        filled(Sampling, given),
        filled(PromptOptions, given),
        filled(RequestOptions, given),
        filled(RetryPolicy, given),
        api_key=environment.get("OPENAI_API_KEY", ""),
    )


def _allow_files() -> None:
    """Let this process have as many sockets as the system allows it: each request under way is one."""
    if resource is None:
        return
    try:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and (hard == resource.RLIM_INFINITY or soft < hard):
            most = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    except (ValueError, OSError):  # not ours to change
        return
