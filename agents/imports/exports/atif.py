"""Traces as trajectories in ATIF-v1.8, for Harbor and what reads its format."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import orjson

from faultgym.agents.imports.exports.form import ExportForm, each_line
from faultgym.agents.imports.exports.task import model_of, named
from faultgym.agents.imports.normal import arguments_object
from faultgym.agents.traces.chat import call_text
from faultgym.agents.traces.trace import Trace
from faultgym.core.files import atomic_file, write_error
from faultgym.core.json import JSON
from faultgym.core.text import storable
from faultgym.core.values import shallow
from faultgym.envs.judging.answering import REMINDER
from faultgym.envs.messages.turn import Turn
from faultgym.tools.toolbox import CallRecord

VERSION = "ATIF-v1.8"


def atif_log(trace: Trace) -> JSON:
    """The trace as a trajectory: a step for each message, the results in the step of their calls.

    Token ids, log probabilities and counts of tokens stand in the steps' metrics, the faults beside the results that
    they touched, and the task and the verdict in `extra`. There are no timestamps, for an episode's time is virtual.

    Args:
        trace: A trace with a turn at least.

    Returns:
        JSON values: what a trajectory's file holds.
    """
    steps: list[JSON] = [{"source": m.role, "message": storable(m.content)} for m in trace.opening]
    shown: tuple[int, ...] = ()
    for step in trace.steps:
        turn = step.turn
        if steps[-1]["source"] == "agent" and "tool_calls" not in steps[-1]:
            steps.append({"source": "user", "message": REMINDER})
        prompt = None if turn.prompt_ids is None else shown[: turn.prompt_kept] + turn.prompt_ids
        shown = (prompt or ()) + (turn.token_ids or ())
        steps.append(_agent_step(trace, turn, step.calls, prompt))
    policy = trace.policy
    return {
        "schema_version": VERSION,
        "session_id": trace.episode_id,
        "trajectory_id": trace.episode_id,
        "agent": {
            "name": str(policy.get("name", "")),
            "version": trace.fingerprints.package,
            "model_name": model_of(trace),
            "tool_definitions": [spec.openai() for spec in trace.tools],
        },
        "steps": [{"step_id": number, **step} for number, step in enumerate(steps, 1)],
        "final_metrics": _totals(trace, len(steps)),
        "extra": _about(trace),
    }


def _agent_step(trace: Trace, turn: Turn, calls: tuple[CallRecord, ...], prompt: tuple[int, ...] | None) -> JSON:
    step: JSON = {"source": "agent", "message": storable(turn.text)}
    if turn.reasoning:
        step["reasoning_content"] = storable(turn.reasoning)
    if calls:
        step["tool_calls"] = [_call(record) for record in calls]
        step["observation"] = {"results": [_result(trace, record) for record in calls]}
    metrics = _metrics(turn, prompt)
    if metrics:
        step["metrics"] = metrics
    step["extra"] = {"finish_reason": storable(turn.finish_reason)}
    if turn.confidence is not None:
        step["extra"]["confidence"] = turn.confidence
    return step


def _call(record: CallRecord) -> JSON:
    arguments, text = arguments_object(storable(call_text(record.call)))
    call: JSON = {
        "tool_call_id": storable(record.call.id),
        "function_name": storable(record.call.name),
        "arguments": arguments,
    }
    return call if text is None else {**call, "extra": {"faultgym": {"arguments": text}}}


def _result(trace: Trace, record: CallRecord) -> JSON:
    result: JSON = {"source_call_id": storable(record.call.id), "content": storable(record.result.content)}
    faults = [shallow(trace.events[number]) for number in record.faults]
    return {**result, "extra": {"faults": faults}} if faults else result


def _metrics(turn: Turn, prompt: tuple[int, ...] | None) -> JSON:
    found: JSON = {}
    if turn.usage is not None:
        usage = turn.usage
        found = {
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.completion,
            "cached_tokens": usage.cached,
            "extra": {"reasoning_tokens": usage.reasoning},
        }
    elif turn.token_ids is not None:
        found["completion_tokens"] = len(turn.token_ids)
    if turn.token_ids is not None:
        found["completion_token_ids"] = turn.token_ids
    if prompt is not None:
        found["prompt_token_ids"] = prompt
    if turn.logprobs is not None and all(p > float("-inf") for p in turn.logprobs):  # JSON knows no infinity
        found["logprobs"] = turn.logprobs
    return found


def _totals(trace: Trace, steps: int) -> JSON:
    usage = trace.usage
    totals: JSON = {"total_steps": steps, "extra": {"calls": trace.calls, "virtual_seconds": trace.seconds}}
    if usage is None:
        return totals
    return {
        "total_prompt_tokens": usage.prompt,
        "total_completion_tokens": usage.completion,
        "total_cached_tokens": usage.cached,
        **totals,
    }


def _about(trace: Trace) -> JSON:
    """What only faultgym says of an episode."""
    about: JSON = {"faultgym": named(trace).data(), "stop": trace.stop}
    if trace.verdict is not None:
        about["verdict"] = {"success": trace.verdict.success, "reason": trace.verdict.reason}
    if trace.harness_error is not None:
        about["harness_error"] = shallow(trace.harness_error)
    return about


_lines = each_line(atif_log)


def _write(traces: Iterable[Trace], out: Path) -> int:
    """To one file, or, where the path names a folder, to a file for each: programs for ATIF open one run at a time."""
    if out.is_file() or (out.suffix and not out.is_dir()):
        return _lines(traces, out)
    try:
        out.mkdir(exist_ok=True)
    except OSError as error:
        raise write_error(out, error) from error
    written = 0
    for trace in traces:
        with atomic_file(out / f"{trace.episode_id}.json") as file:
            file.write(orjson.dumps(atif_log(trace), option=orjson.OPT_APPEND_NEWLINE))
        written += 1
    return written


EXPORT = ExportForm(f"Harbor's trajectories, {VERSION}: a line each, or into a folder a file each", _write)
