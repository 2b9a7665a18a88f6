"""A data set is the same for every order, worker count and interruption, and loads as it is."""

import json
import pickle
import random
import shutil
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from helpers import stored

from faultgym.agents.traces.trace import Trace
from faultgym.cli.main import main
from faultgym.core.errors import TraceError, UserError
from faultgym.training.builds.check import policy_names
from faultgym.training.builds.example_index import ExampleEntry, ExampleIndex
from faultgym.training.builds.pairs import build_pairs
from faultgym.training.builds.sft import SFTOptions, SFTReport, build_sft
from faultgym.training.filters.dedupe import DedupThresholds, deduplicated
from faultgym.training.filters.mix import MixWeights, SampleCaps, mixed
from faultgym.training.filters.select import select
from faultgym.training.rows import sft_row
from faultgym.training.rows.rendering import Rendering

TEMPLATES = ("order_status", "order_total", "cancel_order", "unknown_order", "basket_sum")


@pytest.fixture(scope="module")
def traces() -> list[Trace]:
    """Episodes of five templates: some right, some wrong, some twice."""
    tasks = [f"orders/{name}/train/{n}" for n in range(4) for name in TEMPLATES]
    right = [stored.played(task, faults) for task in tasks for faults in ("clean", "mild")]
    wrong = [stored.played(task, "mild", "quitter") for task in tasks[:5]]
    return [*right, *wrong]


@pytest.fixture(scope="module")
def runs(traces, tmp_path_factory) -> list[Path]:
    """Three runs that share some traces."""
    folder = tmp_path_factory.mktemp("runs")
    parts = {"a": traces[:20], "b": traces[20:], "c": traces[5:15]}
    return [stored.store(folder / name, part) for name, part in parts.items()]


def options(**changes) -> SFTOptions:
    return SFTOptions(**{"check": stored.check(), "mix": MixWeights({}, 0), **changes})


@pytest.fixture(scope="module")
def built(runs, tmp_path_factory) -> Path:
    """The data set of all three runs."""
    out = tmp_path_factory.mktemp("built") / "sft"
    build_sft(runs, out, options())
    return out


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def rows_of(folder: Path, cache: Path):
    from datasets import load_dataset

    return load_dataset(str(folder), cache_dir=str(cache))["train"]


def test_the_file_holds_what_the_pure_functions_give(built, traces, tmp_path):
    chosen, _ = mixed(deduplicated(e for t in traces if not hasattr(e := select(t), "reason")), MixWeights({}, 0))
    assert list(rows_of(built, tmp_path)) == [json.loads(json.dumps(sft_row(example))) for example in chosen]


def test_the_order_of_the_runs_makes_no_difference(built, runs, tmp_path):
    build_sft([*runs[1:], runs[0]], tmp_path / "sft", options())
    assert files(tmp_path / "sft") == files(built)


def test_the_order_of_the_traces_makes_no_difference_to_the_rows(built, traces, tmp_path):
    shuffled = [*traces, *traces[5:15]]
    random.Random(3).shuffle(shuffled)
    run = stored.store(tmp_path / "one", shuffled)
    build_sft([run], tmp_path / "sft", options())
    assert files(tmp_path / "sft" / "data") == files(built / "data")


def test_the_number_of_workers_makes_no_difference(built, runs, tmp_path):
    build_sft(runs, tmp_path / "sft", options(), workers=2)
    assert files(tmp_path / "sft") == files(built)


def test_caps_and_mix_in_the_file_are_those_of_the_pure_function(runs, traces, tmp_path):
    caps, mix, grades = SampleCaps(per_task=1, per_template=6), MixWeights(floor=1), DedupThresholds(0.8, 5)
    build_sft(runs, tmp_path / "sft", SFTOptions(stored.check(), mix, caps, grades, seed=5))
    examples = [e for t in traces if not hasattr(e := select(t), "reason")]
    chosen, report = mixed(deduplicated(examples, grades), mix, caps, seed=5)
    assert rows_of(tmp_path / "sft", tmp_path / "cache")["episode_id"] == [e.origin.episode_id for e in chosen]
    figures = orjson.loads((tmp_path / "sft" / "build.json").read_bytes())
    assert SFTReport.from_record(figures["report"]).mix == report


