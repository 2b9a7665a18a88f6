"""A clean stop: the first signal asks for one, the second does not ask."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any

Sleep = Callable[[float], Awaitable[object]]
"""Waits so many seconds."""
INTERRUPTED = 130
"""Exit code of a process that was stopped by a person, as shells have it."""


class Stop:
    """Whether the run is to end, as soon as each running episode has done its current step.

    A step that waits for a model's server waits no longer then: see `ends`.
    """

    def __init__(self) -> None:
        self.asked = False
        self._calls: dict[object, tuple[asyncio.AbstractEventLoop, Callable[[], object]]] = {}

    def ask(self) -> None:
        """Ask for the end; may be called from a signal handler and from any thread."""
        self.asked = True
        for key, (loop, _) in list(self._calls.items()):
            loop.call_soon_threadsafe(self._call, key)

    def _call(self, key: object) -> None:
        _, function = self._calls.pop(key, (None, None))
        if function is not None:  # else the context has ended meanwhile
            function()

    @contextmanager
    def _calling(self, function: Callable[[], object]) -> Iterator[None]:
        """Have the function called once in the running loop, if the end is asked for while the context lasts."""
        key = object()
        self._calls[key] = (asyncio.get_running_loop(), function)
        try:
            if self.asked:
                self._call(key)
            yield
        finally:
            self._calls.pop(key, None)

    async def wait(self) -> None:
        """Return once the end has been asked for."""
        event = asyncio.Event()
        with self._calling(event.set):
            await event.wait()

    @contextmanager
    def ends(self, limit: asyncio.Timeout) -> Iterator[None]:
        """Let the time be over as soon as the end is asked for, for what is done in the context.

        Args:
            limit: The time that the context has, entered before it.
        """

        def end() -> None:
            if not limit.expired():  # by itself, in the same moment
                limit.reschedule(asyncio.get_running_loop().time())

        with self._calling(end):
            yield

    async def sleep(self, seconds: float, sleep: Sleep = asyncio.sleep) -> bool:
        """Wait so many seconds, or until the end is asked for.

        Args:
            seconds: The longest wait.
            sleep: Waits; a test may give one that does not.

        Returns:
            Whether the end has been asked for.
        """
        if not self.asked:
            waits = [asyncio.ensure_future(sleep(seconds)), asyncio.ensure_future(self.wait())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
        return self.asked

    @contextmanager
    def on_signals(
        self, say: Callable[[str], None], signals: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM)
    ) -> Iterator[None]:
        """Take these signals as the wish to stop, while the context lasts; only in the main thread.

        The second one ends the process at once: what was stored stays, and the rest is owed. Once a stop was asked for
        that holds until the process has ended, however far it has come by then.

        Args:
            say: Tells a person what a signal did.
            signals: Those that count.
        """

        def asked(number: int, frame: FrameType | None) -> None:
            if self.asked:
                say("stopped at once")
                os._exit(INTERRUPTED)
            self.ask()  # before anything is said: the next signal may come while we speak
            say("stopping after the current step of each running episode; once more to stop at once")

        before: dict[signal.Signals, Any] = {s: signal.signal(s, asked) for s in signals}
        try:
            yield
        finally:
            if not self.asked:
                for number, previous in before.items():
                    signal.signal(number, previous)


CURRENT: ContextVar[Stop | None] = ContextVar("faultgym_stop", default=None)
"""The stop of the run that the running task plays an episode of, for what waits beneath it: a policy whose server is
away gives up at once when the run is to end."""
