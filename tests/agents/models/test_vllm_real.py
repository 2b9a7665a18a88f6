"""Real vLLM, on whatever this machine has: `make test-vllm` makes its environment first and runs these alone."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.levels import rest
from helpers.real_vllm import MARKS, PYTHON, make_tiny_qwen, serving
from helpers.served import traces

from faultgym.agents.models.server import served
from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.engine import rollout
from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest
from faultgym.agents.traces.trace import Trace
from faultgym.core.errors import UserError
from faultgym.envs.limits import Limits
from faultgym.envs.messages.turn import CONTEXT_OVERFLOW

OPTIONS = "temperature=1&max_tokens=128"
RUN = ["--faults", "hostile", "--faults", "rough", "--max-turns", "8"]
DEADLINE = 600.0

pytestmark = MARKS


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


@pytest.mark.parametrize(("per_template", "in_flight"), [(1, "8"), rest(5, "64")])
def test_episodes_against_a_server_survive_a_kill_and_are_proven(vllm, start, tmp_path, per_template, in_flight):
    folder, episodes = tmp_path / "run", 40 * per_template
    policy = ["--policy", f"openai:tiny-random@{vllm.server().url}?{OPTIONS}"]
    more = [*RUN, "--in-flight", in_flight, "--per-template", per_template]
    child = start("rollout", "--out", folder, *policy, "--suite", "orders", *more)
    once_stored(folder, episodes // 4, child)
    child.kill()
    child.communicate()
    before = stored(folder)
    assert before < episodes
    said = done(start("rollout", "--out", folder, "--resume", *policy, "--in-flight", "64"))
    assert "of them new, success" in said
    found = traces(folder)
    assert len({trace.episode_id for trace in found}) == len(found) >= episodes
    assert not [trace.harness_error for trace in found if trace.harness_error]
    assert sum(len(trace.events) for trace in found) > episodes // 10, "hardly a fault was met"
    assert {"ok", "unknown_tool"} <= {r.result.code for trace in found for step in trace.steps for r in step.calls}
    assert all(step.turn.token_ids and step.turn.prompt_ids for trace in found for step in trace.steps)
    assert f"{len(found)} proven, 0 not" in done(start("replay", folder))


@pytest.mark.exhaustive
def test_two_hundred_episodes_of_calls_as_tags_are_parsed_by_another_of_the_servers_parsers(start, tmp_path):
    model = make_tiny_qwen(tmp_path / "tiny-qwen")
    asked = serving(tmp_path / "logs", model, tool_call_parser="qwen3_coder")
    with served(asked) as (server,):
        policy = ["--policy", f"openai:tiny-qwen@{server.url}?{OPTIONS}", "--suite", "orders", *RUN]
        done(start("rollout", "--out", tmp_path / "run", *policy, "--in-flight", "64", "--per-template", "5"))
    found = traces(tmp_path / "run")
    assert len(found) >= 200
    assert not [trace.harness_error for trace in found if trace.harness_error]
    calls = [record for trace in found for step in trace.steps for record in step.calls]
    assert {"ok", "unknown_tool"} <= {record.result.code for record in calls}
    assert not [step.turn.text for trace in found for step in trace.steps if "<function=" in step.turn.text]
    assert f"{len(found)} proven, 0 not" in done(start("replay", tmp_path / "run"))


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


@pytest.mark.exhaustive
def test_a_server_that_is_killed_and_started_again_costs_no_episode(vllm, start, tmp_path):
    folder, server = tmp_path / "run", vllm.server()
    policy = ["--policy", f"openai:tiny-random@{server.url}?{OPTIONS}"]
    child = start(
        "rollout", "--out", folder, *policy, "--suite", "incidents", "--per-template", "2", "--in-flight", "64", *RUN
    )
    once_stored(folder, 1, child)
    server.kill()
    end = time.monotonic() + 30
    while members(server.process.pid):  # the engine and its workers end too
        assert time.monotonic() < end
        time.sleep(0.05)
    assert child.poll() is None, "the run was over before the server was killed"
    assert vllm.server().url == server.url
    done(child)
    assert not [trace.harness_error for trace in traces(folder) if trace.harness_error]
    done(start("replay", folder))


@pytest.mark.exhaustive
@pytest.mark.parametrize(("policy", "more"), [("vllm", "&max_model_len=16384&eager=yes"), ("hf", "")])
def test_a_model_in_this_process_reads_the_very_tokens_it_wrote(policy, more, start, tmp_path):
    folder = tmp_path / "run"
    plan = ["--policy", f"{policy}:tiny-random?{OPTIONS}{more}", "--template", "order_status", "--per-template", "2"]
    plan += ["--template", "cancel_order", "--trials", "2", "--faults", "hostile", "--max-turns", "6"]
    done(start("rollout", "--out", folder, *plan, python=str(PYTHON)))
    found = traces(folder)
    assert not [trace.harness_error for trace in found if trace.harness_error]
    kept = [one for trace in found for one in exact(trace)]
    assert len(kept) > 15
    assert all(kept)
    assert f"{len(found)} proven, 0 not" in done(start("replay", folder))


@pytest.mark.exhaustive
def test_what_is_no_model_is_told_in_vllms_words(tmp_path):
    asked = serving(tmp_path / "logs", str(tmp_path))
    with pytest.raises(UserError, match=r"vLLM ended while it was starting: .*Error: .*model"), served(asked):
        pass


def few(vllm, folder: Path, options: str) -> list[Trace]:
    """Four short episodes in this process."""
    asked = RolloutRequest(templates=("order_status", "cancel_order"), per_template=2, faults=("hostile",))
    policy = policy_named(f"openai:tiny-random@{vllm.server().url}?temperature=1&{options}")
    plan = RolloutPlan.make(asked, Limits(turns=4))
    asyncio.run(rollout(plan, policy, folder, sleep=lambda seconds: asyncio.sleep(0)))
    return traces(folder)


@pytest.mark.exhaustive
def test_a_chat_that_does_not_fit_is_told_from_a_request_that_is_refused(vllm, tmp_path):
    prompt = tmp_path / "prompt.md"
    prompt.write_text("Be brief. " * 20_000)
    long = few(vllm, tmp_path / "long", f"prompt={prompt}")
    assert {step.turn.finish_reason for trace in long for step in trace.steps} == {CONTEXT_OVERFLOW}
    assert not [trace for trace in long if trace.harness_error or trace.verdict is None]
    wrong = few(vllm, tmp_path / "wrong", 'body={"n":-1}')
    assert all(trace.harness_error and trace.verdict is None for trace in wrong)


@pytest.mark.exhaustive
@pytest.mark.parametrize("guided", ["tags", "required"])
def test_guided_calls_are_calls_of_offered_tools_with_whole_arguments(vllm, tmp_path, guided):
    found = few(vllm, tmp_path / "run", f"max_tokens=256&guided={guided}")
    steps = [(trace.tools, step) for trace in found for step in trace.steps if step.turn.finish_reason != "length"]
    calls = [(tools, record) for tools, step in steps for record in step.calls]
    assert calls
    for tools, record in calls:
        assert record.call.name in {tool.name for tool in tools}
        assert record.call.arguments is not None or isinstance(json.loads(record.call.raw), dict)
    if guided == "required":
        assert all(step.calls for _, step in steps)
