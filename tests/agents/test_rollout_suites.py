"""The real suites: what their policies do is stored, matches the published schema, and is proven."""

import asyncio
import json
from pathlib import Path

import jsonschema
import pytest

from faultgym.agents.plan import Asked, RolloutPlan
from faultgym.agents.registry import policy_named
from faultgym.agents.replay import replay
from faultgym.agents.rollout import rollout
from faultgym.agents.store import RunDirectory
from faultgym.agents.trace import Trace
from faultgym.envs.suite import BUILT_IN

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "trace.schema.json").read_text())
CASES = [("expert", "clean"), ("expert", "rough"), ("expert", "hostile"), ("repeater", "rough"), ("random", "outage")]


@pytest.mark.parametrize("suite", BUILT_IN)
@pytest.mark.parametrize(("policy", "preset"), CASES)
def test_every_template_gives_traces_that_match_the_schema_and_are_proven(tmp_path, suite, policy, preset):
    check = jsonschema.Draft202012Validator(SCHEMA)
    plan = RolloutPlan.make(Asked((suite,), per_template=2, faults=(preset,)))
    progress = asyncio.run(rollout(plan, policy_named(policy), tmp_path / "run"))
    assert (progress.done, progress.failed) == (len(plan.episodes), 0)
    for record in RunDirectory.open(tmp_path / "run").records():
        check.validate(record)
        trace = Trace.from_record(record)
        assert trace.to_record() == record
        assert replay(trace).difference is None
    if policy == "expert":
        assert progress.succeeded == progress.done
