"""The replicas of one model server, asked patiently.

Whatever a server does ends here as one of three things: a value, `RequestRefused` (it understood the request and
will not serve it), or HarnessError (patience is at its end).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TypeVar

from faultgym.agents.models.concurrency import ConcurrencyLimiter
from faultgym.agents.models.http_client import Address, Broken, Connections, Reply
from faultgym.agents.models.overflow import is_overflow, refused_by_filter
from faultgym.agents.models.sampling import Count, NotNegative
from faultgym.agents.rollouts.stop import CURRENT, Sleep
from faultgym.core.errors import HarnessError
from faultgym.core.hashing import hash_to_unit
from faultgym.envs.messages.turn import CONTENT_FILTER, CONTEXT_OVERFLOW

REST_SECONDS = 5.0
"""How long a replica that could not be reached is left alone while there are others."""
LONGEST_WAIT = 60.0
"""Seconds that a server may ask us to wait."""
SICK = 3
"""Answers in a row that were none (429, 5xx, garbage) after which a replica counts as one that cannot be reached: it
answers at once, so that it would look like the least loaded one."""
SAME = 3
"""Equal answers to one request after which it is not sent again."""
PASSING = frozenset({408, 425, 429, 502, 503, 504, 520, 521, 522, 523, 524, 529})
"""Statuses of servers that are busy or starting, and of what stands before them: equal answers prove nothing."""
PREFIXES = 4096
"""Openings remembered with the replica that has them in its cache."""

T = TypeVar("T")


class RequestRefused(Exception):
    """Raised when the server understood the request and will not serve it: repeating it does not help.

    Args:
        status: The reply's.
        text: What the server said, shortened.
        ending: `context_overflow` or `content_filter` where it said that this is why; else empty.
    """

    def __init__(self, status: int, text: str, ending: str = ""):
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text
        self.ending = ending


class UnreadableReply(Exception):
    """Raised for a reply that is not what was asked for: garbage, or cut short."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to try. The defaults outlast the restart of a large model's server: some five minutes."""

    retries: Count = 14
    """Requests after the first."""
    timeout: NotNegative = 600.0
    """Real seconds that one request may take."""
    first_wait: NotNegative = 0.5
    """Seconds before the first retry; each further wait is twice as long, up to `longest_wait`."""
    longest_wait: NotNegative = 30.0

    def wait(self, attempt: int, *salt: object) -> float:
        """Seconds to wait after a failed attempt: between half of the step and all of it.

        Args:
            attempt: Counted from 1.
            salt: What tells this request's waits from those of others.

        Example:
            >>> 0.25 <= RetryPolicy().wait(1, "a") <= 0.5
            True
        """
        step = min(self.longest_wait, self.first_wait * 2.0 ** min(attempt - 1, 30))
        return step * (0.5 + 0.5 * hash_to_unit("backoff", attempt, *salt))


class Replica:
    """One server of a pool.

    Args:
        url: The server's base URL.
        path: What is asked for, after the URL.
        api_key: Sent as a bearer token; empty for none.
    """

    __slots__ = ("connections", "failed", "given", "limiter", "rests_until", "url")

    def __init__(self, url: str, path: str, api_key: str):
        self.url = url
        self.connections = Connections(Address.of(url), path, api_key)
        self.limiter = ConcurrencyLimiter()
        self.rests_until = float("-inf")
        self.given = 0
        """Episodes that were given to it."""
        self.failed = 0
        """Answers in a row that were none."""


