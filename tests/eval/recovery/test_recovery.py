"""Recoveries as a whole: when there is none, what the expert does, records and rates."""

from collections.abc import Iterator

import pytest
from helpers.recoveries import CANCEL, CANCELS, HONEST, OUT, READ, ROW, SAYS, SORRY, STATUS, fault, play

from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.envs.episode import run_reference
from faultgym.envs.reference.run import closing_turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import suite_named
from faultgym.eval.context import ScoringContext
from faultgym.eval.recovery.outcomes import Recovery, recovery


def test_no_fault_is_no_recovery():
    assert recovery(play(STATUS, (), READ, SAYS)) is None


def test_a_fault_that_never_fired_is_no_recovery():
    assert recovery(play(STATUS, fault("server_error", 2), READ, SAYS)) is None


def expert_contexts(preset) -> Iterator[ScoringContext]:
    for suite in ("orders", "incidents"):
        for template in suite_named(suite).names("train"):
            task = suite_named(suite).task(template, "train", 0)
            episode, answer = run_reference(task, schedule_for(task, preset, 3))
            episode.step(closing_turn(answer, episode.answers))
            if episode.verdict.success:
                yield ScoringContext.of(
                    Trace.from_episode(episode, EpisodeSpec(task.id, preset, 3), {"name": "expert"}), task
                )


@pytest.mark.parametrize("preset", ["mild", "rough", "hostile", "outage"])
def test_the_expert_recovers_or_reports_whatever_it_meets(preset):
    for context in expert_contexts(preset):
        found = recovery(context)
        outcomes = set() if found is None else {d.outcome for d in found.deliveries}
        assert outcomes <= {"recovered", "reported", "unneeded"}, (context.task.id, found)
        if found is not None:
            assert not any(d.patient is False for d in found.deliveries), (context.task.id, found)


def test_a_recovery_survives_its_record():
    found = recovery(play(STATUS, (OUT, fault("busy", id=1)), READ, ROW, ROW, SORRY))
    assert len(found.deliveries) == 2
    assert Recovery.from_record(found.to_record()) == found


def test_the_rate_leaves_out_what_was_unneeded_and_what_had_no_way_past():
    reported = recovery(play(CANCEL, OUT, CANCELS, HONEST))
    assert reported.rate is None
    slow = recovery(play(STATUS, (fault("slow"), fault("server_error", id=1)), READ, READ, SAYS))
    assert sorted(slow.outcomes) == ["recovered", "unneeded"]
    assert slow.rate == 1.0
