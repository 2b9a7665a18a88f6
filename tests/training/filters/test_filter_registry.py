"""Data filters by name: those of every build, those that are added, and what is refused."""

from dataclasses import replace

import orjson
import pytest
from helpers import stored

from faultgym.core.errors import UserError
from faultgym.training.builds.check import ExampleCheck, filters_named
from faultgym.training.filters.contract import DataFilter
from faultgym.training.filters.registry import DATA_FILTERS, data_filter
from faultgym.training.filters.rejection import Rejected

TASK = "orders/order_status/train/0"


def any_calls(trace):
    return f"{trace.calls} calls" if trace.calls else None


@pytest.fixture
def added():
    """A filter that somebody added."""
    DATA_FILTERS.register("any_calls", DataFilter.of("it makes calls", any_calls))
    yield "any_calls"
    DATA_FILTERS.unregister("any_calls")


def test_every_build_applies_four_filters_and_they_are_there_by_name():
    assert list(DATA_FILTERS)[:4] == ["split", "select", "decontaminate", "dedupe"]
    assert filters_named(["split", "dedupe"]) == ()


def test_the_filters_of_a_build_take_what_it_takes_and_name_what_they_have_against_the_rest():
    good, other = stored.played(TASK), stored.played("orders/order_status/test/0")
    assert [DATA_FILTERS[name].begin()(good) for name in ("split", "select")] == [None, None]
    assert DATA_FILTERS["split"].begin()(other) == "other_split: test"


def test_duplicates_are_remembered_within_one_pass_and_forgotten_with_it():
    trace = stored.played(TASK)
    test = DATA_FILTERS["dedupe"].begin()
    assert [test(trace), test(trace)] == [None, "exact_duplicate"]
    assert DATA_FILTERS["dedupe"].begin()(trace) is None


def test_an_added_filter_leaves_out_what_it_has_evidence_against(added):
    check = replace(stored.check(), filters=filters_named([added, added]))
    trace = stored.played(TASK)
    line = orjson.dumps(trace.to_record())
    found = check.example(line, check.tests())
    assert isinstance(found, Rejected)
    assert (found.reason, found.detail) == ("any_calls", f"{trace.calls} calls")
    assert not isinstance(stored.check().example(line), Rejected)


def test_a_name_that_there_is_not_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="decontaminate"):
        filters_named(["decontaminated"])
    assert ExampleCheck().filters == ()


def _raises(trace):
    raise KeyError("turn")


def _empty(trace):
    return ""


def _mutates(trace):
    trace.policy["name"] = "somebody else"


CALLED = []


def _counts(trace):
    CALLED.append(trace)
    return str(len(CALLED))


@pytest.mark.parametrize(
    ("name", "one", "said"),
    [
        ("Bad Name", DataFilter.of("s", any_calls), "a name is a word"),
        ("wasteful", DataFilter.of("s", any_calls), "none of the reasons"),
        ("plain", any_calls, "it has to be a DataFilter, not function"),
        ("silent", DataFilter.of(" ", any_calls), "what a rejection means"),
        ("raises", DataFilter.of("s", _raises), "raises KeyError on the trace of orders/"),
        ("empty", DataFilter.of("s", _empty), "None, or a text of what was found"),
        ("counts", DataFilter.of("s", _counts), "it may depend on the traces alone"),
        ("mutates", DataFilter.of("s", _mutates), "it changes the trace"),
    ],
)
def test_what_does_not_conform_is_refused_in_a_sentence(name, one, said):
    with pytest.raises(UserError, match=said):
        DATA_FILTERS.register(name, one)
    assert name not in DATA_FILTERS


def test_a_decorated_function_is_a_filter_of_its_name():
    data_filter("it is never anything")(nothing)
    try:
        assert DATA_FILTERS.named("nothing").summary == "it is never anything"
    finally:
        DATA_FILTERS.unregister("nothing")


def nothing(trace):
    return None
