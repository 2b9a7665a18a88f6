"""The preference pairs in the lines of a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from faultgym.core.errors import HarnessError, ServerRefusal, TaskError, TraceError
from faultgym.training.builds.check import TraceCheck, forget_what_came_once, not_checked, tested
from faultgym.training.builds.inputs import Chunk
from faultgym.training.builds.pair_index import PairEntry
from faultgym.training.builds.pair_options import PairOptions
from faultgym.training.filters.contract import TraceTest
from faultgym.training.filters.rejection import Rejected
from faultgym.training.forks.positives import Sources
from faultgym.training.forks.sampler import Sampler
from faultgym.training.forks.waiting import together, wait_for
from faultgym.training.preferences.pairs import PairsFound, find_pairs, without_reasoning


@lru_cache(1)  # no cache of the bank: what it holds is a loaded model, whose memory is given back by name
def sources_of(options: PairOptions) -> Sources:
    """The sources of a build, the same for all its chunks, so that a model is loaded once.

    Raises:
        UserError: As of `PairOptions.sources`.
    """
    return options.sources()


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCheck(TraceCheck):
    """Turns lines of a store into pairs."""

    options: PairOptions = field(default_factory=PairOptions)

    def chunk(self, chunk: Chunk, seed: int) -> list[PairEntry | Rejected]:
        """What comes of each line of a chunk, in their order; the samples of all lines are in flight together.

        Args:
            chunk: The lines to be read.
            seed: Fixes the order in which pairs are taken later.

        Returns:
            The entries of the pairs, and the rejections of traces that were not forked.

        Raises:
            HarnessError: The policy's server failed.
            TraceError: The file has become shorter since the chunk was cut.
        """
        found: list[PairEntry | Rejected] = []
        for pairs in wait_for(self._all(chunk.traces())):
            found += [pairs] if isinstance(pairs, Rejected) else [PairEntry.of(pair, seed) for pair in pairs]
        forget_what_came_once()
        return found

    async def _all(self, lines: Sequence[bytes]) -> list[list[PairsFound] | Rejected]:
        """What comes of each line; the samples of all of them are in flight together."""
        sources, tests = sources_of(self.options), self.tests()
        sampler = sources.sampler()
        return await together(self.pairs(line, sources, sampler, tests) for line in lines)

    async def pairs(
        self,
        line: bytes,
        sources: Sources,
        sampler: Sampler | None = None,
        tests: Sequence[tuple[str, TraceTest]] = (),
    ) -> list[PairsFound] | Rejected:
        """The pairs of the trace in a line of a store, or why the trace was not forked.

        Args:
            line: One line of a segment: JSON in UTF-8.
            sources: Who makes the continuations.
            sampler: The policy, ready to be asked; None to make one where `sources` asks for samples.
            tests: The further data filters of this pass, by name.

        Returns:
            The pairs, an empty list where nothing turned out worse; or the reason why there are none.

        Raises:
            HarnessError: The policy's server failed; nothing else is raised for what a line can hold.
        """
        trace = self.read(line)
        if isinstance(trace, Rejected):
            return trace
        if trace.verdict is None:
            return Rejected("harness_error", trace.episode_id)
        if trace.verdict.success is None:
            return Rejected("undecided", trace.episode_id, trace.verdict.reason)
        try:
            if found := self.contaminated(trace) or tested(trace, tests):
                return found
            options = self.options
            pairs = await find_pairs(trace, sources, per_trace=options.per_trace, at=options.at, sampler=sampler)
        except TaskError as error:
            return Rejected("unknown_task", trace.episode_id, str(error))
        except TraceError as error:
            return Rejected("not_proven", trace.episode_id, str(error))
        except ServerRefusal as error:  # of this chat: the others may fare better
            return Rejected("refused", trace.episode_id, str(error)[:500])
        except HarnessError:  # the model server's: the same trace may do well when it is back
            raise
        except Exception as error:  # one task that breaks must not keep all others from being used
            return not_checked(trace, error)
        return [self._shown(found) for found in pairs]

    def _shown(self, found: PairsFound) -> PairsFound:
        if self.options.reasoning != "drop":
            return found
        pair = found.pair
        chosen, rejected = without_reasoning(pair.chosen), without_reasoning(pair.rejected)
        return replace(found, pair=replace(pair, chosen=chosen, rejected=rejected))
