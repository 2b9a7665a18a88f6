"""Stored traces of scripted policies, played for real once a session, and runs made of them."""

from dataclasses import replace
from functools import cache

from faultgym.agents.registry import policy_named
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.spec import EpisodeSpec, identity
from faultgym.agents.traces.trace import Trace
from faultgym.envs.judging.form import DEFAULT_ANSWERS
from faultgym.training.builds.check import ExampleCheck
from faultgym.training.examples import Origin, SFTExample
from faultgym.training.filters.decontaminate import held_out
from faultgym.training.filters.select import select
from helpers.recorded import recorded

TEST_TASKS = 2
"""Test tasks of each template whose words are compared here: enough to be found, and quickly drawn."""


@cache
def played(task, faults="clean", policy="expert", seed=1, answers=DEFAULT_ANSWERS):
    """The trace of one episode."""
    return recorded(policy_named(policy), EpisodeSpec(task, faults, seed, answers=answers))


def example(task, faults="clean", seed=1, answers=DEFAULT_ANSWERS):
    """What the expert's trace is an example of."""
    found = select(played(task, faults, "expert", seed, answers))
    assert isinstance(found, SFTExample), found
    return found


@cache
def several(count=6):
    """Examples of a few templates and kinds."""
    names = ("order_status", "order_total", "cancel_order", "unknown_order", "basket_sum", "blocked_cancel")
    tasks = [f"orders/{name}/train/{n}" for n in range(count) for name in names]
    return tuple(example(task, faults) for task in tasks for faults in ("clean", "mild"))


def made(n, *, kind="clean", contracts=(), task="", template="order_status", text=""):
    """A small example that nobody played."""
    origin = Origin(f"{n:024x}", task or f"orders/{template}/train/{n}", "orders", template, "train", "made", "clean")
    said = text or " ".join(f"word{n}x{k}" for k in range(30))
    messages = ({"role": "user", "content": said}, {"role": "assistant", "content": f"It is {n}."})
    return SFTExample(messages, (), kind, contracts, origin, 1, 1)


@cache
def check():
    """What traces must stand, with little of the test splits."""
    suites = ("orders",)
    return ExampleCheck(test_tasks=TEST_TASKS, held={suite: held_out(suite, tasks=TEST_TASKS) for suite in suites})


def with_own_id(trace):
    """The trace with the id that follows from what it says of itself: whoever edits a trace can do that too."""
    seeds = (trace.seeds.fault, trace.seeds.policy, trace.trial)
    own = identity(
        trace.task.id,
        trace.faults,
        seeds,
        trace.policy,
        trace.limits,
        trace.fingerprints.suite,
        answers=trace.answers,
    )
    return replace(trace, episode_id=own)


def store(folder, traces):
    """A run that holds these traces, or records."""
    run = RunDirectory.create(folder, {"episodes": len(traces)})
    with run.writer("main") as writer:
        for trace in traces:
            writer.append(trace.to_record() if isinstance(trace, Trace) else trace)
    return folder
