"""Run folders that grow: what is imported or played is added, where a rollout is planned."""

from __future__ import annotations

from pathlib import Path

from faultgym import __version__
from faultgym.agents.storage.store import RunDirectory
from faultgym.core.errors import UserError


def collection(path: Path, kind: str, schema_version: int, oldest: int | None = None) -> RunDirectory:
    """The folder's run of this kind, made where there is none.

    Args:
        path: The run's folder.
        kind: What its records are: `imported`, `demonstrations`, ...
        schema_version: The version that new records have.
        oldest: The first version that can be added to; by default `schema_version` alone.

    Raises:
        UserError: The folder holds anything else, or cannot be written.
        TraceError: The run's plan cannot be read.
    """
    if not (path / "plan.json").exists():
        plan = {"kind": kind, "schema_version": schema_version, "faultgym": __version__}
        return RunDirectory.create(path, plan)
    run = RunDirectory.open(path)
    found = (run.plan.get("kind", "rollout"), run.plan.get("schema_version"))
    versions = range(schema_version if oldest is None else oldest, schema_version + 1)
    if found[0] != kind or found[1] not in versions:
        what = f"a run of the kind {found[0]!r}, version {found[1]}, not {kind!r}, version {schema_version}"
        raise UserError(f"{path} holds {what}; choose another folder")
    return run
