"""Hand-written policies for the tests of traces and rollouts, on the small suite `bookshelf`."""

import asyncio
import os
import random
import re
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from faultgym.core.errors import HarnessError
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.run import closing_turn
from faultgym.envs.reference_agent.client import ReferenceAnswer
from faultgym.tools.types import ToolCall
from helpers import bookshelf

SUITE = bookshelf.SUITE


class Clerk:
    """Looks the book up, with a few queries that its seed draws, tries again after an error, and answers."""

    def __init__(self, opening):
        self.rng = random.Random(opening.seed)
        self.tools = {spec.name for spec in opening.tools}
        self.instruction = opening.messages[-1].content
        self.book = re.search(r"BOK-\d+", self.instruction)[0]
        self.tries = 0

    def act(self, observation, tools):
        seen = " ".join(m.content for m in observation.messages)
        price = re.search(r'price_cents"?: ?(\d+)', seen)
        done = price is not None if self.reading else re.search('"status": ?"out"|out already', seen)
        if done or self.tries > 6:
            return self.answer(price[1] if price else "")
        self.tries += 1
        calls = [self.call()]
        if self.rng.random() < 0.5:
            limit = self.rng.randrange(1, 4)
            raw = f'{{"query": "SELECT id, title FROM books LIMIT {limit}"}}'
            calls.append(ToolCall("b", "sql", None, raw))
        return Turn("", tuple(calls), f"Try {self.tries}.", finish_reason="tool_calls")

    def answer(self, cents):
        fields = {"price": int(cents) / 100} if cents and self.reading else {}
        said = ReferenceAnswer(f"{self.book}: {cents or '?'} cents.", "answered" if self.reading else "done", fields)
        last = closing_turn(said, "typed" if "answer" in self.tools else "text", "That is it.")
        return replace(last, confidence=0.9)

    @property
    def reading(self):
        return re.search("lend|lent|out today", self.instruction, re.I) is None

    def call(self):
        path = f"/v1/books/{self.book}"
        if "http" not in self.tools:
            return ToolCall("a", "get_book" if self.reading else "lend_book", {"book_id": self.book})
        if self.reading:
            return ToolCall("a", "http", {"method": "GET", "path": path})
        return ToolCall("a", "http", {"method": "POST", "path": f"{path}/lend", "body": {}})


class SlowClerk(Clerk):
    """The same, after giving way a few times."""

    async def act(self, observation, tools):
        for _ in range(self.rng.randrange(5)):
            await asyncio.sleep(0)
        return Clerk.act(self, observation, tools)


HOLD = "PLAYERS_HOLD"
"""Environment variable: where it is set, a `HeldUntilStop` waits."""
_stops: list[int] = []


class HeldUntilStop(SlowClerk):
    """The same, but most episodes wait at their first turn until their process has been asked to stop."""

    def __init__(self, opening):
        super().__init__(opening)
        self.held = HOLD in os.environ and opening.seed % 8 > 0

    async def act(self, observation, tools):
        if self.held:
            listen_for_stops()
            while not _stops:
                await asyncio.sleep(0.01)
        return await super().act(observation, tools)


def listen_for_stops():
    """Note in `_stops` each signal that this process's own handler has heeded."""
    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        if callable(handler) and not hasattr(handler, "listens"):
            signal.signal(number, Listening(handler))


class Listening:
    listens = True

    def __init__(self, handler):
        self.handler = handler

    def __call__(self, number, frame):
        self.handler(number, frame)
        _stops.append(number)


class Silent:
    """Never answers."""

    def __init__(self, opening):
        pass

    async def act(self, observation, tools):
        await asyncio.Event().wait()


@dataclass
class Player:
    """A policy that starts an actor of a class."""

    actor: Any = Clerk
    name: str = "clerk"
    more: dict = field(default_factory=dict)

    def start(self, opening):
        return self.actor(opening)

    def describe(self):
        return {"name": self.name, **self.more}


GONE = HarnessError("the server is gone")


class Trouble:
    """Raises `error` at the second turn of the episodes that `when` chooses, at the first `times` attempts."""

    def __init__(self, error=GONE, times=99, when=lambda task: task.index % 2 == 1):
        self.name, self.error, self.times, self.when = "trouble", error, times, when
        self.attempts = {}

    def start_with(self, task, schedule, opening):
        attempt = self.attempts[task.id] = self.attempts.get(task.id, 0) + 1
        clerk = Clerk(opening)
        if self.when(task) and attempt <= self.times:
            return Failing(clerk, self.error)
        return clerk

    def describe(self):
        return {"name": self.name}


class Failing:
    """Acts once, then raises."""

    def __init__(self, clerk, error):
        self.clerk, self.error, self.turns = clerk, error, 0

    def act(self, observation, tools):
        self.turns += 1
        if self.turns == 2:
            raise self.error
        self.clerk.tries = 0
        return Turn("", (self.clerk.call(),))


@dataclass
class Mortal:
    """Kills its own process in one episode: always, or, where there is a file to note it in, only once."""

    task: str
    note: str = ""
    name: str = "clerk"

    def start_with(self, task, schedule, opening):
        if task.id == self.task and not (self.note and Path(self.note).exists()):
            if self.note:
                Path(self.note).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Clerk(opening)

    def describe(self):
        return {"name": self.name}


@dataclass
class Held:
    """Lets the tasks from the index `first` on wait until there is a file."""

    gate: str
    first: int
    name: str = "clerk"

    def start_with(self, task, schedule, opening):
        clerk = Clerk(opening)
        return HeldClerk(clerk, Path(self.gate)) if task.index >= self.first else clerk

    def describe(self):
        return {"name": self.name}


class HeldClerk:
    def __init__(self, clerk, gate):
        self.clerk, self.gate = clerk, gate

    async def act(self, observation, tools):
        while not self.gate.exists():
            await asyncio.sleep(0.01)
        return self.clerk.act(observation, tools)


clerk = Player()
slow_clerk = Player(SlowClerk)
held_clerk = Player(HeldUntilStop)
silent = Player(Silent, "silent")
troubled = Trouble(error=KeyError("price"))