KILLED = """
import pickle, sys
from pathlib import Path
from faultgym.training.builds.sft import build_sft
from faultgym.training.builds import inputs
if __name__ == "__main__":
  inputs.CHUNK_LINES = 3
  options, *runs, out = map(Path, sys.argv[1:])
  build_sft(runs, out, pickle.loads(options.read_bytes()), workers=1, resume=True,
          on_progress=lambda what, done, total: print(what, done, flush=True))
"""


@pytest.fixture
def killed(runs, tmp_path):
    """The command for a build that tells how far it is; what test splits hold is handed over, to spare the time."""
    given = tmp_path / "options.pickle"
    given.write_bytes(pickle.dumps(options()))
    code = tmp_path / "killed.py"
    code.write_text(KILLED)
    return [sys.executable, str(code), str(given), *map(str, runs), str(tmp_path / "made" / "sft")]


def test_a_build_that_is_killed_again_and_again_gives_the_same_data_set(
    built, runs, killed, tmp_path, child_environment
):
    out = tmp_path / "made" / "sft"
    seen = []
    for after in ("verifying", "verifying", "writing"):
        with subprocess.Popen(killed, env=child_environment, stdout=subprocess.PIPE, text=True) as child:
            line = next(line for line in child.stdout if line.startswith(after))
            child.kill()
        seen.append(line)
        assert not out.exists()
    assert int(seen[1].split()[1]) > int(seen[0].split()[1])  # it went on where it was
    build_sft(runs, out, options(), resume=True)
    assert files(out) == files(built)
    assert [p.name for p in out.parent.iterdir()] == ["sft"]


def test_workers_end_with_a_parent_that_is_killed(killed, child_environment):
    code = Path(killed[1])
    code.write_text(code.read_text().replace("workers=1", "workers=2"))
    with subprocess.Popen(killed, env=child_environment, stdout=subprocess.PIPE, text=True) as child:
        next(line for line in child.stdout if line.startswith("verifying"))
        child.kill()
        child.stdout.read()  # comes to its end only when the last process that has it open is gone


def test_a_finished_build_is_not_made_again(built):
    before = {path: path.stat().st_mtime_ns for path in built.rglob("*")}
    report = build_sft([], built, options(), resume=True)
    assert report.to_record() == orjson.loads((built / "build.json").read_bytes())["report"]
    assert {path: path.stat().st_mtime_ns for path in built.rglob("*")} == before


def test_a_finished_build_of_other_options_is_not_taken_for_the_one_that_is_asked_for(built, runs):
    with pytest.raises(UserError, match="was built with other options"):
        build_sft(runs, built, replace(options(), seed=77), resume=True)
    with pytest.raises(UserError, match="was built with other options"):
        build_pairs(runs, built, resume=True)


def test_what_is_there_already_is_not_overwritten(built, runs):
    with pytest.raises(UserError, match="there already"):
        build_sft(runs, built, options())


def test_an_unfinished_build_is_neither_overwritten_nor_taken_for_another(runs, tmp_path):
    def stop(what, done, total):
        raise KeyboardInterrupt

    out = tmp_path / "sft"
    with pytest.raises(KeyboardInterrupt):
        build_sft(runs, out, options(), on_progress=stop)
    with pytest.raises(UserError, match="--resume"):
        build_sft(runs, out, options())
    with pytest.raises(UserError, match="other options"):
        build_sft(runs, out, options(seed=1), resume=True)
    with pytest.raises(UserError, match="other traces"):
        build_sft(runs[:1], out, options(), resume=True)
    assert build_sft(runs, out, options(), resume=True).rows


def test_two_builds_do_not_share_a_folder(runs, tmp_path):
    work = tmp_path / ".sft.building"
    work.mkdir()
    with closing(ExampleIndex(work / "index.sqlite")), pytest.raises(UserError, match="in use"):
        build_sft(runs, tmp_path / "sft", options(), resume=True)


def test_a_run_that_is_none_and_one_named_twice_are_refused(runs, tmp_path):
    with pytest.raises(TraceError, match="no run"):
        build_sft([tmp_path], tmp_path / "a", options())
    with pytest.raises(UserError, match="twice"):
        build_sft([runs[0], runs[0]], tmp_path / "b", options())
    with pytest.raises(UserError, match="twice"):
        build_pairs([runs[0], runs[0].parent], tmp_path / "c")
    assert list(tmp_path.iterdir()) == []  # so that the command can be given again, put right


