"""`faultgym rollout` and `faultgym replay` as a person uses them: exit codes, and errors that say what to do."""

import io

import pytest
from helpers.served import beside
from helpers.stub_openai import librarian
from rich.console import Console

from faultgym.agents.rollouts.progress import Progress
from faultgym.agents.storage.store import RunDirectory
from faultgym.cli.main import main
from faultgym.cli.support.progress import rollout_progress, summary


@pytest.fixture
def faultgym(capsys):
    """Runs a command line; gives (exit code, stdout, stderr)."""

    def run(*args):
        code = main([str(a) for a in args])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


SMALL = ("--suite", "orders", "--template", "order_status", "--template", "cancel_order", "--per-template", "2")


@pytest.fixture
def run(faultgym, tmp_path):
    """A small run's folder."""
    code, _, err = faultgym("rollout", *SMALL, "--out", tmp_path / "run")
    assert code == 0, err
    return tmp_path / "run"


def compacted(folder):
    target = folder.parent / f"{folder.name}.jsonl"
    RunDirectory.open(folder).compact(target)
    return target


def test_a_rollout_says_what_it_did_and_what_to_do_next(faultgym, tmp_path):
    code, out, err = faultgym("rollout", *SMALL, "--faults", "rough", "--faults", "burst", "--out", tmp_path / "run")
    assert code == 0
    assert out == f"8 episodes, success 100.0%; traces in {tmp_path / 'run'}\nnext: faultgym score {tmp_path / 'run'}\n"
    assert "8/8 episodes, success 100%" in err


def test_a_run_is_proven_as_a_folder_and_as_a_compacted_file(faultgym, run):
    assert faultgym("replay", run) == (0, "4 proven, 0 not\n", "")
    assert faultgym("replay", compacted(run), "--all") == (0, "4 proven, 0 not\n", "")


def test_one_episode_can_be_replayed_by_the_beginning_of_its_id(faultgym, run):
    name = min(RunDirectory.open(run).committed())
    assert faultgym("replay", run, "--episode", name[:10]) == (0, "1 proven, 0 not\n", "")
    code, _, err = faultgym("replay", run, "--episode", "zzz")
    assert (code, "no episode whose id begins with 'zzz'" in err) == (2, True)


def test_a_trace_that_was_changed_fails_the_replay(faultgym, run):
    file = compacted(run)
    file.write_bytes(file.read_bytes().replace(b'"success":true', b'"success":false'))
    code, out, _ = faultgym("replay", file)
    assert code == 1
    assert "verdict.success: the trace says 'False', the replay gives 'True'" in out
    assert "0 proven, 1 not; --all goes on after the first" in out
    code, out, _ = faultgym("replay", file, "--all")
    assert (code, out.splitlines()[-1]) == (1, "0 proven, 4 not")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--policy", "exprt"), "did you mean expert?"),
        (("--policy", "no_such_module:thing"), "cannot be imported"),
        (("--policy", "json:dump"), "json:dump"),
        (("--policy", "json:dumpz"), "did you mean dump"),
        (("--suite", "ordrs"), "did you mean orders?"),
        (("--suite", "xyzzy"), "the suites are"),
        (("--template", "gone"), "there is no template 'gone'"),
        (("--split", "tset"), "the splits are"),
        (("--faults", "tough"), "the presets are clean, mild, rough, hostile, outage"),
        (("--style", "soap"), "http or tools"),
        (("--resume",), "start a new run there"),
    ],
)
def test_wrong_input_is_one_line_with_what_to_do_and_starts_no_run(faultgym, tmp_path, args, words):
    code, out, err = faultgym("rollout", "--out", tmp_path / "run", *args)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert words in err
    assert not (tmp_path / "run").exists()


def test_a_wrong_plan_file_is_refused_with_the_line(faultgym, tmp_path):
    plan = tmp_path / "plan.json"
    plan.write_text('{"version": 1, "name": "x", "rules": [\n {"kind": "no_such", "trigger": {"nth": 1}}\n]}')
    code, _, err = faultgym("rollout", *SMALL, "--faults", plan, "--out", tmp_path / "run")
    assert code == 2
    assert "plan.json line 2, rule 1" in err


def test_a_plan_file_is_kept_in_the_run_and_not_needed_for_a_resume(faultgym, tmp_path):
    plan = tmp_path / "plan.json"
    plan.write_text('{"version": 1, "name": "x", "rules": [{"kind": "timeout", "trigger": {"nth": 1}}]}')
    assert faultgym("rollout", *SMALL, "--faults", plan, "--out", tmp_path / "run")[0] == 0
    plan.unlink()
    code, out, _ = faultgym("rollout", "--out", tmp_path / "run", "--resume")
    assert code == 0
    assert "4 episodes, 0 of them new" in out


def test_an_existing_run_is_refused_with_what_to_do(faultgym, run):
    code, _, err = faultgym("rollout", *SMALL, "--out", run)
    assert code == 2
    assert "already holds a run; resume it" in err


def test_a_resume_that_asks_for_something_else_names_it(faultgym, run):
    code, _, err = faultgym("rollout", "--out", run, "--resume", "--per-template", "1")
    assert code == 2
    assert "asked.per_template was 2, and is now 1" in err
    code, _, err = faultgym("rollout", "--out", run, "--resume", "--policy", "null")
    assert code == 2
    assert 'asked.policy was "expert"' in err or "policy.name" in err


