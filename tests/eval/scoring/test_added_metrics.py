"""Metrics that others add: what is taken, what is refused and why, and that tables and comparisons show them."""

import math
from dataclasses import replace
from itertools import count

import pytest
from helpers.compared import QUICK, episode, run
from helpers.stored import played

from faultgym.core.errors import UserError
from faultgym.eval.comparison.compare import compare
from faultgym.eval.comparison.report import markdown
from faultgym.eval.conformance import probes
from faultgym.eval.scoring.kit import CHECKS, check_metric
from faultgym.eval.scoring.metrics import summarize
from faultgym.eval.scoring.record import Metric, Score
from faultgym.eval.scoring.registry import BUILTIN, METRICS
from faultgym.eval.scoring.score import score


def metric(name="words", summary="Words of the final text.", **more):
    given = {"higher_is_better": False, "of_trace": lambda context: len(context.text.split()) or None, **more}
    return Metric(name, summary, **given)


@pytest.fixture
def words():
    METRICS.register("words", metric())
    yield
    METRICS.unregister("words")


def test_the_built_in_metrics_conform():
    assert tuple(METRICS) == BUILTIN
    for name, found in METRICS.items():
        check_metric(name, found)


def test_a_metric_is_measured_with_the_score_where_it_is_defined_and_survives_the_record(words):
    silent, said = (next(p for p in probes() if p.policy == name) for name in ("silence", "expert"))
    assert score(silent.context.trace).measured == ()
    found = score(said.context.trace)
    assert found.measured == (("words", len(said.context.text.split())),)
    assert Score.from_record(found.to_record()) == found
    assert METRICS["words"].value(found) == len(said.context.text.split())


def test_a_score_written_before_there_were_metrics_is_read():
    record = score(probes()[0].context.trace).to_record()
    del record["measured"], record["plan"]
    assert Score.from_record(record).measured == ()


def test_a_summary_holds_the_added_metrics_and_no_others(words):
    scores = [score(p.context.trace) for p in probes()[:3]]
    assert list(summarize(scores).metrics) == ["words"]
    assert summarize(scores).to_record()["metrics"]["words"]["episodes"] == 3


def test_a_share_has_an_interval():
    METRICS.register(
        "greeted", metric("greeted", "Whether it greets.", of_trace=lambda c: "hello" in c.text, share=True)
    )
    try:
        found = summarize([score(p.context.trace) for p in probes() if p.expert]).metrics["greeted"]
        assert (found.value, found.low) == (0.0, 0.0)
        assert found.high > 0.3
    finally:
        METRICS.unregister("greeted")


def test_a_comparison_judges_an_added_metric_by_its_direction(words):
    def side(name, length):
        made = [episode(f"t{n}", True, who=name) for n in range(12)]
        return run(
            name, *(replace(e, score=replace(e.score, measured=(("words", length + n),))) for n, e in enumerate(made))
        )

    comparison = compare(side("a", 5), [side("b", 9)], QUICK)
    cell = comparison.against[0].cell("words")
    assert (cell.difference, cell.verdict) == (4.0, "worse")
    assert "| words |" in markdown(comparison)


def of_cancelled(episode):
    """A metric's function that was never tried on an order to be cancelled."""
    found = episode.task if isinstance(episode, Score) else episode.task.id
    return 1 / 0 if "cancel_order" in found else None


def test_an_added_metric_that_raises_is_named_with_its_module_and_the_trace():
    trace = played("orders/cancel_order/train/0")
    words = f"metric 'words' of {__name__} raised ZeroDivisionError: .*, on trace {trace.episode_id}"
    for broken in (metric(of_trace=of_cancelled), metric(of_trace=None, of_score=of_cancelled)):
        METRICS.register("words", broken)
        try:
            with pytest.raises(UserError, match=words):
                summarize([score(trace)])
        finally:
            METRICS.unregister("words")


TURNS = count()

BROKEN = [
    ("Words", metric("Words"), "Its name is"),
    ("other", metric("words"), "Its name is.*'words'"),
    ("words", "no metric", "Its name is.*a str"),
    ("words", metric(summary="no full stop"), "Its summary is"),
    ("words", metric(higher_is_better="down"), "It says whether higher is better.*'down'"),
    ("words", metric(of_score=lambda s: 1.0), "It says whether higher is better.*one of"),
    ("words", metric(of_trace=lambda c: c.records[0].at), "It takes any ended episode.*IndexError"),
    ("words", metric(of_trace=lambda c: math.nan), "It takes any ended episode.*'nan'"),
    ("words", metric(of_trace=lambda c: c.text), "It takes any ended episode"),
    ("words", metric(share=True), "It takes any ended episode.*a share of"),
    ("words", metric(of_trace=None, of_score=lambda s: 0.0), "It is None for an episode that the harness broke"),
    ("words", metric(of_trace=lambda c: next(TURNS)), "The same episode gives the same number"),
    ("words", metric(of_trace=lambda c: c.trace.policy.update(seen=len(c.trace.policy))), "It leaves the trace"),
]


@pytest.mark.parametrize(("name", "broken", "why"), BROKEN, ids=range(len(BROKEN)))
def test_a_metric_that_breaks_a_rule_is_refused_and_told_which(name, broken, why):
    with pytest.raises(UserError, match=f"the metric '{name}' cannot be added. {why}"):
        METRICS.register(name, broken)
    assert tuple(METRICS) == BUILTIN


def test_every_rule_of_the_kit_is_broken_by_one_example():
    sentences = [(check.__doc__ or "").rstrip(".") for check in CHECKS]
    assert all(any(sentence.startswith(why.split(".*")[0]) for _, _, why in BROKEN) for sentence in sentences)
