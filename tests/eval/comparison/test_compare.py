"""Comparisons of runs: laws over drawn runs, and figures worked out by hand."""

import math
import random
import time
from dataclasses import replace

import numpy as np
import orjson
import pytest
from helpers.compared import QUICK, episode, outcomes, run
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.core.errors import UserError
from faultgym.envs.limits import Limits
from faultgym.eval.comparison.compare import Settings, clean_noninferior, compare
from faultgym.eval.comparison.paired import mcnemar
from faultgym.eval.comparison.report import blocks, markdown

OTHER_SIDE = {"better": "worse", "worse": "better", "not shown": "not shown", None: None}


drawn = st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from(["clean", "rough"])), min_size=1, max_size=25)


def two(pairs):
    sides = []
    for side, name in enumerate("ab"):
        found = [
            episode(
                f"t{n // 2}", pair[side], pair[2], n, who=name, recovered=pair[side] if pair[2] == "rough" else None
            )
            for n, pair in enumerate(pairs)
        ]
        sides.append(run(name, *found))
    return sides


# ---- laws -------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=examples(20))
@given(drawn)
def test_a_run_compared_with_itself_shows_nothing(pairs):
    base = two(pairs)[0]
    (found,) = compare(base, [replace(base, name="again")], QUICK).against
    assert {cell.verdict for cell in found.cells} == {"not shown"}
    assert {cell.difference for cell in found.cells} == {0.0}
    assert {cell.p for cell in found.cells} == {1.0}
    assert (found.gained, found.lost, found.solved.p) == ((), (), 1.0)


@settings(deadline=None, max_examples=examples(20))
@given(drawn)
def test_exchanging_the_runs_mirrors_every_cell(pairs):
    a, b = two(pairs)
    (there,), (back,) = compare(a, [b], QUICK).against, compare(b, [a], QUICK).against
    for one, other in zip(there.cells, back.cells, strict=True):
        assert (one.metric, one.by, one.name, one.base, one.p) == (
            other.metric, other.by, other.name, other.other, other.p,
        )  # fmt: skip
        assert (one.low, one.high) == (pytest.approx(-other.high), pytest.approx(-other.low))
        assert one.verdict == OTHER_SIDE[other.verdict]
    assert [c.task for c in there.gained] == [c.task for c in back.lost]
    assert there.solved.p == back.solved.p


@settings(deadline=None, max_examples=examples(20))
@given(drawn, st.randoms(use_true_random=False))
def test_the_order_of_episodes_changes_nothing(pairs, shuffler):
    a, b = two(pairs)
    mixed = list(b.episodes)
    shuffler.shuffle(mixed)
    assert compare(a, [b], QUICK).to_json() == compare(a, [replace(b, episodes=tuple(mixed))], QUICK).to_json()


def test_where_there_is_no_difference_a_verdict_comes_out_in_at_most_alpha_of_all_cases():
    shuffler, verdicts = random.Random(1), []
    won = [shuffler.random() < 0.5 for _ in range(60)]
    for _ in range(120):
        pairs = [(w, other)[:: shuffler.choice((1, -1))] for w, other in zip(won, reversed(won), strict=True)]
        a, b = outcomes("a", [one for one, _ in pairs]), outcomes("b", [two for _, two in pairs])
        (found,) = compare(a, [b], QUICK).against
        verdicts.append(found.cell("success").verdict)
    assert 0 < sum(v != "not shown" for v in verdicts) <= 0.1 * len(verdicts)


# ---- by hand ----------------------------------------------------------------------------------------


def test_a_known_example():
    a = outcomes("a", [False] * 10 + [True] * 2 + [True] * 8)
    b = outcomes("b", [True] * 10 + [False] * 2 + [True] * 8)
    (found,) = compare(a, [b]).against
    s = found.solved
    assert (s.only_other, s.only_base, s.both, s.neither) == (10, 2, 8, 0)
    assert s.p == mcnemar(10, 2) == pytest.approx(2 * (1 + 12 + 66) / 4096)
    cell = found.cell("success")
    assert (cell.base, cell.other, cell.difference) == (0.5, 0.9, pytest.approx(0.4))
    assert cell.p == pytest.approx(s.p, abs=0.01)
    assert cell.verdict == "better"
    spread = np.std([1] * 10 + [-1] * 2 + [0] * 8, ddof=1)
    assert cell.detectable == pytest.approx((1.959964 + 0.841621) * spread / math.sqrt(20), rel=1e-4)
    assert found.cell("spl").difference == pytest.approx(0.2)


