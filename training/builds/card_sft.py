"""The data card of a data set for supervised fine-tuning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from faultgym.core.json import JSON
from faultgym.envs.worlds.names import SPLITS
from faultgym.training.builds.card import header, provenance, rebuild, shares, table
from faultgym.training.builds.sft_options import DUPLICATES, TEXT, SFTOptions, SFTReport
from faultgym.training.builds.shards import Shard
from faultgym.training.filters.decontaminate import TRAINING_SPLITS
from faultgym.training.filters.rejection import REASONS

Firsts = Mapping[str, tuple[str, str]]
"""Reason -> (episode id of the first trace that was rejected for it, what was found)."""


def sft_card(
    out: Path,
    runs: Sequence[Path],
    options: SFTOptions,
    report: SFTReport,
    firsts: Firsts,
    segments: Sequence[JSON],
    shards: Sequence[Shard],
) -> str:
    """The README.md: the header, then what the data set is, of what, and how to make it again.

    Args:
        out: The data set's folder, which names it.
        runs: The folders that were read.
        options: What the data set was made by.
        report: What was made of what.
        firsts: For each reason of a rejection, the first trace that was rejected for it.
        segments: The input files, as `Segment.to_record` gives them.
        shards: The files that were written.

    Returns:
        The card's text, with a newline at its end.
    """
    name = out.resolve().name
    parts = [
        header(name, options.rendering.form, shards, ["sft", "fault-recovery"]),
        f"# {name}",
        _summary(options, report),
        "## What is in it",
        *_contents(options, report),
        "## What is not in it",
        *_rejections(options, report, firsts),
        *provenance(rebuild("sft", runs, out, options.command()), segments, shards),
    ]
    return "\n\n".join(parts) + "\n"


def _summary(options: SFTOptions, report: SFTReport) -> str:
    rows = {"messages": "one row for each episode", "turns": "one row for each assistant turn"}
    what = rows.get(options.rendering.form, "one row of rendered text for each episode")
    return (
        f"{report.examples:,} verified episodes of tool use under injected faults, {what} ({report.rows:,}). Each was"
        " replayed against its world and came out the same, was scored, and reached its goal within"
        f" {options.check.max_call_ratio:g} times the calls that the reference solution needs, or told honestly that it"
        " could not be reached. Tool outputs are context: train on assistant turns only."
    )


def _contents(options: SFTOptions, report: SFTReport) -> Iterator[str]:
    mix = report.mix
    yield shares(mix.kinds, "kind", {str(kind): share for kind, share in options.mix.shares.items()})
    if mix.short:
        yield f"Short of its stated share, because there are no more: {', '.join(mix.short)}."
    if mix.contracts:
        yield "Recoveries by contract; an episode that shows two is counted for both:"
        yield table(["contract", "examples"], mix.contracts.items())
    if set(report.outcomes) - {TEXT}:
        yield "Episodes by the outcome of their answer, which is a call of the tool `answer`:"
        yield shares(report.outcomes, "outcome")
    yield table(["template", "examples"], mix.templates.items())
    suites = sorted({name.partition("/")[0] for name in mix.templates})
    yield f"Suites seen here, whose `unseen_suite` split is no longer unseen: {', '.join(suites) or 'none'}."


def _rejections(options: SFTOptions, report: SFTReport, firsts: Firsts) -> Iterator[str]:
    yield f"Of {report.traces:,} traces {report.verified:,} were worth imitating. The others, by the first reason:"
    yield table(
        ["reason", "traces", "meaning", "first"],
        (
            [reason, count, meaning_of(reason, options), f"`{firsts[reason][0][:24] or '?'}` {firsts[reason][1][:100]}"]
            for reason, count in report.rejected.items()
        ),
    )
    if report.damaged:
        yield f"{report.damaged:,} lines or files of the store were damaged and could not be read."
    yield "Of those that were worth imitating, these were left out:"
    yield table(["why", "episodes", "meaning"], ([n, c, DUPLICATES.get(n, "")] for n, c in report.left_out.items()))
    grades, caps, check = options.grades, options.caps, options.check
    yield (
        f"Nearly the same: an estimated Jaccard similarity of {grades.near:g} or more (MinHash). At most"
        f" {grades.per_group} episodes have the same template, kind and normalised calls; at most {caps.per_task} are"
        f" of one task and {caps.per_template:,} of one template."
    )
    held = [split for split in SPLITS if split not in TRAINING_SPLITS]
    yield (
        f"Decontaminated against the splits {', '.join(held)}: their tasks, worlds, records, phrasings, kinds of"
        f" faults, and the {check.ngram}-grams of their instructions ({check.test_tasks} tasks of each template)."
    )


def meaning_of(reason: str, options: SFTOptions) -> str:
    """What a reason means: one of `REASONS`, or a data filter that was added.

    Args:
        reason: The reason's name.
        options: Hold the data filters that were added.

    Returns:
        A clause about the trace; empty for an unknown reason.
    """
    meanings: dict[str, str] = {name: one.summary for name, one in options.check.filters}
    meanings.update((str(name), text) for name, text in REASONS.items())
    return meanings.get(reason, "")
