"""`faultgym build sft|pairs|kto`: data sets from stored traces, ready for trainers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from faultgym.cli.progress import LINE_SECONDS
from faultgym.training.builds.inputs import OnProgress
from faultgym.training.filters.mix import MixWeights, SampleCaps, parse_mix
from faultgym.training.filters.select import MAX_CALL_RATIO
from faultgym.training.rows import Form, Reasoning

if TYPE_CHECKING:
    from faultgym.training.builds.pairs import PairOptions

build = typer.Typer(no_args_is_help=True, help="Make data sets for trainers from stored traces.")

SIZE = "How much"
SHAPE = "Form of the rows"
WORK = "Running"


class Kept(StrEnum):
    """What becomes of reasoning."""

    KEEP = "keep"
    INLINE = "inline"
    DROP = "drop"


class Rows(StrEnum):
    """What a row is."""

    MESSAGES = "messages"
    TURNS = "prompt-completion"
    TEXT = "text"


class Sourced(StrEnum):
    """Who makes continuations."""

    MIXED = "mixed"
    OWN = "own"
    SCRIPTED = "scripted"


class SourceRuns(StrEnum):
    """Whose success is chosen."""

    OWN = "own"
    BEST = "best"
    EXPERT = "expert"


class Forked(StrEnum):
    """Where traces are forked."""

    EVERY = "every"
    CRITICAL = "critical"
    SLIP = "slip"
    ANCHORED = "anchored"


FORMS: dict[Rows, Form] = {Rows.MESSAGES: "messages", Rows.TURNS: "turns", Rows.TEXT: "text"}
REASONING: dict[Kept, Reasoning] = {Kept.KEEP: "field", Kept.INLINE: "inline", Kept.DROP: "drop"}

Runs = Annotated[list[Path], typer.Argument(help="Folders of runs.")]
Out = Annotated[Path, typer.Option(help="The data set's folder: new, or with --resume the same as before.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a build that was stopped.", rich_help_panel=WORK)]
From = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="POLICY",
        help="Only traces of this policy, such as a teacher's; * stands for anything. May be repeated.",
    ),
]
Workers = Annotated[int, typer.Option(min=1, help="Processes.", rich_help_panel=WORK)]
Seed = Annotated[int, typer.Option(help="Which of several are taken, and their order.", rich_help_panel=SIZE)]
Push = Annotated[
    str, typer.Option("--push-to-hub", metavar="OWNER/NAME", help="Also upload it, as a private data set.")
]
Think = Annotated[
    Kept,
    typer.Option(help="keep: as reasoning_content; inline: as <think> in the content.", rich_help_panel=SHAPE),
]


@build.command()
def sft(
    runs: Runs,
    out: Out,
    policies: From = None,
    mix: Annotated[
        str,
        typer.Option(help="Shares of the kinds, or all to keep everything.", rich_help_panel=SIZE),
    ] = MixWeights().text(),
    max_call_ratio: Annotated[
        float,
        typer.Option(min=1, help="Most calls, as a multiple of the reference solution's.", rich_help_panel=SIZE),
    ] = MAX_CALL_RATIO,
    per_task: Annotated[int, typer.Option(min=1, help="Most examples of one task.", rich_help_panel=SIZE)] = (
        SampleCaps().per_task
    ),
    per_template: Annotated[
        int, typer.Option(min=1, help="Most examples of one template.", rich_help_panel=SIZE)
    ] = SampleCaps().per_template,
    seed: Seed = 0,
    reasoning: Think = Kept.KEEP,
    format: Annotated[Rows, typer.Option(help="What a row is.", rich_help_panel=SHAPE)] = Rows.MESSAGES,
    tokenizer: Annotated[
        str,
        typer.Option(help="For --format text: a tokenizer to render with.", rich_help_panel=SHAPE),
    ] = "",
    template: Annotated[
        str, typer.Option(help="For --format text: a chat template, such as qwen3.", rich_help_panel=SHAPE)
    ] = "",
    workers: Workers = 1,
    resume: Resume = False,
    push_to_hub: Push = "",
) -> None:
    """Verified examples to imitate: proven by replay, economical, de-duplicated, clear of the test splits.

    Stop it as you like: --resume goes on. Exits with 1 when nothing is left to learn from.
    """
    from faultgym.training.builds.check import ExampleCheck, policy_names
    from faultgym.training.builds.sft import SFTOptions, build_sft
    from faultgym.training.rows.rendering import Rendering

    rendering = Rendering(FORMS[format], REASONING[reasoning], tokenizer=tokenizer, template=template)
    check = ExampleCheck(max_call_ratio=max_call_ratio, policies=policy_names(policies or ()))
    options = SFTOptions(check, parse_mix(mix), SampleCaps(per_task, per_template), rendering=rendering, seed=seed)
    with progress() as on_progress:
        report = build_sft(runs, out, options, workers=workers, resume=resume, on_progress=on_progress)
    for line in report.lines():
        print(line)
    _push(out, push_to_hub)
    print(f"data set in {out}; read {out / 'README.md'}")
    if not report.rows:
        raise typer.Exit(1)


PairPolicy = Annotated[
    str, typer.Option(help="The policy whose traces these are, to sample continuations from.", rich_help_panel=SIZE)
]
Samples = Annotated[int, typer.Option(min=0, help="Continuations it is asked for per fork.", rich_help_panel=SIZE)]
Checks = Annotated[
    int, typer.Option(min=0, help="Further continuations that verify a chosen one.", rich_help_panel=SIZE)
]
Source = Annotated[
    Sourced,
    typer.Option(
        help="mixed: the policy's own continuations, the expert's and wrong moves; own: the policy's alone; scripted: "
        "all but the policy's.",
        rich_help_panel=SIZE,
    ),
]
Preferred = Annotated[
    SourceRuns,
    typer.Option(
        help="Which success is chosen. own: the policy's before the expert's; best: only if it is as good; expert: "
        "the expert's.",
        rich_help_panel=SIZE,
    ),
]
Where = Annotated[
    Forked,
    typer.Option(
        help="Where traces are forked. every: at every step; critical: at the first critical step of a failure; slip: "
        "at the first turn that is not worth imitating; anchored: there, and at every step of a trace without one.",
        rich_help_panel=SIZE,
    ),
]
Unaudited = Annotated[bool, typer.Option("--unaudited", help="Exit with 0 although the balance audit fails.")]


@build.command()
def pairs(
    runs: Runs,
    out: Out,
    policies: From = None,
    policy: PairPolicy = "",
    samples: Samples = 0,
    checks: Checks = 0,
    source: Source = Sourced.MIXED,
    prefer: Preferred = SourceRuns.OWN,
    at: Where = Forked.EVERY,
    reasoning: Think = Kept.KEEP,
    seed: Seed = 0,
    workers: Workers = 1,
    resume: Resume = False,
    unaudited: Unaudited = False,
    push_to_hub: Push = "",
) -> None:
    """Preference pairs for DPO and ORPO: one prefix, two continuations with verified different outcomes.

    Exits with 1 when the balance audit fails.
    """
    options = _options(policies, policy, samples, checks, source, prefer, at, reasoning, seed)
    _pairs(runs, out, options, "pairs", workers, resume, unaudited, push_to_hub)


@build.command()
def kto(
    runs: Runs,
    out: Out,
    policies: From = None,
    policy: PairPolicy = "",
    samples: Samples = 0,
    checks: Checks = 0,
    source: Source = Sourced.MIXED,
    prefer: Preferred = SourceRuns.OWN,
    at: Where = Forked.EVERY,
    reasoning: Think = Kept.KEEP,
    seed: Seed = 0,
    workers: Workers = 1,
    resume: Resume = False,
    unaudited: Unaudited = False,
    push_to_hub: Push = "",
) -> None:
    """The same pairs taken apart into labelled completions, for KTO.

    Exits with 1 when the balance audit fails.
    """
    options = _options(policies, policy, samples, checks, source, prefer, at, reasoning, seed)
    _pairs(runs, out, options, "labels", workers, resume, unaudited, push_to_hub)


def _options(
    policies: list[str] | None,
    policy: str,
    samples: int,
    checks: int,
    source: Sourced,
    prefer: SourceRuns,
    at: Forked,
    reasoning: Kept,
    seed: int,
) -> PairOptions:
    from faultgym.training.builds.check import policy_names
    from faultgym.training.builds.pairs import PairOptions

    return PairOptions(
        policy=policy,
        samples=samples,
        checks=checks,
        reasoning=REASONING[reasoning],
        seed=seed,
        source=source.value,
        prefer=prefer.value,
        at=at.value,
        policies=policy_names(policies or ()),
    )


def _pairs(
    runs: list[Path],
    out: Path,
    options: PairOptions,
    form: Literal["pairs", "labels"],
    workers: int,
    resume: bool,
    unaudited: bool,
    push_to_hub: str,
) -> None:
    from faultgym.training.builds.pairs import build_pairs

    with progress() as on_progress:
        report = build_pairs(runs, out, options, form=form, workers=workers, resume=resume, on_progress=on_progress)
    for line in report.lines():
        print(line)
    if not report.passed and not unaudited:
        raise typer.Exit(1)
    _push(out, push_to_hub)


def _push(out: Path, name: str) -> None:
    if name:
        from faultgym.training.builds.shards import push_to_hub

        print(f"pushed to {push_to_hub(out, name)}")


@contextmanager
def progress() -> Iterator[OnProgress]:
    """To be called with what is done, out of how many: a bar on a terminal, a line now and then elsewhere."""
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=None)
            yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)
        return
    said = time.monotonic()

    def on_progress(what: str, done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said >= LINE_SECONDS:
            said = time.monotonic()
            console.print(f"{what}: {done}/{total}", markup=False, highlight=False, soft_wrap=True)

    yield on_progress
