"""Labelled completions: as many to be wished for as not, none of them twice under one prompt."""

from collections import Counter

import orjson
from helpers.forked import found

from faultgym.training.preferences.kto import labelled, one_per_prompt


def rows():
    """The labelled completions of a small run."""
    return list(labelled(one_per_prompt(f.pair for f in found())))


def test_both_labels_are_equally_frequent():
    assert len(set(Counter(r.label for r in rows()).values())) == 1


def test_no_prompt_has_more_than_one_completion_of_either_label():
    seen = Counter((orjson.dumps([r.prompt, r.tools]), r.label) for r in rows())
    assert set(seen.values()) == {1}


def test_a_completion_never_has_both_labels_under_one_prompt():
    labels = {}
    for r in rows():
        labels.setdefault(orjson.dumps([r.prompt, r.completion]), set()).add(r.label)
    assert all(len(found) == 1 for found in labels.values())


def test_a_completion_names_the_trace_that_it_is_of():
    pairs = list(one_per_prompt(f.pair for f in found()))
    named = [(r.completion_id, r.label) for r in labelled(pairs)]
    assert named == [x for p in pairs for x in ((p.chosen_id, True), (p.rejected_id, False))]
