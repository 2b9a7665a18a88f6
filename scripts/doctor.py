"""`faultgym doctor`: what is installed, what works with it, and how to get the rest."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from faultgym.cli.support.diagnosis import Capability, Diagnosis, diagnose
from faultgym.cli.support.extras import Need
from faultgym.cli.support.printing import grid, stdout_console
from faultgym.cli.support.server_exam import examined, show_findings
from faultgym.core.errors import UserError


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")] = False,
    server: Annotated[
        str,
        typer.Option(metavar="URL", help="Ask a model server four questions instead: what does it keep, and parse?"),
    ] = "",
    model: Annotated[
        str, typer.Option(help="With --server: the model that is asked. (default: the first that it lists)")
    ] = "",
) -> None:
    """Say what is installed, what works with it, and how to get the rest.

    Exits with 0 when the core works: episodes can be rolled out and scored. With --server: with 1 when an answer is no.
    """
    if model and not server:
        raise UserError("--model goes with --server: it is one of that server's models")
    if server:
        _ask(server, model, as_json)
        return
    found = diagnose()
    if as_json:
        print(json.dumps(document(found), indent=2))
    else:
        show(found, stdout_console())
    if not found.ok:
        raise typer.Exit(1)


def _ask(server: str, model: str, as_json: bool) -> None:
    name, findings = examined(server, model)
    if as_json:
        print(json.dumps({"server": server, "model": name, "findings": [asdict(one) for one in findings]}, indent=2))
    else:
        show_findings(stdout_console(), name, findings)
    if any(one.answer == "no" for one in findings):
        raise typer.Exit(1)


def document(found: Diagnosis) -> dict[str, object]:
    """The diagnosis as JSON values, derived ones included."""
    return {
        "ok": found.ok,
        "machine": found.machine,
        "sqlite": asdict(found.sqlite),
        "needs": [asdict(need) | {"state": need.state} for need in found.needs],
        "capabilities": [asdict(one) for one in found.capabilities],
    }


def show(found: Diagnosis, console: Console) -> None:
    """Print three tables, then each command on a line of its own, unwrapped, ready to paste."""
    console.print(_facts(found))
    console.print(_requirements(found.needs))
    console.print(_works(found.capabilities))
    fixes = [one for one in found.capabilities if one.fix]
    if fixes:
        console.print("To get the rest:")
    for one in fixes:
        console.print(Text(f"  # {one.name}\n  {one.fix}"), soft_wrap=True)
    console.print("The core works." if found.ok else "The core does not work: see above.")


def _facts(found: Diagnosis) -> Table:
    table = grid(None, ("machine", ""))
    for name, value in found.machine.items():
        table.add_row(name, Text(value))
    parts = found.sqlite.lacks
    table.add_row("sqlite", Text(f"{found.sqlite.version}" + (f", without {', '.join(parts)}" if parts else "")))
    return table


def _requirements(needs: list[Need]) -> Table:
    table = grid(None, ("extra", "requirement", "wanted", "installed", "state"), whole=("requirement",))
    for need in needs:
        style = {"ok": "green", "missing": "dim"}.get(need.state, "red")
        table.add_row(need.extra or "core", need.name, need.wanted, need.installed or "-", Text(need.state, style))
    return table


def _works(capabilities: list[Capability]) -> Table:
    table = grid(None, ("what", "works", "how, or why not"), prose=("how, or why not",))
    for one in capabilities:
        table.add_row(one.name, Text("yes", "green") if one.works else Text("no", "red"), Text(one.detail))
    return table
