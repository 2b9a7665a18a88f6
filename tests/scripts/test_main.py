"""The command's frame: verbs are found lazily, and every failure is one line and an exit code."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

import faultgym
from faultgym.cli import main as main_module
from faultgym.cli.main import VERBS, Verb, main
from faultgym.core.errors import HarnessError, PlanError


@pytest.fixture
def verb(monkeypatch):
    """A verb `probe` that runs the given function; it is found the way every verb is found."""

    def install(function):
        def probe() -> None:
            """Probe the frame."""
            function()

        monkeypatch.setitem(sys.modules, "faultgym.cli.probe", SimpleNamespace(probe=probe))
        monkeypatch.setattr(main_module, "VERBS", (*VERBS, Verb("probe", "Probe the frame.")))

    return install


def raising(exc: BaseException):
    def function():
        raise exc

    return function


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)


def test_help_lists_every_verb(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for one in VERBS:
        assert f" {one.name} " in shown


def test_help_imports_no_verb():
    done = python(
        "import sys\n"
        "from faultgym.cli.main import VERBS, main\n"
        "assert main(['--help']) == 0\n"
        "loaded = {*(v.module for v in VERBS), 'typer', 'rich', 'dataclasses', 'gymnasium'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("one", VERBS, ids=lambda one: one.name)
def test_every_verb_has_a_function_of_its_name_and_explains_itself(one, capsys):
    assert callable(one.load())
    assert main([one.name, "--help"]) == 0
    assert "Usage: faultgym " + one.name in capsys.readouterr().out


def test_version_is_the_packages(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"faultgym {faultgym.__version__}\n"


def test_the_module_runs_as_the_command():
    done = subprocess.run([sys.executable, "-m", "faultgym", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"faultgym {faultgym.__version__}\n"


def test_an_unknown_verb_is_wrong_input(capsys):
    assert main(["frobnicate"]) == 2
    assert "frobnicate" in capsys.readouterr().err


def test_a_verb_that_is_misspelt_is_told_the_nearest(capsys):
    assert main(["scor"]) == 2
    assert capsys.readouterr().err == "error: faultgym has no verb 'scor'; did you mean score?\n"


def test_an_unknown_option_before_the_verb_is_wrong_input(capsys):
    assert main(["--verbose", "tasks"]) == 2
    assert "no option --verbose" in capsys.readouterr().err


def test_without_arguments_the_help_is_printed(capsys):
    assert main([]) == 2
    assert "Usage: faultgym" in capsys.readouterr().out


def test_a_verb_that_returns_is_success(verb):
    verb(lambda: None)
    assert main(["probe"]) == 0


def test_a_verbs_exit_code_is_the_commands(verb):
    verb(raising(typer.Exit(1)))
    assert main(["probe"]) == 1


def test_wrong_input_is_one_line_without_a_traceback(verb, capsys):
    verb(raising(PlanError("plan.json line 3: unknown kind 'flod'; did you mean 'flood'?")))
    assert main(["probe"]) == 2
    seen = capsys.readouterr()
    assert seen.err == "error: plan.json line 3: unknown kind 'flod'; did you mean 'flood'?\n"
    assert seen.out == ""


def test_terminal_escapes_in_a_message_are_shown_not_obeyed(verb, capsys):
    verb(raising(PlanError("bad name \x1b[2J\nsecond line")))
    assert main(["probe"]) == 2
    assert capsys.readouterr().err == "error: bad name \\x1b[2J second line\n"


def test_a_missing_file_is_wrong_input(verb, capsys):
    verb(Path("/nonexistent/trace.jsonl").read_text)
    assert main(["probe"]) == 2
    assert capsys.readouterr().err == "error: /nonexistent/trace.jsonl: No such file or directory\n"


@pytest.mark.parametrize("exc", [HarnessError("the server died"), ZeroDivisionError("division by zero")])
def test_our_own_faults_ask_to_be_reported(verb, capsys, exc):
    verb(raising(exc))
    assert main(["probe"]) == 70
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"internal error: {type(exc).__name__}: {exc}")
    assert "report" in lines[0]
    assert "--debug" in lines[0]


@pytest.mark.parametrize("args", [["--debug", "probe"], ["probe", "--debug"]])
def test_debug_prints_the_traceback_wherever_it_stands(verb, capsys, args):
    verb(raising(PlanError("no")))
    assert main(args) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("error: no\n")


def test_an_interrupt_is_one_line(verb, capsys):
    verb(raising(KeyboardInterrupt()))
    assert main(["probe"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(("module", "extra"), [("torch", "train"), ("uvicorn", "serve"), ("ray", "ray")])
def test_a_missing_extra_is_named_with_the_command_that_gets_it(verb, capsys, module, extra):
    verb(raising(ModuleNotFoundError(f"No module named '{module}.nn'", name=f"{module}.nn")))
    assert main(["probe"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: faultgym probe needs the extra '{extra}': ")
    assert f"install 'faultgym[{extra}]'" in err
    assert err.count("\n") == 1


def test_a_missing_module_of_our_own_is_our_fault(verb, capsys):
    verb(raising(ModuleNotFoundError("No module named 'faultgym.nothing'", name="faultgym.nothing")))
    assert main(["probe"]) == 70


def test_a_reader_that_leaves_early_is_met_with_silence():
    writer = (
        "import sys\n"
        "from types import SimpleNamespace\n"
        "from faultgym.cli import main as m\n"
        "def probe() -> None:\n"
        "    for _ in range(100_000): print('x' * 100)\n"
        "sys.modules['faultgym.cli.probe'] = SimpleNamespace(probe=probe)\n"
        "m.VERBS = (*m.VERBS, m.Verb('probe', ''))\n"
        "sys.exit(m.main(['probe']))\n"
    )
    process = subprocess.Popen([sys.executable, "-P", "-c", writer], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1
