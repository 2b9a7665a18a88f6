"""`faultgym score`: what it prints and writes for stored runs, whole, broken and damaged."""

import asyncio

import orjson
import pytest

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.engine import rollout
from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.parts import HarnessFailure
from faultgym.agents.traces.trace import Trace
from faultgym.cli.main import main
from faultgym.core.values import shallow
from faultgym.envs.limits import Limits
from faultgym.eval.modes.registry import MODES
from faultgym.eval.scoring.score import Score, score

TEMPLATES = ("order_status", "cancel_order", "city_count")


def store(path, policy, faults=("clean", "rough"), trials=1, **asked):
    plan = RolloutPlan.make(
        RolloutRequest(("orders",), "test", TEMPLATES, per_template=1, trials=trials, faults=faults, **asked), Limits()
    )
    asyncio.run(rollout(plan, policy_named(policy), path))
    return path


@pytest.fixture(scope="module")
def expert(tmp_path_factory):
    return store(tmp_path_factory.mktemp("runs") / "expert", "expert")


@pytest.fixture(scope="module")
def quitter(tmp_path_factory):
    return store(tmp_path_factory.mktemp("runs") / "quitter", "quitter")


def run(capsys, *args):
    code = main(["score", *map(str, args)])
    return code, capsys.readouterr()


def scores_of(path):
    return [Score.from_record(orjson.loads(line)) for line in (path / "scores.jsonl").read_bytes().splitlines()]


def test_there_is_one_line_for_each_trace(expert, capsys):
    code, _ = run(capsys, expert)
    assert code == 0
    records = list(RunDirectory.open(expert).records())
    assert scores_of(expert) == [score(Trace.from_record(r)) for r in records]


def unread(context):
    """It cannot read an order that was cancelled."""
    return iter(()) if context.scoring.task.template != "cancel_order" else iter({}["status"])


def test_a_mode_of_another_package_that_raises_is_named_in_one_line(expert, capsys):
    MODES.register("unread", unread)
    try:
        code, shown = run(capsys, expert)
    finally:
        MODES.unregister("unread")
    assert code == 2
    (line,) = shown.err.strip().splitlines()
    assert f"the failure mode 'unread' of {__name__} raised KeyError: 'status', on trace" in line


def test_scoring_again_gives_the_same_bytes(expert, capsys):
    run(capsys, expert)
    first = (expert / "scores.jsonl").read_bytes()
    run(capsys, expert)
    assert (expert / "scores.jsonl").read_bytes() == first


def test_the_table_has_a_row_for_each_intensity(expert, capsys):
    _, shown = run(capsys, expert)
    assert "clean" in shown.out
    assert "rough" in shown.out
    assert "100%" in shown.out
    assert "INVALID" not in shown.out


def test_several_runs_are_compared_by_policy(expert, quitter, capsys):
    _, shown = run(capsys, expert, quitter, "--by", "policy")
    assert "expert" in shown.out
    assert "quitter" in shown.out
    assert "Success under faults over clean twins" in shown.out


@pytest.mark.parametrize("by", ["policy", "template", "kind", "contract", "split", "intensity"])
def test_json_holds_the_groups(expert, tmp_path, capsys, by):
    out = tmp_path / "figures.json"
    assert run(capsys, expert, "--by", by, "--json", out)[0] == 0
    found = orjson.loads(out.read_bytes())
    assert found["by"] == by
    assert found["groups"]
    low = pytest.approx(3 / (3 + 1.959964**2), abs=1e-6)
    expected = {"value": 1.0, "error": 0.0, "episodes": 6, "tasks": 3, "low": low, "high": 1.0}
    assert found["total"]["success"] == expected


def test_a_folder_of_runs_is_scored_as_compare_takes_it(tmp_path, capsys):
    folders = [store(tmp_path / "runs" / name, "expert", ("clean",)) for name in ("a", "b")]
    code, shown = run(capsys, tmp_path / "runs")
    assert (code, shown.err) == (0, "")
    assert [len(scores_of(folder)) for folder in folders] == [3, 3]
    assert f"3 scores: {folders[1] / 'scores.jsonl'}" in shown.out


def test_success_of_all_is_shown_with_an_interval_that_has_a_width(expert, capsys):
    _, shown = run(capsys, expert)
    assert "100% [44, 100]" in shown.out
    assert "±" not in shown.out


def test_the_critical_step_is_looked_for_where_asked(quitter, capsys):
    run(capsys, quitter)
    assert {s.critical for s in scores_of(quitter)} == {None}
    run(capsys, quitter, "--critical")
    failed = [s for s in scores_of(quitter) if s.success is False]
    assert failed
    assert all(s.critical is not None for s in failed)


