"""`faultgym build sft|pairs|kto`: data sets from stored traces, ready for trainers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from faultgym.cli.support.progress import build_progress
from faultgym.training.builds.check import ExampleCheck, filters_named, policy_names
from faultgym.training.builds.pair_options import PairOptions
from faultgym.training.builds.pairs import build_pairs
from faultgym.training.builds.sft import SFTOptions, build_sft
from faultgym.training.builds.shards import push_to_hub
from faultgym.training.filters.mix import MixWeights, SampleCaps, parse_mix
from faultgym.training.filters.select import MAX_CALL_RATIO
from faultgym.training.forks.positives import Kind, Prefer
from faultgym.training.preferences.pairs import At
from faultgym.training.rows import Form, Reasoning
from faultgym.training.rows.rendering import Rendering

build = typer.Typer(no_args_is_help=True, help="Make data sets for trainers from stored traces.")

SIZE = "How much"
SHAPE = "Form of the rows"
WORK = "Running"

FormName = Literal["messages", "prompt-completion", "text"]
FORMS: dict[FormName, Form] = {"messages": "messages", "prompt-completion": "turns", "text": "text"}
ReasoningName = Literal["keep", "inline", "drop"]
REASONING: dict[ReasoningName, Reasoning] = {"keep": "field", "inline": "inline", "drop": "drop"}

Runs = Annotated[list[Path], typer.Argument(help="Folders of runs, or folders that hold some.")]
Out = Annotated[Path, typer.Option(help="The data set's folder: new, or with --resume the same as before.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a build that was stopped.", rich_help_panel=WORK)]
From = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="POLICY",
        help="Only traces of this policy, such as a teacher's (* stands for anything); the option may be repeated.",
    ),
]
Filters = Annotated[
    list[str] | None,
    typer.Option("--filter", metavar="NAME", help="A further data filter, by name; the option may be repeated."),
]
Workers = Annotated[int, typer.Option(min=1, help="Processes that read traces.", rich_help_panel=WORK)]
Seed = Annotated[int, typer.Option(help="Which of several are taken, and their order.", rich_help_panel=SIZE)]
Push = Annotated[
    str, typer.Option("--push-to-hub", metavar="OWNER/NAME", help="Also upload it, as a private data set.")
]
Think = Annotated[
    ReasoningName,
    typer.Option(
        help="keep: as reasoning_content; inline: as <think> in the content; drop: not at all.", rich_help_panel=SHAPE
    ),
]


@build.command()
def sft(
    runs: Runs,
    out: Out,
    policies: From = None,
    filters: Filters = None,
    mix: Annotated[
        str,
        typer.Option(help="Shares of the kinds of examples, or all to keep everything.", rich_help_panel=SIZE),
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
    reasoning: Think = "keep",
    format: Annotated[
        FormName,
        typer.Option(
            help="A row: an episode, one of its turns with all before it, or rendered text.", rich_help_panel=SHAPE
        ),
    ] = "messages",
    tokenizer: Annotated[
        str,
        typer.Option(help="For --format text: a tokenizer to render with.", rich_help_panel=SHAPE),
    ] = "",
    template: Annotated[
        str, typer.Option(help="For --format text: a chat template, such as qwen3.", rich_help_panel=SHAPE)
    ] = "",
    workers: Workers = 1,
    resume: Resume = False,
    push: Push = "",
) -> None:
    """Verified examples to imitate: proven by replay, economical, de-duplicated, clear of the test splits.

    Stop it as you like: --resume goes on. Exits with 1 when nothing is left to learn from.
    """
    rendering = Rendering(FORMS[format], REASONING[reasoning], tokenizer=tokenizer, template=template)
    check = ExampleCheck(
        max_call_ratio=max_call_ratio, policies=policy_names(policies or ()), filters=filters_named(filters or ())
    )
    options = SFTOptions(check, parse_mix(mix), SampleCaps(per_task, per_template), rendering=rendering, seed=seed)
    with build_progress() as on_progress:
        report = build_sft(runs, out, options, workers=workers, resume=resume, on_progress=on_progress)
    for line in report.lines():
        print(line)
    _push(out, push)
    print(f"data set in {out}; read {out / 'README.md'}")
    if not report.rows:
        raise typer.Exit(1)


PairPolicy = Annotated[
    str, typer.Option(help="The policy whose traces these are, to sample continuations from.", rich_help_panel=SIZE)
]
Samples = Annotated[
    int, typer.Option(min=0, help="Continuations that --policy is asked for at each fork.", rich_help_panel=SIZE)
]
Checks = Annotated[
    int, typer.Option(min=0, help="Further continuations that verify a chosen one.", rich_help_panel=SIZE)
]
Source = Annotated[
    Kind,
    typer.Option(
        help="mixed: the policy's own continuations, the expert's and wrong moves; own: the policy's alone; scripted: "
        "all but the policy's.",
        rich_help_panel=SIZE,
    ),
]
Preferred = Annotated[
    Prefer,
    typer.Option(
        help="Which success is chosen. own: the policy's before the expert's; best: that only if it is as good; "
        "expert: the expert's.",
        rich_help_panel=SIZE,
    ),
]
Where = Annotated[
    At,
    typer.Option(
        help="Where traces are forked. every: at every step; critical: at the first critical step of a failure; "
        "first_error: at the first turn that is not worth imitating; anchored: there, and at every step of a trace "
        "without one.",
        rich_help_panel=SIZE,
    ),
]
Unaudited = Annotated[bool, typer.Option("--unaudited", help="Exit with 0 although the balance audit fails.")]


def _paired(form: Literal["pairs", "labels"]) -> Callable[..., None]:
    """The command that builds pairs, or the same pairs as labelled completions."""

    def command(
        runs: Runs,
        out: Out,
        policies: From = None,
        filters: Filters = None,
        policy: PairPolicy = "",
        samples: Samples = 0,
        checks: Checks = 0,
        source: Source = "mixed",
        prefer: Preferred = "own",
        at: Where = "every",
        reasoning: Think = "keep",
        seed: Seed = 0,
        workers: Workers = 1,
        resume: Resume = False,
        unaudited: Unaudited = False,
        push: Push = "",
    ) -> None:
        options = PairOptions(
            policy=policy,
            samples=samples,
            checks=checks,
            reasoning=REASONING[reasoning],
            seed=seed,
            source=source,
            prefer=prefer,
            at=at,
            policies=policy_names(policies or ()),
            filters=tuple(filters or ()),
        )
        with build_progress() as on_progress:
            report = build_pairs(runs, out, options, form=form, workers=workers, resume=resume, on_progress=on_progress)
        for line in report.lines():
            print(line)
        print(f"data set in {out}; read {out / 'README.md'}")
        if not report.passed and not unaudited:
            raise typer.Exit(1)
        _push(out, push)

    return command


AUDITED = "Exits with 1 when the balance audit fails."
PAIRS = "Preference pairs for DPO and ORPO: one prefix, two continuations with verified different outcomes."
LABELS = "The same pairs taken apart into labelled completions, for KTO."
build.command("pairs", help=f"{PAIRS}\n\n{AUDITED}")(_paired("pairs"))
build.command("kto", help=f"{LABELS}\n\n{AUDITED}")(_paired("labels"))


def _push(out: Path, name: str) -> None:
    if name:
        print(f"pushed to {push_to_hub(out, name)}")
