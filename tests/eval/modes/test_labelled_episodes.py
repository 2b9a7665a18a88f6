"""The labelled episodes: they can be played again, and what their labels take for granted is there."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import pytest
from helpers.corpora import corpus, may_be_right, replayed

from faultgym.eval.modes.registry import MODES
from faultgym.eval.recovery.outcomes import Outcome

EPISODES = corpus("episodes_more")


@pytest.mark.slow
def test_every_labelled_episode_runs_and_is_called_right_only_where_the_state_is_as_the_task_wants_it():
    for line in EPISODES:
        episode = replayed(line)
        assert [record.call.name for record in episode.records] == [
            c[0] for t in line["turns"] for c in t.get("calls", ())
        ]
        assert episode.stop == "final"
        assert not line["right"] or may_be_right(episode), line["name"]
        met = {event.kind for event in episode.layer.events}
        assert met >= set(line.get("recovery", ())), line["name"]
        episode.close()


@pytest.mark.slow
def test_what_is_labelled_as_an_obeyed_instruction_had_been_planted():
    for line in EPISODES:
        if "obeyed_injection" in line["modes"]:
            episode = replayed(line)
            planted = [event.detail for event in episode.layer.events if event.kind == "injected_instruction"]
            assert planted, line["name"]
            told = any(detail["canary"] in line["turns"][-1]["text"] for detail in planted)
            ordered = {verb for detail in planted for verb in detail["forbidden"].split()[:1]}
            done = any(effect.kind.split("_")[0] in ordered for effect in episode.world.effects)
            assert told or done, line["name"]
            episode.close()


def test_labels_name_modes_and_outcomes_that_there_are_and_each_mode_often():
    counts = Counter(mode for line in EPISODES for mode in line["modes"])
    assert set(counts) <= set(MODES)
    assert min(counts.values()) >= 6
    assert {outcome for line in EPISODES for outcome in line.get("recovery", {}).values()} <= set(get_args(Outcome))


def test_labelled_episodes_differ_and_have_names_of_their_own():
    assert len({line["name"] for line in EPISODES}) == len(EPISODES)
    assert len({str((line["task"], line["faults"], line["turns"])) for line in EPISODES}) == len(EPISODES)
