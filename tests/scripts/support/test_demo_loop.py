"""The demo's second half, on the smallest model and a handful of episodes."""

import io
import shutil
from dataclasses import replace

import pytest
from rich.console import Console

pytest.importorskip("torch")

from benchmarks.results import part_of
from faultgym.cli.support.demo_loop import close_the_loop, models_of, watched_on
from faultgym.cli.support.trial import EXAMS, Trial, cell_of, examine

pytestmark = pytest.mark.slow

STEPS = {"max_steps": 1, "batch_size": 2, "accumulation": 1, "report_to": [], "too_long": "drop"}
TRIAL = Trial(
    "tiny-random",
    "max_tokens=16&batch=16",
    templates={"orders": ("order_status",)},
    episodes=6,
    pair_episodes=12,
    per_template=1,
    dev_tasks=1,
    sft=STEPS,
    pref=STEPS,
)


def told(folder, trial=TRIAL):
    console = Console(file=io.StringIO(), width=100)
    comparison = close_the_loop(console, folder, trial, 0)
    return comparison, console.file.getvalue()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return folder, *told(folder)


def test_the_base_and_what_came_of_it_pass_the_same_exams(done):
    folder, comparison, said = done
    assert [one.run.name for one in comparison.against] == ["SFT", "SFT + DPO"]
    for place in ("base", "sft", "dpo"):
        assert sorted(path.name for path in (folder / "exams" / place).iterdir()) == sorted(e.name for e in EXAMS)
    for one in comparison.against:
        assert len(one.pairing.pairs) == len(EXAMS)
    assert "recovery, unseen kinds" in said


def test_a_demo_that_is_called_again_makes_nothing_again(done):
    folder, comparison, _ = done
    made = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    again, _ = told(folder)
    assert again.to_json() == comparison.to_json()
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")} == made


def test_the_results_page_has_a_part_for_a_further_model(done):
    folder, comparison, _ = done
    made = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    part = part_of(folder, TRIAL, Console(file=io.StringIO()))
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ") for line in reversed(part.splitlines())}
    assert "## tiny-random" in part
    for one in comparison.against:
        (clean,) = (cell_of(one, exam) for exam in EXAMS if exam.name == "clean")
        assert f"{clean.base:.0%} → {clean.other:.0%}" in rows[one.run.name][2]
        assert float(rows[one.run.name][6]) >= 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")} == made


def test_another_trial_in_the_same_folder_is_refused_and_nothing_is_lost(done):
    from faultgym.core.errors import UserError

    folder, _, _ = done
    with pytest.raises(UserError, match="episodes"):
        told(folder, replace(TRIAL, episodes=7))
    assert (folder / "loop" / "registry.json").is_file()


def test_an_exam_is_not_taken_for_that_of_other_weights(done):
    folder, _, _ = done
    note = folder / "exams" / ".sft.weights"
    note.write_text("of another training")
    before = (folder / "exams" / "sft" / "clean" / "plan.json").stat().st_mtime_ns
    told(folder)
    assert note.read_text() != "of another training"
    assert (folder / "exams" / "sft" / "clean" / "plan.json").stat().st_mtime_ns != before


def test_a_result_that_is_no_stage_of_a_loop_is_examined_too(done, tmp_path):
    folder, _, _ = done
    trained = shutil.copytree(folder / "loop" / "rounds" / "01" / "sft", tmp_path / "trained")
    (trained / "stage.json").unlink()
    run = examine(TRIAL, "alone", trained, tmp_path / "exam", say=print, watched=watched_on(Console(quiet=True)))
    assert len(run.episodes) == len(EXAMS)


def test_a_preference_stage_without_sft_is_not_called_both(tmp_path):
    for stage in ("sft", "pref"):
        (tmp_path / "rounds" / "01" / stage).mkdir(parents=True)
    assert list(models_of(tmp_path)) == ["base", "SFT", "SFT + DPO"]
    (tmp_path / "rounds" / "01" / "sft").rmdir()
    assert list(models_of(tmp_path)) == ["base", "DPO"]
