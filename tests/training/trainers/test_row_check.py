"""Data sets from elsewhere: keys that Arrow filled in, columns beyond a form's, rows that teach nothing."""

import json

import pytest
from helpers import lessons, vocabularies

from faultgym.core.errors import UserError
from faultgym.training.rows.rendered import with_template
from faultgym.training.trainers.data import load_all
from faultgym.training.trainers.models import tokenizer_for
from faultgym.training.trainers.run import job_of

pytestmark = pytest.mark.slow

ASKED, SAID = {"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Here."}
CHAT = [ASKED, SAID]


def called(name, **arguments):
    call = {"id": "a", "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


RESULT = {"role": "tool", "tool_call_id": "a", "content": "It is there."}


def tool(name, *parameters):
    properties = {one: {"type": "string"} for one in parameters}
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": properties}}}


def loaded(tmp_path, rows, method="sft", features=None):
    """The rows as a trainer gets them, after they were stored as anybody would store them."""
    from datasets import Dataset

    folder = tmp_path / "set"
    folder.mkdir(exist_ok=True)
    Dataset.from_list(rows, features=features).to_parquet(folder / "rows.parquet")
    (one,) = load_all(lessons.config(tmp_path, tmp_path / "out", method, data=[folder], prompt="none"))
    return one


def refused(tmp_path, rows, method="sft"):
    with pytest.raises(UserError) as error:
        loaded(tmp_path, rows, method)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_keys_that_arrow_filled_in_are_gone_from_messages_calls_arguments_and_tools(tmp_path):
    chats = [
        [ASKED, called("look", order="7"), RESULT, SAID],
        [ASKED, called("find", person="Ann", tags=[None, "x"]), RESULT, SAID],
        CHAT,
    ]
    tools = [[tool("look", "order")], [tool("find", "person", "tags")], []]
    found = loaded(tmp_path, [{"messages": c, "tools": t} for c, t in zip(chats, tools, strict=True)])
    wanted = [[{**m, "content": m["content"] or ""} for m in chat] for chat in chats]
    assert [row["messages"] for row in found.rows] == wanted
    assert [json.loads(row["tools"]) for row in found.rows] == tools
    assert found.parts == {"calls", "results", "tools", "as_object"}


def test_null_arguments_that_a_model_wrote_stay_in_columns_of_json(tmp_path):
    from datasets import Features, Json, List

    chat = [ASKED, called("look", order=None), {**RESULT, "name": None}, {**SAID, "tool_calls": []}]
    (row,) = loaded(tmp_path, [{"messages": chat}], features=Features({"messages": List(Json())})).rows
    assert row["messages"] == [ASKED, {**chat[1], "content": ""}, RESULT, SAID]


def test_numbers_that_arrow_would_change_stay_exact(tmp_path):
    (row,) = loaded(tmp_path, [{"messages": [ASKED, called("look", share=0.3, order=7), SAID]}]).rows
    assert row["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"share": 0.3, "order": 7}'


@pytest.mark.parametrize("template", ["chatml", "qwen3"])
def test_a_row_with_keys_that_arrow_filled_in_is_rendered_as_one_without(tmp_path, template):
    chat = [ASKED, called("look", order="7"), RESULT, SAID]
    (row, _) = loaded(tmp_path, [{"messages": chat}, {"messages": [{**ASKED, "reasoning_content": None}, SAID]}]).rows
    tokenizer = with_template(vocabularies.bytes_only("x"), template)
    plain = [{**message, "content": message["content"] or ""} for message in chat]
    wanted = tokenizer.apply_chat_template(plain, tokenize=False)
    assert tokenizer.apply_chat_template(row["messages"], tokenize=False) == wanted


PAIR = {"prompt": [ASKED], "chosen": [SAID], "rejected": [SAID]}
TURN = {"prompt": [ASKED], "completion": [SAID]}


@pytest.mark.parametrize(
    ("method", "row", "more", "form"),
    [
        ("sft", {"messages": CHAT}, {"text": "a", "prompt": "b"}, "messages"),
        ("sft", {"messages": CHAT}, PAIR, "messages"),
        ("dpo", PAIR, {"messages": CHAT, "text": "a"}, "pairs"),
        ("dpo", PAIR, {"completion": [SAID], "label": True}, "pairs"),
        ("sft", TURN, {"label": "shipping", "source": "a"}, "turns"),
        ("kto", {**TURN, "label": True}, {"messages": CHAT, "chosen": "x"}, "labels"),
    ],
)
def test_further_columns_do_not_change_what_a_data_set_is(tmp_path, method, row, more, form):
    assert loaded(tmp_path, [{**row, **more}] * 2, method).form == form


def test_labelled_completions_are_not_taken_for_good_ones(tmp_path):
    said = refused(tmp_path, [{**TURN, "label": False}, {**TURN, "label": True}])
    assert "holds labels, which is for kto" in said


@pytest.mark.parametrize(
    ("method", "row", "said"),
    [
        ("dpo", {**PAIR, "chosen": "Here."}, "`chosen` holds text, and `prompt` and `rejected` messages"),
        ("sft", {"prompt": [ASKED], "completion": "Here."}, "`completion` holds text, and `prompt` messages"),
        ("dpo", {**PAIR, "rejected": []}, "in 2 rows, the first of them row 0, `rejected` is empty"),
        ("dpo", {**PAIR, "chosen": [ASKED]}, "the assistant says nothing in `chosen`"),
        ("sft", {"messages": [ASKED]}, "the assistant says nothing in `messages`"),
        ("sft", {"messages": [ASKED, {**SAID, "content": ""}]}, "the assistant says nothing in `messages`"),
        ("sft", {"messages": [{"content": "Here."}]}, "`messages` holds messages without a role"),
        ("sft", {"messages": [1, 2]}, "`messages` holds messages without a role"),
        ("kto", {"prompt": [], "completion": [SAID], "label": True}, "`prompt` is empty"),
    ],
)
def test_what_nothing_can_be_learned_from_is_told_with_its_column(tmp_path, method, row, said):
    assert said in refused(tmp_path, [row, row], method)


def test_a_single_row_without_the_assistant_is_named(tmp_path):
    said = refused(tmp_path, [{"messages": CHAT}, {"messages": [ASKED]}])
    assert "in row 1 the assistant says nothing in `messages`: leave such rows out" in said


def model(tmp_path, template, **settings):
    tokenizer = vocabularies.bytes_only(template, **settings)
    vocabularies.tiny_model(tokenizer, tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")


def test_a_model_whose_template_drops_calls_is_refused_before_it_is_loaded(tmp_path):
    model(tmp_path, vocabularies.trl_template("qwen2_5_vl"))
    lessons.write_set(tmp_path / "messages", "messages")
    with pytest.raises(UserError, match=r"chat template of .*model leaves out tools, call names and arguments"):
        job_of(lessons.config(tmp_path, tmp_path / "out"))


def test_a_run_says_that_its_template_drops_thoughts(tmp_path):
    model(tmp_path, vocabularies.trl_template("qwen2_5"))
    said = [ASKED, {**SAID, "reasoning_content": "Look it up."}]
    loaded(tmp_path, [{"messages": said}] * 2)
    (warning,) = job_of(lessons.config(tmp_path, tmp_path / "out", data=[tmp_path / "set"])).warnings()
    assert "leaves out thoughts" in warning


def test_a_row_that_a_template_refuses_is_named(tmp_path):
    template = """{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' }}{%- if m.role == 'assistant' %}
    {%- generation %}{{- m.content }}{{- raise_exception('no such word') if 'cursed' in m.content }}{{- '<|im_end|>' }}
    {%- endgeneration %}{% else %}{{- m.content + '<|im_end|>' }}{% endif %}{{ '\\n' }}{% endfor %}
    {{- '<|im_start|>assistant\\n' if add_generation_prompt }}"""
    model(tmp_path, template)
    loaded(tmp_path, [{"messages": CHAT}, {"messages": [ASKED, {**SAID, "content": "cursed"}]}])
    with pytest.raises(UserError, match=r"the chat template refuses row 1 \(no such word\): leave it out"):
        job_of(lessons.config(tmp_path, tmp_path / "out", data=[tmp_path / "set"]))


def test_a_named_template_that_needs_a_token_which_the_tokenizer_lacks_is_refused(tmp_path):
    model(tmp_path, "x", eos="<|eot_id|>")
    config = lessons.config(tmp_path, tmp_path / "out", data=[tmp_path], template="llama3")
    with pytest.raises(
        UserError, match=r"template 'llama3' .*'bos_token' is undefined.* set it in tokenizer_config\.json"
    ):
        tokenizer_for(start(config), config)


def start(config):
    from faultgym.training.trainers.models import start_of

    return start_of(config)
