"""Values beside the wanted one: under the words that they have in the world's documents, and under others."""

from __future__ import annotations

import pytest
from helpers.verdicts import Kind, cases, success

WARRANTY = "orders/product_warranty/train/2"
LIMIT = "incidents/escalation_deadline/train/2"
FREEZE = "incidents/restart_unless_frozen/train/2"
GOLD = "orders/policy_fact/test/91"
CITY = "orders/city_count/train/2"

RIGHT: dict[str, Kind] = {
    "under its own label": (
        (WARRANTY, "24 months, as torches are lighting (garden gets 36 months, audio 12)."),
        (WARRANTY, "**24 months** from delivery. Kitchen goods have 48 months."),
        (WARRANTY, "It is lighting: 24 months. Other categories: garden 36 months, kitchen 48 months."),
        (LIMIT, "INC-81983 is a sev2: 360 minutes. For sev1 it is 235 minutes, for sev3 420."),
        (LIMIT, "360 minutes (sev1: 235; sev3: 420)"),
        (LIMIT, "Escalate INC-81983 after 360 minutes; a sev3 has 420 minutes."),
        (FREEZE, "Left alone. The last day of the freeze for tier 3 is 2026-03-07. (Tier 1: 2026-03-12.)"),
        (
            WARRANTY,
            "- kitchen: 48 months\n- lighting: 24 months\n- garden: 36 months\n\nTorch: lighting, so 24 months apply.",
        ),
        (GOLD, "The gold threshold is 700.00 EUR a year. Silver starts at 300.00 EUR."),
        (GOLD, "Gold threshold: 700 EUR a year; silver threshold: 300 EUR a year."),
    ),
    "a period that the document gives": (
        (GOLD, "It states 700.00 EUR a year."),
        (GOLD, "700 EUR per year."),
    ),
    "the whole of which the number is a part": (
        (CITY, "Customers from Girdrilplim have 8 orders in total, 3 of which are delivered."),
    ),
}
WRONG: dict[str, Kind] = {
    "under the label of the wanted one": (
        (WARRANTY, "It is lighting: 36 months. Garden gets 24 months."),
        (WARRANTY, "24 months for garden; lighting gets 36 months."),
        (LIMIT, "INC-81983 is a sev2: 235 minutes. For sev1 it is 360 minutes."),
        (GOLD, "Gold threshold: 300.00 EUR. Silver threshold: 700.00 EUR."),
    ),
    "in a table from which nothing is chosen": (
        (WARRANTY, "- kitchen: 48 months\n- lighting: 24 months\n- garden: 36 months\n- audio: 12 months"),
        (LIMIT, "sev2: 360 minutes, sev1: 235 minutes, sev3: 420 minutes"),
    ),
    "concluded from a table wrongly": (
        (
            WARRANTY,
            "- kitchen: 48 months\n- lighting: 24 months\n- garden: 36 months\n\nTorches: garden, so 36 months.",
        ),
    ),
    "under no label": (
        (WARRANTY, "24 months. The policy says 36 months."),
        (LIMIT, "360 minutes, later 420 minutes."),
    ),
    "a period that the document does not give": (
        (GOLD, "It states 700.00 EUR a month."),
        (GOLD, "700 EUR per quarter."),
    ),
    "a part of something else": ((CITY, "There are 4 delivered orders, 3 of which could be confirmed."),),
}


@pytest.mark.parametrize(("task", "text"), cases(RIGHT))
def test_a_value_told_of_what_it_is_of_is_no_rival(task: str, text: str) -> None:
    assert success(task, text) is True


@pytest.mark.parametrize(("task", "text"), cases(WRONG))
def test_a_value_told_of_what_it_is_not_of_is_one(task: str, text: str) -> None:
    assert not success(task, text)
