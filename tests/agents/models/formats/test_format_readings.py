# ruff: noqa: RUF001 - the characters are the models' own
"""What readers of text formats have got wrong, here or in servers: each text with the turn that it stands for."""

import pytest

from faultgym.agents.models.formats import FORMATS
from faultgym.envs.messages.turn import Turn
from faultgym.tools.toolbox import MalformedCall, parse_arguments
from faultgym.tools.types import ToolSpec

LOOK = ("look", {"order": 7})
CALL = '{"name": "look", "arguments": {"order": 7}}'
SEVEN = '{"order": 7}'
DSML = "｜DSML｜"
TOOLS = (ToolSpec("look", "Look.", {"type": "object", "properties": {"order": {"type": "integer"}}}),)
READINGS = [
    # an answer that is JSON is no call, whatever its members are called
    ("llama3_json", '{"name": "Ada", "total": 7}', "{}", []),
    ("llama3_json", '[{"name": "Ada"}, {"name": "Bo"}]', "{}", []),
    ("llama3_json", 'The JSON is {"parameters": {}}.', "{}", []),
    # leading text, lists, the wrapper, text behind the call
    ("llama3_json", f"I look.\n{CALL}", "I look.", [LOOK]),
    ("llama3_json", f"[{CALL}, {CALL}]", "", [LOOK, LOOK]),
    ("llama3_json", '{"type": "function", "function": {"name": "look", "parameters": {"order": 7}}}', "", [LOOK]),
    ("llama3_json", f"<|python_tag|>{CALL} I will tell you.", "I will tell you.", [LOOK]),
    ("llama3_json", f"<|python_tag|>{CALL}; {CALL}<|eom_id|>", "", [LOOK, LOOK]),
    ("llama3_json", f"{CALL} I will tell you.", "I will tell you.", [LOOK]),
    ("llama3_json", '<|python_tag|>{"name": "look"}', "", [("look", {})]),
    ("llama3_json", '<|python_tag|>print("hi")', "", [("", None)]),
    ("llama3_json", '{"name": "look", "parameters": {"order"', "", [("", None)]),
    # Mistral: a bare object, an empty piece, text behind, ids, a name alone
    ("mistral", f"[TOOL_CALLS] {CALL}", "", [LOOK]),
    ("mistral", f"[TOOL_CALLS][TOOL_CALLS] [{CALL}]", "", [LOOK]),
    ("mistral", f"[TOOL_CALLS] [{CALL}] I will wait.", "I will wait.", [LOOK]),
    ("mistral", f"[TOOL_CALLS]look[ARGS]{SEVEN} I will wait.", "I will wait.", [LOOK]),
    ("mistral", f"[TOOL_CALLS]look[CALL_ID]a1b2c3d4e[ARGS]{SEVEN}", "", [LOOK]),
    ("mistral", f"ok[TOOL_CALLS]look{SEVEN}[TOOL_CALLS]look{SEVEN}</s>", "ok", [LOOK, LOOK]),
    ("mistral", "[TOOL_CALLS]look", "", [("look", {})]),
    ("mistral", "[TOOL_CALLS]", "", [("", None)]),
    ("mistral", "[TOOL_CALLS] not a name", "", [("not a name", {})]),
    ("mistral", '[TOOL_CALLS] [{"name": "look"', "", [("", None)]),
    ("gemma4", "<|tool_call>:look{order:7}<tool_call|>", "", [LOOK]),
    ("gemma4", "<|tool_call>call:not a name<tool_call|>", "", [("not a name", {})]),
    ("gemma4", '<|tool_call>call:look{by:<|"|>Ada', "", [("look", None)]),
    ("mistral", '[TOOL_CALLS]look[ARGS]{"order": ', "", [("look", None)]),
    # Hermes: `parameters`, a broken call beside a good one, the end mark inside a string
    ("hermes", '<tool_call>{"name": "look", "parameters": {"order": 7}}</tool_call>', "", [LOOK]),
    ("hermes", f"<tool_call>{{oops</tool_call><tool_call>{CALL}</tool_call>", "", [("", None), LOOK]),
    (
        "hermes",
        '<tool_call>{"name": "look", "arguments": {"tag": "a </tool_call> <tool_call> b"}}</tool_call>Done.',
        "Done.",
        [("look", {"tag": "a </tool_call> <tool_call> b"})],
    ),
    ("nemotron_json", f"<TOOLCALL>[{CALL}, {CALL}]</TOOLCALL>", "", [LOOK, LOOK]),
    ("granite", f"<|tool_call|> [{CALL}] I wait.", "I wait.", [LOOK]),
    ("granite", f"<tool_call>[{CALL}]", "", [LOOK]),
    ("granite-20b-fc", f"<function_call> {CALL} <function_call> {CALL}", "", [LOOK, LOOK]),
    ("phi4_mini_json", 'functools[{"name": "look", "arguments": {"tags": ["a"]}}]', "", [("look", {"tags": ["a"]})]),
    ("phi4_mini_json", f"<|tool_call|>[{CALL}]<|/tool_call|>", "", [LOOK]),
    ("phi4_mini_json", "Use functools for that.", "Use functools for that.", []),
    ("xlam", f"```json\n[{CALL}]\n```", "", [LOOK]),
    ("xlam", f"[TOOL_CALLS][{CALL}]", "", [LOOK]),
    ("xlam", "[1, 2, 3]", "[1, 2, 3]", []),
    ("xlam", '```json\n[{"name": "Ada"}]\n```', '```json\n[{"name": "Ada"}]\n```', []),
    # names and arguments between marks
    (
        "deepseek_v3",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>look\n```json\n"
        '{"tag": "<｜tool▁call▁end｜>"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        "",
        [("look", {"tag": "<｜tool▁call▁end｜>"})],
    ),
    ("deepseek_v31", f"ok<｜tool▁call▁begin｜>look<｜tool▁sep｜>{SEVEN}<｜tool▁call▁end｜>Wait.", "ok\nWait.", [LOOK]),
    (
        "kimi_k2",
        f"<|tool_calls_section_begin|><|tool_call_begin|>functions.look:0<|tool_call_argument_begin|>{SEVEN}"
        "<|tool_call_end|><|tool_calls_section_end|>",
        "",
        [LOOK],
    ),
    ("kimi_k2", "<|tool_call_begin|>look<|tool_call_argument_begin|>{}<|tool_call_end|>", "", [("", None)]),
    # tags
    ("qwen3_coder", "<tool_call>\n<function=look>\n<parameter=order>\n7\n</parameter>\n</function>", "", [LOOK]),
    ("qwen3_coder", "<function=look><parameter=order>7<parameter=by>Ada</parameter></function>", "", "two"),
    ("qwen3_coder", "<tool_call><function=look><parameter=order>7", "", [("look", None)]),
    ("qwen3_coder", "<tool_call><function=lo", "", [("lo", None)]),
    ("glm45", "<tool_call>look\n<arg_key>order</arg_key>\n<arg_value>7</arg_value>\n</tool_call>", "", [LOOK]),
    ("glm45", "<tool_call>look</tool_call>", "", [("look", {})]),
    ("glm45", '<tool_call>{"name": "look"}</tool_call>', "", [("", None)]),
    (
        "minimax_m2",
        '<minimax:tool_call><invoke name="look"><parameter name="order">7</parameter></invoke></minimax:tool_call>',
        "",
        [LOOK],
    ),
    (
        "deepseek_v32",
        f'<{DSML}function_calls><{DSML}invoke name="look"><{DSML}parameter name="order" string="false">7'
        f"</{DSML}parameter></{DSML}invoke></{DSML}function_calls>",
        "",
        [LOOK],
    ),
    # Python
    ("llama4_pythonic", "<|python_start|>[look(order=7), look(order=-7)]<|python_end|>", "", "negative"),
    ("pythonic", "[look(order=7)]", "", [LOOK]),
    ("pythonic", "[look(7)]", "", [("look", None)]),
    ("pythonic", "[1, 2]", "[1, 2]", []),
    ("lfm2", "<|tool_call_start|>[look(order=7)]<|tool_call_end|>I look.", "I look.", [LOOK]),
    ("olmo3", "<function_calls>look(order=7)\nlook(order=7)</function_calls>", "", [LOOK, LOOK]),
    # channels
    (
        "openai",
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.look "
        f"<|constrain|>json<|message|>{SEVEN}<|call|>",
        "",
        [LOOK],
    ),
    (
        "openai",
        f"<|start|>assistant to=functions.look<|channel|>commentary json<|message|>{SEVEN}",
        "",
        [LOOK],
    ),
    ("openai", "<|channel|>final<|message|>Done.<|return|>", "Done.", []),
    ("functiongemma", "<start_function_call>call:look{order:7}<end_function_call>", "", [LOOK]),
    ("functiongemma", "<start_function_call>call:look{order:<escape>7<escape>}", "", [LOOK]),
    ("functiongemma", "<start_function_call>call:look{order:", "", [("look", None)]),
]
SPECIAL = {
    "two": [("look", {"order": 7, "by": "Ada"})],
    "negative": [LOOK, ("look", {"order": -7})],
}


@pytest.mark.parametrize(("name", "written", "text", "calls"), READINGS)
def test_a_text_is_read_as_what_it_stands_for(name, written, text, calls):
    turn = FORMATS[name].read(written, TOOLS)
    assert [(c.name, c.arguments) for c in turn.tool_calls] == (SPECIAL[calls] if isinstance(calls, str) else calls)
    assert turn.text == (written if text == "{}" else text)
    assert turn.finish_reason == ("tool_calls" if calls else "stop")


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("hermes", f"<tool_call>{CALL}</tool_call>"),
        ("llama3_json", f"<|python_tag|>{CALL}"),
        ("mistral", f"[TOOL_CALLS] [{CALL}]"),
        ("granite", f"<|tool_call|>[{CALL}]"),
        ("xlam", f"[{CALL}]"),
    ],
)
def test_arguments_are_read_alike_by_all_formats_of_json(name, written):
    def read(arguments):
        (call,) = FORMATS[name].parse(written.replace(SEVEN, arguments)).tool_calls
        return call

    string = read('"{\\"order\\": 7}"')
    assert (string.name, string.arguments, string.raw) == ("look", None, '"{\\"order\\": 7}"')
    with pytest.raises(MalformedCall, match="double-encoded"):
        parse_arguments(string)
    assert read('{"order": 73786976294838206464}').arguments == {"order": float(2**66)}
    for none in ("null", "[7]", "7"):
        assert (read(none).name, read(none).arguments, read(none).raw) == ("look", None, none)


@pytest.mark.parametrize(
    ("name", "written", "reasoning", "text"),
    [
        ("mistral", "[THINK]Hm.[/THINK]Done.", "Hm.", "Done."),
        ("mistral", "<think>Hm.</think>Done.", "Hm.", "Done."),
        ("qwen3_coder", "Hm.</think>Done.", "Hm.", "Done."),
        ("seed_oss", "<seed:think>Hm.</seed:think>Done.", "Hm.", "Done."),
        ("glm45", "<think>Hm.</think>\nDone.", "Hm.", "Done."),
        (
            "openai",
            "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Done.",
            "Hm.",
            "Done.",
        ),
    ],
)
def test_thoughts_stand_apart_from_the_text(name, written, reasoning, text):
    turn = FORMATS[name].parse(written)
    assert (turn.reasoning, turn.text, turn.tool_calls) == (reasoning, text, ())


@pytest.mark.parametrize("name", ["qwen3_coder", "glm45", "minimax_m2", "kimi_k2"])
def test_a_call_ends_thoughts_that_nothing_else_ends(name):
    format = FORMATS[name]
    call = format.write(FORMATS["hermes"].parse(f"<tool_call>{CALL}</tool_call>"))
    turn = format.read(f"<think>I look.{call}", TOOLS)
    assert turn.reasoning == "I look."
    assert [(c.name, c.arguments) for c in turn.tool_calls] == [LOOK]


def test_ids_that_a_model_writes_are_read():
    kimi = "<|tool_call_begin|>functions.look:3<|tool_call_argument_begin|>{}<|tool_call_end|>"
    assert FORMATS["kimi_k2"].parse(kimi).tool_calls[0].id == "functions.look:3"
    assert FORMATS["mistral"].parse("[TOOL_CALLS]look[CALL_ID]a1b2c3d4e[ARGS]{}").tool_calls[0].id == "a1b2c3d4e"


def test_a_string_with_quotes_of_its_own_kind_is_read_where_there_is_one_way_to():
    turn = FORMATS["lfm2"].parse("<|tool_call_start|>[sh(cmd='sed -n '1,9p' f.py')]<|tool_call_end|>Next.")
    assert turn == Turn("Next.", turn.tool_calls, finish_reason="tool_calls")
    assert turn.tool_calls[0].arguments == {"cmd": "sed -n '1,9p' f.py"}


def test_values_have_the_types_of_the_tools_schema_and_are_texts_without_one():
    written = "<function=look><parameter=order>7</parameter><parameter=by>7</parameter></function>"
    assert FORMATS["qwen3_coder"].read(written, TOOLS).tool_calls[0].arguments == {"order": 7, "by": "7"}
    assert FORMATS["qwen3_coder"].parse(written).tool_calls[0].arguments == {"order": "7", "by": "7"}


@pytest.mark.parametrize("name", sorted({format.name for format in FORMATS.values()}))
def test_a_token_that_ends_turns_is_no_part_of_them(name):
    format = FORMATS[name]
    for end in ("<|im_end|>", "</s>", "<|eot_id|>\n", "<｜end▁of▁sentence｜>"):
        assert format.read("Done." + end) == Turn("Done.")
        written = format.write(Turn("", FORMATS["hermes"].parse(f"<tool_call>{CALL}</tool_call>").tool_calls))
        turn = format.read(written + end, TOOLS)
        assert (turn.text, [(c.name, c.arguments) for c in turn.tool_calls]) == ("", [LOOK])
