"""What a trace must stand before anything is learned from it, and the examples in the lines of a store."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from faultgym.agents.storage.lines import parse
from faultgym.agents.traces.trace import Trace
from faultgym.core import bank
from faultgym.core.errors import TaskError
from faultgym.training.builds.example_index import ExampleEntry
from faultgym.training.builds.inputs import Chunk
from faultgym.training.examples import SFTExample
from faultgym.training.filters.contract import DataFilter, TraceTest
from faultgym.training.filters.decontaminate import NGRAM, TASKS, HeldOut, contamination, held_out, refused
from faultgym.training.filters.registry import DATA_FILTERS
from faultgym.training.filters.rejection import Rejected
from faultgym.training.filters.select import MAX_CALL_RATIO, read_trace, select


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceCheck:
    """What every trace must stand, for examples and for pairs."""

    ngram: int = NGRAM
    test_tasks: int = TASKS
    """Test tasks of each template and split whose words are compared."""
    policies: tuple[str, ...] = ()
    """Names of policies, `*` and `?` in them as in file names: only their traces are taken. Empty for all."""
    held: Mapping[str, HeldOut] = field(default_factory=dict, hash=False)
    """What is known of test splits already, by suite; the rest is found out when it is needed."""
    filters: tuple[tuple[str, DataFilter], ...] = ()
    """Further data filters, by name, in the order in which they are applied."""

    def read(self, line: bytes) -> Trace | Rejected:
        """The trace in a line of a store, if its policy and its split are learned from; never raises.

        Args:
            line: One line of a segment: JSON in UTF-8.

        Returns:
            The trace, or the first reason why not: unreadable, of another policy, or of a split that is kept for tests.
        """
        try:
            trace = read_trace(parse(line))
        except ValueError as error:
            return Rejected("unreadable", "", str(error))
        if isinstance(trace, Rejected):
            return trace
        return self.foreign(trace) or refused(trace) or trace

    def tests(self) -> list[tuple[str, TraceTest]]:
        """The tests of the further filters, for one pass over a chunk."""
        return [(name, one.begin()) for name, one in self.filters]

    def foreign(self, trace: Trace) -> Rejected | None:
        """The rejection of a trace of a policy that was not asked for; None for one that was."""
        name = str(trace.policy.get("name", ""))
        if not self.policies or any(fnmatchcase(name, wanted) for wanted in self.policies):
            return None
        return Rejected("other_policy", trace.episode_id, name)

    def held_out(self, suite: str) -> HeldOut:
        """What the test splits of a suite hold, from `held` or found out now.

        Raises:
            TaskError: There is no such suite.
        """
        known = self.held.get(suite)
        return known if known is not None else held_out(suite, self.ngram, self.test_tasks)

    def contaminated(self, trace: Trace) -> Rejected | None:
        """The first thing in a trace that belongs to a test split; None where nothing does.

        Raises:
            TaskError: There is no such suite, template or task.
        """
        return contamination(trace, self.held_out(trace.task.suite))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleCheck(TraceCheck):
    """Turns lines of a store into examples."""

    max_call_ratio: float = MAX_CALL_RATIO
    """Calls over those of the reference solution."""

    def example(self, line: bytes, tests: Sequence[tuple[str, TraceTest]] = ()) -> SFTExample | Rejected:
        """The example in a line of a store, or why there is none; never raises for what a line can hold.

        Args:
            line: One line of a segment: JSON in UTF-8.
            tests: The further data filters of this pass, by name; see `tests`.

        Returns:
            The example, or the first reason against it; `not_checked` where the check itself broke.
        """
        trace = self.read(line)
        if isinstance(trace, Rejected):
            return trace
        try:
            example = select(trace, max_call_ratio=self.max_call_ratio)
            if isinstance(example, Rejected):
                return example
            return self.contaminated(trace) or tested(trace, tests) or example
        except Exception as error:  # one task whose solution breaks must not keep all others from being used
            return not_checked(trace, error)

    def chunk(self, chunk: Chunk, seed: int) -> list[ExampleEntry | Rejected]:
        """What comes of each line of a chunk, in their order; needs datasketch.

        Args:
            chunk: The lines to be read.
            seed: Fixes the order in which examples are taken later.

        Returns:
            One entry or rejection for each line that is not blank.

        Raises:
            TraceError: The file has become shorter since the chunk was cut.
        """
        found: list[ExampleEntry | Rejected] = []
        tests = self.tests()
        for line in chunk.traces():
            example = self.example(line, tests)
            found.append(example if isinstance(example, Rejected) else ExampleEntry.of(example, seed))
        forget_what_came_once()
        return found


def tested(trace: Trace, tests: Sequence[tuple[str, TraceTest]]) -> Rejected | None:
    """The rejection by the first of the further filters that has something against a trace; None where none has.

    Args:
        trace: The trace.
        tests: (name, test), in the order in which they are asked.
    """
    for name, test in tests:
        if evidence := test(trace):
            return Rejected(name, trace.episode_id, evidence)
    return None


def filters_named(names: Sequence[str]) -> tuple[tuple[str, DataFilter], ...]:
    """The further data filters of these names; those that every build applies anyway are left out.

    Args:
        names: Names of data filters; one that is named twice is applied once.

    Returns:
        (name, filter), in the order of the names.

    Raises:
        UserError: There is no filter of a name, or it does not conform.
    """
    found = [(name, DATA_FILTERS.named(name)) for name in dict.fromkeys(names)]
    return tuple((name, one) for name, one in found if not one.always)


def not_checked(trace: Trace, error: Exception) -> Rejected:
    """A trace on which the check itself broke."""
    return Rejected("not_checked", trace.episode_id, f"{type(error).__name__}: {error}")


def forget_what_came_once() -> None:
    """Forget tasks and their reference runs: most come once, and those of 65,000 tasks would be hundreds of MiB."""
    bank.forget("tasks")


def policy_names(given: Sequence[str]) -> tuple[str, ...]:
    """What people name policies by, as traces name them, sorted and each once.

    Args:
        given: Names as of `--policy`; the address and the options of a model server are cut off.

    Example:
        >>> policy_names(["openai:small@http://localhost:8000/v1?temperature=1", "expert"])
        ('expert', 'openai:small')
    """
    return tuple(sorted({re.split(r"@http|\?[a-z_]+=", name, maxsplit=1)[0] for name in given}))


def known_test_splits(suites: set[str], check: TraceCheck) -> dict[str, HeldOut]:
    """What the test splits of these suites hold, where `check` does not know yet.

    Args:
        suites: Names of suites; one that does not exist is left out.
        check: Gives the n-grams' length, the number of test tasks, and what is known already.

    Returns:
        Suite -> what its test splits hold, what was known before included.
    """
    known = dict(check.held)
    for suite in sorted(suites - known.keys()):
        with suppress(TaskError):
            known[suite] = held_out(suite, check.ngram, check.test_tasks)
    bank.forget("tasks")
    return known
