"""The balance audit passes what is balanced and names what is not."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from helpers.forked import found
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.training.preferences.audit import LIMIT, Audit, audit, shares_prefix
from faultgym.training.preferences.balance import Surface, balanced, surface
from faultgym.training.preferences.kinds import mirror
from faultgym.training.preferences.shortcuts import area


@pytest.fixture(scope="module", params=["typed", "text"])
def answers(request):
    """How the episodes end."""
    return request.param


@pytest.fixture(scope="module")
def chosen(answers):
    """The balanced pairs of a small run over both suites, faults and all."""
    pairs = [f.pair for f in found(answers)]
    return [pair for pair, keep in zip(pairs, balanced([surface(p) for p in pairs]), strict=True) if keep]


@pytest.fixture(scope="module")
def report(chosen):
    """Their audit."""
    return audit(chosen)


def test_length_and_words_tell_nothing_of_the_balanced_pairs_of_a_run(report):
    names = {f"{what} {view}" for what in ("length", "words") for view in ("pairwise", "single")}
    assert set(report.aucs) == {f"{name}, new {on}" for name in names for on in ("templates", "tasks")}
    for auc in report.aucs.values():
        assert auc.value <= LIMIT
    assert report.passed, report.problems


def test_balancing_keeps_all_kinds_and_a_good_part_of_the_pairs(chosen, answers):
    kept, before = Counter(p.kind for p in chosen), Counter(f.pair.kind for f in found(answers))
    assert set(kept) == set(before)
    assert len(chosen) > 0.3 * len(found(answers))


def test_shares_add_up_and_completions_are_alike_in_length(report, chosen):
    for counts in (report.kinds, report.contracts, report.templates, report.sources):
        assert sum(counts.values()) == len(chosen) == report.pairs
    assert 0.85 < report.token_ratio < 1.15


def test_an_audit_catches_a_planted_length(chosen):
    longer = [replace(p, chosen=(said(p.chosen[0], "word " * 12),)) for p in chosen[:400]]
    problems = audit(longer).problems
    assert any(problem.startswith("length pairwise") for problem in problems)


def test_an_audit_catches_a_planted_word(chosen):
    for n, word in enumerate(("carefully", "carelessly")):
        pairs = [
            replace(p, chosen=(said(p.chosen[0], ("carefully", "hastily")[n]),), rejected=(said(p.rejected[0], word),))
            for p in chosen[:400]
        ]
        caught = any(problem.startswith("words") for problem in audit(pairs).problems)
        assert caught == (n == 1)


def said(message, word):
    """The message with one more thing said."""
    return {**message, "content": f"{message['content']} {word}".strip()}


@pytest.mark.parametrize("kind", ["recover_vs_repeat", "answer_vs_abstain", "no_tool_vs_needless"])
def test_an_audit_catches_a_kind_without_its_mirror_image(chosen, kind):
    problems = audit(p for p in chosen if p.kind != mirror(kind)).problems
    assert any(problem.startswith(f"{kind}:") for problem in problems)


def test_an_audit_catches_completions_that_do_not_continue_the_prompt(chosen):
    pair = chosen[0]
    wrong = (
        replace(pair, rejected=({"role": "tool", "content": "x"}, *pair.rejected)),
        replace(pair, prompt=(*pair.prompt, {"role": "assistant", "content": "and"})),
        replace(pair, chosen=()),
        replace(pair, rejected=pair.chosen),
    )
    assert not any(map(shares_prefix, wrong))
    assert audit([*chosen, *wrong]).prefix_errors == len(wrong)


def test_balancing_removes_a_planted_word_that_half_of_the_pairs_can_do_without(chosen):
    planted = [replace(p, chosen=(said(p.chosen[0], "carefully"),)) if n % 3 == 0 else p for n, p in enumerate(chosen)]
    kept = balanced([surface(p) for p in planted])
    left = sum(keep for n, keep in enumerate(kept) if n % 3 == 0)
    assert left <= 0.2 * len(chosen) / 3


def test_an_outcome_is_chosen_within_a_template_about_as_often_as_rejected():
    def pair(template, n, outcome, value):
        return Surface("answer_vs_fabricate", f"{template}{n}", ((f"t {template} {outcome}", value),))

    one_way = [pair("cancel", n, "done", 1.0) for n in range(40)] + [pair("total", n, "done", -1.0) for n in range(40)]
    kept = balanced(one_way)  # over both templates the outcome is level already
    assert max(sum(kept[:40]), sum(kept[40:])) <= np.sqrt(40)  # as many as coins would leave
    both_ways = [pair("cancel", n, "done", (1.0, -1.0)[n % 2]) for n in range(40)]
    assert all(balanced(both_ways))


def test_a_kind_without_a_mirror_image_is_a_twentieth_of_the_others():
    others = [Surface("answer_vs_fabricate", f"a{n}", ()) for n in range(100)]
    texts = [Surface("answer_vs_text", f"b{n}", (), own=n == 39) for n in range(40)]
    kept = balanced([*others, *texts])
    assert (sum(kept[:100]), sum(kept[100:]), kept[-1]) == (100, 5, True)


def test_scripts_wrong_moves_are_left_out_before_what_the_policy_itself_did(chosen):
    planted = [replace(p, chosen=(said(p.chosen[0], "carefully"),)) if n % 3 == 0 else p for n, p in enumerate(chosen)]
    kept = balanced([surface(p, own=n % 2 == 0) for n, p in enumerate(planted)])
    own, scripts = ([keep for n, keep in enumerate(kept) if n % 6 == rest] for rest in (0, 3))
    assert sum(own) / len(own) > sum(scripts) / len(scripts)


def test_an_audit_is_stored_and_read_again_whole(report):
    assert Audit.from_record(report.to_record()).kinds == report.kinds
    assert Audit.from_record(report.to_record()).problems == report.problems


def test_an_audit_of_nothing_passes_and_says_so():
    empty = audit([])
    assert empty.passed
    assert empty.pairs == 0
    assert all(auc.value is None for auc in empty.aucs.values())
    assert list(empty.lines())


@settings(deadline=None, max_examples=examples(60))
@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=12),
    st.lists(st.integers(-3, 3), min_size=1, max_size=12),
)
def test_the_area_is_the_share_of_pairs_in_the_right_order(ahead, behind):
    expected = np.mean([(a > b) + 0.5 * (a == b) for a in ahead for b in behind])
    assert area(np.array(ahead, float), np.array(behind, float)) == pytest.approx(expected)
