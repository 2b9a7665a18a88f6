"""Runs as comparisons take them: scored traces, each with what two of them must share to be paired."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from faultgym.agents.storage.lines import OnError, parse
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.trace import Trace
from faultgym.core.errors import TraceError, UserError
from faultgym.core.json import JSON, canonical
from faultgym.envs.limits import Limits
from faultgym.eval.scoring.metrics import MAX_HARNESS_ERRORS
from faultgym.eval.scoring.score import Score, score

Key = tuple[str, str, int, int]
"""Task, faults (a preset's name, or the plan as JSON), seed of the faults, trial: what pairs two episodes."""


@dataclass(frozen=True, slots=True)
class ScoredEpisode:
    """One episode of a run."""

    score: Score
    key: Key
    schedule: str
    """Hash of what was planned to fail."""
    world: str
    """Hash of the database as it was built."""
    suite_version: int
    limits: Limits
    asked: str = ""
    """What the person asked."""

    @classmethod
    def of(cls, trace: Trace) -> ScoredEpisode:
        """Score a trace.

        Args:
            trace: Any ended episode.

        Raises:
            TaskError: Its task does not exist any more.
            TraceError: Its suite has changed since, or its schedule is not the one that it was recorded with.
        """
        faults = trace.faults
        label = faults if isinstance(faults, str) else canonical(faults).decode()
        prints = trace.fingerprints
        return cls(
            score=score(trace),
            key=(trace.task.id, label, trace.seeds.fault, trace.trial),
            schedule=prints.schedule,
            world=prints.world,
            suite_version=prints.suite,
            limits=trace.limits,
            asked=trace.asked,
        )

    @property
    def id(self) -> str:
        """The episode's id."""
        return self.score.episode_id


@dataclass(frozen=True, slots=True)
class Run:
    """One policy's episodes, scored."""

    name: str
    """How the comparison calls it."""
    episodes: tuple[ScoredEpisode, ...]
    policy: JSON = field(default_factory=dict)
    """What the policy says of itself."""
    asked: tuple[JSON, ...] = ()
    """What each of its folders was asked for, where that is known: how to make a run like it."""
    folder: str = ""
    """Where it was read from; empty when it was not."""
    folders: tuple[str, ...] = ()
    """The names of the folders in it that `asked` is of, in the same order."""
    planned: int = 0
    """Episodes that its folders were to hold; 0 where that is not known."""
    damaged: int = 0
    """Traces that could not be read, and were left out."""
    failures: int = 0
    """Harness errors that are counted as failures."""
    max_errors: float = MAX_HARNESS_ERRORS
    """Share of harness errors above which it is invalid."""

    @classmethod
    def of(cls, name: str, traces: Iterable[Trace], asked: tuple[JSON, ...] = ()) -> Run:
        """Score traces of one policy.

        Args:
            name: How the comparison calls the run.
            traces: The traces.
            asked: What the run was asked for, where that is known.

        Raises:
            UserError: The traces are of several policies, or an episode comes twice.
            TaskError: A task does not exist any more.
            TraceError: A trace cannot be scored (see `score`).
        """
        policy: JSON = {}
        found: dict[Key, ScoredEpisode] = {}
        for trace in traces:
            if found and trace.policy != policy:
                raise UserError(
                    f"{name} holds episodes of several policies ({policy.get('name')}, {trace.policy.get('name')}"
                    " with other options, or another one): compare runs of one policy each"
                )
            policy = trace.policy
            one = ScoredEpisode.of(trace)
            if one.key in found:
                twice = f"{found[one.key].id}, {one.id}"
                raise UserError(f"{name} holds an episode twice, with the same task, faults, seed and trial: {twice}")
            found[one.key] = one
        return cls(name=name, episodes=tuple(found.values()), policy=policy, asked=asked)

    @property
    def harness_errors(self) -> int:
        """Episodes that our side broke."""
        return sum(bool(e.score.harness_error) for e in self.episodes)

    @property
    def valid(self) -> bool:
        """Whether no more than the allowed share of the episodes are harness errors, or cannot be read."""
        broken = self.harness_errors + self.damaged
        return broken <= self.max_errors * (len(self.episodes) + self.damaged)

    def with_failures(self) -> Run:
        """The run with its harness errors counted as failures of its policy."""
        episodes = tuple(replace(one, score=one.score.as_failure()) for one in self.episodes)
        return replace(self, episodes=episodes, failures=self.failures + self.harness_errors)

    @property
    def prompt(self) -> str:
        """The name of the system prompt; empty for a policy without one."""
        said = self.policy.get("prompt")
        return str(said.get("name", "")) if isinstance(said, dict) else ""


def read_run(
    path: Path, name: str = "", on_error: OnError | None = None, tick: Callable[[], object] = lambda: None
) -> Run:
    """The run in a folder, or all runs in a folder of runs (one for each split, say), scored.

    Args:
        path: The folder.
        name: How the comparison calls the run; by default as the folder.
        on_error: Called with the error of each damaged trace, which is then left out.
        tick: Called after each trace.

    Raises:
        TraceError: The folder holds no run, a trace cannot be scored, or, without `on_error`, is damaged.
        TaskError: A task does not exist any more.
        UserError: The folder holds no traces yet, or traces of several policies, or an episode twice.
    """
    folders = run_folders(path)
    runs = [RunDirectory.open(folder) for folder in folders]
    known = [(f.name, run.plan["asked"]) for f, run in zip(folders, runs, strict=True) if _was_asked(run)]
    asked = tuple(asked for _, asked in known)
    damaged: list[TraceError] = []

    def note(error: TraceError) -> None:
        damaged.append(error)
        if on_error is None:
            raise error from None
        on_error(error)

    traces = (trace for run in runs for _, trace in located_traces(run, note, tick))
    found = Run.of(name or path.name or str(path), traces, asked)
    found = replace(
        found,
        folder=str(path),
        folders=tuple(name for name, _ in known),
        planned=planned_episodes(runs),
        damaged=len(damaged),
    )
    if not found.episodes:
        raise UserError(f"{path} holds no traces yet: roll it out first, with faultgym rollout --out {path} --resume")
    return found


def _was_asked(run: RunDirectory) -> bool:
    return isinstance(run.plan.get("asked"), dict)


def planned_episodes(runs: Iterable[RunDirectory]) -> int:
    """How many episodes these folders are to hold in all, as far as their plans say."""
    counts = (run.plan.get("episodes") for run in runs)
    return sum(count for count in counts if isinstance(count, int))


def run_folders(path: Path) -> list[Path]:
    """The folder itself when it holds a run, else the folders in it that do."""
    if (path / "plan.json").exists() or not path.is_dir():
        return [path]
    inside = sorted(plan.parent for plan in path.glob("*/plan.json"))
    return inside or [path]


def located_traces(
    run: RunDirectory, on_error: OnError | None = None, tick: Callable[[], object] = lambda: None
) -> Iterator[tuple[str, Trace]]:
    """Every trace of a run, one at a time.

    Args:
        run: The run.
        on_error: Called with the error of each damaged trace, which is then left out.
        tick: Called after each trace.

    Yields:
        The place of the trace, for people, and the trace.

    Raises:
        TraceError: A trace is damaged and there is no `on_error`.
    """
    for place, trace in run.decoded(_decoded, on_error):
        yield place, trace
        tick()


def _decoded(line: bytes) -> Trace:
    try:
        return Trace.from_line(line)
    except TraceError:
        parse(line)  # raises where the line is no record at all: the store says what to do about it
        raise
