"""Let the reference solution go on from any point of an episode that somebody else has begun.

The reference starts again from the beginning, in the world as it was built, under the faults and at the time
of the episode. Its reads are really made. A write that the episode has already done is not done a second
time: the reference is given the answer that the write truly had. Writes of the episode that the reference
does not ask for have happened all the same; they are applied before it begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from faultgym.envs.intents import Renames, intent_of, renames
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.run import MAX_MOVES, Reference
from faultgym.envs.reference_agent.client import ReferenceAnswer
from faultgym.envs.simulation import Simulation
from faultgym.envs.task import Task
from faultgym.envs.worlds.world import World
from faultgym.tools.toolbox import parse_arguments
from faultgym.tools.types import ToolCall, ToolResult

S = TypeVar("S", bound=Simulation)


@dataclass(slots=True)
class _Done:
    """A write of the episode that had an effect."""

    call: ToolCall
    """Without what holds only for the world in which it was made."""
    taken: bool = False
    """Whether the reference has asked for it."""


def continue_reference(episode: S, task: Task, max_turns: int | None = None) -> tuple[S, ReferenceAnswer]:
    """The reference solution's own ending of an episode, which is left as it is.

    Args:
        episode: The episode to go on with, running or ended.
        task: Its task.
        max_turns: How many further turns the reference may take, the last one included; any number by default.

    Returns:
        A new episode that has not ended, and the answer, which is not yet stepped; its text is empty when the
        reference needs more than `max_turns` further turns, or is lost.
    """
    records = episode.records
    renamed = renames(records)
    done = [_Done(_unconditional(r.call, renamed)) for r in records if r.effects]
    twin, answer = _continue(episode, task, done, (), max_turns)
    foreign = [write for write in done if not write.taken]
    if foreign:
        twin.close()
        wanted = [_Done(write.call) for write in done if write.taken]
        twin, answer = _continue(episode, task, wanted, foreign, max_turns)
    return twin, answer


def _continue(
    episode: S, task: Task, done: Sequence[_Done], foreign: Sequence[_Done], max_turns: int | None
) -> tuple[S, ReferenceAnswer]:
    twin = _begun_anew(episode)
    for write in foreign:
        _past_faults(twin, twin.world, write.call)
    reference = Reference(task, set(), twin.suite)
    text: str | None = None
    turns = 0
    for _ in range(MAX_MOVES):
        move = reference.next(text, {spec.name for spec in twin.tools})
        if isinstance(move, ReferenceAnswer):
            return twin, ReferenceAnswer("") if max_turns is not None and turns >= max_turns else move
        text = _from_history(twin, done, move.call)
        if text is None:
            turns += 1
            text = twin.step(Turn("", (move.call,), move.reasoning)).messages[0].content
    return twin, ReferenceAnswer("")


def _begun_anew(episode: S) -> S:
    """The episode with its faults, its time, its token and its history, in the world as it was built."""
    twin = episode.fork()
    world = World(episode.world.image)
    token = episode.session.token
    if token != world.image.token:
        row = episode.world.db.execute("SELECT * FROM _tokens WHERE token = ?", (token,)).fetchone()
        world.writable().execute("INSERT INTO _tokens VALUES (?, ?, ?)", tuple(row))
    world.clock.now = episode.world.clock.now
    twin.move_to(world, token)
    twin.reopen()
    return twin


def _from_history(twin: Simulation, done: Sequence[_Done], call: ToolCall) -> str | None:
    """The true answer of the write that is asked for, if the episode has done it; else None.

    Two writes are the same when they lead to the same customer-visible state.
    """
    left = [write for write in done if not write.taken]
    renamed = renames(twin.records) if left else {}
    if not left or not intent_of(twin.suite, call, renamed).write:
        return None
    call = _unconditional(call, renamed)
    wanted = _digest_after(twin, call)
    if wanted == twin.world.digest():
        return None
    for write in left:
        if _digest_after(twin, write.call) == wanted:
            write.taken = True
            return _past_faults(twin, twin.world, call).content
    return None


def _digest_after(twin: Simulation, call: ToolCall) -> str:
    """The state that the call leads to."""
    world = twin.world.fork()
    _past_faults(twin, world, call)
    digest = world.digest()
    world.close()
    return digest


def _past_faults(twin: Simulation, world: World, call: ToolCall) -> ToolResult:
    """Make the call in this world at time 0, when the first token holds, with no fault in between."""
    now, world.clock.now = world.clock.now, 0.0
    try:
        return twin.beside(world).toolbox.call(call).result
    finally:
        world.clock.now = now


def _unconditional(call: ToolCall, renamed: Renames) -> ToolCall:
    """The call under its arguments' first names, without precondition, key and token of its own."""
    arguments = {renamed.get((call.name, name), name): value for name, value in parse_arguments(call).items()}
    for name in ("if_match", "idempotency_key"):
        arguments.pop(name, None)
    headers = arguments.get("headers")
    if isinstance(headers, dict):
        dropped = ("authorization", "if-match", "idempotency-key")
        arguments["headers"] = {name: value for name, value in headers.items() if name.lower() not in dropped}
    return replace(call, arguments=arguments, raw="")
