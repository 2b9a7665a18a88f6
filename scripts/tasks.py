"""`faultgym tasks`: what can be asked, what can break, and the proof that the tasks hold."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faultgym.cli.support.calling import command
from faultgym.cli.support.judging import print_judged
from faultgym.cli.support.printing import grid, say, stdout_console
from faultgym.cli.support.task_options import find_modules_here
from faultgym.envs.check.kit import check_suite
from faultgym.envs.judging.form import DEFAULT_ANSWERS, AnswerField, Value
from faultgym.envs.judging.typed import wanted_fields, wanted_outcome
from faultgym.envs.registry import find_suite, registered, suites, task_by_id
from faultgym.envs.suite import Suite
from faultgym.envs.task import Task
from faultgym.eval.gate.admission import GateRow, gate
from faultgym.eval.gate.confusion import confusion_matrix
from faultgym.tools.faults.registry import FAULT_KINDS

MATRIX_WIDTH = 140
"""Columns of a terminal from which on the whole confusion matrix is printed."""


def tasks(
    ids: Annotated[
        list[str] | None,
        typer.Argument(help="Tasks to show whole, such as orders/order_status/dev/0; files for --judge."),
    ] = None,
    suite: Annotated[str, typer.Option(help="Only this suite: its name, or module:SUITE.")] = "",
    split: Annotated[str, typer.Option(help="The split whose templates are listed.")] = "train",
    check: Annotated[
        bool, typer.Option("--check", help="Run conformance kit, gate and confusion matrix; exit 1 unless clean.")
    ] = False,
    per_template: Annotated[int, typer.Option(min=1, help="Tasks of each template that --check tries.")] = 2,
    judge: Annotated[
        bool, typer.Option("--judge", help="Judge files of labelled answers and episodes; by default a checkout's.")
    ] = False,
    faults: Annotated[bool, typer.Option("--faults", help="List the kinds of faults and how one recovers.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """List task templates, show tasks, list fault kinds, check that every task holds, or judge labelled play."""
    console = stdout_console()
    find_modules_here(suite)
    chosen = [find_suite(suite)] if suite else list(suites().values())
    if judge:
        print_judged(console, [Path(name) for name in ids or ()], json)
    elif ids:
        for name in ids:
            _show(console, task_by_id(name), json)
    elif faults:
        _faults(console, json)
    elif check:
        with ExitStack() as stack:
            for each in chosen:
                stack.enter_context(registered(each))
            if not (_conformant(console, chosen) and _check(console, chosen, per_template)):
                raise typer.Exit(1)
    else:
        for each in chosen:
            _list(console, each, split, json)


def _list(console: Console, suite: Suite, split: str, json: bool) -> None:
    names = suite.names(split)
    if json:
        for name in names:
            t = suite.templates[name]
            row = {"suite": suite.name, "template": name, "summary": t.summary, "phrasings": len(t.phrasings)}
            say(console, orjson.dumps(row).decode())
        return
    columns = ("template", "what is asked", "phrasings", "kind")
    table = grid(f"{suite.name}: {suite.title} ({split})", columns, numbers=("phrasings",))
    for name in names:
        t = suite.templates[name]
        kind = "no tool" if not t.needs_tools else "unanswerable" if not t.answerable else "outage" if t.faults else ""
        table.add_row(name, t.summary, str(len(t.phrasings)), kind)
    console.print(table)
    console.print(f"A task's id is {suite.name}/TEMPLATE/{split}/NUMBER, for instance:")
    say(console, f"  {command('tasks', f'{suite.name}/{names[0]}/{split}/0')}\n")


def _show(console: Console, task: Task, json: bool) -> None:
    if json:
        shown = {
            "id": task.id,
            "system": task.system_for(DEFAULT_ANSWERS),
            "instruction": task.instruction,
            "tools": list(task.tools),
            "answerable": task.answerable,
            "needs_tools": task.needs_tools,
        }
        say(console, orjson.dumps(shown).decode())
        return
    console.print(f"[bold]{escape(task.id)}[/] ({task.style} style, phrasing {task.phrasing})")
    console.print(escape(task.system_for(DEFAULT_ANSWERS)), style="dim", highlight=False)
    console.print(f"[cyan]user:[/] {escape(task.instruction)}", highlight=False)
    console.print(f"tools: {', '.join(task.tools)}", highlight=False)
    wanted = wanted_fields(task.goal, task.answer)
    fields = "".join(
        f", {field.name} {_shown(field, wanted[field.name])}" for field in task.answer if field.name in wanted
    )
    console.print(f"right: {wanted_outcome(task.goal)}{fields}", highlight=False, markup=False)
    for change in task.goal.changes:
        what = f"change: {change.op} {change.table} {change.key} {dict(change.values)}"
        console.print(what, highlight=False, markup=False)


def _shown(field: AnswerField, value: Value) -> str:
    """A right value as people write it."""
    if isinstance(value, tuple):
        return ", ".join(_shown(field, one) for one in value)
    if field.kind == "money":
        return f"{int(value) / 100:.2f} {field.unit}"
    return f"{value} {field.unit}" if field.kind in ("number", "duration") else value


def _faults(console: Console, json: bool) -> None:
    table = grid("Fault kinds", ("kind", "channel", "phase", "recovery", "seen", "what happens"))
    for kind in FAULT_KINDS.values():
        if json:
            row = {"kind": kind.name, "channel": kind.channel, "phase": kind.phase, "contract": kind.contract}
            say(console, orjson.dumps(row).decode())
        seen = "" if kind.visible else "silent"
        table.add_row(kind.name, kind.channel, kind.phase, str(kind.contract), seen, escape(kind.summary))
    if not json:
        console.print(table)


def _conformant(console: Console, chosen: Sequence[Suite]) -> bool:
    """Print what came of the conformance kit, rule by rule where one is violated; whether all of them hold."""
    clean = True
    for suite in chosen:
        with console.status(f"the conformance kit: {suite.name}"):
            report = check_suite(suite)
        if report.ok:
            console.print(f"{suite.name}: the {len(report.findings)} rules of the conformance kit hold")
        else:
            console.print(escape(str(report)), soft_wrap=True, highlight=False)
        clean = clean and report.ok
    if not clean:
        console.print("[red]not clean[/]: the gate is for suites whose rules hold")
    return clean


def _check(console: Console, chosen: Sequence[Suite], per_template: int) -> bool:
    """Print the gate's table and the confusion matrix; whether both are clean."""
    rows = []
    with console.status("the gate") as status:
        for suite in chosen:
            for name, template in suite.templates.items():
                status.update(f"the gate: {suite.name}/{name}")
                split = "unseen_compositions" if template.composition else "dev"
                rows.append(gate(suite, name, [suite.task(name, split, n) for n in range(per_template)]))
    _gate_table(console, rows)
    with console.status("the confusion matrix"):
        matrix = confusion_matrix([suite.name for suite in chosen], per_template=per_template)
    console.print(matrix.table() if console.width >= MATRIX_WIDTH else matrix.listing())
    clean = all(row.clean for row in rows) and not matrix.errors
    for row in rows:
        for failure in row.failures:
            console.print(f"[red]gate:[/] {escape(failure)}", soft_wrap=True)
    for error in matrix.errors:
        console.print(f"[red]matrix:[/] {escape(str(error))}", soft_wrap=True)
    console.print("[green]clean[/]" if clean else "[red]not clean[/]")
    return clean


def _gate_table(console: Console, rows: list[GateRow]) -> None:
    """One line for each template; the expert's five presets are one column, failures name the preset."""
    table = Table(title="The gate: checks that went as wanted, of those tried", box=SIMPLE_HEAD, show_edge=False)
    table.padding = 0
    table.add_column("template", no_wrap=True)
    names = list(dict.fromkeys(check.split()[0] for row in rows for check in row.checks))
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    suite = ""
    for row in rows:
        if row.suite != suite:
            suite = row.suite
            table.add_row(f"[bold]{suite}[/]")
        table.add_row(f" {row.template}", *(_gate_cell(row, name) for name in names))
    console.print(table)


def _gate_cell(row: GateRow, name: str) -> str:
    found = [counts for check, counts in row.checks.items() if check.split()[0] == name]
    good, tried = sum(g for g, _ in found), sum(t for _, t in found)
    return "-" if not tried else f"{good}/{tried}" if good == tried else f"[red]{good}/{tried}[/]"
