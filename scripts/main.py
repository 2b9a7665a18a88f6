"""The `faultgym` command: finds the verb, runs it, and turns what it raises into a line and an exit code.

Exit codes: 0 done; 1 the verb's answer is no; 2 wrong input; 70 our own fault; 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from faultgym.core.errors import UserError
from faultgym.core.suggest import did_you_mean

if TYPE_CHECKING:
    import typer

WRONG_INPUT = 2
OUR_FAULT = 70
INTERRUPTED = 130
DESCRIPTION = "A gym for tool-using agents in which tools fail."
HELP = ("-h", "--help")


class Verb(NamedTuple):
    """One verb; its module, `faultgym.cli.<name>`, holds a typed function of that name, or a group of them.

    A tuple, for dataclasses take a third of the time in which `faultgym --help` has to be done.
    """

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


VERBS = (
    Verb("tasks", "List the suites' tasks; --check runs conformance kit and gate."),
    Verb("rollout", "Run episodes of a policy and store their traces."),
    Verb("score", "Score stored traces again, offline."),
    Verb("compare", "Compare policies on the same tasks and faults: better, worse, or not shown."),
    Verb("replay", "Re-execute traces and prove them, or name the first difference."),
    Verb("play", "Do a task yourself, in the terminal, and keep it as a demonstration."),
    Verb("import", "Take in chat logs and spans from elsewhere; prove those that name a task.", "import_logs"),
    Verb("export", "Write traces as chat logs or spans, for other tools."),
    Verb("build", "Make data sets for SFT, DPO, ORPO and KTO from stored traces."),
    Verb("train", "Train a model or an adapter: SFT, DPO, ORPO, KTO on such data sets, GRPO on the environments."),
    Verb("tiny", "Train the small model that needs no hub, from nothing, in a few minutes."),
    Verb("serve", "Offer a suite's service, with its faults, over a real socket."),
    Verb("serve-model", "Serve a model with vLLM until Ctrl-C.", "serve_model"),
    Verb("loop", "Do rounds of rollouts, data, training and comparison; promote what is better."),
    Verb("show", "Print one trace, or list a run's traces."),
    Verb("bench", "Measure speed, memory and start-up against their bounds; needs a checkout."),
    Verb("doctor", "Say what is installed, what works, and how to get the rest."),
    Verb("demo", "Show agents under faults, in seconds; with --loop, a model that gets better."),
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
            sys.excepthook(type(exc), exc, exc.__traceback__)
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
    """Do what the arguments say; typer and rich are imported only where a verb is run."""
    before = args[: args.index(verb)] if verb else args
    if not args or any(arg in HELP for arg in before):
        print(help_text())
        return 0 if args else WRONG_INPUT
    if "--version" in before:
        print(f"faultgym {import_module('faultgym').__version__}")
        return 0
    if before:
        raise UserError(f"faultgym has no option {before[0]}: `faultgym --help` lists options and verbs")
    return _run_verb(_verb_named(verb), args)


def help_text() -> str:
    """What `faultgym --help` prints: every verb with its line. Typer would take five times as long."""
    width = max(len(verb.name) for verb in VERBS)
    lines = ["Usage: faultgym VERB [ARGUMENTS]", "", DESCRIPTION, "", "Verbs:"]
    lines += [f"  {verb.name:{width}}  {verb.help}" for verb in VERBS]
    lines += ["", "Options:"]
    options = {"-h, --help": "Print this; after a verb: what it does and takes.", "--version": "Print the version."}
    options["--debug"] = "Print the traceback of an error."
    return "\n".join([*lines, *(f"  {name:{width}}  {what}" for name, what in options.items())])


def _verb_named(name: str) -> Verb:
    """The verb of that name; raises UserError that names the nearest."""
    for verb in VERBS:
        if verb.name == name:
            return verb
    hint = did_you_mean(name, [verb.name for verb in VERBS])
    raise UserError(f"faultgym has no verb {name!r}; {hint or '`faultgym --help` lists them'}")


def _run_verb(verb: Verb, args: list[str]) -> int:
    """Build the application with this one verb and run it; the exit code."""
    import typer  # here: `faultgym --help` does without it, and is done in a third of the time that it takes
    from typer.main import get_command

    app = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, context_settings={"help_option_names": [*HELP]}
    )
    app.callback()(_group)
    command = verb.load()
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=verb.name)
    else:
        app.command(verb.name)(command)
    try:
        get_command(app).main(args=args, prog_name="faultgym")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def _group() -> None:
    """Typer makes a group, whose commands are called by their names, only where it is given a callback."""


def _explain(exc: Exception, verb: str) -> tuple[str, int]:
    """One line for a person, and the exit code."""
    text = _one_line(str(exc))
    if isinstance(exc, UserError):
        return f"error: {text}", WRONG_INPUT
    if isinstance(exc, ModuleNotFoundError) and exc.name and not exc.name.startswith("faultgym"):
        from faultgym.cli.support.extras import missing_module  # metadata, which no other verb waits for

        return f"error: {missing_module(exc.name, verb)}", WRONG_INPUT
    if isinstance(exc, OSError) and exc.filename is not None:
        return f"error: {_one_line(str(exc.filename))}: {exc.strerror}", WRONG_INPUT
    if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF):
        _forget_stdout()  # what is still buffered cannot be written either
        return f"error: the output cannot be written: {exc.strerror}", WRONG_INPUT
    what = f"{type(exc).__name__}: {text}" if text else type(exc).__name__
    return f"internal error: {what} (please report it, with what --debug prints)", OUR_FAULT


def _one_line(text: str) -> str:
    """The text without line breaks and terminal escapes: messages may quote files and models."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.split()))


def _forget_stdout() -> None:
    """Whoever read our output has gone; nothing is left to say, at exit least of all."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # stdout is no file, or closed already
        return
