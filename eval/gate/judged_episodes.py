"""The second half of the confusion matrix: episodes as models play them, labelled by hand, against what is raised.

A line of a corpus is an episode (`name`, `task`, `faults`, `fault_seed`, `turns`), the verdict that it deserves
(`right`), the failure modes that a careful reader raises (`modes`), and, where it says so, what became of the faults
that were met (`recovery`: kind -> outcome).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.core.json import JSON
from faultgym.eval.context import ScoringContext
from faultgym.eval.efficiency import Efficiency, efficiency
from faultgym.eval.gate.labelled import labelled, played
from faultgym.eval.modes.classifier import modes_of
from faultgym.eval.modes.evidence import Mode
from faultgym.eval.modes.registry import MODES
from faultgym.eval.recovery.outcomes import recovery


@dataclass(frozen=True, slots=True)
class JudgedEpisode:
    """One labelled episode, and what the scorers say of it."""

    name: str
    task: str
    right: bool
    """The label."""
    success: bool | None
    """The verdict."""
    reason: str
    expected: frozenset[str]
    """The modes of the label."""
    raised: tuple[Mode, ...]
    recovered: tuple[tuple[str, str, tuple[str, ...]], ...]
    """For each fault that the label speaks of: the kind, the outcome it deserves, the outcomes that were found."""
    cost: Efficiency

    @property
    def found(self) -> frozenset[str]:
        """The names of the modes that were raised."""
        return frozenset(mode.name for mode in self.raised)

    @property
    def false(self) -> tuple[Mode, ...]:
        """Modes that were raised and should not have been."""
        return tuple(mode for mode in self.raised if mode.name not in self.expected)

    @property
    def missed(self) -> tuple[str, ...]:
        """Modes that should have been raised, in the documented order."""
        return tuple(name for name in MODES if name in self.expected - self.found)

    @property
    def differences(self) -> tuple[str, ...]:
        """What is said of the episode and not by its label, or the other way round, in words."""
        verdict = () if self.success is self.right else (f"success is {self.success}, not {self.right}: {self.reason}",)
        false = (f"{m.name} at turn {m.step} ({m.value}) was raised: {m.why}" for m in self.false)
        missed = (f"{name} was not raised" for name in self.missed)
        return (*verdict, *false, *missed, *self.wrong_outcomes)

    def to_record(self) -> JSON:
        """As JSON, without the cost."""
        return {
            "name": self.name,
            "task": self.task,
            "right": self.right,
            "success": self.success,
            "expected": sorted(self.expected),
            "raised": [mode.name for mode in self.raised],
            "differences": self.differences,
        }

    @property
    def wrong_outcomes(self) -> tuple[str, ...]:
        """Faults whose outcome is not the label's, in words."""
        return tuple(
            f"{kind} is {', '.join(found) or 'not met'}, not {wanted}"
            for kind, wanted, found in self.recovered
            if wanted not in found
        )


@dataclass(frozen=True, slots=True)
class ModeCount:
    """How often a mode was raised and deserved."""

    both: int
    raised: int
    deserved: int

    @property
    def precision(self) -> float | None:
        """Of those raised, the part that was deserved; None of nothing."""
        return self.both / self.raised if self.raised else None

    @property
    def recall(self) -> float | None:
        """Of those deserved, the part that was raised; None of nothing."""
        return self.both / self.deserved if self.deserved else None


def percent(part: float | None) -> str:
    """A part of one in percent; a dash where there is none."""
    return "-" if part is None else f"{part:.0%}"


def judged_episodes(paths: Iterable[Path]) -> list[JudgedEpisode]:
    """Replay the episodes of corpora, and score them.

    Args:
        paths: Files of JSON lines.

    Returns:
        The episodes in the order of the files.

    Raises:
        UserError: A file cannot be read, a line is no labelled episode, or its task does not exist.
    """
    return [judged_episode(row, where) for path in paths for where, row in labelled(path, _NEEDED)]


_NEEDED = {"name": str, "right": bool, "modes": list}


def judged_episode(row: JSON, where: str = "") -> JudgedEpisode:
    """Replay one labelled episode, and score it.

    Args:
        row: The line of a corpus.
        where: Where it stands, for messages.

    Raises:
        UserError: There is no such task.
    """
    episode = played(row, where)
    if not episode.stop:
        episode.finish("turn_limit")
    spec = EpisodeSpec(row["task"], row["faults"], row["fault_seed"])
    context = ScoringContext.of(Trace.from_episode(episode, spec, {"name": "labelled"}), episode.task)
    episode.close()
    return JudgedEpisode(
        name=row["name"],
        task=row["task"],
        right=row["right"],
        success=context.verdict.success,
        reason=context.verdict.reason,
        expected=frozenset(row["modes"]),
        raised=modes_of(context),
        recovered=tuple(_outcomes(context, row.get("recovery", {}))),
        cost=efficiency(context),
    )


def _outcomes(context: ScoringContext, labels: dict[str, str]) -> Iterable[tuple[str, str, tuple[str, ...]]]:
    judged = recovery(context)
    for kind, wanted in labels.items():
        yield kind, wanted, tuple(str(d.outcome) for d in (judged.deliveries if judged else ()) if d.kind == kind)


def mode_counts(episodes: Sequence[JudgedEpisode]) -> dict[str, ModeCount]:
    """For each mode that was raised or deserved, how often; in the documented order.

    Args:
        episodes: Judged episodes.
    """
    raised = Counter(name for e in episodes for name in e.found)
    deserved = Counter(name for e in episodes for name in e.expected)
    both = Counter(name for e in episodes for name in e.found & e.expected)
    return {n: ModeCount(both[n], raised[n], deserved[n]) for n in MODES if raised[n] or deserved[n]}
