"""What a data filter must hold to, tried on a few traces before one of somebody else's is taken."""

from __future__ import annotations

import re
from collections.abc import Callable

import orjson

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.play import run_episode
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.core.bank import banked
from faultgym.core.errors import UserError
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import task_by_id
from faultgym.training.filters.contract import DataFilter
from faultgym.training.filters.rejection import REASONS

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PLAYED = (("expert", "clean"), ("expert", "rough"), ("quitter", "rough"))
"""Policies and presets of the traces that a filter is tried on."""


def check_filter(name: str, data_filter: DataFilter) -> None:
    """Try a filter on a few traces, twice.

    Args:
        name: The name under which the filter would be registered.
        data_filter: The filter.

    Raises:
        UserError: The name is no lower-case word or that of a reason, the filter is no `DataFilter`, says nothing of
            what a rejection means, raises, gives something else than None or a text, gives another answer the second
            time, or changes the trace.
    """

    def wrong(why: str) -> UserError:
        return UserError(f"the data filter {name!r} cannot be taken: {why}")

    if not _NAME.fullmatch(name) or name in REASONS:
        raise wrong("a name is a word of a-z, 0-9 and _, and none of the reasons that there are already")
    if not isinstance(data_filter, DataFilter):
        raise wrong(f"it has to be a DataFilter, not {type(data_filter).__name__}: see DataFilter.of")
    if not isinstance(data_filter.summary, str) or not data_filter.summary.strip():
        raise wrong("its summary has to say what a rejection means, such as 'it has more than twenty turns'")
    answers = [_answers(data_filter, wrong) for _ in range(2)]
    if answers[0] != answers[1]:
        raise wrong(f"it answers {answers[0]!r} at first and {answers[1]!r} then; it may depend on the traces alone")


def _answers(data_filter: DataFilter, wrong: Callable[[str], UserError]) -> list[str | None]:
    found = []
    try:
        test = data_filter.begin()
    except Exception as error:
        raise wrong(f"`begin` raises {type(error).__name__}: {error}") from error
    for stored in _stored():
        trace = Trace.from_record(orjson.loads(stored))
        before = orjson.dumps(trace.to_record())
        try:
            answer = test(trace)
        except Exception as error:
            raise wrong(f"it raises {type(error).__name__} on the trace of {trace.task.id}: {error}") from error
        if answer is not None and not (isinstance(answer, str) and answer.strip()):
            raise wrong(f"it gives {answer!r}; it has to be None, or a text of what was found")
        if orjson.dumps(trace.to_record()) != before:
            raise wrong("it changes the trace")
        found.append(answer)
    return found


@banked("texts", 1)
def _stored() -> tuple[bytes, ...]:
    """As a store has them: what a filter does to one must not be seen by the next."""
    return tuple(orjson.dumps(_played(policy, faults).to_record()) for policy, faults in _PLAYED)


def _played(name: str, faults: str) -> Trace:
    policy, task = policy_named(name), task_by_id("orders/order_status/train/0")
    episode = run_episode(policy, task, schedule_for(task, faults, 0))
    trace = Trace.from_episode(
        episode, EpisodeSpec(task=task.id, faults=faults, fault_seed=0, policy_seed=0), policy.describe()
    )
    episode.close()
    return trace
