"""Real vLLM, on whatever this machine has: `make test-vllm` makes its environment first and runs these alone."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from faultgym.agents.model_server import Serving, served
from faultgym.agents.store import RunDirectory
from faultgym.agents.trace import Trace
from faultgym.tools.errors import UserError

ENVIRONMENT = Path(__file__).resolve().parents[2] / ".venv-vllm"
PYTHON = ENVIRONMENT / "bin" / "python"
OPTIONS = "temperature=1&max_tokens=128"
RUN = ["--faults", "hostile", "--faults", "rough", "--max-turns", "8", "--in-flight", "64"]
EPISODES = 200
DEADLINE = 600.0

pytestmark = [
    pytest.mark.skipif(not (ENVIRONMENT / ".complete").exists(), reason="no .venv-vllm: make test-vllm makes it"),
    pytest.mark.skipif("PYTEST_XDIST_WORKER" in os.environ, reason="a server for each worker: make test-vllm has one"),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A healthy server's."""
    logs = tmp_path_factory.mktemp("logs")
    more = ("--enforce-eager",)
    with served(
        Serving("tiny-random", port=0, python=str(PYTHON), max_model_len=16384, logs=logs, more=more)
    ) as servers:
        yield servers[0].url


@pytest.fixture
def start():
    """Starts a `faultgym` process; none outlives its test."""
    children: list[subprocess.Popen] = []

    def begin(*arguments, python=sys.executable) -> subprocess.Popen:
        command = [python, "-m", "faultgym", *map(str, arguments)]
        children.append(subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        return children[-1]

    yield begin
    for child in children:
        if child.poll() is None:
            child.kill()
            child.communicate()


def done(child: subprocess.Popen) -> str:
    said, _ = child.communicate(timeout=DEADLINE)
    assert child.returncode == 0, said
    return said


def traces(folder: Path) -> list[Trace]:
    return [Trace.from_record(record) for record in RunDirectory.open(folder).records()]


def stored(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in (folder / "traces").glob("segment-*.jsonl"))


def exact(trace: Trace) -> list[bool]:
    """For each turn after the first: whether its prompt begins with all the tokens read and written before."""
    found, before = [], None
    for step in trace.steps:
        turn = step.turn
        assert turn.token_ids, "the tokens of a turn are missing"
        assert turn.logprobs is not None
        assert len(turn.logprobs) == len(turn.token_ids)
        if before is not None:
            found.append(turn.prompt_kept == before)
        before = turn.prompt_kept + len(turn.prompt_ids) + len(turn.token_ids)
    return found


def test_episodes_against_a_server_survive_a_kill_and_are_proven(url, start, tmp_path):
    folder = tmp_path / "run"
    policy = ["--policy", f"openai:tiny-random@{url}?{OPTIONS}"]
    plan = [*policy, "--suite", "orders", "--suite", "incidents", "--per-template", "3", *RUN]
    child = start("rollout", "--out", folder, *plan)
    end = time.monotonic() + DEADLINE
    while stored(folder) < EPISODES // 4:
        assert child.poll() is None, child.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.05)
    child.kill()
    child.communicate()
    before = stored(folder)
    said = done(start("rollout", "--out", folder, "--resume", *policy, "--in-flight", "64"))
    assert f"{before} were there before" in said
    found = traces(folder)
    assert len(found) >= EPISODES
    assert len({trace.episode_id for trace in found}) == len(found)
    assert not [trace.harness_error for trace in found if trace.harness_error]
    assert sum(len(trace.events) for trace in found) > 20, "hardly a fault was met"
    codes = {record.result.code for trace in found for step in trace.steps for record in step.calls}
    assert codes >= {"ok", "malformed_call", "unknown_tool"}
    assert f"{len(found)} proven, 0 not" in done(start("replay", folder))


@pytest.mark.parametrize(("policy", "more"), [("vllm", "&max_model_len=16384"), ("hf", "")])
def test_a_model_in_this_process_reads_the_very_tokens_it_wrote(policy, more, start, tmp_path):
    folder = tmp_path / "run"
    plan = ["--policy", f"{policy}:tiny-random?{OPTIONS}{more}", "--suite", "orders", "--per-template", "1", *RUN]
    done(start("rollout", "--out", folder, *plan, python=str(PYTHON)))
    found = traces(folder)
    assert not [trace.harness_error for trace in found if trace.harness_error]
    kept = [one for trace in found for one in exact(trace)]
    assert len(kept) > 20
    assert all(kept)
    assert f"{len(found)} proven, 0 not" in done(start("replay", folder))


def test_a_server_leaves_no_process_behind(tmp_path):
    with served(Serving("tiny-random", port=0, python=str(PYTHON), logs=tmp_path, more=("--enforce-eager",))) as (
        server,
    ):
        group = server.process.pid
        assert server.healthy
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


def test_what_is_no_model_is_told_in_vllms_words(tmp_path):
    asked = Serving(str(tmp_path), port=0, python=str(PYTHON), logs=tmp_path / "logs")
    with pytest.raises(UserError, match=r"vLLM ended while it was starting: .*config"), served(asked):
        pass
