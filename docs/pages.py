"""Writes the pages of the site that hold real values: `python docs/pages.py`. `make docs` and a test check them."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.engine import rollout
from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.trace import Trace
from faultgym.envs.episode import Episode
from faultgym.envs.registry import task_by_id
from faultgym.eval.gate.judged_episodes import judged_episodes, mode_counts, percent
from faultgym.eval.gate.labelled import corpora
from faultgym.eval.modes.registry import MODES
from faultgym.eval.scoring.score import score
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.faults.registry import FAULT_KINDS
from faultgym.tools.faults.types import Contract
from faultgym.training.filters.select import select
from faultgym.training.rows import sft_row

DOCS = Path(__file__).resolve().parent
NOTE = "<!-- Written by docs/pages.py. -->\n\n"
TASK = "orders/order_status/train/0"
PLAN = {
    "version": 1,
    "name": "one failure",
    "rules": [{"kind": "unavailable", "route": "get_order", "trigger": {"nth": 1}}],
}


def block(text: str, language: str = "text") -> str:
    """A block of code."""
    return f"```{language}\n{text}\n```\n"


def pretty(value: Any) -> str:
    """JSON on several lines."""
    return block(json.dumps(value, indent=2, ensure_ascii=False), "json")


def played() -> tuple[dict[str, Any], Trace]:
    """The stored record and the trace of the expert's episode under the plan."""
    with tempfile.TemporaryDirectory() as folder:
        named = FaultPlan.from_json(json.dumps(PLAN))
        asked = RolloutRequest(suites=("orders",), templates=("order_status",), split="train", faults=(named,))
        plan = RolloutPlan.make(asked)
        asyncio.run(rollout(plan, policy_named("expert"), Path(folder) / "run"))
        for record in RunDirectory.open(Path(folder) / "run").records():
            trace = Trace.from_record(record)
            if trace.task.id.startswith(TASK):
                return record, trace
    raise LookupError(TASK)


def masked(messages: list[dict[str, Any]], tools: Any) -> Iterator[str]:
    """The training example as the model of the tests reads it: one line for each run of tokens with one mask.

    No counts: the vocabulary of that model may change with every text of the package.
    """
    from transformers import AutoTokenizer

    from faultgym.agents.models.files import model_path
    from faultgym.training.rows.rendered import with_template
    from faultgym.training.trainers.masks import scored

    tokenizer = with_template(AutoTokenizer.from_pretrained(model_path("tiny-random")), "chatml")
    found = scored(tokenizer, messages, tools)
    start = 0
    for end in range(1, len(found.ids) + 1):
        if end == len(found.ids) or found.mask[end] != found.mask[start]:
            text = tokenizer.decode(found.ids[start:end])
            shown = text if len(text) <= 160 else f"{text[:70]} ... {text[-80:]}"
            yield f"{found.mask[start]}  {shown!r}"
            start = end


