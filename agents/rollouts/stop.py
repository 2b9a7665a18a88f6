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
    """Whether the run is to end, as soon as each running episode has done its current step."""

    def __init__(self) -> None:
        self.asked = False
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def ask(self) -> None:
        """Ask for the end; may be called from a signal handler and from any thread."""
        self.asked = True
        for event, loop in list(self._waiting.items()):
            loop.call_soon_threadsafe(event.set)

    async def wait(self) -> None:
        """Return once the end has been asked for."""
        event = asyncio.Event()
        self._waiting[event] = asyncio.get_running_loop()
        try:
            if not self.asked:
                await event.wait()
        finally:
            del self._waiting[event]

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
