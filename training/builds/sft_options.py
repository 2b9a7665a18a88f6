"""What a data set for supervised fine-tuning is made by, and what was made of what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from faultgym.core.json import JSON
from faultgym.training.builds.check import ExampleCheck
from faultgym.training.filters.dedupe import DedupThresholds
from faultgym.training.filters.mix import MixReport, MixWeights, SampleCaps, report_data
from faultgym.training.filters.rejection import mostly
from faultgym.training.filters.select import MAX_CALL_RATIO
from faultgym.training.rows.rendering import Rendering

DUPLICATES = {
    "exact_duplicate": "the same, word for word",
    "near_duplicate": "nearly the same as another of its group",
    "group_full": "one more with the same template, kind and calls",
    "task_cap": "one more of its task",
    "template_cap": "one more of its template",
    "mix": "its kind has its share",
}
"""Why verified examples were left out."""
TEXT = "text"
"""Counts the examples whose answer is plain text, beside the outcomes of typed answers."""


@dataclass(frozen=True, slots=True)
class SFTOptions:
    """What a data set of examples is made by; the same options and traces give the same bytes."""

    check: ExampleCheck = field(default_factory=ExampleCheck)
    """What a trace must stand, and how test splits are compared."""
    mix: MixWeights = field(default_factory=MixWeights)
    caps: SampleCaps = field(default_factory=SampleCaps)
    grades: DedupThresholds = field(default_factory=DedupThresholds)
    rendering: Rendering = field(default_factory=Rendering)
    seed: int = 0

    def command(self) -> dict[str, object]:
        """The options as the command line would give them.

        Returns:
            Option -> value, where the value is not the default.

        Example:
            >>> SFTOptions(seed=7, mix=MixWeights({"clean": 0.5, "recovery": 0.5})).command()
            {'mix': 'clean=0.5,recovery=0.5', 'seed': 7}
        """
        form = {"messages": "messages", "turns": "prompt-completion"}.get(self.rendering.form, self.rendering.form)
        values = {
            "mix": (self.mix.text(), MixWeights().text()),
            "from": (self.check.policies, ()),
            "filter": (tuple(name for name, _ in self.check.filters), ()),
            "max-call-ratio": (f"{self.check.max_call_ratio:g}", f"{MAX_CALL_RATIO:g}"),
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
        """The options as JSON, under the names that 0.1 gave them."""
        data: JSON = {"mix": {"shares": dict(self.mix.shares), "floor": self.mix.floor}, "seed": self.seed}
        data["check"] = {
            "waste": self.check.max_call_ratio,  # under the name of 0.1, so that what it began can be resumed
            **{name: getattr(self.check, name) for name in ("ngram", "test_tasks", "policies")},
        }
        if self.check.filters:  # no key where there is none: builds that 0.1 began can be resumed
            data["check"]["filters"] = [name for name, _ in self.check.filters]
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
    outcomes: dict[str, int] = field(default_factory=dict)
    """Episodes by the outcome of their typed answer, and those that end in text."""
    damaged: int = 0
    """Lines of the store that could not be read at all."""

    @property
    def examples(self) -> int:
        """Episodes in the data set."""
        return sum(self.mix.kinds.values())

    def lines(self) -> Iterator[str]:
        """The report for people, line by line."""
        yield f"{self.traces} traces: {self.verified} worth imitating, {self.examples} in the data set"
        if self.damaged:
            yield f"{self.damaged} lines or files of the store are damaged"
        for title, counts in (("rejected", self.rejected), ("left out", self.left_out)):
            if counts:
                yield f"{title}: " + ", ".join(f"{count} {name}" for name, count in counts.items())
        total = self.examples or 1
        yield "mix: " + ", ".join(f"{kind} {n} ({n / total:.0%})" for kind, n in self.mix.kinds.items())
        if set(self.outcomes) - {TEXT}:
            yield "outcomes: " + ", ".join(f"{name} {n}" for name, n in self.outcomes.items())
        if self.mix.contracts:
            yield "recoveries: " + ", ".join(f"{name} {n}" for name, n in self.mix.contracts.items())
        if self.mix.short:
            yield f"short of: {', '.join(self.mix.short)}; roll out more of these, or state another --mix"
        if not self.examples:
            yield f"Nothing is left to learn from. {mostly(self.rejected, self.traces)}".rstrip()

    def to_record(self) -> JSON:
        """The report as JSON."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "mix": report_data(self.mix)}

    @classmethod
    def from_record(cls, record: JSON) -> SFTReport:
        """The report that `to_record` made a record of.

        Raises:
            KeyError: The mix is missing.
        """
        mix = {**record["mix"], "short": tuple(record["mix"]["short"])}
        return cls(**{**record, "mix": MixReport(**mix)})
