"""The classifier, measured: every policy that commits one mode, against the modes that are raised."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product

from rich.box import SIMPLE_HEAD
from rich.table import Table

from faultgym.agents.rollouts.play import run_episode
from faultgym.agents.scripted import FLAWS, expert
from faultgym.agents.scripted.flawed import play
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.envs.episode import Episode
from faultgym.envs.judging.form import ANSWERS, Answers
from faultgym.envs.reference.schedule import Faults, schedule_for
from faultgym.envs.registry import suite_named
from faultgym.envs.task import Task
from faultgym.eval.conformance import EXPERT, INJECTION
from faultgym.eval.modes.classifier import COMPANIONS, TYPED_ONLY, failure_modes
from faultgym.eval.modes.registry import MODES
from faultgym.tools.faults.presets import PRESETS


@dataclass(slots=True)
class Matrix:
    """Committed modes by raised ones."""

    cells: dict[str, dict[str, int]] = field(default_factory=dict)
    """Policy -> raised mode -> episodes."""
    episodes: dict[str, int] = field(default_factory=dict)
    """Policy -> episodes in which it could commit its mode; for the expert, all."""
    errors: list[str] = field(default_factory=list)
    """`policy (typed) on task under faults: raised ..., expected ...`, for each episode that was read wrongly."""

    committed: set[tuple[str, Answers]] = field(default_factory=set)
    """Each mode with the kind of answers with which its policy found a place for it."""

    def note(self, policy: str, answers: Answers, where: str, raised: frozenset[str], expected: frozenset[str]) -> None:
        """Count one episode.

        Args:
            policy: The policy's name: that of its mode, or `expert`.
            answers: How the episode ended.
            where: The task and the faults, for `errors`.
            raised: The modes that were raised.
            expected: The modes that should have been.
        """
        self.committed.add((policy, answers))
        row = self.cells.setdefault(policy, {})
        self.episodes[policy] = self.episodes.get(policy, 0) + 1
        for name in raised:
            row[name] = row.get(name, 0) + 1
        if raised != expected:
            self.errors.append(f"{policy} ({answers}) on {where}: raised {_names(raised)}, expected {_names(expected)}")

    @property
    def clean(self) -> bool:
        """Whether no episode was read wrongly and every mode was committed at least once."""
        return not self.errors and not self.unseen

    @property
    def unseen(self) -> tuple[str, ...]:
        """Modes that no policy found a place to commit, with typed answers or with texts."""
        wanted = [(mode, answers) for mode in FLAWS for answers in ANSWERS]
        wanted = [(mode, how) for mode, how in wanted if how == "typed" or mode not in TYPED_ONLY]
        return tuple(f"{mode} ({how})" for mode, how in wanted if (mode, how) not in self.committed)

    def listing(self) -> Table:
        """The matrix for a narrow terminal: each policy's own mode, and whatever else was raised."""
        table = Table(title="Failure modes: committed by raised", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("policy", no_wrap=True)
        table.add_column("episodes", justify="right")
        table.add_column("raised", justify="right")
        table.add_column("anything else", overflow="fold")
        for policy in (name for name in (EXPERT, *FLAWS) if name in self.cells):
            row = self.cells[policy]
            others = ", ".join(f"{name} {count}" for name, count in sorted(row.items()) if name != policy)
            own = str(row.get(policy, 0)) if policy in FLAWS else "-"
            table.add_row(policy, str(self.episodes[policy]), own, others or "·")
        return table

    def table(self) -> Table:
        """The matrix for the terminal: rows are policies, columns the modes that were raised."""
        table = Table(
            title="failure modes: committed by raised", caption=self._legend(), caption_justify="left", box=SIMPLE_HEAD
        )
        table.padding = (0, 1, 0, 0)
        table.add_column("policy", no_wrap=True)
        table.add_column("episodes", justify="right")
        numbers = {name: str(n) for n, name in enumerate(MODES, 1)}
        for number in numbers.values():
            table.add_column(number, justify="right")
        for policy in (name for name in (EXPERT, *FLAWS) if name in self.cells):
            row = self.cells[policy]
            label = f"{numbers[policy]} {policy}" if policy in numbers else policy
            table.add_row(label, str(self.episodes[policy]), *(str(row.get(name, "·")) for name in MODES))
        return table

    def _legend(self) -> str:
        absent = ", ".join(f"{n} {name}" for n, name in enumerate(MODES, 1) if name not in self.cells)
        rest = f"; committed by no policy: {absent}" if absent else ""
        return f"columns are numbered like the rows; · is none{rest}"


def _names(modes: frozenset[str]) -> str:
    return ", ".join(sorted(modes)) or "nothing"


def confusion_matrix(
    suites: Sequence[str] = ("orders", "incidents"),
    splits: Sequence[str] = ("train", "unseen_compositions"),
    per_template: int = 2,
    *,
    presets: Iterable[str] = PRESETS,
) -> Matrix:
    """Run the expert under every preset and every mode's policy on every task, and classify.

    All of them play with typed answers and with texts. Where a policy finds no place for its flaw it acts as the
    expert, and must raise nothing.

    Args:
        suites: The names of the suites.
        splits: Where tasks are taken from.
        per_template: How many tasks of each template.
        presets: The fault presets that the expert meets.

    Raises:
        TaskError: A suite or a split does not exist.
        PlanError: A preset does not exist.
    """
    matrix = Matrix()
    presets = tuple(presets)
    for suite in suites:
        for split in splits:
            for task, answers in product(suite_named(suite).tasks(split, per_template), ANSWERS):
                _measure(matrix, task, presets, answers)
    return matrix


def _measure(matrix: Matrix, task: Task, presets: Sequence[str], answers: Answers) -> None:
    for preset in presets:
        episode = run_episode(expert(), task, schedule_for(task, preset), answers=answers)
        matrix.note(EXPERT, answers, f"{task.id} under {preset}", raised(episode, preset), frozenset())
    for mode in FLAWS:
        faults: Faults = INJECTION if mode == "obeyed_injection" else "clean"
        episode, strayed = play(mode, task, schedule_for(task, faults), answers)
        wanted, found = _wanted(mode, episode), raised(episode, faults)
        where = f"{task.id} under {'an injection' if mode == 'obeyed_injection' else 'clean'}"
        if strayed:
            matrix.note(mode, answers, where, found, wanted)
        elif found:
            said = f"raised {_names(found)}, and it had no place for its flaw"
            matrix.errors.append(f"{mode} ({answers}) on {where}: {said}")


def _wanted(mode: str, episode: Episode) -> frozenset[str]:
    """The modes that the policy of this mode commits in an episode."""
    if mode not in COMPANIONS:
        return frozenset({mode})
    plain, claimed = COMPANIONS[mode]
    return frozenset({mode, claimed if episode.answer is not None and episode.answer.outcome == "done" else plain})


def raised(episode: Episode, faults: Faults = "clean") -> frozenset[str]:
    """The modes that an ended episode raises; the episode is closed.

    Args:
        episode: The episode.
        faults: The faults that it met, for its trace.
    """
    spec = EpisodeSpec(episode.task.id, faults, answers=episode.answers)
    trace = Trace.from_episode(episode, spec, {"name": "scripted"})
    task = episode.task
    episode.close()
    return frozenset(mode.name for mode in failure_modes(trace, task))
