"""Model servers as users have met them: each a function for `Stub`, after what was reported of others."""

import orjson

from helpers.stub_openai import Request, http, librarian, problem, said


def written(request: Request) -> str:
    """The call that a sensible model begins with, as Hermes and Qwen write it."""
    call = orjson.loads(librarian(request).partition(b"\r\n\r\n")[2])["choices"][0]["message"]["tool_calls"][0]
    arguments = orjson.loads(call["function"]["arguments"])
    inside = orjson.dumps({"name": call["function"]["name"], "arguments": arguments}).decode()
    return f"<tool_call>\n{inside}\n</tool_call>"


def swaps_weights(request: Request) -> bytes:
    """While a trainer swaps its weights every second request comes back half done."""
    return said("Let me look up th", finish="abort") if request.number % 2 == 0 else librarian(request)


def always_swaps_weights(request: Request) -> bytes:
    """It never comes back."""
    return said("Let me look up th", finish="abort")


def provider_fails(request: Request) -> bytes:
    """A router whose provider died in mid-sentence, with status 200."""
    return said("The book costs", finish="error", error={"code": 502, "message": "upstream"}, usage={"total_tokens": 0})


def provider_fails_in_the_choice(request: Request) -> bytes:
    """The same, said in the choice, and with a finish reason like any other."""
    choice = {"message": {"role": "assistant", "content": "The book"}, "finish_reason": "stop", "error": {"code": 500}}
    return http(orjson.dumps({"choices": [choice]}))


def says_nothing(request: Request) -> bytes:
    """What was behind it has died: a message without content, and no token counted."""
    return said(None)


def thinks_too_long(request: Request) -> bytes:
    """All of `max_tokens` went into the thoughts."""
    return said(None, finish="length", message={"reasoning": "Let me see. " * 99}, usage={"completion_tokens": 1024})


def filters(request: Request) -> bytes:
    """A content filter that does not like the task."""
    return said(None, finish="content_filter")


def drops_a_brace(request: Request) -> bytes:
    """A parser that gives the text of a broken call back as the answer."""
    if request.turn == 0:
        return said(written(request).replace("}}", "}"), message={"tool_calls": []}, finish="stop")
    return librarian(request)


def has_no_parser(request: Request) -> bytes:
    """The model calls in its own format, and nobody reads that."""
    return said(written(request), finish="tool_calls") if request.turn == 0 else librarian(request)


def calls_in_thoughts(request: Request) -> bytes:
    """A reasoning parser that takes the call for a thought."""
    if request.turn == 0:
        return said(None, message={"reasoning": "I must look.\n" + written(request), "tool_calls": []})
    return librarian(request)


def promises_a_call(request: Request) -> bytes:
    """It says that there are calls, and there are none."""
    return said("I look it up.", finish="tool_calls") if request.turn == 0 else librarian(request)


def hides_tools(request: Request) -> bytes:
    """With `tool_choice: none` the model is not shown any tool."""
    if request.body.get("tool_choice") == "none" or not request.body.get("tools"):
        return said("I have no tools.")
    return has_no_parser(request)


def wants_signatures(request: Request) -> bytes:
    """A call comes with a signature, and a history without it is refused."""
    sign = {"extra_content": {"google": {"thought_signature": "EjQKMgEMsigA"}}}
    for message in request.messages:
        for call in message.get("tool_calls", ()):
            if call.get("extra_content") != sign["extra_content"]:
                return problem(400, "Function call is missing a thought_signature in functionCall parts.")
    reply = orjson.loads(librarian(request).partition(b"\r\n\r\n")[2])
    for call in reply["choices"][0]["message"].get("tool_calls", ()):
        call.update(sign)
    return http(orjson.dumps(reply))


def wants_null(request: Request) -> bytes:
    """It gives null beside calls, and refuses empty texts."""
    if any(m["role"] == "assistant" and m.get("content") == "" for m in request.messages):
        return problem(400, "messages: text content blocks must be non-empty")
    reply = orjson.loads(librarian(request).partition(b"\r\n\r\n")[2])
    message = reply["choices"][0]["message"]
    message["content"] = message["content"] or None
    return http(orjson.dumps(reply))


def reads_arguments(request: Request) -> bytes:
    """It parses the arguments of the history, and refuses what is no JSON object; its own first call is cut."""
    for message in request.messages:
        for call in message.get("tool_calls", ()):
            try:
                assert isinstance(orjson.loads(call["function"]["arguments"]), dict)
            except (ValueError, AssertionError):
                return problem(400, "Expecting value: line 1 column 1")
    return said(None, ("http", '{"method": "GET", "pa')) if request.turn == 0 else librarian(request)


def reasons(request: Request) -> bytes:
    """A hosted reasoning model, which takes few of the usual fields."""
    for name in ("max_tokens", "return_token_ids", "logprobs", "temperature"):
        if request.body.get(name) is not None:
            words = f"Unsupported parameter: '{name}' is not supported with this model."
            words += " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
            error = {"message": words, "type": "invalid_request_error", "param": name, "code": "unsupported_parameter"}
            return http(orjson.dumps({"error": error}), 400)
    return librarian(request)