class ReplicaPool:
    """The replicas as one event loop uses them; they end with the loop.

    Args:
        urls: The servers' base URLs.
        path: What is asked for, after a URL: `/chat/completions`.
        api_key: Sent as a bearer token; empty for none.
        patience: How long to try.
        sleep: Waits so many seconds.
        clock: The time in seconds, from any beginning.
    """

    def __init__(
        self,
        urls: tuple[str, ...],
        path: str,
        api_key: str = "",
        patience: RetryPolicy = RetryPolicy(),
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.replicas = tuple(Replica(url, path, api_key) for url in urls)
        self.patience = patience
        self.sleep = sleep
        self.clock = clock
        self._homes: OrderedDict[int, Replica] = OrderedDict()
        self._guard: AsyncGenerator[None, None] | None = None

    async def guard(self) -> None:
        """Have the connections closed when the running loop ends.

        No policy is told that it is not needed any more, but a loop closes its asynchronous
        generators before it ends: this one waits for nothing else.
        """
        self._guard = self._until_the_end()
        await anext(self._guard)

    async def _until_the_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            for replica in self.replicas:
                replica.connections.close()

    def home(self, prefix: int) -> Replica:
        """The replica for a new episode.

        The least loaded, unless one that has seen the same opening is about as free: that one has the
        prefix in its cache, which is what makes several samples of one task cheap.

        Args:
            prefix: A hash of the episode's first messages.
        """
        least = self._least_loaded(None)
        known = self._homes.get(prefix)
        if known is None or known.limiter.load > least.limiter.load * 1.25 + 8 or known.rests_until > self.clock():
            self._homes[prefix] = known = least
            if len(self._homes) > PREFIXES:
                self._homes.popitem(last=False)
        else:
            self._homes.move_to_end(prefix)
        known.given += 1
        return known

    def _least_loaded(self, beside: Replica | None) -> Replica:
        """Of the replicas that are up, or of all when none is; another than `beside` if there is one."""
        if len(self.replicas) == 1:
            return self.replicas[0]
        now = self.clock()
        others = [r for r in self.replicas if r is not beside]
        up = [r for r in others if r.rests_until <= now] or others
        return min(up, key=lambda r: (r.limiter.load, r.given))

    async def ask(self, replica: Replica, body: bytes, read: Callable[[bytes], T], *salt: object) -> tuple[T, Replica]:
        """Send a request until a server answers or patience is at its end.

        Args:
            replica: Is asked first; another one is when it breaks on the way.
            body: The request's.
            read: Reads the body of a reply; raises `UnreadableReply`.
            salt: What tells this request's waits from those of others.

        Returns:
            What `read` makes of the reply, and the replica that gave it.

        Raises:
            RequestRefused: The server will not serve the request.
            HarnessError: Patience is at its end, or the run is being stopped.
        """
        patience = self.patience
        attempt = 1
        same = _Sameness(len(self.replicas))
        while True:
            try:
                return await self._once(replica, body, read), replica
            except _Again as again:
                problem = f"{replica.url}: {again.problem}"
                if same.settled(replica.url, again.said):
                    raise HarnessError(
                        f"the model server gave the same answer {same.count} times: {problem}"
                    ) from again
                if attempt > patience.retries:
                    times = f"{attempt} times" if attempt > 1 else "once"
                    raise HarnessError(f"the model server failed {times}, at last {problem}") from again
                wait = max(again.wait, patience.wait(attempt, *salt))
                if again.lost or self._sick(replica):
                    replica = self._least_loaded(replica)
            attempt += 1
            stop = CURRENT.get()
            if stop is None:
                await self.sleep(wait)
            elif await stop.sleep(wait, self.sleep):
                raise HarnessError(f"the run is being stopped, and the model server has not answered: {problem}")

    def _sick(self, replica: Replica) -> bool:
        """Note an answer that was none; whether there have been too many."""
        replica.failed += 1
        if replica.failed < SICK:
            return False
        replica.rests_until = self.clock() + REST_SECONDS
        return True

    async def _once(self, replica: Replica, body: bytes, read: Callable[[bytes], T]) -> T:
        limiter, timeout, stop = replica.limiter, self.patience.timeout, CURRENT.get()
        cuts = await limiter.enter()
        begun = self.clock()
        try:
            if stop is not None and stop.asked:  # it stood in a queue meanwhile
                raise HarnessError(f"the run is being stopped: {replica.url} is not asked any more")
            async with asyncio.timeout(timeout) as limit:
                with nullcontext() if stop is None else stop.ends(limit):
                    reply = await replica.connections.post(body)
            if reply.status != 200:
                if reply.status in (429, 503):
                    limiter.crowded(cuts)
                raise trouble(reply)
            value = read(reply.body)
            replica.failed = 0
            if self.clock() - begun > timeout / 2:
                limiter.crowded(cuts)  # it stood in a queue: more requests would only run into the timeout
            else:
                limiter.served()
            return value
        except TimeoutError:
            if stop is not None and stop.asked:
                raise HarnessError(f"the run is being stopped: {replica.url} is not waited for") from None
            limiter.crowded(cuts)
            raise _Again(f"no reply within {timeout:g} seconds", lost=True) from None
        except Broken as error:
            replica.rests_until = self.clock() + REST_SECONDS
            raise _Again(str(error), lost=True) from error
        except UnreadableReply as error:
            said = reply.body[:4000].decode("utf-8", "replace")
            raise _Again(str(error), said=_without_numbers(f"{reply.status} {said}")) from error
        finally:
            limiter.leave()


class _Again(Exception):
    """Something that another try may mend."""

    def __init__(self, problem: str, wait: float = 0.0, lost: bool = False, said: str = ""):
        super().__init__(problem)
        self.problem = problem
        self.wait = wait
        self.lost = lost
        self.said = said
        """What a server answered that was up and not busy, whatever differs each time left out; else nothing."""


class _Sameness:
    """Whether a request gets one and the same answer again and again: then it is the request, and no accident."""

    def __init__(self, replicas: int):
        self.count = 0
        self._said = ""
        self._by: set[str] = set()
        self._wanted = min(2, replicas)
        """Replicas that have to agree: of several one may be sick."""

    def settled(self, url: str, said: str) -> bool:
        """Note an answer; whether it is final."""
        if not said or said != self._said:
            self.count, self._said, self._by = 0, said, set()
        self.count += bool(said)
        self._by.add(url)
        return self.count >= SAME and len(self._by) >= self._wanted


def _without_numbers(text: str) -> str:
    """The text without what differs each time: ids, times."""
    return re.sub(r"[0-9a-fA-F-]{6,}|\d+", "#", text)


def trouble(reply: Reply) -> _Again | RequestRefused:
    """What a reply other than 200 means: `RequestRefused`, or worth another try.

    Returns:
        The exception, to be raised.
    """
    text = " ".join(reply.body[:4000].decode("utf-8", "replace").split())[:1000]
    whole = reply.body.decode("utf-8", "replace")
    ending = CONTEXT_OVERFLOW if is_overflow(reply.status, whole) else ""
    ending = CONTENT_FILTER if not ending and refused_by_filter(reply.status, whole) else ending
    if ending or (reply.status < 500 and reply.status not in (408, 409, 425, 429)):
        return RequestRefused(reply.status, text, ending)
    wait = reply.headers.get(b"retry-after", b"")
    seconds = min(float(wait), LONGEST_WAIT) if wait.isdigit() else 0.0
    said = "" if reply.status in PASSING else _without_numbers(f"{reply.status} {text}")
    return _Again(f"status {reply.status}: {text[:300]}", seconds, said=said)
