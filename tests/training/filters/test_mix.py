"""Stated shares, caps, and what the mix really is; chosen by hash, never by order."""

import random
from collections import Counter

import pytest
from helpers import stored
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.core.errors import UserError
from faultgym.training.examples import EXAMPLE_KINDS
from faultgym.training.filters.mix import DEFAULT_SHARES, MixWeights, SampleCaps, fair, leads, mixed, parse_mix, quotas

COUNTS = st.dictionaries(st.sampled_from(EXAMPLE_KINDS), st.integers(0, 400))
ALL = MixWeights({}, 0)


def test_the_default_shares_add_up_to_one_over_all_kinds():
    assert set(DEFAULT_SHARES) == set(EXAMPLE_KINDS)
    assert sum(DEFAULT_SHARES.values()) == pytest.approx(1)


def test_plenty_of_everything_gives_the_stated_shares_exactly():
    available = {"clean": 30, "recovery": 500, "no_tool": 60, "abstention": 70, "report": 70}
    stated = {"clean": 30, "recovery": 50, "no_tool": 6, "abstention": 7, "report": 7}
    assert quotas(available, MixWeights(floor=1)) == stated


def test_a_kind_that_is_short_falls_to_its_floor_before_others_are_cut():
    shares = {"clean": 0.5, "recovery": 0.5}
    assert quotas({"clean": 10, "recovery": 1000}, MixWeights(shares, floor=0.2)) == {"clean": 10, "recovery": 90}
    assert quotas({"clean": 10, "recovery": 1000}, MixWeights(shares, floor=1)) == {"clean": 10, "recovery": 10}
    assert quotas({"clean": 10, "recovery": 1000}, MixWeights(shares, floor=0)) == {"clean": 10, "recovery": 1000}


def test_a_kind_of_which_there_are_none_does_not_count():
    assert quotas({"clean": 30, "recovery": 50, "report": 0}, MixWeights()) == {"clean": 30, "recovery": 50}


@settings(deadline=None)
@given(COUNTS, st.floats(0, 1))
def test_quotas_never_exceed_what_there_is_and_leave_no_present_kind_out(available, floor):
    found = quotas(available, MixWeights(floor=floor))
    assert set(found) == {kind for kind, count in available.items() if count}
    assert all(1 <= found[kind] <= available[kind] for kind in found)


@settings(deadline=None)
@given(COUNTS, st.floats(0.05, 1))
def test_every_kind_has_its_share_or_all_of_its_examples(available, floor):
    found = quotas(available, MixWeights(floor=floor))
    stated = sum(DEFAULT_SHARES[kind] for kind in found)
    size = sum(found.values())
    for kind, count in found.items():
        share = DEFAULT_SHARES[kind] / stated
        assert count >= share * size - len(found) or count == available[kind]
        assert count >= floor * share * size - len(found) - 1


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=3), st.integers(0, 50), max_size=8), st.integers(0, 300))
def test_a_fair_division_gives_all_there_is_to_give_and_levels_what_it_gives(available, total):
    given_ = fair(available, total)
    assert sum(given_.values()) == min(total, sum(available.values()))
    limited = [given_[name] for name in available if given_[name] < available[name]]
    assert not limited or max(given_.values()) <= min(limited) + 1


def test_a_recovery_of_two_contracts_counts_for_the_rarer_one():
    found = leads({("RETRY",): 100, ("BACKOFF", "RETRY"): 5, ("BACKOFF",): 3})
    assert found == {("RETRY",): "RETRY", ("BACKOFF", "RETRY"): "BACKOFF", ("BACKOFF",): "BACKOFF"}


def test_recoveries_are_balanced_over_their_contracts():
    common = [stored.made(n, kind="recovery", contracts=("RETRY",)) for n in range(90)]
    rare = [stored.made(n, kind="recovery", contracts=("VERIFY",)) for n in range(100, 110)]
    clean = [stored.made(n) for n in range(200, 212)]
    chosen, report = mixed([*common, *rare, *clean], MixWeights(floor=1))
    assert report.kinds["clean"] == 12
    assert report.contracts == {"RETRY": 10, "VERIFY": 10}
    assert len(chosen) == 32


def test_a_task_and_a_template_have_caps():
    examples = [stored.made(n, task=f"orders/order_status/train/{n % 3}") for n in range(30)]
    chosen, report = mixed(examples, ALL, SampleCaps(per_task=4, per_template=10))
    assert max(Counter(e.origin.task for e in chosen).values()) <= 4
    assert (len(chosen), report.left_out) == (10, {"task_cap": 18, "template_cap": 2})


def test_the_order_of_the_examples_makes_no_difference_and_the_seed_does():
    examples = list(stored.several())
    expected, report = mixed(examples, MixWeights(floor=1), SampleCaps(2, 5))
    for seed in range(4):
        random.Random(seed).shuffle(examples)
        assert mixed(examples, MixWeights(floor=1), SampleCaps(2, 5)) == (expected, report)
    assert mixed(examples, MixWeights(floor=1), SampleCaps(2, 5), seed=1)[0] != expected


def test_the_report_is_of_what_was_chosen():
    chosen, report = mixed(stored.several())
    assert report.kinds == {kind: sum(e.kind == kind for e in chosen) for kind in EXAMPLE_KINDS}
    assert sum(report.templates.values()) == len(chosen)


def test_a_mix_is_read_and_scaled():
    assert parse_mix("clean=1, recovery=3") == MixWeights({"clean": 0.25, "recovery": 0.75})
    assert parse_mix("all").shares == {}
    assert parse_mix(MixWeights().text()).shares == pytest.approx(MixWeights().shares)


@pytest.mark.parametrize("text", ["", "clean", "clean=x", "clean=-1", "clean=nan", "clean=inf", "dirty=1", "clean=0"])
def test_a_mix_that_is_none_is_refused(text):
    with pytest.raises(UserError, match="--mix"):
        parse_mix(text)
