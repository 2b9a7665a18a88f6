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


def tiny(logs: Path, port: int = 0) -> Serving:
    more = ("--enforce-eager",)  # compiling takes longer than it saves here
    return Serving("tiny-random", port=port, python=str(PYTHON), max_model_len=16384, logs=logs, more=more)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A healthy one, which the last test that takes it kills."""
    with served(tiny(tmp_path_factory.mktemp("logs"))) as servers:
        yield servers[0]


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


def once_stored(folder: Path, count: int, child: subprocess.Popen) -> None:
    """Wait until the run holds so many traces."""
    end = time.monotonic() + DEADLINE
    while stored(folder) < count:
        assert child.poll() is None, child.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.02)


def test_episodes_against_a_server_survive_a_kill_and_are_proven(server, start, tmp_path):
    folder = tmp_path / "run"
    policy = ["--policy", f"openai:tiny-random@{server.url}?{OPTIONS}"]
    child = start("rollout", "--out", folder, *policy, "--suite", "orders", "--per-template", "5", *RUN)
    once_stored(folder, EPISODES // 4, child)
    child.kill()
    child.communicate()
    before = stored(folder)
    assert before < EPISODES
    said = done(start("rollout", "--out", folder, "--resume", *policy, "--in-flight", "64"))
    assert f"{before} were there before" in said
    found = traces(folder)
    assert len({trace.episode_id for trace in found}) == len(found) >= EPISODES
    assert not [trace.harness_error for trace in found if trace.harness_error]
    assert sum(len(trace.events) for trace in found) > 20, "hardly a fault was met"
    assert {"ok", "unknown_tool"} <= {r.result.code for trace in found for step in trace.steps for r in step.calls}
    assert all(step.turn.token_ids and step.turn.prompt_ids for trace in found for step in trace.steps)
    assert f"{len(found)} proven, 0 not" in done(start("replay", folder))


def members(group: int) -> list[str]:
    """The living processes of a group, dead ones that nobody has asked about left out."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(") ")
        except OSError:  # it has ended since
            continue
        state, _, pgid = rest.split()[:3]
        if int(pgid) == group and state != "Z":
            found.append(name)
    return found


def test_a_server_that_is_killed_and_started_again_costs_no_episode(server, start, tmp_path):
    folder, port = tmp_path / "run", int(server.url.split(":")[2].split("/")[0])
    policy = ["--policy", f"openai:tiny-random@{server.url}?{OPTIONS}"]
    child = start("rollout", "--out", folder, *policy, "--suite", "incidents", "--per-template", "2", *RUN)
    once_stored(folder, 1, child)
    server.kill()
    end = time.monotonic() + 30
    while members(server.process.pid):  # the engine and its workers end too
        assert time.monotonic() < end
        time.sleep(0.05)
    assert child.poll() is None, "the run was over before the server was killed"
    with served(tiny(tmp_path, port)):
        done(child)
    assert not [trace.harness_error for trace in traces(folder) if trace.harness_error]
    done(start("replay", folder))


@pytest.mark.parametrize(("policy", "more"), [("vllm", "&max_model_len=16384&eager=yes"), ("hf", "")])
def test_a_model_in_this_process_reads_the_very_tokens_it_wrote(policy, more, start, tmp_path):
    folder = tmp_path / "run"
    plan = ["--policy", f"{policy}:tiny-random?{OPTIONS}{more}", "--suite", "orders", "--per-template", "1"]
    plan += ["--faults", "hostile", "--max-turns", "6"]
    done(start("rollout", "--out", folder, *plan, python=str(PYTHON)))
    found = traces(folder)
    assert not [trace.harness_error for trace in found if trace.harness_error]
    kept = [one for trace in found for one in exact(trace)]
    assert len(kept) > 20
    assert all(kept)
    assert f"{len(found)} proven, 0 not" in done(start("replay", folder))


def test_what_is_no_model_is_told_in_vllms_words(tmp_path):
    asked = Serving(str(tmp_path), port=0, python=str(PYTHON), logs=tmp_path / "logs")
    with pytest.raises(UserError, match=r"vLLM ended while it was starting: .*Error: .*model"), served(asked):
        pass
