"""Runs to a data set for supervised fine-tuning: streaming, resumable, the same for every order and worker count.

    RUNS -> chunks -> verified examples (workers) -> index on disk -> de-duplicated, capped, mixed -> Parquet files

While it is made, everything lies in `.NAME.building` beside the data set's folder; that takes its name when it is
whole and on the disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from faultgym.core.json import JSON
from faultgym.training.builds.index import Index
from faultgym.training.builds.inputs import OnProgress
from faultgym.training.builds.record import SUMMARY, describe, fresh, planned, room_on_disk
from faultgym.training.builds.shards import Shard, write_shards
from faultgym.training.builds.verify import Check, known_test_splits, verified
from faultgym.training.builds.work import finished, publish, workplace
from faultgym.training.filters.dedupe import DedupThresholds
from faultgym.training.filters.mix import MixReport, MixWeights, SampleCaps, report_data
from faultgym.training.filters.select import MAX_CALL_RATIO
from faultgym.training.rendering import Rendering

DUPLICATES = {
    "exact_duplicate": "the same, word for word",
    "near_duplicate": "nearly the same as another of its group",
    "group_full": "one more with the same template, kind and calls",
    "task_cap": "one more of its task",
    "template_cap": "one more of its template",
    "mix": "its kind has its share",
}
"""Why verified examples were left out."""


@dataclass(frozen=True, slots=True)
class SFTOptions:
    """What a data set is made by. The same options and traces give the same bytes."""

    check: Check = field(default_factory=Check)
    """What a trace must stand, and how test splits are compared."""
    mix: MixWeights = field(default_factory=MixWeights)
    caps: SampleCaps = field(default_factory=SampleCaps)
    grades: DedupThresholds = field(default_factory=DedupThresholds)
    rendering: Rendering = field(default_factory=Rendering)
    seed: int = 0

    def command(self) -> dict[str, object]:
        """The options of the command line that are not at their defaults."""
        form = {"messages": "messages", "turns": "prompt-completion"}.get(self.rendering.form, self.rendering.form)
        values = {
            "mix": (self.mix.text(), MixWeights().text()),
            "from": (self.check.policies, ()),
            "waste": (f"{self.check.waste:g}", f"{MAX_CALL_RATIO:g}"),
            "per-task": (self.caps.per_task, SampleCaps().per_task),
            "per-template": (self.caps.per_template, SampleCaps().per_template),
            "seed": (self.seed, 0),
            "reasoning": ({"field": "keep"}.get(self.rendering.reasoning, self.rendering.reasoning), "keep"),
            "format": (form, "messages"),
            "tokenizer": (self.rendering.tokenizer, ""),
            "template": (self.rendering.template, ""),
        }
        return {name: value for name, (value, default) in values.items() if value != default}

    def to_record(self) -> JSON:
        """As JSON."""
        data: JSON = {"mix": {"shares": dict(self.mix.shares), "floor": self.mix.floor}, "seed": self.seed}
        data["check"] = {name: getattr(self.check, name) for name in ("waste", "ngram", "test_tasks", "policies")}
        for name in ("caps", "grades", "rendering"):
            value = getattr(self, name)
            data[name] = {part: getattr(value, part) for part in value.__slots__}
        return data


@dataclass(frozen=True, slots=True)
class SFTReport:
    """What was made of what."""

    traces: int
    verified: int
    """Traces that were found worth imitating, duplicates among them."""
    rejected: dict[str, int]
    """By reason, the most frequent first."""
    left_out: dict[str, int]
    """Verified examples by why they are not in the data set."""
    mix: MixReport
    rows: int
    damaged: int = 0
    """Lines of the store that could not be read at all."""

    @property
    def examples(self) -> int:
        """Episodes in the data set."""
        return sum(self.mix.kinds.values())

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"{self.traces} traces: {self.verified} worth imitating, {self.examples} in the data set"
        if self.damaged:
            yield f"{self.damaged} lines or files of the store are damaged"
        for title, counts in (("rejected", self.rejected), ("left out", self.left_out)):
            if counts:
                yield f"{title}: " + ", ".join(f"{count} {name}" for name, count in counts.items())
        total = self.examples or 1
        yield "mix: " + ", ".join(f"{kind} {n} ({n / total:.0%})" for kind, n in self.mix.kinds.items())
        if self.mix.contracts:
            yield "recoveries: " + ", ".join(f"{name} {n}" for name, n in self.mix.contracts.items())
        if self.mix.short:
            yield f"short of: {', '.join(self.mix.short)}; roll out more of these, or state another --mix"

    def to_record(self) -> JSON:
        """As JSON."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "mix": report_data(self.mix)}

    @classmethod
    def from_record(cls, record: JSON) -> SFTReport:
        """The counterpart of `to_record`."""
        mix = {**record["mix"], "short": tuple(record["mix"]["short"])}
        return cls(**{**record, "mix": MixReport(**mix)})


