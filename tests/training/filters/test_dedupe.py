"""What is the same is kept once, what is nearly the same too, whatever the order."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
from helpers import stored
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.training.filters.dedupe import (
    DedupThresholds,
    deduplicated,
    exact_key,
    group_key,
    normalised,
    normalised_calls,
    shingles,
    signature,
    similarity,
)

WORDS = st.lists(st.sampled_from("abcdefghijklmnop"), min_size=6, max_size=40)


def renumbered(example):
    """The same with other call ids."""
    messages = []
    for message in example.messages:
        message = dict(message)
        if "tool_calls" in message:
            message["tool_calls"] = [{**c, "id": f"other-{c['id']}"} for c in message["tool_calls"]]
        if "tool_call_id" in message:
            message["tool_call_id"] = f"other-{message['tool_call_id']}"
        messages.append(message)
    return replace(example, messages=tuple(messages))


def with_id(example, episode_id):
    return replace(example, origin=replace(example.origin, episode_id=episode_id))


def test_other_call_ids_make_no_other_example():
    for example in stored.several():
        assert exact_key(renumbered(example)) == exact_key(example)


def test_any_other_word_makes_another_example():
    for example in stored.several():
        for n, message in enumerate(example.messages):
            said = {**message, "content": message["content"] + "."}
            changed = replace(example, messages=(*example.messages[:n], said, *example.messages[n + 1 :]))
            assert exact_key(changed) != exact_key(example)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("order ORD-10422", "order <ORD>"),
        ("GET /v1/orders/ORD-10422/lines", "GET /v1/orders/<ORD>/lines"),
        ("write to a.b@c.example", "write to <email>"),
        ("2026-03-02T09:00:00Z and 2026-03-02", "<time> and <date>"),
        ("41.50 EUR, 3 pieces", "<number> EUR, <number> pieces"),
        ("Gladbrook shop", "<city> shop"),
    ],
)
def test_entities_become_their_kinds(text, expected):
    assert normalised(text, {"Gladbrook": "city"}) == expected


def test_tasks_of_one_template_share_a_group_though_every_entity_differs():
    one, other = (stored.example(f"orders/order_status/train/{n}:http") for n in (0, 1))
    assert exact_key(one) != exact_key(other)
    assert (
        normalised_calls(one)
        == normalised_calls(other)
        == (
            'http {"method":"GET","path":"/v1/orders/<order_id>"}',
            "answer answered status",
        )
    )
    assert group_key(one) == group_key(other)


def test_a_typed_answer_is_grouped_by_its_outcome_and_fields_and_not_by_its_values():
    one, other = (stored.example(f"orders/order_total/train/{n}:http", answers="typed") for n in (0, 1))
    assert one.messages[-2] != other.messages[-2]
    assert normalised_calls(one)[-1] == normalised_calls(other)[-1] == "answer answered total"
    assert group_key(one) == group_key(other)


def test_a_recovery_is_in_another_group_than_what_went_well():
    clean, faulted = (stored.example("orders/order_status/train/0:http", f) for f in ("clean", "mild"))
    assert group_key(clean) != group_key(faulted)


def test_a_statement_counts_by_its_verb_and_tables():
    def statement(text):
        call = {"id": "a", "type": "function", "function": {"name": "sql", "arguments": json.dumps({"query": text})}}
        return replace(stored.made(1), messages=({"role": "assistant", "content": "", "tool_calls": [call]},))

    one = statement("SELECT id FROM orders WHERE status = 'paid'")
    other = statement("select o.total_cents from orders o")
    assert normalised_calls(one) == normalised_calls(other) == ('sql {"query":"select orders"}',)


def test_the_signature_estimates_the_jaccard_similarity_of_the_shingles():
    examples = stored.several()[:12]
    for one in examples:
        for other in examples:
            a, b = shingles(one), shingles(other)
            true = len(a & b) / len(a | b)
            assert abs(similarity(signature(one), signature(other)) - true) < 0.2  # more than four standard errors


def test_a_signature_is_the_same_in_every_process_and_release():
    assert signature(stored.made(7))[:3].tolist() == [133699253, 97621893, 208229374]


def test_exact_duplicates_leave_the_smallest_episode_id():
    example = stored.several()[0]
    copies = [with_id(renumbered(example), name) for name in ("c", "a", "b")]
    assert [e.origin.episode_id for e in deduplicated(copies)] == ["a"]


def test_what_differs_in_one_word_of_many_is_kept_once():
    text = " ".join(f"word{n}" for n in range(200))
    one, other = stored.made(1, text=text), stored.made(2, text=text + " more")
    far = stored.made(3)
    assert deduplicated([other, far, one]) == [one, far]


def test_a_group_is_full_at_its_limit():
    examples = [stored.made(n) for n in range(9)]
    assert deduplicated(examples, DedupThresholds(per_group=4)) == examples[:4]


def test_the_order_of_the_examples_makes_no_difference():
    examples = list(stored.several()) + [renumbered(e) for e in stored.several()[:5]]
    expected = deduplicated(examples, DedupThresholds(0.6, 3))
    for seed in range(5):
        random.Random(seed).shuffle(examples)
        assert deduplicated(examples, DedupThresholds(0.6, 3)) == expected


@settings(deadline=None, max_examples=examples(30))
@given(texts=st.lists(WORDS, min_size=1, max_size=12))
def test_what_is_dropped_resembles_something_that_is_kept(texts):
    examples = [stored.made(n, text=" ".join(words)) for n, words in enumerate(texts)]
    kept = deduplicated(examples, DedupThresholds(0.5))
    marks = [signature(e) for e in kept]
    for example in examples:
        assert max(similarity(signature(example), mark) for mark in marks) >= 0.5


@settings(deadline=None, max_examples=examples(20))
@given(texts=st.lists(WORDS, min_size=2, max_size=12))
def test_what_is_kept_does_not_resemble_one_another(texts):
    kept = deduplicated([stored.made(n, text=" ".join(w)) for n, w in enumerate(texts)], DedupThresholds(0.5))
    marks = np.stack([signature(e) for e in kept])
    for n, mark in enumerate(marks):
        assert all(similarity(mark, other) < 0.5 for other in marks[:n])
