"""Whether a candidate takes the place of the current model: better under faults, and nothing forgotten."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from faultgym.core.json import JSON
from faultgym.eval.comparison.compare import Run, Settings, clean_noninferior, compare
from faultgym.eval.comparison.noninferior import NonInferiority, noninferior
from faultgym.eval.comparison.result import Comparison, ComparisonCell, RunComparison
from faultgym.training.loop.config import LoopConfig
from faultgym.training.trainers.plain_text import blind_bits

METRICS = ("success", "recovery", "spl")
"""What a decision tells of the episodes with faults; success decides."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a comparison showed, and what follows from it."""

    promoted: bool
    why: str
    """One sentence."""
    faulted: tuple[ComparisonCell, ...]
    """On episodes with faults: `METRICS`."""
    clean: NonInferiority | None
    text: NonInferiority | None
    """None when the candidate's losses are no numbers."""
    comparison: Comparison = field(repr=False)
    """All slices, clean ones among them."""

    def to_record(self) -> JSON:
        """The judgement as JSON, without the comparison."""
        return {
            "promoted": self.promoted,
            "why": self.why,
            "faulted": [cell.to_record() for cell in self.faulted],
            "clean": None if self.clean is None else self.clean.to_record(),
            "text": None if self.text is None else self.text.to_record(),
        }


def judge(
    current: Run, candidate: Run, texts: tuple[Mapping[str, float], Mapping[str, float | None]], config: LoopConfig
) -> Judgement:
    """Compare two runs of the same dev episodes, and the losses on the same general texts.

    A model that fell apart has losses that are no numbers, None in JSON: such a model is not promoted.

    Args:
        current: The run of the model in use.
        candidate: The run of the model that was trained.
        texts: Losses of both in bits per byte, by paragraph.
        config: Gives the margins and alpha.

    Returns:
        Whether the candidate is promoted, and why.
    """
    settings = Settings(alpha=config.alpha, clean_margin=config.clean_margin)
    faulted = compare(_faulted(current), [_faulted(candidate)], settings).against[0]
    clean = clean_noninferior(current, candidate, config.clean_margin, config.alpha)
    after = {name: loss for name, loss in texts[1].items() if loss is not None and math.isfinite(loss)}
    text = None
    if len(after) == len(texts[1]):
        text = noninferior(texts[0], after, config.text_margin, lower_is_better=True, alpha=config.alpha)
    against = list(_against(faulted, clean, text))
    why = "; ".join(against) if against or text is None else _for(faulted, text)
    cells = tuple(cell for metric in METRICS if (cell := faulted.cell(metric)) is not None)
    return Judgement(
        promoted=not against,
        why=why,
        faulted=cells,
        clean=clean,
        text=text,
        comparison=compare(current, [candidate], settings),
    )


def _faulted(run: Run) -> Run:
    return replace(run, episodes=tuple(one for one in run.episodes if one.score.faults != "clean"))


def _against(faulted: RunComparison, clean: NonInferiority | None, text: NonInferiority | None) -> Iterator[str]:
    """What stands against a promotion."""
    cell = faulted.cell("success")
    if cell is None or cell.verdict is None or clean is None:
        yield f"the comparison is invalid: {faulted.run.harness_errors} episodes of the candidate broke on our side"
    elif cell.verdict == "worse":
        yield f"worse under faults: {_change(cell)}"
    elif cell.verdict != "better":
        least = "no difference" if cell.detectable is None else f"{100 * cell.detectable:.1f} points"
        yield f"not shown to be better under faults: {_change(cell)}; {least} would have been shown"
    if clean is not None and not clean.holds:
        yield (
            f"without faults {clean.base:.1%} became {clean.tuned:.1%}, and a loss of {100 * clean.worst:.1f} points is"
            f" not ruled out ({100 * clean.margin:.1f} are accepted)"
        )
    if text is None:
        yield "general text: the candidate's losses are no numbers, so its weights are broken"
    elif not text.holds and not knows_no_english(text.base):
        yield (
            f"general text costs {text.tuned:.3f} bits a byte instead of {text.base:.3f}, and {text.worst:.3f} more is"
            f" not ruled out ({text.margin:.3f} are accepted)"
        )


def _for(faulted: RunComparison, text: NonInferiority) -> str:
    cell = faulted.cell("success")
    assert cell is not None
    english = "; of general text it knew nothing" if knows_no_english(text.base) else " and on general text"
    return f"better under faults: {_change(cell)}; not inferior without faults{english}"


def knows_no_english(bits: float) -> bool:
    """Whether a model that needs so many bits a byte has nothing to forget, as a model that was trained on tasks alone.

    Example:
        >>> knows_no_english(8.0), knows_no_english(1.0)
        (True, False)
    """
    return bits >= blind_bits()


def _change(cell: ComparisonCell) -> str:
    return (
        f"success {cell.base:.1%} became {cell.other:.1%} (difference {100 * cell.difference:+.1f} points, interval"
        f" {100 * cell.low:+.1f} to {100 * cell.high:+.1f}, {cell.tasks} tasks)"
    )
