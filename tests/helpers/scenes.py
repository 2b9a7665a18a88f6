"""Chats of the expert and of a policy that repeats itself, played for real, as examples and pairs."""

import json
from functools import cache

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.play import run_episode
from faultgym.agents.traces.chat import chat_messages
from faultgym.envs.messages.turn import Message
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import task_by_id
from faultgym.tools.faults.plan import FaultPlan
from faultgym.training.examples import Origin, PreferencePair, SFTExample

TASKS = ("orders/cancel_order/train/0", "orders/order_status/train/1", "incidents/minutes_between/train/2")
BROKEN = FaultPlan.from_rules([{"kind": "gone", "trigger": {"nth": [1]}}])


@cache
def played(policy: str, task_id: str, broken: bool = False):
    """(messages, tools) of one episode; of its tools, those that it calls and two more."""
    task = task_by_id(task_id)
    episode = run_episode(policy_named(policy), task, schedule_for(task, BROKEN if broken else "clean"), seed=1)
    opening = (Message("system", task.system), Message("user", task.instruction))
    called = {record.call.name for record in episode.records}
    names = sorted(episode.toolbox.tools, key=lambda name: (name not in called, name))[: len(called) + 2]
    tools = tuple(episode.toolbox.tools[name].spec.openai() for name in names)
    return tuple(chat_messages(opening, episode.turns)), tools


def origin(task_id: str) -> Origin:
    """Where a scene comes from."""
    suite, template, split, _ = task_id.split("/")
    return Origin("e" * 16, task_id, suite, template, split, "expert", "clean")


def example(task_id: str = TASKS[0], broken: bool = False) -> SFTExample:
    """The expert's episode."""
    messages, tools = played("expert", task_id, broken)
    return SFTExample(messages, tools, "recovery" if broken else "clean", (), origin(task_id), 3, 3)


def pair(task_id: str = TASKS[0], whole: bool = False) -> PreferencePair:
    """The expert's way past a fault over repeating the call: the next turn, or all that follows."""
    messages, tools = played("expert", task_id, True)
    others, _ = played("repeater", task_id, True)
    fork = next(n for n, (a, b) in enumerate(zip(messages, others, strict=False)) if a != b)
    if whole:
        fork = next(n for n, message in enumerate(messages) if message["role"] == "assistant")
    end = None if whole else fork + 1
    return PreferencePair(
        prompt=messages[:fork],
        chosen=messages[fork:end],
        rejected=others[fork:end],
        tools=tools,
        kind="recover_vs_repeat",
        contract="REROUTE",
        margin=1.0,
        fork_step=1,
        chosen_id="c" * 16,
        rejected_id="r" * 16,
        origin=origin(task_id),
        source="expert",
    )


def texts() -> list[str]:
    """All that is said in the scenes, and the schemas of their tools."""
    examples = [example(task, True) for task in TASKS[:2]]
    said = [str(value) for e in examples for message in e.messages for value in message.values()]
    return said + [json.dumps(tool) for e in examples for tool in e.tools]
