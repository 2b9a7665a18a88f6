"""`faultgym serve`: what it prints, what it refuses, how it stops."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from faultgym.cli.main import main
from faultgym.cli.serve import listen, port_of, server_of, url_of
from faultgym.core.errors import UserError
from faultgym.envs.registry import suite_named
from faultgym.envs.serving import ServiceApp

KEY = "a-key-of-the-tests"
FREE = ("--port", "0", "--control-port", "0")


@contextmanager
def running(*options: str, key: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command as a process of its own, and what it has printed once it listens."""
    variables = {**os.environ, "FAULTGYM_CONTROL_KEY": key}
    last = "try " if "--no-control" in options else "what happened"
    with subprocess.Popen(
        [sys.executable, "-m", "faultgym", "serve", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=variables,
    ) as process:
        assert process.stdout is not None
        try:
            said = ""
            for line in process.stdout:
                said += line
                if line.strip().startswith(last):
                    break
            yield process, said
        finally:
            process.kill()


def found(pattern: str, said: str) -> str:
    match = re.search(pattern, said)
    assert match, said
    return match[1]


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["serve", *options]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    return captured.err


@pytest.mark.parametrize("option", ["--port", "--control-port"])
def test_a_port_in_use_is_one_sentence_that_names_the_option(capsys: pytest.CaptureFixture[str], option: str) -> None:
    with listen("127.0.0.1", 0, "--port") as taken:
        port = str(taken.getsockname()[1])
        said = refused(capsys, *FREE, option, port)
    assert said == f"error: cannot listen on 127.0.0.1:{port} (Address already in use): try another {option}\n"


def test_two_sockets_that_only_listen_notice_each_other() -> None:
    with listen("127.0.0.1", 0, "--port") as first, pytest.raises(UserError, match="try another --port"):
        listen("127.0.0.1", first.getsockname()[1], "--port")


def test_a_host_that_is_no_address_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "it is no address of this machine" in refused(capsys, *FREE, "--host", "no address")


def test_one_port_on_two_addresses_is_refused() -> None:
    with listen("127.0.0.1", 0, "--port") as first:
        port = first.getsockname()[1]
        with listen("127.0.0.2", port, "--port") as second, pytest.raises(UserError, match=f"are both {port}"):
            port_of([first, second])


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--control-key", "short"), "at least 16 keep others out"),
        (("--task", "orders/nothing/dev/0"), "nothing"),
        (("--task", "orders/order_status/dev/0", "--suite", "incidents"), "is not of the suite served here"),
        (("--suite", "order"), "order"),
        (("--virtual-time", "--no-control"), "time passes by /wait of the control plane"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_printed(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...], what: str
) -> None:
    assert what in refused(capsys, *FREE, *options)


def test_answers_are_sent_at_once() -> None:
    with listen("127.0.0.1", 0, "--port") as listener:
        assert listener.proto == socket.IPPROTO_TCP  # only then does asyncio set TCP_NODELAY


def test_a_connection_may_lie_idle_for_as_long_as_a_model_thinks() -> None:
    assert server_of(ServiceApp(suite_named("orders"))).config.timeout_keep_alive >= 600


@pytest.mark.parametrize(
    ("host", "url"), [("127.0.0.1", "http://127.0.0.1:"), ("0.0.0.0", "http://127.0.0.1:"), ("::1", "http://[::1]:")]
)
def test_the_url_is_one_that_this_machine_reaches(host: str, url: str) -> None:
    with listen(host, 0, "--port") as listener:
        assert url_of(listener) == f"{url}{listener.getsockname()[1]}"
        at = httpx.URL(url_of(listener))
        socket.create_connection((at.host, at.port or 0), timeout=5).close()


@pytest.mark.slow
def test_the_printed_key_and_base_url_work_and_ctrl_c_ends_it_though_a_client_hangs() -> None:
    with running(*FREE, "--task", "orders/order_status/dev/0") as (process, said):
        base, token = found(r"base URL +(\S+)", said), found(r"token +(\S+)", said)
        control, key = found(r"control plane at (\S+)", said), found(r"key +(\S+)", said)
        answer = httpx.get(f"{base}/v1/openapi", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200
        assert "server" not in answer.headers
        state = httpx.get(f"{control}/sessions/default", headers={"Authorization": f"Bearer {key}"}).json()
        assert (state["task"], state["requests"]) == ("orders/order_status/dev/0", 1)
        at = httpx.URL(base)
        with socket.create_connection((at.host, at.port or 0)) as hanging:
            hanging.sendall(f"POST {at.path}/v1/token HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n".encode())
            httpx.get(f"{base}/v1/openapi")  # the server has taken up what came before
            process.send_signal(signal.SIGINT)
            with suppress(ConnectionError):
                hanging.recv(1)
            _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert errors.splitlines()[-1] == "interrupted"


@pytest.mark.slow
def test_a_key_of_the_environment_is_used_and_never_printed() -> None:
    with running(*FREE, key=KEY) as (_, said):
        assert KEY not in said
        control = found(r"control plane at (\S+)", said)
        answer = httpx.post(f"{control}/sessions", headers={"Authorization": f"Bearer {KEY}"})
        assert answer.status_code == 201


@pytest.mark.slow
def test_without_control_there_is_one_session_and_nothing_else() -> None:
    with running("--no-control", "--port", "0", "--task", "incidents/service_status/dev/0") as (_, said):
        assert "control" not in said
        base, token = found(r"base URL +(\S+)", said), found(r"token +(\S+)", said)
        bearer = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{base}/v1/openapi", headers=bearer).status_code == 200
        at = httpx.URL(base)
        for path in ("/sessions", "/sessions/default", "/openapi.json", "/s/default/v1/openapi"):
            assert httpx.get(at.copy_with(path=path), headers=bearer).status_code == 404
