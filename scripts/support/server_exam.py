"""`faultgym doctor --server`: asks a model server, and prints what it found."""

from __future__ import annotations

import os
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import orjson
from rich.console import Console
from rich.text import Text

from faultgym.agents.models.http_client import Address
from faultgym.agents.models.questions import Answered, Post, ServerExam, ServerFinding
from faultgym.agents.models.replicas import RequestRefused, UnreadableReply
from faultgym.cli.support.printing import grid
from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.envs.render import neutralised

SECONDS = 120.0
"""For one request."""
STYLES = {"yes": "green", "no": "red", "unknown": "yellow"}


def examined(url: str, model: str) -> tuple[str, list[ServerFinding]]:
    """The model that was asked, and what was found.

    Args:
        url: The server's base URL.
        model: The model's name; empty for the first that the server lists.

    Raises:
        UserError: The URL is none, nobody answers there, or what answers is no model server that can be asked.
    """
    base = _base(url)
    name = model or _first_model(base)
    try:
        return name, ServerExam(_post_to(base), name).findings()
    except RequestRefused as error:
        raise UserError(f"{url} refuses a plain request for the model {name!r}: {error}") from None
    except UnreadableReply as error:
        raise UserError(f"{url}: {error}") from None


def show_findings(console: Console, model: str, found: list[ServerFinding]) -> None:
    """Print a table of the questions.

    Args:
        console: Where.
        model: The model that was asked.
        found: The findings.
    """
    table = grid(
        f"Asked of {neutralised(model)}", ("question", "answer", "what that means"), prose=("what that means",)
    )
    for one in found:
        table.add_row(one.question, Text(one.answer, STYLES[one.answer]), Text(neutralised(one.told)))
    console.print(table)


def _base(url: str) -> str:
    address = Address.of(url)
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{'https' if address.tls else 'http'}://{host}:{address.port}{address.path}"


def _first_model(base: str) -> str:
    answered = _sent(Request(f"{base}/models", headers=_headers()), base)
    try:
        return str(orjson.loads(answered.body)["data"][0]["id"])
    except (ValueError, LookupError, TypeError):
        raise UserError(f"{base}/models lists no model (status {answered.status}): name one with --model") from None


def _post_to(base: str) -> Post:
    def post(body: JSON) -> Answered:
        data = orjson.dumps(body)
        return _sent(Request(f"{base}/chat/completions", data, _headers()), base)

    return post


def _headers() -> dict[str, str]:
    key = os.environ.get("OPENAI_API_KEY", "")
    return {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}


def _sent(request: Request, base: str) -> Answered:
    try:
        with urlopen(request, timeout=SECONDS) as reply:
            return Answered(reply.status, reply.read())
    except HTTPError as error:
        with error:
            return Answered(error.code, error.read())
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"nobody answers at {base}: {reason}") from None
