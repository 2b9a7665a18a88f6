"""Run folders that grow: what is imported or played is added, where a rollout is planned."""

from __future__ import annotations

from pathlib import Path

from faultgym import __version__
from faultgym.agents.storage.store import RunDirectory
from faultgym.core.errors import UserError


def collection(path: Path, kind: str, schema_version: int) -> RunDirectory:
    """The folder's run of this kind, made where there is none. Raises UserError when it holds anything else."""
    if not (path / "plan.json").exists():
        plan = {"kind": kind, "schema_version": schema_version, "faultgym": __version__}
        return RunDirectory.create(path, plan)
    run = RunDirectory.open(path)
    found = (run.plan.get("kind", "rollout"), run.plan.get("schema_version"))
    if found != (kind, schema_version):
        what = f"a run of the kind {found[0]!r}, version {found[1]}, not {kind!r}, version {schema_version}"
        raise UserError(f"{path} holds {what}; choose another folder")
    return run
