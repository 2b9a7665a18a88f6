"""`faultgym play`, driven by what a person would type: whole sessions, and every way to leave one."""

import io
import re
import signal
import subprocess
import sys

import pytest

from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.trace import Trace
from faultgym.cli.main import main

TASK = "orders/order_status/train/0"
ORDER = "ORD-91560"
LOOK = ["http", "the order's record says it", "GET", f"/v1/orders/{ORDER}", "", "", ""]
ANSWER = {
    "text": ["a", "the record says shipped", "The order is shipped.", "0.9"],
    "typed": ["a", "the record says shipped", "answered", "shipped", "It is shipped.", "0.9"],
}


def typed(lines) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


@pytest.fixture(params=list(ANSWER))
def answers(request) -> str:
    return request.param


@pytest.fixture
def play(tmp_path, monkeypatch, capsys, answers):
    """Plays with these lines; gives (exit code, stdout, stderr)."""

    def run(lines, *args):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed(lines)), "utf-8"))
        code = main(["play", *args, "--answers", answers, "--out", str(tmp_path / "played")])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def traces(tmp_path) -> list[Trace]:
    return [Trace.from_record(record) for record in RunDirectory.open(tmp_path / "played").records()]


def proven(tmp_path, capsys) -> str:
    assert main(["replay", str(tmp_path / "played"), "--all"]) == 0
    return capsys.readouterr().out


def test_a_whole_session_is_kept_as_a_demonstration_and_proven(tmp_path, capsys, answers):
    folder = str(tmp_path / "played")
    command = [sys.executable, "-P", "-m", "faultgym", "play", TASK, "--answers", answers, "--out", folder]
    done = subprocess.run(command, input=typed([*LOOK, *ANSWER[answers]]), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    out = done.stdout.decode()
    assert "success: the goal was reached" in out
    (trace,) = traces(tmp_path)
    assert [step.turn.reasoning for step in trace.steps] == ["the order's record says it", "the record says shipped"]
    assert (trace.policy["name"], trace.steps[-1].turn.confidence, trace.stop) == ("human", 0.9, "final")
    assert trace.answers == answers
    assert f"faultgym replay {tmp_path / 'played'} --episode {trace.episode_id}" in out
    assert proven(tmp_path, capsys) == "1 proven, 0 not\n"


def test_faults_strike_a_person_as_they_strike_a_model(play, tmp_path, capsys, answers):
    plan = tmp_path / "plan.json"
    plan.write_text('{"version": 1, "name": "one 503", "rules": [{"kind": "server_error", "trigger": {"nth": 1}}]}')
    code, out, _ = play([*LOOK, *LOOK, *ANSWER[answers]], TASK, "--faults", str(plan))
    assert code == 0
    assert "faults one 503" in out
    (trace,) = traces(tmp_path)
    assert [event.kind for event in trace.events] == ["server_error"]
    assert trace.verdict.success
    assert proven(tmp_path, capsys) == "1 proven, 0 not\n"


def test_the_same_task_can_be_played_again_and_both_are_kept(play, tmp_path, answers):
    play([*LOOK, *ANSWER[answers]], TASK)
    play(ANSWER[answers], TASK)
    assert [trace.trial for trace in traces(tmp_path)] == [0, 1]


def test_a_value_of_the_wrong_kind_comes_back_as_an_error_and_is_asked_for_again(tmp_path, capsys):
    folder, task = str(tmp_path / "played"), "orders/order_total/train/0"
    command = [sys.executable, "-P", "-m", "faultgym", "play", task, "--answers", "typed", "--out", folder]
    lines = ["a", "a guess", "2", "12.345", "That much.", "", "once more", "", "12.34", "", "10%"]
    done = subprocess.run(command, input=typed(lines), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    out = done.stdout.decode()
    assert "error: invalid arguments for answer: the field total takes an amount of money" in out
    assert "the answer was not taken: once more" in out
    (trace,) = traces(tmp_path)
    assert [step.calls[0].result.code for step in trace.steps] == ["invalid_argument", "answered"]
    assert "failure: the answer gives total 1234, which is not the case" in out
    assert proven(tmp_path, capsys) == "1 proven, 0 not\n"


def test_whoever_leaves_a_typed_answer_open_is_not_said_to_have_ended_in_text(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed([*LOOK, "q"])), "utf-8"))
    assert main(["play", TASK, "--answers", "typed", "--out", str(tmp_path / "played")]) == 0
    assert "unfinished: it ended without a call of answer" in capsys.readouterr().out


