"""HTTP/1.1 over asyncio, as much of it as asking a model server takes: one POST at a time per connection.

General clients spend a millisecond of CPU on a request; with thousands of episodes in flight in one
process that is where the time would go. This one spends about a tenth of it. Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

from faultgym.core.errors import UserError

MAX_HEAD = 64 * 1024
"""Bytes of a status line with its headers."""
MAX_BODY = 64 * 1024 * 1024
"""Bytes of a reply: more is a server gone wild."""

CONNECT_SECONDS = 15.0
"""How long a connection may take to come about: a host that drops what is sent to it never refuses."""


class Broken(Exception):
    """The exchange did not come to its end: refused, reset, cut short, or not HTTP."""


class Reply(NamedTuple):
    """What a server sent back."""

    status: int
    headers: dict[bytes, bytes]
    """Names in lower case; of repeated ones the last."""
    body: bytes


class Address(NamedTuple):
    """A base URL taken apart."""

    host: str
    port: int
    tls: bool
    path: str
    """Without a slash at its end: `/v1`."""

    @classmethod
    def of(cls, url: str) -> Address:
        """The address of a base URL such as `http://localhost:8000/v1`; `/v1` may be left out.

        Raises UserError for anything that is no such URL.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UserError(f"{url!r} is not a URL: {error}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or not url.isascii() or " " in url:
            raise UserError(f"{url!r} is not the URL of a model server, such as http://localhost:8000/v1")
        tls = parts.scheme == "https"
        return cls(parts.hostname, port or (443 if tls else 80), tls, parts.path.rstrip("/") or "/v1")


class Connection(asyncio.Protocol):
    """One connection: sends a request, collects its reply."""

    __slots__ = ("_body", "_buffer", "_chunked", "_head", "_left", "_reply", "_transport", "closed", "heard")

    def __init__(self) -> None:
        self.closed = False
        self.heard = False
        """Whether any byte has come back since the request was sent."""
        self._transport: asyncio.Transport | None = None
        self._reply: asyncio.Future[Reply] | None = None
        self._clear()

    def _clear(self) -> None:
        self._buffer = bytearray()
        self._head: tuple[int, dict[bytes, bytes]] | None = None
        self._body = bytearray()
        self._left: int | None = None
        """Bytes of the body still to come; None when it ends with the connection."""
        self._chunked = False

    async def send(self, request: bytes) -> Reply:
        """Send the bytes of a request and return the reply to it. Raises `Broken`."""
        assert self._transport is not None
        if self.closed:
            raise Broken("the connection is closed")
        self._clear()
        self.heard = False
        self._reply = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._reply
        except BaseException:
            self.close()
            raise
        finally:
            self._reply = None

    def close(self) -> None:
        """End the connection at once."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the event loop."""
        self.closed = True
        if self._reply is None or self._reply.done():
            return
        if error is None and self._head is not None and self._left is None and not self._chunked:
            self._done()
            return
        where = "in the middle of its reply" if self.heard else "before it replied"
        self._fail(f"the server closed the connection {where}" + (f" ({error})" if error else ""))

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        if self._reply is None or self._reply.done():
            self.close()  # bytes that nobody asked for: what comes next could not be told apart
            return
        self.heard = True
        self._buffer += data
        try:
            self._advance()
        except ValueError as error:
            self._fail(f"the server does not speak HTTP: {error}")

    def _advance(self) -> None:
        while self._head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > MAX_HEAD:
                    raise ValueError("its headers do not end")
                return
            head = bytes(self._buffer[:end])
            del self._buffer[: end + 4]
            self._read_head(head)
        if self._chunked:
            if self._read_chunks():
                self._done()
            return
        self._body += self._buffer
        self._buffer.clear()
        if len(self._body) > MAX_BODY:
            raise ValueError("its reply is too large")
        if self._left is not None and len(self._body) >= self._left:
            if len(self._body) > self._left:
                self.closed = True
                del self._body[self._left :]
            self._done()

    def _read_head(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        version, _, rest = first.partition(b" ")
        code = rest[:3]
        if not version.startswith(b"HTTP/1.") or not code.isdigit() or len(code) < 3:
            raise ValueError(f"it begins with {first[:60]!r}")
        status = int(code)
        if 100 <= status < 200:
            return
        headers = {}
        for line in lines:
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip()
        self._head = status, headers
        self._chunked = b"chunked" in headers.get(b"transfer-encoding", b"").lower()
        length = headers.get(b"content-length")
        if status in (204, 304):
            self._left = 0
        elif length is not None and not self._chunked:
            if not length.isdigit() or len(length) > 12:
                raise ValueError(f"Content-Length is {length[:40]!r}")
            self._left = int(length)
        if version == b"HTTP/1.0" or headers.get(b"connection", b"").lower() == b"close":
            self.closed = True

    def _read_chunks(self) -> bool:
        """Take whole chunks out of the buffer; whether the last one has come."""
        buffer, at = self._buffer, 0
        while True:
            line = buffer.find(b"\r\n", at)
            if line < 0:
                if len(buffer) - at > MAX_HEAD:
                    raise ValueError("a chunk's size does not end")
                break
            text = bytes(buffer[at:line]).partition(b";")[0].strip()
            if not text or len(text) > 8 or text.strip(b"0123456789abcdefABCDEF"):
                raise ValueError(f"a chunk's size is {text[:40]!r}")
            size = int(text, 16)
            if size == 0:
                end = line if buffer[line + 2 : line + 4] == b"\r\n" else buffer.find(b"\r\n\r\n", line)
                if end < 0 or len(buffer) < end + 4:
                    break
                return True
            if len(buffer) < line + 2 + size + 2:
                break
            self._body += buffer[line + 2 : line + 2 + size]
            at = line + 2 + size + 2
            if len(self._body) > MAX_BODY:
                raise ValueError("its reply is too large")
        del buffer[:at]
        if len(buffer) > MAX_BODY:
            raise ValueError("its reply is too large")
        return False

    def _done(self) -> None:
        assert self._head is not None
        assert self._reply is not None
        self._reply.set_result(Reply(*self._head, bytes(self._body)))
        self._clear()
        if self.closed:
            self.close()

    def _fail(self, reason: str) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(Broken(reason))
        self.close()


class Connections:
    """The connections to one server: as many as there are requests at the same time, then kept for the next."""

    __slots__ = ("_head", "_idle", "_tls", "address")

    def __init__(self, address: Address, path: str, api_key: str = ""):
        self.address = address
        self._idle: list[Connection] = []
        self._tls = ssl.create_default_context() if address.tls else None
        host = f"[{address.host}]" if ":" in address.host else address.host
        key = f"Authorization: Bearer {api_key}\r\n" if api_key else ""
        self._head = (
            f"POST {address.path}{path} HTTP/1.1\r\nHost: {host}:{address.port}\r\n{key}"
            "Content-Type: application/json\r\nAccept: application/json\r\nContent-Length: "
        ).encode("latin-1")

    async def post(self, body: bytes) -> Reply:
        """Send the body and return the reply. Raises `Broken`; cancelling it ends its connection.

        A kept connection that the server has closed in the meantime is no failure: a new one is tried.
        """
        request = b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
        while self._idle:
            kept = self._idle.pop()
            if kept.closed:
                continue
            try:
                return await self._exchange(kept, request)
            except Broken:
                if kept.heard:
                    raise
        return await self._exchange(await self._connect(), request)

    async def _exchange(self, connection: Connection, request: bytes) -> Reply:
        reply = await connection.send(request)
        if not connection.closed:
            self._idle.append(connection)
        return reply

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        host, port = self.address.host, self.address.port
        try:
            async with asyncio.timeout(CONNECT_SECONDS) as limit:
                _, made = await loop.create_connection(Connection, host, port, ssl=self._tls)
        except (OSError, UnicodeError) as error:
            said = f"none within {CONNECT_SECONDS:g} seconds" if limit.expired() else error
            raise Broken(f"no connection to {host}:{port} ({said})") from error
        return made

    def close(self) -> None:
        """End the idle connections; those in use end when their requests do."""
        while self._idle:
            self._idle.pop().close()
