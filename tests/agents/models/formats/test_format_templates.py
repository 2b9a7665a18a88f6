# ruff: noqa: RUF001 - the characters are the models' own
"""What the models' own chat templates write, the format that they tell reads: those that TRL ships, and ours."""

import json
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.levels import examples, rest
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.agents.models.auto import format_told_by
from faultgym.agents.models.formats import FORMATS
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall, ToolSpec
from faultgym.training.rows.templates import template_text

pytestmark = pytest.mark.slow

TRL = Path(find_spec("trl").origin).parent / "chat_templates"
TOLD = {
    "chatml": "hermes",  # ours
    "deepseekv3": "deepseek_v3",
    "gemma4_v5": "gemma4",
    "glm4moe": "glm45",
    "gptoss": "openai",
    "lfm2_2_5": "lfm2",
    "llama3_1": "llama3_json",
    "llama3_2": "llama3_json",
    "nemotron_3_nano": "qwen3_coder",
    "qwen2_5": "hermes",
    "qwen3": "hermes",
    "qwen3_5_think": "qwen3_coder",
    "qwen3_6": "qwen3_coder",
}
MORE = {
    "gemma4": "gemma4",
    "deepseek": "deepseek_v3",  # ours
    "lfm2_2_5_v2": "lfm2",
    "nemotron_3_5_lightning": "qwen3_coder",
    "nemotron_3_super": "qwen3_coder",
    "nemotron_3_ultra": "qwen3_coder",
    "qwen3_5_nothink": "qwen3_coder",
    "qwen3_8": "qwen3_coder",
    "qwen3_instruct_2507": "hermes",
    "qwen3_vl": "hermes",
}
ENDS = ("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<｜end▁of▁sentence｜>", "<|return|>", "<|call|>", "<|end|>")
HEADS = (  # what a template writes before a turn
    "<|im_start|>assistant",
    "<|start_header_id|>assistant<|end_header_id|>",
    "<|assistant|>",
    "<｜Assistant｜>",
)
ONE_CALL = {"llama3_1", "llama3_2", "gptoss"}
"""Templates that refuse a message with several calls."""
TEXTS = {"deepseekv3"}
"""Templates that want arguments as text."""
PLAIN = {"lfm2_2_5", "lfm2_2_5_v2"}
"""Templates that write a text between quotes and escape nothing in it."""
NO_TEXT = {"llama3_1", "llama3_2", "gptoss"}
"""Templates that leave out a text beside calls, or write it elsewhere."""
TOOLS = (
    ToolSpec(
        "look",
        "Look.",
        {
            "type": "object",
            "properties": {
                "order": {"type": "integer"},
                "note": {"type": "string"},
                "rate": {"type": "number"},
                "late": {"type": "boolean"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "body": {"type": "object"},
            },
        },
    ),
)


@lru_cache(64)
def template(name):
    path = TRL / f"{name}.jinja"
    return path.read_text("utf-8") if path.is_file() else template_text(name)


def rendered(name, messages, prompt):
    from transformers.utils.chat_template_utils import render_jinja_template

    (text,), _ = render_jinja_template(
        [messages], tools=[tool.openai() for tool in TOOLS], chat_template=template(name), add_generation_prompt=prompt,
        bos_token="", eos_token="", pad_token="",
    )  # fmt: skip
    return text


def written(name, arguments):
    """The arguments as the template takes them."""
    return json.dumps(arguments, ensure_ascii=False) if name in TEXTS else arguments


def sampled(name, turn):
    """What a model would have had to sample for its template to write this turn."""
    asked_first = [{"role": "system", "content": "Help."}, {"role": "user", "content": "Where is my order?"}]
    calls = [
        {"type": "function", "id": "a", "function": {"name": call.name, "arguments": written(name, call.arguments)}}
        for call in turn.tool_calls
    ]
    said = {"role": "assistant", "content": turn.text, **({"tool_calls": calls} if calls else {})}
    before, after = rendered(name, asked_first, True), rendered(name, [*asked_first, said], False)
    if not after.startswith(before):  # it opens thoughts that the turn does not have
        before = rendered(name, asked_first, False)
    text = after.removeprefix(before).strip()
    for end in ENDS:
        text = text.removesuffix(end).strip()
    for head in HEADS:
        text = text.removeprefix(head).strip()
    return text


LETTERS = st.text(alphabet=" abcÄ語,.:;!?(){}[]%-0", max_size=20).filter(lambda s: s == s.strip())
STRINGS = st.text(alphabet=" abcÄ語,.:;!?'\"\\/{}()[]%\n-0", max_size=20).filter(lambda s: s == s.strip())


def arguments_of(strings, inner):
    return st.fixed_dictionaries(
        {},
        optional={
            "order": st.integers(-(2**53), 2**53),
            "note": strings,
            "rate": st.floats(-1e6, 1e6).map(lambda number: round(number, 3)),
            "late": st.booleans(),
            "tags": st.lists(strings, max_size=2),
            "body": st.dictionaries(st.sampled_from(["a", "b_c"]), inner, max_size=2),
        },
    )


@pytest.mark.parametrize(("name", "told"), [*TOLD.items(), *(rest(*one) for one in MORE.items())])
def test_a_models_template_tells_its_format_and_what_it_writes_is_read(name, told):
    format = format_told_by(template(name))
    assert format is FORMATS[told]

    strings = LETTERS if name in PLAIN else STRINGS
    inner = strings if name.startswith("gemma4") else strings | st.integers(-9, 9)  # it says types by the schema alone
    several = st.lists(arguments_of(strings, inner), min_size=1, max_size=1 if name in ONE_CALL else 3)

    @settings(deadline=None, max_examples=examples(40))
    @given(several, st.sampled_from(["", "I look."]))
    def check(arguments, text):
        said = Turn("" if name in NO_TEXT else text, tuple(ToolCall("", "look", given) for given in arguments))
        read = format.read(sampled(name, said), TOOLS)
        assert [(call.name, call.arguments) for call in read.tool_calls] == [("look", given) for given in arguments]
        assert read.text == said.text

    check()
    answer = format.read(sampled(name, Turn("The order is on its way.")), TOOLS)
    assert (answer.text, answer.tool_calls) == ("The order is on its way.", ())
