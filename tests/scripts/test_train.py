"""`faultgym train`: what a person types, what they are told, and several processes."""

import json
import os
import socket
import subprocess
import sys

import pytest
from helpers import lessons

from faultgym.cli.main import main
from faultgym.cli.support.progress import training_progress
from faultgym.training.trainers.watch import TrainingStep

pytestmark = pytest.mark.slow

FEW = ["--max-steps", "2", "--batch-size", "2", "--set", "warmup_steps=0"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model and data sets."""
    folder = tmp_path_factory.mktemp("place")
    lessons.write_model(folder / "model")
    for form in ("messages", "pairs"):
        lessons.write_set(folder / form, form)
    return folder


def train(*words):
    return main(["train", *map(str, words)])


def test_a_run_from_a_file_and_options_says_what_came_of_it(place, tmp_path, capsys):
    file = tmp_path / "run.yaml"
    file.write_text(f"model: {place / 'model'}\ndata: [{place / 'pairs'}]\nlora_r: 2\nlearning_rate: 1e-3\n")
    out = tmp_path / "out"
    assert train("dpo", "--config", file, "--out", out, "--adapter", "dora", "--merge", *FEW) == 0
    said = capsys.readouterr()
    assert "2 steps in" in said.out
    assert "chosen_change" in said.out
    assert f"result in {out}" in said.out
    assert "step 2/2, loss" in said.err
    assert "Traceback" not in said.err
    settings = json.loads((out / "training.json").read_text())["config"]
    assert (settings["lora_r"], settings["learning_rate"], settings["adapter"], settings["merge"]) == (
        2,
        1e-3,
        "dora",
        True,
    )
    assert (out / "merged" / "model.safetensors").is_file()


def test_a_dry_run_tells_memory_and_time_and_writes_nothing(place, tmp_path, capsys):
    assert train("sft", place / "messages", "--model", place / "model", "--out", tmp_path / "out", "--dry-run") == 0
    said = capsys.readouterr().out
    for words in ("6 rows", "memory (by formula):", "free:", "time (from 2 timed batches):"):
        assert words in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dpo"], "model is missing"),
        (["dpo", "--model", "m", "--out", "o", "--set", "bta=1", "d"], "unknown setting 'bta' (did you mean 'beta'?)"),
        (["dpo", "--model", "m", "--out", "o", "--set", "beta", "d"], "write it as key=value"),
        (["dpo", "--model", "m", "--out", "o", "--device", "gpu", "d"], "device: 'gpu' is not allowed"),
        (["dpo", "--model", "m", "--out", "o", "nowhere"], "nowhere is no folder"),
        (["dpo", "--config", "nowhere.yaml"], "nowhere.yaml cannot be read"),
    ],
)
def test_wrong_words_are_one_line_and_exit_2(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert train(*words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_progress_away_from_a_terminal_is_a_line_now_and_then(capsys):
    now = [0.0]
    with training_progress(clock=lambda: now[0]) as on_step:
        for step in range(1, 31):
            now[0] += 1
            on_step(TrainingStep(step, 30, 0.5, float(step), 30.0 - step))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "step 10/30, loss 0.5000, 20 s left",
        "step 20/30, loss 0.5000, 10 s left",
        "step 30/30, loss 0.5000, 0 s left",
    ]


def test_accelerate_launches_two_processes_that_write_one_result(place, tmp_path):
    launch = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", port, "-m", "faultgym"]
    run = ["train", "sft", place / "messages", "--model", place / "model", "--out", tmp_path / "out", *FEW]
    command = [sys.executable, *launch, *map(str, run)]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert done.stdout.count("result in") == 1
    assert lessons.weights(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "training.json").read_text())["result"]["steps"] == 2
