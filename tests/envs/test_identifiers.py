"""What an identifier looks like: one rule, made of the suite's own prefixes."""

from pathlib import Path
from types import ModuleType

import pytest

from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.envs.check import RULES, check_suite
from faultgym.envs.episode import Episode
from faultgym.envs.identifiers import declared_prefix, identifiers_with
from faultgym.envs.intents import intent_of
from faultgym.envs.messages.turn import Turn
from faultgym.envs.registry import suite_named
from faultgym.eval.context import ScoringContext
from faultgym.eval.grounds import invented
from faultgym.eval.modes.classifier import failure_modes
from faultgym.tools.types import ToolCall

RULE = identifiers_with(("ORD", "WAREHOUSE", "WA"))
STATUS = suite_named("orders").task("order_status", "train", 0, "tools")


@pytest.mark.parametrize("text", ["UTF-8", "HTTP-503", "ISO-8601", "XORD-1", "ORD-1234567890", "ord-1", "ORD-"])
def test_what_has_none_of_the_prefixes_is_no_identifier(text):
    assert RULE.found(text) == []
    assert not RULE.matches(text)
    assert RULE.prefix(text) == ""


@pytest.mark.parametrize("text", ["ORD-1", "WAREHOUSE-123456789", "WA-10", "DOC-10001"])
def test_an_identifier_is_found_matched_and_shortened(text):
    prefix, _, digits = text.rpartition("-")
    assert RULE.found(f"see {text}, {text}.") == [text, text]
    assert RULE.first(f"({text})") == text
    assert RULE.matches(text)
    assert RULE.prefix(text) == prefix
    assert RULE.bare(text) == digits
    assert RULE.numbers(f"{text} 4711 12") == {digits, "4711"}
    assert RULE.found_in_any_case(text.lower()) == [text]


def test_a_parameter_says_which_prefix_it_takes(bookshelf):
    properties = bookshelf.service.operations["lend_book"].declaration.schema["properties"]
    assert declared_prefix(properties["book_id"]) == "BOK"
    assert declared_prefix(properties["note"]) == ""


@pytest.fixture(scope="module")
def warehouse(bookshelf):
    """The suite `bookshelf` with a prefix that is longer than any of the built-in ones."""
    from helpers import bookshelf as module

    source = Path(module.__file__).read_text().replace("BOK", "WAREHOUSE").replace('"bookshelf"', '"warehouse"')
    made = ModuleType("warehouse")
    exec(compile(source, module.__file__, "exec"), made.__dict__)
    return made.SUITE


def test_the_modes_see_identifiers_with_long_prefixes(warehouse):
    task = warehouse.task("price", "train", 0, "tools")
    episode = Episode(task, answers="text")
    episode.step(Turn(tool_calls=(ToolCall("c", "get_book", {"book_id": "WAREHOUSE-31337"}),)))
    episode.step(Turn("It is WAREHOUSE-41414."))
    found = {
        mode.name for mode in failure_modes(Trace.from_episode(episode, EpisodeSpec(task.id), {"name": "x"}), task)
    }
    assert {"hallucinated_argument", "fabricated_answer"} <= found


def test_the_kit_draws_arguments_with_long_prefixes(warehouse):
    report = check_suite(warehouse, [rule for rule in RULES if rule.name == "changes_are_logged"])
    assert report.ok, str(report)


def test_calls_with_and_without_a_long_prefix_are_after_the_same(warehouse):
    whole, bare = (
        intent_of(warehouse, ToolCall("c", "get_book", {"book_id": key})) for key in ("WAREHOUSE-123", "123")
    )
    assert whole.semantic == bare.semantic
    assert "123" in whole.names


def ended(text):
    episode = Episode(STATUS, answers="text")
    episode.step(Turn(tool_calls=(ToolCall("c", "get_order", dict(STATUS.params)),)))
    episode.step(Turn(text))
    return Trace.from_episode(episode, EpisodeSpec(STATUS.id), {"name": "x"})


@pytest.mark.parametrize("code", ["UTF-8", "HTTP-503", "ISO-8859"])
def test_a_technical_term_in_an_apology_is_no_invented_identifier(code):
    trace = ended(f"Sorry, I could not read it: the reply was broken ({code}).")
    assert invented(ScoringContext.of(trace)) == ""
    assert "fabricated_answer" not in [mode.name for mode in failure_modes(trace)]


def test_an_invented_identifier_is_seen_by_scores_and_modes_alike():
    trace = ended("Sorry, I could not do it; ask about ORD-31337.")
    assert invented(ScoringContext.of(trace)) == "ORD-31337"
    assert "fabricated_answer" in [mode.name for mode in failure_modes(trace)]
