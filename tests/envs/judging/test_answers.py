"""What counts as stating a fact, and what does not."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.envs.judging.answers import Atom, crowded, fold, read, words
from faultgym.envs.judging.claims import claims_absence, claims_blocked
from faultgym.envs.judging.reading.clauses import reading
from faultgym.envs.judging.reading.question import NO_QUESTION
from faultgym.envs.judging.reading.values import read_values

MONEY = Atom("money", "4150")
LARGE = Atom("money", "123450")
DATE = Atom("date", "2026-03-02")
TIME = Atom("text", "20:05")
MONTHS = Atom("number", "24", "months")
MINUTES = Atom("number", "95", "minutes")
SHIPPED = Atom("text", "shipped")
STATUSES = tuple(Atom("text", s) for s in ("pending", "paid", "packed", "delivered", "cancelled", "returned"))

STATED = {
    MONEY: (
        "41.50", "41.50 EUR", "EUR 41.50", "EUR 41.5", "€41.50", "€ 41,50", "41,50 EUR", "41,50€", "EUR41.50",
        "41.50EUR",
        "4150 cents", "4,150 cents", "**41.50**", "_41.50_ EUR", "`41.50`", "(41.50 EUR)", "It is 41.50.", "$41.50$",
        "41 euros and 50 cents", "41 EUR 50", "the sum: 41.50 EUR, paid on 2 March", "\u00a041.50\u00a0EUR",
        "12.50 + 29.00 = 41.50 EUR", "it should be 41.50 EUR",
    ),
    LARGE: (
        "1,234.50", "1.234,50 EUR", "1234.5", "1'234.50 EUR", "1\u2019234.50", "1\u00a0234.50 EUR",
        "1\u202f234,50 EUR",
        "EUR 1 234.50".replace(" 234", "\u2009234"),
    ),
    DATE: (
        "2026-03-02", "2026/03/02", "2 March 2026", "2nd March 2026", "2nd of March, 2026", "March 2, 2026",
        "March 2nd, 2026", "Mar 2 2026", "Mar. 2, 2026", "March the 2nd, 2026", "02.03.2026", "2.3.2026",
        "2. 3. 2026",
        "02/03/2026", "03/02/2026", "2026-03-02T09:00:00Z", "2-Mar-2026", "Monday, 2 March 2026", "until March 2nd",
        "by 2 March", "would be 2026-03-02", "**2026-03-02**", "not before 2 March 2026; rather late",
    ),
    TIME: (
        "20:05", "20.05", "8:05 pm", "8:05pm", "8.05 p.m.", "20:05:00", "at **20:05**.", "20h05", "closes at 20:05.",
    ),
    MONTHS: (
        "24 months", "24", "24-month warranty", "2 years", "two years (24 months)", "twenty-four months", "24 Months",
    ),
    MINUTES: ("95 minutes", "95", "95 min", "1 hour and 35 minutes", "1h 35min", "1 h 35 m", "ninety-five minutes"),
    SHIPPED: (
        "shipped", "It is shipped.", "It has been shipped", "has shipped", "Status: SHIPPED", "**shipped**",
        "`shipped`",
        "\u201cshipped\u201d", "not packed any more but shipped", "It is shipped and not yet delivered",
        "no longer packed: shipped", "it was packed earlier and is shipped now", "appears to be shipped",
        "ship\u00adped",
        "ship\u200bped", "\uff53\uff48\uff49\uff50\uff50\uff45\uff44", "the status changed from packed to shipped",
        "it has been shipped and will be delivered soon", "shipped, so it can no longer be cancelled",
        "the API returned that it is shipped", "It cannot be cancelled because it is shipped",
    ),
    Atom("text", "cancelled"): ("canceled", "It was cancelled.", "CANCELLED"),
    Atom("text", "sev2"): ("sev2", "SEV-2", "Sev 2", "severity 2", "It is a sev2."),
    Atom("id", "ORD-10422"): ("ORD-10422", "ord 10422", "order 10422", "ORD10422", "#10422", "**ORD-10422**"),
    Atom("text", "anna.meyer@tistel.example"): ("anna.meyer@tistel.example", "<Anna.Meyer@tistel.example>"),
    Atom("number", "3"): ("3", "three", "Three orders", "3 orders", "3.", "3.0", "it is 3!"),
    Atom("number", "1114"): ("1114", "1,114", "1114 minutes", "1'114"),
}  # fmt: skip

NOT_STATED = {
    MONEY: (
        "4150", "41.50 USD", "$41.50", "£41.50", "41.50 cents", "41.50%", "141.50", "41.509", "41.5.0", "v41.50",
        "4.150",
        "41.50 thousand", "not 41.50 EUR", "ORD-41.50x", "41:50", "41/50", "5 to 41-50", "",
    ),
    LARGE: ("1234.05", "1.2345", "12,34.50", "123450", "1 234 500"),
    DATE: (
        "2026-03-20", "2 March 2025", "2026-03", "not 2026-03-02", "12026-03-02", "2026-03-021", "32.03.2026",
        "March 2026",
        "it isn't on March 2nd", "we may 2 or more", "22 March 2026",
    ),
    TIME: ("20:06", "120:05", "20:055", "8:05 am", "8:05", "1.20.05", "20 05"),
    MONTHS: (
        "24 years", "24 days", "24 hours", "2 months", "not 24 months", "ORD-24", "24:00", "2024", "v24", "24.5",
        "24k",
    ),
    MINUTES: ("95 seconds", "95 hours", "9-5", "9 5", "1:35", "0.95", "1.95"),
    SHIPPED: (
        "not shipped", "It is not shipped.", "It has not been shipped", "not yet shipped", "never shipped",
        "isn't shipped",
        "hasn\u2019t been shipped yet", "neither packed nor shipped", "will be shipped", "can be shipped",
        "should be shipped",
        "to be shipped", "unshipped", "shippedx", "I wonder whether it is shipped", "ready to be shipped", "",
    ),
    Atom("id", "ORD-10422"): ("ORD-104221", "ORD-110422", "10.422", "1 0422"),
    Atom("number", "3"): ("3.5", "ORD-3", "13", "2026-03-03", "03:15", "not 3", "v1.3.2", "1.3.3", "third", "abc3"),
}  # fmt: skip


def stated(atom: Atom, text: str) -> bool:
    return not read_values([atom], [], reading(text), NO_QUESTION).missing


def asserted(candidates: Iterable[Atom], text: str) -> list[str]:
    return list(read_values([], list(candidates), reading(text), NO_QUESTION).rivals)


@pytest.mark.parametrize(("atom", "text"), [(a, t) for a, texts in STATED.items() for t in texts])
def test_a_natural_answer_states_the_fact(atom: Atom, text: str) -> None:
    assert stated(atom, text)
    assert stated(atom, f"I looked it up. {text}")


@pytest.mark.parametrize(("atom", "text"), [(a, t) for a, texts in NOT_STATED.items() for t in texts])
def test_what_only_looks_like_the_fact_does_not_state_it(atom: Atom, text: str) -> None:
    assert not stated(atom, text)


@pytest.mark.parametrize("text", STATED[SHIPPED])
def test_the_past_the_future_and_denials_assert_no_rival(text: str) -> None:
    assert asserted(STATUSES, text) == []


@pytest.mark.parametrize(
    ("text", "distractors"),
    [
        ("It is shipped or delivered.", ["delivered"]),
        ("shipped, delivered, paid", ["paid", "delivered"]),
        ("The goods were returned.", ["returned"]),
        ("It was returned by the customer.", ["returned"]),
        ("shipped/packed", ["packed"]),
        ("It could be anything: pending, paid, packed, shipped", ["pending", "paid", "packed"]),
    ],
)
def test_listing_candidates_asserts_the_rivals(text: str, distractors: list[str]) -> None:
    assert asserted(STATUSES, text) == distractors


def test_a_pronoun_is_no_number_but_a_word_for_one_is() -> None:
    distractors = (Atom("number", "1"), Atom("number", "3"))
    assert asserted(distractors, "No one else: two, and that one is done.") == []
    assert asserted(distractors, "two or three") == ["3"]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("number", ", ".join(map(str, range(40)))),
        ("money", " ".join(f"{n}.50 EUR" for n in range(40))),
        ("date", " ".join(f"2026-03-{n:02d}" for n in range(1, 29))),
        ("id", " ".join(f"PAY-{n}" for n in range(10_000, 10_020))),
        ("text", " ".join(f"a{n}@shop.example" for n in range(20))),
    ],
)
def test_an_answer_that_lists_values_without_end_is_crowded(kind: str, text: str) -> None:
    atom = Atom(kind, {"date": "2026-03-02", "text": "a@shop.example", "id": "PAY-1"}.get(kind, "1"))  # type: ignore[arg-type]
    assert crowded([atom], text) == kind
    assert not crowded(
        [atom], "The totals 12.50, 13.00 and 4.00 of 2026-03-01 and 2026-03-02 make 29.50 EUR (PAY-12345)."
    )


ABSENT = (
    "ORD-1 does not exist.", "I could not find ORD-1.", "There's no such order.",
    "No order with that number was found.",
    "The order isn't in our system.", "I was unable to locate ORD-1.", "We don't have a phone number on record.",
    "A postmortem was not found.", "It does not currently exist.", "There are no results for it.",
)  # fmt: skip
BLOCKED = (
    "I could not cancel ORD-1: the API is down.", "The service is currently unavailable, so nothing was changed.",
    "ORD-1 has not been cancelled because the system keeps returning 503.",
    "I'm unable to do it; the API is offline.",
    "The API can't be reached, so I couldn't cancel it.", "It was not possible: there is an outage.",
    "I wasn't able to scale it, the API is still not responding.",
)  # fmt: skip


@pytest.mark.parametrize("text", ABSENT)
def test_saying_that_there_is_none_is_understood(text: str) -> None:
    assert claims_absence(text)


@pytest.mark.parametrize("text", BLOCKED)
def test_reporting_an_outage_is_understood(text: str) -> None:
    assert claims_blocked(text)


@pytest.mark.parametrize("text", ["It is shipped.", "Done.", "ORD-1 was cancelled.", "The total is 41.50 EUR.", ""])
def test_a_plain_answer_claims_neither(text: str) -> None:
    assert not claims_absence(text)
    assert not claims_blocked(text)


@given(st.text(max_size=200))
@settings(deadline=None, max_examples=examples(300))
def test_any_text_can_be_read_and_folding_twice_changes_nothing(text: str) -> None:
    facts = read(text)
    assert words(facts.plain) == facts.words.strip()
    assert fold(fold(text)) == fold(text)
    assert all(0 <= m.start < len(facts.plain) for m in facts.mentions)


@given(st.integers(0, 10**9))
@settings(deadline=None, max_examples=examples(100))
def test_an_amount_is_read_back_in_every_notation(cents: int) -> None:
    atom = Atom("money", str(cents))
    whole, part = divmod(cents, 100)
    english = f"{whole:,}.{part:02d}"
    german = english.translate(str.maketrans(",.", ".,"))
    for text in (f"{whole}.{part:02d}", f"{english} EUR", f"€{english}", f"{german} EUR", f"{cents} cents"):
        assert stated(atom, f"The total is {text}."), text


@pytest.mark.parametrize(
    "piece", ["1,", "1.", "1'", "not ", "from ", "if a ", "1 eur ", "12:", "jan 1 ", "ord-1 ", "\u0301", "be "]
)
def test_a_long_text_is_read_in_linear_time(piece: str) -> None:
    text = piece * (20_000 // len(piece))
    assert not stated(Atom("text", "shipped"), text)
    assert not stated(Atom("money", "4150"), text)