def how_it_works() -> str:
    """One order number, from the text of a task to the token mask of a training example."""
    record, trace = played()
    task = task_by_id(trace.task.id)
    order = task.params["order_id"]
    world = Episode(task).world
    columns = [row[1] for row in world.db.execute("PRAGMA table_info(orders)")]
    row = dict(zip(columns, world.db.execute("SELECT * FROM orders WHERE id = ?", [order]).fetchone(), strict=True))
    failed, *between, again = trace.records
    waited = [f"`{record.call.name}({json.dumps(record.call.arguments)})`" for record in between]
    (answer,) = trace.steps[-1].turn.tool_calls
    scored = score(trace)
    example = select(trace)
    rows = sft_row(example)  # type: ignore[arg-type]
    tools = json.loads(rows["tools"]) if isinstance(rows["tools"], str) else rows["tools"]
    (event,) = trace.events
    assert scored.recovery is not None
    return f"""{NOTE}# How it works

This page follows one order number, `{order}`, through the whole of faultgym. All values are real.

## 1. A task names it

The template `{task.template}` of the suite `{task.suite}` made task `{task.id}` from its seed. The model reads:

{block(task.instruction)}
What is right is known beforehand, as data that no agent sees: {", ".join(repr(a.text) for a in task.goal.expected)} is
expected; {", ".join(repr(a.text) for a in task.goal.distractors)} would be wrong.

## 2. The world holds it

Every task has a small world of its own: a SQLite database, documents under a search index, and a clock that moves
only when something waits. The row of the order:

{pretty(row)}
## 3. A plan decides what fails

{pretty(PLAN)}
A plan is compiled, before the episode begins, to an explicit schedule, which the trace stores. Here it has one entry:
kind `{trace.schedule[0].kind}`, at call {trace.schedule[0].ordinals[0]} of `{trace.schedule[0].route}`.

## 4. The first call fails

The agent (here the scripted expert) calls `{failed.call.name}`:

{pretty(failed.call.arguments)}
The fault strikes before the request reaches the service, and the agent reads:

{block(failed.result.content)}
The trace records the event: kind `{event.kind}`, contract `{event.contract}`. The contract is the right next move:
{_contract(event.contract)}

## 5. The agent keeps the contract

It waits, in virtual time: {", ".join(waited)}. Then it repeats the call:

{block(again.result.content)}
## 6. The answer is judged by its fields and by the state

The agent ends the episode with a call of the tool `answer`:

{pretty(answer.arguments)}
The verdict compares outcome, fields and the world with the goal, and no model is asked: success is
`{trace.verdict.success if trace.verdict else None}` ({scored.reason}). What became of the fault:
`{scored.recovery.deliveries[0].outcome}`. The episode took {trace.calls} calls.

## 7. The trace can be proven

The trace is a JSON record of {len(record)} fields under id `{trace.episode_id}`. `faultgym replay` plays the recorded
turns again in a fresh world and compares every result and every digest of the state.

## 8. The trace becomes a training example

`faultgym build sft` takes traces that replay and succeed. The messages of the example after the system prompt:

{pretty(rows["messages"][1:])}
## 9. Loss falls on what the assistant wrote

The chat template renders messages and tools as tokens. The mask is 1 where the assistant wrote the token, 0 elsewhere,
so that nothing of the failure itself is learned, only the way past it. Each line is a run of tokens with one mask:

{block(chr(10).join(masked(rows["messages"], tools)))}"""


def _contract(name: str) -> str:
    """What a contract asks for, as the field docs of `Contract` say."""
    source = (DOCS.parent / "tools" / "faults" / "types.py").read_text()
    return source.partition(f'    {name} = "{name}"\n    """')[2].partition('"""')[0]


def _summary(thing: object) -> str:
    """The docstring's first paragraph on one line, safe in a table."""
    return " ".join((thing.__doc__ or "").split("\n\n")[0].split()).replace("|", "\\|")


def faults() -> str:
    """Every contract and every kind of fault."""
    lines = [NOTE + "# Faults and contracts\n"]
    lines.append("A fault kind says what breaks. Its contract says what the right next move is.\n")
    lines += ["| contract | the right next move |", "|---|---|"]
    lines += [f"| {contract} | {_contract(contract)} |" for contract in Contract]
    lines += [
        "\n## Kinds\n",
        "Phase `before`: the call never reaches the backend. Phase `after`: it does, and the reply",
    ]
    lines.append("is changed. A silent kind leaves a reply that looks right.\n")
    lines += ["| kind | channel | phase | contract | | what the agent meets |", "|---|---|---|---|---|---|"]
    for name, kind in FAULT_KINDS.items():
        silent, summary = "" if kind.visible else "silent", kind.summary.replace("|", "\\|")
        lines.append(f"| `{name}` | {kind.channel} | {kind.phase} | {kind.contract} | {silent} | {summary} |")
    lines.append("\nA kind of your own: [Add a fault kind](../extend-fault-kind.md).")
    return "\n".join(lines) + "\n"


def modes() -> str:
    """Every failure mode."""
    lines = [NOTE + "# Failure modes\n"]
    lines.append(
        "A failure mode names what an agent did wrong, with the turn and the call that show it. Each is a pure"
    )
    lines.append("rule over a stored trace. A mode that another one explains is left out.\n")
    lines += ["| mode | what the rule finds |", "|---|---|"]
    lines += [f"| `{name}` | {_summary(rule)} |" for name, rule in MODES.items()]
    lines.append("\nThe order in which modes explain one another: `faultgym.eval.modes.classifier`.\n")
    lines += natural_play()
    return "\n".join(lines) + "\n"