def test_a_folder_that_holds_runs_stands_for_them(built, runs, tmp_path):
    build_sft([runs[0].parent], tmp_path / "sft", options())
    assert files(tmp_path / "sft") == files(built)


def test_a_torn_tail_is_passed_over(runs, built, tmp_path):
    copies = [Path(shutil.copytree(run, tmp_path / run.name)) for run in runs]
    with next(copies[0].glob("traces/*.jsonl")).open("ab") as file:
        file.write(b'{"episode_id":"torn')
    build_sft(copies, tmp_path / "sft", options())
    assert files(tmp_path / "sft" / "data") == files(built / "data")


def test_turns_are_a_row_each_and_end_in_an_assistant_turn(runs, tmp_path):
    report = build_sft(runs, tmp_path / "sft", options(rendering=Rendering("turns", "drop")))
    rows = rows_of(tmp_path / "sft", tmp_path / "cache")
    assert len(rows) == report.rows > report.examples
    for row in rows:
        (said,) = row["completion"]
        assert said["role"] == "assistant"
        assert "reasoning_content" not in said


def test_text_is_rendered_with_a_named_template(runs, tmp_path):
    pytest.importorskip("transformers")
    build_sft(runs, tmp_path / "sft", options(rendering=Rendering("text", template="chatml")))
    for row in rows_of(tmp_path / "sft", tmp_path / "cache"):
        assert row["text"].startswith("<|im_start|>system")
        assert "http" in row["text"] or "sql" in row["text"]


def test_a_build_that_is_left_with_nothing_says_why(tmp_path):
    run = stored.store(tmp_path / "run", [stored.played("orders/order_status/train/0", policy="null")])
    report = build_sft([run], tmp_path / "sft", options())
    assert (report.rows, report.rejected) == (0, {"failed": 1})
    assert "its verdict is no success" in (tmp_path / "sft" / "README.md").read_text()


def test_the_card_says_what_there_is_and_how_to_make_it_again(runs, built):
    card = (built / "README.md").read_text()
    figures = orjson.loads((built / "build.json").read_bytes())
    report = SFTReport.from_record(figures["report"])
    for words in (*report.rejected, *report.left_out, *report.mix.templates, "--mix all", "faultgym build sft"):
        assert words in card
    for segment in figures["inputs"]:
        assert segment["sha256"] in card
    assert report.traces == report.verified + sum(report.rejected.values())
    assert report.verified == report.examples + sum(report.left_out.values())


def test_the_card_counts_the_outcomes_of_typed_answers(tmp_path):
    names = ("order_status", "cancel_order", "unknown_order")
    traces = [stored.played(f"orders/{name}/train/{n}", answers="typed") for name in names for n in range(2)]
    traces.append(stored.played("orders/order_total/train/0", answers="text"))
    report = build_sft([stored.store(tmp_path / "run", traces)], tmp_path / "set", options())
    assert report.outcomes == {"done": 2, "answered": 2, "not_found": 2, "text": 1}
    assert "| done | 2 | 28.6% |" in (tmp_path / "set" / "README.md").read_text()
    assert "outcomes: done 2, answered 2, not_found 2, text 1" in list(report.lines())


def test_names_from_traces_cannot_break_the_card(tmp_path):
    trace = stored.played("orders/order_status/train/0")
    planted = {**trace.to_record(), "episode_id": "a|b\n<script>", "schema_version": "1|2\n# Title"}
    run = stored.store(tmp_path / "run", [planted, trace])
    build_sft([run], tmp_path / "sft", options())
    card = (tmp_path / "sft" / "README.md").read_text()
    assert "<script>" not in card
    assert "\n# Title" not in card


def test_only_the_traces_of_a_named_policy_are_taken(runs, tmp_path):
    check = replace(stored.check(), policies=("quit*",))
    report = build_sft(runs, tmp_path / "none", options(check=check))
    assert report.traces - report.rejected["other_policy"] == 5
    check = replace(stored.check(), policies=("expert",))
    build_sft(runs, tmp_path / "teacher", options(check=check))
    card = (tmp_path / "teacher" / "README.md").read_text()
    assert "--from expert" in card
    assert "of another policy than asked for" in card


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("openai:Qwen/Qwen3-32B@http://gpu:8000/v1?temperature=0.7", "openai:Qwen/Qwen3-32B"),
        ("hf:smollm2?temperature=1&batch=4", "hf:smollm2"),
        ("openai:*", "openai:*"),
        ("human", "human"),
    ],
)
def test_a_policy_may_be_named_as_for_a_rollout(given, name):
    assert policy_names([given]) == (name,)


