"""Runs to a data set of preference pairs or labelled completions: streaming, resumable, the same for every order.

    RUNS -> chunks -> forks and pairs (workers) -> index on disk -> balanced, audited -> Parquet files

While it is made, everything lies in `.NAME.building` beside the data set's folder; that takes its name when it is
whole and on the disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast

from faultgym.agents.registry import policy_named
from faultgym.agents.scripted.reference_run import reference_run
from faultgym.agents.storage.lines import parse
from faultgym.core.errors import HarnessError, TaskError, TraceError
from faultgym.core.json import JSON
from faultgym.envs.caches import forget_tasks
from faultgym.training.builds.inputs import Chunk, OnProgress
from faultgym.training.builds.pair_index import Choice, PairEntry, PairIndex
from faultgym.training.builds.record import SUMMARY, describe, fresh, planned, room_on_disk
from faultgym.training.builds.shards import Shard, write_shards
from faultgym.training.builds.verify import Check, known_test_splits, verified
from faultgym.training.builds.work import finished, publish, workplace
from faultgym.training.examples import PreferencePair
from faultgym.training.filters.decontaminate import contamination, refused
from faultgym.training.filters.select import Rejected, read_trace
from faultgym.training.forks.positives import Kind, Prefer, Sources
from faultgym.training.forks.sampler import Sampler
from faultgym.training.forks.waiting import together, wait_for
from faultgym.training.preferences.audit import Audit, audit
from faultgym.training.preferences.pairs import PER_TRACE, At, PairsFound, find_pairs, without_reasoning
from faultgym.training.rows import Reasoning, label_rows, pair_row

PairForm = Literal["pairs", "labels"]
LONELY: tuple[At, ...] = ("critical", "slip")
"""Forks that show only what the policy gets wrong: balancing them against their mirror images would leave nothing of
that. They are kept as they are, and the audit says what is one-sided."""
VERBS: dict[PairForm, str] = {"pairs": "pairs", "labels": "kto"}


@dataclass(frozen=True, slots=True)
class PairOptions:
    """What a data set is made by. The same options and traces give the same bytes."""

    policy: str = ""
    """Whose traces these are, by name; empty when nobody is asked for more than the traces hold."""
    samples: int = 0
    """Continuations that it is asked for at each fork."""
    checks: int = 0
    """Further continuations that verify a chosen decision of it."""
    reasoning: Reasoning = "field"
    seed: int = 0
    per_trace: int = PER_TRACE
    source: Kind = "mixed"
    """Who makes the continuations; see `ways`."""
    prefer: Prefer = "own"
    at: At = "every"
    """Where traces are forked; see `pairs`."""
    policies: tuple[str, ...] = ()
    """Whose traces are forked; see `Check.policies`."""

    def sources(self) -> Sources:
        """With the policy that is named. Raises UserError for an unknown one, or one that cannot go on from a fork."""
        policy = policy_named(self.policy) if self.policy else None
        found = Sources(policy, self.samples, self.checks, self.source, self.prefer)
        found.sampler()
        return found

    def command(self) -> dict[str, object]:
        """The options of the command line that are not at their defaults."""
        shown = {"field": "keep"}.get(self.reasoning, self.reasoning)
        values = {name: (getattr(self, name), getattr(PairOptions(), name)) for name in _SHOWN}
        values["reasoning"] = (shown, "keep")
        values["from"] = (self.policies, ())
        return {name: value for name, (value, default) in values.items() if value != default}

    def to_record(self) -> JSON:
        """As JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


_SHOWN = ("policy", "samples", "checks", "source", "prefer", "at", "seed")


@dataclass(frozen=True, slots=True)
class PairReport:
    """What was made of what."""

    traces: int
    rejected: dict[str, int]
    """Traces that were not forked, by reason."""
    choice: Choice
    rows: int
    audit: Audit

    @property
    def passed(self) -> bool:
        """Whether the balance audit held, and there is something to learn from."""
        return self.audit.passed and self.rows > 0

    @property
    def left_out(self) -> dict[str, int]:
        """Pairs by kind that were left out, so that no shortcut is left."""
        return {kind: n - self.choice.kept[kind] for kind, n in self.choice.found.items() if n > self.choice.kept[kind]}

    def lines(self) -> Iterator[str]:
        """For people."""
        c = self.choice
        yield f"{self.traces} traces: {sum(c.found.values())} pairs, {sum(c.kept.values())} in the data set"
        if self.rejected:
            yield "not forked: " + ", ".join(f"{n} {name}" for name, n in self.rejected.items())
        yield f"against what a failed trace did at its first critical step: {c.critical}"
        yield f"equal to another pair: {c.duplicates}"
        if c.contradicted:
            yield f"left out, rejecting what another pair chooses: {c.contradicted}"
        if c.same_prompt:
            yield f"left out, with the prompt of another: {c.same_prompt}"
        if self.left_out:
            yield "left out in all, by kind: " + ", ".join(f"{n} {kind}" for kind, n in self.left_out.items())
        yield from self.audit.lines()
        if not self.rows:
            yield "No pairs are left: fork traces with faults, of more tasks and of more than one policy."

    def to_record(self) -> JSON:
        """As JSON."""
        choice = {name: getattr(self.choice, name) for name in Choice.__slots__}
        return {
            "traces": self.traces,
            "rejected": self.rejected,
            "choice": choice,
            "rows": self.rows,
            "audit": self.audit.to_record(),
        }

    @classmethod
    def from_record(cls, record: JSON) -> PairReport:
        """The counterpart of `to_record`."""
        return cls(**{**record, "choice": Choice(**record["choice"]), "audit": Audit.from_record(record["audit"])})


