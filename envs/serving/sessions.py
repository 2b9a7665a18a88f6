"""The sessions of a served suite: who opened which world, and what leads to it.

A session has an id, which whoever opens it may choose and which gives access to nothing, and a secret, which is drawn
anew for each session and is all that an agent is given. Only a digest of the secret is kept.
"""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import TypedDict

import orjson

from faultgym.core.errors import UserError
from faultgym.core.hashing import stable_hash
from faultgym.core.json import JSON
from faultgym.core.suggest import did_you_mean
from faultgym.envs.episode import Episode, run_reference
from faultgym.envs.judging.answering import answer_tool
from faultgym.envs.judging.form import ANSWERS, DEFAULT_ANSWERS, Answers
from faultgym.envs.reference.schedule import Faults, check_faults, schedule_for
from faultgym.envs.registry import task_by_id
from faultgym.envs.suite import Suite
from faultgym.envs.task import Task
from faultgym.envs.worlds.world import CLIENT_ID
from faultgym.tools.faults.plan import FaultPlan

MAX_SESSIONS = 1000
"""Sessions kept; beyond it the one unused for longest is closed."""
LONGEST_ID = 100
"""Characters of a session id."""
SECRET_BYTES = 24
"""Random bytes of a session's secret: 192 bits, 32 characters of a URL."""
WANTED = ("id", "task", "faults", "seed", "answers")
"""What can be asked of a new session."""
BEYOND = ("sql", "search")
"""Tools that are not served."""
_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_ID - 1}}}")


class SessionError(UserError):
    """A request that no session can answer, with the HTTP status that says why.

    Args:
        status: The HTTP status.
        title: The status in words, as problem+json has it.
        detail: What is wrong, and what to do.
    """

    def __init__(self, status: int, title: str, detail: str):
        super().__init__(detail)
        self.status = status
        self.title = title


@dataclass(slots=True, eq=False)
class ServedSession:
    """One session: a world, and what leads to it."""

    name: str
    """The id that whoever opened it knows it by."""
    digest: bytes
    """Of the secret in its base URL."""
    episode: Episode
    seen: float | None = None
    """When time was last let pass in it, on the sessions' clock; None until its agent's first request."""


class SessionOptions(TypedDict, total=False):
    """The options of `Sessions`, for what makes its sessions itself."""

    faults: Faults
    split: str
    seed: int
    answers: Answers
    max_sessions: int
    url: str
    clock: Callable[[], float] | None


