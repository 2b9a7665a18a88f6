"""Runs to a data set for supervised fine-tuning: streaming, resumable, the same for every order and worker count.

    RUNS -> chunks -> verified examples (workers) -> index on disk -> de-duplicated, capped, mixed -> Parquet files

While it is made, everything lies in `.NAME.building` beside the data set's folder; that takes its name when it is
whole and on the disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from faultgym.core.json import JSON
from faultgym.envs.judging.form import OUTCOMES
from faultgym.training.builds.card_sft import Firsts, sft_card
from faultgym.training.builds.check import known_test_splits
from faultgym.training.builds.example_index import ExampleIndex
from faultgym.training.builds.inputs import OnProgress, runs_in
from faultgym.training.builds.record import SUMMARY, describe, fresh, planned, room_on_disk
from faultgym.training.builds.sft_options import TEXT, SFTOptions, SFTReport
from faultgym.training.builds.shards import Shard, write_shards
from faultgym.training.builds.verify import verified
from faultgym.training.builds.work import finished, publish, workplace
from faultgym.training.filters.mix import MixReport
from faultgym.training.rows.rendering import Rendering

__all__ = ["SFTOptions", "SFTReport", "build_sft"]


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

    Args:
        runs: Folders of runs, or folders that hold some, whose traces are verified.
        out: The data set's folder.
        options: What the data set is made by; None for the defaults.
        workers: Processes that verify traces; 1 for this process alone.
        resume: Whether to go on with what a stopped build left behind, if there is anything.
        on_progress: Told what is being done, how much of it is done, and out of how much.

    Returns:
        What was made of what.

    Raises:
        UserError: The folder holds something else, the build to resume was of other runs or options, another process is
            building there, rows cannot be rendered as asked, or the disk is full.
        TraceError: A folder in `runs` neither is a run nor holds one.
        HarnessError: A worker process died; the work so far can be resumed.
    """
    options = options or SFTOptions()
    options.rendering.rows_of()  # before the long part: what cannot be rendered is said at once
    if resume and (done := finished(out, SUMMARY, options.to_record())) is not None:
        return SFTReport.from_record(done)
    runs = runs_in(runs)
    work = workplace(out, resume)
    progress = on_progress or (lambda what, done, total: None)
    with room_on_disk(work), closing(ExampleIndex(work / "index.sqlite")) as index:
        suites = planned(index, runs, options.to_record())
        _verify(index, options, suites, workers, progress)
        progress("choosing", 0, 1)
        mix, duplicates = index.choose(options.grades, options.caps, options.mix)
        folder = fresh(work)
        outcomes: Counter[str] = Counter()
        rows = _rows(index, options.rendering, mix, outcomes, progress)
        shards = write_shards(rows, options.rendering.form, folder)
        report = _report(index, mix, duplicates, outcomes, shards)
        card = sft_card(out, runs, options, report, _firsts(index), index.fact("segments"), shards)
        describe(folder, card, report.to_record(), options.to_record(), index, shards)
    publish(folder, out, work)
    return report


def _verify(index: ExampleIndex, options: SFTOptions, suites: set[str], workers: int, progress: OnProgress) -> None:
    done, total = index.progress()
    if done == total:
        return
    check = replace(options.check, held=known_test_splits(suites, options.check))
    for number, found in verified(index.pending(), check, options.seed, workers):
        index.finish(number, found)
        done += len(found)
        progress("verifying", done, total)


def _rows(
    index: ExampleIndex, rendering: Rendering, mix: MixReport, outcomes: Counter[str], progress: OnProgress
) -> Iterator[JSON]:
    """The rows of the chosen examples, whose outcomes are counted on the way."""
    rows_of, total = rendering.rows_of(), sum(mix.kinds.values())
    for number, example in enumerate(index.chosen(), 1):
        yield from rows_of(example)
        outcomes[example.outcome or TEXT] += 1
        progress("writing", number, total)


def _report(
    index: ExampleIndex, mix: MixReport, duplicates: dict[str, int], outcomes: Counter[str], shards: Sequence[Shard]
) -> SFTReport:
    counts = {reason: count for reason, (count, _, _) in index.rejections().items()}
    rejected = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    accepted = index.accepted() + duplicates.get("exact_duplicate", 0)
    return SFTReport(
        traces=accepted + sum(rejected.values()),
        verified=accepted,
        rejected=rejected,
        left_out={**duplicates, **mix.left_out},
        mix=mix,
        rows=sum(shard.rows for shard in shards),
        outcomes={name: outcomes[name] for name in (*OUTCOMES, TEXT) if outcomes[name]},
        damaged=len(index.fact("damaged")),
    )


def _firsts(index: ExampleIndex) -> Firsts:
    return {reason: (episode_id, detail) for reason, (_, episode_id, detail) in index.rejections().items()}