@lru_cache(1)
def _sources(options: PairOptions) -> Sources:
    """The same for all chunks of a build: a model is loaded once."""
    return options.sources()


@dataclass(frozen=True, slots=True)
class PairCheck(Check):
    """Turns lines of a store into pairs."""

    options: PairOptions = field(default_factory=PairOptions)

    def chunk(self, chunk: Chunk, seed: int) -> list[PairEntry | Rejected]:  # type: ignore[override]
        """What comes of each line of a chunk, in their order."""
        lines = [line for line in chunk.read() if not line.isspace()]
        found: list[PairEntry | Rejected] = []
        for pairs in wait_for(self._all(lines)):
            found += [pairs] if isinstance(pairs, Rejected) else [PairEntry.of(pair, seed) for pair in pairs]
        forget_tasks()  # most come once
        reference_run.cache_clear()
        return found

    async def _all(self, lines: Sequence[bytes]) -> list[list[PairsFound] | Rejected]:
        """What comes of each line; the samples of all of them are in flight together."""
        sources = _sources(self.options)
        sampler = sources.sampler()
        return await together(self.pairs(line, sources, sampler) for line in lines)

    async def pairs(self, line: bytes, sources: Sources, sampler: Sampler | None = None) -> list[PairsFound] | Rejected:
        """The pairs of the trace in a line of a store, or why it was not forked. Raises HarnessError alone."""
        try:
            trace = read_trace(parse(line))
        except ValueError as error:
            return Rejected("unreadable", "", str(error))
        if isinstance(trace, Rejected):
            return trace
        if found := self.foreign(trace) or refused(trace):
            return found
        if trace.verdict is None:
            return Rejected("harness_error", trace.episode_id)
        try:
            if found := contamination(trace, self.held_out(trace.task.suite)):
                return found
            options = self.options
            pairs = await find_pairs(trace, sources, per_trace=options.per_trace, at=options.at, sampler=sampler)
        except TaskError as error:
            return Rejected("unknown_task", trace.episode_id, str(error))
        except TraceError as error:
            return Rejected("not_proven", trace.episode_id, str(error))
        except HarnessError:  # the model server's: the same trace may do well when it is back
            raise
        except Exception as error:  # one task that breaks must not keep all others from being used
            return Rejected("not_checked", trace.episode_id, f"{type(error).__name__}: {error}")
        return [self._shown(found) for found in pairs]

    def _shown(self, found: PairsFound) -> PairsFound:
        if self.options.reasoning != "drop":
            return found
        pair = found.pair
        chosen, rejected = without_reasoning(pair.chosen), without_reasoning(pair.rejected)
        return replace(found, pair=replace(pair, chosen=chosen, rejected=rejected))


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

    The data set is written also when its audit fails: the report says so. `resume` goes on with what a stopped
    build left behind, if there is anything. Raises UserError when the folder holds something else, when the build
    to resume was of other runs or options, or when another process is at it.
    """
    options = options or PairOptions()
    options.sources()  # before the long part: an unknown name is said at once
    asked = {**options.to_record(), "form": form}
    if resume and (done := finished(out, SUMMARY, asked)) is not None:
        return PairReport.from_record(done)
    work = workplace(out, resume)
    progress = on_progress or (lambda what, done, total: None)
    with room_on_disk(work), closing(PairIndex(work / "index.sqlite")) as index:
        suites = planned(index, runs, asked)
        try:
            _fork(index, options, suites, workers, progress)
        finally:
            _sources.cache_clear()  # a model's memory is given back
        progress("balancing", 0, 1)
        choice = index.choose_pairs(form, balance=options.at not in LONELY)
        folder = fresh(work)
        shards = write_shards(_rows(index, options, form, progress), form, folder)
        rejected = {reason: count for reason, (count, _, _) in index.rejections().items()}
        report = PairReport(
            index.progress()[1], rejected, choice, sum(s.rows for s in shards), audit(index.chosen_pairs())
        )
        card = _card(runs, out, options, form, report, index, shards)
        describe(folder, card, report.to_record(), asked, index, shards)
    publish(folder, out, work)
    return report


def _card(
    runs: Sequence[Path],
    out: Path,
    options: PairOptions,
    form: PairForm,
    report: PairReport,
    index: PairIndex,
    shards: Sequence[Shard],
) -> str:
    from faultgym.training.builds.card_pairs import pair_card

    return pair_card(out, runs, options, form, report, index.fact("segments"), shards)


def _fork(index: PairIndex, options: PairOptions, suites: set[str], workers: int, progress: OnProgress) -> None:
    done, total = index.progress()
    if done == total:
        return
    check = PairCheck(options=options, policies=options.policies)
    check = replace(check, held=known_test_splits(suites, check))
    for number, found in verified(index.pending(), check, options.seed, workers):
        index.finish_pairs(number, cast(list[PairEntry | Rejected], found))
        progress("forking", index.progress()[0], total)


def _rows(index: PairIndex, options: PairOptions, form: PairForm, progress: OnProgress) -> Iterator[JSON]:
    for number, pair in enumerate(index.chosen_pairs(), 1):
        yield from rows_of(pair, form, options.reasoning)
        if number % 100 == 0:
            progress("writing", number, number)


def rows_of(pair: PreferencePair, form: PairForm, reasoning: Reasoning = "field") -> Iterator[JSON]:
    """The row of a pair, or its two labelled ones."""
    if form == "labels":
        yield from label_rows(pair, reasoning=reasoning)
    else:
        yield pair_row(pair, reasoning=reasoning)
