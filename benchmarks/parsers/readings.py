"""Run in vLLM's environment: reads the recorded texts with vLLM's parsers, and writes one JSON line a text.

python -m benchmarks.parsers.readings RECORDED READ
"""

from __future__ import annotations

import json
import logging
import re
import sys
from importlib import import_module
from typing import Any

from benchmarks.parsers.tokens import harmony_tokens, tokenizer

WITH_THOUGHTS = {
    "qwen3_coder": "qwen3:Qwen3Parser",
    "seed_oss": "seed_oss:SeedOssParser",
    "glm45": "glm47_moe:Glm47MoeParser",
    "gemma4": "gemma4:Gemma4Parser",
    "kimi_k2": "kimi_k2:KimiK2Parser",
    "minimax_m2": "minimax_m2:MinimaxM2Parser",
    "deepseek_v4": "deepseek_v4:DeepSeekV4Parser",
    "deepseek_v41": "deepseek_v41:DeepSeekV41Parser",
}
"""Parsers that read thoughts and calls in one pass."""
_EARLY = re.compile(r"\[TOOL_CALLS\]\s*(?:[A-Za-z_]|\[TOOL_CALLS\])|\[ARGS\]|\[THINK\]")


def main(recorded: str, read: str) -> None:
    """Read every text once for each set of tools."""
    logging.disable(logging.CRITICAL)
    seen: set[str] = set()
    with open(recorded, encoding="utf-8") as lines, open(read, "w", encoding="utf-8") as out:
        for line in lines:
            given = json.loads(line)
            key = json.dumps([given["parser"], given["text"], given["tools"]], sort_keys=True)
            if key not in seen:
                seen.add(key)
                out.write(json.dumps({**given, "readings": readings(**given)}) + "\n")


def readings(parser: str, text: str, tools: list[Any], **_: Any) -> list[Any]:
    """[(how, the calls, the text, the thoughts)] of each way in which vLLM reads a text."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.tool_parsers import ToolParserManager

    offered = [{"type": "function", "function": {**tool, "description": ""}} for tool in tools]
    request = ChatCompletionRequest(messages=[{"role": "user", "content": "."}], model="m", tools=offered or None)
    tokens = tokenizer(parser == "mistral" and _EARLY.search(text) is None)
    found: list[Any] = []

    def tried(how: str, read: Any) -> None:
        try:
            found.append((how, *read()))
        except Exception as error:  # what vLLM raises for a text is no reading
            print(parser, how, type(error).__name__, error, file=sys.stderr)

    def whole() -> Any:
        info = ToolParserManager.get_tool_parser(parser)(tokens, request.tools).extract_tool_calls(text, request)
        return [(c.function.name, c.function.arguments) for c in info.tool_calls], info.content, None

    def with_thoughts() -> Any:
        module, _, kind = WITH_THOUGHTS[parser].partition(":")
        made = getattr(import_module(f"vllm.parser.{module}"), kind)(tokens, request.tools)
        thoughts, content, calls = made.parse(text, request, enable_auto_tools=True)
        return [(c.name, c.arguments) for c in calls or []], content, thoughts

    if parser == "openai":
        tried("with thoughts", lambda: harmony(text, request))
        return found
    if ("think>" in text or "<|channel>" in text) and parser in WITH_THOUGHTS:
        tried("with thoughts", with_thoughts)
    tried("whole", whole)
    tried("streamed", lambda: streamed(ToolParserManager.get_tool_parser(parser)(tokens, request.tools), text, request))
    return found


def harmony(text: str, request: Any) -> Any:
    """(the calls, the text, the thoughts) of what gpt-oss wrote."""
    from vllm.parser.parser_manager import ParserManager

    kind = ParserManager.get_parser(
        tool_parser_name="openai",
        reasoning_parser_name="openai_gptoss",
        enable_auto_tools=True,
        model_name="openai/gpt-oss-20b",
        is_harmony=True,
    )
    tokens = harmony_tokens()
    thoughts, content, calls = kind(tokens).parse(text, request, True, tokens.encode(text))
    return [(c.name, c.arguments) for c in calls or []], content, thoughts


def streamed(parser: Any, text: str, request: Any) -> Any:
    """(the calls, the text, None) as they come token by token."""
    tokens = parser.model_tokenizer
    ids = tokens.encode(text, add_special_tokens=False)
    calls: dict[int, list[str]] = {}
    content = ""
    before, known = "", 0

    def take(delta: Any) -> str:
        for call in (delta.tool_calls or []) if delta is not None else []:
            slot = calls.setdefault(call.index, ["", ""])
            slot[0] = (call.function and call.function.name) or slot[0]
            slot[1] += (call.function and call.function.arguments) or ""
        return (delta.content or "") if delta is not None else ""

    for end in range(1, len(ids) + 1):
        now = tokens.decode(ids[:end])
        if now.endswith("\ufffd") and end < len(ids):  # half a character
            continue
        delta = parser.extract_tool_calls_streaming(
            before, now, now[len(before) :], ids[:known], ids[:end], ids[known:end], request
        )
        content += take(delta)
        before, known = now, end
    if hasattr(parser, "finish_streaming"):
        content += take(parser.finish_streaming())
    return [calls[index] for index in sorted(calls)], content, None


if __name__ == "__main__":
    main(*sys.argv[1:])
