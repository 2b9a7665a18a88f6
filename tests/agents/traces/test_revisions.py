"""A trace of a kind of fault that acts otherwise by now: scored as recorded, and called neither true nor false."""

from dataclasses import replace

import pytest
from helpers.recorded import recorded

from faultgym.agents.registry import policy_named
from faultgym.agents.traces.replay import replay
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.cli.main import main
from faultgym.eval.scoring.score import score
from faultgym.tools.exchange import HttpResponse
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.faults.registry import FAULT_KINDS, define_kind
from faultgym.tools.faults.types import Contract
from faultgym.training.filters.select import select


@pytest.fixture
def put():
    """Puts a kind into the catalogue in some revision, with another text in each."""

    def revised(revision, earlier=()):
        def too_early(context):
            """425: the server is not ready; the same call again works."""
            return HttpResponse(425, {"content-type": "text/plain"}, b"too early, says %d" % revision)

        before = {number: {"act": acts[number]} for number in earlier}
        acts[revision] = too_early
        kind = define_kind("http", "before", Contract.RETRY, params={"revision": revision}, earlier=before)(too_early)
        FAULT_KINDS.register("too_early", kind, replace=True)

    acts = {}
    yield revised
    FAULT_KINDS.unregister("too_early")


def recorded_now():
    rules = [{"kind": "too_early", "trigger": {"nth": 1}, "match": {"path": "/"}}]
    return recorded(policy_named("expert"), EpisodeSpec("orders/order_status/dev/0", FaultPlan.from_rules(rules)))


def test_a_trace_of_a_revision_that_is_no_longer_played_is_scored_and_not_proven(put, tmp_path, capsys):
    put(3)
    trace = recorded_now()
    assert [event.kind for event in trace.events] == ["too_early"]
    assert replay(trace).proven
    before = score(trace).to_record()
    put(4)
    result = replay(trace)
    assert (result.proven, result.difference) == (False, None)
    assert (
        result.reason
        == result.recorded
        == (
            "it was recorded under revision 3 of the fault kind too_early, which has acted otherwise since revision 4:"
            " it is scored as recorded, not re-proven"
        )
    )
    assert score(trace).to_record() == before
    file = tmp_path / "one.jsonl"
    file.write_bytes(trace.to_line())
    assert main(["replay", str(file)]) == 0
    assert capsys.readouterr().out == f"note: {result.recorded} (1 of the traces)\n0 proven, 0 not\n"


def test_what_is_not_proven_is_no_example(put):
    put(3)
    trace = recorded_now()
    put(4)
    turned_away = select(trace)
    assert (turned_away.reason, turned_away.detail) == ("not_proven", replay(trace).recorded)


def test_a_trace_of_a_revision_that_is_still_played_is_proven(put):
    put(3)
    trace = recorded_now()
    put(4, earlier=(3,))
    assert replay(Trace.from_line(trace.to_line())).proven


def test_a_forged_trace_of_a_revision_that_is_still_played_differs(put):
    put(3)
    trace = recorded_now()
    put(4, earlier=(3,))
    forged = replace(trace, schedule=tuple(replace(f, params={**f.params, "revision": 4}) for f in trace.schedule))
    assert replay(forged).difference.what == "fingerprints.schedule"


def test_a_trace_of_a_later_revision_asks_for_a_newer_faultgym(put):
    put(3)
    trace = recorded_now()
    put(2)
    assert replay(trace).recorded == (
        "it was recorded under revision 3 of the fault kind too_early, and this faultgym has revision 2:"
        " upgrade faultgym to prove it"
    )
