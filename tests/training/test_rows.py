"""Rows say what examples and pairs say, and come back from Arrow, Parquet and JSON lines exactly."""

import json
import math

import pytest
from helpers import scenes, stored
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.agents.traces.chat import arguments_text
from faultgym.envs.judging.answering import ACKNOWLEDGED
from faultgym.training.rows import (
    arguments_value,
    chat,
    columns,
    features,
    label_rows,
    pair_row,
    sft_row,
    turn_rows,
)
from faultgym.training.rows.rendered import rendered_pair, rendered_text, renderer
from faultgym.training.rows.templates import template_names

HETEROGENEOUS = [
    {"query": "a", "n": 1},
    {"query": {"nested": [1, "two", None, {"three": 3.5}]}},
    {"n": "one", "absent": None},
    {},
    {"n": [], "m": {}, "deep": {"a": {"b": [{"c": True}]}}},
    {"n": 2.0, "quote": '"}\n</tool_call>', "unicode": "é \u2028 🦀", "zero": "\0"},
    {"big": 2**80, "precise": 0.1 + 0.2},
]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def calling(arguments, number=0):
    """A chat with one call."""
    call = {"id": "c0", "type": "function", "function": {"name": f"t{number}", "arguments": arguments_text(arguments)}}
    return [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": "", "reasoning_content": "because", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c0", "name": f"t{number}", "content": "done"},
        {"role": "assistant", "content": "It is done."},
    ]


def heterogeneous(arguments="object"):
    """Rows whose calls have all kinds of arguments."""
    example = scenes.example()
    rows = []
    for number, values in enumerate(HETEROGENEOUS):
        row = sft_row(example, arguments=arguments)
        rows.append(row | {"messages": chat(calling(values, number), arguments=arguments)})
    return rows


def given_arguments(row):
    """The arguments of a row's call as they were meant."""
    (call,) = row["messages"][2]["tool_calls"]
    value = call["function"]["arguments"]
    return json.loads(value) if isinstance(value, str) else value


@pytest.mark.parametrize("arguments", ["object", "text"])
def test_heterogeneous_arguments_come_back_from_arrow_exactly(arguments):
    from datasets import Dataset

    rows = heterogeneous(arguments)
    dataset = Dataset.from_list(rows, features=features("messages"))
    assert list(dataset) == rows
    assert [given_arguments(row) for row in dataset] == HETEROGENEOUS
    assert list(dataset.map(lambda row: {"calls": row["calls"]})) == rows


@pytest.mark.parametrize("arguments", ["object", "text"])
def test_heterogeneous_arguments_come_back_from_parquet_exactly(arguments, tmp_path):
    from datasets import Dataset, load_dataset

    rows = heterogeneous(arguments)
    path = str(tmp_path / "rows.parquet")
    Dataset.from_list(rows, features=features("messages")).to_parquet(path)
    assert list(load_dataset("parquet", data_files=path, split="train", cache_dir=str(tmp_path))) == rows


def test_json_lines_beside_a_card_with_the_columns_come_back_exactly(tmp_path):
    from datasets import load_dataset

    rows = [*heterogeneous(), sft_row(scenes.example())]
    folder = tmp_path / "data"
    folder.mkdir()
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "train.jsonl").write_text("\n".join(lines), encoding="utf-8")
    card = {"dataset_info": {"features": columns("messages")}}
    (folder / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n", encoding="utf-8")
    assert list(load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))) == rows


@settings(deadline=None, max_examples=examples(300))
@given(st.dictionaries(st.text(max_size=4), JSON_VALUES, max_size=3))
def test_arguments_are_an_object_only_where_arrow_gives_it_back(values):
    from datasets import Json

    value = arguments_value(arguments_text(values))
    if isinstance(value, str):
        assert value == arguments_text(values)
    else:
        kept = Json().decode_example(Json().encode_example({"arguments": value}))
        assert repr(kept) == repr({"arguments": json.loads(arguments_text(values))})


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "null", '{"a": 1, "a": 2}', '{"a": NaN}', "[" * 5000])
def test_what_is_no_plain_object_stays_the_text_that_the_model_wrote(text):
    assert arguments_value(text) == text


def test_common_arguments_are_objects():
    assert arguments_value('{"seconds": 2.5, "n": 3, "q": "x"}') == {"seconds": 2.5, "n": 3, "q": "x"}
    assert math.isclose(arguments_value('{"n": 1e3}')["n"], 1000)


@settings(deadline=None, max_examples=examples(300))
@given(st.integers(-(10**8), 10**8))
def test_amounts_of_money_are_objects_but_for_the_few_that_arrow_would_change(cents):
    from datasets import Json

    text = arguments_text({"total": cents / 100})
    back = Json().decode_example(Json().encode_example({"total": cents / 100}))["total"]
    assert arguments_value(text) == ({"total": cents / 100} if back == cents / 100 else text)


