"""`faultgym serve`: a suite's REST service over a real socket, one world for each session."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from faultgym.cli.support.faults import faults_named
from faultgym.cli.support.printing import say, stdout_console
from faultgym.cli.support.task_options import AnswersOption
from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.envs.judging.form import DEFAULT_ANSWERS
from faultgym.envs.registry import suite_named, task_by_id
from faultgym.envs.serving import MAX_SESSIONS, ControlApp, Ports, ServiceApp, check_key, new_key

if TYPE_CHECKING:
    import uvicorn

KEY_VARIABLE = "FAULTGYM_CONTROL_KEY"
GRACE_SECONDS = 2
"""How long a stop waits for requests under way; a client that never ends its own cannot hold it up."""
LARGEST_HEAD = 1 << 16
"""Bytes of a request line and its headers; h11 has a limit, httptools, which uvicorn would take, has none."""
IDLE_SECONDS = 600
"""How long a connection may lie idle. uvicorn's own 5 s end it while a model thinks: a reset that no plan has."""
REAL = "passes as the clock does, from the first request on; what a fault delays is late"
VIRTUAL = "virtual: passes only by /wait and by the delays that faults cause, which nobody waits for"

PortNumber = Annotated[int, typer.Option(min=0, max=65535, help="Agents' port; 0 takes a free one.")]
ControlPort = Annotated[int, typer.Option(min=0, max=65535, help="The control plane's port; 0 takes a free one.")]
ControlHost = Annotated[str, typer.Option(help="Address that the control plane listens on.")]
ControlKey = Annotated[
    str,
    typer.Option(
        envvar=KEY_VARIABLE,
        help="The control plane's key. Other users of the machine see the command line: prefer the variable. "
        "(default: a new one, printed)",
        show_default=False,
    ),
]
Control = Annotated[bool, typer.Option(help="Whether there is a control plane; without one, a single session.")]
VirtualTime = Annotated[
    bool,
    typer.Option(
        "--virtual-time/--real-time",
        help="Let time pass only by /wait and by the delays that faults cause; nobody then waits for them.",
    ),
]
Kept = Annotated[
    int, typer.Option(min=1, help="Sessions kept; beyond it the one unused for longest is closed for good.")
]
TaskId = Annotated[
    str, typer.Option(help="The task of the session that is opened at the start. (default: one is drawn)")
]


def serve(
    suite: Annotated[str, typer.Option(help="The suite to serve. (default: the task's, or orders)")] = "",
    task: TaskId = "",
    faults: Annotated[str, typer.Option(help="A preset, or a plan's name or JSON file.")] = "clean",
    split: Annotated[str, typer.Option(help="The split whose tasks sessions get that name none.")] = "dev",
    seed: Annotated[int, typer.Option(help="Seed of the fault schedules.")] = 0,
    host: Annotated[str, typer.Option(help="Address that agents reach.")] = "127.0.0.1",
    port: PortNumber = 8765,
    control: Control = True,
    control_host: ControlHost = "127.0.0.1",
    control_port: ControlPort = 8766,
    control_key: ControlKey = "",
    max_sessions: Kept = MAX_SESSIONS,
    virtual_time: VirtualTime = False,
    answers: AnswersOption = None,
) -> None:
    """Serve a suite's REST API, with its faults, to any HTTP client.

    Agents reach the service of their own session, under a base URL that nobody can guess. Sessions are opened, and
    what happened in them is read, on a port of its own, with a key.
    """
    if virtual_time and not control:
        raise UserError("with --virtual-time time passes by /wait of the control plane: leave out --no-control")
    served = suite_named(suite or (task_by_id(task).suite if task else "orders"))
    served.names(split)
    planned = faults_named(faults)
    key = check_key(control_key) if control_key else new_key()
    listeners = [listen(host, port, "--port")]
    if control:
        listeners.append(listen(control_host, control_port, "--control-port"))
    clock = None if virtual_time else time.monotonic
    app = ServiceApp(
        served,
        faults=planned,
        split=split,
        seed=seed,
        answers=answers or DEFAULT_ANSWERS,
        max_sessions=max_sessions,
        url=url_of(listeners[0]),
        clock=clock,
    )
    session = app.open({"id": "default", "task": task})
    running = Ports(app, ControlApp(app.sessions, key), port_of(listeners)) if control else app
    console = stdout_console()
    say(console, f"{served.name} with faults {faults} at {url_of(listeners[0])}")
    _say_session(console, session)
    say(console, f"  time             {REAL if app.sessions.real_time else VIRTUAL}")
    if control:
        _say_control(console, url_of(listeners[1]), "" if control_key else key)
    server_of(running).run(sockets=listeners)


def server_of(app: Ports | ServiceApp) -> uvicorn.Server:
    """A uvicorn that adds nothing of its own to what the service answers.

    Args:
        app: What it runs.
    """
    import uvicorn  # of the extra `serve`

    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            lifespan="on",
            http="h11",
            h11_max_incomplete_event_size=LARGEST_HEAD,
            ws="none",
            proxy_headers=False,
            server_header=False,
            date_header=False,  # it would give a time that is not the world's
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )


def port_of(listeners: Sequence[socket.socket]) -> int:
    """The control plane's port.

    Args:
        listeners: The agents' socket, then the control plane's.

    Raises:
        UserError: Both have one port, at two addresses: they are told apart by the port.
    """
    service, control = (listener.getsockname()[1] for listener in listeners)
    if service == control:
        raise UserError(f"agents' port and the control plane's are both {control}: change --control-port")
    return int(control)


def listen(host: str, port: int, option: str) -> socket.socket:
    """A socket that listens.

    Args:
        host: The address, or a name of it.
        port: The port; 0 takes a free one.
        option: The option that gave the port, for the message.

    Raises:
        UserError: There is no such address here, or the port is in use or forbidden.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise UserError(f"cannot listen on {host!r}: it is no address of this machine") from None
    # With its protocol: asyncio turns Nagle's algorithm off only where that is named, and each answer took 40 ms.
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()  # at once: two that are bound and do not listen yet would not notice each other
    except OSError as error:
        listener.close()
        raise UserError(f"cannot listen on {host}:{port} ({error.strerror}): try another {option}") from None
    return listener


def url_of(listener: socket.socket) -> str:
    """The URL that a listening socket is reached at from this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _say_session(console: Console, session: JSON) -> None:
    base = session["base_url"]
    say(console, f"  session default  {session['task']}")
    say(console, f"  instruction      {session['instruction']}")
    say(console, f"  base URL         {base}")
    say(console, f"  token            {session['access_token']}")
    say(console, f'  try              curl -H "Authorization: Bearer {session["access_token"]}" {base}/v1/openapi')


def _say_control(console: Console, url: str, key: str) -> None:
    """Where the control plane is; the key only where it is new: one that was given stays out of logs."""
    say(console, f"control plane at {url}")
    if key:
        say(console, f"  key              {key}")
    shown = key or (f"${KEY_VARIABLE}" if KEY_VARIABLE in os.environ else "KEY")
    say(console, f'  open a session   curl -X POST -H "Authorization: Bearer {shown}" {url}/sessions')
    wait = f'-d \'{{"seconds": 30}}\' -H "Authorization: Bearer {shown}" {url}/sessions/default/wait'
    say(console, f"  let time pass    curl {wait}")
    say(console, f'  what happened    curl -H "Authorization: Bearer {shown}" {url}/sessions/default')
