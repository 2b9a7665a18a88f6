"""The model server of `faultgym bench rollout`, run by path as a process of its own: any interpreter will do.

    python stub_openai.py SECONDS

It prints its port, then answers every chat completion after SECONDS, with no limit: a call of the tool
`sql` while the chat holds fewer than two tool results, then a final text. It ends with its stdin. Plain
asyncio, so that it is not what is measured; on a line of stdin it says how many CPU seconds it has used.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time

STATEMENT = "SELECT id, status FROM orders ORDER BY id LIMIT 1"
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_RESULT = re.compile(rb'"role":\s*"tool"')


def _reply(message: dict[str, object], finish: str) -> bytes:
    body = json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "stub",
            "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        }
    ).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _call(number: int) -> bytes:
    function = {"name": "sql", "arguments": json.dumps({"query": STATEMENT})}
    calls = [{"id": f"call0000{number}", "type": "function", "function": function}]
    return _reply({"content": "", "tool_calls": calls}, "tool_calls")


REPLIES = (_call(0), _call(1), _reply({"content": "The order is shipped."}, "stop"))


class Stub(asyncio.Protocol):
    """One connection."""

    latency = 0.05

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = bytearray()
        self.later = asyncio.get_running_loop().call_later

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self.buffer, 0, end)
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self.buffer) >= whole:
            results = len(_RESULT.findall(self.buffer))
            del self.buffer[:whole]
            self.later(self.latency, self.transport.write, REPLIES[min(results, 2)])


async def serve() -> None:
    """Listen until stdin ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Stub, "127.0.0.1", 0, backlog=8192)
    print(server.sockets[0].getsockname()[1], flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(time.process_time(), flush=True)


if __name__ == "__main__":
    Stub.latency = float(sys.argv[1])
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    except (ImportError, ValueError, OSError):
        pass
    asyncio.run(serve())
