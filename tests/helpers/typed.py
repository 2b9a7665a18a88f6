"""Small real episodes that end with a call of `answer`: for tests of what their end is named for."""

from faultgym.agents.rollouts.play import run_episode
from faultgym.agents.scripted import expert
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.envs.episode import Episode
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.eval.context import ScoringContext
from faultgym.eval.modes.classifier import modes_of
from faultgym.tools.types import ToolCall


def played(task, turns, answers="typed", faults="clean"):
    """The episode of these turns, made ready for scoring."""
    episode = Episode(task, schedule_for(task, faults), answers=answers)
    for turn in turns:
        episode.step(turn)
    trace = Trace.from_episode(episode, EpisodeSpec(task.id, faults, answers=answers), {"name": "by hand"})
    episode.close()
    return ScoringContext.of(trace, task)


def final(outcome, fields=None, message=""):
    """The call that answers so."""
    return ToolCall("a", "answer", {"outcome": outcome, "fields": fields or {}, "message": message})


def ended(task, calls, outcome, fields=None, message="", faults="clean", **more):
    """The episode of these calls, each in a turn of its own, and of one call of `answer`."""
    turns = [Turn("", (call,)) for call in calls]
    return played(task, [*turns, Turn("", (final(outcome, fields, message),), **more)], faults=faults)


def modes(*args, **options):
    """The modes of the episode that `ended` makes of this."""
    return [mode.name for mode in modes_of(ended(*args, **options))]


def done(task):
    """The calls and the answer of the expert."""
    episode = run_episode(expert(), task, answers="typed")
    *before, last = (step.turn for step in episode.turns)
    return [call for turn in before for call in turn.tool_calls], last.tool_calls[0].arguments
