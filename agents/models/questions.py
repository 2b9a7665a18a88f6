"""Four questions to a model server, and what its answers mean for rollouts.

Whether the tools are in the prompt, whether calls come back parsed, whether token ids do, and whether earlier calls and
results are in the next prompt. What a prompt holds is told by its length alone, as the server counts it: a server that
counts nothing is asked in vain, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import orjson

from faultgym.agents.models.replicas import RequestRefused
from faultgym.agents.models.reply import ChatResponse, read_reply, usage_of
from faultgym.core.json import JSON
from faultgym.core.text import storable

Verdict = Literal["yes", "no", "unknown"]
FEW, MANY = 16, 2048
"""Tokens of a turn that only its prompt is of interest, and of one that shall hold a call."""
TRIES = 2
"""How often a model is asked for a call."""
LONGER = " It has been so since the morning, and the evening will be the same." * 8
TOOL: JSON = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Say what the weather is in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Answered(NamedTuple):
    """What came back."""

    status: int
    body: bytes


Post = Callable[[JSON], Answered]
"""Sends the body of a request for a chat completion."""


@dataclass(frozen=True, slots=True)
class ServerFinding:
    """One question, and what is to be said of it."""

    question: str
    answer: Verdict
    told: str


class ServerExam:
    """Asks a server through `post`, in the fewest words that it takes."""

    def __init__(self, post: Post, model: str):
        """Take the server; nothing is asked yet.

        Args:
            post: Sends a request.
            model: Is asked.
        """
        self._post = post
        self._model = model
        self._most = "max_tokens"
        self._choice: JSON = {}

    def findings(self) -> list[ServerFinding]:
        """The four questions in their order; each asks as many requests as it needs.

        Raises:
            RequestRefused: The server refuses the plainest request.
            UnreadableReply: The server answers no chat completion.
        """
        self._asked([_user("Say hello.")], FEW)
        parsed = self._calls_parsed()  # first: it tells which words the server insists on
        return [self._tools_seen(), parsed, self._ids_returned(), self._history_kept()]

    # ---- the questions -------------------------------------------------------------------------------

    def _tools_seen(self) -> ServerFinding:
        what = "are the tools in the prompt?"
        chat = [_user("Say hello.")]
        try:
            bare, shown = self._length(chat), self._length(chat, tools=[TOOL], **self._choice)
        except RequestRefused as error:
            return ServerFinding(what, "no", f"a request with tools is refused: {error}")
        if bare is None or shown is None:
            return ServerFinding(what, "unknown", _UNCOUNTED)
        if shown > bare:
            return ServerFinding(what, "yes", f"the prompt is {shown - bare} tokens longer with a tool than without")
        return ServerFinding(
            what, "no", "the prompt is as long with tools as without: the model's chat template leaves them out"
        )

    def _calls_parsed(self) -> ServerFinding:
        what = "do calls come back parsed?"
        chat = [_user("What is the weather in Rome? Find out with the tool weather; do not answer by yourself.")]
        for _ in range(TRIES):
            try:
                found = self._asked(chat, MANY, tools=[TOOL], **self._choice)[0]
            except RequestRefused as error:
                if "tool choice requires" not in error.text:
                    return ServerFinding(what, "no", f"a request with tools is refused: {error}")
                self._choice = {"tool_choice": "none"}
                return ServerFinding(what, "no", _NO_PARSER)
            turn = found.turn
            if turn.salvaged:
                return ServerFinding(what, "no", _UNPARSED)
            if turn.tool_calls:
                return _well_formed(what, found)
            if turn.finish_reason == "length":
                return ServerFinding(
                    what, "unknown", f"the model wrote {MANY} tokens and no call: does it think for long?"
                )
        return ServerFinding(what, "unknown", f"the model called nothing, and said: {_shown(turn.text)}")

    def _ids_returned(self) -> ServerFinding:
        what = "do token ids come back?"
        chat = [_user("Say hello.")]
        try:
            found, _ = self._asked(chat, FEW, return_token_ids=True, logprobs=True)
        except RequestRefused as error:
            return ServerFinding(what, "no", f"the words are refused ({error}); roll out with tokens=no&logprobs=no")
        lacking = [
            name
            for name, value in (
                ("ids of the prompt", found.prompt_ids),
                ("ids of what was sampled", found.turn.token_ids),
                ("log probabilities", found.turn.logprobs),
            )
            if value is None
        ]
        if lacking:
            return ServerFinding(
                what, "no", f"without {', '.join(lacking)}: traces tell no drift, and GRPO has nothing to train on"
            )
        return ServerFinding(what, "yes", "of prompt and completion, with log probabilities")

    def _history_kept(self) -> ServerFinding:
        what = "are earlier turns in the prompt?"
        try:
            plain = self._length(_chat(), tools=[TOOL], **self._choice)
            result = self._length(_chat(result=LONGER), tools=[TOOL], **self._choice)
            call = self._length(_chat(city=LONGER), tools=[TOOL], **self._choice)
        except RequestRefused as error:
            return ServerFinding(what, "no", f"a chat with a call and its result is refused: {error}")
        if plain is None or result is None or call is None:
            return ServerFinding(what, "unknown", f"{_UNCOUNTED}; a chat with a call and its result is taken")
        lost = [name for name, length in (("calls", call), ("results", result)) if length <= plain]
        if lost:
            return ServerFinding(
                what,
                "no",
                f"earlier {' and '.join(lost)} are left out by the chat template: the model does not see them",
            )
        return ServerFinding(what, "yes", f"calls and results; {self._thoughts_kept(plain)}")

    def _thoughts_kept(self, plain: int) -> str:
        thoughts = {"reasoning_content": LONGER, "reasoning": LONGER}
        try:
            longer = self._length(_chat(**thoughts), tools=[TOOL], **self._choice)
        except RequestRefused:
            return "thoughts are refused"
        if longer is None or longer <= plain:
            return "thoughts are left out, as many chat templates do"
        return "thoughts too"

    # ---- asking --------------------------------------------------------------------------------------

    def _length(self, messages: list[JSON], **more: Any) -> int | None:
        """Tokens of the prompt; None where the server does not say."""
        found, usage = self._asked(messages, FEW, **more)
        if found.prompt_ids is not None:
            return len(found.prompt_ids)
        return usage or None

    def _asked(self, messages: list[JSON], most: int, **more: Any) -> tuple[ChatResponse, int]:
        """The reply, and how long the prompt was by the server's count (0 where it does not count)."""
        body: JSON = {"model": self._model, "messages": messages, self._most: most, **more}
        answered = self._post(body)
        if answered.status != 200:
            text = " ".join(storable(answered.body[:2000].decode("utf-8", "replace")).split())[:300]
            if self._most == "max_tokens" and "max_completion_tokens" in text:
                self._most = "max_completion_tokens"
                return self._asked(messages, most, **more)
            raise RequestRefused(answered.status, text)
        found = read_reply(answered.body)
        counted = usage_of(orjson.loads(answered.body).get("usage"))
        return found, 0 if counted is None else counted.prompt