def test_reasoning_is_kept_as_a_field_or_inline_or_dropped():
    messages = calling({"a": 1})
    kept, inline, dropped = (chat(messages, reasoning=option)[2] for option in ("field", "inline", "drop"))
    assert kept["reasoning_content"] == "because"
    assert inline["content"] == "<think>\nbecause\n</think>\n\n"
    assert dropped["content"] == ""
    assert "reasoning_content" not in inline
    assert "reasoning_content" not in dropped


def test_making_rows_leaves_the_messages_as_they_were():
    messages = calling({"a": 1})
    before = json.dumps(messages)
    for option in ("field", "inline", "drop"):
        chat(messages, reasoning=option)
    assert json.dumps(messages) == before


def test_every_form_has_the_columns_that_it_says():
    example, pair = scenes.example(), scenes.pair()
    made = {
        "text": rendered_text(sft_row(example), renderer("chatml")),
        "rendered": rendered_pair(pair_row(pair), renderer("chatml")),
        "messages": sft_row(example),
        "turns": next(turn_rows(example)),
        "pairs": pair_row(pair),
        "labels": label_rows(pair)[0],
    }
    for form, row in made.items():
        assert [column["name"] for column in columns(form)] == list(row), form


@pytest.mark.parametrize("form", ["messages", "turns", "pairs", "labels"])
def test_rows_of_every_form_come_back_from_arrow_exactly(form):
    from datasets import Dataset

    example, pair = scenes.example(), scenes.pair(whole=True)
    rows = {
        "messages": [sft_row(example)],
        "turns": list(turn_rows(example)),
        "pairs": [pair_row(pair)],
        "labels": list(label_rows(pair)),
    }[form]
    assert list(Dataset.from_list(rows, features=features(form))) == rows


def test_the_turns_of_an_episode_are_its_messages():
    example = scenes.example(broken=True)
    messages = sft_row(example)["messages"]
    rows = list(turn_rows(example))
    assert len(rows) == sum(message["role"] == "assistant" for message in messages)
    for row in rows:
        assert messages[: len(row["prompt"]) + 1] == row["prompt"] + row["completion"]


def test_the_last_turn_of_a_typed_episode_is_its_answer_and_no_text_is_invented_behind_it():
    example = stored.example("orders/order_total/train/0", answers="typed")
    *_, last = turn_rows(example)
    (call,) = last["completion"][0]["tool_calls"]
    given = call["function"]["arguments"]
    assert (call["function"]["name"], given["outcome"], last["outcome"]) == ("answer", "answered", "answered")
    assert isinstance(given["fields"]["total"], float)
    row = sft_row(example)
    assert [m["role"] for m in row["messages"][-2:]] == ["assistant", "tool"]
    assert row["messages"][-1]["content"] == ACKNOWLEDGED
    assert row["messages"][-2] == last["completion"][0]


def test_every_call_has_a_result_in_the_chat_of_a_typed_episode():
    for task in ("orders/order_total/train/0", "orders/cancel_order/train/0"):
        messages = sft_row(stored.example(task, "rough", answers="typed"))["messages"]
        made = [call["id"] for message in messages for call in message.get("tool_calls", ())]
        assert made == [message["tool_call_id"] for message in messages if message["role"] == "tool"]


NO_CALLS = {
    "cohere",
    "cohere2",
    "gemma",
    "gemma3",
    "idefics3",
    "lfm2",
    "llava_next",
    "phi3",
    "phi3_5",
    "qwen2_5_vl",
    "smolvlm",
}
"""Templates that refuse or leave out calls."""


@pytest.mark.parametrize("name", sorted({*template_names()} - NO_CALLS))
def test_every_template_with_calls_renders_a_typed_episode_with_its_acknowledgement(name):
    row = sft_row(stored.example("orders/order_total/train/0", answers="typed"))
    text = rendered_text(row, renderer(name))["text"]
    message = row["messages"][-2]["tool_calls"][0]["function"]["arguments"]["message"]
    assert message in text
    assert ACKNOWLEDGED in text.rpartition(message)[2]


def test_a_pair_gives_one_wanted_and_one_unwanted_label():
    pair = scenes.pair()
    row, (wanted, unwanted) = pair_row(pair), label_rows(pair)
    assert (wanted["label"], unwanted["label"]) == (True, False)
    assert wanted["prompt"] == unwanted["prompt"] == row["prompt"]
    assert (wanted["completion"], unwanted["completion"]) == (row["chosen"], row["rejected"])


def test_the_tools_of_a_row_are_those_of_the_example():
    example = scenes.example()
    assert json.loads(sft_row(example)["tools"]) == list(example.tools)
