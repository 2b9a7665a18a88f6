"""`faultgym serve`: a suite's REST service over a real socket, one world for each session id."""

from __future__ import annotations

import socket
from typing import Annotated

import typer

from faultgym.cli.support.faults import faults_named
from faultgym.cli.support.printing import say, stdout_console
from faultgym.core.errors import UserError
from faultgym.envs.registry import suite_named
from faultgym.envs.serving import ServiceApp


def serve(
    suite: Annotated[str, typer.Option(help="The suite to serve")] = "orders",
    faults: Annotated[str, typer.Option(help="A preset, or a plan's name or JSON file")] = "clean",
    split: Annotated[str, typer.Option(help="Where sessions without a task take theirs from")] = "dev",
    seed: Annotated[int, typer.Option(help="Seed of the fault schedules")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    max_sessions: Annotated[
        int, typer.Option(min=1, help="Sessions kept; beyond it the one unused for longest is closed, for good")
    ] = 1000,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one")] = 8765,
) -> None:
    """Serve a suite's REST API, with its faults, to any HTTP client."""
    import uvicorn  # of the extra `serve`

    app = ServiceApp(suite_named(suite), faults=faults_named(faults), split=split, seed=seed, max_sessions=max_sessions)
    app.suite.names(split)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port} ({error.strerror}): try another --port") from None
    url = f"http://{host}:{listener.getsockname()[1]}"
    session = app.open({"id": "default"})
    console = stdout_console()
    console.print(f"[bold]{suite}[/] with faults [bold]{faults}[/] at {url}")
    say(console, f"  API document   {url}/openapi.json")
    say(console, f"  a session      {url}{session['base_url']}   (POST {url}/sessions opens more)")
    token = session["access_token"]
    say(console, f'  try            curl -H "Authorization: Bearer {token}" {url}/s/default/v1/openapi')
    uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on")).run(sockets=[listener])
