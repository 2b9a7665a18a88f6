"""The data card of a data set of preference pairs or labelled completions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from faultgym.core.json import JSON
from faultgym.training.builds.card import header, provenance, rebuild, table
from faultgym.training.builds.pair_options import VERBS, PairForm, PairOptions, PairReport
from faultgym.training.builds.shards import Shard

_WHAT: dict[PairForm, str] = {
    "pairs": (
        "One row for each pair: `prompt`, `chosen`, `rejected`, each of the two a single assistant message. TRL's"
        " DPO and ORPO trainers score everything behind the prompt, and there is no tool output in it."
    ),
    "labels": (
        "Two rows for each pair: `prompt`, `completion` and `label`, the completion a single assistant message, no"
        " prompt with two pairs. For TRL's KTO trainer."
    ),
}


def pair_card(
    out: Path,
    runs: Sequence[Path],
    options: PairOptions,
    form: PairForm,
    report: PairReport,
    segments: Sequence[JSON],
    shards: Sequence[Shard],
) -> str:
    """The README.md: the header, then what the data set is, how balanced it is, and how to make it again.

    Args:
        out: The data set's folder, which names it.
        runs: The folders that were read.
        options: What the data set was made by.
        form: `pairs` or `labels`.
        report: What was made of what.
        segments: The input files, as `Segment.to_record` gives them.
        shards: The files that were written.

    Returns:
        The card's text, with a newline at its end.
    """
    name = out.resolve().name
    choice = report.choice
    parts = [
        header(name, form, shards, [{"pairs": "dpo", "labels": "kto"}[form], "fault-recovery"]),
        f"# {name}",
        "Decisions of tool-using agents under injected faults, with what came of them: each episode was built again,"
        " forked at one step, and played to its end both ways. " + _WHAT[form],
        "The margin is the difference of the two episodes' scores: 0 for a failure, for a success one half plus half"
        " of the expert's calls over its own.",
        "## What is in it",
        table(
            ["kind", "found", "kept", "left out"],
            ([kind, n, choice.kept[kind], n - choice.kept[kind]] for kind, n in choice.found.items()),
        ),
        f"{report.traces:,} traces were read. {choice.duplicates:,} pairs were equal to another and"
        f" {choice.same_prompt:,} had the prompt of another, {choice.contradicted:,} rejected what another chose;"
        f" {choice.critical:,} reject what a failed trace did at its first critical step (`critical_step`, null where"
        " the trace has none). What is left out beyond that made one kind of move, or one word, chosen more often than"
        " rejected.",
        *([_rejected(report)] if report.rejected else []),
        "## Balance audit",
        "\n".join(report.audit.lines()),
        *provenance(rebuild(VERBS[form], runs, out, options.command()), segments, shards),
    ]
    return "\n\n".join(parts) + "\n"


def _rejected(report: PairReport) -> str:
    return table(["traces that were not forked", "how many"], report.rejected.items())