class Sessions:
    """The open sessions of one suite.

    Args:
        suite: The suite whose service is offered.
        faults: What breaks in sessions that do not say: a preset or a plan.
        split: Where sessions without a task take theirs from: one that can be done with the service alone.
        seed: What the tasks of such sessions, and the schedules of faults, are drawn by.
        answers: How sessions end that do not say: with a `typed` answer, or with a `text`.
        max_sessions: How many sessions are kept, at least 1; beyond that number the one unused for longest is closed.
        url: What stands before the path of base URLs, such as `http://127.0.0.1:8765`; nothing by default.
        clock: Gives seconds that the worlds' time follows, from an agent's first request on; by default it is virtual
            and passes only by what faults cause and where somebody waits.

    Raises:
        PlanError: `faults` names no preset.
        UserError: `max_sessions` is below 1.
    """

    def __init__(
        self,
        suite: Suite,
        *,
        faults: Faults = "clean",
        split: str = "dev",
        seed: int = 0,
        answers: Answers = DEFAULT_ANSWERS,
        max_sessions: int = MAX_SESSIONS,
        url: str = "",
        clock: Callable[[], float] | None = None,
    ):
        if max_sessions < 1:
            raise UserError(f"max_sessions must be at least 1, not {max_sessions}: a session is closed to open another")
        self.suite = suite
        self.faults = check_faults(faults)
        self.split = split
        self.seed = seed
        self.answers = answers
        self.max_sessions = max_sessions
        self.url = url
        self.real_time = clock is not None
        """Whether the worlds' time passes as a clock does."""
        self._clock = clock or (lambda: 0.0)
        self._by_name: OrderedDict[str, ServedSession] = OrderedDict()
        """The one unused for longest first."""
        self._by_digest: dict[bytes, ServedSession] = {}
        self._closed: set[str | bytes] = set()
        """Ids and digests that never return."""
        self._named = 0
        """How many ids were given by number so far."""

    def open(self, wanted: JSON) -> JSON:
        """Open a session.

        Args:
            wanted: Any of `id` (by default the next number), `task` (an id; by default drawn from the split), `faults`
                (a preset's name, or a plan as JSON), `seed` (a whole number) and `answers` (`typed` or `text`).

        Returns:
            The session's id, base URL and task; the system message and the instruction for the agent; how the session
            ends, and the form of a typed answer; credentials. The base URL is shown this once.

        Raises:
            UserError: A field is unknown, the id is no id, the seed is no whole number, the task is of another suite,
                or answers are of another kind.
            SessionError: The id is in use, or of a session that was closed.
            TaskError: The task does not exist.
            PlanError: The preset does not exist, or the plan does not hold for this suite.
        """
        for field in wanted:
            if field not in WANTED:
                hint = did_you_mean(field, WANTED) or f"there are {', '.join(WANTED)}"
                raise UserError(f"a session has no field {field[:LONGEST_ID]!r}; {hint}")
        faults = self._faults(wanted.get("faults"))
        seed = wanted.get("seed", self.seed)
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise UserError("`seed` must be a whole number")
        answers = wanted.get("answers", self.answers)
        if answers not in ANSWERS:
            raise UserError(f"`answers` is one of {', '.join(ANSWERS)}, not {repr(answers)[:LONGEST_ID]}")
        name = self._new_name(wanted.get("id"))
        task = self._task(wanted.get("task"), name)
        episode = Episode(task, schedule_for(task, faults, seed), answers=answers)
        secret = secrets.token_urlsafe(SECRET_BYTES)
        session = ServedSession(name, _digest(secret), episode)
        self._by_name[name] = self._by_digest[session.digest] = session
        while len(self._by_name) > self.max_sessions:
            self.close(next(iter(self._by_name)))
        return {
            "id": name,
            "base_url": f"{self.url}/s/{secret}",
            **told(episode),
            "client_id": CLIENT_ID,
            "client_secret": episode.world.image.secret,
            "access_token": episode.world.image.token,
        }

    def reached(self, secret: str) -> Episode:
        """The episode that a secret leads to; time has passed in it as on the clock.

        Args:
            secret: What stands in a base URL.

        Raises:
            SessionError: No session has this secret, or it is closed.
        """
        digest = _digest(secret)
        session = self._by_digest.get(digest)
        if session is None:
            if digest in self._closed:
                raise SessionError(410, "Gone", "this session is closed: ask whoever opened it for a new base URL")
            raise SessionError(404, "Not Found", "no session has this base URL: use the one that you were given")
        if session.seen is None:
            session.seen = self._clock()
        return self._used(session)

    def named(self, name: str) -> Episode:
        """The episode of a session, for whoever opened it.

        Args:
            name: The session's id.

        Raises:
            SessionError: There is no such session, or it is closed.
        """
        self._check_open(name)
        if name not in self._by_name:
            raise SessionError(404, "Not Found", f"there is no session {name[:LONGEST_ID]!r}: POST /sessions opens one")
        return self._used(self._by_name[name])

    def close(self, name: str) -> None:
        """Close a session for good; neither its id nor its base URL returns.

        Args:
            name: The session's id.

        Raises:
            SessionError: There is no such session, or it is closed.
        """
        self.named(name).close()
        session = self._by_name.pop(name)
        del self._by_digest[session.digest]
        self._closed |= {name, session.digest}

    def _used(self, session: ServedSession) -> Episode:
        self._by_name.move_to_end(session.name)
        if session.seen is not None:
            now = max(session.seen, self._clock())
            session.episode.world.clock.advance(now - session.seen)
            session.seen = now
        return session.episode

    def _check_open(self, name: str) -> None:
        if name in self._closed:
            raise SessionError(410, "Gone", f"the session {name!r} is closed, and its id never returns: open another")

    def _new_name(self, wanted: object) -> str:
        """The id of a session to be opened; raises `UserError` for one that cannot be."""
        if wanted is None or wanted == "":
            while True:
                self._named += 1
                name = f"session-{self._named}"
                if name not in self._by_name and name not in self._closed:
                    return name
        name = str(wanted)
        if not _ID.fullmatch(name):
            raise UserError(
                f"a session id has letters, digits, '.', '_' and '-', begins with a letter or a digit, "
                f"and has at most {LONGEST_ID} characters"
            )
        self._check_open(name)
        if name in self._by_name:
            raise SessionError(409, "Conflict", f"the session id {name!r} is in use: choose another, or DELETE it")
        return name

    def _task(self, wanted: object, name: str) -> Task:
        """The task that is asked for, or the one that the session's name draws of those that can be done here."""
        if wanted:
            task = task_by_id(str(wanted))
            if task.suite != self.suite.name:
                raise UserError(f"task {task.id} is not of the suite served here, {self.suite.name}")
            return task
        names = [n for n in self.suite.names(self.split) if not self.suite.templates[n].faults]
        number = stable_hash("session", self.seed, name)
        index = number // len(names) % 1024
        drawn = (self.suite.task(names[(number + step) % len(names)], self.split, index) for step in range(len(names)))
        found = next(filter(self._can_be_done, drawn), None)
        return found or self.suite.task(names[number % len(names)], self.split, index)

    def _can_be_done(self, task: Task) -> bool:
        """Whether the service alone is what it takes: agents over a socket have neither SQL nor the search tool."""
        episode, _ = run_reference(task, suite=self.suite)
        used = {record.call.name for record in episode.records}
        episode.close()
        return bool(used) and used.isdisjoint(BEYOND)

    def _faults(self, wanted: object) -> Faults:
        """A preset by name, a plan as a client sends it, or the default; raises `PlanError`."""
        if wanted is None:
            return self.faults
        if isinstance(wanted, str):
            return check_faults(wanted)
        return FaultPlan.from_json(orjson.dumps(wanted).decode(), "faults")


def told(episode: Episode) -> JSON:
    """The task of a session, what its agent is to be told, and how it ends: the form where the answer is typed."""
    task = episode.task
    return {
        "task": task.id,
        "system": task.system_for(episode.answers),
        "instruction": task.instruction,
        "answers": episode.answers,
        "answer_tool": answer_tool(task.answer).openai()["function"] if episode.typed else None,
    }


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
