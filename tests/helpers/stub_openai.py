"""A stand-in for the outside world: an OpenAI-compatible server on loopback that answers, or misbehaves, as told.

It runs in the test's own event loop. What it is told is a function from a request to bytes: the whole HTTP
response, as broken as the test wants it.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass
class Request:
    """What came in."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    number: int
    """Of the server's requests, from 0."""
    raw: bytes = b""
    """The body as it came."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        return self.body["messages"]

    @property
    def turn(self) -> int:
        """Assistant messages so far."""
        return sum(m["role"] == "assistant" for m in self.messages)


class Hang:
    """Never answer."""


Answer = Callable[[Request], bytes | Hang | None]
"""None resets the connection."""


@dataclass
class Stub:
    """The server: `async with Stub(answer) as stub`, then `stub.url`."""

    answer: Answer
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    together: int = 0
    most_together: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> "Stub":
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.kill()

    async def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=2**24)
        self.port = self._server.sockets[0].getsockname()[1]

    def kill(self) -> None:
        """Refuse new connections, and reset those that there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers["content-length"]))
                request = Request(first.split()[1], headers, orjson.loads(body), len(self.requests), body)
                self.requests.append(request)
                self.together += 1
                self.most_together = max(self.together, self.most_together)
                try:
                    await asyncio.sleep(0)
                    answer = self.answer(request)
                finally:
                    self.together -= 1
                if isinstance(answer, Hang):
                    await asyncio.Event().wait()
                if answer is None:
                    writer.transport.abort()
                    return
                assert isinstance(answer, bytes)
                writer.write(answer)
                head_sent, _, body_sent = answer.partition(b"\r\n\r\n")
                if b"Content-Length: %d" % len(body_sent) not in head_sent:  # it is not whole: nothing more comes
                    writer.close()
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        except asyncio.CancelledError:
            return
        finally:
            self._open.discard(writer)
            writer.transport.abort() if self._server is None else writer.close()


def http(body: bytes, status: int = 200, **headers: str) -> bytes:
    """A whole response."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def said(content: str | None = "", *calls: tuple[str, Any], finish: str = "", **more: Any) -> bytes:
    """A chat completion; `more` are fields of its choice, but for `message` (of that) and `usage` (of the whole)."""
    message: dict[str, Any] = {"role": "assistant", "content": content, **more.pop("message", {})}
    if calls:
        message["tool_calls"] = [
            {
                "id": f"chatcmpl-tool-{n}",
                "type": "function",
                "function": {
                    "name": name,
                    "arguments": arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode(),
                },
            }
            for n, (name, arguments) in enumerate(calls)
        ]
    top = {name: more.pop(name) for name in ("prompt_token_ids", "usage", "error") if name in more}
    choice = {"index": 0, "message": message, "finish_reason": finish or ("tool_calls" if calls else "stop"), **more}
    return http(orjson.dumps({"id": "x", "object": "chat.completion", "choices": [choice], **top}))


def problem(status: int, message: str = "no", **headers: str) -> bytes:
    """An error as vLLM words it."""
    return http(orjson.dumps({"error": {"message": message, "code": status}}), status, **headers)


OVERFLOW = problem(400, "This model's maximum context length is 2048 tokens. However, you requested 4096 tokens.")


def librarian(request: Request) -> bytes:
    """A model that looks up the book it is asked for, tries again after an error, and says the price."""
    book = re.search(r"BOK-\d+", request.messages[1]["content"])
    assert book is not None
    seen = [m["content"] for m in request.messages if m["role"] == "tool"]
    price = re.search(r'price_cents"?: ?(\d+)', seen[-1]) if seen else None
    if price or len(seen) > 6:
        return said(f"{book[0]}: {price[1] if price else '?'} cents.")
    names = [tool["function"]["name"] for tool in request.body["tools"]]
    if "http" in names:
        return said("", ("http", {"method": "GET", "path": f"/v1/books/{book[0]}"}))
    return said("", ("get_book", {"book_id": book[0]}))
