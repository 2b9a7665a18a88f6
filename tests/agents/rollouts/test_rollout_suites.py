"""The real suites: what their policies do is stored, matches the published schema, and is proven."""

import asyncio
import json
from pathlib import Path

import jsonschema
import pytest

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.engine import rollout
from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.replay import replay
from faultgym.agents.traces.trace import Trace
from faultgym.envs.registry import BUILT_IN

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "trace.schema.json").read_text())
CASES = [("expert", "clean"), ("expert", "rough"), ("expert", "hostile"), ("repeater", "rough"), ("random", "outage")]


@pytest.mark.parametrize("suite", BUILT_IN)
@pytest.mark.parametrize(("policy", "preset"), CASES)
def test_every_template_gives_traces_that_match_the_schema_and_are_proven(tmp_path, suite, policy, preset):
    check = jsonschema.Draft202012Validator(SCHEMA)
    plan = RolloutPlan.make(RolloutRequest((suite,), per_template=2, faults=(preset,)))
    progress = asyncio.run(rollout(plan, policy_named(policy), tmp_path / "run"))
    assert (progress.done, progress.failed) == (len(plan.episodes), 0)
    for record in RunDirectory.open(tmp_path / "run").records():
        check.validate(record)
        trace = Trace.from_record(record)
        assert trace.to_record() == record
        assert replay(trace).difference is None
    if policy == "expert":
        assert progress.succeeded == progress.done
