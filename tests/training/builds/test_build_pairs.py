"""Builds of pairs and labels: the same bytes for any order, worker count and interruption; loadable; honest."""

import json
import shutil
from contextlib import closing
from dataclasses import replace

import pytest
from helpers import stored
from helpers.forked import Wavering, broken, trace_of, traces

from faultgym.agents.registry import policy_named
from faultgym.agents.storage.store import RunDirectory
from faultgym.core.errors import UserError
from faultgym.envs.limits import Limits
from faultgym.training.builds import pairs as module
from faultgym.training.builds.inputs import Inputs
from faultgym.training.builds.pair_check import PairCheck
from faultgym.training.builds.pair_index import PairIndex
from faultgym.training.builds.pairs import PairOptions, PairReport, build_pairs

pytest.importorskip("datasets")
pytest.importorskip("sklearn")
OPTIONS = PairOptions(per_trace=5)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of twenty-odd traces each, stored."""
    folders = []
    for policy in ("expert", "repeater"):
        own = [t for t in traces((policy,), ("rough",)) if t.task.suite == "orders"]
        folder = tmp_path_factory.mktemp("runs") / policy
        run = RunDirectory.create(folder, {"episodes": len(own)})
        with run.lock(), run.writer("main") as writer:
            for trace in own:
                writer.append(trace.to_record())
        folders.append(folder)
    return folders


@pytest.fixture(scope="module")
def built(runs, tmp_path_factory):
    """(folder, report) of a build of pairs."""
    out = tmp_path_factory.mktemp("sets") / "pairs"
    return out, build_pairs(runs, out, OPTIONS)


def contents(folder):
    """All files of a data set that traces and options decide."""
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*.parquet"))}


def test_a_data_set_loads_and_holds_what_the_report_says(built):
    from datasets import load_dataset

    out, report = built
    rows = load_dataset(str(out), split="train")
    assert len(rows) == report.rows == sum(report.choice.kept.values()) > 50
    row = rows[0]
    assert [m["role"] for m in row["chosen"] + row["rejected"]] == ["assistant", "assistant"]
    assert json.loads(row["tools"])
    assert {row["kind"] for row in rows} <= set(report.choice.found)
    assert not set(rows["split"]) - {"train"}


def test_the_audit_is_on_the_card_in_the_figures_and_in_the_report(built):
    out, report = built
    card = (out / "README.md").read_text()
    assert "Balance audit: passed." in card
    assert "faultgym build pairs" in card
    for kind, count in report.choice.found.items():
        assert f"| {kind} | {count:,} |" in card
    stored = json.loads((out / "build.json").read_text())["report"]
    assert PairReport.from_record(stored).to_record() == report.to_record()
    assert all(auc["value"] is None or auc["value"] <= 0.6 for auc in stored["audit"]["aucs"].values())
    assert any("words pairwise" in line for line in report.lines())


def test_neither_order_nor_workers_change_a_byte(built, runs, tmp_path):
    out, _ = built
    build_pairs(runs[::-1], tmp_path / "again", OPTIONS, workers=2)
    assert contents(tmp_path / "again") == contents(out)


def test_a_build_that_was_stopped_goes_on_to_the_same_bytes(built, runs, tmp_path, monkeypatch):
    out, report = built
    real, seen = PairIndex.finish, []

    def stop(self, number, found):
        if seen:
            raise KeyboardInterrupt
        seen.append(number)
        real(self, number, found)

    monkeypatch.setattr(PairIndex, "finish", stop)
    with pytest.raises(KeyboardInterrupt):
        build_pairs(runs, tmp_path / "stopped", OPTIONS)
    monkeypatch.undo()
    assert not (tmp_path / "stopped").exists()
    with pytest.raises(UserError, match="--resume"):
        build_pairs(runs, tmp_path / "stopped", OPTIONS)
    assert build_pairs(runs, tmp_path / "stopped", OPTIONS, resume=True).to_record() == report.to_record()
    assert contents(tmp_path / "stopped") == contents(out)


def test_a_build_is_not_resumed_with_other_options(runs, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_fork", stop)
    with pytest.raises(KeyboardInterrupt):
        build_pairs(runs[:1], tmp_path / "set", OPTIONS)
    monkeypatch.undo()
    with pytest.raises(UserError, match="other options"):
        build_pairs(runs[:1], tmp_path / "set", PairOptions(seed=1), resume=True)


def test_resuming_a_finished_build_gives_its_report(built, runs):
    out, report = built
    assert build_pairs(runs, out, OPTIONS, resume=True).to_record() == report.to_record()


def test_a_folder_that_is_in_use_is_refused(built, runs):
    with pytest.raises(UserError, match="is there already"):
        build_pairs(runs, built[0], OPTIONS)


def test_labels_are_equally_frequent_and_no_prompt_comes_twice(runs, tmp_path):
    from datasets import load_dataset

    report = build_pairs(runs, tmp_path / "kto", OPTIONS, form="labels")
    rows = load_dataset(str(tmp_path / "kto"), split="train")
    labels = rows["label"]
    assert sum(labels) * 2 == len(labels) == report.rows
    assert len({json.dumps([row["prompt"], row["label"]]) for row in rows}) == len(rows)


def test_traces_of_test_splits_and_tampered_ones_are_not_forked(runs, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(runs[0], folder)
    segment = next((folder / "traces").glob("segment-*.jsonl"))
    lines = segment.read_text().splitlines()
    lines[0] = lines[0].replace("/train/", "/test/")
    lines[1] = lines[1].replace("HTTP 200 OK", "HTTP 299 OK").replace('"source\\":\\"primary', '"source\\":\\"tertiary')
    segment.write_text("\n".join(lines) + "\n")
    report = build_pairs([folder], tmp_path / "set", OPTIONS)
    assert sum(report.rejected.values()) == 2
    assert set(report.rejected) <= {"other_split", "unreadable", "not_proven"}


def test_a_success_that_is_only_claimed_is_not_forked(tmp_path):
    """Of a model, whose turns nobody can play anew, too."""
    trace = trace_of(Wavering(1.0), "orders/order_status/train/0")
    assert not trace.verdict.success
    lie = replace(trace, verdict=replace(trace.verdict, success=True))
    folder = stored.store(tmp_path / "run", [lie])
    assert build_pairs([folder], tmp_path / "set", OPTIONS).rejected == {"not_proven": 1}


def test_a_trace_of_a_template_that_is_gone_is_of_an_unknown_task(tmp_path):
    trace = stored.played("orders/order_status/train/0:http")
    gone = replace(trace, task=replace(trace.task, id="orders/teleport/train/0", template="teleport"))
    folder = stored.store(tmp_path / "run", [stored.with_own_id(gone)])
    assert build_pairs([folder], tmp_path / "set", OPTIONS).rejected == {"unknown_task": 1}


def test_one_trace_that_breaks_does_not_keep_the_others_from_being_used(runs, tmp_path, monkeypatch):
    def breaks(trace, *args, **kwargs):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("faultgym.training.builds.pair_check.find_pairs", breaks)
    report = build_pairs(runs[:1], tmp_path / "set", OPTIONS)
    assert report.rejected == {"not_checked": report.traces}


def test_pairs_at_critical_steps_alone_name_their_step(runs, tmp_path):
    from datasets import load_dataset

    report = build_pairs(runs, tmp_path / "set", PairOptions(at="critical", policies=("repeater",), per_trace=4))
    rows = load_dataset(str(tmp_path / "set"), split="train")
    assert rows.num_rows == report.rows > 0
    assert rows["fork_step"] == rows["critical_step"]
    assert report.choice.critical > 0
    assert not report.passed  # a repeater alone gives no mirror images
    assert set(rows["policy"]) == {"repeater"}
    assert report.rejected["other_policy"]
    card = (tmp_path / "set" / "README.md").read_text()
    assert "--at critical --from repeater" in card
    assert f"{report.choice.critical:,} reject what a failed trace did at its first critical step" in card


def test_samples_of_a_stochastic_model_become_pairs_in_a_data_set(tmp_path):
    """The model knows nothing: what it does is rejected, and the expert's way is chosen."""
    model = "hf:tiny-random?temperature=1&max_tokens=8"
    tasks = [f"orders/{name}/train/0" for name in ("order_status", "order_total")]
    traces = [trace_of(policy_named("repeater"), t, broken("rate_limited", 9), limits=Limits(turns=4)) for t in tasks]
    assert not any(trace.verdict.success for trace in traces)
    check = PairCheck(options=PairOptions(model, samples=3, checks=2, at="first_error"), held=stored.check().held)
    folder = stored.store(tmp_path / "run", traces)
    (chunk,) = Inputs().scan([folder])
    entries = check.chunk(chunk, 0)
    with closing(PairIndex()) as index:
        index.plan([])
        index.finish(0, entries)
        pairs = [index._unpacked(*row) for row in index._db.execute("SELECT data, tools FROM pair_bodies")]
    own = [p for p in pairs if any(call["id"].startswith("t0") for call in p.rejected[0].get("tool_calls", ()))]
    assert own  # a model's calls are numbered by turns, those of scripts are not
    assert {pair.source for pair in own} == {"expert"}


def test_reasoning_can_be_dropped_before_the_audit(runs, tmp_path):
    from datasets import load_dataset

    build_pairs(runs[:1], tmp_path / "bare", PairOptions(per_trace=2, reasoning="drop"))
    rows = load_dataset(str(tmp_path / "bare"), split="train")
    assert not any("reasoning_content" in m for row in rows for m in row["prompt"] + row["chosen"] + row["rejected"])


def test_a_data_set_whose_audit_fails_is_written_and_says_so(runs, tmp_path, monkeypatch):
    monkeypatch.setattr("faultgym.training.builds.pair_index.balanced", lambda surfaces: [True] * len(surfaces))
    monkeypatch.setattr("faultgym.training.preferences.audit.LIMIT", 0.01)
    report = build_pairs(runs[:1], tmp_path / "set", OPTIONS)
    assert not report.passed
    assert "Balance audit: FAILED." in (tmp_path / "set" / "README.md").read_text()
