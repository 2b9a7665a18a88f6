"""The commands that verbs print can be run: they call faultgym as it was called."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from faultgym.cli.support.calling import command


@pytest.fixture
def called(monkeypatch):
    """What `command` prints where faultgym was called by that path, with that PATH."""

    def run(argv0: Path, path: Path) -> str:
        monkeypatch.setattr(sys, "argv", [str(argv0)])
        monkeypatch.setenv("PATH", str(path))
        return command("score", "runs/my run")

    return run


def script(folder: Path) -> Path:
    made = folder / "faultgym"
    folder.mkdir(exist_ok=True)
    made.write_text("#!/bin/sh\n")
    made.chmod(0o755)
    return made


def test_the_command_on_the_path_is_called_by_its_name(called, tmp_path):
    assert called(script(tmp_path / "bin"), tmp_path / "bin") == "faultgym score 'runs/my run'"


def test_a_command_that_is_not_on_the_path_is_called_by_where_it_lies(called, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = script(tmp_path / "bin")
    assert called(made, tmp_path) == "bin/faultgym score 'runs/my run'"
    assert called(made, script(tmp_path / "other").parent) == "bin/faultgym score 'runs/my run'"


def test_the_module_is_called_as_a_module_by_the_interpreter_that_runs(called, tmp_path):
    module = tmp_path / "faultgym" / "__main__.py"
    assert called(module, tmp_path) == f"{sys.executable} -m faultgym score 'runs/my run'"
    assert called(module, Path(sys.executable).parent).startswith(("python -m", "python3 -m"))


def test_what_python_m_faultgym_prints_can_be_run(tmp_path):
    asked = ["rollout", "--template", "order_status", "--per-template", "1", "--faults", "clean", "--out", "run"]
    environment = {**os.environ, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-m", "faultgym", *asked],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    line = next(line for line in done.stdout.splitlines() if line.startswith("next: "))
    assert line == f"next: {sys.executable} -m faultgym score run"
    subprocess.run(line.removeprefix("next: "), cwd=tmp_path, env=environment, shell=True, check=True)
