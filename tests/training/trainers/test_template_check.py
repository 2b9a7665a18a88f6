"""A chat template that loses something of a chat is found before anything is trained: real ones, and broken ones."""

import json

import pytest
from helpers import vocabularies

from faultgym.agents.models.probe import ChatParts, probe_chat, probe_tools
from faultgym.core.errors import UserError
from faultgym.training.rows.templates import template_text
from faultgym.training.trainers.masks import scored
from faultgym.training.trainers.template_check import WithObjects, check_template, fitted

pytestmark = pytest.mark.slow

DROPPING = {
    "phi3_training": "leaves out tools, results, call names and arguments",
    "phi3_5_training": "leaves out tools, results, call names and arguments",
    "lfm2_training": "leaves out call names and arguments",
    "qwen2_5_vl_training": "leaves out tools, call names and arguments",
    "llama3_training": "leaves out tools, call names and arguments",
    "deepseekv3_training": "leaves out tools",
    "gemma_training": "refuses system messages (System role not supported)",
    "cohere2_training": "refuses results (Conversation roles must alternate",
    "llava_next_training": "refuses a user text and an answer",
}
KEEPING = [
    "diffusion_gemma_training",
    "glm4moe_training",
    "gptoss_training",
    "lfm2_v2_training",
    "muse_glimmer_training",
    "nemotron_3_nano_training",
    "nemotron_3_super_training",
    "qwen2_5_training",
    "qwen3_5_nothink_training",
    "qwen3_5_think_training",
    "qwen3_6_training",
    "qwen3_8_training",
    "qwen3_instruct_2507_training",
    "qwen3_training",
    "qwen3_vl_training",
]
OURS = ["chatml", "deepseek", "llama3", "tiny"]
TURN = """{%- for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{%- if m.role == 'assistant' %}{% generation %}
{{- m.content }}{% for c in m.tool_calls or [] %}{{ '<tool_call>' + c.function | tojson + '</tool_call>' }}{% endfor %}
{{- '<|im_end|>' }}{% endgeneration %}{% else %}{{ m.content + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}
{{- '<|im_start|>assistant\n' if add_generation_prompt }}"""
"""Keeps calls and results, shows no tools, and learns what it should."""
CALLS, NO_TOOLS = ChatParts(), ChatParts(tools=False)
BARE = TURN.replace("{% generation %}", "").replace("{% endgeneration %}", "")


def refusal(template, parts=CALLS, **more):
    with pytest.raises(UserError) as error:
        check_template(vocabularies.bytes_only(template, **more), parts)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(("name", "said"), DROPPING.items())
def test_a_template_that_drops_parts_of_a_chat_is_refused_with_what_is_missing(name, said):
    assert said in refusal(vocabularies.trl_template(name))


@pytest.mark.parametrize("name", KEEPING)
def test_trls_templates_that_keep_all_are_taken_as_they_are(name):
    assert check_template(vocabularies.bytes_only(vocabularies.trl_template(name)), ChatParts()) == []


@pytest.mark.parametrize("name", OURS)
def test_our_templates_keep_everything_that_a_chat_can_hold(name):
    everything = ChatParts(several=True, beside=True, thoughts=True, inline=True, as_text=True)
    tokenizer = vocabularies.bytes_only(template_text(name), bos_token="<|endoftext|>")
    assert check_template(tokenizer, everything) == []


@pytest.mark.parametrize("name", [n for n in DROPPING if n not in {"llava_next_training", "deepseekv3_training"}])
def test_chats_of_texts_alone_are_learned_under_templates_without_tools(name):
    plain = ChatParts(system=False, tools=False, calls=False, results=False)
    assert check_template(vocabularies.bytes_only(vocabularies.trl_template(name)), plain) == []


def test_the_refusal_names_templates_that_would_do_with_this_tokenizer():
    said = refusal(vocabularies.trl_template("phi3_training"))
    named = said.partition("--template, such as ")[2].split(" or ")
    assert "chatml" in named
    for name in named:
        assert check_template(vocabularies.bytes_only(template_text(name)), ChatParts()) == []
    assert "mend this one" in refusal(vocabularies.trl_template("phi3_training"), eos="<|end|>")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("qwen2_5_training", "build the data set with --reasoning inline, which puts them into the text"),
        ("qwen3_instruct_2507_training", "build the data set with --reasoning inline"),
        ("gptoss_training", "nor would they be with --reasoning inline"),
    ],
)
def test_thoughts_that_a_template_drops_are_warned_about_and_what_would_help(name, advice):
    tokenizer = vocabularies.bytes_only(vocabularies.trl_template(name))
    (said,) = check_template(tokenizer, ChatParts(thoughts=True))
    assert said.startswith("the chat template leaves out thoughts, which are not learned")
    assert advice in said


def test_text_beside_calls_that_a_template_drops_is_warned_about():
    tokenizer = vocabularies.bytes_only(vocabularies.trl_template("gptoss_training"))
    assert check_template(tokenizer, ChatParts(beside=True)) == [
        "the chat template leaves out text beside calls, which are not learned"
    ]


def test_a_second_call_in_a_turn_that_is_dropped_is_missed():
    said = refusal(vocabularies.trl_template("gptoss_training"), ChatParts(several=True))
    assert "leaves out call names and arguments" in said


def test_the_template_to_be_broken_is_right_before():
    assert check_template(vocabularies.bytes_only(TURN), NO_TOOLS) == []