def test_gained_and_lost_tasks_are_listed_with_their_episodes():
    a = run("a", episode("x", False), episode("y", True), episode("z", True), episode("z", True, "rough"))
    b = run("b", *(replace(e, score=replace(e.score, episode_id=f"b{n}", success=w)) for n, (e, w) in enumerate(
        zip(a.episodes, (True, True, True, False), strict=True))))  # fmt: skip
    (found,) = compare(a, [b], QUICK).against
    (gained,), (lost,) = found.gained, found.lost
    assert (gained.task, gained.base, gained.other) == ("x", 0.0, 1.0)
    assert gained.episodes == (("clean", "a-x-clean-0", "b0", 1),)
    assert (lost.task, lost.base, lost.other) == ("z", 1.0, 0.5)
    assert lost.episodes == (("rough", "a-z-rough-0", "b3", -1),)


def test_trials_of_a_task_are_one_unit_and_not_many():
    a = run("a", *(episode("t", False, trial=n) for n in range(40)), episode("u", True))
    b = run("b", *(episode("t", True, trial=n) for n in range(40)), episode("u", True))
    (found,) = compare(a, [b], QUICK).against
    cell = found.cell("success")
    assert (cell.tasks, cell.pairs, cell.difference, cell.verdict) == (2, 41, 0.5, "not shown")
    assert cell.detectable is None


def test_recovery_stands_on_pairs_in_which_both_met_a_fault():
    a = run("a", episode("t", False, "rough", recovered=False), episode("u", True, "rough"))
    b = run("b", episode("t", True, "rough", recovered=True), episode("u", True, "rough", recovered=True))
    (found,) = compare(a, [b], QUICK).against
    cell = found.cell("recovery", "contract", "BACKOFF")
    assert (cell.base, cell.other, cell.pairs) == (0.0, 1.0, 1)
    assert found.cell("success", "contract", "BACKOFF").pairs == 2
    assert found.cell("recovery", "kind", "busy").difference == 1.0


def test_confidence_is_compared_where_both_state_one_and_less_error_is_better():
    sure = [episode(f"t{n}", True, confidence=0.9) for n in range(12)] + [episode("z", True)]
    unsure = [episode(f"t{n}", True, confidence=0.5) for n in range(12)] + [episode("z", True, confidence=0.1)]
    (found,) = compare(run("a", *unsure), [run("b", *sure)], QUICK).against
    cell = found.cell("brier")
    assert (cell.base, cell.other, cell.pairs) == (pytest.approx(0.25), pytest.approx(0.01), 12)
    assert cell.verdict == "better"
    plain = compare(outcomes("a", [True]), [outcomes("b", [True])], QUICK).against[0]
    assert plain.cell("brier") is None


def test_a_failure_mode_that_becomes_rarer_is_better():
    a = outcomes("a", [False] * 20, mode="loop")
    b = outcomes("b", [False] * 20)
    (found,) = compare(a, [b], QUICK).against
    cell = found.mode("loop")
    assert (cell.base, cell.other, cell.verdict) == (1.0, 0.0, "better")
    assert found.mode("needless_call") is None


def test_modes_that_are_aimed_at_are_adjusted_among_themselves_only():
    modes = ["loop"] * 7 + ["premature_stop"] + [""] * 32
    a = run("a", *(episode(f"t{n:03}", False, mode=mode) for n, mode in enumerate(modes)))
    b = outcomes("b", [False] * 40)
    every = compare(a, [b], QUICK).against[0].mode("loop")
    aimed = compare(a, [b], replace(QUICK, modes=("loop",))).against[0].mode("loop")
    assert aimed.adjusted == aimed.p == every.p < every.adjusted


def test_trials_give_pass_k_for_as_many_as_there_are():
    won = {"t": (1, 0, 0, 0), "u": (1, 1, 0, 0), "v": (1, 1, 1, 1)}
    a = run("a", *(episode(t, bool(w), trial=n) for t, its in won.items() for n, w in enumerate(its)))
    b = run("b", *(episode(t, True, trial=n) for t in won for n in range(4)))
    (found,) = compare(a, [b], QUICK).against
    assert found.cell("pass@2").base == pytest.approx((1 / 2 + 5 / 6 + 1) / 3)
    assert found.cell("pass^2").base == pytest.approx((0 + 1 / 6 + 1) / 3)
    assert (found.cell("pass^4").base, found.cell("pass^4").other) == (pytest.approx(1 / 3), 1.0)
    assert found.cell("pass@8") is None
    assert compare(outcomes("a", [True]), [outcomes("b", [True])], QUICK).against[0].cell("pass@2") is None


