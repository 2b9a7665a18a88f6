"""An episode as the engine records it."""

import asyncio

from faultgym.agents.rollouts.engine import Engine
from faultgym.agents.traces.trace import Trace
from faultgym.envs.limits import Limits


def recorded(policy, spec, limits=None) -> Trace:
    """The trace of one episode."""
    trace = asyncio.run(Engine(policy, limits or Limits()).play(spec, policy.describe()))
    assert trace is not None
    return trace