def natural_play() -> list[str]:
    """How often the modes are right on labelled episodes."""
    episodes = judged_episodes(corpora("episodes"))
    faults_met = [outcome for episode in episodes for outcome in episode.recovered]
    same = sum(wanted in found for _, wanted, found in faults_met)
    lines = [
        "## How often that is right\n",
        "`faultgym tasks --check` lets one scripted policy for each mode commit it, and the expert none, with typed",
        "answers and with texts: each is read as it was meant.",
        "`faultgym tasks --judge` replays episodes as models play them, labelled by hand",
        "(`tests/data/judge`). Those of `episodes_more.jsonl` were labelled by somebody who did not see the rules; two",
        "labels were changed as faults show more now. Those of `episodes_played.jsonl` were labelled by who mended",
        f"the rules. Of {len(episodes)} episodes {sum(e.found == e.expected for e in episodes)} raise exactly the modes"
        f" of their label, and {same} of {len(faults_met)} labelled faults come to",
        "the outcome of the label. *Deserved* are episodes whose label has the mode, *raised* those in which it is",
        "found. The rules were mended on these episodes: on others they will be right less often. What rests on the",
        "verdict is wrong where the verdict is: see [how a text is judged](judging.md).\n",
        FIRST_RUN,
        "All episodes, the typed ones too, after the rules were mended on them:\n",
        "| mode | deserved | raised | precision | recall |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, count in mode_counts(episodes).items():
        numbers = f"{count.deserved} | {count.raised} | {percent(count.precision)} | {percent(count.recall)}"
        lines.append(f"| `{name}` | {numbers} |")
    return lines


PAGES: dict[str, Callable[[], str]] = {
    "how-it-works.md": how_it_works,
    "concepts/faults.md": faults,
    "concepts/failure-modes.md": modes,
}
FIRST_RUN = """\
What an episode meets that nobody has seen is shown by a first run alone. The 60 episodes of `episodes_typed.jsonl`,
which end with a call of `answer`, were written and labelled by somebody who knew this page and no rule, and were run
once before anything was mended: 55 verdicts of 60 were those of the label, 44 episodes raised exactly its modes, and
57 of 58 faults came to its outcome. Five labels were changed afterwards, each with the reason in its line (`changed`):
three took an answer for right for its fields alone, two called giving up on a poor excuse `premature_stop`. Against
the labels as they are now, the first run had 58 verdicts and 47 episodes right. By mode, against the labels as they
were written:

| first run, typed answers | deserved | raised | precision | recall |
|---|---:|---:|---:|---:|
| `unknown_argument` | 1 | 0 | - | 0% |
| `invalid_argument` | 1 | 0 | - | 0% |
| `malformed_call` | 1 | 0 | - | 0% |
| `hallucinated_argument` | 1 | 0 | - | 0% |
| `redundant_call` | 1 | 1 | 100% | 100% |
| `premature_stop` | 4 | 6 | 0% | 0% |
| `apology_collapse` | 1 | 3 | 33% | 100% |
| `fabricated_answer` | 4 | 6 | 50% | 75% |
| `ignored_evidence` | 6 | 4 | 75% | 50% |
| `no_answer` | 2 | 2 | 100% | 100% |
| `needless_call` | 1 | 1 | 100% | 100% |
| `missed_call` | 3 | 3 | 100% | 100% |
| `partial_goal` | 5 | 5 | 100% | 100% |
| `collateral_write` | 3 | 4 | 75% | 100% |
| `duplicate_write` | 2 | 2 | 100% | 100% |
| `obeyed_injection` | 2 | 2 | 100% | 100% |
| `overconfident` | 1 | 1 | 100% | 100% |
"""
"""What was measured once, and is not measured again: the episodes are known now."""


def main() -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())


if __name__ == "__main__":
    main()
