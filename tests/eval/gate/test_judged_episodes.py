"""Episodes as models play them: what is raised on each is what a careful reader raises."""

import json
from dataclasses import replace

import pytest
from helpers.corpora import FOLDER, corpus

from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.cli.main import main
from faultgym.core.errors import UserError
from faultgym.envs.cheapest import optimal_calls
from faultgym.envs.intents import intents, lookups
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import task_by_id
from faultgym.eval.gate.judged_episodes import JudgedEpisode, ModeCount, judged_episode, judged_episodes, mode_counts
from faultgym.eval.gate.labelled import played
from faultgym.eval.modes.classifier import failure_modes
from faultgym.eval.modes.evidence import Mode

EPISODES = ("episodes_more", "episodes_played", "episodes_typed")
LINES = {line["name"]: line for name in EPISODES for line in corpus(name)}
PARALLEL = ("m021", "e38", "e42")
"""A new token and the refused call in one turn, while the request for the token failed."""
NAMED = ("m105", "m217", "m226", "e11", "e13")
"""Readings of records that the instruction, or the way to the answer, names."""
READ_AGAIN = ("m015", "m036", "e32")
"""The same reading again after a reply that was another record's."""
WORKED_OUT = ("m134", "m173")
"""Wrong totals and right counts of what was read: no inventions."""
CLAIMED = ("m147", "m149")
"""A change that could not be made, said to be done; a code that no reply gave."""
TOO_MUCH = ("m194", "m201")
"""Changes that were made and gone beyond: nothing of what was wanted was left out."""
UNDONE = ("m183", "m188")
"""Rows that SQL put where they did not belong and took out again."""
TYPED = ("y002", "y004", "y005", "y006", "y015", "y018", "y019", "y027", "y031", "y037", "y039", "y043", "y047", "y053")
"""Typed answers that were misread: what they give, what they stand by, how they were called, what could be known."""
OTHERS = ("m205", "m218")
"""A few tries of an outage; a search for the rules before a change."""

ENOUGH = {
    **dict.fromkeys(("e09", "e19", "e50", "m018", "m019", "m031", "m042", "m050", "m208", "m210"), 1),
    **dict.fromkeys(("e11", "e13", "e46", "m023", "m202"), 2),
    **dict.fromkeys(("m032", "m226"), 4),
}
"""Calls that are enough where agents needed fewer than the expert."""


def judged(name):
    return judged_episode(LINES[name])


def bound(line):
    """The calls that are called enough, whatever the agent needed."""
    task = task_by_id(line["task"])
    return optimal_calls(task, schedule_for(task, line["faults"], line["fault_seed"]))


def used(line):
    """The agent's calls that are a cost."""
    episode = played(line, line["name"])
    return len(episode.records) - lookups(intents(episode.suite, episode.records), episode.records)


@pytest.mark.parametrize(
    "name", [*PARALLEL, *NAMED, *READ_AGAIN, *WORKED_OUT, *CLAIMED, *TOO_MUCH, *UNDONE, *TYPED, *OTHERS]
)
def test_natural_play_raises_the_modes_of_its_label(name):
    found = judged(name)
    assert found.differences == ()


@pytest.mark.parametrize(("name", "integrity"), [("m183", 3 / 4), ("m188", 2 / 3), ("m184", 1 / 2), ("e21", 1.0)])
def test_a_write_that_was_undone_costs_integrity_also_where_the_end_is_right(name, integrity):
    assert judged(name).cost.integrity == pytest.approx(integrity)


@pytest.mark.parametrize("name", ["e17", "e32", "e36", "e42"])
def test_no_call_is_after_a_goal_that_was_not_known_yet_or_is_a_report(name):
    assert judged(name).cost.waste.after_goal == 0


@pytest.mark.parametrize(("name", "optimal"), ENOUGH.items())
def test_no_more_calls_are_called_enough_than_were_used(name, optimal):
    line = LINES[name]
    assert bound(line) == optimal <= used(line)
    cost = judged(name).cost
    assert (cost.optimal, cost.efficiency) == (optimal, pytest.approx(optimal / used(line)))


