"""`faultgym play`: do a task yourself, in the terminal, and keep it as a demonstration."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from faultgym.agents.human.policy import Human, Left
from faultgym.agents.rollouts.play import at_once, opening_of
from faultgym.agents.rollouts.play import play as to_the_end
from faultgym.agents.storage.collection import collection
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.schema import SCHEMA_VERSION
from faultgym.agents.traces.spec import EpisodeSpec, episode_id, faults_data
from faultgym.agents.traces.trace import NO_LIMITS, Trace
from faultgym.agents.traces.versions import OLDEST_VERSION
from faultgym.cli.support.calling import command
from faultgym.cli.support.faults import faults_named
from faultgym.cli.support.task_options import AnswersOption
from faultgym.core.hashing import stable_hash
from faultgym.core.json import JSON
from faultgym.envs.episode import Episode
from faultgym.envs.judging.form import DEFAULT_ANSWERS
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import suite_named, task_by_id
from faultgym.envs.render import OUTCOMES, neutralised
from faultgym.envs.suite import Suite

KIND = "played"
UNFINISHED = "left"
"""Why an episode ended that its player left."""


def play(
    task: Annotated[
        str, typer.Argument(help="Such as orders/order_status/train/0. (default: the first not yet played)")
    ] = "",
    faults: Annotated[str, typer.Option(help="A preset, or a plan's name or JSON file.")] = "clean",
    out: Annotated[Path, typer.Option(help="The folder for demonstrations; it may hold earlier ones.")] = Path(
        "runs/played"
    ),
    suite: Annotated[str, typer.Option(help="The suite of the task, when none is named.")] = "orders",
    seed: Annotated[int, typer.Option(help="Seed of the faults.")] = 0,
    player: Annotated[str, typer.Option(help="Who plays, if the trace is to say so.")] = "",
    answers: AnswersOption = None,
) -> None:
    """Do a task yourself: pick tools, see results, answer. The trace is kept as a demonstration.

    q leaves; what was done so far can be kept as an unfinished trace. Faults come as they would for a model.
    """
    chosen = faults_named(faults)
    if task:
        task_by_id(task)  # what is wrong with it is said before a folder is made
    found = suite_named(suite)
    run = collection(out, KIND, SCHEMA_VERSION, OLDEST_VERSION)
    human = Human(_ask, _say, player)
    first = EpisodeSpec(
        task_by_id(task or _not_yet_played(run, found)).id, chosen, seed, answers=answers or DEFAULT_ANSWERS
    )
    spec = _first_free(run, first, human.describe())
    _prepare_input()
    with _hangup_interrupts():
        _play(run, spec, human)


def _ask(prompt: str) -> str:
    """The next line of the input.

    Raises:
        EOFError: There is none.
    """
    if sys.stdin.isatty():
        return input(prompt)  # with line editing
    # Not for a pipe: `input` drops what its flush of the output raises, and with it an interrupt.
    print(prompt, end="", flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.removesuffix("\n")


def _say(text: str) -> None:
    print(text)


def _prepare_input() -> None:
    """Line editing where there is a terminal, and no exception for bytes that are not text."""
    if sys.stdin.isatty():
        with suppress(ImportError):
            import_module("readline")
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="replace")


def _not_yet_played(run: RunDirectory, suite: Suite) -> str:
    played = {record["task"]["id"] for record in run.records()}
    ids = (suite.task_id(name, "train", index) for index in count() for name in suite.names("train"))
    return next(name for name in ids if name not in played)


def _first_free(run: RunDirectory, first: EpisodeSpec, policy: JSON) -> EpisodeSpec:
    """The first trial that the folder does not hold; every trial meets faults of its own, drawn by the first's seed."""
    label = first.faults if isinstance(first.faults, str) else first.faults.to_json()
    taken = run.committed()
    for trial in count():
        fault_seed = stable_hash("fault", first.fault_seed, first.task, label, trial) >> 11
        spec = replace(first, fault_seed=fault_seed, trial=trial)
        if _id(spec, policy) not in taken:
            return spec
    raise AssertionError("count() ended")


def _id(spec: EpisodeSpec, policy: JSON) -> str:
    return episode_id(spec, policy, NO_LIMITS, suite_named(spec.task.partition("/")[0]).version)


def _play(run: RunDirectory, spec: EpisodeSpec, human: Human) -> None:
    task = task_by_id(spec.task)
    episode = Episode(task, schedule_for(task, spec.faults, spec.fault_seed), answers=spec.answers)
    keep = True
    try:
        _say(f"task {task.id}, faults {_label(spec)}")
        at_once(to_the_end(episode, human.start(opening_of(episode, spec.policy_seed)), NO_LIMITS))
    except Left:
        keep = bool(episode.turns) and _keeps()
    except EOFError:
        _say("\nthe input has ended")
    finally:
        if not episode.stop and episode.turns:
            episode.finish(UNFINISHED)
        if episode.stop and keep:
            _save(run, spec, episode, human.describe())
        elif not episode.turns:
            _say("nothing was done, so nothing is kept")
        episode.close()


def _label(spec: EpisodeSpec) -> str:
    data = faults_data(spec.faults)
    return data if isinstance(data, str) else neutralised(str(data.get("name") or "of a plan"))


def _keeps() -> bool:
    """Whether an unfinished episode is kept: yes, unless the person says no."""
    try:
        return _ask("keep what was done so far as an unfinished trace? [Y/n]: ").strip().lower() not in ("n", "no")
    except EOFError:
        return True


def _save(run: RunDirectory, spec: EpisodeSpec, episode: Episode, policy: JSON) -> None:
    """Store the trace, and say what it was. Somebody else may have played the same trial meanwhile."""
    with run.lock():
        run.repair()
        taken = run.committed()
        while _id(spec, policy) in taken:
            spec = replace(spec, trial=spec.trial + 1)
        trace = Trace.from_episode(episode, spec, policy)
        with run.writer("human", batch=1) as writer:
            writer.append(trace.to_line())
    verdict = trace.verdict
    assert verdict is not None
    turns = "1 turn" if len(trace.steps) == 1 else f"{len(trace.steps)} turns"
    word = "unfinished" if trace.stop == UNFINISHED else OUTCOMES[verdict.success]
    _say(f"\n{word}: {neutralised(verdict.reason)}")
    _say(f"{turns} kept as episode {trace.episode_id} in {run.path}")
    _say(f"next: {command('replay', run.path, '--episode', trace.episode_id)}")


@contextmanager
def _hangup_interrupts() -> Iterator[None]:
    """Let a closed terminal and a polite kill end the play as Ctrl-C does: with what was done kept."""

    def interrupted(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before: dict[signal.Signals, Any] = {s: signal.signal(s, interrupted) for s in (signal.SIGHUP, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
