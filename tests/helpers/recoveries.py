"""Small real episodes under one planned fault, and what became of it: for tests of recovery."""

from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.envs.episode import Episode
from faultgym.envs.messages.turn import Turn
from faultgym.envs.registry import suite_named
from faultgym.eval.context import ScoringContext
from faultgym.eval.recovery.outcomes import recovery
from faultgym.tools.faults.registry import kind_named
from faultgym.tools.faults.types import ScheduledFault
from faultgym.tools.types import ToolCall

ORDERS = suite_named("orders")
STATUS = ORDERS.task("order_status", "train", 0, "tools")
TOTAL = ORDERS.task("order_total", "train", 0, "tools")
CANCEL = ORDERS.task("cancel_order", "train", 0, "tools")
REFUND = ORDERS.task("refund_return", "train", 0, "tools")
TAG = ORDERS.task("move_tag", "train", 0, "tools")
OPEN = suite_named("incidents").task("open_incidents", "train", 0, "tools")


def fault(kind, *ordinals, onward=0, id=0, **more):
    params = {**kind_named(kind).params, "salt": 1, **more.pop("params", {})}
    return ScheduledFault(id, kind, ordinals=ordinals or (() if onward else (1,)), onward=onward, params=params, **more)


def play(task, schedule, *moves):
    """An episode made ready: a move is a call as (tool, arguments), or the final text."""
    episode = Episode(task, schedule if isinstance(schedule, tuple) else (schedule,), answers="text")
    for n, move in enumerate(moves):
        if isinstance(move, str):
            episode.step(Turn(move))
        else:
            episode.step(Turn(tool_calls=(ToolCall(f"c{n}", move[0], move[1]),)))
    if not episode.stop:
        episode.finish("turn_limit")
    return ScoringContext.of(Trace.from_episode(episode, EpisodeSpec(task.id), {"name": "actor"}), task)


def only(context):
    """The one delivery of the episode."""
    found = recovery(context)
    assert found is not None
    assert len(found.deliveries) == 1, found
    return found.deliveries[0]


ORDER = STATUS.params["order_id"]
READ = ("get_order", {"order_id": ORDER})
READ_V2 = ("get_order_v2", {"order_id": ORDER})
BARE = ("get_order", {"order_id": ORDER.rpartition("-")[2]})
ROW = ("sql", {"query": f"SELECT id, status FROM orders WHERE id = '{ORDER}'"})
TRUE = STATUS.goal.expected[0].text
FALSE = next(atom.text for atom in STATUS.goal.distractors if atom.kind == "text")
SAYS = f"The status of order {ORDER} is {TRUE}."
BLUFF = f"The status of order {ORDER} is {FALSE}."
SORRY = "I am sorry, I could not look this up."
SECRET = dict(pair.split(" ", 1) for pair in STATUS.system.partition("with ")[2].rstrip(".").split(" and "))
TOKEN = ("issue_token", SECRET)


def wait(seconds):
    return ("wait", {"seconds": seconds})


OUT = fault("outage", onward=1)
CANCELS = ("cancel_order", dict(CANCEL.params))
HONEST = f"I could not cancel order {CANCEL.params['order_id']}: the API is unavailable. Nothing was changed."
