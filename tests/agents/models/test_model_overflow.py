"""The words in which servers say that a chat is too long, and words that only look like it."""

from pathlib import Path

import orjson
import pytest
from helpers.served import one_turn
from helpers.stub_openai import http
from hypothesis import given
from hypothesis import strategies as st

from faultgym.agents.models.overflow import STATUSES, is_overflow
from faultgym.agents.models.replicas import RetryPolicy
from faultgym.core.errors import HarnessError, ServerRefusal

ROWS = [
    orjson.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "model_servers" / "refusals.jsonl").read_bytes().splitlines()
]
"""Each with the server, where its words were seen (a version, or an address and a date), the status and the body."""
OVERFLOWS = [row for row in ROWS if row["overflow"]]
OTHERS = [row for row in ROWS if not row["overflow"]]


def text_of(body) -> str:
    return body if isinstance(body, str) else orjson.dumps(body).decode()


def row_of(server: str):
    return next(row for row in ROWS if row["server"].startswith(server))


@pytest.mark.parametrize("row", OVERFLOWS, ids=[row["server"] for row in OVERFLOWS])
def test_a_full_context_is_told_by_the_words_of_each_server(row):
    assert is_overflow(row["status"], text_of(row["body"]))
    assert not is_overflow(429, text_of(row["body"]))


def test_the_table_has_the_servers_that_people_use():
    servers = " ".join(row["server"] for row in OVERFLOWS)
    names = "OpenAI vLLM SGLang TGI llama.cpp Ollama Anthropic Gemini Bedrock Mistral DashScope xAI OpenRouter LiteLLM"
    assert all(name in servers for name in names.split())
    assert all(row["seen"] for row in ROWS)


@pytest.mark.parametrize("row", OTHERS, ids=[row["server"] for row in OTHERS])
def test_a_complaint_about_something_else_is_no_full_context(row):
    assert not is_overflow(row["status"], text_of(row["body"]))


@pytest.mark.parametrize("server", ["OpenAI chat", "Gemini", "OpenRouter, what"])
def test_a_full_context_ends_the_turn_whatever_form_it_is_told_in(server):
    row = row_of(server)
    turn, stub = one_turn(lambda r: http(orjson.dumps(row["body"]), row["status"]))
    assert turn.finish_reason == "context_overflow"
    assert [("max_tokens" in r.body) for r in stub.requests] == [True, False]


def test_a_long_quotation_before_the_message_does_not_hide_it():
    body = {"request": "x" * 5000, "error": {"message": "prompt is too long: 9 tokens > 8 maximum"}}
    assert one_turn(lambda r: http(orjson.dumps(body), 400))[0].finish_reason == "context_overflow"


@pytest.mark.parametrize("server", ["OpenAI, a tool", "OpenAI, the number", "LiteLLM, which", "nginx"])
def test_a_complaint_about_something_else_is_a_harness_error(server):
    row = row_of(server)
    with pytest.raises(ServerRefusal, match="refused a request"):
        one_turn(lambda r: http(text_of(row["body"]).encode(), row["status"]))


def test_a_rate_limit_is_tried_again_and_a_missing_model_is_not():
    with pytest.raises(HarnessError, match="failed 2 times"):
        one_turn(lambda r: http(text_of(row_of("a rate")["body"]).encode(), 429), patience=RetryPolicy(retries=1))
    with pytest.raises(HarnessError, match="404") as raised:
        one_turn(lambda r: http(b'{"error": {"message": "no such model"}}', 404))
    assert type(raised.value) is HarnessError


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(0, 999) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "message", "code", "type", "param", "metadata", "raw"]), inner)
    ),
    max_leaves=8,
)


@given(st.sampled_from([*STATUSES, 404]), JSONS.map(lambda v: orjson.dumps(v).decode()) | st.text())
def test_no_body_is_beyond_being_read(status, body):
    assert is_overflow(status, body) in (True, False)