def _well_formed(question: str, found: ChatResponse) -> ServerFinding:
    call = found.turn.tool_calls[0]
    arguments = call.arguments
    try:
        arguments = orjson.loads(call.raw) if arguments is None else arguments
    except ValueError:
        return ServerFinding(question, "no", f"the arguments are no JSON: {_shown(call.raw)}")
    if not isinstance(arguments, dict):
        return ServerFinding(question, "no", f"the arguments are no object: {_shown(call.raw)}")
    written = f"{call.name}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"
    aside = "" if call.name == "weather" else "; the model called that in place of weather, which it was asked for"
    return ServerFinding(question, "yes", f"{_shown(written)}{aside}")


def _user(text: str) -> JSON:
    return {"role": "user", "content": text}


def _chat(result: str = "", city: str = "Rome", **thoughts: str) -> list[JSON]:
    """A chat of one call and its result."""
    arguments = orjson.dumps({"city": city}).decode()
    function = {"name": "weather", "arguments": arguments}
    call = {"id": "t0000c000", "type": "function", "function": function}
    return [
        _user("What is the weather in Rome?"),
        {"role": "assistant", "content": None, **thoughts, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t0000c000", "name": "weather", "content": f"It is sunny.{result}"},
    ]


def _shown(text: str) -> str:
    return repr(text if len(text) <= 120 else f"{text[:120]}...")


_UNCOUNTED = "the server does not count the tokens of a prompt, so it cannot be told"
_UNPARSED = (
    "the call stands in the text or the thoughts: start the server with the model's own tool parser, or roll out with"
    " the policy option format="
)
_NO_PARSER = (
    "the server has no tool parser: start it with one (vLLM: --enable-auto-tool-choice --tool-call-parser NAME), or"
    " roll out with the policy options format=NAME&tool_choice=none"
)
