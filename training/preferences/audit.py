"""The balance audit: whether a set of pairs can be solved by a shortcut, and what it consists of.

It fails when a classifier that sees only lengths or only words tells chosen from rejected with an AUC that lies
above 0.6 with its whole interval, when a kind lacks its mirror image, or when the two completions of a pair do not
follow the same prefix. A failed audit is said and stored like any other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import orjson

from faultgym.core.json import JSON
from faultgym.envs.judging.form import OUTCOMES
from faultgym.training.examples import PreferencePair
from faultgym.training.preferences.balance import FEWEST
from faultgym.training.preferences.kinds import mirror
from faultgym.training.preferences.outcomes import outcome_in
from faultgym.training.preferences.shortcuts import Auc, by_length, by_words, completion_text, group_of

LIMIT = 0.6
"""AUC above which a shortcut is one."""
MAX_AUDITED = 10_000
"""Pairs that the classifiers see: the first so many."""
_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Audit:
    """What the audit of a set of pairs found."""

    pairs: int
    judged: int
    """Pairs that the classifiers saw."""
    aucs: dict[str, Auc] = field(hash=False)
    """`length` or `words`, `pairwise` or `single`, `new templates` or `new tasks`; see `shortcuts`."""
    kinds: dict[str, int] = field(hash=False)
    contracts: dict[str, int] = field(hash=False)
    """`none` where no fault stands at the fork."""
    templates: dict[str, int] = field(hash=False)
    sources: dict[str, int] = field(hash=False)
    """Who made the chosen completions."""
    chosen_tokens: float
    """Mean length, in words and signs."""
    rejected_tokens: float
    prefix_errors: int
    """Pairs whose completions do not both continue their prompt."""
    outcomes: dict[str, tuple[int, int]] = field(default_factory=dict, hash=False)
    """Outcome of a typed answer -> how many of the chosen decisions give it, and how many of the rejected ones."""

    @property
    def token_ratio(self) -> float | None:
        """Mean length of the chosen over that of the rejected; None where nothing was rejected."""
        return self.chosen_tokens / self.rejected_tokens if self.rejected_tokens else None

    @property
    def problems(self) -> list[str]:
        """Why the audit failed, a sentence each; empty where the audit passed."""
        found = []
        for name, auc in self.aucs.items():
            if auc.value is not None and auc.low is not None and auc.value > LIMIT and auc.low > LIMIT:
                found.append(f"{name}: AUC {auc.value:.2f} [{auc.low:.2f}, {auc.high:.2f}] is above {LIMIT}")
        for kind, count in self.kinds.items():
            other = mirror(kind)  # type: ignore[arg-type]
            if self.kinds.get(other, 0) < int(count * FEWEST):
                found.append(f"{kind}: {count} pairs, but {self.kinds.get(other, 0)} of its mirror image {other}")
        if self.prefix_errors:
            found.append(f"{self.prefix_errors} pairs do not share their prefix")
        return found

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.problems

    def to_record(self) -> JSON:
        """The audit as JSON."""
        record: JSON = {name: getattr(self, name) for name in self.__slots__}
        record["aucs"] = {name: auc.to_record() for name, auc in self.aucs.items()}
        ratio = self.token_ratio
        record["token_ratio"] = None if ratio is None else round(ratio, 4)
        return {**record, "passed": self.passed, "problems": self.problems}

    @classmethod
    def from_record(cls, record: JSON) -> Audit:
        """The audit that `to_record` made a record of.

        Raises:
            KeyError: A field is missing.
        """
        fields = {name: record[name] for name in cls.__slots__ if name != "outcomes"}
        fields["outcomes"] = {name: tuple(both) for name, both in record.get("outcomes", {}).items()}
        return cls(**{**fields, "aucs": {name: Auc(**auc) for name, auc in record["aucs"].items()}})

    def lines(self) -> Iterator[str]:
        """The audit for people, line by line, in Markdown."""
        yield f"Balance audit: {'passed' if self.passed else 'FAILED'}."
        yield from (f"- {problem}" for problem in self.problems)
        yield ""
        yield "| shortcut, judged on | AUC | 95% interval |"
        yield "|---|---|---|"
        for name, auc in self.aucs.items():
            value = "-" if auc.value is None else f"{auc.value:.3f}"
            low, high = ("-", "-") if auc.low is None or auc.high is None else (f"{auc.low:.3f}", f"{auc.high:.3f}")
            yield f"| {name} | {value} | {low} to {high} |"
        yield ""
        yield f"{self.pairs} pairs, {self.judged} of them judged by the classifiers; prefixes differ in"
        yield f"{self.prefix_errors}; a chosen completion has {self.chosen_tokens:.1f} words and signs, a rejected one"
        yield f"{self.rejected_tokens:.1f} (ratio {self.token_ratio or 0:.2f})."
        for name in ("kinds", "contracts", "sources", "templates"):
            yield ""
            yield from _shares(name, getattr(self, name), self.pairs)
        if self.outcomes:
            yield ""
            yield "| outcome of an answer | chosen | rejected |"
            yield "|---|---|---|"
            for name, (ahead, behind) in self.outcomes.items():
                yield f"| {name} | {ahead} | {behind} |"


def _shares(name: str, counts: dict[str, int], total: int) -> Iterator[str]:
    yield f"| {name} | pairs | share |"
    yield "|---|---|---|"
    for key, count in counts.items():
        yield f"| {key} | {count} | {count / total:.1%} |"


def audit(pairs: Iterable[PreferencePair]) -> Audit:
    """Audit pairs in one pass; needs scikit-learn.

    Args:
        pairs: The pairs; the texts of the first `MAX_AUDITED` are held in memory.

    Returns:
        What was found; a failed audit raises nothing.
    """
    chosen: list[str] = []
    rejected: list[str] = []
    groups: list[tuple[str, str]] = []
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("kinds", "contracts", "templates", "sources")}
    answers: Counter[tuple[str, int]] = Counter()
    total = errors = 0
    tokens = [0, 0]
    for pair in pairs:
        total += 1
        errors += not shares_prefix(pair)
        texts = (completion_text(pair.chosen), completion_text(pair.rejected))
        tokens = [n + len(_TOKEN.findall(text)) for n, text in zip(tokens, texts, strict=True)]
        _count(counts, pair)
        answers.update((outcome_in(side), n) for n, side in enumerate((pair.chosen, pair.rejected)))
        if len(chosen) < MAX_AUDITED:
            chosen.append(texts[0])
            rejected.append(texts[1])
            groups.append((group_of(pair), pair.origin.task))
    kinds, contracts, templates, sources = (dict(sorted(found.items())) for found in counts.values())
    mean = [n / total if total else 0.0 for n in tokens]
    aucs = shortcuts(chosen, rejected, [template for template, _ in groups], "new templates")
    aucs |= shortcuts(chosen, rejected, [task for _, task in groups], "new tasks")
    return Audit(
        pairs=total,
        judged=len(chosen),
        aucs=aucs,
        kinds=kinds,
        contracts=contracts,
        templates=templates,
        sources=sources,
        chosen_tokens=mean[0],
        rejected_tokens=mean[1],
        prefix_errors=errors,
        outcomes={
            name: (answers[name, 0], answers[name, 1]) for name in OUTCOMES if answers[name, 0] or answers[name, 1]
        },
    )


def _count(counts: dict[str, Counter[str]], pair: PreferencePair) -> None:
    counts["kinds"][pair.kind] += 1
    counts["contracts"][pair.contract or "none"] += 1
    counts["templates"][group_of(pair)] += 1
    counts["sources"][pair.source] += 1


def shortcuts(chosen: Sequence[str], rejected: Sequence[str], groups: Sequence[str], on: str) -> dict[str, Auc]:
    """What length and words alone tell of texts.

    Args:
        chosen: The texts of chosen completions.
        rejected: The texts of the rejected ones, in the same order.
        groups: The group of each pair; a group is never split between training and judging.
        on: What the groups are, for the names of the results.

    Returns:
        Name of the shortcut -> how well it tells chosen from rejected.
    """
    return {
        f"{name} {'single' if single else 'pairwise'}, {on}": judge(chosen, rejected, groups, single=single)
        for name, judge in (("length", by_length), ("words", by_words))
        for single in (False, True)
    }


def shares_prefix(pair: PreferencePair) -> bool:
    """Whether both completions continue the prompt: rendered behind it, they begin with the same bytes."""
    prefix = rendered(pair.prompt)
    if not pair.prompt or pair.prompt[-1]["role"] == "assistant":
        return False
    for completion in (pair.chosen, pair.rejected):
        if not completion or completion[0]["role"] != "assistant":
            return False
        if not rendered((*pair.prompt, *completion)).startswith(prefix):
            return False
    return rendered(pair.chosen) != rendered(pair.rejected)


def rendered(messages: Sequence[JSON]) -> bytes:
    """Messages as bytes, a line of JSON each."""
    return b"".join(orjson.dumps(m, option=orjson.OPT_APPEND_NEWLINE) for m in messages)
