"""Nothing of a test split is let through: not its tasks, worlds, records, faults, phrasings or words."""

from dataclasses import replace

import pytest
from helpers import stored

from faultgym.core.errors import TaskError
from faultgym.envs.registry import suite_named
from faultgym.envs.worlds.world import world_image
from faultgym.training.filters.decontaminate import (
    TEST_SPLITS,
    contamination,
    foreign_entity,
    held_out,
    overlap,
    question,
    refused,
    words_of,
)

STATUS = "orders/order_status/train/0:http"


@pytest.fixture(scope="module")
def held():
    return stored.check().held["orders"]


def said(text, role="assistant"):
    return [{"role": role, "content": text}]


@pytest.mark.parametrize("split", TEST_SPLITS)
def test_a_trace_of_any_test_split_is_refused(split):
    name = suite_named("orders").names(split)[0]
    assert refused(stored.played(f"orders/{name}/{split}/0")).reason == "other_split"


def test_a_trace_that_says_it_is_of_another_split_than_its_task_is_refused():
    trace = stored.played("orders/order_status/test/0")
    assert refused(replace(trace, task=replace(trace.task, split="train"))).reason == "other_split"
    honest = stored.played(STATUS)
    assert refused(replace(honest, task=replace(honest.task, split="dev"))).reason == "other_split"


@pytest.mark.parametrize("faults", ["clean", "rough", "hostile", "outage"])
def test_the_training_split_is_clear_of_all_others(held, faults):
    for template in ("order_status", "cancel_order", "order_tracking", "shop_hours"):
        trace = stored.played(f"orders/{template}/train/1", faults)
        assert refused(trace) is None
        assert contamination(trace, held) is None


@pytest.mark.parametrize("split", TEST_SPLITS)
def test_every_record_of_a_test_world_is_known(held, split):
    reader = world_image(suite_named("orders"), split, 3).reader.raw
    ids = [key for (key,) in reader.execute("SELECT id FROM orders")]
    emails = [text for (text,) in reader.execute("SELECT email FROM customers")]
    for name in (*ids, *emails):
        assert foreign_entity(said(f"See {name}, please."), held) == name


def test_no_record_of_a_training_world_is_taken_for_a_test_one(held):
    reader = world_image(suite_named("orders"), "train", 3).reader.raw
    for query in ("SELECT id FROM orders", "SELECT email FROM customers"):
        for (name,) in reader.execute(query):
            assert foreign_entity(said(name), held) == ""


def test_a_test_record_is_found_wherever_it_is_named(held):
    (name,) = world_image(suite_named("orders"), "test", 0).reader.raw.execute("SELECT id FROM orders").fetchone()
    call = {"id": "a", "type": "function", "function": {"name": "http", "arguments": f'{{"path": "/{name}"}}'}}
    for message in (
        {"role": "user", "content": name},
        {"role": "tool", "content": f'{{"id": "{name}"}}'},
        {"role": "assistant", "content": "", "reasoning_content": f"Think of {name}."},
        {"role": "assistant", "content": "", "tool_calls": [call]},
    ):
        assert foreign_entity([message], held) == name


def test_thirteen_words_of_a_test_instruction_are_found_in_any_text(held):
    suite = suite_named("orders")
    for template in ("change_address", "exchange_product", "refund_return"):
        task = suite.task(template, "test", 1)
        quoted = said(f"I have seen this before. {task.instruction} I know the answer.")
        assert overlap(quoted, held) or foreign_entity(quoted, held)


def test_what_templates_have_in_common_is_no_evidence(held):
    for split in ("train", "test"):
        trace = stored.played(f"orders/refund_return/{split}/0")
        mine = overlap(trace.messages[1:2], held)
        assert bool(mine) == (split == "test")


def test_a_question_that_needs_no_tool_is_the_same_in_any_words(held):
    suite = suite_named("orders")
    for split in TEST_SPLITS:
        if "basket_sum" in suite.names(split):
            assert question(suite.task("basket_sum", split, 0)) in held.questions
            assert overlap(said(suite.task("basket_sum", split, 0).instruction, "user"), held)


def test_kinds_of_faults_that_are_kept_for_tests_are_found(held):
    trace = stored.played(STATUS, "mild")
    event = replace(trace.events[0], kind="gateway_timeout")
    assert contamination(replace(trace, events=(event,)), held).reason == "held_out_fault"


def test_phrasings_and_worlds_that_are_kept_for_tests_are_found(held):
    trace = stored.played(STATUS)
    last = len(suite_named("orders").templates["order_status"].phrasings) - 1
    assert contamination(replace(trace, task=replace(trace.task, phrasing=last)), held).reason == "held_out_phrasing"
    world = world_image(suite_named("orders"), "test", 5).fingerprint
    prints = replace(trace.fingerprints, world=world)
    assert contamination(replace(trace, fingerprints=prints), held).reason == "test_world"


def test_a_template_that_is_gone_is_an_unknown_task(held):
    trace = stored.played(STATUS)
    gone = replace(trace, task=replace(trace.task, id="orders/teleport/train/0", template="teleport"))
    with pytest.raises(TaskError, match="no template 'teleport'"):
        contamination(gone, held)


def test_a_shorter_ngram_finds_no_less():
    trace = stored.played("orders/refund_return/test/0")
    text = " ".join(words_of(trace.messages[1]["content"])[3:12])
    assert overlap(said(text), held_out("orders", 6, 2)) or not overlap(said(text), held_out("orders", 8, 2))