HEAD = "{{ '<|im_start|>' + m.role + '\n' }}"
SPLIT = "{%- if m.role == 'assistant' %}{% generation %}"
MARK = "{{ '<tool_call>' if m.tool_calls }}"
MACRO = (
    "{%- macro turn(m) %}"
    + TURN.partition("{%- for m in messages %}")[2].partition("{{ '\n' }}{% endfor %}")[0]
    + "{% endmacro %}{%- for m in messages %}{{ turn(m) + '\n' }}{% endfor %}"
    + "{{- '<|im_start|>assistant\n' if add_generation_prompt }}"
)
BROKEN = {
    "a generation inside a macro": (MACRO, "header before a turn"),
    "a header inside": (
        TURN.replace(HEAD, "").replace(SPLIT, SPLIT + HEAD).replace("{% else %}", "{% else %}" + HEAD),
        "it falls on the header before a turn",
    ),
    "half a header inside": (
        TURN.replace(HEAD, "{{ '<|im_start|>' }}")
        .replace(SPLIT, SPLIT + "{{ m.role + '\n' }}")
        .replace("{% else %}", "{% else %}{{ m.role + '\n' }}"),
        "it falls on the header before a turn",
    ),
    "no end": (
        TURN.replace("{{- '<|im_end|>' }}{% endgeneration %}", "{% endgeneration %}{{- '<|im_end|>' }}"),
        "it misses the end of a turn",
    ),
    "calls outside": (
        TURN.replace("{{- m.content }}", "{{- m.content }}{% endgeneration %}").replace(
            "{{- '<|im_end|>' }}{% endgen", "{% generation %}{{- '<|im_end|>' }}{% endgen"
        ),
        "it misses call names, it misses arguments",
    ),
    "everything inside": (
        "{% generation %}"
        + TURN.replace("{% generation %}", "").replace("{% endgeneration %}", "")
        + "{% endgeneration %}",
        "it falls on system messages, it falls on user messages and it falls on results",
    ),
    "the call's mark outside": (
        TURN.replace(SPLIT, MARK + SPLIT).replace("'<tool_call>' + c", "c"),
        "it misses the beginning of a turn",
    ),
    "nothing inside": (
        TURN.replace("{% generation %}", "").replace("{% endgeneration %}", ""),
        "marks no assistant turns",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_loss_that_is_off_is_refused_with_where_it_falls(how):
    template, said = BROKEN[how]
    found = refusal(template, NO_TOOLS)
    assert "is wrong about the loss" in found
    assert said in found


def test_the_header_that_trl_marks_in_gpt_oss_carries_no_loss():
    tokenizer = vocabularies.bytes_only(vocabularies.trl_template("gptoss_training"), eos="<|return|>")
    found = scored(tokenizer, probe_chat(ChatParts()), probe_tools(ChatParts()))
    learned = tokenizer.decode([token for token, mask in zip(found.ids, found.mask, strict=True) if mask])
    assert "<|start|>assistant" not in learned
    assert learned.startswith(" to=functions.zq_find<|channel|>")


def test_a_template_that_begins_with_a_token_which_the_tokenizer_lacks_says_so():
    assert "'bos_token' is undefined" in refusal(template_text("llama3"), eos="<|eot_id|>")


ORDER = {"order": 7, "share": 0.3}


def rows_of(*arguments):
    from datasets import Dataset, Features, Json, List, Value

    def chat(text):
        call = {"type": "function", "id": "a", "function": {"name": "look", "arguments": text}}
        said = {"role": "assistant", "content": "", "tool_calls": [call]}
        return {"messages": [{"role": "user", "content": "Look."}, said], "tools": json.dumps([])}

    features = Features({"messages": List(Json()), "tools": Value("string")})
    return Dataset.from_list([chat(text) for text in arguments], features=features)


@pytest.mark.parametrize("name", ["qwen2_5_training", "qwen3_5_think_training", "glm4moe_training"])
def test_arguments_that_are_text_become_the_object_that_they_are_where_a_template_takes_no_text(name):
    tokenizer = vocabularies.bytes_only(vocabularies.trl_template(name))
    rows, said = fitted(rows_of(json.dumps(ORDER)), tokenizer, {"calls", "as_text"})
    text = tokenizer.apply_chat_template(rows[0]["messages"], tokenize=False)
    called = rows_of(ORDER)[0]["messages"]
    called[1]["tool_calls"][0]["function"]["arguments"] = ORDER
    assert text == type(tokenizer).apply_chat_template(tokenizer, called, tokenize=False)
    assert "0.3" in text
    assert "0.30000" not in text
    assert said == []


def test_calls_that_are_no_json_are_left_out_and_counted_where_a_template_takes_objects_alone():
    tokenizer = vocabularies.bytes_only(vocabularies.trl_template("qwen3_5_think_training"))
    rows, said = fitted(rows_of(json.dumps(ORDER), "{broken"), tokenizer, {"calls", "as_text"})
    assert len(rows) == 1
    assert said[0].startswith("1 row was left out: their calls are no JSON")
    with pytest.raises(UserError, match="every row holds calls"):
        fitted(rows_of("{broken"), vocabularies.bytes_only(tokenizer.chat_template), {"calls", "as_text"})


def test_text_stays_as_the_model_wrote_it_where_a_template_takes_text():
    tokenizer = vocabularies.bytes_only(template_text("chatml"))
    rows, said = fitted(rows_of('{"order":7}', "{broken"), tokenizer, {"calls", "as_text"})
    assert len(rows) == 2
    assert said == []
    assert not isinstance(tokenizer.apply_chat_template, WithObjects)
    assert '{"order":7}' in tokenizer.apply_chat_template(rows[0]["messages"], tokenize=False)