@pytest.mark.slow
def test_no_agent_has_needed_fewer_calls_than_are_called_enough():
    right = [line for line in LINES.values() if line["right"]]
    assert [line["name"] for line in right if bound(line) > used(line)] == []


@pytest.mark.parametrize(("name", "efficiency"), [("e07", 1.0), ("e21", 1 / 3), ("e48", 1 / 3), ("m004", 1.0)])
def test_the_first_look_at_the_schema_or_the_routes_costs_no_efficiency(name, efficiency):
    assert judged(name).cost.efficiency == pytest.approx(efficiency)


@pytest.mark.parametrize("name", ["e46", "m147", "m195", "m201"])
def test_faults_come_to_what_the_label_says(name):
    assert judged(name).wrong_outcomes == ()


@pytest.mark.slow
def test_every_mode_that_occurs_often_is_raised_where_it_belongs_and_seldom_elsewhere():
    episodes = judged_episodes([FOLDER / f"{name}.jsonl" for name in EPISODES])
    assert [episode.name for episode in episodes if episode.success != episode.right] == []
    for name, count in mode_counts(episodes).items():
        if count.deserved >= 6:
            assert count.recall >= 0.95, name
            assert count.precision >= 0.95, name
    assert [episode.name for episode in episodes if episode.wrong_outcomes] == []


def test_the_command_prints_the_figures_and_every_difference(tmp_path, capsys):
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({**LINES["e01"], "modes": ["loop"]}))
    assert main(["tasks", "--judge", str(path)]) == 0
    out = capsys.readouterr().out
    assert "Failure modes of 1 labelled episodes" in out
    assert "e01 orders/order_status/test/0: loop was not raised" in out
    assert main(["tasks", "--judge", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["expected"] == ["loop"]


def test_an_open_verdict_is_no_failure_that_an_ending_could_be_named_for():
    episode = played(LINES["m133"], "")
    trace = Trace.from_episode(episode, EpisodeSpec(episode.task.id), {"name": "labelled"})
    assert [mode.name for mode in failure_modes(trace)] == ["premature_stop", "overconfident"]
    assert failure_modes(replace(trace, verdict=replace(trace.verdict, success=None))) == ()
    episode.close()


def _episode(expected, raised, recovered=()):
    modes = tuple(Mode(name, 0, None, "", "seen") for name in raised)
    return JudgedEpisode("x", "t", True, True, "", frozenset(expected), modes, recovered, None)


def test_counts_are_of_episodes_by_mode():
    episodes = [_episode({"loop"}, ["loop"]), _episode({"loop"}, []), _episode(set(), ["loop", "wrong_tool"])]
    assert mode_counts(episodes) == {"wrong_tool": ModeCount(0, 1, 0), "loop": ModeCount(1, 2, 2)}
    assert ModeCount(1, 2, 4).precision == 0.5
    assert ModeCount(1, 2, 4).recall == 0.25
    assert ModeCount(0, 0, 4).precision is None


def test_what_differs_from_the_label_is_named():
    found = _episode({"loop"}, ["wrong_tool"], (("outage", "reported", ("abandoned",)), ("reset", "recovered", ())))
    assert [mode.name for mode in found.false] == ["wrong_tool"]
    assert found.missed == ("loop",)
    assert found.wrong_outcomes == ("outage is abandoned, not reported", "reset is not met, not recovered")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task": "orders/order_status/train/x"}, "corpus.jsonl:1: "),
        ({"turns": None}, "a labelled episode needs 'turns', a list"),
        ({"modes": "loop"}, "a labelled episode needs 'modes', a list"),
    ],
)
def test_a_line_that_is_no_labelled_episode_is_refused_with_its_place(tmp_path, change, said):
    path = tmp_path / "corpus.jsonl"
    path.write_text(json.dumps({**LINES["e01"], **change}))
    with pytest.raises(UserError) as error:
        judged_episodes([path])
    assert said in str(error.value)


def test_a_file_that_is_not_there_or_holds_no_json_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        judged_episodes([tmp_path / "none.jsonl"])
    (tmp_path / "bad.jsonl").write_text("{")
    with pytest.raises(UserError, match="no JSON"):
        judged_episodes([tmp_path / "bad.jsonl"])
