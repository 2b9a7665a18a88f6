"""Runs to a data set of preference pairs or labelled completions: streaming, resumable, the same for every order.

    RUNS -> chunks -> forks and pairs (workers) -> index on disk -> balanced, audited -> Parquet files

While it is made, everything lies in `.NAME.building` beside the data set's folder; that takes its name when it is
whole and on the disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from faultgym.core.json import JSON
from faultgym.training.builds.card_pairs import pair_card
from faultgym.training.builds.check import filters_named, known_test_splits
from faultgym.training.builds.inputs import OnProgress, runs_in
from faultgym.training.builds.pair_check import PairCheck, sources_of
from faultgym.training.builds.pair_index import PairIndex
from faultgym.training.builds.pair_options import UNBALANCED, PairForm, PairOptions, PairReport
from faultgym.training.builds.record import SUMMARY, describe, fresh, planned, room_on_disk
from faultgym.training.builds.shards import write_shards
from faultgym.training.builds.verify import verified
from faultgym.training.builds.work import finished, publish, workplace
from faultgym.training.examples import PreferencePair
from faultgym.training.preferences.audit import audit
from faultgym.training.rows.columns import Reasoning
from faultgym.training.rows.conversational import label_rows, pair_row

__all__ = ["PairForm", "PairOptions", "PairReport", "build_pairs"]


def build_pairs(
    runs: Sequence[Path],
    out: Path,
    options: PairOptions | None = None,
    *,
    form: PairForm = "pairs",
    workers: int = 1,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> PairReport:
    """Make a data set in `out`, a folder that is new or empty; needs the extra `data`.

    The data set is written also when its audit fails: the report says so.

    Args:
        runs: Folders of runs, or folders that hold some, whose traces are forked.
        out: The data set's folder.
        options: What the data set is made by; None for the defaults.
        form: `pairs` for DPO and ORPO, `labels` for KTO.
        workers: Processes that fork traces; 1 for this process alone.
        resume: Whether to go on with what a stopped build left behind, if there is anything.
        on_progress: Told what is being done, how much of it is done, and out of how much.

    Returns:
        What was made of what.

    Raises:
        UserError: The folder holds something else, the build to resume was of other runs or options, another process is
            building there, a policy or a filter is unknown, or the disk is full.
        TraceError: A folder in `runs` neither is a run nor holds one.
        HarnessError: The policy's server failed, or a worker process died; the work so far can be resumed.
    """
    options = options or PairOptions()
    options.sources()  # before the long part: an unknown name is said at once
    filters_named(options.filters)
    asked = {**options.to_record(), "form": form}
    if resume and (done := finished(out, SUMMARY, asked)) is not None:
        return PairReport.from_record(done)
    runs = runs_in(runs)
    work = workplace(out, resume)
    progress = on_progress or (lambda what, done, total: None)
    with room_on_disk(work), closing(PairIndex(work / "index.sqlite")) as index:
        suites = planned(index, runs, asked)
        try:
            _fork(index, options, suites, workers, progress)
        finally:
            sources_of.cache_clear()  # a model's memory is given back
        progress("balancing", 0, 1)
        choice = index.choose_pairs(form, balance=options.at not in UNBALANCED)
        folder = fresh(work)
        shards = write_shards(_rows(index, options, form, progress), form, folder)
        rejected = {reason: count for reason, (count, _, _) in index.rejections().items()}
        report = PairReport(
            traces=index.progress()[1],
            rejected=rejected,
            choice=choice,
            rows=sum(s.rows for s in shards),
            audit=audit(index.chosen_pairs()),
        )
        card = pair_card(out, runs, options, form, report, index.fact("segments"), shards)
        describe(folder, card, report.to_record(), asked, index, shards)
    publish(folder, out, work)
    return report


def _fork(index: PairIndex, options: PairOptions, suites: set[str], workers: int, progress: OnProgress) -> None:
    done, total = index.progress()
    if done == total:
        return
    check = PairCheck(options=options, policies=options.policies, filters=filters_named(options.filters))
    check = replace(check, held=known_test_splits(suites, check))
    for number, found in verified(index.pending(), check, options.seed, workers):
        index.finish(number, found)
        progress("forking", index.progress()[0], total)


def _rows(index: PairIndex, options: PairOptions, form: PairForm, progress: OnProgress) -> Iterator[JSON]:
    for number, pair in enumerate(index.chosen_pairs(), 1):
        yield from rows_of(pair, form, options.reasoning)
        if number % 100 == 0:
            progress("writing", number, number)


def rows_of(pair: PreferencePair, form: PairForm, reasoning: Reasoning = "field") -> Iterator[JSON]:
    """The row of a pair, or its two labelled rows.

    Args:
        pair: The pair.
        form: `pairs` gives one row, `labels` two.
        reasoning: What becomes of thoughts; see `rows.Reasoning`.

    Yields:
        Rows of that form.
    """
    if form == "labels":
        yield from label_rows(pair, reasoning=reasoning)
    else:
        yield pair_row(pair, reasoning=reasoning)
