"""Traces of faultgym 0.1 (schema version 1) are read, proven, scored and resumed by every later version."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from faultgym.agents.storage.collection import collection
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.replay import replay
from faultgym.agents.traces.schema import SCHEMA_VERSION
from faultgym.agents.traces.trace import Trace
from faultgym.agents.traces.versions import OLDEST_VERSION, readable, upgraded
from faultgym.cli.main import main
from faultgym.core.errors import UserError
from faultgym.envs.messages.turn import CONTEXT_OVERFLOW, Turn
from faultgym.eval.scoring.runs import located_traces
from faultgym.eval.scoring.score import score

DATA = Path(__file__).parents[2] / "data" / "version_1"
LINES = [
    line
    for path in (DATA / "expert" / "traces" / "segment-main-0.jsonl", DATA / "flawed.jsonl")
    for line in path.read_bytes().splitlines(keepends=True)
]
SCORES = [orjson.loads(line) for line in (DATA / "scores.jsonl").read_bytes().splitlines()]


def name_of(line: bytes) -> str:
    record = orjson.loads(line)
    return f"{record['policy']['name']}-{record['task']['template']}-{record['faults']}"


@pytest.mark.parametrize("line", LINES, ids=map(name_of, LINES))
def test_a_trace_of_version_1_is_read_and_keeps_all_that_it_says(line):
    old = orjson.loads(line)
    trace = Trace.from_line(line)
    assert trace == Trace.from_record(old)
    new = trace.to_record()
    verdict = old["verdict"]
    verdict["missing_facts"], verdict["distractors"] = verdict.pop("missing_atoms"), verdict.pop("rivals")
    later = {"answers": "text", "limits": {**old["limits"], "reminders": 0}}
    assert new == {**old, "schema_version": SCHEMA_VERSION, **later}


@pytest.mark.parametrize("line", LINES, ids=map(name_of, LINES))
def test_a_trace_of_version_1_is_proven_by_its_replay(line):
    assert replay(Trace.from_line(line)).difference is None


@pytest.mark.parametrize(("line", "expected"), list(zip(LINES, SCORES, strict=True)), ids=map(name_of, LINES))
def test_a_trace_of_version_1_scores_as_it_did(line, expected):
    found = orjson.loads(orjson.dumps(score(Trace.from_line(line)).to_record()))
    assert {name: found[name] for name in expected} == expected


def test_a_run_of_version_1_is_resumed_where_it_ended(tmp_path, capsys):
    shutil.copytree(DATA / "expert", tmp_path / "run")
    before = RunDirectory.open(tmp_path / "run").committed()
    assert main(["rollout", "--resume", "--out", str(tmp_path / "run")]) == 0, capsys.readouterr().err
    run = RunDirectory.open(tmp_path / "run")
    assert len(run.committed() - before) == 1
    assert [record["schema_version"] for record in run.records()] == [1] * len(before) + [SCHEMA_VERSION]
    assert all(replay(trace).proven for _, trace in located_traces(run))


def test_a_collection_of_version_1_is_added_to(tmp_path):
    collection(tmp_path, "demonstrations", 1)
    assert collection(tmp_path, "demonstrations", SCHEMA_VERSION, OLDEST_VERSION).plan["schema_version"] == 1
    with pytest.raises(UserError, match="version 1, not"):
        collection(tmp_path, "demonstrations", SCHEMA_VERSION)


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1, True, "1", 1.0, None])
def test_other_versions_are_not_read(version):
    assert not readable(version)


def test_a_record_is_not_changed_by_being_upgraded():
    record = orjson.loads(LINES[0])
    before = json.dumps(record)
    upgraded(record)
    assert json.dumps(record) == before


def test_an_episode_that_outgrew_the_context_counts_the_tokens_of_its_turns():
    trace = Trace.from_line(LINES[0])
    steps = tuple(replace(s, turn=replace(s.turn, token_ids=(1, 2, 3), logprobs=(-0.5,) * 3)) for s in trace.steps)
    overflow = replace(steps[-1], turn=Turn(finish_reason=CONTEXT_OVERFLOW), calls=())
    long = replace(trace, steps=(*steps, overflow), stop=CONTEXT_OVERFLOW)
    assert long.tokens == 3 * len(steps)
    record = long.to_record()
    assert Trace.from_record(record) == long
    verdict = record["verdict"]
    verdict["missing_atoms"], verdict["rivals"] = verdict.pop("missing_facts"), verdict.pop("distractors")
    old = {**record, "schema_version": 1, "stop": "final", "counts": {**record["counts"], "tokens": None}}
    assert Trace.from_record(old) == long


def test_tokens_are_unknown_where_one_turn_that_was_played_has_none():
    trace = Trace.from_line(LINES[0])
    assert trace.tokens is None
    first = replace(trace.steps[0], turn=replace(trace.steps[0].turn, token_ids=(1,)))
    assert replace(trace, steps=(first, *trace.steps[1:])).tokens is None