def test_a_build_that_another_release_began_is_not_resumed(runs, tmp_path, monkeypatch):
    def stop(what, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_sft(runs, tmp_path / "sft", options(), on_progress=stop)
    monkeypatch.setattr("faultgym.training.builds.record.FORMAT", 1)
    with pytest.raises(UserError, match="of another release; delete its folder"):
        build_sft(runs, tmp_path / "sft", options(), resume=True)


@pytest.mark.parametrize("most", [40, 90, 130])
def test_a_full_disk_is_said_and_the_build_goes_on_when_there_is_room(built, runs, tmp_path, most):
    import resource

    out = tmp_path / "sft"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most << 10, limits[1]))
    try:
        with pytest.raises(UserError, match="free some space, then go on with --resume"):
            build_sft(runs, out, options())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not out.exists()
    build_sft(runs, out, options(), resume=True)
    assert files(out) == files(built)


def test_a_set_of_tools_is_stored_once_also_after_a_chunk_that_was_rolled_back():
    one = stored.example("orders/order_status/train/0")
    other = replace(stored.example("orders/order_status/train/1"), tools=one.tools)
    with closing(ExampleIndex()) as index:
        index.plan([])
        with pytest.raises(AttributeError):
            index.finish(0, [ExampleEntry.of(one, 0), None])
        index.finish(0, [ExampleEntry.of(one, 0), ExampleEntry.of(other, 0)])
        index.choose(DedupThresholds(near=2.0), SampleCaps(), MixWeights({}, 0))
        assert {e.tools for e in map(_dumped, index.chosen())} == {e.tools for e in map(_dumped, [one])}
        assert index._db.execute("SELECT count(*) FROM toolsets").fetchone() == (1,)


def _dumped(example):
    return replace(example, tools=orjson.dumps(example.tools))


def test_a_tokenizer_goes_with_text_only(runs, tmp_path):
    with pytest.raises(UserError, match="text"):
        build_sft(runs, tmp_path / "a", options(rendering=Rendering("messages", tokenizer="x")))
    with pytest.raises(UserError, match="--template"):
        build_sft(runs, tmp_path / "b", options(rendering=Rendering("text")))
    assert list(tmp_path.iterdir()) == []


def test_an_index_counts_exact_duplicates_and_keeps_the_first_by_id():
    one = stored.several()[0]
    other = replace(one, origin=replace(one.origin, episode_id="0"))
    with closing(ExampleIndex()) as index:
        index.plan([])
        index.finish(0, [ExampleEntry.of(e, 0) for e in (one, other, one)])
        _, duplicates = index.choose(DedupThresholds(), SampleCaps(), MixWeights({}, 0))
        assert duplicates == {"exact_duplicate": 2}
        assert list(index.chosen()) == [other]


def test_the_verb_builds_and_says_what_it_did(runs, tmp_path, capsys):
    out = tmp_path / "sft"
    assert main(["build", "sft", *map(str, runs), "--out", str(out), "--mix", "all", "--per-task", "9"]) == 0
    said = capsys.readouterr().out
    assert "worth imitating" in said
    assert str(out) in said
    assert main(["build", "sft", str(runs[0]), "--out", str(out)]) == 2
    assert "there already" in capsys.readouterr().err


def test_the_verb_fails_when_nothing_is_left(tmp_path):
    run = stored.store(tmp_path / "run", [stored.played("orders/order_status/test/0")])
    assert main(["build", "sft", str(run), "--out", str(tmp_path / "sft")]) == 1


@pytest.mark.parametrize("form", ["sft", "pairs"])
def test_a_build_of_what_is_kept_for_tests_says_so_and_what_to_do(tmp_path, capsys, form):
    run = stored.store(tmp_path / "run", [stored.played("orders/order_status/test/0", "mild")])
    assert main(["build", form, str(run), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().out
    assert (
        "1 of 1 traces were not taken: its task is of a split that is kept for tests. Roll out with --split train."
        in said
    )