def build_sft(
    runs: Sequence[Path],
    out: Path,
    options: SFTOptions | None = None,
    *,
    workers: int = 1,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> SFTReport:
    """Make a data set in `out`, a folder that is new or empty; needs the extra `data`.

    `resume` goes on with what a stopped build left behind, if there is anything. Raises UserError when the folder
    holds something else, when the build to resume was of other runs or options, or when another process is at it.
    """
    options = options or SFTOptions()
    options.rendering.rows_of()  # before the long part: what cannot be rendered is said at once
    if resume and (done := finished(out, SUMMARY, options.to_record())) is not None:
        return SFTReport.from_record(done)
    work = workplace(out, resume)
    progress = on_progress or (lambda what, done, total: None)
    with room_on_disk(work), closing(Index(work / "index.sqlite")) as index:
        suites = planned(index, runs, options.to_record())
        _verify(index, options, suites, workers, progress)
        progress("choosing", 0, 1)
        mix, duplicates = index.choose(options.grades, options.caps, options.mix)
        folder = fresh(work)
        shards = write_shards(_rows(index, options.rendering, mix, progress), options.rendering.form, folder)
        report = _report(index, mix, duplicates, shards)
        card = _card(runs, out, options, index, report, shards)
        describe(folder, card, report.to_record(), options.to_record(), index, shards)
    publish(folder, out, work)
    return report


def _verify(index: Index, options: SFTOptions, suites: set[str], workers: int, progress: OnProgress) -> None:
    done, total = index.progress()
    if done == total:
        return
    check = replace(options.check, held=known_test_splits(suites, options.check))
    for number, found in verified(index.pending(), check, options.seed, workers):
        index.finish(number, found)
        done += len(found)
        progress("verifying", done, total)


def _rows(index: Index, rendering: Rendering, mix: MixReport, progress: OnProgress) -> Iterator[JSON]:
    rows_of, total = rendering.rows_of(), sum(mix.kinds.values())
    for number, example in enumerate(index.chosen(), 1):
        yield from rows_of(example)
        progress("writing", number, total)


def _report(index: Index, mix: MixReport, duplicates: dict[str, int], shards: Sequence[Shard]) -> SFTReport:
    counts = {reason: count for reason, (count, _, _) in index.rejections().items()}
    rejected = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    accepted = index.accepted() + duplicates.get("exact_duplicate", 0)
    return SFTReport(
        accepted + sum(rejected.values()),
        accepted,
        rejected,
        {**duplicates, **mix.left_out},
        mix,
        sum(shard.rows for shard in shards),
        len(index.fact("damaged")),
    )


def _card(
    runs: Sequence[Path],
    out: Path,
    options: SFTOptions,
    index: Index,
    report: SFTReport,
    shards: Sequence[Shard],
) -> str:
    from faultgym.training.builds.card_sft import sft_card

    firsts = {reason: (episode_id, detail) for reason, (_, episode_id, detail) in index.rejections().items()}
    return sft_card(out, runs, options, report, firsts, index.fact("segments"), shards)
