"""The `faultgym` command: finds the verb, runs it, and turns what it raises into a line and an exit code.

Exit codes: 0 done; 1 the verb's answer is no; 2 wrong input; 70 our own fault; 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.main import get_command

WRONG_INPUT = 2
OUR_FAULT = 70
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb; its module, `faultgym.cli.<name>`, holds a typed function of that name, or a group of them."""

    name: str
    help: str
    """One line for `faultgym --help`, which imports no verb."""
    other_name: str = ""
    """What module and function are called where Python cannot call them by the verb's name."""

    @property
    def module(self) -> str:
        """The module that holds it."""
        return f"faultgym.cli.{self.other_name or self.name}"

    def load(self) -> Callable[..., Any] | typer.Typer:
        """The function that typer turns into the command, or a group of sub-verbs."""
        command: Callable[..., Any] | typer.Typer = getattr(import_module(self.module), self.other_name or self.name)
        return command

    def stub(self) -> Callable[[], None]:
        """What stands in the list of verbs for one that is not being run."""

        def not_loaded() -> None:
            raise AssertionError(f"the verb {self.name} ran without having been loaded")

        return not_loaded


VERBS = (
    Verb("tasks", "List the suites' tasks; --check runs the gate over them."),
    Verb("rollout", "Run episodes of a policy and store their traces."),
    Verb("score", "Score stored traces again, offline."),
    Verb("compare", "Compare policies on the same tasks and faults: better, worse, or not shown."),
    Verb("replay", "Re-execute a trace and prove it, or name the first difference."),
    Verb("play", "Do a task yourself, in the terminal, and keep it as a demonstration."),
    Verb("import", "Take in chat logs and spans from elsewhere; prove those that name a task.", "import_logs"),
    Verb("export", "Write traces as chat logs or spans, for other tools."),
    Verb("build", "Make data sets for SFT, DPO, ORPO and KTO from stored traces."),
    Verb("train", "Train a model or an adapter: SFT, DPO, ORPO, KTO on such data sets, GRPO on the environments."),
    Verb("tiny", "Train the small model that needs no hub, from nothing, in a few minutes."),
    Verb("serve", "Offer a suite's service, with its faults, over a real socket."),
    Verb("serve-model", "Serve a model with vLLM until Ctrl-C.", "serve_model"),
    Verb("loop", "Do rounds of rollouts, data, training and comparison; promote what is better."),
    Verb("show", "Print one trace."),
    Verb("bench", "Time the hot paths against their bare counterparts."),
    Verb("doctor", "Say what is installed, what works, and how to get the rest."),
    Verb("demo", "Roll out, break, score and explain a few episodes: the whole story in two minutes."),
)


def main(argv: list[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    debug = _take_debug(args)
    verb = next((arg for arg in args if not arg.startswith("-")), "")
    code = OUR_FAULT
    try:
        code = _run(args, verb)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return 1
    except Exception as exc:
        if debug:
            traceback.print_exc()
        message, code = _explain(exc, verb)
        print(message, file=sys.stderr)
    if code == INTERRUPTED:
        print("interrupted", file=sys.stderr)
        if argv is None:  # an interpreter that goes down would die of one more Ctrl-C, with another exit code
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code


def _take_debug(args: list[str]) -> bool:
    """Remove --debug, wherever it stands before a `--`, and say whether it was there."""
    end = args.index("--") if "--" in args else len(args)
    found = "--debug" in args[:end]
    args[:end] = [arg for arg in args[:end] if arg != "--debug"]
    return found


def _run(args: list[str], verb: str) -> int:
    command = get_command(_build(verb))
    try:
        command.main(args=args, prog_name="faultgym")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def _build(wanted: str) -> typer.Typer:
    """The application with one verb loaded and the others present by name and help only.

    The library's own group type is not subclassed: it has moved between typer's releases.
    """
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for verb in VERBS:
        command = verb.load() if verb.name == wanted else None
        if command is None:
            app.command(verb.name, help=verb.help)(verb.stub())
        elif isinstance(command, typer.Typer):
            app.add_typer(command, name=verb.name)
        else:
            app.command(verb.name)(command)
    return app


def _print_version(asked: bool) -> None:
    if asked:
        from faultgym import __version__

        print(f"faultgym {__version__}")
        raise typer.Exit()


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print the traceback of an error.")] = False,
) -> None:
    """A gym for tool-using agents in which tools fail."""


def _explain(exc: Exception, verb: str) -> tuple[str, int]:
    """One line for a person, and the exit code."""
    from faultgym.core.errors import UserError

    text = _one_line(str(exc))
    if isinstance(exc, UserError):
        return f"error: {text}", WRONG_INPUT
    if isinstance(exc, ModuleNotFoundError) and exc.name and not exc.name.startswith("faultgym"):
        return f"error: {_explain_missing(exc.name.partition('.')[0], verb)}", WRONG_INPUT
    if isinstance(exc, OSError) and exc.filename is not None:
        return f"error: {_one_line(str(exc.filename))}: {exc.strerror}", WRONG_INPUT
    if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF):
        _forget_stdout()  # what is still buffered cannot be written either
        return f"error: the output cannot be written: {exc.strerror}", WRONG_INPUT
    what = f"{type(exc).__name__}: {text}" if text else type(exc).__name__
    return f"internal error: {what} (please report it, with what --debug prints)", OUR_FAULT


def _explain_missing(module: str, verb: str) -> str:
    from faultgym.cli.extras import extra_command, extra_for

    if extra := extra_for(module):
        return f"faultgym {verb} needs the extra '{extra}': {extra_command(extra)}"
    return f"faultgym {verb} needs the module '{module}', which is not installed: {extra_command('')}"


def _one_line(text: str) -> str:
    """The text without line breaks and terminal escapes: messages may quote files and models."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.split()))


def _forget_stdout() -> None:
    """Whoever read our output has gone; nothing is left to say, at exit least of all."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # stdout is no file, or closed already
        return