def test_without_a_task_the_next_one_that_was_not_played_is_given(play, tmp_path, answers):
    play([*LOOK, *ANSWER[answers]])
    code, out, _ = play(["q"])
    assert code == 0
    assert [trace.task.id for trace in traces(tmp_path)] == [TASK]
    assert re.match(r"task orders/(?!order_status)\w+/train/0", out)


@pytest.mark.parametrize(("last", "kept"), [(["q", "y"], 1), (["q", ""], 1), (["q", "n"], 0), (["q"], 1), ([], 1)])
def test_whoever_leaves_decides_what_becomes_of_the_turns_so_far(play, tmp_path, capsys, last, kept):
    code, out, err = play([*LOOK, *last], TASK)
    assert (code, err) == (0, "")
    found = traces(tmp_path)
    assert len(found) == kept
    if kept:
        assert (found[0].stop, found[0].verdict.success, len(found[0].steps)) == ("left", False, 1)
        assert "unfinished: " in out
        assert "1 turn kept as episode " in out
        assert "its player left it unfinished" in proven(tmp_path, capsys)


def test_who_leaves_at_once_leaves_nothing(play, tmp_path):
    code, out, _ = play(["q"], TASK)
    assert (code, "nothing was done, so nothing is kept" in out, traces(tmp_path)) == (0, True, [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_an_interrupt_keeps_the_turns_so_far(tmp_path, number):
    command = [sys.executable, "-u", "-P", "-m", "faultgym", "play", TASK, "--out", str(tmp_path / "played")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as child:
        child.stdin.write(typed(LOOK))
        child.stdin.flush()
        while b"turn 2" not in child.stdout.readline():
            pass
        child.send_signal(number)
        _, err = child.communicate()
    assert (child.returncode, err) == (130, b"interrupted\n")
    (trace,) = traces(tmp_path)
    assert (trace.stop, len(trace.steps)) == ("left", 1)


@pytest.mark.slow
def test_interrupts_are_tested_alike_where_the_suite_runs_in_the_background():
    name = f"{__file__}::{test_an_interrupt_keeps_the_turns_so_far.__name__}[{int(signal.SIGINT)}]"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", name]
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    done = subprocess.run([sys.executable, "-c", ignoring, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_an_interrupt_while_the_prompt_is_written_is_not_lost(tmp_path, monkeypatch):
    class Interrupted(io.StringIO):
        once = True

        def flush(self):
            if self.once and "next (" in self.getvalue().partition("turn 2")[2]:
                self.once = False
                raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed(LOOK)), "utf-8"))
    monkeypatch.setattr(sys, "stdout", Interrupted())
    assert main(["play", TASK, "--out", str(tmp_path / "played")]) == 130
    (trace,) = traces(tmp_path)
    assert (trace.stop, len(trace.steps)) == ("left", 1)


def test_bytes_that_are_no_text_are_taken_and_the_trace_still_holds(play, tmp_path, capsys, answers):
    code, _, err = play(["sql", "caf\udcff", "SELECT '\udcfe'", *ANSWER[answers]], TASK)
    assert (code, err) == (0, "")
    assert traces(tmp_path)[0].steps[0].turn.reasoning == "caf\ufffd"
    assert proven(tmp_path, capsys) == "1 proven, 0 not\n"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["orders/nope/train/0"], "nope"),
        (["orders"], "is not a task id"),
        (["--suite", "ordrs"], "did you mean orders?"),
        ([TASK, "--faults", "tough"], "the presets are"),
    ],
)
def test_wrong_input_is_one_line_and_makes_no_folder(play, tmp_path, args, words):
    code, out, err = play([], *args)
    assert (code, out) == (2, "")
    assert words in err
    assert not (tmp_path / "played").exists()
