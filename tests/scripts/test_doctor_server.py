"""`faultgym doctor --server`: four questions to servers that are sound, or lack one thing each."""

import json
import re
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import orjson
import pytest
from helpers.served import beside
from helpers.stub_openai import Request, http, problem, said

from faultgym.cli.main import main

CALL = ("weather", {"city": "Rome"})


def server(
    *,
    tools: bool = True,
    calls: str = "parsed",
    ids: str = "given",
    history: tuple[str, ...] = ("calls", "results", "thoughts"),
    counts: bool = True,
    newest: bool = False,
):
    """What answers as a server does whose template shows just these things: a token for each word."""

    def answer(request: Request) -> bytes:
        body = request.body
        if newest and "max_tokens" in body:
            return problem(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        if ids == "refused" and "return_token_ids" in body:
            return problem(400, "Unknown parameter: 'return_token_ids'.")
        if calls == "no parser" and body.get("tools") and body.get("tool_choice") != "none":
            return problem(
                400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
            )
        if history == () and any(m["role"] == "tool" for m in body["messages"]):
            return problem(400, "Unexpected role 'tool' after role 'assistant'")
        prompt = "".join(shown(message, history) for message in body["messages"])
        prompt += json.dumps(body["tools"]) if tools and body.get("tools") else ""
        length = len(re.findall(r"\w+", prompt))
        more = {"usage": {"prompt_tokens": length, "completion_tokens": 2}} if counts else {}
        if ids == "given" and body.get("return_token_ids"):
            more |= {"prompt_token_ids": list(range(length)), "token_ids": [1, 2]}
            more["logprobs"] = {"content": [{"logprob": -0.1}, {"logprob": -0.2}]}
        if not body.get("tools") or any(m["role"] == "tool" for m in body["messages"]):
            return said("Hello there.", **more)
        return {
            "parsed": lambda: said(None, CALL, **more),
            "text": lambda: said('<tool_call>{"name": "weather", "arguments": {"city": "Rome"}}</tool_call>', **more),
            "broken": lambda: said(None, ("weather", '{"city": "Rome'), **more),
            "list": lambda: said(None, ("weather", "[1]"), **more),
            "other": lambda: said(None, ("look", {}), **more),
            "none": lambda: said("I would rather not.", **more),
        }.get(calls, lambda: said("It is sunny.", **more))()

    return answer


def shown(message, history) -> str:
    text = message["content"] or ""
    if message["role"] == "tool":
        return f"{text} " if "results" in history else ""
    if "calls" in history:
        text += "".join(call["function"]["arguments"] for call in message.get("tool_calls", ()))
    return text + (message.get("reasoning", "") if "thoughts" in history else "") + " "


def examined(capsys, answer, *more):
    with beside(answer) as stub:
        code = main(["doctor", "--server", stub.url, "--model", "m", "--json", *more])
    shown = capsys.readouterr()
    found = json.loads(shown.out)["findings"] if shown.out else []
    return code, [one["answer"] for one in found], [one["told"] for one in found], shown.err


def test_a_sound_server_gets_four_times_yes(capsys):
    code, answers, told, _ = examined(capsys, server())
    assert (code, answers) == (0, ["yes"] * 4)
    assert "weather(city='Rome')" in told[1]
    assert "calls and results; thoughts too" in told[3]


@pytest.mark.parametrize(
    ("lacking", "number", "words"),
    [
        ({"tools": False}, 0, "the model's chat template leaves them out"),
        ({"calls": "text"}, 1, "start the server with the model's own tool parser"),
        ({"calls": "no parser"}, 1, "format=NAME&tool_choice=none"),
        ({"calls": "broken"}, 1, "the arguments are no JSON"),
        ({"calls": "list"}, 1, "the arguments are no object"),
        ({"ids": "refused"}, 2, "roll out with tokens=no&logprobs=no"),
        ({"ids": "none"}, 2, "without ids of the prompt, ids of what was sampled, log probabilities"),
        ({"history": ("results",)}, 3, "earlier calls are left out"),
        ({"history": ("thoughts",)}, 3, "earlier calls and results are left out"),
        ({"history": ()}, 3, "a chat with a call and its result is refused: 400"),
    ],
)
def test_what_a_server_lacks_is_said_with_what_to_do(capsys, lacking, number, words):
    code, answers, told, _ = examined(capsys, server(**lacking))
    assert code == 1
    assert answers == ["no" if n == number else "yes" for n in range(4)]
    assert words in told[number]


def test_what_cannot_be_told_is_no_failure(capsys):
    code, answers, told, _ = examined(capsys, server(calls="none"))
    assert (code, answers) == (0, ["yes", "unknown", "yes", "yes"])
    assert "the model called nothing, and said: 'I would rather not.'" in told[1]
    code, answers, told, _ = examined(capsys, server(counts=False, ids="none"))
    assert (code, answers) == (1, ["unknown", "yes", "no", "unknown"])
    assert "does not count the tokens" in told[0]


def test_a_model_that_calls_something_else_shows_that_calls_are_parsed_all_the_same(capsys):
    code, answers, told, _ = examined(capsys, server(calls="other"))
    assert (code, answers) == (0, ["yes"] * 4)
    assert "in place of weather" in told[1]


def test_a_template_that_drops_thoughts_is_a_common_one(capsys):
    code, _, told, _ = examined(capsys, server(history=("calls", "results")))
    assert code == 0
    assert "thoughts are left out, as many chat templates do" in told[3]


def test_a_hosted_reasoning_model_is_asked_in_its_own_words(capsys):
    assert examined(capsys, server(newest=True))[:2] == (0, ["yes"] * 4)


def test_the_table_is_for_people_and_steers_no_terminal(capsys):
    with beside(server(calls="none")) as stub:
        assert main(["doctor", "--server", stub.url, "--model", "m\x1b[2J"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "are the tools in the prompt?" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--server", "http://127.0.0.1:9"], "nobody answers at http://127.0.0.1:9/v1"),
        (["--server", "ftp://x"], "is not the URL of a model server"),
        (["--model", "m"], "--model goes with --server"),
    ],
)
def test_what_cannot_be_asked_is_one_line(capsys, arguments, words):
    assert main(["doctor", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_server_that_refuses_everything_or_speaks_otherwise_is_one_line(capsys):
    code, _, _, err = examined(capsys, lambda r: problem(401, "no key"))
    assert code == 2
    assert "refuses a plain request for the model 'm': 401" in err
    code, _, _, err = examined(capsys, lambda r: http(b"<html>"))
    assert code == 2
    assert "is no chat completion" in err


def test_the_first_model_that_is_listed_is_asked(capsys):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self._send(orjson.dumps({"data": [{"id": "first"}, {"id": "second"}]}))

        def do_POST(self):
            body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body["model"])
            request = Request(self.path, {}, body, 0)
            self._send(server()(request).partition(b"\r\n\r\n")[2])

        def _send(self, body):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    asked = []
    listening = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=listening.serve_forever)
    thread.start()
    try:
        assert main(["doctor", "--server", f"http://127.0.0.1:{listening.server_port}"]) == 0
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
    assert set(asked) == {"first"}
    assert "Asked of first" in capsys.readouterr().out