def test_several_intensities_give_the_area_under_success_against_them():
    def side(name, hard):
        doses = ("clean", "mild", "rough")
        won = {"t": (True, True, hard), "u": (True, hard, hard)}
        return run(name, *(episode(t, w, d) for t, its in won.items() for d, w in zip(doses, its, strict=True)))

    (found,) = compare(side("a", False), [side("b", True)], QUICK).against
    cell = found.cell("dose_auc")
    assert (cell.base, cell.other) == (pytest.approx((0.75 + 0.25) / 2), 1.0)
    assert compare(outcomes("a", [True]), [outcomes("b", [True])], QUICK).against[0].cell("dose_auc") is None


def test_how_many_of_the_planned_faults_were_met_stands_beside_the_recovery():
    a = run("a", episode("t", False, "rough", recovered=False), episode("u", True, "rough"))
    b = run("b", episode("t", True, "rough", recovered=True), episode("u", True, "rough", recovered=True))
    met = compare(a, [b], QUICK).against[0].exposure
    assert (met.planned, met.base, met.other) == (2, 1, 2)
    assert "Faults met, of 2 planned: 1 by a, 2 by b." in markdown(compare(a, [b], QUICK))


def test_slices_are_adjusted_by_holm_and_the_whole_is_not():
    a = run("a", *(episode(f"t{n}", False, template=f"x{n % 4}") for n in range(28)))
    b = run("b", *(episode(f"t{n}", True, template=f"x{n % 4}") for n in range(28)))
    (found,) = compare(a, [b], Settings()).against
    whole = found.cell("success")
    assert whole.adjusted == whole.p
    parts = [found.cell("success", "template", f"x{n}") for n in range(4)]
    assert all(part.adjusted == pytest.approx(4 * min(p.p for p in parts), abs=0.02) for part in parts)


# ---- refused and left out -----------------------------------------------------------------------------


def test_what_does_not_pair_is_counted_and_named():
    a, b = outcomes("a", [True] * 4), outcomes("b", [True] * 5)
    b = replace(b, episodes=b.episodes[1:])
    found = compare(a, [b], QUICK)
    pairing = found.against[0].pairing
    assert [one.id for one in pairing.only_base] == ["a-t000-clean-0"]
    assert [one.id for one in pairing.only_other] == ["b-t004-clean-0"]
    text = markdown(found)
    assert "Only in a, so left out: 1 episode: t000 under clean (a-t000-clean)" in text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schedule": "another"}, r"a-t000-clean-0 of a .*b-t000-clean-0 of b.* different schedules"),
        ({"world": "another"}, "different worlds"),
        ({"suite_version": 9}, "versions 1 and 9 of the suite orders"),
        ({"limits": Limits(turns=5)}, r"different limits \(limits.turns was 60, and is now 5\)"),
    ],
)
def test_episodes_that_are_not_the_same_are_refused_and_named(change, says):
    a, b = outcomes("a", [True]), outcomes("b", [True], **change)
    with pytest.raises(UserError, match=says):
        compare(a, [b], QUICK)


def test_typed_answers_are_not_held_against_texts():
    a, b = outcomes("a", [True]), outcomes("b", [True])
    typed = replace(b, episodes=tuple(replace(e, score=replace(e.score, answers="typed")) for e in b.episodes))
    with pytest.raises(UserError, match=r"end in different ways \(by a text and by a typed answer\), .*--answers$"):
        compare(a, [typed], QUICK)
    assert compare(typed, [replace(typed, name="again")], QUICK).against[0].pairing.tasks == 1


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (("elsewhere", "clean", 7, 0), "their tasks differ"),
        (("t000", "rough", 7, 0), r"their faults differ \(clean there, rough here\)"),
        (("t000", "clean", 7, 3), "their trials differ"),
        (("t000", "clean", 8, 0), "faults of other seeds"),
    ],
)
def test_runs_without_a_common_episode_are_refused_with_what_differs(key, says):
    a, b = outcomes("a", [True]), outcomes("b", [True], key=key)
    with pytest.raises(UserError, match=says):
        compare(a, [b], QUICK)


def test_broken_episodes_are_left_out_on_both_sides():
    b = outcomes("b", [True] * 200)
    a = replace(b, name="a", episodes=(episode("t000", False, broken=True), *b.episodes[1:]))
    (found,) = compare(a, [b], QUICK).against
    assert (len(found.pairing.unscored), found.cell("success").pairs) == (1, 199)
    assert found.verdict == "not shown"


