"""Fields of typed answers: notations of one value are the same text; what is no single value is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faultgym.envs.judging.form import AnswerField

TOTAL = AnswerField("total", "money", "The total", unit="EUR")
WAIT = AnswerField("wait", "duration", "How long", unit="minutes")
DAY = AnswerField("day", "date", "The day")
HOUR = AnswerField("closing", "time", "When it closes")
ORDER = AnswerField("order", "id", "The order", unit="ORD")
CAUSE = AnswerField("cause", "enum", "The cause", values=("wrong flag", "sev2"))
RELEASE = AnswerField("release", "version", "The release")
NAME = AnswerField("owner", "name", "Who")
COUNT = AnswerField("count", "integer", "How many")
ORDERS = AnswerField("orders", "id", "The orders", unit="ORD", many=True)
EVERY = (TOTAL, WAIT, DAY, HOUR, ORDER, CAUSE, RELEASE, NAME, COUNT, ORDERS)


@pytest.mark.parametrize(
    ("field", "same", "normal"),
    [
        (TOTAL, [1240.5, "1240.50", "1,240.50 EUR", "1.240,50 €", "EUR 1 240,5", "€1'240.50"], "124050"),
        (TOTAL, [240, 240.0, "240", "240.00 euros"], "24000"),
        (TOTAL, [-3.5, "-3,50 EUR"], "-350"),
        (WAIT, [120, 120.0, "120", "120 minutes", "2 hours", "7200 s"], "120"),
        (DAY, ["2026-03-12", "12 March 2026", "March 12, 2026", "12.3.2026"], "2026-03-12"),
        (HOUR, ["15:05", "3:05 pm", "15:05:00"], "15:05"),
        (ORDER, ["ORD-10422", "ord-10422", "10422", 10422, "ORD 10422"], "ORD-10422"),
        (CAUSE, ["wrong flag", "Wrong_Flag", "WRONG-FLAG"], "wrong flag"),
        (RELEASE, ["v2.21.3", "2.21.3", "V2.21.3", "version 2.21.3"], "2.21.3"),
        (NAME, ["Desglax Vultram", " desglax  vultram "], "desglax vultram"),
        (COUNT, [5, 5.0, "5"], "5"),
        (ORDERS, [["ORD-2", "1"], ["ORD-1", "ORD-2", "ord-2"]], ("ORD-1", "ORD-2")),
    ],
)
def test_notations_of_one_value_are_the_same(field, same, normal):
    assert {field.normalised(value) for value in same} == {normal}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (TOTAL, "12.345"),
        (TOTAL, 12.345),
        (TOTAL, "1.240"),
        (TOTAL, "$12"),
        (TOTAL, "12.50 or 13.50 EUR"),
        (TOTAL, True),
        (TOTAL, None),
        (TOTAL, ["12.50"]),
        (TOTAL, float("nan")),
        (WAIT, "2 months"),
        (WAIT, "about 5"),
        (DAY, "03/02/2026"),
        (DAY, "1 or 2 March 2026"),
        (HOUR, "25:00"),
        (ORDER, "SKU-10422"),
        (ORDER, "ORD-1 ORD-2"),
        (CAUSE, "wrong flag or sev2"),
        (COUNT, 5.5),
        (COUNT, "1e999999"),
        (NAME, "!?"),
        (NAME, "x" * 501),
        (ORDERS, "ORD-1"),
        (ORDERS, ["ORD-1", "SKU-1"]),
        (ORDERS, ["ORD-1"] * 101),
    ],
)
def test_what_is_no_single_value_of_the_kind_is_refused(field, value):
    with pytest.raises(ValueError, match=r"^takes "):
        field.normalised(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(EVERY), JSON)
def test_any_json_value_is_taken_or_refused(field, value):
    try:
        taken = bool(field.normalised(value)) or field.many
    except ValueError as error:
        taken = str(error).startswith("takes ")
    assert taken


@given(st.integers(-(10**9), 10**9))
def test_money_keeps_its_cents(cents):
    sign, whole, rest = "-" * (cents < 0), abs(cents) // 100, abs(cents) % 100
    assert TOTAL.normalised(f"{sign}{whole}.{rest:02d} EUR") == TOTAL.normalised(cents / 100) == str(cents)


def test_an_id_without_a_prefix_is_shown_without_an_example():
    tracking = AnswerField("tracking", "id", "The tracking number")
    assert tracking.schema["description"] == "The tracking number"
    assert tracking.normalised("p9011330854") == "P9011330854"
