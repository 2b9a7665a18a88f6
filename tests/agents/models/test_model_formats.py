# ruff: noqa: RUF001 - the characters are DeepSeek's
"""Calls in text, prompts by name, policy options, and the limiter in front of a server: what needs no server."""

import asyncio
from dataclasses import replace

import orjson
import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.agents.models.concurrency import ConcurrencyLimiter
from faultgym.agents.models.formats import FORMATS
from faultgym.agents.models.openai import policy_from
from faultgym.agents.models.overflow import is_overflow
from faultgym.agents.models.prompts import NAMES, NONE, TYPED_ENDINGS, prompt_text, system_text
from faultgym.agents.models.prompts.examples import few_shot
from faultgym.agents.models.replicas import RetryPolicy
from faultgym.agents.models.reply import with_confidence
from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.engine import described
from faultgym.core.errors import UserError
from faultgym.envs.judging.answering import CALL_ANSWER
from faultgym.envs.judging.form import ANSWERS
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

URL = "http://localhost:8000/v1"
ONE = '{"query": "SELECT 1"}'
WRITTEN = {
    "hermes": f'<think>hm</think>ok\n<tool_call>\n{{"name": "sql", "arguments": {ONE}}}\n</tool_call>',
    "llama3": f'<think>hm</think><|python_tag|>{{"name": "sql", "parameters": {ONE}}}<|eom_id|>',
    "mistral": f'<think>hm</think>ok[TOOL_CALLS] [{{"name": "sql", "arguments": {ONE}}}]',
    "deepseek": "<think>hm</think>ok<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>sql\n"
    f"```json\n{ONE}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
}


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_a_call_is_read_in_the_models_own_form(name):
    turn = FORMATS[name].parse(WRITTEN[name])
    assert [(c.name, c.arguments) for c in turn.tool_calls] == [("sql", {"query": "SELECT 1"})]
    assert turn.reasoning == "hm"
    assert turn.text in ("ok", "")
    assert turn.finish_reason == "tool_calls"


@pytest.mark.parametrize("depth", [253, 254, 300, 985, 990, 993, 1000, 1100, 5000])
@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_a_call_may_be_nested_as_deeply_as_it_likes(name, depth):
    nested = "[" * depth + "]" * depth
    other = {"hermes": f'<tool_call>{{"arguments": {nested}, "name": "sql"}}</tool_call>'}.get(name, "")
    for text in (WRITTEN[name].replace(ONE, nested), other):
        assert all(call.arguments is None for call in FORMATS[name].parse(text).tool_calls)


@pytest.mark.parametrize(
    ("name", "text", "calls"),
    [
        (
            "llama3",
            '{"name": "a", "parameters": {}}; {"name": "b", "parameters": {"x": 1}}',
            [("a", {}), ("b", {"x": 1})],
        ),
        ("llama3", '{"name": "a", "parameters": {', [("", None)]),
        ("llama3", '{"status": "paid"}', []),
        ("llama3", "The order is paid.", []),
        ("mistral", '[TOOL_CALLS]a[ARGS]{}[TOOL_CALLS]b{"x": 1}', [("a", {}), ("b", {"x": 1})]),
        ("mistral", "[TOOL_CALLS]a[ARGS]{oops", [("a", None)]),
        ("mistral", '[TOOL_CALLS][{"nam": 1}]', [("", None)]),
        ("deepseek", "<｜tool▁call▁begin｜>a<｜tool▁sep｜>{}<｜tool▁call▁end｜>", [("a", {})]),
        ("deepseek", "<｜tool▁call▁begin｜>?", [("", None)]),
    ],
)
def test_several_calls_are_told_apart_and_a_broken_one_stays_a_call(name, text, calls):
    assert [(c.name, c.arguments) for c in FORMATS[name].parse(text).tool_calls] == calls


MARKS = [
    "<tool_call>",
    "</tool_call>",
    "<|python_tag|>",
    "[TOOL_CALLS]",
    "[ARGS]",
    "<｜tool▁call▁begin｜>",
    "{",
    "}",
    "[",
]
PIECES = st.sampled_from([*MARKS, '"name"', ":", ONE, "<think>", "</think>", "<｜tool▁sep｜>", ";"]) | st.text(
    max_size=5
)


@settings(deadline=None, max_examples=examples(200))
@given(st.lists(PIECES, max_size=12).map("".join), st.sampled_from(sorted(FORMATS)))
def test_no_text_makes_a_parser_raise(text, name):
    assert isinstance(FORMATS[name].parse(text), Turn)