def test_an_invalid_run_gets_no_verdict_and_is_marked():
    b = outcomes("b", [True] * 50)
    a = run("a", episode("t000", False, broken=True), *(replace(e, score=replace(e.score, success=False)) for e in
                                                        b.episodes[1:]))  # fmt: skip
    found = compare(a, [b], QUICK)
    assert {cell.verdict for cell in found.against[0].cells} == {None}
    assert found.against[0].clean is None
    assert not found.any_worse
    assert "INVALID: a: 1 of its 50 episodes" in markdown(found)
    assert clean_noninferior(a, b, 0.05) is None


def test_two_runs_of_one_name_and_unknown_modes_are_refused():
    a = outcomes("a", [True])
    with pytest.raises(UserError, match="called the same"):
        compare(a, [a], QUICK)
    with pytest.raises(UserError, match="no failure mode 'lop'"):
        compare(a, [outcomes("b", [True])], replace(QUICK, modes=("lop",)))


# ---- forgetting and prompts ---------------------------------------------------------------------------


def test_forgetting_is_judged_on_episodes_without_faults_only():
    tasks = [f"t{n:03}" for n in range(100)]
    a = run("a", *(episode(t, True) for t in tasks), *(episode(t, True, "rough") for t in tasks))
    b = run("b", *(episode(t, True) for t in tasks), *(episode(t, False, "rough") for t in tasks))
    found = clean_noninferior(a, b, 0.05)
    assert (found.units, found.change, found.holds) == (100, 0.0, True)
    assert compare(a, [b], QUICK).against[0].verdict == "worse"
    assert clean_noninferior(outcomes("a", [True], key=("t", "rough", 7, 0)),
                             outcomes("b", [True], key=("t", "rough", 7, 0)), 0.05).units == 1  # fmt: skip


def test_a_task_that_brings_its_own_outage_is_no_task_without_faults():
    def side(name, won):
        one = outcomes(name, [True] * 70)
        broken = episode("outage", won, who=name)
        return replace(
            one,
            episodes=(*one.episodes, replace(broken, score=replace(broken.score, planned=(("outage", "REROUTE"),)))),
        )

    found = clean_noninferior(side("a", True), side("b", False), 0.05)
    assert (found.units, found.change) == (70, 0.0)


# ---- what is said -------------------------------------------------------------------------------------


def test_no_difference_stands_without_a_verdict():
    a, b = two([(n % 3 == 0, n % 2 == 0, ("clean", "rough")[n % 2]) for n in range(24)])
    for block in blocks(compare(a, [b], QUICK), full=True):
        if not isinstance(block, str) and "difference [95%]" in block.columns:
            assert all(row[-1] in ("better", "worse", "not shown") for row in block.rows)


@pytest.mark.parametrize("by", ["kind", "contract"])
def test_the_only_kind_of_fault_has_a_row_beside_the_episodes_without_faults(by):
    a, b = two([(True, n % 2 == 0, ("clean", "rough")[n % 2]) for n in range(8)])
    assert f"**By {by}**" in markdown(compare(a, [b], QUICK))


def test_what_is_unfinished_or_damaged_is_said():
    a, b = outcomes("a", [True] * 300), replace(outcomes("b", [True] * 300), planned=900, damaged=2, folder="runs/b")
    text = markdown(compare(a, [b], QUICK))
    assert "UNFINISHED: b holds 302 of 900 episodes" in text
    assert "--out runs/b --resume" in text
    assert "Damaged: b: 0 of its 300 episodes are harness errors, and 2 traces cannot be read" in text
    assert not replace(b, damaged=4).valid


def test_names_cannot_steer_the_terminal_or_break_a_table():
    a, b = outcomes("a", [True]), outcomes("b", [True])
    b = replace(b, name="\x1b[31mb|c")
    text = markdown(compare(a, [b], QUICK))
    assert "\x1b" not in text
    assert "b|c |" not in text


def test_five_thousand_pairs_take_seconds():
    shuffler = random.Random(0)
    won = [shuffler.random() < 0.5 for _ in range(5000)]
    a, b = (
        run(name, *(episode(f"t{n:04}", w, "rough", who=name, template=f"x{n % 25}", recovered=w) for n, w in side))
        for name, side in (("a", list(enumerate(won))), ("b", list(enumerate(reversed(won)))))
    )
    begun = time.process_time()
    compare(a, [b], replace(QUICK, resamples=2000, flips=1999))
    assert time.process_time() - begun < 30


def test_a_comparison_is_json():
    a, b = two([(True, False, "clean"), (False, True, "rough")] * 4)
    found = orjson.loads(orjson.dumps(compare(a, [b], QUICK).to_json()))
    assert found["against"][0]["verdict"] == "not shown"
    assert found["against"][0]["pairing"]["pairs"] == 8