@pytest.mark.parametrize(
    "more",
    [
        ("-k", "3"),
        ("--per-template", "3"),
        ("--faults", "rough", "--faults", "mild"),
        ("--template", "order_status", "--template", "cancel_order", "--template", "city_count"),
    ],
)
def test_a_resume_may_ask_for_more_and_gets_what_a_run_of_its_own_would_have_given(faultgym, run, tmp_path, more):
    before = RunDirectory.open(run).committed()
    assert faultgym("rollout", "--out", run, "--resume", *more)[0] == 0
    assert faultgym("rollout", *SMALL, *more, "--out", tmp_path / "whole")[0] == 0
    grown, whole = RunDirectory.open(run), RunDirectory.open(tmp_path / "whole")
    assert before < grown.committed() == whole.committed()
    assert grown.plan["fingerprint"] == whole.plan["fingerprint"]
    assert sorted(compacted(run).read_bytes().splitlines()) == sorted(compacted(whole.path).read_bytes().splitlines())
    code, _, err = faultgym("rollout", "--out", run, "--resume", "-k", "1", "--per-template", "1")
    assert code == 2
    assert "and is now" in err


def test_a_plan_that_was_edited_does_not_grow(faultgym, run):
    plan = run / "plan.json"
    plan.write_text(plan.read_text().replace('"per_template": 2', '"per_template": "2"'))
    code, _, err = faultgym("rollout", "--out", run, "--resume", "-k", "2", "--per-template", "2")
    assert code == 2
    assert "and is now" in err


def test_a_run_goes_on_against_another_server(faultgym, players, tmp_path):
    plan = ("--suite", "bookshelf", "--faults", "clean", "--answers", "text", "--out", tmp_path / "run")
    with beside(librarian) as stub:
        policy = f"openai:m@{stub.url}"
        assert faultgym("rollout", *plan, "--policy", policy, "--per-template", "1")[0] == 0
    with beside(librarian) as stub:
        policy = f"openai:m@{stub.url}?retries=3"
        code, _, err = faultgym("rollout", *plan, "--policy", policy, "--per-template", "2", "--resume")
        assert code == 0, err
        assert stub.requests
        code, _, err = faultgym("rollout", *plan, "--policy", f"{policy}&temperature=1", "--resume")
    assert code == 2
    assert "policy" in err


def test_harness_errors_are_told_and_the_exit_code_shows_them(faultgym, players, tmp_path):
    plan = ("--suite", "bookshelf", "--policy", "helpers.players:troubled", "--per-template", "2")
    code, out, err = faultgym("rollout", *plan, "--out", tmp_path / "run")
    assert code == 1
    assert "harness errors: no success rate is taken over the" in out
    assert "success" not in out.replace("no success rate", "")
    assert "2 ended in harness errors, the last one: bookshelf/" in err
    assert "KeyError: 'price'" in err


@pytest.mark.parametrize(("path", "words"), [("gone", "does not exist"), (".", "no run in")])
def test_what_is_no_run_cannot_be_replayed(faultgym, tmp_path, monkeypatch, path, words):
    monkeypatch.chdir(tmp_path)
    code, _, err = faultgym("replay", path)
    assert code == 2
    assert words in err


def test_a_damaged_line_of_a_file_is_named(faultgym, run):
    file = compacted(run)
    lines = file.read_bytes().split(b"\n")
    file.write_bytes(b"\n".join([lines[0], lines[1][:50], *lines[2:]]))
    code, _, err = faultgym("replay", file)
    assert code == 2
    assert f"{file}:2: not valid JSON" in err


def test_progress_on_a_terminal_is_a_bar_and_in_a_log_plain_lines():
    times = iter(range(100))
    for terminal in (True, False):
        text = io.StringIO()
        console = Console(file=text, force_terminal=terminal, width=120)
        with rollout_progress(console, lambda: float(next(times))) as on_progress:
            on_progress(Progress(10, before=2, done=4, succeeded=3, failed=1))
            on_progress(Progress(10, before=2, done=8, succeeded=7, failed=1))
        assert ("\x1b[" in text.getvalue()) == terminal
        assert "10/10" in text.getvalue()


def test_the_summary_names_success_speed_what_is_left_and_failures():
    progress = Progress(100, before=10, done=30, succeeded=20, failed=5, tokens=600)
    assert summary(progress, 10.0) == "success 80% of the 25 judged, 3/s, 60 tokens/s, 20 s left, 5 harness errors"
    assert summary(Progress(100), 0.0) == "no verdict yet"


def test_faults_without_a_preset_or_plan_of_that_name_are_told_the_nearest(faultgym, tmp_path):
    code, _, err = faultgym("rollout", *SMALL, "--faults", "ruogh", "--out", tmp_path / "run")
    assert code == 2
    assert "there is no such preset, plan or file; did you mean rough?" in err
    code, _, err = faultgym("play", "--faults", "bursts", "--out", tmp_path / "played")
    assert code == 2
    assert "did you mean burst?" in err