def test_text_that_nests_a_hundred_thousand_deep_makes_no_parser_raise():
    for name in FORMATS:
        for head in ("<tool_call>", "<|python_tag|>", "[TOOL_CALLS]", "<｜tool▁call▁begin｜>a<｜tool▁sep｜>"):
            assert isinstance(FORMATS[name].parse(head + "[" * 100_000), Turn)
            assert isinstance(FORMATS[name].parse(head + '{"a":' * 100_000), Turn)


@pytest.mark.parametrize(
    ("text", "confidence", "left"),
    [
        ("Paid.\nConfidence: 85%", 0.85, "Paid."),
        ("Paid. **Confidence:** 0.7", 0.7, "Paid."),
        ("Paid.\nconfidence = 100 %.", 1.0, "Paid."),
        ("Confidence: 85%", 0.85, ""),
        ("Confidence: 185%", None, "Confidence: 185%"),
        ("Confidence: 85% of the orders are paid.", None, "Confidence: 85% of the orders are paid."),
        ("Paid.", None, "Paid."),
    ],
)
def test_a_stated_confidence_is_read_and_taken_out(text, confidence, left):
    turn = with_confidence(Turn(text))
    assert (turn.confidence, turn.text) == (confidence, left)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "It is paid.\nConfidence: 85%"), ("So: Confidence: 85%", "Paid."), ("Confidence: 85%", None)],
)
def test_a_confidence_beside_or_in_a_typed_answer_is_read_and_the_call_left_as_it_is(text, message):
    turn = Turn(text, (ToolCall("a", "answer", {"outcome": "answered", "message": message}),))
    assert with_confidence(turn) == replace(turn, confidence=0.85)


def test_a_malformed_answer_states_no_confidence():
    turn = Turn("", (ToolCall("a", "answer", None, '{"message": "Confidence: 85%"'),))
    assert with_confidence(turn) == turn


def test_a_turn_with_calls_states_no_confidence():
    turn = Turn("Confidence: 85%", (ToolCall("a", "sql"),))
    assert with_confidence(turn) == turn


# ---- prompts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("answers", ANSWERS)
def test_the_worked_examples_are_what_the_expert_does_today(answers):
    mend = "python -m faultgym.agents.models.prompts.examples"
    assert few_shot(answers).strip() in prompt_text("few_shot", answers), mend


TYPED = f"You are a desk. {CALL_ANSWER}, with outcome and message."


@pytest.mark.parametrize("name", [name for name in NAMES if name != NONE])
def test_a_prompt_says_that_the_answer_is_a_call_where_the_task_does(name):
    texts = system_text("You are a desk.", name, True), system_text(TYPED, name, True)
    assert "without a tool call is your final answer" in texts[0]
    assert "`answer`" not in texts[0]
    assert "final answer" not in texts[1]
    assert "without a tool call is no answer" in texts[1]
    assert "the message of your answer" in texts[1]


def test_each_sentence_on_the_end_is_in_a_prompt():
    texts = "\n".join(prompt_text(name) for name in NAMES) + system_text("", "plain", True)
    typed = "\n".join(prompt_text(name, "typed") for name in NAMES) + system_text(TYPED, "plain", True)
    assert [told for told, instead in TYPED_ENDINGS.items() if told not in texts or instead not in typed] == []


def test_a_prompt_of_ones_own_is_taken_as_it_is(tmp_path):
    path = tmp_path / "mine.md"
    path.write_text("A message without a tool call is your final answer.")
    assert system_text(TYPED, str(path), False).endswith("is your final answer.")


def test_each_prompt_adds_to_the_tasks_own_message():
    texts = [system_text("You are a desk.", name, False) for name in NAMES]
    assert texts[NAMES.index(NONE)] == "You are a desk."
    assert all(text.startswith("You are a desk.\n\n") for name, text in zip(NAMES, texts, strict=True) if name != NONE)
    assert len(set(texts)) == len(NAMES)
    assert system_text("x", "plain", True) != system_text("x", "plain", False)


def test_a_file_can_be_a_prompt_and_its_text_is_part_of_what_the_policy_says_of_itself(tmp_path):
    path = tmp_path / "mine.md"
    hashes = set()
    for text in ("Be quick.", "Be slow."):
        path.write_text(text)
        prompt_text.cache_clear()
        hashes.add(policy_from(f"m@{URL}?prompt={path}", {}).describe()["prompt"]["hash"])
    assert len(hashes) == 2
    with pytest.raises(UserError, match="plain, best, few_shot"):
        policy_from(f"m@{URL}?prompt=bset", {})


# ---- options ----------------------------------------------------------------------------------------


