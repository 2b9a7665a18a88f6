"""`faultgym compare`: real runs of scripted policies, what is printed and written, and what is refused."""

import asyncio
import shutil
from dataclasses import replace

import orjson
import pytest

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.engine import rollout
from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.parts import HarnessFailure
from faultgym.agents.traces.plain import schedule_fingerprint
from faultgym.agents.traces.trace import Trace
from faultgym.cli.main import main
from faultgym.core.values import shallow
from faultgym.envs.limits import Limits


def store(path, policy, suites=("orders", "incidents"), split="test", limits=None, **asked):
    made = RolloutRequest(suites, split, **{"per_template": 1, "faults": ("clean", "rough"), **asked})
    asyncio.run(rollout(RolloutPlan.make(made, limits or Limits()), policy_named(policy), path))
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for policy in ("expert", "repeater"):
        store(folder / policy, policy, faults=("clean", "rough"))
    return folder


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Runs of a few tasks."""
    folder = tmp_path_factory.mktemp("few")
    for policy in ("expert", "repeater", "trusting"):
        store(folder / policy, policy, ("orders",), templates=("order_status", "cancel_order", "city_count"))
    return folder


def run(capsys, *args):
    capsys.readouterr()
    code = main(["compare", *map(str, args)])
    return code, capsys.readouterr()


def unwrapped(shown):
    """What was printed without its line breaks, which depend on how long the names of the runs are."""
    return " ".join(shown.split())


def figures(capsys, tmp_path, *args):
    assert run(capsys, *args, "--json", tmp_path / "found.json")[0] == 0
    return orjson.loads((tmp_path / "found.json").read_bytes())


def test_the_expert_is_better_than_the_repeater_on_both_suites(runs, tmp_path, capsys):
    (found,) = figures(capsys, tmp_path, runs / "repeater", runs / "expert")["against"]
    verdicts = {(c["metric"], c["by"], c["name"]): c["verdict"] for c in found["cells"]}
    for metric in ("success", "recovery"):
        assert verdicts[metric, "all", ""] == "better"
        assert verdicts[metric, "suite", "orders"] == verdicts[metric, "suite", "incidents"] == "better"
    assert verdicts["spl", "all", ""] == verdicts["spl", "suite", "orders"] == "better"
    (own,) = [c for c in found["cells"] if (c["metric"], c["by"], c["name"]) == ("spl", "suite", "incidents")]
    assert own["difference"] > 0  # so much is checked there that too few tasks show it
    assert verdicts["mode", "mode", "repeated_broken_call"] == "better"
    assert verdicts["success", "intensity", "clean"] == "not shown"
    assert found["clean"]["change"] == 0
    assert found["lost"] == []
    assert len(found["gained"]) == found["solved"]["only_other"] > 20


def test_the_table_fits_a_hundred_columns_and_ends_in_verdicts(few, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    code, shown = run(capsys, few / "expert", few / "repeater", few / "trusting", "--all")
    assert code == 0
    assert max(map(len, shown.out.splitlines())) <= 100
    assert "repeater against expert (base)" in shown.out
    assert "not shown" in shown.out
    assert "\x1b" not in shown.out


def test_too_few_tasks_show_nothing_and_say_so(few, capsys):
    code, shown = run(capsys, few / "repeater", few / "trusting")
    assert code == 0
    assert "not shown" in shown.out
    assert "nothing" in shown.out
    assert "better" not in shown.out.replace("Whether one policy is better", "")


def test_worse_is_an_exit_code_only_where_that_is_asked_for(runs, few, capsys):
    code, shown = run(capsys, runs / "expert", runs / "repeater", "--fail-if-worse")
    assert (code, "worse" in shown.out) == (1, True)
    assert run(capsys, few / "repeater", few / "expert", "--fail-if-worse")[0] == 0


def test_markdown_holds_every_slice(few, tmp_path, capsys):
    run(capsys, few / "repeater", few / "expert", "--markdown", tmp_path / "found.md")
    text = (tmp_path / "found.md").read_text()
    assert text.startswith("# Compared with repeater\n")
    for name in ("**By contract**", "**By kind**", "**By template**", "| cancel_order: SPL |", "**Failure modes"):
        assert name in text


def test_a_folder_of_runs_is_compared_split_by_split(tmp_path, capsys):
    for policy in ("expert", "repeater"):
        for split in ("test", "unseen_faults"):
            store(tmp_path / policy / split, policy, ("orders",), split, templates=("order_status",), faults=("rough",))
    (found,) = figures(capsys, tmp_path, tmp_path / "repeater", tmp_path / "expert")["against"]
    assert {c["name"] for c in found["cells"] if c["by"] == "split"} == {"test", "unseen_faults"}


def test_runs_of_one_name_are_told_apart_by_their_parents(few, tmp_path, capsys):
    for policy, folder in (("expert", "x"), ("repeater", "y")):
        shutil.copytree(few / policy, tmp_path / folder / "run")
    _, shown = run(capsys, tmp_path / "x" / "run", tmp_path / "y" / "run")
    assert "y/run against x/run (base)" in shown.out
    _, shown = run(capsys, tmp_path / "x" / "run", tmp_path / "y" / "run", "--name", "one", "--name", "two")
    assert "two against one (base)" in shown.out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["expert"], "needs two runs"),
        (["expert", "expert"], "named twice"),
        (["expert", "repeater", "--name", "a"], "2 runs and 1 names"),
        (["expert", "nowhere"], "no run in"),
        (["expert", "repeater", "--mode", "lop"], "no failure mode 'lop'"),
        (["expert", "repeater", "--clean-margin", "0"], "above 0"),
    ],
)
def test_wrong_input_is_one_line_that_says_what_to_do(few, capsys, args, says):
    args = [few / a if a in ("expert", "repeater", "nowhere") else a for a in args]
    code, shown = run(capsys, *args)
    assert code == 2
    assert says in shown.err
    assert shown.err.count("\n") <= 2


def test_runs_that_end_in_different_ways_are_refused_in_one_sentence(tmp_path, capsys):
    for answers in ("typed", "text"):
        store(tmp_path / answers, "expert", ("orders",), templates=("order_status",), answers=answers)
    code, shown = run(capsys, tmp_path / "typed", tmp_path / "text")
    assert (code, shown.out) == (2, "")
    assert (
        "end in different ways (by a typed answer and by a text), and what success takes is not the same" in shown.err
    )


def test_other_limits_and_other_splits_are_refused_with_the_reason(few, tmp_path, capsys):
    short = store(tmp_path / "short", "expert", ("orders",), limits=Limits(turns=9), templates=("order_status",))
    code, shown = run(capsys, few / "expert", short)
    assert code == 2
    assert "different limits (limits.turns was 60, and is now 9)" in shown.err
    dev = store(tmp_path / "dev", "expert", ("orders",), "dev", templates=("order_status",))
    code, shown = run(capsys, few / "expert", dev)
    assert code == 2
    assert "their splits differ (test there, dev here); use the same --split" in shown.err


def test_a_schedule_that_differs_is_an_error_that_names_the_episode(runs, tmp_path, capsys):
    path = tmp_path / "other"
    copy = RunDirectory.create(path, {})
    records = list(RunDirectory.open(runs / "repeater").records())
    at = next(n for n, r in enumerate(records) if r["faults"] == "rough" and not r["events"] and r["schedule"])
    without = replace(Trace.from_record(records[at]), schedule=())
    prints = replace(without.fingerprints, schedule=schedule_fingerprint(()))
    record = replace(without, fingerprints=prints).to_record()
    with copy.lock(), copy.writer("w") as writer:
        for one in [*records[:at], record, *records[at + 1 :]]:
            writer.append(one)
    code, shown = run(capsys, runs / "expert", path)
    assert code == 2
    assert without.episode_id in shown.err
    assert "different schedules" in shown.err


def test_an_invalid_run_is_marked_and_gets_no_verdict(few, tmp_path, capsys):
    path = tmp_path / "broken"
    copy = RunDirectory.create(path, {})
    with copy.lock(), copy.writer("w") as writer:
        for n, record in enumerate(RunDirectory.open(few / "repeater").records()):
            if n % 3 == 0:
                failure = {**shallow(HarnessFailure("OSError", "gone")), "where": []}
                record = {**record, "verdict": None, "stop": "harness_error", "harness_error": failure}
            writer.append(record)
    code, shown = run(capsys, few / "expert", path, "--fail-if-worse")
    assert code == 1
    assert "INVALID: broken" in unwrapped(shown.out)
    assert "more than 1%; there is no verdict" in unwrapped(shown.out)
    assert "worse" not in shown.out.replace("of which none is worse", "")
    (left,) = figures(capsys, tmp_path, few / "expert", path, "--max-errors", "0.5")["against"]
    assert left["run"]["valid"]
    assert len(left["pairing"]["unscored"]) == left["run"]["harness_errors"] == 2
    (failed,) = figures(capsys, tmp_path, few / "expert", path, "--errors", "fail")["against"]
    assert (failed["run"]["valid"], failed["run"]["failures"], failed["pairing"]["unscored"]) == (True, 2, [])
    assert failed["pairing"]["pairs"] == left["pairing"]["pairs"] + 2
    _, shown = run(capsys, few / "expert", path, "--errors", "fail")
    assert "Harness errors of broken that are counted as failures (--errors fail): 2." in unwrapped(shown.out)


def test_episodes_that_were_cut_short_are_named(few, tmp_path, capsys):
    path = tmp_path / "cut"
    copy = RunDirectory.create(path, {})
    with copy.lock(), copy.writer("w") as writer:
        for n, record in enumerate(RunDirectory.open(few / "repeater").records()):
            writer.append({**record, "stop": "length"} if n < 2 else record)
    code, shown = run(capsys, few / "expert", path)
    assert code == 0
    assert "Cut short, which is no failure mode: of cut 2 by length." in unwrapped(shown.out)


def test_models_alone_are_compared_on_general_text(tmp_path, capsys):
    found = figures(capsys, tmp_path, "--models", "tiny-random", "tiny-random")
    (text,) = found["forgetting"]
    assert (text["what"], text["units"], text["change"], text["holds"]) == ("General text", 60, 0.0, True)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--lm-eval", "arc_easy"], "needs two runs"),
        (["expert", "repeater", "--lm-eval", "arc_easy"], "name them with --models BASE TUNED"),
        (["--models", "./nowhere", "tiny-random"], "no model folder ./nowhere"),
        (["--models", "tiny-random", "tiny-random", "--text-margin", "0"], "above 0"),
    ],
)
def test_models_that_cannot_be_compared_are_refused(few, capsys, args, says):
    code, shown = run(capsys, *(few / a if a in ("expert", "repeater") else a for a in args))
    assert code == 2
    assert says in shown.err
