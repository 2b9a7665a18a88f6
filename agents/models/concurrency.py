"""How many requests a model server is sent at a time: as many as there are, until it says it is too much."""

from __future__ import annotations

import asyncio
from collections import deque


class ConcurrencyLimiter:
    """Lets requests in, first come first served, up to a limit that follows the server.

    There is none until the server first refuses or keeps a request waiting too long. From then on the limit is
    additive increase, multiplicative decrease (Chiu and Jain, 1989): half of it when the server is
    crowded, one more for each limit's worth of requests that were served. Requests sent before the
    last cut say nothing about the limit after it, so a burst of refusals cuts it once.

    Example:
        >>> limiter = ConcurrencyLimiter()
        >>> limiter.inside = 8
        >>> limiter.crowded(limiter.cuts)
        >>> limiter.limit
        4.0
    """

    __slots__ = ("_queue", "cuts", "inside", "limit")

    def __init__(self) -> None:
        self.limit = float("inf")
        self.inside = 0
        """Requests under way."""
        self.cuts = 0
        """How often the limit was cut."""
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def load(self) -> int:
        """Requests under way, and those that wait to be let in."""
        return self.inside + len(self._queue)

    async def enter(self) -> int:
        """Wait to be let in; every `enter` that returns wants one `leave`.

        Returns:
            What `crowded` wants to know of this request.
        """
        if self.inside < self.limit and not self._queue:
            self.inside += 1
            return self.cuts
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # let in and cancelled at the same moment
                self.leave()
            raise
        return self.cuts

    def leave(self) -> None:
        """Note that a request has ended, with or without an answer."""
        self.inside -= 1
        self._admit()

    def served(self) -> None:
        """Note that a request was answered in good time."""
        if self.limit != float("inf"):
            self.limit += 1 / self.limit
            self._admit()

    def crowded(self, cuts: int) -> None:
        """Note that a request was refused or waited too long.

        Args:
            cuts: What `enter` gave the request.
        """
        if cuts == self.cuts:
            self.limit = max(1.0, min(self.limit, float(self.inside)) / 2)
            self.cuts += 1

    def _admit(self) -> None:
        while self._queue and self.inside < self.limit:
            turn = self._queue.popleft()
            if not turn.done():
                self.inside += 1
                turn.set_result(None)