def test_a_policy_says_how_it_samples_and_not_where_its_servers_are():
    one, other = (policy_named(f"openai:org/m@{url}?temperature=0.5") for url in (URL, "http://b:1,http://c:2"))
    assert described(one) == described(other)
    assert one.name == "openai:org/m"
    assert described(one) != described(policy_named(f"openai:org/m@{URL}?temperature=0.6"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("m", "MODEL@URL"),
        ("@http://x", "MODEL@URL"),
        ("m@ftp://x", "MODEL@URL"),
        ("m@http://", "URL of a model server"),
        ("m@http://x:99999", "not a URL"),
        (f"m@{URL}?temprature=1", "did you mean temperature"),
        (f"m@{URL}?temperature=hot", "policy option temperature: input should be a valid number.*, not 'hot'"),
        (f"m@{URL}?temperature=nan", "temperature: input should be"),
        (f"m@{URL}?temperature=-1", "temperature: input should be greater than or equal to 0"),
        (f"m@{URL}?top_k=1.5", "top_k.*: input should be a valid integer"),
        (f"m@{URL}?confidence=maybe", "confidence: input should be a valid boolean"),
        (f"m@{URL}?format=xml", "hermes"),
        (f"m@{URL}?guided=strictly", "tags"),
        (f"m@{URL}?temperature", "name=value"),
        (f"m@{URL}?top_p=1&top_p=0.5", "twice"),
        (f"m@{URL}?body=7", "JSON object"),
        (f"m@{URL}?body=nope", "not JSON"),
    ],
)
def test_a_policy_that_is_written_wrongly_is_refused_with_what_is_wrong(text, words):
    with pytest.raises(UserError, match=words):
        policy_named(f"openai:{text}")


def test_the_words_of_servers_for_a_full_context_are_known():
    for text in (
        "This model's maximum context length is 2048 tokens. However, you requested 4096 tokens",
        "the request exceeds the available context size",
        '{"code": "context_length_exceeded"}',
        "Input is too long for requested model",
    ):
        assert is_overflow(400, orjson.dumps({"error": {"message": text}}).decode()), text
    for text in ("the model `m` does not exist", "Internal Server Error", "max_tokens must be at least 1"):
        assert not is_overflow(400, orjson.dumps({"error": {"message": text}}).decode()), text


# ---- the limiter ---------------------------------------------------------------------------------------


def test_the_limiter_lets_all_in_until_the_server_is_crowded_and_then_follows_it():
    async def run():
        limiter = ConcurrencyLimiter()
        cuts = [await limiter.enter() for _ in range(100)]
        for cut in cuts:
            limiter.crowded(cut)
        assert limiter.limit == 50  # a burst of refusals cuts it once
        for _ in cuts:
            limiter.leave()
        for _ in range(50):
            limiter.served()
        assert 50.9 < limiter.limit <= 51
        limiter.crowded(await limiter.enter())
        assert limiter.limit == 1

    asyncio.run(run())


@settings(deadline=None, max_examples=examples(60))
@given(st.lists(st.sampled_from(["enter", "leave", "crowd", "cancel", "serve"]), max_size=80))
def test_the_limiter_lets_in_no_more_than_its_limit_in_order_and_forgets_nobody(steps):
    async def run():
        limiter = ConcurrencyLimiter()
        waiting, inside, log = [], [], []

        async def visit(number):
            inside.append((number, await limiter.enter()))
            log.append(number)

        for number, step in enumerate(steps):
            if step == "enter":
                waiting.append(asyncio.ensure_future(visit(number)))
            elif step == "leave" and inside:
                inside.pop(0)
                limiter.leave()
            elif step == "crowd" and inside:
                limiter.crowded(inside[-1][1])
            elif step == "serve":
                limiter.served()
            elif step == "cancel" and waiting:
                waiting.pop().cancel()
            for _ in range(3):
                await asyncio.sleep(0)
            assert limiter.inside == len(inside)
        assert log == sorted(log)
        while inside:
            inside.pop()
            limiter.leave()
            for _ in range(3):
                await asyncio.sleep(0)
        assert all(task.done() for task in waiting)
        assert limiter.inside == 0

    asyncio.run(run())


def test_waits_depend_on_what_they_are_for_and_stay_below_the_cap():
    patience = RetryPolicy(first_wait=1, longest_wait=30)
    assert patience.wait(3, 7, 1) == patience.wait(3, 7, 1) != patience.wait(3, 8, 1)
    assert all(patience.wait(attempt, 7) <= 30 for attempt in range(1, 5000, 7))


def test_descriptions_are_json():
    assert orjson.dumps(policy_from(f"m@{URL}?prompt=few_shot&guided=tags", {}).describe())