def test_harness_errors_make_a_run_invalid_and_are_not_scored(expert, tmp_path, capsys):
    records = list(RunDirectory.open(expert).records())
    path = tmp_path / "broken"
    copy = RunDirectory.create(path, {})
    broken = Trace.from_record(records[0]).to_record()
    broken["verdict"], broken["stop"] = None, "harness_error"
    broken["harness_error"] = {**shallow(HarnessFailure("OSError", "gone")), "where": []}
    with copy.lock(), copy.writer("w") as writer:
        for record in [broken, *records[1:]]:
            writer.append(record)
    _, shown = run(capsys, path)
    assert "INVALID: 1 of 6 episodes are harness errors" in shown.out
    assert "Harness errors: 1 of 6 episodes, left out of all figures; up to 1% may be (--errors exclude" in shown.out
    assert sum(not s.valid for s in scores_of(path)) == 1
    _, shown = run(capsys, path, "--max-errors", "0.5", "--json", tmp_path / "left_out.json")
    assert "INVALID" not in shown.out
    assert "up to 50% may be" in shown.out
    _, shown = run(capsys, path, "--errors", "fail", "--json", tmp_path / "failed.json")
    assert "Harness errors: 1 of 6 episodes, counted as failures (--errors fail)." in shown.out
    assert "INVALID" not in shown.out
    left_out, failed = (orjson.loads((tmp_path / f"{name}.json").read_bytes()) for name in ("left_out", "failed"))
    assert (left_out["total"]["success"]["value"], left_out["total"]["success"]["episodes"]) == (1.0, 5)
    assert (failed["total"]["success"]["value"], failed["total"]["success"]["episodes"]) == (pytest.approx(5 / 6), 6)
    assert failed["total"]["spl"]["value"] < left_out["total"]["spl"]["value"]
    assert sum(not s.valid for s in scores_of(path)) == 1


def test_a_damaged_line_is_named_and_left_out(expert, tmp_path, capsys):
    path = tmp_path / "damaged"
    RunDirectory.create(path, {})
    lines = b"".join(s.read_bytes() for s in RunDirectory.open(expert).segments()).splitlines(keepends=True)
    odd = orjson.dumps({**orjson.loads(lines[2]), "stop": 7}) + b"\n"
    (path / "traces" / "segment-w-0.jsonl").write_bytes(lines[0] + b'{"episode_id":"x", broken\n' + odd)
    code, shown = run(capsys, path)
    assert code == 0
    assert shown.err.count("left out:") == 2
    assert len(scores_of(path)) == 1


def test_a_folder_that_is_no_run_is_wrong_input(tmp_path, capsys):
    code, shown = run(capsys, tmp_path)
    assert code == 2
    assert "no run in" in shown.err


def test_names_from_a_trace_cannot_steer_the_terminal(expert, tmp_path, capsys):
    path = tmp_path / "hostile"
    copy = RunDirectory.create(path, {})
    record = next(RunDirectory.open(expert).records())
    record["policy"] = {"name": "\x1b[31m[bold]evil"}
    with copy.lock(), copy.writer("w") as writer:
        writer.append(record)
    _, shown = run(capsys, path, "--by", "policy")
    assert "\x1b" not in shown.out
    assert "[bold]evil" in shown.out


def test_a_folder_of_runs_is_scored_run_by_run(tmp_path, capsys):
    store(tmp_path / "all" / "expert", "expert", faults=("clean",))
    store(tmp_path / "all" / "quitter", "quitter", faults=("rough",))
    code, shown = run(capsys, tmp_path / "all", "--by", "policy")
    assert code == 0
    assert "expert" in shown.out
    assert "quitter" in shown.out
    assert len(scores_of(tmp_path / "all" / "expert")) == len(scores_of(tmp_path / "all" / "quitter")) == 3


def test_a_sum_of_typed_answers_and_texts_says_so_and_can_be_parted(tmp_path, capsys):
    for answers in ("typed", "text"):
        store(tmp_path / answers, "expert", faults=("clean",), answers=answers)
    mixed = "Typed answers and texts are summed up together"
    assert mixed in run(capsys, tmp_path)[1].out
    assert mixed not in run(capsys, tmp_path / "typed")[1].out
    parted = run(capsys, tmp_path, "--by", "answers")[1].out
    assert mixed not in parted
    assert [line.split()[:2] for line in parted.splitlines() if line.startswith(("typed", "text "))] == [
        ["text", "3"],
        ["typed", "3"],
    ]
