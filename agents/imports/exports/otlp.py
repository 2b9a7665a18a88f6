"""Traces as OpenTelemetry's GenAI spans."""

from __future__ import annotations

from hashlib import blake2b

import orjson

from faultgym.agents.imports.exports.form import ExportForm, each_line
from faultgym.agents.imports.exports.task import named
from faultgym.agents.traces.chat import call_text
from faultgym.agents.traces.trace import Trace
from faultgym.core.json import JSON
from faultgym.core.text import storable


def otlp_log(trace: Trace) -> JSON:
    """The trace as OTLP's `TracesData`: a span for each model call and each tool call, the answer's included.

    Contents stand in the attributes as JSON text, as they do where structure cannot be logged. Times are an
    order, not durations.

    Returns:
        JSON values: what a line of OTLP's file exporter would hold.
    """
    messages = trace.messages
    trace_id = blake2b(trace.episode_id.encode(), digest_size=16).hexdigest()
    spans: list[JSON] = []
    model = str(trace.policy.get("name", ""))
    definitions = _text([{"type": "function", **spec.openai()["function"]} for spec in trace.tools])
    about = {f"faultgym.{key}": _flat(value) for key, value in named(trace).data().items() if value is not None}
    for number, message in enumerate(messages):
        if message["role"] == "assistant":
            attributes = {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "faultgym",
                "gen_ai.request.model": model,
                "gen_ai.conversation.id": trace.episode_id,
                "gen_ai.tool.definitions": definitions,
                "gen_ai.input.messages": _text([_otel(m) for m in messages[:number]]),
                "gen_ai.output.messages": _text([{**_otel(message), "finish_reason": _finish(message)}]),
                **about,
            }
            spans.append(_span(f"chat {model}", trace_id, len(spans), attributes))
    for record in (
        call for step in trace.steps for call in step.calls
    ):  # the answer too: no model call shows its result
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": storable(record.call.name),
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": storable(record.call.id),
            "gen_ai.tool.call.arguments": storable(call_text(record.call)),
            "gen_ai.tool.call.result": storable(record.result.content),
        }
        spans.append(_span(f"execute_tool {storable(record.call.name)}", trace_id, len(spans), attributes))
    resource = {"attributes": [_pair("service.name", "faultgym")]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "faultgym"}, "spans": spans}]}]}


def _otel(message: JSON) -> JSON:
    """A message in the form of the conventions."""
    if message["role"] == "tool":
        part = {"type": "tool_call_response", "id": message["tool_call_id"], "response": message["content"]}
        return {"role": "tool", "parts": [part]}
    parts: list[JSON] = []
    if message.get("reasoning_content"):
        parts.append({"type": "reasoning", "content": message["reasoning_content"]})
    if message["content"] or not message.get("tool_calls"):
        parts.append({"type": "text", "content": message["content"]})
    for call in message.get("tool_calls", []):
        function = call["function"]
        parts.append({"type": "tool_call", "id": call["id"], **function})
    return {"role": message["role"], "parts": parts}


def _finish(message: JSON) -> str:
    return "tool_call" if message.get("tool_calls") else "stop"


def _span(name: str, trace_id: str, number: int, attributes: JSON) -> JSON:
    span_id = blake2b(f"{trace_id} {number}".encode(), digest_size=8).hexdigest()
    begun = (number + 1) * 1_000_000_000
    return {
        "traceId": trace_id,
        "spanId": span_id,
        "name": name,
        "kind": 3,
        "startTimeUnixNano": str(begun),
        "endTimeUnixNano": str(begun + 1),
        "attributes": [_pair(key, value) for key, value in attributes.items()],
    }


def _pair(key: str, value: str | int) -> JSON:
    kind = {"stringValue": value} if isinstance(value, str) else {"intValue": str(value)}
    return {"key": key, "value": kind}


def _flat(value: object) -> str | int:
    return value if isinstance(value, str | int) else _text(value)


def _text(value: object) -> str:
    return orjson.dumps(value).decode()


EXPORT = ExportForm("OTLP JSON with OpenTelemetry's GenAI spans", each_line(otlp_log))
